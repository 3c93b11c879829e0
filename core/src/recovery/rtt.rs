//! The round trip of one path: smoothed, its variation, and the least ever seen (RFC 9002
//! section 5).

use crate::time::Duration;

/// What is known of a path's round trip.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rtt {
    latest: Duration,
    smoothed: Duration,
    variation: Duration,
    min: Option<Duration>,
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}

impl Rtt {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: INITIAL,
            smoothed: INITIAL,
            variation: Duration::from_micros(INITIAL.as_micros() / 2),
            min: None,
        }
    }

    /// The newest sample.
    #[must_use]
    pub const fn latest(&self) -> Duration {
        self.latest
    }

    /// The smoothed round trip.
    #[must_use]
    pub const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// Its mean variation.
    #[must_use]
    pub const fn variation(&self) -> Duration {
        self.variation
    }

    /// The least sample, or the initial guess.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.min.unwrap_or(INITIAL)
    }

    /// Whether anything was measured.
    #[must_use]
    pub const fn measured(&self) -> bool {
        self.min.is_some()
    }

    /// Takes a sample. `delay`: how long the peer says it held the acknowledgement back.
    pub fn update(&mut self, sample: Duration, delay: Duration) {
        self.latest = sample;
        let Some(min) = self.min else {
            self.min = Some(sample);
            self.smoothed = sample;
            self.variation = sample / 2;
            return;
        };
        let min = min.min(sample);
        self.min = Some(min);
        // A peer that claims more delay than there was would make the round trip vanish.
        let adjusted = if sample >= min + delay { sample - delay } else { sample };
        let apart = if adjusted > self.smoothed {
            adjusted - self.smoothed
        } else {
            self.smoothed - adjusted
        };
        self.variation = (self.variation * 3 + apart) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }
}

/// Before the first sample. RFC 9002 says 333 ms; the first path's handshake has been answered by
/// then and others are raced against it, so a shorter guess costs a probe at most.
const INITIAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_sets_everything() {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(20), Duration::ZERO);
        assert_eq!(rtt.smoothed(), Duration::from_millis(20));
        assert_eq!(rtt.variation(), Duration::from_millis(10));
        assert_eq!(rtt.min(), Duration::from_millis(20));
    }

    #[test]
    fn a_claimed_delay_cannot_push_the_round_trip_below_its_least() {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(20), Duration::ZERO);
        rtt.update(Duration::from_millis(21), Duration::from_secs(5));
        assert!(rtt.smoothed() >= Duration::from_millis(20));
    }
}
