//! What a receiver writes down: the same for every transport that is measured beside ropewalk, so
//! that the figures differ by the transport alone. Uses nothing of this crate: `tests/peers`
//! compiles it too.
//!
//! Bulk is counted as `ropewalk bench serve` counts it, from accepting the connection to the last
//! byte. A message of the other workload begins with the moment at which it was due, in
//! nanoseconds of the monotonic clock, which all processes of a machine share.

use serde_json::{Value, json};
use std::time::Instant;

/// How fast bytes came.
#[derive(Debug)]
pub struct Bulk {
    since: Instant,
    last: Instant,
    first: bool,
    bytes: u64,
    gap_max: f64,
}

impl Bulk {
    /// The connection was accepted now.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        Self { since: now, last: now, first: true, bytes: 0, gap_max: 0.0 }
    }

    /// So many bytes came, in order.
    pub fn arrived(&mut self, bytes: usize) {
        let now = Instant::now();
        if !core::mem::take(&mut self.first) {
            self.gap_max = self.gap_max.max((now - self.last).as_secs_f64());
        }
        self.last = now;
        self.bytes += bytes as u64;
    }

    /// The line that says so.
    #[must_use]
    pub fn line(&self) -> Value {
        let seconds = (self.last - self.since).as_secs_f64();
        json!({
            "event": "bulk", "bytes": self.bytes, "seconds": seconds,
            "mbit_s": self.bytes as f64 * 8.0 / seconds.max(1e-9) / 1e6,
            "max_gap_ms": self.gap_max * 1e3,
        })
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self::new()
    }
}

/// How late messages of one length came, cut out of a stream.
#[derive(Debug)]
pub struct Messages {
    size: usize,
    expected: u64,
    begun: Vec<u8>,
    /// When each was due and how long it took, both in milliseconds, the first one due at zero.
    samples: Vec<(f64, f64)>,
    first_due: Option<u64>,
}

impl Messages {
    /// So many of `size` bytes are expected; at least 8 bytes.
    #[must_use]
    pub fn new(size: usize, expected: u64) -> Self {
        assert!(size >= STAMP_BYTES, "a message begins with its stamp");
        Self { size, expected, begun: Vec::new(), samples: Vec::new(), first_due: None }
    }

    /// The next bytes of the stream, read at `now`.
    pub fn arrived(&mut self, mut bytes: &[u8], now: u64) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(self.size - self.begun.len()));
            self.begun.extend_from_slice(piece);
            bytes = rest;
            if self.begun.len() == self.size {
                let stamp = self.begun.first_chunk().expect("the length was asserted");
                self.complete(u64::from_be_bytes(*stamp), now);
                self.begun.clear();
            }
        }
    }

    fn complete(&mut self, due: u64, now: u64) {
        let first = *self.first_due.get_or_insert(due);
        let millis = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
        self.samples.push((millis(first, due), millis(due, now)));
    }

    /// The line that says so, as `ropewalk bench serve` prints it, with every sample.
    #[must_use]
    pub fn line(&self) -> Value {
        let mut sorted: Vec<f64> = self.samples.iter().map(|sample| sample.1).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as u64;
        json!({
            "event": "messages", "count": count, "lost": self.expected.saturating_sub(count),
            "p50_ms": quantile(&sorted, 0.5), "p99_ms": quantile(&sorted, 0.99),
            "max_ms": sorted.last(), "samples": self.samples,
        })
    }
}

/// The least of `sorted` that is not exceeded by the share `q` of them. `None` if there are none.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Writes the moment at which it is due into a message.
pub fn stamp(message: &mut [u8], due: u64) {
    message[..STAMP_BYTES].copy_from_slice(&due.to_be_bytes());
}

/// The monotonic clock in nanoseconds, the same for every process of the machine.
#[must_use]
pub fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

const STAMP_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_wherever_the_stream_was_cut() {
        let mut stream = Vec::new();
        for number in 0..100_u64 {
            let mut message = [0; 30];
            stamp(&mut message, 1_000_000_000 + number * 10_000_000);
            stream.extend_from_slice(&message);
        }
        for step in [1, 7, 29, 30, 31, 3_000] {
            let mut messages = Messages::new(30, 103);
            for piece in stream.chunks(step) {
                messages.arrived(piece, 2_000_000_000);
            }
            let line = messages.line();
            assert_eq!((&line["count"], &line["lost"]), (&json!(100), &json!(3)));
            // Due from 1.00 to 1.99 s, read at 2 s.
            assert_eq!((&line["p50_ms"], &line["max_ms"]), (&json!(500.0), &json!(1_000.0)));
            assert_eq!(line["p99_ms"], json!(990.0));
            assert_eq!(line["samples"][99], json!([990.0, 10.0]));
        }
    }

    #[test]
    fn the_goodput_counts_from_the_connection_and_the_gap_from_the_first_byte() {
        let mut bulk = Bulk::new();
        std::thread::sleep(core::time::Duration::from_millis(50));
        bulk.arrived(600_000);
        bulk.arrived(400_000);
        let line = bulk.line();
        assert_eq!(line["bytes"], json!(1_000_000));
        assert!(line["mbit_s"].as_f64().unwrap() <= 160.0, "{line}");
        assert!(line["max_gap_ms"].as_f64().unwrap() < 50.0, "{line}");
    }
}
