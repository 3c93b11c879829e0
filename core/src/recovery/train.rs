//! What is the rate of the path's narrowest place? Packets that were sent faster than it lets
//! through come out spaced by it, and so do their acknowledgements: a few of them tell the rate
//! long before the queue in front of it has filled (the idea is HyStart's, and older: packet
//! trains, Jain 1986).
//!
//! ```text
//!  sent           | | | | | | | |
//!  acknowledged          |   |   |   |   |   |   |   |      further apart: this is the bottleneck
//! ```

use super::rtt::Rtt;
use crate::time::{Duration, Instant};

/// The packets acknowledged since the train began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Train {
    /// When the packet before the first arrived, seen from here, and when it was sent.
    start: Option<(Instant, Instant)>,
    bytes: u64,
}

impl Train {
    pub(super) const fn new() -> Self {
        Self { start: None, bytes: 0 }
    }

    /// Takes an acknowledgement of `bytes`, the newest of them sent at `sent_at`; it came at
    /// `arrived`, less what the peer held it back. Returns the bottleneck's rate, in bytes a
    /// second, when a train has just shown it.
    pub(super) fn on_acked(
        &mut self,
        bytes: u64,
        sent_at: Instant,
        arrived: Instant,
        datagram: u64,
        rtt: &Rtt,
    ) -> Option<u64> {
        let Some((acked_from, sent_from)) = self.start else {
            *self = Self { start: Some((arrived, sent_at)), bytes: 0 };
            return None;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let (arriving, sending) = (arrived.since(acked_from), sent_at.since(sent_from));
        let long = (rtt.min() / 8).max(SPAN_MIN);
        if self.bytes < datagram.saturating_mul(DATAGRAMS_MIN) || arriving < long {
            return None;
        }
        let rate = self.bytes.saturating_mul(1_000_000).checked_div(arriving.as_micros());
        *self = Self { start: Some((arrived, sent_at)), bytes: 0 };
        // A quarter further apart than they were sent: less may be chance.
        rate.filter(|_| arriving > sending + sending / 4 + CHANCE)
    }

    /// The next acknowledgement begins a new train.
    pub(super) const fn restart(&mut self) {
        *self = Self::new();
    }
}

const DATAGRAMS_MIN: u64 = 8;
/// Acknowledgements come up to a millisecond apart on purpose.
const CHANCE: Duration = Duration::from_millis(1);
const SPAN_MIN: Duration = Duration::from_millis(4);
