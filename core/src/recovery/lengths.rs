//! What the lengths of settled packets tell: are the long ones swallowed?
//!
//! ```text
//!   arrived   A A a   a     a    a          lost in a row, with nothing as long arriving since:
//!   lost            B     B    B            three are a black hole, not chance
//! ```
//!
//! Only packets that are longer than what every IP path carries count. A long packet that arrives
//! acquits those that were sent before it.

use crate::arithmetic::Wide;

/// The long packets lost in a row on one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// A long packet that arrived of late, or a moment from which on losses count: its number and
    /// its length.
    passed: Option<(u64, u16)>,
    /// The first packet lost since, and the shortest.
    first: u64,
    shortest: u16,
    lost: u16,
}

impl Lengths {
    pub(super) const fn new() -> Self {
        Self { passed: None, first: 0, shortest: u16::MAX, lost: 0 }
    }

    /// How many were lost in a row.
    pub(super) const fn lost(&self) -> u16 {
        self.lost
    }

    /// What was sent before `number` says nothing any more.
    pub(super) const fn restart(&mut self, number: u64) {
        *self = Self { passed: Some((number, u16::MAX)), ..Self::new() };
    }

    pub(super) fn on_acked(&mut self, number: u64, bytes: u16) {
        if bytes <= SHORT {
            return;
        }
        if self.lost > 0 && number >= self.first && bytes >= self.shortest {
            self.lost = 0;
        }
        let replaces = |(known, length)| bytes >= length || number.minus(known) > MEMORY;
        if self.passed.is_none_or(replaces) {
            self.passed = Some((number, bytes));
        }
    }

    pub(super) fn on_lost(&mut self, number: u64, bytes: u16) {
        let acquits = |(known, length)| known > number && length >= bytes;
        if bytes <= SHORT || self.passed.is_some_and(acquits) {
            return;
        }
        if self.lost == 0 {
            (self.first, self.shortest) = (number, bytes);
        }
        self.shortest = self.shortest.min(bytes);
        self.lost = self.lost.saturating_add(1);
    }
}

/// What every IP path carries, less the headers of IPv4 and UDP.
const SHORT: u16 = 548;
/// For how many packets a longer one that arrived is remembered before a shorter one.
const MEMORY: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_packets_that_vanish_between_short_ones_are_counted() {
        let mut lengths = Lengths::new();
        lengths.on_acked(0, 1_472);
        for number in 1..9 {
            if number % 2 == 0 {
                lengths.on_acked(number, 60);
                lengths.on_acked(number, 548);
            } else {
                lengths.on_lost(number, 1_472);
            }
        }
        assert_eq!(lengths.lost(), 4);
    }

    #[test]
    fn a_burst_with_long_packets_behind_it_is_chance() {
        let mut lengths = Lengths::new();
        lengths.on_acked(20, 1_472);
        lengths.on_acked(21, 900);
        for number in 0..20 {
            lengths.on_lost(number, 1_472);
        }
        assert_eq!(lengths.lost(), 0);
        lengths.on_lost(22, 1_472);
        lengths.on_lost(23, 1_472);
        assert_eq!(lengths.lost(), 2);
        lengths.on_acked(24, 1_472);
        assert_eq!(lengths.lost(), 0);
    }

    #[test]
    fn packets_of_middle_length_do_not_hide_that_longer_ones_vanish() {
        let mut lengths = Lengths::new();
        lengths.on_acked(0, 1_472);
        for number in 1..7 {
            lengths.on_acked(number * 2, 900);
            lengths.on_lost(number * 2 - 1, 1_472);
        }
        assert_eq!(lengths.lost(), 6);
    }

    #[test]
    fn what_was_sent_before_a_restart_is_forgotten() {
        let mut lengths = Lengths::new();
        lengths.restart(10);
        lengths.on_lost(9, 1_472);
        assert_eq!(lengths.lost(), 0);
        lengths.on_lost(10, 1_472);
        assert_eq!(lengths.lost(), 1);
        lengths.restart(0);
        lengths.on_lost(0, 1_472);
        assert_eq!(lengths.lost(), 1);
        lengths.on_lost(1, 548);
        assert_eq!(lengths.lost(), 1, "short ones say nothing");
    }
}
