//! Two nodes, the links between them and the clock.

use super::messages::{Cadence, Lateness};
use super::net::{Direction, LinkSpec};
use super::node::{Node, Outgoing};
use super::oracle;
use super::storage::VecStorage;
use core::cmp::Reverse;
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{Event, Peer};
use ropewalk_core::error::{ReadError, WriteError};
use ropewalk_core::id::StreamId;
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use std::collections::{BTreeMap, BinaryHeap};

/// Something that is done to the world at a given moment.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Both directions of a link swallow everything.
    Cut(usize),
    /// Only the direction away from this node does.
    CutFrom(u8, usize),
    /// The link works again, both ways.
    Heal(usize),
    /// Both directions hold back for so long what is under way and what comes: a Wi-Fi's habit.
    Stall(usize, Duration),
    /// The link becomes like this.
    Change(usize, LinkSpec),
    /// The node's interface goes away.
    LinkDown(u8, usize),
    /// The node's interface comes (back).
    LinkUp(u8, usize),
    /// The responder loses all its state.
    Restart,
}

/// What the application of a node does with one stream.
#[derive(Default)]
struct Flow {
    tag: u64,
    to_write: u64,
    written: u64,
    finished: bool,
    read: u64,
    ended: bool,
    /// More becomes due as time passes.
    cadence: Option<Cadence>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// From the first stream's opening to its last byte read, if it came.
    pub completed: Option<Duration>,
    /// The longest time without new in-order bytes at the receiver, after the first.
    pub longest_gap: Duration,
    /// When that gap began, since the start.
    pub gap_at: Duration,
    /// Bytes read in order at the responder.
    pub delivered: u64,
    /// Stream bytes sent more than once by the dialer.
    pub again: u64,
    /// Times that the dialer heard `Restarted`.
    pub restarts: u32,
    /// How late messages came, if any were sent.
    pub lateness: Lateness,
    /// When bytes were last read in order at the responder, since the start.
    pub last_read: Duration,
}

/// A datagram under way: when it arrives, its turn, to which node, by which link, its bytes.
type Arriving = (Instant, u64, u8, usize, Vec<u8>);

/// Two nodes joined by links.
pub struct World {
    /// Now.
    pub now: Instant,
    /// The dialer and the responder.
    pub nodes: [Node; 2],
    /// Each link, away from node 0 and away from node 1.
    pub wires: Vec<[Direction; 2]>,
    /// One line for each datagram on standard error.
    pub trace: bool,
    rng: Rng,
    flights: BinaryHeap<Reverse<Arriving>>,
    acts: BinaryHeap<Reverse<(Instant, u64)>>,
    act_list: BTreeMap<u64, Act>,
    sequence: u64,
    flows: [BTreeMap<StreamId, Flow>; 2],
    started: Option<Instant>,
    progress: Instant,
    report: Report,
}

impl World {
    /// A world of these links; all are up on both sides. The dialer begins at once.
    #[must_use]
    pub fn new(seed: u64, links: &[LinkSpec], config: Config) -> Self {
        Self::with_storage(seed, links, config, VecStorage::ample)
    }

    /// The same with other memory.
    #[must_use]
    pub fn with_storage(
        seed: u64,
        links: &[LinkSpec],
        config: Config,
        storage: fn() -> VecStorage,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Instant::from_micros(1_000_000);
        let config = Config { services: &["file", "echo"], ..config };
        let nodes = [
            Node::new(0, config, storage, &mut rng, now),
            Node::new(1, config, storage, &mut rng, now),
        ];
        let mut world = Self {
            now,
            nodes,
            wires: links
                .iter()
                .map(|spec| [Direction::new(*spec), Direction::new(*spec)])
                .collect(),
            trace: false,
            rng,
            flights: BinaryHeap::new(),
            acts: BinaryHeap::new(),
            act_list: BTreeMap::new(),
            sequence: 0,
            flows: [BTreeMap::new(), BTreeMap::new()],
            started: None,
            progress: now,
            report: Report::default(),
        };
        for (link, spec) in links.iter().enumerate() {
            for node in &mut world.nodes {
                node.link_up(link as u8, interface_mtu(spec), now);
            }
        }
        world
    }

    /// Node 0 dials node 1 at the addresses of all links that exist now.
    pub fn dial(&mut self) {
        let mut addresses = heapless::Vec::new();
        for link in self.nodes[1].links.keys() {
            addresses.push(Node::address(1, *link)).expect("few links");
        }
        let ticket = self.nodes[1].ticket;
        let peer = Peer {
            key: self.nodes[1].identity.public,
            psk: ticket.map_or([0; 32], |(_, psk)| psk),
            ticket: ticket.map(|(id, _)| id),
            addresses,
        };
        self.nodes[0].dial(peer, self.now);
        self.pump(0);
    }

    /// Adds a link, up on neither side.
    pub fn add_link(&mut self, spec: LinkSpec) -> usize {
        self.wires.push([Direction::new(spec), Direction::new(spec)]);
        self.wires.len() - 1
    }

    /// Has `act` done at `after` from now.
    pub fn schedule(&mut self, after: Duration, act: Act) {
        self.sequence += 1;
        self.acts.push(Reverse((self.now + after, self.sequence)));
        self.act_list.insert(self.sequence, act);
    }

    /// Opens a stream of `service` at `node` and writes `bytes` of pattern to it.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn send(&mut self, node: u8, service: &str, bytes: u64) -> StreamId {
        self.open(node, service, Flow { to_write: bytes, ..Flow::default() })
    }

    /// Opens a stream of `service` at node 0 and writes `count` messages of `bytes` to it, one
    /// each `every`.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn send_messages(
        &mut self,
        service: &str,
        bytes: u64,
        every: Duration,
        count: u64,
    ) -> StreamId {
        let cadence = Some(Cadence::new(bytes, every, count, self.now));
        self.open(0, service, Flow { cadence, ..Flow::default() })
    }

    fn open(&mut self, node: u8, service: &str, flow: Flow) -> StreamId {
        let service = Service::new(service).expect("a good name");
        let connection = self.nodes[usize::from(node)].connection.as_mut().expect("connected");
        let id = connection.open(&service).expect("a stream");
        let flow = Flow { tag: u64::from(id.0), ..flow };
        self.flows[usize::from(node)].insert(id, flow);
        self.started.get_or_insert(self.now);
        self.progress = self.now;
        self.pump(node);
        id
    }

    /// Whether both nodes hold an established connection.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.nodes.iter().all(|node| node.connection.as_ref().is_some_and(|c| c.is_connected()))
    }

    /// Runs until `done`, or until `limit` has passed; returns whether it was done.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if !self.step(end) {
                return done(self);
            }
        }
        true
    }

    /// Runs until every byte that was given to `send` has been read and acknowledged.
    pub fn run_to_completion(&mut self, limit: Duration) -> Report {
        self.run_until(limit, Self::all_done);
        self.report()
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        if let Some(connection) = &self.nodes[0].connection {
            report.again = connection.stats().again_bytes;
        }
        report
    }

    /// Whether all streams were read to their ends on the other side.
    #[must_use]
    pub fn all_done(&self) -> bool {
        (0..2).all(|node: usize| {
            self.flows[node].iter().all(|(id, flow)| {
                let other = self.flows[1 - node].get(id);
                flow.to_write == 0 && flow.tag == ANSWER
                    || flow.finished && other.is_some_and(|other| other.ended)
            })
        })
    }

    /// One event; false when nothing happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
        let act = self.acts.peek().map(|Reverse((at, _))| *at);
        let wake = self.nodes.iter().filter_map(Node::timeout).min();
        let due = self.flows[0].values().filter_map(|flow| flow.cadence?.next_due()).min();
        let Some(next) = [flight, act, wake, due].into_iter().flatten().min() else {
            self.now = end;
            return false;
        };
        if next > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(next);
        if act == Some(next) {
            let Some(Reverse((_, sequence))) = self.acts.pop() else { return true };
            let act = self.act_list.remove(&sequence).expect("listed");
            self.perform(act);
        } else if flight == Some(next) {
            let Some(Reverse((_, _, to, link, bytes))) = self.flights.pop() else { return true };
            self.arrive(to, link, bytes);
        } else if due == Some(next) {
            self.pump(0);
        } else {
            for node in 0..2 {
                if self.nodes[usize::from(node)].timeout().is_some_and(|moment| moment <= self.now)
                {
                    self.pump(node);
                    let again = self.nodes[usize::from(node)].timeout();
                    assert!(
                        again.is_none_or(|moment| moment > self.now),
                        "node {node} would spin at {:?}: {again:?}",
                        self.now
                    );
                }
            }
        }
        true
    }

    fn arrive(&mut self, to: u8, link: usize, bytes: Vec<u8>) {
        let node = &mut self.nodes[usize::from(to)];
        if !node.links.contains_key(&(link as u8)) {
            return;
        }
        let from = Node::address(1 - to, link as u8);
        let reply = node.receive(link as u8, from, bytes, self.now);
        if let Some(reply) = reply {
            self.transmit(to, reply);
        }
        self.pump(to);
    }

    fn perform(&mut self, act: Act) {
        if self.trace {
            eprintln!("{:>12} us  {act:?}", self.now.as_micros());
        }
        match act {
            Act::Cut(link) => self.wires[link].iter_mut().for_each(|wire| wire.open = false),
            Act::CutFrom(node, link) => self.wires[link][usize::from(node)].open = false,
            Act::Heal(link) => self.wires[link].iter_mut().for_each(|wire| wire.open = true),
            Act::Stall(link, length) => self.stall(link, length),
            Act::Change(link, spec) => {
                self.wires[link].iter_mut().for_each(|wire| wire.spec = spec);
            }
            Act::LinkDown(node, link) => {
                self.nodes[usize::from(node)].link_down(link as u8, self.now);
                self.pump(node);
            }
            Act::LinkUp(node, link) => {
                let mtu = interface_mtu(&self.wires[link][usize::from(node)].spec);
                self.nodes[usize::from(node)].link_up(link as u8, mtu, self.now);
                self.pump(node);
            }
            Act::Restart => {
                self.nodes[1].restart(self.now);
                self.flows[1].clear();
            }
        }
    }

    fn stall(&mut self, link: usize, length: Duration) {
        let end = self.now + length;
        for wire in &mut self.wires[link] {
            wire.hold_until(end);
        }
        let held = |(at, sequence, to, by, bytes): Arriving| {
            let at = if by == link { at.max(end) } else { at };
            Reverse((at, sequence, to, by, bytes))
        };
        let flights = core::mem::take(&mut self.flights);
        self.flights = flights.into_iter().map(|Reverse(flight)| held(flight)).collect();
    }

    /// Drives one node until it has nothing left to do now.
    fn pump(&mut self, node: u8) {
        loop {
            for outgoing in self.nodes[usize::from(node)].poll(self.now) {
                self.transmit(node, outgoing);
            }
            let events = core::mem::take(&mut self.nodes[usize::from(node)].events);
            let mut busy = !events.is_empty();
            for event in events {
                self.on_event(node, event);
            }
            busy |= self.work(node);
            if !busy {
                return;
            }
        }
    }

    fn transmit(&mut self, node: u8, outgoing: Outgoing) {
        let Outgoing { link, remote, datagram } = outgoing;
        // Nothing routes between the links: a pair across them is a black hole.
        if remote != Node::address(1 - node, link as u8) {
            return;
        }
        let wire = &mut self.wires[link][usize::from(node)];
        let flights = wire.send(&datagram, self.now, &mut self.rng);
        if self.trace {
            let arrives = flights.first().map(|(at, _)| at.as_micros());
            eprintln!(
                "{:>12} us  node {node} link {link} {:>5} B  -> {arrives:?}",
                self.now.as_micros(),
                datagram.len()
            );
        }
        for (at, bytes) in flights {
            self.sequence += 1;
            self.flights.push(Reverse((at, self.sequence, 1 - node, link, bytes)));
        }
    }

    fn on_event(&mut self, node: u8, event: Event) {
        if self.trace {
            eprintln!("{:>12} us  node {node} {event:?}", self.now.as_micros());
        }
        match event {
            Event::StreamOpened { stream, .. } => {
                // Whoever answers only reads, and ends its own direction at once.
                let flow = Flow { tag: ANSWER, ..Flow::default() };
                self.flows[usize::from(node)].insert(stream, flow);
            }
            Event::Restarted => {
                self.report.restarts += 1;
                self.flows[usize::from(node)].clear();
            }
            _ => {}
        }
    }

    /// The applications write what fits and read what is there; returns whether anything moved.
    fn work(&mut self, node: u8) -> bool {
        let mut moved = false;
        let Some(connection) = &mut self.nodes[usize::from(node)].connection else { return false };
        let mut buffer = [0; 16_384];
        let [dialer, responder] = &mut self.flows;
        let (flows, sent) = if node == 0 { (dialer, None) } else { (responder, Some(dialer)) };
        let mut sent = sent;
        for (id, flow) in flows {
            if let Some(cadence) = &mut flow.cadence {
                flow.to_write += cadence.take_due(self.now);
            }
            let unending = flow.cadence.is_some_and(|cadence| cadence.next_due().is_some());
            let mut stream = connection.stream(*id);
            while flow.written < flow.to_write {
                let len = (flow.to_write - flow.written).min(buffer.len() as u64) as usize;
                oracle::fill(flow.tag, flow.written, &mut buffer[..len]);
                match stream.write(&buffer[..len]) {
                    Ok(taken) => {
                        flow.written += taken as u64;
                        moved = true;
                    }
                    Err(WriteError::Blocked) => break,
                    Err(error) => panic!("node {node} writes to {id:?}: {error}"),
                }
            }
            if flow.written == flow.to_write && !flow.finished && !unending {
                stream.finish().expect("still open");
                flow.finished = true;
                moved = true;
            }
            while !flow.ended {
                match stream.read(&mut buffer) {
                    Ok(len) => {
                        // The opener's tag is the stream's number; the answer is empty.
                        for (index, byte) in buffer[..len].iter().enumerate() {
                            let offset = flow.read + index as u64;
                            let expected = oracle::pattern(u64::from(id.0), offset);
                            assert_eq!(*byte, expected, "node {node}, {id:?}, offset {offset}");
                        }
                        flow.read += len as u64;
                        moved = true;
                        let sender = sent.as_mut().and_then(|flows| flows.get_mut(id));
                        if let Some(cadence) = sender.and_then(|flow| flow.cadence.as_mut()) {
                            cadence.on_read(flow.read, self.now, &mut self.report.lateness);
                        }
                        if node == 1 {
                            self.report.delivered += len as u64;
                            let gap = self.now.since(self.progress);
                            if flow.read > len as u64 && gap > self.report.longest_gap {
                                self.report.longest_gap = gap;
                                self.report.gap_at =
                                    self.progress.since(self.started.unwrap_or(self.now));
                            }
                            self.progress = self.now;
                            self.report.last_read =
                                self.now.since(self.started.unwrap_or(self.now));
                        }
                    }
                    Err(ReadError::Blocked) => break,
                    Err(ReadError::Finished) => {
                        flow.ended = true;
                        moved = true;
                        if node == 1 && self.report.completed.is_none() {
                            self.report.completed =
                                self.started.map(|started| self.now.since(started));
                        }
                    }
                    Err(error) => panic!("node {node} reads from {id:?}: {error}"),
                }
            }
        }
        moved
    }
}

/// What the nodes believe that a link carries: Ethernet's 1,500 bytes less the headers of IPv4 and
/// UDP, or more where the link does. That it carries less is theirs to find out.
fn interface_mtu(spec: &LinkSpec) -> u16 {
    u16::try_from(spec.mtu.max(1_472)).unwrap_or(u16::MAX)
}

/// The tag of a flow that only reads.
const ANSWER: u64 = u64::MAX;
