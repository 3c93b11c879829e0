//! When is a silent path suspect, and when is it down?
//!
//! Silence counts from the last new acknowledgement, or from the first packet that waits for one
//! if that is later; a path on which nothing is under way is not silent. Wi-Fi stalls for 100 to
//! 500 ms all the time, so suspicion comes early and costs little: the path keeps its window, gets
//! probes, and what it carries is sent on the others too. It takes one acknowledgement to undo.

use crate::recovery::Rtt;
use crate::time::Duration;

/// How long a path may be silent before it is suspect. `held`: how long the peer may hold an
/// acknowledgement back.
#[must_use]
pub fn suspect_after(rtt: &Rtt, held: Duration) -> Duration {
    if !rtt.is_sampled() {
        return UNMEASURED;
    }
    // The newest sample knows of a queue of ours that is filling.
    let round = rtt.smoothed().max(rtt.latest());
    let late = (round + round / 2).max(round + rtt.variation() * 4);
    late.max(SUSPECT_MIN) + held + SCHEDULING
}

/// How long a path stays suspect before it is down: long enough for most stalls, short enough
/// that a restarted peer is noticed within two seconds.
#[must_use]
pub fn down_after(probe_timeout: Duration) -> Duration {
    (probe_timeout * 4).clamp(DOWN_MIN, DOWN_MAX)
}

/// How long to wait between probes of a path that has been silent for `silent`. There is no
/// backoff in the first ten seconds, so that a path that returns is found at once.
#[must_use]
pub fn probe_interval(rtt: &Rtt, silent: Duration) -> Duration {
    if silent >= EAGER { PROBE_SLOW } else { rtt.smoothed().clamp(PROBE_MIN, PROBE_MAX) }
}

/// Before the first sample.
const UNMEASURED: Duration = Duration::from_millis(300);
const SUSPECT_MIN: Duration = Duration::from_millis(10);
/// For the peer's and our own operating system to get round to it.
const SCHEDULING: Duration = Duration::from_millis(5);
const DOWN_MIN: Duration = Duration::from_millis(300);
const DOWN_MAX: Duration = Duration::from_millis(600);
const PROBE_MIN: Duration = Duration::from_millis(20);
const PROBE_MAX: Duration = Duration::from_millis(40);
const PROBE_SLOW: Duration = Duration::from_secs(1);
const EAGER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn suspicion_follows_the_round_trip() {
        let mut rtt = Rtt::new(None, Instant::ZERO);
        for _ in 0..50 {
            rtt.on_sample(Duration::from_millis(20), Duration::ZERO, Instant::ZERO);
        }
        let quiet = suspect_after(&rtt, Duration::from_millis(5));
        assert_eq!(quiet, Duration::from_millis(40));
        rtt.on_sample(Duration::from_millis(60), Duration::ZERO, Instant::ZERO);
        assert!(suspect_after(&rtt, Duration::from_millis(5)) >= Duration::from_millis(100));
    }

    #[test]
    fn a_restart_is_noticed_within_two_seconds() {
        let mut rtt = Rtt::new(None, Instant::ZERO);
        rtt.on_sample(Duration::from_millis(100), Duration::ZERO, Instant::ZERO);
        let suspect = suspect_after(&rtt, Duration::from_millis(5));
        let down = down_after(Duration::from_millis(500));
        let asked = Duration::from_secs(1);
        let answered = Duration::from_millis(100);
        assert!(suspect + down + asked + answered < Duration::from_millis(2_100));
    }
}
