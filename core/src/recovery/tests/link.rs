//! One direction of a link: a drop-tail queue that drains at a fixed rate, then a delay. Losses
//! and delays come from a seed, so that every run is the same.

use crate::time::{Duration, Instant};
use core::ops::Range;
use std::vec::Vec;

/// A direction of a link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) bytes_per_second: u64,
    pub(super) delay: Duration,
    pub(super) queue_bytes: u64,
    /// In thousandths.
    pub(super) loss: u64,
    pub(super) reorder: u64,
    /// How much later a reordered packet is, at most.
    pub(super) reorder_by: Duration,
    /// Added to the delay of each packet at random, the order kept.
    pub(super) jitter: Duration,
    /// While this lasts, what enters is gone.
    pub(super) black_holes: Vec<Range<Instant>>,
    /// While this lasts, what enters waits for its end.
    pub(super) freezes: Vec<Range<Instant>>,
    random: u64,
    free_at_ns: u64,
    last_arrival: Instant,
    pub(super) dropped: u64,
}

impl Link {
    pub(super) fn new(mbit_s: u64, delay_ms: u64, queue_kib: u64) -> Self {
        Self {
            bytes_per_second: mbit_s * 125_000,
            delay: Duration::from_millis(delay_ms),
            queue_bytes: queue_kib * 1_024,
            loss: 0,
            reorder: 0,
            reorder_by: Duration::ZERO,
            jitter: Duration::ZERO,
            black_holes: Vec::new(),
            freezes: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            free_at_ns: 0,
            last_arrival: Instant::ZERO,
            dropped: 0,
        }
    }

    pub(super) fn seed(mut self, seed: u64) -> Self {
        self.random ^= seed.wrapping_mul(0xd134_2543_de82_ef95) | 1;
        self
    }

    pub(super) fn loss(mut self, thousandths: u64) -> Self {
        self.loss = thousandths;
        self
    }

    pub(super) fn reorder(mut self, thousandths: u64, by_ms: u64) -> Self {
        self.reorder = thousandths;
        self.reorder_by = Duration::from_millis(by_ms);
        self
    }

    pub(super) fn jitter(mut self, ms: u64) -> Self {
        self.jitter = Duration::from_millis(ms);
        self
    }

    /// How long a packet that enters now waits before it is sent.
    pub(super) fn queueing(&self, now: Instant) -> Duration {
        Duration::from_micros((self.free_at_ns / 1_000).saturating_sub(now.as_micros()))
    }

    /// When a packet that enters now arrives; `None`: never.
    pub(super) fn enter(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        let queued = self.queueing(now).bytes_at(self.bytes_per_second);
        if queued + bytes > self.queue_bytes {
            self.dropped += 1;
            return None;
        }
        let start = self.free_at_ns.max(now.as_micros() * 1_000);
        self.free_at_ns = start + bytes * 1_000_000_000 / self.bytes_per_second;
        if self.chance(self.loss) || self.black_holes.iter().any(|hole| hole.contains(&now)) {
            return None;
        }
        let mut arrival = Instant::from_micros(self.free_at_ns.div_ceil(1_000)) + self.delay;
        arrival += Duration::from_micros(self.next() % self.jitter.as_micros().max(1));
        if let Some(freeze) = self.freezes.iter().find(|freeze| freeze.contains(&arrival)) {
            arrival = freeze.end;
        }
        if self.chance(self.reorder) {
            let by = self.next() % self.reorder_by.as_micros().max(1);
            return Some(arrival + Duration::from_micros(by));
        }
        self.last_arrival = arrival.max(self.last_arrival);
        Some(self.last_arrival)
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.next() % 1_000 < thousandths
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}
