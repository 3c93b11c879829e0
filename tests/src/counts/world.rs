//! Two connections over two equal links, one sending all it can: the world in which a hot path is
//! walked.
//!
//! ```text
//!  each millisecond   sender ── 16 full packets on each link ──> receiver     what is more waits
//!                            <── one acknowledgement a link ────
//!                     5 ms each way and the wait, nothing is lost
//! ```
//!
//! Sizes are those of a PC: 16 MiB, 16 streams, 8 places for paths, Ethernet's packets. The clock is
//! virtual and every seed fixed, so two walks are equal to the last instruction. That is used: a
//! first walk finds out which calls are of the kind that is wanted, a second one makes those calls by
//! way of [`super::hot`], where they are counted.

use super::hot::{self, HotPath, RUN, Rope};
use super::plain::Plain;
use crate::sim::storage::VecStorage;
use core::net::SocketAddr;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    LinkChange, LinkInfo, Listener, Peer, Route, Transmit, offered_credit,
};
use ropewalk_core::crypto::{Identity, NO_PSK, Seed};
use ropewalk_core::id::{Address, Arrival, CostClass, LinkId, StreamId};
use ropewalk_core::recovery::SentSlot;
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use std::collections::VecDeque;

/// Walks `path`: first to find the calls, then to have them counted. Returns how many of the path's
/// units (packets, acknowledgements) were counted.
///
/// # Panics
/// When two walks differ, or none of the calls is of the kind: figures would mean nothing.
#[must_use]
pub fn walk(path: HotPath) -> u64 {
    let marks = World::connected(path, Vec::new()).play();
    let again = World::connected(path, marks.clone()).play();
    assert!(marks == again, "a walk cannot be repeated");
    let calls = marks.iter().filter(|marked| **marked).count() as u64;
    assert!(calls >= 200, "{}: only {calls} calls are of the kind", path.name());
    calls * path.units_per_call()
}

/// Two connected nodes.
struct World {
    path: HotPath,
    now: Instant,
    sender: Rope,
    receiver: Rope,
    stream: StreamId,
    /// Under way on each link: to the receiver, to the sender.
    wires: [[VecDeque<Datagram>; 2]; LINKS.len()],
    /// For each call on the hot path so far, whether it is of the kind that is counted.
    marks: Vec<bool>,
    /// The marks of an earlier walk: these calls are counted.
    counted: Vec<bool>,
    /// The connection is at its pace.
    steady: bool,
}

/// Something under way.
struct Datagram {
    due: Instant,
    bytes: Vec<u8>,
}

impl World {
    /// The two, connected and with a stream open.
    fn connected(path: HotPath, counted: Vec<bool>) -> Self {
        let mut now = Instant::from_micros(1);
        let answering = Identity::new::<Plain>([7; 32]);
        let addresses = LINKS.iter().map(|link| address(true, *link)).collect();
        let peer = Peer { key: answering.public, psk: NO_PSK, ticket: None, addresses };
        let dialing = Identity::new::<Plain>([9; 32]);
        let mut sender = Rope::connect(config(), dialing, peer, Seed([1; 32]), memory(), now);
        let offer = offered_credit(&mut memory());
        let mut listener = Listener::<Plain>::new(answering, offer, true, Seed([2; 32]), now);
        for link in LINKS {
            sender.handle_link(link, up(false, link), now);
            listener.handle_link(link, &up(true, link));
        }
        let receiver = loop {
            assert!(now < Instant::from_micros(1_000_000), "they did not connect");
            now += TURN;
            if let Some(receiver) = introduce(&mut sender, &mut listener, now) {
                break receiver;
            }
        };
        let stream = sender.open(&Service::new(SERVICE).expect("short")).expect("connected");
        let (wires, marks, steady) = Default::default();
        Self { path, now, sender, receiver, stream, wires, marks, counted, steady }
    }

    /// Lets time pass. Returns for each call on the path whether it is of the kind.
    fn play(mut self) -> Vec<bool> {
        for turn in 0..TURNS {
            self.steady = turn >= TURNS_BEFORE;
            self.turn();
        }
        self.marks
    }

    /// A millisecond passes.
    fn turn(&mut self) {
        self.now += TURN;
        for link in LINKS {
            for _ in 0..RUN {
                let Some(datagram) = self.arrived(true, link) else { break };
                self.deliver(true, link, datagram);
            }
            while let Some(datagram) = self.arrived(false, link) {
                self.deliver(false, link, datagram);
            }
        }
        for rope in [&mut self.sender, &mut self.receiver] {
            if rope.poll_timeout().is_some_and(|moment| moment <= self.now) {
                rope.handle_timeout(self.now);
            }
            while rope.poll_event().is_some() {}
        }
        self.fill_and_drain();
        self.send();
        self.answer();
    }

    fn arrived(&mut self, to_receiver: bool, link: LinkId) -> Option<Datagram> {
        let wire = &mut self.wires[usize::from(link.0)][usize::from(!to_receiver)];
        if wire.front()?.due > self.now {
            return None;
        }
        wire.pop_front()
    }

    /// Whether the next call on the hot path is one to count.
    fn counts_next(&self) -> bool {
        self.counted.get(self.marks.len()) == Some(&true)
    }

    fn deliver(&mut self, to_receiver: bool, link: LinkId, mut datagram: Datagram) {
        let on_path = match self.path {
            HotPath::Open => to_receiver,
            HotPath::Acknowledge => !to_receiver,
            HotPath::BuildOne | HotPath::BuildRun => false,
        };
        let count = on_path && self.counts_next();
        let handle = if count { hot::counted_handle } else { Rope::handle_datagram };
        let before = in_flight(&self.sender, link);
        let rope = if to_receiver { &mut self.receiver } else { &mut self.sender };
        let taken = handle(rope, arrival(to_receiver, link), &mut datagram.bytes, self.now);
        if on_path {
            let wanted = match to_receiver {
                true => datagram.bytes.len() == PACKET_BYTES,
                false => in_flight(&self.sender, link) + RUN_BYTES as u64 == before,
            };
            self.marks.push(self.steady && wanted && taken.is_ok());
        }
    }

    /// The sender's program always has more; the receiver's reads all there is.
    fn fill_and_drain(&mut self) {
        let mut bytes = [0x5a; 16 << 10];
        while self.sender.stream(self.stream).write(&bytes).is_ok_and(|len| len > 0) {}
        while self.receiver.stream(self.stream).read(&mut bytes).is_ok() {}
    }

    fn send(&mut self) {
        let mut buffer = [0; RUN_BYTES];
        let len = if self.path == HotPath::BuildOne { PACKET_BYTES } else { RUN_BYTES };
        let buffer = &mut buffer[..len];
        let on_path = matches!(self.path, HotPath::BuildOne | HotPath::BuildRun);
        loop {
            let count = on_path && self.counts_next();
            let transmit = if count { hot::counted_transmit } else { Rope::poll_transmit };
            let sent = transmit(&mut self.sender, buffer, self.now);
            if on_path {
                // A run of full packets fills the whole buffer.
                self.marks.push(self.steady && sent.is_some_and(|sent| sent.len == buffer.len()));
            }
            let Some(sent) = sent else { break };
            self.post(true, sent, buffer);
        }
    }

    fn answer(&mut self) {
        let mut buffer = [0; PACKET_BYTES];
        while let Some(sent) = self.receiver.poll_transmit(&mut buffer, self.now) {
            self.post(false, sent, &buffer);
        }
    }

    /// What stands in the buffer goes on its way.
    fn post(&mut self, to_receiver: bool, sent: Transmit, buffer: &[u8]) {
        let wire = &mut self.wires[usize::from(sent.link.0)][usize::from(!to_receiver)];
        for bytes in buffer[..sent.len].chunks(sent.segment_size) {
            wire.push_back(Datagram { due: self.now + DELAY, bytes: bytes.to_vec() });
        }
    }
}

/// One round of the handshake, without delay; what the sender says in it beside is lost.
fn introduce(sender: &mut Rope, listener: &mut Listener<Plain>, now: Instant) -> Option<Rope> {
    let (mut buffer, mut answer) = ([0; PACKET_BYTES], [0; PACKET_BYTES]);
    while let Some(sent) = sender.poll_transmit(&mut buffer, now) {
        let datagram = &mut buffer[..sent.len];
        let at = arrival(true, sent.link);
        let admit = &mut |_, _| Some(NO_PSK);
        match listener.handle_datagram(at, datagram, &|_| false, admit, &mut answer, now) {
            Route::Reply(len) => {
                let at = arrival(false, sent.link);
                let _ = sender.handle_datagram(at, &mut answer[..len], now);
            }
            Route::Accept(incoming) => {
                let accepted = Rope::accept(incoming, config(), Seed([3; 32]), memory(), now);
                let mut receiver = accepted.expect("the memory is as large as was offered");
                for link in LINKS {
                    receiver.handle_link(link, up(true, link), now);
                }
                let _ = receiver.handle_datagram(at, datagram, now);
                return Some(receiver);
            }
            Route::Known(_) | Route::Discard(_) => {}
        }
    }
    None
}

fn config() -> Config {
    Config { services: &[SERVICE], ..Config::default() }
}

/// 16 MiB are shared out as the host does it.
fn memory() -> VecStorage {
    let packets = (WINDOW_BYTES / 8 / size_of::<SentSlot>()).min(16_384);
    VecStorage::new(WINDOW_BYTES / 8 * 3, 16, packets, 16 << 10)
}

/// Bytes that the sender has under way on a link.
fn in_flight(sender: &Rope, link: LinkId) -> u64 {
    sender.paths().filter(|path| path.link == link).map(|path| path.in_flight).sum()
}

fn address(receiver: bool, link: LinkId) -> Address {
    let host = if receiver { 2 } else { 1 };
    Address::Ip(SocketAddr::from(([10, 0, link.0, host], 7_000)))
}

fn arrival(to_receiver: bool, link: LinkId) -> Arrival {
    Arrival { link, local: None, remote: address(!to_receiver, link) }
}

fn up(receiver: bool, link: LinkId) -> LinkChange {
    let addresses = [address(receiver, link)].into_iter().collect();
    let mtu = PACKET_BYTES as u16;
    LinkChange::Up(LinkInfo { mtu, rate: None, class: CostClass::Wired, addresses, hidden: false })
}

const SERVICE: &str = "file";
const LINKS: [LinkId; 2] = [LinkId(0), LinkId(1)];
/// UDP's payload in an Ethernet packet.
const PACKET_BYTES: usize = 1_472;
/// A run of them, in bytes.
const RUN_BYTES: usize = RUN * PACKET_BYTES;
const WINDOW_BYTES: usize = 16 << 20;
const TURN: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(5);
/// Turns in all, and before the first call that is counted: the rates of the links have been found.
const TURNS: u32 = 500;
const TURNS_BEFORE: u32 = 350;

#[cfg(test)]
mod tests {
    use super::*;

    /// `walk` asserts both.
    #[test]
    fn every_path_is_walked_often_and_the_same_way_twice() {
        for path in HotPath::ALL {
            assert_eq!(walk(path) % path.units_per_call(), 0);
        }
    }

    #[test]
    fn both_links_carry_their_share_and_nothing_is_lost() {
        let mut world = World::connected(HotPath::BuildRun, Vec::new());
        (0..TURNS).for_each(|_| world.turn());
        let paths: Vec<_> = world.sender.paths().collect();
        assert_eq!(paths.len(), LINKS.len());
        for path in paths {
            assert_eq!((path.counters.lost_packets, path.datagram_bytes), (0, 1_472), "{path:?}");
            let possible = u64::from(TURNS) * (RUN * PACKET_BYTES) as u64;
            assert!(path.counters.data_sent > possible * 4 / 5, "{path:?}");
        }
        let stats = world.receiver.stats();
        assert_eq!((stats.forged, stats.malformed, stats.discarded), (0, 0, 0));
    }
}
