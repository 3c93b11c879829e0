//! How much of what is there already is read in one turn: whoever reads answers nobody meanwhile.

use core::time::Duration;

/// Bytes that may still be read.
#[derive(Debug)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// Of a turn in which nothing waits: some 10 to 100 ms of a disk.
    pub const TURN: Self = Self { left: 16 << 20 };
    /// Of a turn in which something waits. One piece at least, or nothing would ever be looked at.
    pub const BUSY: Self = Self { left: 1 << 20 };

    /// So many were read.
    pub const fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Until when the next turn can wait for something to happen.
    #[must_use]
    pub const fn next_turn(&self) -> Duration {
        if self.is_spent() { Duration::ZERO } else { Duration::MAX }
    }

    /// Whether the rest is for the next turn.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.left == 0
    }
}
