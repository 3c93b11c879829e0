//! Two nodes, the links between them and the clock.

use super::act::Act;
use super::cadence::Cadence;
use super::messages::Messages;
use super::net::{Direction, LinkSpec};
use super::node::{Node, Outgoing};
use super::plan::{MessagePlan, SERVICES, StreamPlan};
use super::report::Report;
use super::stall::{LOSS_WELL, Watch};
use super::storage::VecStorage;
use super::traffic::Traffic;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{CloseReason, Event, Peer};
use ropewalk_core::id::{Address, StreamId};
use ropewalk_core::path::{PathReport, PathState};
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::{Kind, destination, kind};
use std::collections::{BTreeMap, BinaryHeap};

/// A datagram under way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrives: Instant,
    /// Its turn, among those that arrive at the same moment.
    turn: u64,
    to: u8,
    link: usize,
    from: Address,
    /// Where it was sent: nobody is there any more if the address has changed meanwhile.
    remote: Address,
    bytes: Vec<u8>,
}

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
    /// Bytes may wait for ever: a test has left them no way on purpose.
    pub may_stall: bool,
    /// Why each node's connection is over.
    pub closed: [Option<CloseReason>; 2],
    rng: Rng,
    flights: BinaryHeap<Reverse<Flight>>,
    acts: BinaryHeap<Reverse<(Instant, u64)>>,
    act_list: BTreeMap<u64, Act>,
    /// When an application wants to go on.
    alarms: BinaryHeap<Reverse<(Instant, u8)>>,
    sequence: u64,
    /// Where each node's links seem to be, seen from the other side.
    seen_at: Vec<[Address; 2]>,
    /// Links whose end at this node has another address that the other side cannot know yet.
    unheard: Vec<[bool; 2]>,
    traffic: Traffic,
    messages: Messages,
    watch: Watch,
    /// When the responder lost its state, until the dialer has heard of it.
    lost_state: Option<Instant>,
    /// A path of the dialer's had nothing under way when the oracle last looked.
    was_quiet: bool,
    started: Option<Instant>,
    progress: Instant,
    report: Report,
}

impl World {
    /// A world of these links; all are up on both sides. The dialer begins at once.
    #[must_use]
    pub fn new(seed: u64, links: &[LinkSpec], config: Config) -> Self {
        Self::with_storage(seed, links, config, [VecStorage::ample; 2])
    }

    /// The same with other memory.
    #[must_use]
    pub fn with_storage(
        seed: u64,
        links: &[LinkSpec],
        config: Config,
        storage: [fn() -> VecStorage; 2],
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let now = Instant::from_micros(1_000_000);
        let config = Config { services: SERVICES, ..config };
        let nodes = [
            Node::new(0, config, storage[0], &mut rng, now),
            Node::new(1, config, storage[1], &mut rng, now),
        ];
        let mut world = Self {
            now,
            nodes,
            wires: Vec::new(),
            trace: false,
            may_stall: false,
            closed: [None, None],
            rng,
            flights: BinaryHeap::new(),
            acts: BinaryHeap::new(),
            act_list: BTreeMap::new(),
            alarms: BinaryHeap::new(),
            sequence: 0,
            seen_at: Vec::new(),
            unheard: Vec::new(),
            traffic: Traffic::default(),
            messages: Messages::default(),
            watch: Watch::new(now),
            lost_state: None,
            was_quiet: false,
            started: None,
            progress: now,
            report: Report::default(),
        };
        for spec in links {
            let link = world.add_link(*spec);
            for node in &mut world.nodes {
                node.link_up(link as u8, spec.interface_mtu(), now);
            }
            world.look_at(link);
        }
        world
    }

    /// Node 0 dials node 1 at the addresses of all links that exist now.
    pub fn dial(&mut self) {
        let mut addresses = heapless::Vec::new();
        for link in self.nodes[1].links.keys() {
            addresses.push(self.nodes[1].local(*link)).expect("few links");
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
        let link = self.wires.len();
        self.wires.push([Direction::new(spec), Direction::new(spec)]);
        self.seen_at.push([0, 1].map(|node| Node::address(node, link as u8)));
        self.unheard.push([false; 2]);
        link
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
    pub fn send(&mut self, node: u8, service: &'static str, bytes: u64) -> StreamId {
        self.traffic.plan(StreamPlan::new(node, service, bytes));
        let id = self.traffic.open(node, &mut self.nodes[usize::from(node)]).expect("a stream");
        self.begin();
        self.pump(node);
        id
    }

    /// Opens a stream of `service` at node 0 and writes `count` messages of `bytes` to it, one
    /// each `every`.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn send_messages(
        &mut self,
        service: &'static str,
        bytes: u64,
        every: Duration,
        count: u64,
    ) -> StreamId {
        self.send_cadence(service, Cadence::new(bytes, every, count, self.now))
    }

    /// The same with a cadence of the caller's.
    pub fn send_cadence(&mut self, service: &'static str, cadence: Cadence) -> StreamId {
        let mut plan = StreamPlan::new(0, service, 0);
        plan.there.cadence = Some(cadence);
        self.traffic.plan(plan);
        let id = self.traffic.open(0, &mut self.nodes[0]).expect("a stream");
        self.begin();
        self.pump(0);
        id
    }

    /// Has a stream opened as soon as there is room for it.
    pub fn plan(&mut self, plan: StreamPlan) {
        self.traffic.plan(plan);
        self.begin();
        self.pump(plan.opener);
    }

    /// Has unreliable messages sent, from now on.
    pub fn plan_messages(&mut self, plan: MessagePlan) {
        self.messages.plan(plan, self.now);
        self.pump(plan.node);
    }

    fn begin(&mut self) {
        self.started.get_or_insert(self.now);
        self.progress = self.now;
    }

    /// A node's application ends the connection.
    ///
    /// # Panics
    /// When there is none.
    pub fn close(&mut self, node: u8, code: u32, reason: &str) {
        let connection = self.nodes[usize::from(node)].connection.as_mut().expect("connected");
        connection.close(code, reason, self.now);
        self.pump(node);
    }

    /// Whether both nodes hold an established connection.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.nodes.iter().all(|node| node.connection.as_ref().is_some_and(|c| c.is_connected()))
    }

    /// Whether both nodes have a path that carries data to where the other is now.
    #[must_use]
    pub fn alive(&self) -> bool {
        let paths = self.paths();
        [0, 1].iter().all(|node: &usize| {
            paths[*node].iter().any(|path| {
                let there = self.seen_at[usize::from(path.link.0)][1 - node];
                path.state == PathState::Active && path.remote == there
            })
        })
    }

    /// Each node's paths.
    #[must_use]
    pub fn paths(&self) -> [Vec<PathReport>; 2] {
        [0, 1].map(|node| self.nodes[node].connection.iter().flat_map(|c| c.paths()).collect())
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
        let (messages, lateness) = (self.messages.counts(), self.traffic.lateness());
        let mut report = Report { messages, lateness, ..self.report.clone() };
        if let Some(connection) = &self.nodes[0].connection {
            report.again = connection.stats().again_bytes;
            report.key_changes = connection.stats().key_changes;
        }
        report
    }

    /// Whether both sides of every stream know how it ended.
    #[must_use]
    pub fn all_done(&self) -> bool {
        self.lost_state.is_none() && self.traffic.all_done()
    }

    /// The streams that are not over.
    #[must_use]
    pub fn unsettled(&self) -> String {
        self.traffic.unsettled()
    }

    /// One event; false when nothing happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.peek().map(|Reverse(flight)| flight.arrives);
        let act = self.acts.peek().map(|Reverse((at, _))| *at);
        let alarm = self.alarms.peek().map(|Reverse((at, _))| *at);
        let wake = self.nodes.iter().filter_map(Node::timeout).min();
        let Some(next) = [flight, act, alarm, wake].into_iter().flatten().min() else {
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
            let Some(Reverse(flight)) = self.flights.pop() else { return true };
            self.arrive(flight);
        } else if alarm == Some(next) {
            let Some(Reverse((_, node))) = self.alarms.pop() else { return true };
            self.pump(node);
        } else {
            self.wake();
        }
        if !self.may_stall && self.watch.due(self.now) {
            self.look();
        }
        true
    }

    fn wake(&mut self) {
        for node in 0..2 {
            if self.nodes[usize::from(node)].timeout().is_some_and(|moment| moment <= self.now) {
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

    /// Asks the oracle against stalls.
    fn look(&mut self) {
        if let Some(since) = self.lost_state {
            // A path with nothing under way notices when it asks for a sign of life.
            let quiet = |path: &PathReport| path.in_flight == 0 && path.state == PathState::Active;
            let quiet = self.paths()[0].iter().any(quiet);
            if core::mem::replace(&mut self.was_quiet, quiet) || quiet {
                self.lost_state = Some(self.now);
                return;
            }
            let grace = self.watch.longest_round_trip() * 4 + Duration::from_secs(1);
            let late = self.watch.well_since(since, grace, self.now);
            assert!(late.is_none(), "the dialer has not noticed the restart, {:?}", self.watch);
        }
        let lives = [0, 1].map(|node| self.traffic.life_of(node, &self.nodes[usize::from(node)]));
        let together = self.lost_state.is_none() && lives[0].is_some() && lives[0] == lives[1];
        for node in 0..2 {
            let waits = together && self.traffic.waits(node);
            self.watch.check(node, waits, &self.nodes[usize::from(1 - node)], self.now);
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { to, link, from, remote, bytes, .. } = flight;
        if remote != self.seen_at[link][usize::from(to)] {
            return;
        }
        let node = &mut self.nodes[usize::from(to)];
        if !node.links.contains_key(&(link as u8)) {
            return;
        }
        if from == self.seen_at[link][usize::from(1 - to)]
            && core::mem::take(&mut self.unheard[link][usize::from(1 - to)])
        {
            self.look_at(link);
        }
        let node = &mut self.nodes[usize::from(to)];
        if let Some(reply) = node.receive(link as u8, from, bytes, self.now) {
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
            Act::Sever(link) => {
                self.wires[link].iter_mut().for_each(Direction::sever);
                self.flights.retain(|Reverse(flight)| flight.link != link);
            }
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
                let mtu = self.wires[link][usize::from(node)].spec.interface_mtu();
                self.nodes[usize::from(node)].link_up(link as u8, mtu, self.now);
                self.pump(node);
            }
            Act::Readdress(node, link) => {
                self.nodes[usize::from(node)].readdress(link as u8, self.now);
                self.seen_at[link][usize::from(node)] =
                    self.nodes[usize::from(node)].local(link as u8);
                self.unheard[link][usize::from(node)] = true;
                self.pump(node);
            }
            Act::Rebind { node, link, host } => self.rebind(node, link, host),
            Act::SetMode(mode) => {
                if let Some(connection) = &mut self.nodes[0].connection {
                    connection.set_mode(mode);
                }
                self.pump(0);
            }
            Act::Restart => {
                self.nodes[1].restart(self.now);
                (self.lost_state, self.was_quiet) = (Some(self.now), true);
            }
        }
        for link in 0..self.wires.len() {
            self.look_at(link);
        }
    }

    fn stall(&mut self, link: usize, length: Duration) {
        let end = self.now + length;
        for wire in &mut self.wires[link] {
            wire.hold_until(end);
        }
        let held = |Reverse(mut flight): Reverse<Flight>| {
            if flight.link == link {
                flight.arrives = flight.arrives.max(end);
            }
            Reverse(flight)
        };
        self.flights = core::mem::take(&mut self.flights).into_iter().map(held).collect();
    }

    /// A translator gives the node's link another port or another host of its own.
    fn rebind(&mut self, node: u8, link: usize, host: bool) {
        let Address::Ip(SocketAddr::V4(now)) = self.seen_at[link][usize::from(node)] else {
            return;
        };
        self.sequence += 1;
        let place = self.sequence as u8;
        let [a, b, c, d] = now.ip().octets();
        let ip = if host { Ipv4Addr::new(100, place, c, d) } else { Ipv4Addr::new(a, b, c, d) };
        let port = now.port() + 1;
        self.seen_at[link][usize::from(node)] = Address::Ip(SocketAddr::new(IpAddr::V4(ip), port));
        self.unheard[link][usize::from(node)] = true;
    }

    /// Tells the oracle how a link fares.
    fn look_at(&mut self, link: usize) {
        let up = |node: &Node| node.links.contains_key(&(link as u8));
        let open = |wire: &Direction| wire.open && wire.spec.loss <= LOSS_WELL;
        let well = self.nodes.iter().all(up)
            && self.wires[link].iter().all(open)
            && self.unheard[link] == [false; 2];
        self.watch.on_link(link, well, &self.wires[link][0].spec, self.now);
    }

    /// Drives one node until it has nothing left to do now.
    fn pump(&mut self, node: u8) {
        loop {
            let outgoing = self.nodes[usize::from(node)].poll(self.now);
            let events = core::mem::take(&mut self.nodes[usize::from(node)].events);
            let mut busy = !events.is_empty();
            for event in events {
                self.on_event(node, event);
            }
            for outgoing in outgoing {
                self.transmit(node, outgoing);
            }
            busy |= self.work(node);
            if !busy {
                return;
            }
        }
    }

    fn transmit(&mut self, node: u8, outgoing: Outgoing) {
        let Outgoing { link, remote, datagram } = outgoing;
        if let (0, Some(Kind::Packet), Some(id)) = (node, kind(&datagram), destination(&datagram)) {
            self.traffic.on_dialers_packet(id);
        }
        // Nothing routes between the links: a pair across them is a black hole, and so is an
        // address that nobody has any more.
        if remote != self.seen_at[link][usize::from(1 - node)] {
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
        let from = self.seen_at[link][usize::from(node)];
        for (arrives, bytes) in flights {
            self.sequence += 1;
            let turn = self.sequence;
            let flight = Flight { arrives, turn, to: 1 - node, link, from, remote, bytes };
            self.flights.push(Reverse(flight));
        }
    }

    fn on_event(&mut self, node: u8, event: Event) {
        if self.trace {
            eprintln!("{:>12} us  node {node} {event:?}", self.now.as_micros());
        }
        match event {
            Event::Restarted => {
                self.report.restarts += 1;
                self.lost_state = None;
                self.traffic.on_restarted();
            }
            Event::DatagramReceived => {
                let index = usize::from(node);
                if let Some(life) = self.traffic.life_of(node, &self.nodes[index]) {
                    self.messages.receive(node, life, &mut self.nodes[index]);
                }
            }
            Event::Closed(why) => self.closed[usize::from(node)] = Some(why),
            event => self.traffic.on_event(node, &self.nodes[usize::from(node)], &event),
        }
    }

    /// The applications do what they can; returns whether anything moved.
    fn work(&mut self, index: u8) -> bool {
        let node = &mut self.nodes[usize::from(index)];
        let moved = self.traffic.work(index, node, self.now);
        let life = self.traffic.life_of(index, node);
        let (sent, next) =
            life.map_or((false, None), |life| self.messages.work(index, life, node, self.now));
        for at in [moved.wake, next].into_iter().flatten() {
            // Asked for again and again: one alarm for each moment is enough.
            if self.alarms.iter().all(|Reverse(known)| *known != (at, index)) {
                self.alarms.push(Reverse((at, index)));
            }
        }
        if moved.read > 0 {
            self.watch.on_progress(1 - index, self.now);
        }
        if index == 1 {
            self.count(moved.read, moved.within);
        } else {
            self.report.answered += moved.read;
        }
        if moved.ended && index == 1 && self.report.completed.is_none() {
            self.report.completed = self.started.map(|started| self.now.since(started));
        }
        moved.any || sent
    }

    /// Bytes were read at the responder; whether some were not the first of a stream.
    fn count(&mut self, read: u64, within: bool) {
        if read == 0 {
            return;
        }
        self.report.delivered += read;
        let gap = self.now.since(self.progress);
        if within && gap > self.report.longest_gap {
            self.report.longest_gap = gap;
            self.report.gap_at = self.progress.since(self.started.unwrap_or(self.now));
        }
        self.progress = self.now;
        self.report.last_read = self.now.since(self.started.unwrap_or(self.now));
    }
}
