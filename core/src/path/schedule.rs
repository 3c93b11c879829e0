//! **Which path gets the next packet?** The policy that the project exists for.
//!
//! Earliest completion: the packet goes where it will *arrive* first, not where it can *leave*
//! first. For each path
//!
//! ```text
//!   arrival = wait for its window or pacing + its queue / its rate + its delay
//! ```
//!
//! and the least arrival wins, even if that means waiting for the fast path to have room again. A
//! slower path that could take the packet now is used only if
//!
//! 1. the faster paths, left alone, would need longer than that for everything that waits (else
//!    the slow packet would be the last to arrive, and everybody would wait for it), and
//! 2. what the faster paths send until the slow packet is acknowledged fits the memory on both
//!    sides, where it must wait for that (else the fast paths would stall).
//!
//! That is what keeps the promise of never being slower than the best single path: a slow, long
//! link joins in only for data that would not have got across sooner without it. The ideas are
//! those of ECF (CoNEXT 2017) and BLEST (Networking 2016).
//!
//! Links that cost money join in only when the cheaper ones need more than a second for what
//! waits, and links of last resort when there is nothing else.

use crate::id::CostClass;
use crate::recovery::Allowance;
use crate::time::{Duration, Instant};

/// A path that may carry data, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What the caller calls it.
    pub index: usize,
    /// What it delivers, bytes a second.
    pub rate: u64,
    /// One way, without a queue of ours.
    pub delay: Duration,
    /// Bytes in flight, and how many may be.
    pub in_flight: u64,
    /// Bytes that may be in flight.
    pub window: u64,
    /// Bytes of a full packet.
    pub datagram: u64,
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
    /// Bytes that can be sent before something sent earlier must have been acknowledged: both
    /// sides must hold what follows a packet until it has.
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

impl Candidate {
    /// How long a packet given to this path now takes to arrive.
    pub(super) fn arrival(&self, now: Instant) -> Duration {
        let wait = match self.allowance {
            Allowance::Now(_) => Duration::ZERO,
            Allowance::At(moment) => moment.since(now),
            Allowance::Full => {
                let over = self.in_flight.saturating_add(self.datagram);
                Duration::of_bytes(over.saturating_sub(self.window), self.rate)
            }
        };
        let carried = (self.delay * 2).bytes_at(self.rate);
        let queue = Duration::of_bytes(self.in_flight.saturating_sub(carried), self.rate);
        wait + queue + self.delay
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.allowance, Allowance::Now(_))
    }
}

/// Chooses the path of the next packet.
#[must_use]
pub fn choose(candidates: &[Candidate], backlog: &Backlog, now: Instant) -> Choice {
    let usable = affordable(candidates, backlog.bytes);
    let eligible = || candidates.iter().filter(|path| path.class <= usable);
    let arrivals = |path: &&Candidate| (path.arrival(now), path.index);
    let Some(first) = eligible().min_by_key(arrivals) else {
        return Choice::Wait { until: None };
    };
    if first.is_ready() {
        return Choice::Send { index: first.index };
    }
    let mut ready = eligible().filter(|path| path.is_ready()).min_by_key(arrivals);
    if let Some(slow) = ready {
        let arrival = slow.arrival(now);
        let faster = || eligible().filter(|path| path.arrival(now) < arrival);
        let rate = faster().fold(0_u64, |sum, path| sum.saturating_add(path.rate));
        let alone = first.arrival(now) + Duration::of_bytes(backlog.bytes, rate);
        let meanwhile = (arrival + slow.delay).bytes_at(rate);
        if arrival > alone || meanwhile > backlog.ahead {
            ready = None;
        }
    }
    match ready {
        Some(path) => Choice::Send { index: path.index },
        None => Choice::Wait { until: eligible().filter_map(paced_until).min() },
    }
}

/// A random path for each packet; for demonstration and tests.
#[must_use]
pub fn spread(candidates: &[Candidate], random: u32) -> Choice {
    let ready = candidates.iter().filter(|path| path.is_ready());
    let count = u32::try_from(ready.clone().count()).unwrap_or(u32::MAX);
    match random.checked_rem(count).and_then(|place| ready.clone().nth(place as usize)) {
        Some(path) => Choice::Send { index: path.index },
        None => Choice::Wait { until: candidates.iter().filter_map(paced_until).min() },
    }
}

/// With nothing left to send: how many of the bytes under way should be sent once more, because a
/// path that idles would deliver them sooner than the slowest one will. Zero: none.
#[must_use]
pub fn tail(candidates: &[Candidate], now: Instant) -> u64 {
    let ready = candidates.iter().filter(|path| path.is_ready());
    let Some(fast) = ready.min_by_key(|path| path.arrival(now)) else { return 0 };
    let left = |path: &Candidate| Duration::of_bytes(path.in_flight, path.rate) + path.delay;
    let slow = candidates.iter().filter(|path| path.index != fast.index && path.in_flight > 0);
    let Some(slow) = slow.max_by_key(|path| left(path)) else { return 0 };
    let ours = fast.arrival(now) + Duration::of_bytes(slow.in_flight, fast.rate);
    // What is saved must be worth the bytes.
    if ours * 2 < left(slow) { slow.in_flight.min(TAIL_MAX) } else { 0 }
}

/// The most expensive class that may be used: cheaper links must need too long for what waits.
fn affordable(candidates: &[Candidate], bytes: u64) -> CostClass {
    let free = candidates.iter().filter(|path| path.class <= CostClass::Wireless);
    let rate = free.clone().fold(0_u64, |sum, path| sum.saturating_add(path.rate));
    if free.clone().next().is_some() {
        let patient = Duration::of_bytes(bytes, rate) <= CHEAP_ENOUGH;
        return if patient { CostClass::Wireless } else { CostClass::Metered };
    }
    let metered = candidates.iter().any(|path| path.class == CostClass::Metered);
    if metered { CostClass::Metered } else { CostClass::LastResort }
}

fn paced_until(path: &Candidate) -> Option<Instant> {
    match path.allowance {
        Allowance::At(moment) => Some(moment),
        Allowance::Now(_) | Allowance::Full => None,
    }
}

/// Cheaper links that need no longer than this for what waits are left alone.
const CHEAP_ENOUGH: Duration = Duration::from_secs(1);
/// Bytes sent twice at the end of a transfer, at most.
const TAIL_MAX: u64 = 256 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const DATAGRAM: u64 = 1_200;

    fn path(index: usize, mbit: u64, delay_ms: u64) -> Candidate {
        let rate = mbit * 125_000;
        let delay = Duration::from_millis(delay_ms);
        let window = (delay * 2).bytes_at(rate) + 10 * DATAGRAM;
        Candidate {
            index,
            rate,
            delay,
            in_flight: 0,
            window,
            datagram: DATAGRAM,
            allowance: Allowance::Now(window),
            class: CostClass::Wired,
        }
    }

    /// A model of links without loss: each takes a packet when its pacing allows and delivers it
    /// after its delay. Returns when the last of `bytes` arrives.
    fn transfer(mut paths: Vec<Candidate>, bytes: u64) -> Duration {
        let mut free = std::vec![Instant::ZERO; paths.len()];
        let mut flights: Vec<(Instant, usize)> = Vec::new();
        let (mut now, mut left, mut last) = (Instant::ZERO, bytes, Instant::ZERO);
        while left > 0 {
            // An acknowledgement is back one delay after its packet's arrival.
            flights.retain(|(acked, index)| {
                let back = *acked <= now;
                if back {
                    paths[*index].in_flight -= DATAGRAM;
                }
                !back
            });
            for path in &mut paths {
                path.allowance = if path.in_flight + DATAGRAM > path.window {
                    Allowance::Full
                } else if free[path.index] > now {
                    Allowance::At(free[path.index])
                } else {
                    Allowance::Now(DATAGRAM)
                };
            }
            let backlog = Backlog { bytes: left, ahead: u64::MAX };
            match choose(&paths, &backlog, now) {
                Choice::Send { index } => {
                    let path = &mut paths[index];
                    free[index] = free[index].max(now) + Duration::of_bytes(DATAGRAM, path.rate);
                    let arrival = free[index] + path.delay;
                    last = last.max(arrival);
                    flights.push((arrival + path.delay, index));
                    path.in_flight += DATAGRAM;
                    left = left.saturating_sub(DATAGRAM);
                }
                Choice::Wait { until } => {
                    let acked = flights.iter().map(|(acked, _)| *acked).min();
                    now = [until, acked].into_iter().flatten().min().expect("someone moves");
                }
            }
        }
        last.since(Instant::ZERO)
    }

    fn bound(paths: &[Candidate], bytes: u64) -> Duration {
        let carried = |time: Duration| -> u64 {
            paths.iter().map(|path| (time - path.delay).bytes_at(path.rate)).sum()
        };
        let (mut low, mut high) = (0, 1 << 40);
        while low < high {
            let middle = (low + high) / 2;
            if carried(Duration::from_micros(middle)) < bytes {
                low = middle + 1
            } else {
                high = middle
            }
        }
        Duration::from_micros(low)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Close to the best that any schedule could do, and never slower than the best path alone.
        #[test]
        fn close_to_the_bound(
            rate_ratio in prop::sample::select(std::vec![1_u64, 3, 10, 50]),
            delay_ratio in prop::sample::select(std::vec![1_u64, 2, 4, 8, 16, 60]),
            slow_has_long in any::<bool>(),
            packets in 100_u64..6_000,
        ) {
            let (long, short) = (5 * delay_ratio, 5);
            let fast = path(0, 50, if slow_has_long { short } else { long });
            let slow = path(1, 50 / rate_ratio, if slow_has_long { long } else { short });
            let bytes = packets * DATAGRAM;
            let took = transfer(std::vec![fast, slow], bytes);
            let slack = Duration::from_millis(15) + Duration::of_bytes(2 * DATAGRAM, slow.rate);
            let limit = bound(&[fast, slow], bytes) * 105 / 100 + slack;
            prop_assert!(took <= limit, "{took:?} is over {limit:?}");
            let alone = transfer(std::vec![fast], bytes).min(transfer(std::vec![Candidate { index: 0, ..slow }], bytes));
            prop_assert!(took <= alone * 102 / 100 + slack, "{took:?} is slower than {alone:?} alone");
        }
    }

    #[test]
    fn a_small_message_waits_for_the_fast_path() {
        let mut fast = path(0, 100, 5);
        fast.allowance = Allowance::At(Instant::from_micros(100));
        let slow = path(1, 2, 150);
        let small = Backlog { bytes: 3 * DATAGRAM, ahead: u64::MAX };
        let wait = Choice::Wait { until: Some(Instant::from_micros(100)) };
        assert_eq!(choose(&[fast, slow], &small, Instant::ZERO), wait);
        let large = Backlog { bytes: 10_000_000, ..small };
        assert_eq!(choose(&[fast, slow], &large, Instant::ZERO), Choice::Send { index: 1 });
        let cramped = Backlog { ahead: 100_000, ..large };
        assert_eq!(choose(&[fast, slow], &cramped, Instant::ZERO), wait);
    }

    #[test]
    fn links_that_cost_money_wait_until_they_are_needed() {
        let mut wired = path(0, 10, 5);
        wired.allowance = Allowance::Full;
        let mut metered = path(1, 10, 5);
        metered.class = CostClass::Metered;
        let little = Backlog { bytes: 100_000, ahead: u64::MAX };
        let waits = Choice::Wait { until: None };
        assert_eq!(choose(&[wired, metered], &little, Instant::ZERO), waits);
        let much = Backlog { bytes: 100_000_000, ..little };
        assert_eq!(choose(&[wired, metered], &much, Instant::ZERO), Choice::Send { index: 1 });
        assert_eq!(choose(&[metered], &little, Instant::ZERO), Choice::Send { index: 1 });
    }
}
