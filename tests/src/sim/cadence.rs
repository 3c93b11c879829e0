//! Messages at a steady pace, and how late they come: the measure of a failover.
//!
//! An application that sends a message every ten milliseconds feels what a transfer averages out.
//! Latency counts from the moment a message was *due*, whether or not it could be written then, to
//! the moment its last byte can be read in order.

use ropewalk_core::time::{Duration, Instant};

/// A stream of messages of one length, one each `every`.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    bytes: u64,
    every: Duration,
    first: Instant,
    count: u64,
    /// How many were due so far.
    begun: u64,
    /// How many arrived whole.
    arrived: u64,
    uneven: bool,
}

/// How late messages came.
#[derive(Clone, Debug, Default)]
pub struct Lateness {
    /// Messages that arrived.
    pub messages: u64,
    /// The longest time from due to read.
    pub max: Duration,
    /// When the message that took longest was due, since the first.
    pub max_at: Duration,
    /// The time of each, in the order in which they were due.
    each: Vec<Duration>,
}

impl Lateness {
    /// The time that so many of a thousand messages kept to.
    ///
    /// # Panics
    /// When none arrived.
    #[must_use]
    pub fn per_mille(&self, share: usize) -> Duration {
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * share / 1_000]
    }
}

impl Cadence {
    /// `count` messages of `bytes`, the first of them due at `first`.
    #[must_use]
    pub const fn new(bytes: u64, every: Duration, count: u64, first: Instant) -> Self {
        Self { bytes, every, first, count, begun: 0, arrived: 0, uneven: false }
    }

    /// The process that writes them wakes late for one in sixteen, by up to five of them, as on a
    /// busy machine: it then writes several at once.
    #[must_use]
    pub const fn uneven(self) -> Self {
        Self { uneven: true, ..self }
    }

    /// When the next message is written.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        (self.begun < self.count).then(|| self.due(self.begun) + self.late(self.begun))
    }

    /// Bytes that have become due since the last call.
    pub fn take_due(&mut self, now: Instant) -> u64 {
        let before = self.begun;
        if self.next_due().is_some_and(|due| due <= now) {
            while self.begun < self.count && self.due(self.begun) <= now {
                self.begun += 1;
            }
        }
        (self.begun - before) * self.bytes
    }

    /// So many bytes were read in order.
    pub fn on_read(&mut self, bytes: u64, now: Instant, lateness: &mut Lateness) {
        while self.arrived < self.begun && (self.arrived + 1) * self.bytes <= bytes {
            let due = self.due(self.arrived);
            lateness.each.push(now.since(due));
            if now.since(due) > lateness.max {
                lateness.max = now.since(due);
                lateness.max_at = due.since(self.first);
            }
            self.arrived += 1;
            lateness.messages += 1;
        }
    }

    fn late(&self, index: u64) -> Duration {
        let drawn = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let wakes_late = self.uneven && drawn.is_multiple_of(16);
        self.every * if wakes_late { drawn / 16 % 5 + 1 } else { 0 }
    }

    fn due(&self, index: u64) -> Instant {
        self.first + self.every * index
    }
}
