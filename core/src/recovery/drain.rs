//! Keeping the minimum round trip honest.
//!
//! ```text
//!         minimum not seen for 10 s      in flight fits     a packet sent since is acknowledged
//!   Idle ---------------------------> Draining -----> Holding ------------------------> Idle
//!                                                                renew the minimum
//! ```
//!
//! A sender that always keeps a queue never sees the path without one. So now and then the window
//! is held to a little less than the path itself takes: the queue runs empty, and the round trip of
//! a packet sent then is the new minimum. It costs about an eighth of a round trip in ten seconds.

use crate::recovery::congestion::Acked;
use crate::recovery::rtt::Rtt;
use crate::time::{Duration, Instant};

/// Whether the queue is being drained.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drain {
    /// No.
    Idle,
    /// The window is held; more than that is still in flight.
    Draining,
    /// What is in flight fits the path; its round trips are the path's own.
    Holding {
        /// Since when.
        since: Instant,
        /// The least sample so far.
        least: Duration,
    },
}

impl Drain {
    /// Moves on after an acknowledgement. `target` is the window while draining.
    pub(super) fn step(&mut self, acked: &Acked, rtt: &mut Rtt, target: u64, now: Instant) {
        match self {
            Self::Idle => {
                if rtt.is_sampled() && rtt.min_age(now) > MIN_AGE {
                    *self = Self::Draining;
                }
            }
            Self::Draining => {
                if acked.in_flight <= target {
                    *self = Self::Holding { since: now, least: Duration::MAX };
                }
            }
            Self::Holding { since, least } => {
                if acked.rtt.is_none() {
                    return;
                }
                *least = rtt.latest().min(*least);
                if acked.newest_sent_at > *since {
                    rtt.renew_min(*least, now);
                    *self = Self::Idle;
                }
            }
        }
    }

    /// Whether the window is held down.
    pub(super) const fn is_active(self) -> bool {
        !matches!(self, Self::Idle)
    }
}

/// How long a minimum is trusted without being seen again.
const MIN_AGE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::delivery::Sample;

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn acked(sent_ms: u64, in_flight: u64) -> Acked {
        let rtt = Some(Duration::ZERO);
        let sample = Sample::default();
        Acked { bytes: 1, newest_sent_at: ms(sent_ms), sample, rtt, arrived: ms(0), in_flight }
    }

    #[test]
    fn an_old_minimum_is_renewed_by_a_packet_that_met_no_queue() {
        let mut rtt = Rtt::new(Some(Duration::from_millis(20)), ms(0));
        let mut drain = Drain::Idle;
        drain.step(&acked(9_960, 90), &mut rtt, 50, ms(10_000));
        assert!(!drain.is_active());
        drain.step(&acked(9_961, 90), &mut rtt, 50, ms(10_001));
        drain.step(&acked(9_962, 60), &mut rtt, 50, ms(10_002));
        assert!(matches!(drain, Drain::Draining));
        drain.step(&acked(9_970, 50), &mut rtt, 50, ms(10_010));
        for (sent, now) in [(9_980, 10_015), (10_011, 10_036)] {
            rtt.on_sample(Duration::from_millis(now - sent), Duration::ZERO, ms(now));
            assert!(drain.is_active() && rtt.min() == Duration::from_millis(20));
            drain.step(&acked(sent, 45), &mut rtt, 50, ms(now));
        }
        assert_eq!(rtt.min(), Duration::from_millis(25));
        assert!(!drain.is_active() && rtt.min_age(ms(10_036)) == Duration::ZERO);
    }
}
