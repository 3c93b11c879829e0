//! How much may be in flight on one path.
//!
//! ```text
//!  SlowStart --round trip grows, rate stops growing, or a burst of losses--> Avoidance
//!  Avoidance: no queue of ours -> a quarter more each round
//!             a queue          -> CUBIC (RFC 9438) around the window of the last loss
//!             a loss           -> 0.7 of the window, never below rate x least round trip
//! ```
//!
//! Loss alone says little on a radio link, so it never cuts below what the path has been seen to
//! deliver; and a deep queue is not a faster path, so what is in flight stays under what the rate
//! fills in the least round trip plus 100 ms. Integers only, in bytes and microseconds.

use super::cubic::Cubic;
use super::rtt::Rtt;
use crate::time::{Duration, Instant};

/// What an algorithm must answer. One per path.
pub(super) trait Congestion {
    /// Bytes that may be in flight.
    fn window(&self, rate: u64, rtt: &Rtt) -> u64;
    /// Packets of `bytes` were acknowledged.
    fn on_acked(&mut self, acked: Acked, rtt: &Rtt, now: Instant);
    /// Packets were lost. The newest of them was sent at `sent_at`.
    fn on_lost(&mut self, packets: u32, sent_at: Instant, rate: u64, rtt: &Rtt, now: Instant);
    /// A loss turned out to be a late arrival: the last cut is taken back.
    fn on_spurious(&mut self);
    /// The path answers again after it was silent for so long.
    fn on_resumed(&mut self, silent: Duration, now: Instant);
    /// Full packets have another length.
    fn set_datagram_bytes(&mut self, bytes: u16);
    /// Whether it still looks for the path's rate by doubling.
    fn in_slow_start(&self) -> bool;
}

/// One acknowledgement, as congestion control sees it.
#[derive(Clone, Copy)]
pub(super) struct Acked {
    pub(super) bytes: u64,
    /// A round trip's round ended with it.
    pub(super) round_ended: bool,
    /// Whether the window, and not the application, held the sender back.
    pub(super) window_limited: bool,
    /// The delivery rate, bytes a second.
    pub(super) rate: u64,
    /// The rate of the path's narrowest place, when a train of packets has just shown it.
    pub(super) bottleneck: Option<u64>,
}

/// The one algorithm that we have.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateFloorCubic {
    window: u64,
    datagram: u64,
    slow_start: bool,
    cubic: Cubic,
    /// Packets sent before this belong to a loss that was already answered.
    recovery_start: Option<Instant>,
    /// Losses in the present round.
    round_losses: u32,
    /// The least round trip seen in the present round, and in how many acknowledgements.
    round_min: Duration,
    round_acks: u32,
    /// What the last train of packets said of the path's narrowest place; zero: nothing yet.
    bottleneck: u64,
    /// The rate at which slow start last saw growth, and for how many rounds it has not.
    plateau_rate: u64,
    plateau_rounds: u8,
    /// What the window was before the last cut.
    before_cut: Option<(u64, bool)>,
    /// Below this, a path that went silent may double again when it returns.
    threshold: u64,
}

impl RateFloorCubic {
    pub(super) fn new(datagram_bytes: u16) -> Self {
        let datagram = u64::from(datagram_bytes.max(1));
        Self {
            window: INITIAL_DATAGRAMS.saturating_mul(datagram),
            datagram,
            slow_start: true,
            cubic: Cubic::new(datagram),
            recovery_start: None,
            round_losses: 0,
            round_min: Duration::MAX,
            round_acks: 0,
            bottleneck: 0,
            plateau_rate: 0,
            plateau_rounds: 0,
            before_cut: None,
            threshold: u64::MAX,
        }
    }

    fn floor(&self, rate: u64, rtt: &Rtt) -> u64 {
        let carried = rtt.min().bytes_at(rate);
        carried.saturating_add(self.datagram.saturating_mul(FLOOR_DATAGRAMS))
    }

    const fn least(&self) -> u64 {
        self.datagram.saturating_mul(WINDOW_MIN_DATAGRAMS)
    }

    fn leave_slow_start(&mut self, rate: u64, rtt: &Rtt, now: Instant) {
        self.slow_start = false;
        // A quarter more than it carries: a short queue costs less than a rate guessed too low.
        let enough = self.floor(rate.saturating_add(rate / 4), rtt);
        self.window = self.window.min(enough).max(self.least());
        self.cubic.start(self.window, self.window, now);
    }

    /// Slow start has found the rate when the window fills what a train of packets says that the
    /// path can carry, when the round trip has grown (RFC 9406), or when the rate has not grown
    /// for three rounds. By then a round's worth too much may be under way: the window goes back
    /// to what the path carries, and the queue drains.
    fn judge_slow_start(&mut self, acked: Acked, rtt: &Rtt, now: Instant) {
        if let Some(rate) = acked.bottleneck {
            self.bottleneck = self.bottleneck.max(rate);
        }
        if self.bottleneck > 0 && self.window >= rtt.min().bytes_at(self.bottleneck) {
            return self.leave_slow_start(self.bottleneck, rtt, now);
        }
        let grown = rtt.min() + (rtt.min() / 8).clamp(GROWN_MIN, GROWN_MAX);
        let queued = self.round_acks >= ROUND_ACKS_MIN && self.round_min >= grown;
        if acked.round_ended {
            if acked.rate > self.plateau_rate.saturating_add(self.plateau_rate / 4) {
                self.plateau_rate = acked.rate;
                self.plateau_rounds = 0;
            } else {
                self.plateau_rounds = self.plateau_rounds.saturating_add(1);
            }
        }
        if queued || self.plateau_rounds >= PLATEAU_ROUNDS || self.window >= self.threshold {
            self.leave_slow_start(acked.rate, rtt, now);
        }
    }

    fn avoid(&mut self, acked: Acked, rtt: &Rtt, now: Instant) {
        // The last sample stands for the queue that our packets see now.
        let empty = rtt.min() + (rtt.min() / 8).clamp(EMPTY_MIN, EMPTY_MAX);
        if rtt.latest() <= empty {
            self.window = self.window.saturating_add(acked.bytes / 4);
            self.cubic.restart(self.window, now);
        } else {
            let target = self.cubic.target(rtt.smoothed(), now);
            let room = target.saturating_sub(self.window);
            // Spread over the round that the window takes, and never more than half of what came.
            let step = room
                .saturating_mul(acked.bytes)
                .checked_div(self.window)
                .unwrap_or(0)
                .min(acked.bytes / 2);
            self.window = self.window.saturating_add(step);
        }
    }
}

impl Congestion for RateFloorCubic {
    fn window(&self, rate: u64, rtt: &Rtt) -> u64 {
        if rate == 0 || self.slow_start {
            return self.window;
        }
        let cap = (rtt.min() + QUEUE_MAX).bytes_at(rate);
        let least = self.datagram.saturating_mul(WINDOW_MIN_DATAGRAMS);
        self.window.min(cap).max(least)
    }

    fn on_acked(&mut self, acked: Acked, rtt: &Rtt, now: Instant) {
        self.round_min = self.round_min.min(rtt.latest());
        self.round_acks = self.round_acks.saturating_add(1);
        if self.slow_start {
            if acked.window_limited {
                self.window = self.window.saturating_add(acked.bytes);
                self.judge_slow_start(acked, rtt, now);
            }
        } else if acked.window_limited {
            self.avoid(acked, rtt, now);
            // More than the cap would only be waiting for the day that the cap rises.
            let cap = (rtt.min() + QUEUE_MAX).bytes_at(acked.rate);
            let least = self.datagram.saturating_mul(INITIAL_DATAGRAMS);
            self.window = self.window.min(cap.max(least));
        }
        if acked.round_ended {
            self.round_losses = 0;
            self.round_min = Duration::MAX;
            self.round_acks = 0;
        }
    }

    fn on_lost(&mut self, packets: u32, sent_at: Instant, rate: u64, rtt: &Rtt, now: Instant) {
        self.round_losses = self.round_losses.saturating_add(packets);
        if self.slow_start && self.round_losses < SLOW_START_LOSSES {
            return; // An isolated loss is no sign of a full queue.
        }
        if self.recovery_start.is_some_and(|start| sent_at <= start) {
            return; // Its loss was answered already.
        }
        self.recovery_start = Some(now);
        self.before_cut = Some((self.window, self.slow_start));
        let before = self.window;
        let cut = before.saturating_mul(7) / 10;
        let floor = self.floor(rate, rtt).min(before);
        self.window = cut.max(floor).max(self.datagram.saturating_mul(WINDOW_MIN_DATAGRAMS));
        self.slow_start = false;
        self.cubic.start(before, self.window, now);
    }

    fn on_spurious(&mut self) {
        if let Some((window, slow_start)) = self.before_cut.take() {
            self.window = self.window.max(window);
            self.slow_start |= slow_start;
            self.recovery_start = None;
        }
    }

    fn on_resumed(&mut self, silent: Duration, now: Instant) {
        if silent < STALL_SHORT {
            return; // Wi-Fi stalls all the time: what the path carried before, it carries again.
        }
        self.threshold = self.window;
        self.window = self.datagram.saturating_mul(INITIAL_DATAGRAMS).min(self.window);
        self.slow_start = true;
        self.plateau_rate = 0;
        self.plateau_rounds = 0;
        self.bottleneck = 0;
        self.round_losses = 0;
        self.recovery_start = Some(now);
    }

    fn set_datagram_bytes(&mut self, bytes: u16) {
        self.datagram = u64::from(bytes.max(1));
        self.cubic.set_datagram_bytes(self.datagram);
    }

    fn in_slow_start(&self) -> bool {
        self.slow_start
    }
}

/// Twice what RFC 9002 section 7.2 recommends: they are paced, and a train of them shows a slow path
/// before the second round.
pub(super) const INITIAL_DATAGRAMS: u64 = 20;
const WINDOW_MIN_DATAGRAMS: u64 = 4;
/// On top of rate x least round trip, for acknowledgements that come late.
const FLOOR_DATAGRAMS: u64 = 8;
/// Losses in one round that end slow start.
const SLOW_START_LOSSES: u32 = 4;
/// A round trip that grew must show in this many acknowledgements (RFC 9406).
const ROUND_ACKS_MIN: u32 = 8;
const PLATEAU_ROUNDS: u8 = 3;
/// How much longer than the least a round trip may be before slow start sees a queue (RFC 9406).
const GROWN_MIN: Duration = Duration::from_millis(4);
const GROWN_MAX: Duration = Duration::from_millis(16);
/// The same for "no queue of ours", which acknowledgements held back must not hide.
const EMPTY_MIN: Duration = Duration::from_millis(2);
const EMPTY_MAX: Duration = Duration::from_millis(8);
/// Time that our packets may spend in a queue.
const QUEUE_MAX: Duration = Duration::from_millis(100);
/// A silence up to this is a stall; a longer one may have changed the path.
const STALL_SHORT: Duration = Duration::from_secs(1);
