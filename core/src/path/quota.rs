//! How much may a link still carry? A count of bytes both ways, and the moment to stop.
//!
//! What we send we can stop at the last byte, but not what is on its way to us: the peer goes on
//! until it hears that the link is given up, and what it has sent by then still arrives. So the link
//! is given up early, by all that the peer may have under way, which nobody knows but the peer. When
//! that has arrived, and it was less, the link is taken again, with a first window:
//!
//! ```text
//!   0                              used             quota
//!   |███████████████████████████████|░░░░░░░░░░░░░░░░░|
//!                                    <--- reserve --->    Open: more may come at any moment
//!   |█████████████████████████████████████████|       |   Resting: given up, the rest has arrived
//!   |█████████████████████████████████████████|░░░░░░░|   Open again, and so on
//!   |████████████████████████████████████████████████ |   Spent: not even a first window is left
//! ```
//!
//! Once a quota is spent it stays spent, until a larger one is given.

use crate::arithmetic::Wide;
use crate::time::{Duration, Instant};

/// The count of one link.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    quota: u64,
    used: u64,
    state: State,
    on_link: OnLink,
    slice_began: Instant,
    /// Bytes that came in the present slice of time, a round trip or so.
    slice: u64,
    /// Most bytes that came in a slice, and all that came, since the link was taken.
    peak: u64,
    came: u64,
    /// For each so many bytes that came one was missing, when the link was given up.
    came_for_one: u64,
}

/// Whether a link is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Not before this moment.
    Resting(Instant),
    Spent,
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the peer.
    Out,
    /// From the peer.
    In,
}

/// What the paths on a link know of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnLink {
    /// How long the word to stop and what was sent before it take together.
    pub round_trip: Duration,
    /// How many paths there are: each may bring a first window at any moment.
    pub paths: u64,
    /// Bytes that the peer sent on them, by their numbers, and that never came.
    pub missing: u64,
    /// There is no path on another link: the peer cannot be told that this one is given up.
    pub alone: bool,
}

impl Meter {
    /// Whether quotas are kept.
    pub const KEEPS_QUOTAS: bool = true;

    /// Nothing was carried yet. `None`: as much as there is.
    #[must_use]
    pub fn new(quota: Option<u64>) -> Self {
        let mut meter = Self {
            quota: quota.unwrap_or(u64::MAX),
            used: 0,
            state: State::Open,
            on_link: OnLink::default(),
            slice_began: Instant::ZERO,
            slice: 0,
            peak: 0,
            came: 0,
            came_for_one: u64::MAX,
        };
        meter.open();
        meter
    }

    /// Another quota, counted from the beginning.
    pub fn set_quota(&mut self, quota: Option<u64>, now: Instant) {
        let quota = quota.unwrap_or(u64::MAX);
        let more = quota > self.quota;
        self.quota = quota;
        if more && self.state == State::Spent {
            self.open();
        }
        self.judge(now);
    }

    /// So many bytes came or went.
    pub fn count(&mut self, way: Way, bytes: u64, on_link: OnLink, now: Instant) {
        self.used = self.used.plus(bytes);
        if self.state != State::Open {
            // Of what was under way as much will be missing as before, and no number tells.
            let missing = bytes.checked_div(self.came_for_one).unwrap_or(0);
            self.used = self.used.plus(if way == Way::In { missing } else { 0 });
            return;
        }
        self.on_link = on_link;
        if way == Way::In {
            if now.since(self.slice_began) >= self.round_trip() + LATE {
                self.peak = self.peak.max(self.slice);
                self.slice = 0;
                self.slice_began = now;
            }
            self.slice = self.slice.plus(bytes);
            self.came = self.came.plus(bytes);
        }
        self.judge(now);
    }

    /// A path is no more: so many bytes that were sent on it will not come any more.
    pub const fn write_off(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
        self.on_link.missing = self.on_link.missing.saturating_sub(bytes);
    }

    /// How many bytes it may carry, if that was said.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        Some(self.quota).filter(|quota| *quota < u64::MAX)
    }

    /// Bytes carried so far.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Whether the link may be used now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the link may carry nothing more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.state == State::Spent
    }

    /// Whether it may have to stop before a long run of packets has left.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.left() <= self.reserve().plus(RUN_MAX)
    }

    /// When it is to be looked at again.
    #[must_use]
    pub const fn rests_until(&self) -> Option<Instant> {
        match self.state {
            State::Resting(until) => Some(until),
            State::Open | State::Spent => None,
        }
    }

    /// The moment has come, or not yet: all that was under way has arrived, and what is left may
    /// be used. Returns whether it changed.
    pub fn on_timeout(&mut self, now: Instant) -> bool {
        let rested = self.rests_until().is_some_and(|until| until <= now);
        if rested {
            self.open();
        }
        rested
    }

    /// Nothing is under way on the link: it may be used if a first window fits.
    fn open(&mut self) {
        (self.slice, self.peak, self.came) = (0, 0, 0);
        self.on_link = OnLink { alone: self.on_link.alone, ..OnLink::default() };
        self.state = if self.left() < self.worthwhile() { State::Spent } else { State::Open };
    }

    fn judge(&mut self, now: Instant) {
        if self.state == State::Open && self.left() <= self.reserve() {
            let OnLink { missing, .. } = self.on_link;
            self.came_for_one = self.came.checked_div(missing).unwrap_or(u64::MAX).max(1);
            self.state = match self.left() < self.worthwhile() {
                true => State::Spent,
                false => State::Resting(now + self.round_trip() * 4 + REST),
            };
        }
    }

    const fn left(&self) -> u64 {
        self.quota.saturating_sub(self.used.saturating_add(self.on_link.missing))
    }

    /// What the peer may have under way. Its window doubles in a round trip at most, and grows by
    /// what is acknowledged at most.
    fn reserve(&self) -> u64 {
        let first = FIRST_WINDOW.times(self.on_link.paths.max(1));
        let doubled = self.peak.max(self.slice).times(2).plus(self.slice);
        let grown = first.plus(self.came);
        self.margin().plus(doubled.max(first).min(grown))
    }

    /// With less left than this the link is not taken again.
    const fn worthwhile(&self) -> u64 {
        self.margin().saturating_add(FIRST_WINDOW + RISK)
    }

    const fn margin(&self) -> u64 {
        if self.on_link.alone { MARGIN_ALONE } else { MARGIN }
    }

    fn round_trip(&self) -> Duration {
        match self.on_link.round_trip {
            Duration::ZERO => UNMEASURED,
            measured => measured,
        }
    }
}

/// What may come at once on a path of which nothing is known: 32 packets of usual length.
const FIRST_WINDOW: u64 = 48 * 1_024;
/// Probes and challenges; the last packet that leaves.
const MARGIN: u64 = 32 * 1_024;
/// The same from a peer that never hears that the link was given up, until it gives up itself.
const MARGIN_ALONE: u64 = 256 * 1_024;
/// Less than this above a first window is not worth the packets that take a link again.
const RISK: u64 = 16 * 1_024;
/// As long as a run of packets can be.
const RUN_MAX: u64 = 64 * 1_024;
/// By this much a slice of time is longer than a round trip.
const LATE: Duration = Duration::from_millis(10);
/// A round trip that was never measured.
const UNMEASURED: Duration = Duration::from_millis(100);
/// A peer that missed the word stops when it misses our acknowledgements.
const REST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ON_LINK: OnLink =
        OnLink { round_trip: Duration::from_millis(20), paths: 1, missing: 0, alone: false };

    #[test]
    fn what_we_send_ourselves_may_take_almost_all() {
        let mut meter = Meter::new(Some(1_000_000));
        let mut now = Instant::from_micros(1_000_000);
        while meter.is_open() {
            now += Duration::from_micros(100);
            meter.count(Way::Out, 1_500, ON_LINK, now);
            meter.count(Way::In, 10, ON_LINK, now);
        }
        assert!(meter.is_spent());
        assert!((915_000..920_000).contains(&meter.used()), "{meter:?}");
    }

    #[test]
    fn a_quota_that_is_spent_stays_spent_until_there_is_a_larger_one() {
        let mut now = Instant::from_micros(1_000_000);
        let mut meter = Meter::new(Some(1_000_000));
        meter.count(Way::Out, 950_000, ON_LINK, now);
        assert!(meter.is_spent());
        now += Duration::from_secs(9);
        assert!(!meter.on_timeout(now) && meter.is_spent());
        meter.set_quota(Some(900_000), now);
        assert!(meter.is_spent());
        meter.set_quota(Some(2_000_000), now);
        assert!(meter.is_open());
        meter.set_quota(None, now);
        assert!(meter.is_open());
        assert!(Meter::new(Some(1_000)).is_spent(), "too little to begin with");
    }

    #[test]
    fn what_never_came_counts_as_well() {
        let now = Instant::from_micros(1_000_000);
        let mut meter = Meter::new(Some(1_000_000));
        meter.count(Way::In, 1_500, OnLink { missing: 500_000, ..ON_LINK }, now);
        assert!(meter.is_open());
        meter.write_off(500_000);
        assert_eq!(meter.used(), 501_500);
        meter.count(Way::In, 1_500, OnLink { missing: 490_000, ..ON_LINK }, now);
        assert!(meter.is_spent());
    }

    /// A peer that sends all that its window lets it: a round trip's worth leaves, and is
    /// acknowledged when it arrives. The window doubles up to `most`. Returns what came in all.
    fn fill(quota: u64, trip: u64, most: u64) -> (u64, Meter) {
        const PACKET: u64 = 1_500;
        let on_link = OnLink { round_trip: Duration::from_millis(trip), ..ON_LINK };
        let mut meter = Meter::new(Some(quota));
        let mut now = Instant::from_micros(1_000_000);
        while !meter.is_spent() {
            let mut window = 32 * PACKET;
            // Arrival of each packet under way, and of the last.
            let mut packets = std::collections::VecDeque::new();
            let mut sent_at = now;
            while meter.is_open() || !packets.is_empty() {
                if meter.is_open() {
                    while packets.len() as u64 * PACKET + PACKET <= window {
                        packets.push_back(sent_at + Duration::from_millis(trip));
                    }
                }
                let Some(arrives) = packets.pop_front() else { break };
                now = now.max(arrives);
                let open = meter.is_open();
                meter.count(Way::In, PACKET, on_link, now);
                if open {
                    window = (window + PACKET).min(most.max(window));
                    sent_at = now;
                }
            }
            now = meter.rests_until().unwrap_or(now);
            meter.on_timeout(now);
        }
        (meter.used(), meter)
    }

    proptest! {
        /// Whatever the peer's window grows to: the quota holds, and nine tenths of it are used.
        #[test]
        fn all_that_is_under_way_fits(
            quota in 1_000_000_u64..40_000_000,
            trip in 1_u64..500,
            most in 48_000_u64..8_000_000,
        ) {
            let (used, meter) = fill(quota, trip, most);
            prop_assert!(used <= quota, "{meter:?}");
            prop_assert!(used >= quota / 10 * 9, "{meter:?}");
        }
    }
}
