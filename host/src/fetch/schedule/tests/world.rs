//! Servers, their ways and their faults in virtual time, and a client that does what the schedule says.
//!
//! A server answers its requests one after another at its rate, in chunks; what it sends arrives half
//! a round trip later. Each connection has a number, and what belongs to an older one is lost.

use super::super::*;
use std::collections::VecDeque;

/// The longest that anything is played.
const HOURS: Duration = Duration::from_secs(4 * 3_600);
const CHUNK: u32 = 16 << 10;
/// How often a client looks for a server that is down.
const RETRY_MS: u64 = 500;

/// Moments as the tests write them.
pub(super) trait Millis {
    fn as_millis(&self) -> u64;
}

impl Millis for Instant {
    fn as_millis(&self) -> u64 {
        self.since(Self::ZERO).as_millis()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is gone; the client may see that, or hear nothing.
    Kill { noticed: bool },
    /// It can be reached again; the client finds out by itself.
    Back,
    /// It takes requests and sends nothing.
    Freeze,
    /// It sends on.
    Thaw,
    /// The client learns of it.
    Added,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Bytes a second.
    pub(super) rate: u64,
    one_way: Duration,
    /// What it sends of each so-many-th piece is wrong.
    pub(super) lies_about: Option<u64>,
    /// It is not known from the beginning.
    pub(super) comes_later: bool,
    /// It does not have this file.
    pub(super) lacks: Option<u32>,
    up: bool,
    frozen: bool,
    connection: u32,
    queue: VecDeque<Request>,
    sending: bool,
}

impl Server {
    pub(super) fn new(rate: u64, one_way_ms: u64) -> Self {
        Self {
            rate,
            one_way: Duration::from_millis(one_way_ms),
            lies_about: None,
            comes_later: false,
            lacks: None,
            up: true,
            frozen: false,
            connection: 0,
            queue: VecDeque::new(),
            sending: false,
        }
    }

    /// What it sends before it can hear of a cancelled request.
    pub(super) fn on_the_way(&self) -> u64 {
        (self.one_way * 2).bytes_at(self.rate)
    }
}

pub(super) struct Plan {
    pub(super) servers: Vec<Server>,
    /// At which millisecond what happens to whom.
    pub(super) faults: Vec<(u64, usize, Fault)>,
    pub(super) works: Vec<Work>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Fault(usize, Fault),
    Asked(usize, u32, Request),
    Cancelled(usize, u32, WorkId),
    Sent(usize, u32),
    Came { server: usize, connection: u32, work: Work, bytes: u32 },
    Refused(usize, u32, WorkId),
    Lost(usize, u32),
    Connected(usize),
    Timeout,
}

pub(super) struct World {
    pub(super) schedule: Schedule<std::vec::IntoIter<Work>>,
    now: Instant,
    servers: Vec<Server>,
    events: BTreeMap<(Instant, u64), Event>,
    event_count: u64,
    timeout: Option<Instant>,
    /// What of each work came from whom.
    held: BTreeMap<(usize, WorkId), u32>,
    left: usize,
    done_bytes: u64,
    /// All that came, and when.
    pub(super) came: Vec<(Instant, u32)>,
    /// All that was asked.
    pub(super) asked: Vec<(Instant, usize, WorkId)>,
    /// Where a wrong piece was noticed.
    pub(super) lies: Vec<(usize, WorkId)>,
    /// What a server owed when it failed.
    pub(super) owed_at_faults: u64,
}

/// The pieces of a file.
pub(super) fn pieces(file: u32, bytes: u64) -> Vec<Work> {
    let length = u64::from(WORK_BYTES_MAX);
    let piece = |index| Work {
        id: WorkId { file, part: Part::Piece(index) },
        bytes: u32::try_from((bytes - index * length).min(length)).unwrap(),
    };
    (0..bytes.div_ceil(length)).map(piece).collect()
}

impl World {
    /// Plays until all of it is there, and says when that was.
    pub(super) fn play(plan: Plan) -> (Self, Instant) {
        let mut world = Self {
            left: plan.works.len(),
            schedule: Schedule::new(plan.works.into_iter()),
            now: Instant::ZERO,
            servers: plan.servers,
            events: BTreeMap::new(),
            event_count: 0,
            timeout: None,
            held: BTreeMap::new(),
            done_bytes: 0,
            came: Vec::new(),
            asked: Vec::new(),
            lies: Vec::new(),
            owed_at_faults: 0,
        };
        for server in 0..world.servers.len() {
            if !world.servers[server].comes_later {
                world.schedule.handle_added(id(server), world.now);
            }
        }
        for (at, server, fault) in plan.faults {
            world.after(Duration::from_millis(at), Event::Fault(server, fault));
        }
        world.pump();
        while world.left > 0 {
            let ((at, _), event) = world.events.pop_first().expect("something is still to happen");
            assert!(at.since(Instant::ZERO) < HOURS, "{} works are left", world.left);
            world.now = at;
            world.happens(event);
            world.pump();
        }
        let ended = world.now;
        (world, ended)
    }

    /// Bytes that came and were of no use.
    pub(super) fn twice(&mut self) -> u64 {
        // What is still kept when all is done was cancelled.
        self.came.iter().map(|(_, bytes)| u64::from(*bytes)).sum::<u64>() - self.done_bytes
    }

    /// The longest time without a byte between two moments.
    pub(super) fn gap(&self, from_ms: u64, to_ms: u64) -> Duration {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let (from, to) = (at(from_ms), at(to_ms));
        let within = self.came.iter().map(|(at, _)| *at).filter(|at| (from..to).contains(at));
        let mut moments: Vec<_> = within.chain([from, to]).collect();
        moments.sort();
        moments.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap()
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now + span, self.event_count), event);
    }

    /// The client does what the schedule says until it says no more.
    fn pump(&mut self) {
        loop {
            let before = self.event_count;
            for server in 0..self.servers.len() {
                while let Some(action) = self.schedule.poll_action(id(server), self.now) {
                    match action {
                        Action::Ask(request) => self.ask(server, request),
                        Action::Cancel(work) => {
                            self.held.remove(&(server, work));
                            let there = &self.servers[server];
                            let cancelled = Event::Cancelled(server, there.connection, work);
                            self.after(there.one_way, cancelled);
                        }
                    }
                }
            }
            if before == self.event_count {
                break;
            }
        }
        let owed: u64 = self.schedule.sources().map(|source| source.owed).sum();
        let works = (self.servers.len() as u64) * u64::from(WORK_BYTES_MAX);
        assert!(owed <= OWED_BYTES_MAX + works, "{owed} bytes are owed");
        let next = self.schedule.poll_timeout();
        if let Some(at) = next.filter(|next| self.timeout.is_none_or(|set| *next < set)) {
            self.timeout = next;
            self.after(at.since(self.now), Event::Timeout);
        }
    }

    fn ask(&mut self, server: usize, request: Request) {
        let held = self.held.insert((server, request.work.id), request.from).unwrap_or(0);
        assert_eq!(held, request.from, "what has come of {:?}", request.work);
        self.asked.push((self.now, server, request.work.id));
        let there = &self.servers[server];
        self.after(there.one_way, Event::Asked(server, there.connection, request));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Timeout => {
                self.timeout.take_if(|set| *set <= self.now);
                self.schedule.handle_timeout(self.now);
            }
            Event::Fault(server, fault) => self.fault(server, fault),
            Event::Connected(server) if self.servers[server].up => {
                self.disconnect(server);
                self.schedule.handle_added(id(server), self.now);
            }
            Event::Connected(_) => {}
            Event::Asked(server, connection, _)
            | Event::Cancelled(server, connection, _)
            | Event::Sent(server, connection)
            | Event::Came { server, connection, .. }
            | Event::Refused(server, connection, _)
            | Event::Lost(server, connection)
                if self.servers[server].connection != connection => {}
            Event::Asked(server, _, request) => {
                let there = &mut self.servers[server];
                if there.lacks == Some(request.work.id.file) {
                    let (way, connection) = (there.one_way, there.connection);
                    self.after(way, Event::Refused(server, connection, request.work.id));
                } else {
                    there.queue.push_back(request);
                    self.send(server);
                }
            }
            Event::Cancelled(server, _, work) => {
                self.servers[server].queue.retain(|request| request.work.id != work);
            }
            Event::Sent(server, _) => self.sent(server),
            Event::Came { server, work, bytes, .. } => self.came(server, work, bytes),
            Event::Refused(server, _, work) => {
                self.held.remove(&(server, work));
                assert!(
                    self.schedule.handle_refused(id(server), work, self.now),
                    "nobody has {work:?}"
                );
            }
            Event::Lost(server, _) => self.schedule.handle_lost(id(server)),
        }
    }

    fn fault(&mut self, server: usize, fault: Fault) {
        let owed = self.schedule.sources().find(|source| source.id == id(server));
        match fault {
            Fault::Kill { noticed } if self.servers[server].up => {
                self.owed_at_faults += owed.map_or(0, |source| source.owed);
                self.disconnect(server);
                let there = &mut self.servers[server];
                there.up = false;
                let (way, connection) = (there.one_way, there.connection);
                if noticed {
                    self.after(way, Event::Lost(server, connection));
                }
            }
            Fault::Back if !self.servers[server].up => {
                self.servers[server].up = true;
                let next_try = RETRY_MS - self.now.as_micros() / 1_000 % RETRY_MS;
                let handshake = self.servers[server].one_way * 2;
                self.after(Duration::from_millis(next_try) + handshake, Event::Connected(server));
            }
            Fault::Kill { .. } | Fault::Back => {}
            Fault::Freeze => self.servers[server].frozen = true,
            Fault::Thaw => {
                self.servers[server].frozen = false;
                self.send(server);
            }
            Fault::Added => self.after(Duration::ZERO, Event::Connected(server)),
        }
    }

    fn disconnect(&mut self, server: usize) {
        let there = &mut self.servers[server];
        there.connection += 1;
        there.queue.clear();
        there.sending = false;
    }

    /// Puts the next chunk on the line, if that is free.
    fn send(&mut self, server: usize) {
        let there = &mut self.servers[server];
        let Some(request) = there.queue.front() else { return };
        if there.sending || there.frozen || !there.up {
            return;
        }
        there.sending = true;
        let bytes = (request.work.bytes - request.from).min(CHUNK);
        let (time, connection) = (Duration::of_bytes(bytes.into(), there.rate), there.connection);
        self.after(time, Event::Sent(server, connection));
    }

    fn sent(&mut self, server: usize) {
        let there = &mut self.servers[server];
        there.sending = false;
        if let Some(request) = there.queue.front_mut() {
            let (work, bytes) = (request.work, (request.work.bytes - request.from).min(CHUNK));
            request.from += bytes;
            if request.from == work.bytes {
                there.queue.pop_front();
            }
            let (way, connection) = (there.one_way, there.connection);
            self.after(way, Event::Came { server, connection, work, bytes });
        }
        self.send(server);
    }

    fn came(&mut self, server: usize, work: Work, bytes: u32) {
        self.came.push((self.now, bytes));
        self.schedule.handle_bytes(id(server), work.id, bytes, self.now);
        let Some(held) = self.held.get_mut(&(server, work.id)) else { return };
        *held += bytes;
        if *held < work.bytes {
            return;
        }
        self.held.remove(&(server, work.id));
        let Part::Piece(piece) = work.id.part else { unreachable!("only pieces are asked here") };
        if self.servers[server].lies_about.is_some_and(|each| piece % each == each - 1) {
            self.lies.push((server, work.id));
            self.schedule.handle_bad(id(server));
        } else if self.schedule.handle_done(id(server), work.id) {
            self.left -= 1;
            self.done_bytes += u64::from(work.bytes);
        } else {
            panic!("{work:?} is done twice, though the second copy was cancelled");
        }
    }
}

fn id(server: usize) -> SourceId {
    SourceId(u32::try_from(server).unwrap())
}
