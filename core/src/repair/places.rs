//! A bit for each place of the window.

use super::WINDOW;

/// Which places have something in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places([u64; WINDOW / WORD]);

impl Places {
    /// Whether this place is among them.
    pub(super) fn has(&self, at: usize) -> bool {
        self.0.get(at / WORD).is_some_and(|word| word & bit(at) != 0)
    }

    /// Adds a place, or takes it out.
    pub(super) fn set(&mut self, at: usize, to: bool) {
        if let Some(word) = self.0.get_mut(at / WORD) {
            *word = if to { *word | bit(at) } else { *word & !bit(at) };
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

const fn bit(at: usize) -> u64 {
    1_u64.rotate_left(at as u32)
}

const WORD: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_a_bit_of_its_own() {
        let mut places = Places::default();
        for at in (0..WINDOW).step_by(3) {
            places.set(at, true);
        }
        assert!((0..WINDOW + WORD).all(|at| places.has(at) == (at < WINDOW && at % 3 == 0)));
        (0..WINDOW).for_each(|at| places.set(at, false));
        assert!(places.is_empty());
    }
}
