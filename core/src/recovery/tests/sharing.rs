//! Two flows on one link for 30 s: each gets between 35 and 65 % of what arrives.

use super::link::Link;
use super::tcp::Tcp;
use super::world::{DATAGRAM, World};
use crate::time::{Duration, Instant};
use std::boxed::Box;
use std::vec::Vec;

/// A sender and its receiver on a link that others use, too.
pub(super) trait Flow {
    /// Does what is due, and tells when something will be again.
    fn step(&mut self, link: &mut Link, now: Instant) -> Option<Instant>;
    /// Bytes that arrived before this moment.
    fn arrived(&self, end: Instant) -> u64;
}

impl Flow for World {
    fn step(&mut self, link: &mut Link, now: Instant) -> Option<Instant> {
        if now < self.now {
            return Some(self.now);
        }
        self.now = now;
        core::mem::swap(&mut self.forth, link);
        let next = self.step();
        core::mem::swap(&mut self.forth, link);
        next
    }

    fn arrived(&self, end: Instant) -> u64 {
        self.arrivals.iter().filter(|at| **at < end).count() as u64 * u64::from(DATAGRAM)
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ours,
    Cubic,
    Bbr,
}

/// A link of 10 ms one way.
#[derive(Clone, Copy, Debug)]
struct Shared {
    mbit_s: u64,
    queue_ms: u64,
}

impl Shared {
    /// What of the link the first gets, in percent, if the second begins so much later.
    fn share(self, kinds: [Kind; 2], later_ms: u64) -> u64 {
        let mut link = Link::new(self.mbit_s, 10, 0);
        link.queue_bytes = self.mbit_s * 125 * self.queue_ms;
        let begins = [World::at(0), World::at(later_ms)];
        let [first, second] = kinds;
        let mut flows = [flow(first, &link, begins[0]), flow(second, &link, begins[1])];
        let (mut now, end) = (World::at(0), World::at(30_000));
        while now < end {
            let due = flows.iter_mut().filter_map(|flow| flow.step(&mut link, now));
            now = due.fold(end, Instant::min).max(now + Duration::from_micros(1));
        }
        let [first, second] = flows.map(|flow| flow.arrived(end));
        first * 100 / (first + second)
    }

    fn shares(self, kinds: [Kind; 2], later_ms: &[u64]) -> Vec<u64> {
        later_ms.iter().map(|later| self.share(kinds, *later)).collect()
    }
}

fn flow(kind: Kind, link: &Link, begins: Instant) -> Box<dyn Flow> {
    match kind {
        Kind::Ours => {
            let mut world = World::new(link.clone());
            world.now = begins;
            Box::new(world)
        }
        Kind::Cubic => Box::new(Tcp::cubic(begins)),
        Kind::Bbr => Box::new(Tcp::bbr(begins)),
    }
}

/// Links and queues; shorter queues are BBR's, whoever is beside it (see `print`).
const LINKS: [Shared; 5] = [
    Shared { mbit_s: 10, queue_ms: 100 },
    Shared { mbit_s: 40, queue_ms: 50 },
    Shared { mbit_s: 40, queue_ms: 100 },
    Shared { mbit_s: 100, queue_ms: 50 },
    Shared { mbit_s: 100, queue_ms: 100 },
];

fn ours_shares_with(other: Kind) {
    for link in LINKS {
        let shares = link.shares([Kind::Ours, other], &[1, 260, 1_000]);
        let fair = shares.iter().all(|share| (35..=65).contains(share));
        assert!(fair, "{link:?} beside {other:?}: {shares:?} %");
    }
}

#[test]
fn a_flow_that_lives_by_losses_shares_with_ours() {
    ours_shares_with(Kind::Cubic);
}

#[test]
fn a_flow_that_bounds_its_queue_shares_with_ours() {
    ours_shares_with(Kind::Bbr);
}

#[test]
fn ours_share_with_each_other() {
    ours_shares_with(Kind::Ours);
}

/// On an emulated link, Linux's CUBIC took 65 to 71 % beside Linux's BBR, and half beside itself.
#[test]
fn the_rivals_are_like_those_of_linux() {
    let link = Shared { mbit_s: 40, queue_ms: 100 };
    let beside_bbr = link.shares([Kind::Cubic, Kind::Bbr], &[1, 260, 1_000]);
    assert!(beside_bbr.iter().all(|share| (60..=80).contains(share)), "{beside_bbr:?}");
    let beside_itself = link.shares([Kind::Cubic, Kind::Cubic], &[1, 260, 1_000]);
    assert!(beside_itself.iter().all(|share| (45..=65).contains(share)), "{beside_itself:?}");
}

/// Prints the share of each kind beside each other, also with queues that BBR keeps for itself.
#[test]
#[ignore = "for the eye"]
fn print() {
    use Kind::{Bbr, Cubic, Ours};
    for kinds in [[Ours, Bbr], [Ours, Cubic], [Ours, Ours], [Cubic, Bbr]] {
        for mbit_s in [10, 40, 100] {
            for queue_ms in [25, 50, 100] {
                let link = Shared { mbit_s, queue_ms };
                let shares = link.shares(kinds, &[1, 37, 100, 173, 260, 600, 1_000, 2_500]);
                std::println!("{kinds:?} {mbit_s:3} Mbit/s, queue {queue_ms:3} ms: {shares:?} %");
            }
        }
    }
}
