//! The scheduler against its oracle: S bytes over links of rate r and one-way delay d cannot arrive
//! before T* with sum r * max(0, T* - d) = S. A small packet simulation, without loss, plays the
//! sender with exact knowledge of the links, and asks that
//!
//! - transfers end within 5 % of T* and a packet,
//! - more links never make a transfer slower than the best of them alone, whatever the receiver's
//!   memory.
//!
//! Loss, congestion control and wrong estimates are the whole simulator's business (`tests/`).

use core::cmp::Reverse;
use proptest::prelude::*;
use ropewalk_core::id::CostClass;
use ropewalk_core::path::{Backlog, Candidate, Choice, choose};
use ropewalk_core::recovery::Allowance;
use ropewalk_core::time::{Duration, Instant};
use std::collections::BinaryHeap;

const PACKET: u64 = 1_250;

/// How a sender holds itself back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restraint {
    /// A packet every so often, at exactly the link's rate.
    Pacing,
    /// A window of what the link holds plus a queue of 20 ms, filled in runs of four packets at
    /// 5/4 of the link's rate: a queue stands before the link.
    Window,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// Bytes a second.
    rate: u64,
    /// One way, in microseconds.
    delay: u64,
}

impl Link {
    fn micros(self, bytes: u64) -> u64 {
        Duration::of_bytes(bytes, self.rate).as_micros()
    }

    fn holds(self) -> u64 {
        Duration::from_micros(2 * self.delay).bytes_at(self.rate)
    }

    fn window(self) -> u64 {
        2 * PACKET + self.holds() + Duration::from_millis(20).bytes_at(self.rate)
    }
}

/// T*: the earliest moment, in microseconds, by which `bytes` can have arrived.
fn oracle(links: &[Link], bytes: u64) -> u64 {
    let arrived = |t: u64| -> u64 {
        links
            .iter()
            .map(|l| Duration::from_micros(t.saturating_sub(l.delay)).bytes_at(l.rate))
            .sum()
    };
    let (mut low, mut high) = (0, 1 << 40);
    while low < high {
        let middle = (low + high) / 2;
        if arrived(middle) >= bytes { high = middle } else { low = middle + 1 }
    }
    low
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrived { packet: usize },
    Acknowledged { link: usize },
    Credit { packets: u64 },
    Wake,
}

/// One transfer of `total` packets to a receiver that holds `memory` packets.
struct Transfer<'l> {
    links: &'l [Link],
    restraint: Restraint,
    total: u64,
    memory: u64,
    now: u64,
    future: BinaryHeap<Reverse<(u64, Happening)>>,
    /// Per link: when its bottleneck is free again, when pacing allows more, and bytes in flight.
    busy_until: Vec<u64>,
    paced_until: Vec<u64>,
    in_flight: Vec<u64>,
    sent: u64,
    limit: u64,
    arrived: Vec<bool>,
    arrived_in_order: u64,
}

impl<'l> Transfer<'l> {
    fn new(links: &'l [Link], restraint: Restraint, total: u64, memory: u64) -> Self {
        Self {
            links,
            restraint,
            total,
            memory,
            now: 0,
            future: BinaryHeap::new(),
            busy_until: vec![0; links.len()],
            paced_until: vec![0; links.len()],
            in_flight: vec![0; links.len()],
            sent: 0,
            limit: memory,
            arrived: vec![false; total as usize],
            arrived_in_order: 0,
        }
    }

    /// Until everything has arrived; returns when that was, in microseconds.
    fn run(mut self) -> u64 {
        loop {
            self.send();
            let Reverse((at, happening)) =
                self.future.pop().expect("the transfer never stands still");
            self.now = at;
            self.on(happening);
            if self.arrived_in_order == self.total {
                return self.now;
            }
        }
    }

    fn on(&mut self, happening: Happening) {
        match happening {
            Happening::Arrived { packet } => {
                self.arrived[packet] = true;
                let before = self.arrived_in_order;
                advance(&mut self.arrived_in_order, &self.arrived);
                if self.arrived_in_order > before {
                    let back = self.links.iter().map(|link| link.delay).min().unwrap();
                    let packets = self.arrived_in_order.saturating_add(self.memory);
                    self.future.push(Reverse((self.now + back, Happening::Credit { packets })));
                }
            }
            Happening::Acknowledged { link } => self.in_flight[link] -= PACKET,
            Happening::Credit { packets } => self.limit = self.limit.max(packets),
            Happening::Wake => {}
        }
    }

    fn send(&mut self) {
        loop {
            let waiting = self.total.min(self.limit) - self.sent;
            if waiting == 0 {
                return;
            }
            let backlog = Backlog {
                bytes: waiting * PACKET,
                more: self.limit < self.total,
                ahead: (self.limit - self.sent) * PACKET,
            };
            let now = Instant::from_micros(self.now);
            let candidates: Vec<_> = (0..self.links.len()).map(|i| self.candidate(i)).collect();
            match choose(&candidates, &backlog, now) {
                Choice::Send { index } => self.transmit(index),
                Choice::Wait { until } => {
                    if let Some(until) = until {
                        self.future.push(Reverse((until.as_micros(), Happening::Wake)));
                    }
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, index: usize) {
        let link = self.links[index];
        let leaves = self.busy_until[index].max(self.now) + link.micros(PACKET);
        self.busy_until[index] = leaves;
        let spacing = match self.restraint {
            Restraint::Pacing => link.micros(PACKET),
            Restraint::Window => link.micros(PACKET) * 4 / 5,
        };
        self.paced_until[index] = self.paced_until[index].max(self.now) + spacing;
        self.in_flight[index] += PACKET;
        let packet = self.sent as usize;
        self.sent += 1;
        let arrives = leaves + link.delay;
        self.future.push(Reverse((arrives, Happening::Arrived { packet })));
        let acknowledged = Happening::Acknowledged { link: index };
        self.future.push(Reverse((arrives + link.delay, acknowledged)));
    }

    fn candidate(&self, index: usize) -> Candidate {
        let link = self.links[index];
        let in_flight = self.in_flight[index];
        let (window, run) = match self.restraint {
            Restraint::Pacing => (u64::MAX, PACKET),
            Restraint::Window => (link.window(), 4 * PACKET),
        };
        let room = window - in_flight;
        let allowance = if room < PACKET {
            Allowance::Full
        } else if self.paced_until[index] > self.now {
            Allowance::At(Instant::from_micros(self.paced_until[index]))
        } else {
            Allowance::Now(room.min(run))
        };
        Candidate {
            index,
            rate: link.rate,
            delay: Duration::from_micros(link.delay),
            risk: Duration::ZERO,
            queue: Duration::from_micros(self.busy_until[index].saturating_sub(self.now)),
            in_flight,
            window,
            allowance,
            class: CostClass::Wired,
            datagram: PACKET,
            overdue: Duration::ZERO,
        }
    }
}

fn advance(first: &mut u64, done: &[bool]) {
    while done.get(*first as usize) == Some(&true) {
        *first += 1;
    }
}

fn time(links: &[Link], restraint: Restraint, total: u64, memory: u64) -> u64 {
    Transfer::new(links, restraint, total, memory).run()
}

/// 2 to 4 links: rates up to 50 times, round trips up to 60 times apart.
fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (1_u64..=50, 1_u64..=60);
    (prop::collection::vec(link, 2..=4), 100_000_u64..1_000_000, 500_u64..5_000).prop_map(
        |(links, rate, delay)| {
            links.iter().map(|(r, d)| Link { rate: r * rate, delay: d * delay }).collect()
        },
    )
}

fn restraint() -> impl Strategy<Value = Restraint> {
    prop_oneof![Just(Restraint::Pacing), Just(Restraint::Window)]
}

proptest! {
    // Each case is a dozen transfers; the long runs belong to the simulator.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_transfer_ends_as_soon_as_the_links_allow(links in links(), total in 1_u64..400, restraint in restraint()) {
        let bound = oracle(&links, total * PACKET);
        let packet = links.iter().filter(|l| l.delay < bound).map(|l| l.micros(PACKET)).max().unwrap();
        let took = time(&links, restraint, total, u64::MAX / PACKET);
        prop_assert!(took <= bound + bound / 20 + packet, "{} us instead of {}", took, bound);
    }

    /// With a receiver that holds at least what the best link alone has under way. (A smaller one
    /// stops and goes whatever the scheduler does, and the end of the last round is luck.)
    #[test]
    fn more_links_are_never_slower_than_the_best_alone(
        links in links(), total in 1_u64..400, memory in 4_u64..400, restraint in restraint(),
    ) {
        let alone = |memory| {
            let took = links.iter().map(|link| time(&[*link], restraint, total, memory));
            took.zip(&links).min_by_key(|(took, _)| *took).unwrap()
        };
        let (_, link) = alone(u64::MAX / PACKET);
        let memory = memory + link.holds() / PACKET;
        let (best, _) = alone(memory);
        let took = time(&links, restraint, total, memory);
        let packet = link.micros(PACKET);
        prop_assert!(took <= best + best / 50 + packet, "{} us instead of {}", took, best);
    }
}

#[test]
fn the_oracle_knows_the_links_of_the_kernels_hardest_row() {
    // 16 MiB over 15 Mbit/s with 25 ms and 5 Mbit/s with 1 ms.
    let links = [Link { rate: 1_875_000, delay: 25_000 }, Link { rate: 625_000, delay: 1_000 }];
    assert_eq!(oracle(&links, 16 << 20) / 1_000, 6_729);
}
