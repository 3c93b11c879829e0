//! Spreads packets over the round trip: a bucket of bytes that fills at the path's rate.

use crate::time::{Duration, Instant};

/// The bucket of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    /// Bytes a second.
    rate: u64,
    tokens: u64,
    capacity: u64,
    filled_at: Instant,
}

impl Pacer {
    pub(super) const fn new(now: Instant) -> Self {
        Self { rate: 0, tokens: 0, capacity: 0, filled_at: now }
    }

    /// Fills at `rate` bytes a second from now on. `datagram`: bytes of a full packet.
    pub(super) fn set_rate(&mut self, rate: u64, datagram: u64, now: Instant) {
        self.fill(now);
        let first = self.rate == 0;
        self.rate = rate;
        let burst = BURST.bytes_at(rate);
        self.capacity = burst.max(datagram.saturating_mul(BURST_DATAGRAMS));
        self.tokens = if first { self.capacity } else { self.tokens.min(self.capacity) };
    }

    /// Bytes that may go now.
    pub(super) fn allowance(&self, now: Instant) -> u64 {
        let gained = now.since(self.filled_at).bytes_at(self.rate);
        self.tokens.saturating_add(gained).min(self.capacity)
    }

    /// When `bytes` may go.
    pub(super) fn ready_at(&self, bytes: u64) -> Instant {
        let missing = bytes.min(self.capacity).saturating_sub(self.tokens);
        // A microsecond more, since the bucket rounds down.
        self.filled_at + Duration::of_bytes(missing, self.rate) + Duration::from_micros(1)
    }

    pub(super) fn on_sent(&mut self, bytes: u64, now: Instant) {
        self.fill(now);
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    fn fill(&mut self, now: Instant) {
        let tokens = self.allowance(now);
        // Fractions of a byte are not lost: time moves on only for what was gained.
        if tokens > self.tokens || tokens == self.capacity {
            self.tokens = tokens;
            self.filled_at = self.filled_at.max(now);
        }
    }
}

/// What may go at once: enough for a run of packets at high rates, few packets at low ones.
const BURST: Duration = Duration::from_millis(2);
const BURST_DATAGRAMS: u64 = 8;
