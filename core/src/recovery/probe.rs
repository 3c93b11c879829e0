//! The probe timeout: when silence is long enough to ask (RFC 9002 section 6.2).
//!
//! ```text
//!   progress or oldest packet          no backoff: the path may be back at any moment
//!   |---- probe timeout ----P--- max(timeout, 20 ms) ---P--- ... 10 s ...---P--- 1 s ---P
//! ```
//!
//! RFC 9002 doubles the interval each time; after ten seconds of outage the first good probe then
//! comes six seconds late. Probes are few bytes, so here they keep their pace for ten seconds and
//! fall back to one a second then.

use crate::time::{Duration, Instant};

/// The timer of one path.
#[derive(Debug)]
pub(super) struct ProbeTimer {
    /// The last expiry without an answer since.
    expired_at: Option<Instant>,
    /// When the packet was sent whose silence made the timer expire first.
    silent_since: Instant,
}

impl ProbeTimer {
    pub(super) const fn new() -> Self {
        Self { expired_at: None, silent_since: Instant::ZERO }
    }

    /// When it expires: `since` is the later of the last progress and the sending of the oldest
    /// packet in flight, `timeout` the probe timeout of now.
    pub(super) fn deadline(&self, since: Instant, timeout: Duration) -> Instant {
        let Some(at) = self.expired_at else { return since + timeout };
        let patient = at.since(self.silent_since) < PATIENCE;
        let interval = timeout.max(if patient { INTERVAL_MIN } else { INTERVAL_SLOW });
        // All that it had waited for may have been given up, and this be the first packet since.
        at.max(since) + interval
    }

    /// It expired.
    pub(super) fn on_expired(&mut self, since: Instant, now: Instant) {
        if self.expired_at.is_none() {
            self.silent_since = since;
        }
        self.expired_at = Some(now);
    }

    /// Something was acknowledged.
    pub(super) fn on_answer(&mut self) {
        self.expired_at = None;
    }
}

/// How long probes keep their pace.
const PATIENCE: Duration = Duration::from_secs(10);
/// Probes without an answer are at least this far apart,
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// and this far once patience has run out.
const INTERVAL_SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_keep_their_pace_for_ten_seconds() {
        let ms = |ms: u64| Instant::from_micros(ms * 1_000);
        let timeout = Duration::from_millis(8);
        let mut timer = ProbeTimer::new();
        let since = ms(1_000);
        assert_eq!(timer.deadline(since, timeout), ms(1_008));
        let mut expiries = std::vec![];
        while expiries.len() < 510 {
            let at = timer.deadline(since, timeout);
            timer.on_expired(since, at);
            expiries.push(at);
        }
        let gaps: std::vec::Vec<_> =
            expiries.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
        let quick = gaps.iter().take_while(|gap| **gap == 20).count();
        assert!((498..=501).contains(&quick));
        assert!(gaps.iter().skip(quick).all(|gap| *gap == 1_000));
        timer.on_answer();
        assert_eq!(timer.deadline(ms(90_000), timeout), ms(90_008));
    }

    #[test]
    fn a_packet_is_not_overdue_when_it_is_sent() {
        let ms = |ms: u64| Instant::from_micros(ms * 1_000);
        let mut timer = ProbeTimer::new();
        timer.on_expired(ms(1_000), ms(1_100));
        // What it had waited for was dropped with its place; the next goes out later.
        assert_eq!(timer.deadline(ms(2_000), Duration::from_millis(50)), ms(2_050));
    }
}
