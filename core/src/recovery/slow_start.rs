//! Slow start: the window doubles each round trip until the path is full.
//!
//! ```text
//!              the window reaches what the path was seen to carry
//!   Doubling ------------------------------------------> Conservative --> rate flat for a round: done
//!      ^ |                                                 | (a quarter as fast)
//!      | +--- rate flat for 3 rounds, or much lost: done   |
//!      +--------------- a round without a queue -----------+
//! ```
//!
//! Doubling sends in bursts, so a queue comes and goes long before the path is full: longer round
//! trips alone say little (where HyStart, RFC 9406, leaves too early) and a round later they say
//! it too late. But while they are long the link is busy, and what is delivered in such a busy
//! period is its capacity; capacity times the least round trip is the window at which to be careful.
//! The end comes when more in flight no longer brings more through.
//!
//! One lost packet says nothing on a radio link: loss ends slow start when it is a sixteenth of a
//! window within a round.

use crate::recovery::delivery::Sample;
use crate::recovery::rtt::Rtt;
use crate::time::{Duration, Instant};

/// Where slow start stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowStart {
    /// The window at which it ends in any case.
    threshold: u64,
    /// The window from which on it grows carefully.
    careful: u64,
    busy: Option<Busy>,
    /// A queue was seen in this round.
    queued: bool,
    /// The best rate of earlier rounds and of this one.
    rate_before: u64,
    rate: u64,
    flat_rounds: u8,
    lost: u64,
}

/// A time in which the link had a queue all along.
#[derive(Clone, Copy, Debug)]
struct Busy {
    since: Instant,
    delivered: u64,
    samples: u8,
}

impl SlowStart {
    /// Slow start from now on, up to a window of `threshold`.
    pub(super) const fn new(threshold: u64) -> Self {
        Self {
            threshold,
            careful: u64::MAX,
            busy: None,
            queued: false,
            rate_before: 0,
            rate: 0,
            flat_rounds: 0,
            lost: 0,
        }
    }

    /// The window after `acked` bytes more.
    pub(super) const fn grow(&self, window: u64, acked: u64) -> u64 {
        let growth = if window >= self.careful { acked / 4 } else { acked };
        window.saturating_add(growth)
    }

    /// Takes a loss. `true`: too many in this round, slow start is over.
    pub(super) const fn on_lost(&mut self, bytes: u64, window: u64, datagram: u64) -> bool {
        self.lost = self.lost.saturating_add(bytes);
        self.lost >= window / 16 && self.lost >= datagram.saturating_mul(LOST_DATAGRAMS)
    }

    /// Takes an acknowledgement of `acked` bytes: its round-trip sample, if it gave one, and what
    /// it says about the rate.
    pub(super) fn on_acked(
        &mut self,
        acked: u64,
        latest: Option<Duration>,
        sample: &Sample,
        rtt: &Rtt,
        now: Instant,
    ) {
        if let Some(latest) = latest {
            self.observe_queue(latest, rtt, acked, now);
        }
        self.rate = self.rate.max(sample.rate);
    }

    /// Whether slow start is over with this window; `sample` may have ended a round.
    pub(super) fn is_over(&mut self, window: u64, sample: &Sample) -> bool {
        window >= self.threshold || sample.round_ended && self.end_round(window, sample.app_limited)
    }

    /// Measures the capacity while round trips say that the link has a queue.
    fn observe_queue(&mut self, latest: Duration, rtt: &Rtt, acked: u64, now: Instant) {
        let rise = (rtt.min() / 8).clamp(RISE_MIN, RISE_MAX);
        if latest < rtt.min() + rise {
            self.busy = None;
            return;
        }
        self.queued = true;
        let Some(busy) = &mut self.busy else {
            self.busy = Some(Busy { since: now, delivered: 0, samples: 0 });
            return;
        };
        busy.delivered = busy.delivered.saturating_add(acked);
        busy.samples = busy.samples.saturating_add(1);
        if busy.samples >= BUSY_SAMPLES {
            let elapsed = now.since(busy.since).as_micros();
            let scaled = busy.delivered.saturating_mul(rtt.min().as_micros());
            let path = scaled.checked_div(elapsed).unwrap_or(u64::MAX);
            self.careful = path.saturating_add(path / 4);
        }
    }

    fn end_round(&mut self, window: u64, app_limited: bool) -> bool {
        let careful = window >= self.careful;
        if careful && !self.queued {
            self.careful = u64::MAX;
        }
        (self.queued, self.lost) = (false, 0);
        let (rate, before) = (self.rate, self.rate_before);
        self.rate = 0;
        if app_limited {
            return false;
        }
        // Doubling should show as doubling, growth by a quarter as at least an eighth.
        let (step, patience) = if careful { (before / 8, 1) } else { (before / 4, FLAT_ROUNDS) };
        if rate >= before.saturating_add(step) {
            self.flat_rounds = 0;
            self.rate_before = rate;
        } else {
            self.flat_rounds = self.flat_rounds.saturating_add(1);
        }
        self.flat_rounds >= patience
    }
}

/// A round trip longer than the least by an eighth shows a queue, within these bounds (RFC 9406
/// section 4.3 has them for its purpose).
const RISE_MIN: Duration = Duration::from_millis(4);
const RISE_MAX: Duration = Duration::from_millis(16);
/// A busy period is believed after this many samples (the same section).
const BUSY_SAMPLES: u8 = 8;
/// Rounds without growth of the rate that end doubling.
const FLAT_ROUNDS: u8 = 3;
/// Fewer lost packets than this never end it.
const LOST_DATAGRAMS: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: u64 = 20_000;

    /// Acknowledges a window in ten parts over a round, each with this round trip, at a rate.
    fn round(
        start: &mut SlowStart,
        at: &mut u64,
        window: u64,
        rtt_us: u64,
        rate: u64,
    ) -> (u64, bool) {
        let rtt = Rtt::new(Some(Duration::from_micros(RTT)), Instant::ZERO);
        let (mut grown, mut over) = (window, false);
        for part in 0..10 {
            *at += RTT / 10;
            let sample = Sample { rate, app_limited: false, round_ended: part == 9 };
            let latest = Some(Duration::from_micros(rtt_us));
            let acked = window / 10;
            start.on_acked(acked, latest, &sample, &rtt, Instant::from_micros(*at));
            grown = start.grow(grown, acked);
            over |= start.is_over(grown, &sample);
        }
        (grown, over)
    }

    #[test]
    fn it_doubles_while_the_rate_does() {
        let (mut start, mut at, mut window) = (SlowStart::new(u64::MAX), 0, 40_000);
        for doubling in 1..8_u32 {
            let rate = window * 50;
            let over;
            (window, over) = round(&mut start, &mut at, window, RTT, rate);
            assert_eq!((window, over), (40_000 << doubling, false));
        }
    }

    #[test]
    fn with_a_queue_it_is_careful_and_ends_when_the_rate_is_flat() {
        let (mut start, mut at) = (SlowStart::new(u64::MAX), 0);
        let (window, over) = round(&mut start, &mut at, 100_000, RTT, 5_000_000);
        assert!(!over);
        let (window, over) = round(&mut start, &mut at, window, RTT + 8_000, 6_500_000);
        assert!(window < 390_000 && !over);
        let (_, over) = round(&mut start, &mut at, window, RTT + 12_000, 6_500_000);
        assert!(over);
    }

    #[test]
    fn jitter_makes_it_careful_but_does_not_end_it() {
        let (mut start, mut at, mut window) = (SlowStart::new(u64::MAX), 0, 40_000);
        for _ in 0..8 {
            let rate = window * 50;
            let over;
            (window, over) = round(&mut start, &mut at, window, RTT + 8_000, rate);
            assert!(!over);
        }
        assert!(window > 160_000);
        let before = window;
        (window, _) = round(&mut start, &mut at, window, RTT, window * 50);
        (window, _) = round(&mut start, &mut at, window, RTT, window * 50);
        assert!(window >= 2 * before);
    }

    #[test]
    fn a_flat_rate_ends_it_even_without_a_queue() {
        let (mut start, mut at) = (SlowStart::new(u64::MAX), 0);
        let ends = (0..10).find(|_| round(&mut start, &mut at, 100_000, RTT, 1_000_000).1);
        assert_eq!(ends, Some(3));
    }

    #[test]
    fn one_lost_packet_is_nothing_and_many_are_the_end() {
        let mut start = SlowStart::new(u64::MAX);
        assert!(!start.on_lost(1_200, 200_000, 1_200));
        assert!(!start.on_lost(3_600, 200_000, 1_200));
        assert!(start.on_lost(8_400, 200_000, 1_200));
        assert!(!SlowStart::new(u64::MAX).on_lost(3_600, 20_000, 1_200));
    }
}
