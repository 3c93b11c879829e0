//! Bytes counted as they go: how many, and how fast of late.
//!
//! ```text
//!   4 quarters of a second, and the one that runs: the rate is theirs over the time that they cover
//!   | 10 | 12 | 11 | 12 | 3 . . >
//! ```

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How long a bucket is filled.
const BUCKET: Duration = Duration::from_millis(250);
/// The buckets that count for the rate, with the one that is being filled.
const BUCKETS: usize = 5;

/// A counter of bytes.
#[derive(Debug)]
pub struct Meter {
    total: AtomicU64,
    start: Instant,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Bucket `n` of all that ever were is at `n % BUCKETS`.
    buckets: [u64; BUCKETS],
    /// The newest one.
    newest: u64,
}

impl Meter {
    /// One that begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { total: AtomicU64::new(0), start: now, recent: Mutex::default() }
    }

    /// So many more.
    pub fn add(&self, bytes: u64, now: Instant) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.at(now, |recent| {
            let at = recent.newest as usize % BUCKETS;
            recent.buckets[at] = recent.buckets[at].saturating_add(bytes);
        });
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes a second over the last one and some.
    #[must_use]
    pub fn rate(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.start);
        let bytes: u128 =
            self.at(now, |recent| recent.buckets.iter().map(|bytes| u128::from(*bytes)).sum());
        let running = age.as_nanos() % BUCKET.as_nanos();
        let covered = (BUCKET * (BUCKETS as u32 - 1)).as_nanos() + running;
        // In its first moments anything would look fast.
        let covered = covered.min(age.as_nanos()).max(BUCKET.as_nanos());
        u64::try_from(bytes * 1_000_000_000 / covered).unwrap_or(u64::MAX)
    }

    /// Does `work` once the buckets are those of `now`.
    fn at<T>(&self, now: Instant, work: impl FnOnce(&mut Recent) -> T) -> T {
        let age = now.saturating_duration_since(self.start);
        let bucket = u64::try_from(age.as_millis() / BUCKET.as_millis()).unwrap_or(u64::MAX);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = bucket.saturating_sub(recent.newest);
        for step in 1..=passed.min(BUCKETS as u64) {
            let at = (recent.newest + step) as usize % BUCKETS;
            recent.buckets[at] = 0;
        }
        recent.newest += passed;
        work(&mut recent)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rate_is_that_of_the_last_second_and_nothing_after_a_pause() {
        let start = Instant::now();
        let meter = Meter::new(start);
        let at = |millis| start + Duration::from_millis(millis);
        for tenth in 0..50 {
            meter.add(100, at(tenth * 100));
        }
        let rate = meter.rate(at(4_999));
        assert!((900..=1_100).contains(&rate), "{rate}");
        assert_eq!(meter.rate(at(6_500)), 0);
        assert_eq!(meter.total(), 5_000);
        meter.add(500, at(7_000_000));
        assert_eq!(meter.rate(at(7_000_000)), 500, "over the second before, in which nothing went");
    }

    #[test]
    fn the_first_bytes_do_not_look_like_a_flood() {
        let start = Instant::now();
        let meter = Meter::new(start);
        meter.add(1_000, start);
        assert_eq!(meter.rate(start), 4_000);
    }

    proptest! {
        /// Whatever the times, those before the start and out of order too.
        #[test]
        fn no_rate_is_more_than_all_bytes_in_a_bucket(
            steps in prop::collection::vec((0_u64..10_000, 0_u64..1_000_000), 1..50),
        ) {
            let start = Instant::now() + Duration::from_secs(5);
            let meter = Meter::new(start);
            for (millis, bytes) in steps {
                let now = start + Duration::from_millis(millis) - Duration::from_secs(1);
                meter.add(bytes, now);
                prop_assert!(meter.rate(now) <= meter.total() * 4);
            }
        }
    }
}
