//! A set of numbers as a few ranges: which packets arrived, which bytes must be sent again.
//!
//! ```text
//!   3..5      9..10          20..31        sorted, disjoint, never touching, at most N
//! ```
//!
//! A fixed table meets more ranges than it holds sooner or later, so each use says which way to be
//! wrong: [`Ranges::insert_merging`] closes the smallest gap (the set may then hold too much: bytes
//! sent twice), [`Ranges::insert_dropping_lowest`] forgets the lowest range (it may hold too
//! little: a packet not acknowledged). Every call is O(N).

use crate::arithmetic::Wide;
use crate::storage::table::keep;
use core::ops::Range;
use heapless::VecView;

/// At most `N` disjoint half-open ranges of `u64`. `u64::MAX` itself cannot be a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges<const N: usize> {
    spans: heapless::Vec<Span, N>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u64,
    end: u64,
}

impl<const N: usize> Ranges<N> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { spans: heapless::Vec::new() }
    }

    /// Adds `range`. When there is no room for one more range, the smallest gap is closed, so that
    /// the set stays a superset of what was inserted.
    pub fn insert_merging(&mut self, range: Range<u64>) {
        let spans = self.spans.as_mut_view();
        let Some(span) = absorb(spans, &range) else { return };
        if spans.is_full() {
            close_smallest_gap(spans, span);
        } else {
            place(spans, span);
        }
    }

    /// Adds `range`. When there is no room for one more range, the lowest is forgotten; `false`
    /// says that this was `range` itself.
    pub fn insert_dropping_lowest(&mut self, range: Range<u64>) -> bool {
        let spans = self.spans.as_mut_view();
        if extend_last(spans, &range) {
            return true;
        }
        let Some(span) = absorb(spans, &range) else { return true };
        if spans.is_full() {
            if spans.first().is_none_or(|lowest| span.start < lowest.start) {
                return false;
            }
            drop_at(spans, 0);
        }
        place(spans, span);
        true
    }

    /// Takes `range` out. Where that would split a range and there is no room for the second half,
    /// the range stays whole and the answer is `false`: the set holds too much rather than too little.
    pub fn remove(&mut self, range: Range<u64>) -> bool {
        remove(self.spans.as_mut_view(), &range)
    }

    /// Takes out everything below `bound`.
    pub fn remove_below(&mut self, bound: u64) {
        self.remove(0..bound);
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.spans.iter().rev().any(|span| span.start <= number && number < span.end)
    }

    /// The ranges, lowest first; from the other end, highest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + Clone + '_ {
        self.spans.iter().map(|span| span.start..span.end)
    }

    /// The lowest range.
    #[must_use]
    pub fn first(&self) -> Option<Range<u64>> {
        self.spans.first().map(|span| span.start..span.end)
    }

    /// The highest range.
    #[must_use]
    pub fn last(&self) -> Option<Range<u64>> {
        self.spans.last().map(|span| span.start..span.end)
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many numbers the set holds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.spans.iter().fold(0, |sum, span| sum.wrapping_add(span.end.wrapping_sub(span.start)))
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.spans.clear();
    }
}

/// The common case in a stream of arrivals: the highest range grows at its end.
fn extend_last(spans: &mut [Span], range: &Range<u64>) -> bool {
    match spans.last_mut() {
        Some(last) if last.start <= range.start && range.start <= last.end => {
            last.end = last.end.max(range.end);
            true
        }
        _ => false,
    }
}

/// Removes whatever overlaps or touches `range` and returns their union; `None` if it is empty.
fn absorb(spans: &mut VecView<Span>, range: &Range<u64>) -> Option<Span> {
    if range.is_empty() {
        return None;
    }
    let mut union = Span { start: range.start, end: range.end };
    keep(spans, &mut |span| {
        let apart = span.end < range.start || range.end < span.start;
        if !apart {
            union.start = union.start.min(span.start);
            union.end = union.end.max(span.end);
        }
        apart
    });
    Some(union)
}

/// See [`Ranges::remove`].
fn remove(spans: &mut VecView<Span>, range: &Range<u64>) -> bool {
    if range.is_empty() {
        return true;
    }
    let splits = spans.iter().any(|s| s.start < range.start && range.end < s.end);
    if splits && spans.is_full() {
        return false;
    }
    let mut right = None;
    for span in spans.iter_mut() {
        if span.start < range.start && range.end < span.end {
            right = Some(Span { start: range.end, end: span.end });
            span.end = range.start;
        } else if span.start < range.start {
            span.end = span.end.min(range.start);
        } else if range.end < span.end {
            span.start = span.start.max(range.end);
        } else {
            span.end = span.start; // Covered as a whole: emptied here, dropped below.
        }
    }
    keep(spans, &mut |span| span.start < span.end);
    if let Some(span) = right {
        place(spans, span);
    }
    true
}

/// Takes the range at this place out of the order.
fn drop_at(spans: &mut VecView<Span>, place: usize) {
    let mut at = 0_usize;
    keep(spans, &mut |_| {
        let kept = at != place;
        at = at.wrapping_add(1);
        kept
    });
}

/// Puts a span that overlaps nothing in at its place in the order, and returns the highest of all,
/// which then has none.
fn shift(spans: &mut [Span], mut span: Span) -> Span {
    for held in spans {
        if span.start < held.start {
            core::mem::swap(held, &mut span);
        }
    }
    span
}

/// Puts in a span that overlaps nothing, at its place in the order.
fn place(spans: &mut VecView<Span>, span: Span) {
    let highest = shift(spans, span);
    let placed = spans.push(highest);
    debug_assert!(placed.is_ok(), "the caller made room");
}

/// Takes `span` into a full table by closing the smallest gap that then exists.
fn close_smallest_gap(spans: &mut VecView<Span>, span: Span) {
    // The highest of N + 1 spans; the gaps lie between neighbours.
    let beyond = shift(spans, span);
    let gap = |low: Span, high: Span| high.start.minus(low.end);
    let Some(&highest) = spans.last() else { return };
    let mut smallest = (gap(highest, beyond), usize::MAX);
    for (at, (low, high)) in spans.iter().zip(spans.iter().skip(1)).enumerate() {
        let candidate = (gap(*low, *high), at);
        if candidate.0 < smallest.0 {
            smallest = candidate;
        }
    }
    if smallest.1 == usize::MAX {
        if let Some(last) = spans.last_mut() {
            last.end = beyond.end;
        }
        return;
    }
    let upper = smallest.1.wrapping_add(1);
    let upper_end = spans.get(upper).map(|span| span.end);
    if let (Some(lower), Some(end)) = (spans.get_mut(smallest.1), upper_end) {
        lower.end = end;
    }
    drop_at(spans, upper);
    let placed = spans.push(beyond);
    debug_assert!(placed.is_ok(), "one span was just merged away");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Range<u64>),
        Remove(Range<u64>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let range = (0_u64..120, 0_u64..12).prop_map(|(start, len)| start..start + len);
        prop_oneof![3 => range.clone().prop_map(Op::Insert), 1 => range.prop_map(Op::Remove)]
    }

    fn well_formed<const N: usize>(ranges: &Ranges<N>) -> bool {
        let spans: Vec<_> = ranges.iter().collect();
        spans.iter().all(|s| s.start < s.end) && spans.windows(2).all(|w| w[0].end < w[1].start)
    }

    fn members<const N: usize>(ranges: &Ranges<N>) -> BTreeSet<u64> {
        ranges.iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn with_room_it_is_a_set(ops in prop::collection::vec(op(), 0..60)) {
            let mut ranges = Ranges::<64>::new();
            let mut model = BTreeSet::new();
            for (step, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(range) => {
                        model.extend(range.clone());
                        if step % 2 == 0 { ranges.insert_merging(range) } else { ranges.insert_dropping_lowest(range); }
                    }
                    Op::Remove(range) => {
                        model.retain(|n| !range.contains(n));
                        prop_assert!(ranges.remove(range));
                    }
                }
                prop_assert!(well_formed(&ranges));
                prop_assert_eq!(&members(&ranges), &model);
                prop_assert_eq!(ranges.total(), model.len() as u64);
                prop_assert!((0..140).all(|n| ranges.contains(n) == model.contains(&n)));
            }
        }

        #[test]
        fn merging_never_holds_too_little(ops in prop::collection::vec(op(), 0..80)) {
            let mut ranges = Ranges::<4>::new();
            let mut model = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(range) => { model.extend(range.clone()); ranges.insert_merging(range); }
                    Op::Remove(range) => {
                        let before = members(&ranges);
                        model.retain(|n| !range.contains(n));
                        if !ranges.remove(range) { prop_assert_eq!(&before, &members(&ranges)); }
                    }
                }
                prop_assert!(well_formed(&ranges) && ranges.len() <= 4);
                prop_assert!(members(&ranges).is_superset(&model));
            }
        }

        #[test]
        fn merging_closes_the_smallest_gap(starts in prop::collection::btree_set(0_u64..1000, 5)) {
            // Five lone numbers into four ranges: what is too much is one of the smallest gaps.
            let mut ranges = Ranges::<4>::new();
            let starts: Vec<u64> = starts.into_iter().map(|s| s * 3).collect();
            for &s in starts.iter().rev() { ranges.insert_merging(s..s + 1); }
            let gap = starts.windows(2).map(|w| w[1] - w[0] - 1).min().unwrap();
            prop_assert_eq!(ranges.total(), 5 + gap);
        }

        #[test]
        fn dropping_keeps_the_highest(numbers in prop::collection::vec(0_u64..200, 0..80)) {
            let mut ranges = Ranges::<4>::new();
            let mut model = BTreeSet::new();
            for n in numbers {
                ranges.insert_dropping_lowest(n..n + 1);
                model.insert(n);
                prop_assert!(well_formed(&ranges) && ranges.len() <= 4);
                let floor = ranges.first().map_or(0, |first| first.start);
                prop_assert!(members(&ranges).is_subset(&model));
                prop_assert_eq!(ranges.last().map(|last| last.end - 1), model.last().copied());
                // Whatever lies above the lowest range and was ever inserted after it is held.
                prop_assert!(members(&ranges).iter().all(|m| *m >= floor));
            }
        }
    }

    #[test]
    fn the_edges_of_the_number_space_are_harmless() {
        let mut ranges = Ranges::<2>::new();
        ranges.insert_merging(u64::MAX - 1..u64::MAX);
        ranges.insert_merging(0..1);
        ranges.insert_merging(5..5);
        #[expect(clippy::reversed_empty_ranges)]
        ranges.insert_merging(7..3);
        assert_eq!(ranges.total(), 2);
        ranges.insert_merging(2..3);
        assert_eq!(ranges.first(), Some(0..3));
        ranges.remove(0..u64::MAX);
        assert!(ranges.is_empty());
    }
}
