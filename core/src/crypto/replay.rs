//! Which packet numbers of one path were received: each is taken once (RFC 4303 section 3.4.3, with
//! the ring of RFC 6479).
//!
//! ```text
//!      too old to tell │<───────── 1,024 numbers ─────────>│ new
//!   ───────────────────┼───────────────────────────────────┼──────>
//!                                                   highest ┘
//! ```
//!
//! The bit of number n stands at n modulo 1,024; moving up clears the bits that change their meaning.
//! A number is recorded only after its packet's seal has opened: a forged one must not burn it.

use crate::arithmetic::Wide;
use crate::packet_number::PacketNumber;

/// How far behind the highest number a packet may be and still be told from a replay.
pub const WINDOW: u64 = 1_024;

/// The window of one path.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }

    /// Whether the packet may be new: it is not known, nor too old to tell.
    #[must_use]
    pub fn check(&self, number: PacketNumber) -> bool {
        let number = number.0;
        match self.highest {
            Some(highest) if number <= highest => {
                highest - number < WINDOW && self.word(number) & bit(number) == 0
            }
            _ => true,
        }
    }

    /// Notes that the packet arrived. The seal was opened and [`check`](Self::check) said yes.
    pub fn record(&mut self, number: PacketNumber) {
        let number = number.0;
        match self.highest {
            None => self.highest = Some(number),
            Some(highest) if number > highest => {
                self.forget(highest.plus(1), number);
                self.highest = Some(number);
            }
            // Its bit stands for a newer number by now.
            Some(highest) if highest - number >= WINDOW => return,
            Some(_) => {}
        }
        if let Some(word) = self.seen.get_mut(index(number)) {
            *word |= bit(number);
        }
    }

    /// The highest number recorded.
    #[must_use]
    pub fn highest(&self) -> Option<PacketNumber> {
        self.highest.map(PacketNumber)
    }

    fn word(&self, number: u64) -> u64 {
        self.seen.get(index(number)).copied().unwrap_or(0)
    }

    /// Clears the bits of `from..=to`, a word at a time and each word once.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW - 1 {
            self.seen = [0; WORDS];
            return;
        }
        let mut number = from;
        while number <= to {
            let first = number % 64;
            let count = (64 - first).min(to - number + 1);
            let mask = (u64::MAX >> (64 - count)) << first;
            if let Some(word) = self.seen.get_mut(index(number)) {
                *word &= !mask;
            }
            match number.checked_add(count) {
                Some(next) => number = next,
                None => return,
            }
        }
    }
}

const WORDS: usize = (WINDOW / 64) as usize;

const fn index(number: u64) -> usize {
    (number / 64) as usize % WORDS
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    /// The same by a set of all numbers ever recorded.
    #[derive(Default)]
    struct Model {
        recorded: HashSet<u64>,
        highest: Option<u64>,
    }

    impl Model {
        fn check(&self, number: u64) -> bool {
            self.highest.is_none_or(|highest| number > highest || highest - number < WINDOW)
                && !self.recorded.contains(&number)
        }

        fn record(&mut self, number: u64) {
            self.recorded.insert(number);
            self.highest = self.highest.max(Some(number));
        }
    }

    /// Numbers that dwell near the window's edges and leap now and then.
    fn walk() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            8 => 0_i64..4,
            4 => -70_i64..70,
            3 => -1_100_i64..1_100,
            1 => 900_i64..3_000,
            1 => Just(1_i64 << 40),
        ];
        prop::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_all_numbers(start in prop_oneof![Just(0_u64), 0..u64::MAX, Just(u64::MAX - 2_000)], steps in walk()) {
            // spec: 3.4-1
            // spec: 3.4-2
            let (mut window, mut model) = (ReplayWindow::new(), Model::default());
            let mut number = start;
            for step in steps {
                number = number.saturating_add_signed(step);
                let fresh = window.check(PacketNumber(number));
                prop_assert_eq!(fresh, model.check(number), "number {}", number);
                if fresh {
                    window.record(PacketNumber(number));
                    model.record(number);
                }
                prop_assert!(!window.check(PacketNumber(number)));
                let top = model.highest.unwrap_or(0);
                let edge = top.saturating_sub(1_030)..top.saturating_sub(1_020);
                for near in (number.saturating_sub(70)..number.saturating_add(3)).chain(edge) {
                    let known = window.check(PacketNumber(near));
                    prop_assert_eq!(known, model.check(near), "near {}", near);
                }
            }
        }
    }

    #[test]
    fn the_window_holds_1024_numbers_and_no_more() {
        // spec: 3.4-2
        let mut window = ReplayWindow::new();
        window.record(PacketNumber(2_000));
        assert!(window.check(PacketNumber(2_000 - 1_023)));
        assert!(!window.check(PacketNumber(2_000 - 1_024)));
        assert_eq!(window.highest(), Some(PacketNumber(2_000)));
    }

    #[test]
    fn recording_what_is_too_old_harms_no_newer_number() {
        let mut window = ReplayWindow::new();
        window.record(PacketNumber(5_000));
        window.record(PacketNumber(5_000 - 1_024 + 1 - 1));
        assert!(!window.check(PacketNumber(5_000)));
        window.record(PacketNumber(4_999 - 1_024));
        assert!(window.check(PacketNumber(4_999)));
    }

    #[test]
    fn the_last_numbers_of_all_are_no_exception() {
        let mut window = ReplayWindow::new();
        for number in [u64::MAX - 1_500, u64::MAX - 3, u64::MAX - 1, u64::MAX] {
            assert!(window.check(PacketNumber(number)));
            window.record(PacketNumber(number));
            assert!(!window.check(PacketNumber(number)));
        }
        assert!(window.check(PacketNumber(u64::MAX - 2)));
    }
}
