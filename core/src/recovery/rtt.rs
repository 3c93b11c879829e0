//! Round-trip times of one path (RFC 9002 section 5): the latest, a smoothed one, how much it
//! varies, and the least seen lately.
//!
//! The minimum is the path without queues. Congestion control steers by it, so it must neither go
//! stale nor creep up while we keep a queue standing ourselves: it is replaced only by a lower
//! sample, or by what was seen while the queue was drained on purpose (`drain.rs`).

use crate::time::{Duration, Instant};

/// Round-trip statistics of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rtt {
    latest: Duration,
    smoothed: Duration,
    variation: Duration,
    min: Duration,
    /// When the minimum was last seen to hold.
    min_at: Instant,
    sampled: bool,
}

impl Rtt {
    /// Statistics before the first sample of the path itself. `first` is what the handshake or the
    /// path's validation measured, if they did.
    #[must_use]
    pub fn new(first: Option<Duration>, now: Instant) -> Self {
        let latest = first.unwrap_or(INITIAL).max(SAMPLE_MIN);
        Self {
            latest,
            smoothed: latest,
            variation: latest / 2,
            min: latest,
            min_at: now,
            sampled: first.is_some(),
        }
    }

    /// Takes a sample: the time from sending the largest newly acknowledged packet to its
    /// acknowledgement, and how long of it the peer says it waited.
    pub fn on_sample(&mut self, sample: Duration, ack_delay: Duration, now: Instant) {
        let sample = sample.max(SAMPLE_MIN);
        self.latest = sample;
        if !self.sampled {
            *self = Self::new(Some(sample), now);
            return;
        }
        if sample <= self.min + self.min / 64 {
            self.min = self.min.min(sample);
            self.min_at = now;
        }
        // The peer's word on its delay is believed only as far as the minimum allows.
        let adjusted = if sample >= self.min + ack_delay { sample - ack_delay } else { sample };
        let deviation = self.smoothed.max(adjusted) - self.smoothed.min(adjusted);
        self.variation = (self.variation * 3 + deviation) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// Replaces the minimum by one that was observed with the queue drained.
    pub fn renew_min(&mut self, observed: Duration, now: Instant) {
        self.min = observed.max(SAMPLE_MIN);
        self.min_at = now;
    }

    /// The last sample.
    #[must_use]
    pub const fn latest(&self) -> Duration {
        self.latest
    }

    /// The smoothed round trip, the peer's acknowledgement delay taken out.
    #[must_use]
    pub const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// The smoothed deviation from it.
    #[must_use]
    pub const fn variation(&self) -> Duration {
        self.variation
    }

    /// The least round trip: the path without a queue.
    #[must_use]
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// How long ago the minimum was last seen.
    #[must_use]
    pub const fn min_age(&self, now: Instant) -> Duration {
        now.since(self.min_at)
    }

    /// Whether anything was measured yet.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// How long to wait for an acknowledgement before asking for one (RFC 9002 section 6.2.1).
    #[must_use]
    pub fn probe_timeout(&self, ack_delay_max: Duration) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY) + ack_delay_max
    }
}

/// The round trip that is assumed before anything was measured. RFC 9002 says 333 ms; but a path
/// comes out of a raced handshake or a validation, and those were quick.
const INITIAL: Duration = Duration::from_millis(100);
/// No round trip is zero, whatever a coarse clock says.
const SAMPLE_MIN: Duration = Duration::from_micros(1);
/// The finest that timers are trusted to be (RFC 9002 section 6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn smoothing_follows_rfc_9002() {
        let now = Instant::ZERO;
        let mut rtt = Rtt::new(None, now);
        assert_eq!(rtt.probe_timeout(MS(5)), MS(305));
        rtt.on_sample(MS(40), MS(3), now);
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.min()), (MS(40), MS(20), MS(40)));
        rtt.on_sample(MS(61), MS(5), now);
        // 56 after the delay: variation (3 * 20 + 16) / 4, smoothed (7 * 40 + 56) / 8.
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.min()), (MS(42), MS(19), MS(40)));
        assert_eq!(rtt.latest(), MS(61));
    }

    #[test]
    fn a_boasted_delay_cannot_push_a_sample_below_the_minimum() {
        let mut rtt = Rtt::new(Some(MS(40)), Instant::ZERO);
        rtt.on_sample(MS(41), Duration::MAX, Instant::ZERO);
        assert!(rtt.smoothed() >= MS(40));
    }

    #[test]
    fn the_minimum_ages_until_it_is_seen_again_or_renewed() {
        let at = |ms| Instant::ZERO + MS(ms);
        let mut rtt = Rtt::new(Some(MS(40)), at(0));
        rtt.on_sample(MS(50), MS(0), at(5_000));
        assert_eq!(rtt.min_age(at(10_000)), MS(10_000));
        rtt.on_sample(MS(40), MS(0), at(11_000));
        assert_eq!(rtt.min_age(at(12_000)), MS(1_000));
        rtt.renew_min(MS(60), at(13_000));
        assert_eq!((rtt.min(), rtt.min_age(at(13_000))), (MS(60), MS(0)));
    }

    proptest! {
        #[test]
        fn no_samples_break_it(samples in prop::collection::vec((any::<u64>(), any::<u64>()), 1..50)) {
            let mut rtt = Rtt::new(None, Instant::ZERO);
            for (sample, delay) in samples {
                rtt.on_sample(Duration::from_micros(sample), Duration::from_micros(delay), Instant::ZERO);
                prop_assert!(rtt.min() > Duration::ZERO && rtt.min() <= rtt.latest());
            }
        }
    }
}
