//! How fast a source delivers, measured while it has something to deliver.
//!
//! ```text
//!   asked       first bytes         50 ms          50 ms         owes nothing
//!     ├─ waits ──────┼── a sample ────┼── a sample ──┼─ a sample ────┤  idle: not measured
//! ```
//!
//! The first bytes after a pause start the clock and do not count themselves: the wait for them is the
//! round trip, not the rate. Samples are smoothed as round trips are in RFC 6298, with a quarter for the newest.

use ropewalk_core::time::{Duration, Instant};

/// No sample is taken over less, except at the end of a burst.
const SAMPLE: Duration = Duration::from_millis(50);
/// A burst that was over sooner says nothing.
const BURST_MIN: Duration = Duration::from_millis(5);

/// A smoothed rate in bytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    smoothed: Option<u64>,
    /// When the sample under way began, and when its latest bytes came.
    span: Option<(Instant, Instant)>,
    bytes: u64,
}

impl Rate {
    /// Bytes a second; `None` before the first sample.
    pub(super) const fn get(&self) -> Option<u64> {
        self.smoothed
    }

    /// `bytes` came.
    pub(super) fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        let Some((since, _)) = self.span else {
            (self.span, self.bytes) = (Some((now, now)), 0);
            return;
        };
        self.bytes += bytes;
        self.span = Some((since, now));
        if now.since(since) >= SAMPLE {
            self.sample(now.since(since));
            (self.span, self.bytes) = (Some((now, now)), 0);
        }
    }

    /// Nothing more is to come for now, since nothing is owed.
    pub(super) fn pause(&mut self) {
        if let Some((since, last)) = self.span.take()
            && last.since(since) >= BURST_MIN
        {
            self.sample(last.since(since));
        }
    }

    /// What was measured is worth nothing any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn sample(&mut self, span: Duration) {
        let fresh = self.bytes.saturating_mul(1_000_000) / span.as_micros().max(1);
        let smoothed = self.smoothed.map_or(fresh, |old| old - old / 4 + fresh / 4);
        self.smoothed = Some(smoothed.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_and_pauses_are_not() {
        let mut rate = Rate::default();
        let mut now = Instant::ZERO;
        for _ in 0..3 {
            // 1 MB/s in steps of 10 ms, then a second of nothing to do.
            for _ in 0..20 {
                now += Duration::from_millis(10);
                rate.handle_bytes(10_000, now);
            }
            rate.pause();
            now += Duration::from_secs(1);
        }
        let measured = rate.get().unwrap();
        assert!((990_000..=1_010_000).contains(&measured), "{measured}");
    }

    #[test]
    fn one_heap_of_bytes_says_nothing() {
        let mut rate = Rate::default();
        rate.handle_bytes(1 << 20, Instant::ZERO);
        rate.pause();
        assert_eq!(rate.get(), None);
        rate.handle_bytes(1 << 20, Instant::ZERO);
        rate.handle_bytes(1 << 20, Instant::from_micros(1_000));
        rate.pause();
        assert_eq!(rate.get(), None);
    }
}
