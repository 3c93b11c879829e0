//! How much may be in flight on a path, and how fast it may leave.
//!
//! ```text
//!   cap    rate x (minimum round trip + a queue)  deep queues are not filled
//!   ...... CUBIC moves in between ..............  competes fairly where a queue drops packets
//!   floor  rate x (minimum round trip + slack)    loss cannot empty the pipe
//! ```
//!
//! CUBIC alone collapses on a link that loses packets by itself; a model of the path alone (its
//! best delivery rate times its least round trip) does not share. So CUBIC decides within bounds
//! that the model sets. The floor's slack keeps the link busy while acknowledgements are on their
//! way and finds new capacity: packets are paced a fifth faster than the path seems to deliver, so
//! when there is more to have, the measured rate rises and the floor with it. `tolerance.rs` takes
//! the slack away where it only makes losses.
//!
//! The cap's queue is one minimum round trip long, and a few datagrams: so a flow that bounds its own
//! queue, as BBR does, finds its place beside us. Only while we are pressed out of the path, by
//! someone who fills the queue or because the path became slow, it is 100 ms (`courtesy.rs`), and
//! CUBIC decides as it does in TCP.

use crate::arithmetic::Wide;
use crate::recovery::congestion::{Acked, Congestion, Lost};
use crate::recovery::courtesy::{Courtesy, QUEUE_MAX};
use crate::recovery::cubic::Cubic;
use crate::recovery::delivery::{RateFilter, Sample};
use crate::recovery::drain::Drain;
use crate::recovery::rtt::Rtt;
use crate::recovery::slow_start::SlowStart;
use crate::recovery::tolerance::Tolerance;
use crate::time::{Duration, Instant};

/// CUBIC within the bounds of a model of the path.
#[derive(Debug)]
pub(super) struct BoundedCubic {
    datagram: u64,
    /// The window by slow start or CUBIC, within the model's bounds.
    base: u64,
    slow_start: Option<SlowStart>,
    cubic: Cubic,
    rates: RateFilter,
    drain: Drain,
    /// The window in force: more while round trips vary, less while the queue is drained.
    window: u64,
    tolerance: Tolerance,
    courtesy: Courtesy,
    /// The moment of the last cut: losses of packets sent before it are part of the same event.
    cut_at: Option<Instant>,
    undo: Option<Undo>,
    /// Most bytes in flight in this round and in the last: was the window the limit?
    peak: u64,
    peak_before: u64,
    acked_at: Instant,
}

/// What to restore if all losses of an event turn out to be late packets.
#[derive(Clone, Copy, Debug)]
struct Undo {
    base: u64,
    /// The threshold of slow start, if it was not over.
    slow_start: Option<u64>,
    cubic: Cubic,
    lost: u32,
}

impl BoundedCubic {
    #[inline(never)] // It is long, and asked for once a path.
    pub(super) fn new(datagram_bytes: u16, now: Instant) -> Self {
        let datagram = u64::from(datagram_bytes).max(1);
        Self {
            datagram,
            base: datagram * INITIAL_DATAGRAMS,
            slow_start: Some(SlowStart::new(u64::MAX)),
            cubic: Cubic::new(),
            rates: RateFilter::new(now),
            drain: Drain::Idle,
            window: datagram * INITIAL_DATAGRAMS,
            tolerance: Tolerance::new(),
            courtesy: Courtesy::new(now),
            cut_at: None,
            undo: None,
            peak: 0,
            peak_before: 0,
            acked_at: now,
        }
    }

    /// Lets the window grow for bytes acknowledged, if it was what limited the path.
    fn grow(&mut self, acked: &Acked, rtt: &Rtt, now: Instant) {
        let peak = self.peak.max(self.peak_before);
        if let Some(slow_start) = &mut self.slow_start {
            slow_start.on_acked(acked, self.datagram, rtt);
            if peak.times(2) >= self.base {
                self.base = self.base.plus(acked.bytes);
            }
            if slow_start.is_over(self.base, &acked.sample, rtt) {
                let capacity = slow_start.capacity();
                self.leave_slow_start(capacity, rtt, now);
            }
            return;
        }
        let recovering = self.cut_at.is_some_and(|at| acked.newest_sent_at <= at);
        let limited = peak.plus(self.datagram * LIMITED_DATAGRAMS) >= self.base;
        if !limited || self.drain.is_active() {
            self.cubic.pause(now.since(self.acked_at));
        } else if !recovering {
            let (rtt, datagram) = (rtt.smoothed(), self.datagram);
            self.base = self.cubic.grow(self.base, acked.bytes, datagram, rtt, now);
        }
    }

    /// The path is full. What trains showed of its capacity is known a round before the rate of
    /// delivery reaches it, so it stands in for that; zero if they showed nothing.
    fn leave_slow_start(&mut self, capacity: u64, rtt: &Rtt, now: Instant) {
        self.slow_start = None;
        self.cubic.restart();
        if capacity > 0 {
            let shown = Sample { rate: capacity, ..Sample::default() };
            self.rates.update(&shown, rtt.min(), now);
            self.base = self.base.min(self.floor(rtt));
        }
    }

    /// Keeps the window between the model's floor and cap once slow start is over, and settles
    /// which is in force.
    fn bound(&mut self, rtt: &Rtt) {
        let rate = self.rates.best();
        let mut jitter = 0;
        if self.slow_start.is_none() && rate > 0 {
            let cap = self.cap(rtt);
            if self.base > cap {
                self.base = cap;
                // What was only left to others is soon taken back: CUBIC's clock runs on meanwhile.
                if self.courtesy.insists() {
                    self.cubic.restart();
                }
            }
            self.base = self.base.max(self.floor(rtt));
            // Acknowledgements that come and go in waves need more in flight, but only while they do.
            jitter = (rtt.min() + (rtt.variation() * 4).min(SLACK_MAX)).bytes_at(rate);
        }
        self.base = self.base.max(self.datagram * LEAST_DATAGRAMS);
        self.window = match self.drain {
            Drain::Idle if self.tolerance.is_generous() => self.base.max(jitter),
            Drain::Idle => self.base,
            _ => self.base.min(self.drained(rtt)),
        };
    }

    /// Above this, more in flight only waits.
    fn cap(&self, rtt: &Rtt) -> u64 {
        let bytes = |time: Duration| time.bytes_at(self.rates.best());
        let longest = bytes(QUEUE_MAX);
        let courteous = bytes(Courtesy::queue(rtt.min())).min(QUEUE_BYTES_MAX);
        let queue = match self.courtesy.insists() {
            true => longest,
            false => longest.min(courteous + self.datagram * EVENING_DATAGRAMS),
        };
        bytes(rtt.min()) + queue
    }

    /// Below this, the path is not full.
    fn floor(&self, rtt: &Rtt) -> u64 {
        let slack = if self.tolerance.is_generous() {
            (rtt.min() / 4).clamp(SLACK_MIN, SLACK_MAX)
        } else {
            (rtt.min() / 32).clamp(STRICT_SLACK_MIN, SLACK_MAX)
        };
        (rtt.min() + slack).bytes_at(self.rates.best()) + self.datagram * SLACK_DATAGRAMS
    }

    /// The window while the queue is drained.
    fn drained(&self, rtt: &Rtt) -> u64 {
        let path = rtt.min().bytes_at(self.rates.best());
        (path - path / 16).max(self.datagram * LEAST_DATAGRAMS)
    }

    /// Window over round trip.
    fn window_rate(&self, rtt: &Rtt) -> u64 {
        let micros = rtt.smoothed().as_micros();
        self.base.times(1_000_000).checked_div(micros).unwrap_or(u64::MAX)
    }
}

impl Congestion for BoundedCubic {
    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, rtt: &Rtt) -> u64 {
        let by_window = self.window_rate(rtt);
        if self.slow_start.is_some() {
            by_window.times(2)
        } else {
            by_window.max(self.rates.best()).times(6) / 5
        }
    }

    fn rate(&self, rtt: &Rtt) -> u64 {
        match self.rates.best() {
            0 => self.window_rate(rtt),
            best if self.slow_start.is_some() => best.max(self.window_rate(rtt)),
            best => best,
        }
    }

    fn delivery_rate(&self) -> u64 {
        self.rates.best()
    }

    fn on_sent(&mut self, in_flight: u64) {
        self.peak = self.peak.max(in_flight);
    }

    fn on_acked(&mut self, acked: &Acked, rtt: &mut Rtt, now: Instant) {
        self.rates.update(&acked.sample, rtt.min(), now);
        self.grow(acked, rtt, now);
        self.acked_at = now;
        if self.slow_start.is_none() {
            let target = self.drained(rtt);
            self.drain.step(acked, rtt, target, now);
            self.courtesy.on_rate(self.rates.best(), now);
            self.tolerance.on_acked(acked.bytes);
        }
        self.bound(rtt);
        if acked.sample.round_ended {
            (self.peak_before, self.peak) = (self.peak, acked.in_flight);
            self.tolerance.on_round(self.datagram, now);
        }
    }

    fn on_lost(&mut self, lost: &Lost, rtt: &Rtt, now: Instant) {
        if self.slow_start.is_none() {
            self.tolerance.on_lost(lost.bytes);
        }
        if self.cut_at.is_some_and(|at| lost.newest_sent_at <= at) {
            if let Some(undo) = &mut self.undo {
                undo.lost = undo.lost.saturating_add(lost.packets);
            }
            return;
        }
        if let Some(slow_start) = &mut self.slow_start
            && !slow_start.on_lost(lost.bytes, self.base, self.datagram)
        {
            return;
        }
        let (base, cubic) = (self.base, self.cubic);
        let slow_start = self.slow_start.take().map(|start| start.threshold());
        self.undo = Some(Undo { base, slow_start, cubic, lost: lost.packets });
        self.cut_at = Some(now);
        // Doubling overshoots by up to as much again; what was in flight before it did is half.
        let reached = if slow_start.is_some() { base / 2 } else { base };
        self.base = self.cubic.cut(reached);
        self.bound(rtt);
    }

    fn on_late(&mut self, packets: u32, bytes: u64) {
        self.tolerance.on_late(bytes);
        let Some(undo) = &mut self.undo else { return };
        undo.lost = undo.lost.saturating_sub(packets);
        if undo.lost == 0 {
            self.base = self.base.max(undo.base);
            self.window = self.window.max(self.base);
            self.slow_start = undo.slow_start.map(SlowStart::new);
            self.cubic = undo.cubic;
            self.cut_at = None;
            self.undo = None;
        }
    }

    fn on_resumed(&mut self, stalled: Duration, rtt: &Rtt) {
        if stalled < KEPT_MAX {
            return;
        }
        let threshold = self.base.max(self.floor(rtt));
        self.base = self.datagram * INITIAL_DATAGRAMS;
        self.window = self.base;
        self.slow_start = Some(SlowStart::new(threshold));
        self.rates.clear();
        self.courtesy.forget();
        self.drain = Drain::Idle;
        (self.undo, self.cut_at) = (None, None);
    }

    fn set_datagram_bytes(&mut self, bytes: u16) {
        self.datagram = u64::from(bytes).max(1);
        self.base = self.base.max(self.datagram * LEAST_DATAGRAMS);
        self.window = self.window.max(self.datagram * LEAST_DATAGRAMS);
    }
}

/// The first window. RFC 9002 says ten; but these are paced from the first on, over a round trip
/// that was measured by the handshake, so they do not arrive as a burst.
const INITIAL_DATAGRAMS: u64 = 32;
/// The least window: with fewer, a delayed acknowledgement would stop the path.
const LEAST_DATAGRAMS: u64 = 4;
/// Closer to the window than this, the window was the limit.
const LIMITED_DATAGRAMS: u64 = 4;
/// The floor's slack is a quarter of the round trip, within these bounds: acknowledgements and
/// timers are late by a millisecond or two.
const SLACK_MIN: Duration = Duration::from_millis(3);
const SLACK_MAX: Duration = Duration::from_millis(50);
/// On slow paths an acknowledgement waits for a second packet: so many keep it busy meanwhile.
const SLACK_DATAGRAMS: u64 = 4;
/// Where each of several flows is held to a multiple of its own rate, shares stay as unequal as they
/// are; so many datagrams more are the same to all, which makes them even. BBR has six to nine.
const EVENING_DATAGRAMS: u64 = 8;
/// On a fast path, the cap's queue is no more than this: what is in flight is kept until it is
/// acknowledged, and memory that has left the processor's cache is what a gigabyte costs most.
const QUEUE_BYTES_MAX: u64 = 2 << 20;
/// With no slack at all, every loss would lower the rate and the lower rate the window.
const STRICT_SLACK_MIN: Duration = Duration::from_millis(1);
/// A silence shorter than this says nothing about the path's rate: Wi-Fi does it all the time.
const KEPT_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: u64 = 1_200;

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// A path of 10 MB/s and 20 ms, out of slow start with this window.
    fn path(window: u64) -> (BoundedCubic, Rtt) {
        let mut rtt = Rtt::new(Some(Duration::from_millis(20)), ms(0));
        for _ in 0..40 {
            rtt.on_sample(Duration::from_millis(20), Duration::ZERO, ms(0));
        }
        let mut control = BoundedCubic::new(DATAGRAM as u16, ms(0));
        control.slow_start = None;
        (control.base, control.window) = (window, window);
        let sample = Sample { rate: 10_000_000, ..Sample::default() };
        control.rates.update(&sample, rtt.min(), ms(0));
        (control, rtt)
    }

    fn lost(sent_ms: u64, packets: u32) -> Lost {
        let bytes = u64::from(packets) * DATAGRAM;
        Lost { bytes, packets, newest_sent_at: ms(sent_ms) }
    }

    #[test]
    fn a_loss_cuts_once_a_round_trip_and_never_below_what_the_path_holds() {
        let (mut control, rtt) = path(400_000);
        control.on_lost(&lost(90, 1), &rtt, ms(100));
        assert!((279_000..=281_000).contains(&control.window()));
        control.on_lost(&lost(99, 1), &rtt, ms(101));
        assert!(control.window() > 279_000);
        for round in 1..20 {
            control.on_lost(&lost(100 + 20 * round, 1), &rtt, ms(120 + 20 * round));
        }
        // 200 kB on the way, a quarter more, and four datagrams.
        assert_eq!(control.window(), 254_800);
    }

    #[test]
    fn what_was_only_late_is_undone() {
        let (mut control, rtt) = path(600_000);
        control.on_lost(&lost(90, 2), &rtt, ms(100));
        control.on_lost(&lost(95, 1), &rtt, ms(102));
        control.on_late(2, 2 * DATAGRAM);
        assert!(control.window() < 600_000);
        control.on_late(1, DATAGRAM);
        assert_eq!(control.window(), 600_000);
        control.on_late(1, DATAGRAM);
        assert_eq!(control.window(), 600_000);
    }

    #[test]
    fn what_is_in_flight_has_a_cap() {
        let (mut control, mut rtt) = path(5_000_000);
        let sample = Sample { rate: 10_000_000, ..Sample::default() };
        let (newest_sent_at, arrived) = (ms(1), ms(21));
        let acked =
            Acked { bytes: DATAGRAM, newest_sent_at, sample, rtt: None, arrived, in_flight: 0 };
        control.on_acked(&acked, &mut rtt, ms(21));
        // Twice what the path holds, and eight datagrams.
        assert_eq!(control.window(), 409_600);
        let sample = Sample { rate: 3_000_000, ..Sample::default() };
        for now in (40..300).step_by(20) {
            control.on_acked(&Acked { sample, ..acked }, &mut rtt, ms(now));
        }
        control.base = 5_000_000;
        control.on_acked(&Acked { sample, ..acked }, &mut rtt, ms(300));
        // Pressed out of the path by someone: 120 ms of what is left.
        assert_eq!(control.window(), 360_000);
    }

    #[test]
    fn one_lost_packet_does_not_end_slow_start() {
        let mut control = BoundedCubic::new(DATAGRAM as u16, ms(0));
        let rtt = Rtt::new(None, ms(0));
        control.on_lost(&lost(1, 1), &rtt, ms(2));
        assert!(control.slow_start.is_some() && control.window() == 32 * DATAGRAM);
        control.on_lost(&lost(2, 6), &rtt, ms(3));
        assert!(control.slow_start.is_none() && control.window() < 16 * DATAGRAM);
    }

    #[test]
    fn a_short_silence_keeps_the_window_and_a_long_one_its_memory() {
        let (mut control, rtt) = path(600_000);
        control.on_resumed(Duration::from_millis(900), &rtt);
        assert_eq!(control.window(), 600_000);
        control.on_resumed(Duration::from_secs(1), &rtt);
        assert_eq!(control.window(), 32 * DATAGRAM);
        let mut slow_start = control.slow_start.unwrap();
        assert!(!slow_start.is_over(599_999, &Sample::default(), &rtt));
        assert!(slow_start.is_over(600_000, &Sample::default(), &rtt));
    }
}
