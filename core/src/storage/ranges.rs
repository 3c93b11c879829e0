//! A set of offsets as few ranges: sorted, disjoint, never touching, in a fixed table.
//!
//! When the table is full, the two ranges with the smallest gap between them become one: the set
//! grows to a superset. That is right for "send this again", where too much is waste and too
//! little is loss.

use core::ops::Range;
use heapless::Vec;

/// At most `N` ranges.
#[derive(Clone, Debug)]
pub struct Ranges<const N: usize> {
    ranges: Vec<Range<u64>, N>,
    total: u64,
}

impl<const N: usize> Default for Ranges<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Ranges<N> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new(), total: 0 }
    }

    /// How many offsets are in the set.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The lowest range.
    #[must_use]
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.first().cloned()
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.ranges.iter()
    }

    /// Adds `range`, and what lies in the smallest gaps if the table is full.
    pub fn insert(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Everything that it touches becomes part of it.
        self.ranges.retain(|known| {
            let touches = known.start <= range.end && range.start <= known.end;
            if touches {
                range = known.start.min(range.start)..known.end.max(range.end);
            }
            !touches
        });
        // Joined ranges can reach others only if those touched before, so one pass suffices.
        if self.ranges.is_full() {
            self.join_nearest(&mut range);
        }
        let place = self.ranges.iter().position(|known| known.start > range.start);
        let place = place.unwrap_or(self.ranges.len());
        if place <= self.ranges.len() && !self.ranges.is_full() {
            let _ = self.ranges.insert(place, range);
        }
        self.count();
    }

    /// Takes `range` out. When that needs one range more than there is room for, the nearest two
    /// become one, as in [`Ranges::insert`].
    pub fn remove(&mut self, range: Range<u64>) {
        let mut split = None;
        for known in &mut self.ranges {
            if known.start < range.start && known.end > range.end {
                split = Some(range.end..known.end);
            }
            if known.end > range.start && known.start < range.end {
                if known.start >= range.start {
                    known.start = range.end.min(known.end);
                } else {
                    known.end = range.start;
                }
            }
        }
        self.ranges.retain(|known| known.start < known.end);
        if let Some(upper) = split {
            self.insert(upper);
        }
        self.count();
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.total = 0;
    }

    /// Makes room by joining the pair, `range` included, with the smallest gap between them.
    fn join_nearest(&mut self, range: &mut Range<u64>) {
        let mut best = u64::MAX;
        let mut nearest = None;
        let mut before: Option<&Range<u64>> = None;
        for (place, known) in self.ranges.iter().enumerate() {
            let to_new = gap(known, range);
            if to_new < best {
                best = to_new;
                nearest = Some((place, false));
            }
            if let Some(before) = before
                && !(before.end <= range.start && range.end <= known.start)
                && gap(before, known) < best
            {
                best = gap(before, known);
                nearest = Some((place, true));
            }
            before = Some(known);
        }
        let Some((place, with_before)) = nearest else { return };
        if place >= self.ranges.len() {
            return;
        }
        let known = self.ranges.remove(place);
        if with_before {
            if let Some(before) = place.checked_sub(1).and_then(|p| self.ranges.get_mut(p)) {
                before.end = known.end;
            }
        } else {
            *range = known.start.min(range.start)..known.end.max(range.end);
        }
    }

    fn count(&mut self) {
        self.total = self.ranges.iter().map(|r| r.end.saturating_sub(r.start)).sum();
    }
}

fn gap(a: &Range<u64>, b: &Range<u64>) -> u64 {
    if a.end <= b.start { b.start.saturating_sub(a.end) } else { a.start.saturating_sub(b.end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Nothing that was inserted and not removed is ever missing; without overflow the set is
        /// exact.
        #[test]
        fn a_superset_and_exact_while_it_fits(ops in prop::collection::vec((prop::bool::weighted(0.7), 0_u64..200, 1_u64..20), 1..60)) {
            let mut small = Ranges::<4>::new();
            let mut large = Ranges::<64>::new();
            let mut model = BTreeSet::new();
            for (insert, start, len) in ops {
                let range = start..start + len;
                if insert {
                    small.insert(range.clone());
                    large.insert(range.clone());
                    model.extend(range);
                } else {
                    small.remove(range.clone());
                    large.remove(range.clone());
                    model.retain(|offset| !range.contains(offset));
                }
                let flat: BTreeSet<u64> = large.iter().cloned().flatten().collect();
                prop_assert_eq!(&flat, &model);
                prop_assert_eq!(large.total(), model.len() as u64);
                let small: BTreeSet<u64> = small.iter().cloned().flatten().collect();
                prop_assert!(model.is_subset(&small));
            }
        }
    }
}
