//! When is a silent path suspect, and when is it down?
//!
//! ```text
//!   oldest packet          suspect_after                 down_after
//!   that waits, sent │<─────────────────────────>│<───────────────────────>│
//!                 ───┴───────────┬───────────────┴─────────────────────────┴──────────>
//!    last acknowledged           │<─ quiet_after ─>│
//!                      Active                      │ Suspect               Down
//!                      sends                       │ its data is copied    patience is over
//!                                                  │ a probe each 10 to 40 ms, after 10 s each second
//! ```
//!
//! Both must have passed: something waits for too long, and nothing at all was heard. The numbers
//! are a bet between two losses. Too patient, and every message in flight is late by as much; too
//! nervous, and each hiccup of a Wi-Fi, which stalls for 100 to 500 ms all the time, sends bytes
//! twice. So suspicion comes early and costs little: the path keeps its window, gets probes, and
//! what it carries is sent on the others too. It takes one acknowledgement to undo.

use crate::recovery::Rtt;
use crate::time::Duration;

/// How long a path may be silent before it is suspect. `held`: how long the peer may hold an
/// acknowledgement back.
pub(super) fn suspect_after(rtt: &Rtt, held: Duration) -> Duration {
    if !rtt.is_sampled() {
        return UNMEASURED;
    }
    // The newest sample knows of a queue of ours that is filling.
    let round = rtt.smoothed().max(rtt.latest());
    let late = (round + round / 2).max(round + rtt.variation() * 4);
    late.max(SUSPECT_MIN) + held + SCHEDULING
}

/// For how long nothing at all may have been acknowledged before a path is suspect: while
/// acknowledgements come, one that is overdue is a loss or a growing queue, not a dead path. A
/// false alarm sends what is in flight twice: with much of it, a burst of losses must pass first.
///
/// `copy` is the time after which the peer's last acknowledgements, if they were lost, have come by
/// another path; zero if it does not send them there. To know what arrived is worth the wait.
pub(super) fn quiet_after(rtt: &Rtt, held: Duration, in_flight: u64, copy: Duration) -> Duration {
    let round = rtt.smoothed();
    if in_flight <= CHEAP_TO_COPY {
        return (round / 2).max(SUSPECT_MIN) + held;
    }
    ((round * 3 / 4).max(SUSPECT_MIN) + held).max(copy)
}

/// How long a path stays suspect before it is down: long enough for most stalls, short enough
/// that a restarted peer is noticed within two seconds.
pub(super) fn down_after(probe_timeout: Duration) -> Duration {
    (probe_timeout * 4).clamp(DOWN_MIN, DOWN_MAX)
}

/// How long to wait between probes of a path that has been silent for `silent`. There is no
/// backoff in the first ten seconds, so that a path that returns is found at once.
pub(super) fn probe_interval(rtt: &Rtt, silent: Duration) -> Duration {
    if silent >= EAGER { PROBE_SLOW } else { (rtt.min() / 2).clamp(PROBE_MIN, PROBE_MAX) }
}

/// Before the first sample.
const UNMEASURED: Duration = Duration::from_millis(300);
/// So many bytes may be sent twice without much ado: ten full packets.
const CHEAP_TO_COPY: u64 = 12_000;
const SUSPECT_MIN: Duration = Duration::from_millis(10);
/// For the peer's and our own operating system to get round to it.
const SCHEDULING: Duration = Duration::from_millis(5);
const DOWN_MIN: Duration = Duration::from_millis(300);
const DOWN_MAX: Duration = Duration::from_millis(600);
const PROBE_MIN: Duration = Duration::from_millis(10);
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
    fn the_less_is_in_flight_the_sooner_suspicion_may_come() {
        let mut rtt = Rtt::new(None, Instant::ZERO);
        rtt.on_sample(Duration::from_millis(60), Duration::ZERO, Instant::ZERO);
        let cases = [(1_200, 0, 35), (12_000, 0, 35), (12_001, 0, 50), (1 << 30, 0, 50)];
        let awaited = [(12_000, 80, 35), (12_001, 80, 80), (12_001, 40, 50)];
        for (in_flight, copy, quiet) in cases.into_iter().chain(awaited) {
            let [copy, quiet] = [copy, quiet].map(Duration::from_millis);
            let found = quiet_after(&rtt, Duration::from_millis(5), in_flight, copy);
            assert_eq!(found, quiet, "{in_flight}, {copy:?}");
        }
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
