//! What came of a run.

use super::cadence::Lateness;
use ropewalk_core::time::Duration;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// From the first stream's opening to its last byte read, if it came.
    pub completed: Option<Duration>,
    /// The longest time without new in-order bytes at the receiver, after the first.
    pub longest_gap: Duration,
    /// When that gap began, since the start.
    pub gap_at: Duration,
    /// Bytes read in order at the responder, and at the dialer.
    pub delivered: u64,
    /// The same at the dialer.
    pub answered: u64,
    /// Stream bytes sent more than once by the dialer.
    pub again: u64,
    /// Times that the dialer heard `Restarted`.
    pub restarts: u32,
    /// Key changes that the dialer saw.
    pub key_changes: u64,
    /// Unreliable messages that were sent, and those that arrived.
    pub messages: (usize, usize),
    /// How late the messages of a cadence came.
    pub lateness: Lateness,
    /// When bytes were last read in order at the responder, since the start.
    pub last_read: Duration,
}
