//! **Every byte on every path: the first copy wins.** The policy of the mode `redundant`.
//!
//! Each path is a *lane* that sends all streams in order, at its own pace, from its own place. What
//! was acknowledged on any lane is skipped by all, so a lane that falls behind is pulled along:
//!
//! ```text
//!   stream    ██████████▒▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░    █ acknowledged   ░ not yet written
//!   fast lane                         ^
//!   slow lane           ^ (what the fast one has delivered it need not carry)
//! ```
//!
//! So a path that dies is missed by nobody: the others have sent the same bytes, or are about to.
//! The lane on which a packet would arrive first *leads*: it alone sends once more what was lost
//! and what concerns the whole connection. The others follow, and hold no queue: a copy that would
//! have to wait behind others of its kind is not sent until the line is free, or is not needed any
//! more. That is why a slow path can never hold back a fast one.

use super::schedule::{Candidate, Choice, paced_until};
use crate::arithmetic::Wide;
use crate::id::CostClass;
use crate::recovery::Allowance;
use crate::time::{Duration, Instant, earlier};

/// A path that may carry data, as this policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The candidate's.
    pub index: usize,
    /// How long a packet given to it now takes to arrive.
    pub arrival: Duration,
    /// How long what we sent on it before keeps its line busy, but for two packets.
    pub queue: Duration,
    /// Whether a full packet may leave now.
    pub allowance: Allowance,
    /// It has something to send that it has not sent yet.
    pub waits: bool,
    /// What it costs.
    pub class: CostClass,
}

impl Lane {
    /// The lane of a candidate, which `waits` or does not.
    #[must_use]
    pub fn of(path: &Candidate, waits: bool, now: Instant) -> Self {
        // What the way itself holds does not queue.
        let queued = path.in_flight.minus((path.delay * 2).bytes_at(path.rate));
        let short = queued.minus(path.datagram.times(2));
        Self {
            index: path.index,
            arrival: path.wait(now) + Duration::of_bytes(queued, path.rate) + path.delay,
            queue: Duration::of_bytes(short, path.rate),
            allowance: path.allowance,
            waits,
            class: path.class,
        }
    }

    const fn is_ready(&self) -> bool {
        matches!(self.allowance, Allowance::Now(_))
    }
}

/// The dearest class that is used: two lanes are enough, so links that cost money are left alone
/// where there are two others.
fn dearest(lanes: &[Lane]) -> CostClass {
    let enough = |class: &CostClass| lanes.iter().filter(|lane| lane.class <= *class).count() >= 2;
    let classes = [CostClass::Wireless, CostClass::Metered];
    classes.into_iter().find(enough).unwrap_or(CostClass::LastResort)
}

/// The lane on which a packet would arrive first.
#[must_use]
pub fn leader(lanes: &[Lane]) -> Option<usize> {
    let dearest = dearest(lanes);
    let lanes = lanes.iter().filter(|lane| lane.class <= dearest);
    lanes.min_by_key(|lane| lane.arrival).map(|lane| lane.index)
}

/// Chooses the lane of the next packet. `common`: something waits that only the leader sends.
#[must_use]
pub fn copy(lanes: &[Lane], common: bool) -> Choice {
    let (leader, dearest) = (leader(lanes), dearest(lanes));
    let wants = |lane: &&Lane| {
        if lane.class > dearest {
            return false;
        }
        let leads = Some(lane.index) == leader;
        if leads { lane.waits || common } else { lane.waits && lane.queue <= QUEUE_MAX }
    };
    let ready = lanes.iter().filter(wants).filter(|lane| lane.is_ready());
    match ready.min_by_key(|lane| lane.arrival) {
        Some(lane) => Choice::Send { index: lane.index },
        None => Choice::Wait {
            until: lanes
                .iter()
                .filter(wants)
                .map(|lane| paced_until(lane.allowance))
                .fold(None, earlier),
        },
    }
}

/// The longest queue of copies that a lane behind the leader may hold.
const QUEUE_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SEND: Allowance = Allowance::Now(1_200);
    const LATER: Instant = Instant::from_micros(500);

    fn lane(index: usize, arrival: u64, queue: u64, allowance: Allowance, waits: bool) -> Lane {
        let (arrival, queue) = (Duration::from_millis(arrival), Duration::from_millis(queue));
        Lane { index, arrival, queue, allowance, waits, class: CostClass::Wired }
    }

    #[test]
    fn who_sends_next() {
        // spec: 9.12-2
        let wait = |until| Choice::Wait { until };
        let send = |index| Choice::Send { index };
        let paced = Allowance::At(LATER);
        let table: [(&str, &[Lane], bool, Choice); 9] = [
            ("nobody", &[], true, wait(None)),
            ("nothing to send", &[lane(0, 5, 0, SEND, false)], false, wait(None)),
            ("alone, whatever its queue", &[lane(0, 5, 90, SEND, true)], false, send(0)),
            (
                "the fastest first",
                &[lane(0, 20, 0, SEND, true), lane(1, 10, 0, SEND, true)],
                false,
                send(1),
            ),
            (
                "then the other",
                &[lane(0, 20, 0, SEND, true), lane(1, 10, 0, SEND, false)],
                false,
                send(0),
            ),
            (
                "the other does not wait for the leader's pacing",
                &[lane(0, 20, 0, SEND, true), lane(1, 10, 0, paced, true)],
                false,
                send(0),
            ),
            (
                "no copy joins a queue",
                &[lane(0, 40, 11, SEND, true), lane(1, 10, 0, paced, true)],
                false,
                wait(Some(LATER)),
            ),
            (
                "what is lost is the leader's",
                &[lane(0, 20, 0, SEND, false), lane(1, 10, 0, Allowance::Full, false)],
                true,
                wait(None),
            ),
            ("and it takes it", &[lane(0, 20, 0, SEND, false)], true, send(0)),
        ];
        for (name, lanes, common, expected) in table {
            assert_eq!(copy(lanes, common), expected, "{name}");
        }
    }

    #[test]
    fn two_lanes_are_enough_for_links_that_cost_nothing() {
        let class = |index: usize, class| Lane { class, ..lane(index, 1, 0, SEND, true) };
        let (wired, wifi) = (class(0, CostClass::Wired), class(1, CostClass::Wireless));
        let (modem, vpn) = (class(2, CostClass::Metered), class(3, CostClass::LastResort));
        let table: [(&[Lane], &[usize]); 5] = [
            (&[wired, wifi, modem, vpn], &[0, 1]),
            (&[wired, modem, vpn], &[0, 2]),
            (&[modem, vpn], &[2, 3]),
            (&[wired, vpn], &[0, 3]),
            (&[vpn], &[3]),
        ];
        for (lanes, expected) in table {
            let mut lanes: Vec<Lane> = lanes.to_vec();
            let mut used = Vec::new();
            while let Choice::Send { index } = copy(&lanes, false) {
                used.push(index);
                lanes.iter_mut().filter(|lane| lane.index == index).for_each(|l| l.waits = false);
            }
            assert_eq!(used, expected);
        }
    }

    proptest! {
        /// Whoever is chosen may send and has something to send; and nobody who leads, has
        /// something to send and may send it is made to wait.
        #[test]
        fn choices_are_possible_and_the_leader_is_never_held_back(
            given in prop::collection::vec((0_u64..100, 0_u64..30, 0_u8..3, any::<bool>()), 0..8),
            common in any::<bool>(),
        ) {
            let allowances = [SEND, Allowance::At(LATER), Allowance::Full];
            let lanes: Vec<Lane> = given.iter().enumerate().map(|(index, (arrival, queue, may, waits))| {
                lane(index, *arrival, *queue, allowances[usize::from(*may)], *waits)
            }).collect();
            let first = leader(&lanes);
            let can = |lane: &Lane| lane.is_ready() && (lane.waits || common);
            match copy(&lanes, common) {
                Choice::Send { index } => {
                    let chosen = lanes[index];
                    prop_assert!(can(&chosen));
                    prop_assert!(Some(index) == first || chosen.waits && chosen.queue <= QUEUE_MAX);
                }
                Choice::Wait { .. } => prop_assert!(first.is_none_or(|first| !can(&lanes[first]))),
            }
        }
    }
}
