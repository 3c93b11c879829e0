//! What a board supplies beside its links. Each trait is as small as the loop allows.

use ropewalk_core::time::Instant;

/// Time since the board started. It never runs back.
pub trait Clock {
    /// Now. A counter that is narrower than 64 bits is extended by [`Extended`].
    fn now(&mut self) -> Instant;
}

/// Randomness that nobody can guess, and that no two starts share.
pub trait Entropy {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`NoEntropy`]: there is none, and a node must not run without.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// There is no source of randomness, or it does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoEntropy;

/// Memory that stays when the power goes.
pub trait Store {
    /// Copies the settings' file to the front of `into`; what follows it does not matter.
    ///
    /// # Errors
    /// The memory cannot be read.
    fn settings(&mut self, into: &mut [u8]) -> Result<usize, StoreError>;

    /// Keeps a settings' file that the board made itself.
    ///
    /// # Errors
    /// The memory cannot be written.
    fn keep_settings(&mut self, file: &[u8]) -> Result<(), StoreError>;

    /// Counts this start: the number is written before it is returned, so that no two starts have
    /// the same.
    ///
    /// # Errors
    /// The memory cannot be read or written.
    fn count_boot(&mut self) -> Result<u32, StoreError>;
}

/// The memory that stays failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StoreError;

/// Starts the board anew when its loop hangs.
pub trait Watchdog {
    /// The loop has come round.
    fn feed(&mut self);
}

/// Makes 64 bits of a counter that wraps at 32. It must be read at least once a wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended {
    last: u32,
    wraps: u32,
}

impl Extended {
    /// The whole count, given what the counter shows.
    pub const fn extend(&mut self, shown: u32) -> u64 {
        if shown < self.last {
            self.wraps = self.wraps.wrapping_add(1);
        }
        self.last = shown;
        (self.wraps as u64) << 32 | shown as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Extended;

    #[test]
    fn a_counter_that_wraps_goes_on() {
        let mut counter = Extended::default();
        let shown = [0, 5, u32::MAX - 1, u32::MAX, 0, 7, u32::MAX, 3];
        let whole = shown.map(|shown| counter.extend(shown));
        let wrap = 1 << 32;
        assert_eq!(whole, [0, 5, wrap - 2, wrap - 1, wrap, wrap + 7, 2 * wrap - 1, 2 * wrap + 3]);
    }
}
