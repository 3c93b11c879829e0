//! A set of piece numbers, kept as runs: pieces come nearly in order, so that even a file of a million pieces
//! is a few runs.

use core::ops::Range;
use std::collections::BTreeMap;

/// Numbers, as runs that neither touch nor overlap: begin to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    runs: BTreeMap<u64, u64>,
    count: u64,
}

impl Runs {
    /// How many numbers are in it.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        self.count += 1;
        let end = self.runs.remove(&(number + 1)).unwrap_or(number + 1);
        match self.runs.range_mut(..number).next_back() {
            Some((_, before)) if *before == number => *before = end,
            _ => drop(self.runs.insert(number, end)),
        }
    }

    /// The first number that is in it, from `from` on.
    pub(super) fn next(&self, from: u64) -> Option<u64> {
        if self.contains(from) {
            return Some(from);
        }
        self.runs.range(from..).next().map(|(begin, _)| *begin)
    }

    /// The first run of numbers in `within` that are not in it.
    pub(super) fn next_gap(&self, within: Range<u64>) -> Option<Range<u64>> {
        let before = self.runs.range(..=within.start).next_back().map_or(0, |(_, end)| *end);
        let begin = before.max(within.start);
        let end = self.next(begin).map_or(within.end, |next| next.min(within.end));
        (begin < end).then_some(begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_the_set_that_it_stands_for(numbers in prop::collection::vec(0_u64..40, 0..60), from in 0_u64..45) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for number in numbers {
                runs.insert(number);
                set.insert(number);
            }
            prop_assert_eq!(runs.count(), set.len() as u64);
            prop_assert_eq!(runs.contains(from), set.contains(&from));
            prop_assert_eq!(runs.next(from), set.range(from..).next().copied());
            let gap = (from..42).find(|number| !set.contains(number));
            let gap = gap.map(|begin| begin..(begin..42).find(|number| set.contains(number)).unwrap_or(42));
            prop_assert_eq!(runs.next_gap(from..42), gap);
            let ends: Vec<_> = runs.runs.iter().collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", ends);
        }
    }
}
