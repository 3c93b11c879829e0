//! How late messages are, in a kilobyte: milliseconds beyond the fastest one.
//!
//! Sender and board do not share a clock. What can be told is how much longer than the fastest a
//! message took; the way of the fastest itself cannot. Half a second is told to the millisecond,
//! the longest time exactly.

use core::time::Duration;

/// Times of many messages.
pub(super) struct Latencies {
    /// How long the first took, by two clocks: what all others are compared with.
    first: Option<i64>,
    least: i64,
    most: i64,
    /// How many took so many milliseconds more than the first, or less: [`ZERO`] is the same.
    counts: [u16; BUCKETS],
}

impl Latencies {
    pub(super) const fn new() -> Self {
        Self { first: None, least: i64::MAX, most: i64::MIN, counts: [0; BUCKETS] }
    }

    /// A message was due at `due` of the sender's clock, and came at `now` of ours, in microseconds.
    pub(super) fn arrived(&mut self, due: u64, now: u64) {
        // Both clocks are far from wrapping; their difference may have either sign.
        let took = now.wrapping_sub(due) as i64;
        let first = *self.first.get_or_insert(took);
        self.least = self.least.min(took);
        self.most = self.most.max(took);
        let beyond = took.saturating_sub(first).div_euclid(1_000);
        let bucket = beyond.saturating_add(ZERO).clamp(0, BUCKETS as i64 - 1) as usize;
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }

    /// So many of a hundred took no longer than this beyond the fastest.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let wanted = all.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(u64::from(*count));
            if seen >= wanted {
                // The end of the millisecond.
                let millis = (bucket as i64).saturating_sub(ZERO).saturating_add(1);
                let took = self.first.unwrap_or(0).saturating_add(millis.saturating_mul(1_000));
                return self.beyond_least(took).min(self.max());
            }
        }
        Duration::ZERO
    }

    /// None took longer beyond the fastest.
    pub(super) fn max(&self) -> Duration {
        self.beyond_least(self.most)
    }

    fn beyond_least(&self, took: i64) -> Duration {
        let micros = if self.first.is_some() { took.saturating_sub(self.least) } else { 0 };
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

const BUCKETS: usize = 640;
/// The first message may have been slow: others may be this much faster.
const ZERO: i64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_beyond_the_fastest() {
        let mut latencies = Latencies::new();
        assert_eq!((latencies.percentile(50), latencies.max()), (Duration::ZERO, Duration::ZERO));
        let board_is_ahead = 1_000_000_000;
        for number in 0..100_u64 {
            let late = if number == 0 { 40_000 } else { number * 1_000 };
            latencies.arrived(number * 10_000, board_is_ahead + number * 10_000 + 5_000 + late);
        }
        let millis = |time: Duration| time.as_millis();
        assert!(
            millis(latencies.percentile(50)).abs_diff(49) <= 2,
            "{:?}",
            latencies.percentile(50)
        );
        assert!(millis(latencies.percentile(99)).abs_diff(98) <= 2);
        assert_eq!(latencies.max(), Duration::from_millis(98));
    }

    #[test]
    fn clocks_that_lie_cost_nothing_but_sense() {
        let mut latencies = Latencies::new();
        for (due, now) in [(u64::MAX, 0), (0, u64::MAX), (1 << 63, 1), (7, 7)] {
            latencies.arrived(due, now);
        }
        let _ = (latencies.percentile(1), latencies.percentile(99), latencies.max());
    }
}
