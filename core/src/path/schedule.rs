//! **Which path gets the next packet?** The policy that the project exists for.
//!
//! Think of the paths as vessels side by side. A vessel is as wide as its path's rate; its floor is
//! the moment at which a byte given to the path now would arrive. Pour in everything that waits,
//! and the water finds its level *T*, the moment at which the last byte arrives:
//!
//! ```text
//!   later
//!     T ─ ─ ─ ─ ┌──────────┐ ─ ─ ─ ─ ─ ─        sum over paths of rate * (T - floor) = backlog
//!               │▒▒▒▒▒▒▒▒▒▒├────┐
//!               │▒▒▒▒▒▒▒▒▒▒│▒▒▒▒│   ┌──┐
//!               │▒▒▒▒▒▒▒▒▒▒└────┘   │  │        this one's floor lies above the level:
//!               └──────────┘        └──┘        whatever it carried would only end things later
//!   now ────────────────────────────────────
//! ```
//!
//! No policy can finish before T. So [`choose`] asks one question before each packet: *does it
//! arrive on this path before the level that the others reach without it?* If so, the path takes
//! it; if not, the packet waits for a faster one, though that is busy right now. While much waits,
//! the level is far away and every path helps: the rates add up. Towards the end it sinks below the
//! slow paths' floors, they fall silent one after the other, and all finish together. (ECF, Lim et
//! al., CoNEXT 2017, for any number of paths.) A path that loses packets has a higher floor: `loss`.
//!
//! Three more rules, one function each:
//! - a slow path must not make the fast ones stand still because memory is full of what overtook
//!   its packet: [`overtaking`] (BLEST, Ferlin et al., Networking 2016);
//! - what costs money carries only what the cheaper links cannot: [`dearest_class`];
//! - when nothing waits any more and one path is late, an idle one carries its bytes too: [`tail`].
//!
//! The promise behind all of it: never slower than the best path alone.

use crate::arithmetic::Wide;
use crate::id::CostClass;
use crate::recovery::Allowance;
use crate::storage::table::keep;
use crate::time::{Duration, Instant, earlier};
use heapless::Vec;

/// A path that may carry data, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What the caller calls it.
    pub index: usize,
    /// What it delivers, bytes a second.
    pub rate: u64,
    /// One way, without a queue of ours.
    pub delay: Duration,
    /// By how much losses delay it on average.
    pub risk: Duration,
    /// How long what we sent before keeps its narrowest place busy.
    pub queue: Duration,
    /// Bytes in flight.
    pub in_flight: u64,
    /// Bytes that may be in flight.
    pub window: u64,
    /// Bytes of a full packet.
    pub datagram: u64,
    /// How much longer than a round trip something has waited for its acknowledgement.
    pub overdue: Duration,
    /// Whether a full packet may leave now.
    pub allowance: Allowance,
    /// What it costs.
    pub class: CostClass,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Bytes that wait.
    pub bytes: u64,
    /// More follows than memory and credit have room for: there is no end in sight.
    pub more: bool,
    /// Bytes that both sides can hold beyond those sent so far: the receiver by its credit, we by
    /// our memory. Until a packet is acknowledged, both must hold what follows it.
    pub ahead: u64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The next packet goes on this path, now.
    Send {
        /// The candidate's.
        index: usize,
    },
    /// No packet should leave now. `until`: when that may change by itself.
    Wait {
        /// When a path may send again by its pacing.
        until: Option<Instant>,
    },
}

/// Bytes worth sending twice: the path that they are on is late, and an idle one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// The candidate that carries them.
    pub index: usize,
    /// How many they are.
    pub bytes: u64,
}

/// Earliest completion: the path of the next packet, or that it had better wait.
#[must_use]
pub fn choose(candidates: &[Candidate], backlog: &Backlog, now: Instant) -> Choice {
    let waiting = if backlog.more { u64::MAX } else { backlog.bytes };
    let vessels = Vessel::all(candidates, waiting, now);
    let soonest = |vessel: &&Vessel<'_>| vessel.full_at;
    let ready = vessels.iter().filter(|vessel| vessel.path.is_ready()).min_by_key(soonest);
    let earliest = vessels.iter().map(|vessel| vessel.full_at).min().unwrap_or(Duration::MAX);
    if let Some(vessel) = ready {
        let helps = || {
            let others = vessels.iter().filter(|other| other.path.index != vessel.path.index);
            let in_flight = vessels.iter().map(|vessel| vessel.path.in_flight);
            let held = in_flight.fold(backlog.ahead, u64::saturating_add);
            vessel.full_at <= level(others, waiting) && overtaking(vessel, &vessels) <= held
        };
        if vessel.full_at == earliest || helps() {
            return Choice::Send { index: vessel.path.index };
        }
    }
    Choice::Wait {
        until: vessels.iter().map(|vessel| paced_until(vessel.path.allowance)).fold(None, earlier),
    }
}

/// A random path for each packet; for demonstration and tests.
#[must_use]
pub fn spread(candidates: &[Candidate], random: u32) -> Choice {
    let ready = candidates.iter().filter(|path| path.is_ready());
    let count = u32::try_from(ready.clone().count()).unwrap_or(u32::MAX);
    match random.checked_rem(count).and_then(|place| ready.clone().nth(place as usize)) {
        Some(path) => Choice::Send { index: path.index },
        None => Choice::Wait {
            until: candidates.iter().map(|path| paced_until(path.allowance)).fold(None, earlier),
        },
    }
}

/// Nothing waits any more, but bytes are under way: whether a path that idles would deliver what
/// the latest path carries sooner, though all of it has to be sent once more. [`choose`] lets all
/// paths finish together, so this finds something when a path turned out slower than it was
/// believed, or stands still. What is saved must be worth the bytes.
#[must_use]
pub fn tail(candidates: &[Candidate], now: Instant) -> Option<Late> {
    let idle = candidates.iter().filter(|path| path.is_ready());
    let idle = idle.min_by_key(|path| path.floor(now))?;
    let late = candidates.iter().filter(|path| path.index != idle.index && path.in_flight > 0);
    let late = late.max_by_key(|path| path.left())?;
    let again = idle.floor(now) + Duration::of_bytes(late.in_flight, idle.rate);
    (again * 2 < late.left()).then_some(Late { index: late.index, bytes: late.in_flight })
}

impl Candidate {
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.allowance, Allowance::Now(_))
    }

    /// Bytes that are one decision: what the path sends in a quarter of a millisecond, if it may
    /// send so much now and there are places for so many packets. Nothing that is put off so long is put off for long.
    pub fn burst(&self, packets: usize) -> u64 {
        let Allowance::Now(allowed) = self.allowance else { return 0 };
        let places = self.datagram.times(packets as u64);
        BURST.bytes_at(self.rate).min(allowed).min(places)
    }

    /// How long from now until a byte given to this path begins to arrive.
    pub(super) fn floor(&self, now: Instant) -> Duration {
        self.wait(now).max(self.queue) + self.delay + self.risk
    }

    /// How long from now until a full packet may leave on this path.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        match self.allowance {
            Allowance::Now(_) => Duration::ZERO,
            Allowance::At(moment) => moment.since(now),
            // Acknowledgements make room as fast as the path delivers.
            Allowance::Full => {
                let wanted = self.in_flight.plus(self.datagram);
                Duration::of_bytes(wanted.minus(self.window), self.rate)
            }
        }
    }

    /// How long until everything in flight has arrived, as far as one can tell: what is late by
    /// some time will most likely be late by as much again.
    fn left(&self) -> Duration {
        // Where little is under way nothing queues, and some of it has arrived already.
        let trickles = self.in_flight.times(4) <= self.window;
        let queued =
            if trickles { self.queue } else { Duration::of_bytes(self.in_flight, self.rate) };
        queued.max(self.overdue) + self.delay
    }
}

/// A path that may be used, as in the picture; moments count from now.
#[derive(Clone, Copy)]
struct Vessel<'c> {
    path: &'c Candidate,
    /// When a byte given to the path now begins to arrive.
    floor: Duration,
    /// When a packet given to it now has arrived.
    full_at: Duration,
}

impl<'c> Vessel<'c> {
    /// The paths that may carry some of `waiting` bytes.
    fn all(candidates: &'c [Candidate], waiting: u64, now: Instant) -> Vec<Self, VESSELS_MAX> {
        let mut vessels = Vec::new();
        for path in candidates {
            let floor = path.floor(now);
            let packet = Duration::of_bytes(waiting.min(path.datagram), path.rate);
            if vessels.push(Self { path, floor, full_at: floor + packet }).is_err() {
                break;
            }
        }
        let dearest = dearest_class(&vessels, waiting);
        keep(&mut vessels, &mut |vessel| vessel.path.class <= dearest);
        vessels
    }
}

/// The water level: how long from now until the last of `bytes` arrives when every path carries
/// its best share. [`Duration::MAX`] when nothing moves.
fn level<'v>(vessels: impl Iterator<Item = &'v Vessel<'v>> + Clone, bytes: u64) -> Duration {
    let mut level = Duration::MAX;
    // Begins with all and leaves out those that stay dry: each round drops one or is the last.
    loop {
        let mut width: u64 = 0;
        let mut area = bytes.times(MICROS);
        for vessel in vessels.clone().filter(|vessel| vessel.floor < level) {
            let below = vessel.path.rate.times(vessel.floor.as_micros());
            width = width.plus(vessel.path.rate);
            area = area.plus(below);
        }
        let next = area.checked_div(width).map_or(Duration::MAX, Duration::from_micros);
        if next >= level {
            return level;
        }
        level = next;
    }
}

/// How many bytes clearly faster paths send until a packet given to `slow` now is acknowledged.
/// Until then both sides have to hold them all; if they cannot, the fast paths will stand still,
/// and the connection would be quicker without the slow one. (Clearly: by more than a sixteenth,
/// lest equal paths exclude each other by turns.)
fn overtaking(slow: &Vessel<'_>, vessels: &[Vessel<'_>]) -> u64 {
    let reach = |vessel: &Vessel<'_>| vessel.path.queue + vessel.path.delay;
    let released = slow.full_at + slow.path.delay;
    // The acknowledgement waits for company, and the word of new room takes its time.
    let released = released + released / 8;
    vessels
        .iter()
        .filter(|vessel| reach(vessel) + reach(vessel) / 16 < reach(slow))
        .map(|vessel| released.bytes_at(vessel.path.rate))
        .fold(0, u64::saturating_add)
}

/// The dearest class that may carry data now: a metered link joins in when the free ones need too
/// long for what waits, a last resort only when it is all that is left.
fn dearest_class(vessels: &[Vessel<'_>], waiting: u64) -> CostClass {
    let up_to = |dearest| vessels.iter().filter(move |vessel| vessel.path.class <= dearest);
    let free = || up_to(CostClass::Wireless);
    if up_to(CostClass::LastResort).all(|vessel| vessel.path.class <= CostClass::Wireless) {
        return CostClass::Wireless;
    }
    match free().map(|vessel| vessel.floor).min() {
        Some(first) if level(free(), waiting) <= first + FREE_PATIENCE => CostClass::Wireless,
        _ if up_to(CostClass::Metered).next().is_some() => CostClass::Metered,
        _ => CostClass::LastResort,
    }
}

pub(super) const fn paced_until(allowance: Allowance) -> Option<Instant> {
    match allowance {
        Allowance::At(moment) => Some(moment),
        Allowance::Now(_) | Allowance::Full => None,
    }
}

/// How long the choice of a path holds.
const BURST: Duration = Duration::from_micros(250);
/// Free links that need no longer than this for what waits are left alone.
const FREE_PATIENCE: Duration = Duration::from_secs(1);
/// Paths that are looked at: as many as a connection has.
const VESSELS_MAX: usize = 8;
const MICROS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A ready path of so many Mbit/s and milliseconds.
    fn path(index: usize, mbits: u64, millis: u64) -> Candidate {
        Candidate {
            index,
            rate: mbits * 125_000,
            delay: Duration::from_millis(millis),
            risk: Duration::ZERO,
            queue: Duration::ZERO,
            in_flight: 0,
            window: 1 << 20,
            datagram: 1_250,
            overdue: Duration::ZERO,
            allowance: Allowance::Now(1 << 20),
            class: CostClass::Wired,
        }
    }

    /// The same path, paced for so long.
    fn busy(millis: u64, path: Candidate) -> Candidate {
        Candidate { allowance: Allowance::At(NOW + Duration::from_millis(millis)), ..path }
    }

    fn backlog(bytes: u64) -> Backlog {
        Backlog { bytes, more: false, ahead: 1 << 24 }
    }

    fn chosen(paths: &[Candidate], bytes: u64) -> Option<usize> {
        match choose(paths, &backlog(bytes), NOW) {
            Choice::Send { index } => Some(index),
            Choice::Wait { .. } => None,
        }
    }

    const NOW: Instant = Instant::from_micros(5_000_000);

    #[test]
    fn the_level_is_where_the_paths_together_have_delivered() {
        // 10 kB/ms alone up to 100 ms; above, 11 kB/ms.
        let paths = [path(0, 80, 10), path(1, 8, 100)];
        let vessels = Vessel::all(&paths, u64::MAX, NOW);
        let level = |bytes| level(vessels.iter(), bytes).as_micros() / 1_000;
        for (bytes, millis) in [(0, 10), (500_000, 60), (900_000, 100), (2_000_000, 200)] {
            assert_eq!(level(bytes), millis, "{bytes}");
        }
        assert_eq!(super::level([].iter(), 1), Duration::MAX);
    }

    #[test]
    fn what_each_situation_asks_for() {
        let (fast, slow) = (path(0, 80, 10), path(1, 8, 100));
        let full = Candidate { allowance: Allowance::Full, in_flight: 1 << 20, ..fast };
        let queued = Candidate { queue: Duration::from_millis(200), ..fast };
        let table: [(&str, &[Candidate], u64, Option<usize>); 9] = [
            ("one packet takes the path that delivers it first", &[slow, fast], 100, Some(0)),
            (
                "a wide path beats a short one that takes longer",
                &[path(0, 1, 5), path(1, 100, 10)],
                1_250,
                Some(1),
            ),
            ("but not for a few bytes", &[path(0, 1, 5), path(1, 100, 10)], 100, Some(0)),
            ("little waits for the fast path", &[busy(3, fast), slow], 500_000, None),
            ("much does not", &[busy(3, fast), slow], 10_000_000, Some(1)),
            ("a full window is waited for like pacing", &[full, slow], 10_000, None),
            ("but not for ever", &[full, slow], 10_000_000, Some(1)),
            ("a queue makes the fast path the slow one", &[queued, slow], 1_250, Some(1)),
            ("nothing can be sent without a path", &[], 1_250, None),
        ];
        for (what, paths, bytes, expected) in table {
            assert_eq!(chosen(paths, bytes), expected, "{what}");
        }
        let until = Some(NOW + Duration::from_millis(3));
        assert_eq!(choose(&[busy(3, fast), slow], &backlog(500_000), NOW), Choice::Wait { until });
    }

    #[test]
    fn what_is_known_to_follow_counts_as_waiting() {
        let paths = [busy(3, path(0, 80, 10)), path(1, 8, 100)];
        let endless = Backlog { more: true, ..backlog(500) };
        assert_eq!(choose(&paths, &endless, NOW), Choice::Send { index: 1 });
    }

    #[test]
    fn little_memory_is_not_filled_by_what_overtakes_a_slow_path() {
        let paths = [busy(1, path(0, 80, 10)), path(1, 8, 100)];
        // 10 kB/ms while the slow packet and its acknowledgement are under way: 201.25 ms, and an
        // eighth.
        for (ahead, sends) in [(2_264_000, false), (2_265_000, true)] {
            let backlog = Backlog { bytes: 10_000_000, more: false, ahead };
            let choice = choose(&paths, &backlog, NOW);
            assert_eq!(matches!(choice, Choice::Send { index: 1 }), sends, "{ahead}");
        }
        // The fastest path is never held back.
        let nothing = Backlog { bytes: 10_000_000, ..Backlog::default() };
        assert_eq!(choose(&[path(0, 80, 10)], &nothing, NOW), Choice::Send { index: 0 });
    }

    #[test]
    fn links_that_cost_money_wait_until_they_are_needed() {
        let metered = Candidate { class: CostClass::Metered, ..path(1, 80, 5) };
        let last = Candidate { class: CostClass::LastResort, ..path(2, 800, 1) };
        let paths = [busy(1, path(0, 80, 10)), metered, last];
        // The free path needs a second for 10 MB.
        assert_eq!(chosen(&paths, 9_900_000), None);
        assert_eq!(chosen(&paths, 10_100_000), Some(1));
        assert_eq!(chosen(&[metered, last], 100), Some(1));
        assert_eq!(chosen(&[last], 100), Some(2));
    }

    #[test]
    fn a_tail_is_sent_twice_when_that_ends_it_much_sooner() {
        let idle = path(0, 80, 10);
        let flight = |rate: u64, bytes, overdue| Candidate {
            in_flight: bytes,
            overdue: Duration::from_millis(overdue),
            window: 30_000,
            ..path(1, rate, 10)
        };
        let late = |bytes| Some(Late { index: 1, bytes });
        for (what, other, expected) in [
            ("12 ms against 35", flight(8, 25_000, 0), late(25_000)),
            ("12 ms against 20", flight(8, 10_000, 0), None),
            ("a trickle: some of it has arrived", flight(2, 7_000, 0), None),
            ("and of a silent one nobody knows", flight(2, 7_000, 80), late(7_000)),
            ("nothing is under way", flight(8, 0, 500), None),
            ("silence speaks louder than the rate", flight(80, 10_000, 30), late(10_000)),
            ("much would take long on the idle path, too", flight(80, 400_000, 60), None),
        ] {
            assert_eq!(tail(&[idle, other], NOW), expected, "{what}");
        }
        assert_eq!(tail(&[busy(1, idle), flight(8, 25_000, 0)], NOW), None, "nobody idles");
    }

    #[test]
    fn spread_draws_among_those_that_are_ready() {
        let paths = [busy(1, path(0, 80, 10)), path(1, 8, 100), path(2, 8, 100)];
        let drawn = |random| spread(&paths, random);
        assert_eq!([drawn(0), drawn(1)], [Choice::Send { index: 1 }, Choice::Send { index: 2 }]);
        let until = Some(NOW + Duration::from_millis(1));
        assert_eq!(spread(&paths[..1], 7), Choice::Wait { until });
    }
}
