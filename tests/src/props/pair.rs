//! Two nodes under a hostile wire: every datagram may be delivered late, twice, damaged or never,
//! and time passes in leaps. Nothing is lost, doubled or reordered; once the wire behaves, whatever
//! was begun ends. When the dialer hears that the peer was restarted, its streams are gone and it
//! begins anew.

use super::Choices;
use crate::sim::node::{Node, Outgoing};
use crate::sim::{VecStorage, oracle};
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{CloseReason, Event, Peer};
use ropewalk_core::error::ReadError;
use ropewalk_core::id::{ConnectionId, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::{Kind, destination, kind};
use std::collections::BTreeMap;

/// A pair, what is under way, and what was written and read.
pub(super) struct Pair {
    pub(super) nodes: [Node; 2],
    pub(super) now: Instant,
    /// To which node, by which link.
    pub(super) under_way: Vec<(usize, usize, Vec<u8>)>,
    /// How often the dialer had to begin anew.
    life: u64,
    /// The responder's connection ids, and the life of the dialer's that each belongs to.
    lives: BTreeMap<ConnectionId, u64>,
    /// By the dialer's life and the stream: how far, and whether to the end.
    written: BTreeMap<(u64, StreamId), (u64, bool)>,
    /// By the responder's connection and the stream.
    read: BTreeMap<(ConnectionId, StreamId), (u64, bool)>,
}

/// Numbers repeat from life to life; what the streams carry must not.
fn tag(life: u64, id: StreamId) -> u64 {
    life << 32 | u64::from(id.0)
}

/// Plays what `data` says, then heals the wire.
///
/// # Panics
/// When a byte is lost, doubled or reordered, or something never ends.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut pair = Pair::new(u64::from(choices.byte()));
    pair.dial();
    while !choices.is_empty() {
        pair.step(&mut choices);
    }
    pair.heal();
}

fn small() -> VecStorage {
    VecStorage::new(48 * 1_024, 6, 64, 1_024)
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Instant::from_micros(1_000_000);
        let config = Config { services: &["file"], ..Config::default() };
        let mut nodes = [
            Node::new(0, config, small, &mut rng, now),
            Node::new(1, config, small, &mut rng, now),
        ];
        for node in &mut nodes {
            for link in 0..2 {
                node.link_up(link, 1_400, now);
            }
        }
        Self {
            nodes,
            now,
            under_way: vec![],
            life: 0,
            lives: BTreeMap::new(),
            written: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    pub(super) fn dial(&mut self) {
        let mut addresses = heapless::Vec::new();
        for link in 0..2 {
            addresses.push(Node::address(1, link)).expect("two fit");
        }
        let key = self.nodes[1].identity.public;
        self.nodes[0].dial(Peer { key, psk: [0; 32], ticket: None, addresses }, self.now);
        self.pump();
    }

    /// The wire behaves until both are connected.
    pub(super) fn connect(&mut self) {
        for _ in 0..2_000 {
            let connected =
                |node: &Node| node.connection.as_ref().is_some_and(|c| c.is_connected());
            if self.nodes.iter().all(connected) {
                return;
            }
            self.advance();
        }
        panic!("the pair never connects");
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.byte();
        match what % 8 {
            0 | 1 => {
                // Any datagram may be the next to arrive.
                let place = choices.below(self.under_way.len());
                if place < self.under_way.len() {
                    let (to, link, bytes) = self.under_way.remove(place);
                    self.deliver(to, link, bytes);
                }
            }
            2 => {
                let place = choices.below(self.under_way.len());
                if let Some((to, link, bytes)) = self.under_way.get(place).cloned() {
                    self.deliver(to, link, bytes);
                }
            }
            3 => {
                let place = choices.below(self.under_way.len());
                if place < self.under_way.len() {
                    self.under_way.remove(place);
                }
            }
            4 => {
                let place = choices.below(self.under_way.len());
                let at = usize::from(choices.short());
                if let Some((_, _, bytes)) = self.under_way.get_mut(place) {
                    let at = at % bytes.len();
                    bytes[at] ^= 1 << (what >> 5);
                }
            }
            5 => {
                self.now += Duration::from_micros(u64::from(choices.short()) * 16);
                self.pump();
            }
            6 => self.write(choices),
            _ => {
                let node = usize::from(what >> 7);
                let link = what >> 6 & 1;
                if what & 0x20 == 0 {
                    self.nodes[node].link_down(link, self.now);
                } else {
                    self.nodes[node].link_up(link, 1_400, self.now);
                }
                self.pump();
            }
        }
    }

    /// The dialer opens a stream, writes to one, or finishes one.
    fn write(&mut self, choices: &mut Choices<'_>) {
        let Some(connection) = &mut self.nodes[0].connection else { return };
        let len = usize::from(choices.short());
        let life = self.life;
        let open = self.written.iter().filter(|((when, _), (_, done))| *when == life && !done);
        let open: Vec<_> = open.map(|((_, id), _)| *id).collect();
        let id = match open.get(choices.below(open.len() + 1)) {
            Some(id) => *id,
            None => match connection.open(&Service::new("file").expect("a name")) {
                Ok(id) => id,
                Err(_) => return,
            },
        };
        let (written, finished) = self.written.entry((life, id)).or_default();
        let mut bytes = vec![0; len];
        oracle::fill(tag(life, id), *written, &mut bytes);
        let mut stream = connection.stream(id);
        if let Ok(taken) = stream.write(&bytes) {
            *written += taken as u64;
        }
        if len % 3 == 0 {
            *finished = stream.finish().is_ok();
        }
        self.pump();
    }

    pub(super) fn deliver(&mut self, to: usize, link: usize, bytes: Vec<u8>) {
        if !self.nodes[to].links.contains_key(&(link as u8)) {
            return;
        }
        let from = Node::address(1 - to as u8, link as u8);
        if let Some(reply) = self.nodes[to].receive(link as u8, from, bytes, self.now) {
            self.send(to, reply);
        }
        self.pump();
    }

    fn send(&mut self, from: usize, outgoing: Outgoing) {
        let Outgoing { link, remote, datagram } = outgoing;
        if let (0, Some(Kind::Packet), Some(id)) = (from, kind(&datagram), destination(&datagram)) {
            self.lives.entry(id).or_insert(self.life);
        }
        if remote == Node::address(1 - from as u8, link as u8) && self.under_way.len() < 512 {
            self.under_way.push((1 - from, link, datagram));
        }
    }

    pub(super) fn pump(&mut self) {
        for from in 0..2 {
            let outgoing = self.nodes[from].poll(self.now);
            let events = core::mem::take(&mut self.nodes[from].events);
            for event in events {
                self.on_event(from, &event);
            }
            for outgoing in outgoing {
                self.send(from, outgoing);
            }
        }
        self.read_all();
    }

    fn on_event(&mut self, node: usize, event: &Event) {
        match (node, event) {
            (0, Event::Restarted) => {
                // The responder forgot us before it heard a first packet: all begins anew.
                let heard = |(of, _): &(ConnectionId, StreamId)| self.lives[of] == self.life;
                assert!(!self.read.keys().any(heard), "it had heard us");
                self.life += 1;
            }
            (1, Event::StreamOpened { stream, .. }) => {
                let connection = self.nodes[1].connection.as_ref().expect("it spoke");
                self.read.entry((connection.id(), *stream)).or_default();
            }
            (_, Event::Closed(why)) => {
                // Nobody closes here, and what the wire does to packets no seal lets through.
                let quiet = matches!(why, CloseReason::Idle | CloseReason::Unreachable { .. });
                assert!(quiet, "node {node} is closed: {why:?}");
            }
            _ => {}
        }
    }

    fn read_all(&mut self) {
        let Some(connection) = &mut self.nodes[1].connection else { return };
        let mut buffer = [0; 4_096];
        let current = connection.id();
        for ((_, id), (read, ended)) in self.read.iter_mut().filter(|((of, _), _)| *of == current) {
            let life = self.lives[&current];
            while !*ended {
                match connection.stream(*id).read(&mut buffer) {
                    Ok(len) => {
                        for (index, byte) in buffer[..len].iter().enumerate() {
                            let expected = oracle::pattern(tag(life, *id), *read + index as u64);
                            assert_eq!(*byte, expected, "{id:?} at {}", *read + index as u64);
                        }
                        *read += len as u64;
                    }
                    Err(ReadError::Finished) => {
                        let (written, finished) = self.written[&(life, *id)];
                        assert!(
                            finished && written == *read,
                            "{id:?} ends at {read}, not {written}"
                        );
                        *ended = true;
                        let _ = connection.stream(*id).finish();
                    }
                    Err(ReadError::Blocked) => break,
                    Err(error) => panic!("{id:?} at {read}: {error}"),
                }
            }
        }
    }

    /// Whether everything that the dialer finished in its present life was read to its end.
    fn all_read(&self) -> bool {
        let read = |stream: StreamId| {
            self.read.iter().any(|((connection, id), (_, ended))| {
                *id == stream && *ended && self.lives.get(connection) == Some(&self.life)
            })
        };
        let mut finished = self
            .written
            .iter()
            .filter(|((life, _), (_, finished))| *life == self.life && *finished);
        finished.all(|((_, id), _)| read(*id))
    }

    /// Everything under way arrives, and time moves on to whatever is next.
    pub(super) fn advance(&mut self) {
        let flights = core::mem::take(&mut self.under_way);
        let idle = flights.is_empty();
        self.now += Duration::from_millis(1);
        for (to, link, bytes) in flights {
            self.deliver(to, link, bytes);
        }
        if idle && let Some(next) = self.nodes.iter().filter_map(Node::timeout).min() {
            self.now = self.now.max(next);
        }
        self.pump();
    }

    /// All links are up and the wire behaves: whatever was finished must be read to its end.
    fn heal(&mut self) {
        for node in 0..2 {
            for link in 0..2 {
                self.nodes[node].link_up(link, 1_400, self.now);
            }
        }
        self.pump();
        for _ in 0..20_000 {
            let over = |node: &Node| node.connection.as_ref().is_some_and(|c| c.is_drained());
            // A connection that nothing reached for a minute is over, and rightly so.
            if self.nodes.iter().any(over)
                || self.nodes[1].connection.is_none() && over(&self.nodes[0])
            {
                return;
            }
            if self.all_read() {
                return;
            }
            self.advance();
        }
        panic!("not everything ends: written {:?}, read {:?}", self.written, self.read);
    }
}
