//! One connection, the memory it works in, and its services. When it is over, the seat is free again.
//!
//! The connection is made once, when the board starts, and never moved: it is long. What comes and
//! goes is who sits in it.

use crate::log::say;
use crate::services::{BUSY, Services, Vitals};
use ropewalk_core::config::Config;
use ropewalk_core::connection::{Connection, Event, Incoming, Peer, Storage, offered_credit};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::id::{PublicKey, StreamId};
use ropewalk_core::path::PathState;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::Credit;

/// A connection over memory that was lent for good.
pub type Rope<M> = Connection<&'static mut M, Software>;

/// Where a connection, its memory and its services are: a `static` on a board.
pub struct Place<M: Storage + 'static> {
    memory: M,
    rope: Option<Rope<M>>,
    occupant: Option<Occupant>,
}

impl<M: Storage + 'static> Place<M> {
    /// A place whose connections work in this memory.
    pub const fn new(memory: M) -> Self {
        Self { memory, rope: None, occupant: None }
    }

    /// What the memory holds, to be offered to who wants to come in.
    pub fn offer(&mut self) -> Credit {
        offered_credit(&mut self.memory)
    }
}

/// Room for one connection.
pub struct Seat<M: Storage + 'static> {
    rope: &'static mut Rope<M>,
    occupant: &'static mut Option<Occupant>,
}

/// Whoever sits there.
struct Occupant {
    dialled: Option<usize>,
    services: Services,
    stood: bool,
}

/// What became of a seat's connection.
pub struct Over {
    /// Which peer of the settings it was dialled to.
    pub dialled: Option<usize>,
    /// Whether it ever stood.
    pub stood: bool,
}

impl<M: Storage + 'static> Seat<M> {
    /// A free seat, whose connections will have these limits and habits.
    pub fn new(place: &'static mut Place<M>, config: Config) -> Self {
        let Place { memory, rope, occupant } = place;
        Self { rope: rope.insert(Connection::vacant(config, memory)), occupant }
    }

    /// Its connection, whoever sits there: it hears of links while the seat is free, too.
    pub const fn rope(&mut self) -> &mut Rope<M> {
        self.rope
    }

    /// The connection, if there is one.
    #[must_use]
    pub fn taken(&self) -> Option<&Rope<M>> {
        self.occupant.as_ref().map(|_| &*self.rope)
    }

    /// Whether nobody sits here.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.occupant.is_none()
    }

    /// Whether its connection was dialled, and not by the peer.
    #[must_use]
    pub fn is_dialled(&self) -> bool {
        self.occupant.as_ref().is_some_and(|occupant| occupant.dialled.is_some())
    }

    /// Calls `peer`, which is number so-and-so of the settings. False: the seat is taken.
    pub fn dial(&mut self, number: usize, call: Call) -> bool {
        let Call { identity, peer, seed, now } = call;
        let free = self.is_free() && self.rope.dial(identity, peer, seed, now);
        if free {
            self.sit(Some(number), now);
        }
        free
    }

    /// Takes in somebody whom the listener let in. False: the seat is taken.
    pub fn accept(&mut self, incoming: &Incoming<Software>, seed: Seed, now: Instant) -> bool {
        // The listener offers what this memory holds, so there is room.
        let free = self.is_free() && self.rope.answer(incoming, seed, now).is_ok();
        if free {
            self.sit(None, now);
        }
        free
    }

    fn sit(&mut self, dialled: Option<usize>, now: Instant) {
        *self.occupant = Some(Occupant { dialled, services: Services::new(now), stood: false });
    }

    /// Ends the connection without a word, and frees the seat.
    pub fn clear(&mut self) -> Option<Over> {
        let Occupant { dialled, stood, .. } = self.occupant.take()?;
        self.rope.vacate();
        Some(Over { dialled, stood })
    }

    /// Frees the seat if its connection is over.
    pub fn clear_if_over(&mut self) -> Option<Over> {
        if self.rope.is_drained() { self.clear() } else { None }
    }

    /// What is due by now, what happened, and what the services make of it.
    pub fn advance(&mut self, vitals: &Vitals, now: Instant) {
        let Some(occupant) = self.occupant else { return };
        if self.rope.poll_timeout().is_some_and(|moment| moment <= now) {
            self.rope.handle_timeout(now);
        }
        let mut stirred = occupant.services.deadline().is_some_and(|due| due <= now);
        // Each event is news of something that the rules of the core bound: this ends.
        while let Some(event) = self.rope.poll_event() {
            stirred = true;
            occupant.on_event(self.rope, event, now);
        }
        if stirred {
            occupant.services.run(self.rope, vitals, now);
        }
    }

    /// When it wants to be moved on, nothing else happening.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let services = self.occupant.as_ref()?.services.deadline();
        [self.rope.poll_timeout(), services].into_iter().flatten().min()
    }

    /// Whether any path carries data.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.taken().is_some_and(|rope| rope.paths().any(|path| path.state == PathState::Active))
    }
}

/// What it takes to dial.
pub struct Call {
    /// Who we are.
    pub identity: Identity,
    /// Whom to call, and where.
    pub peer: Peer,
    /// Randomness, used once.
    pub seed: Seed,
    /// The moment.
    pub now: Instant,
}

impl Occupant {
    fn on_event<M: Storage>(&mut self, rope: &mut Rope<M>, event: Event, now: Instant) {
        match event {
            Event::Connected | Event::Restarted => {
                say!(info, "connected to {=[u8]:02x}", start(&rope.peer()));
                self.stood = true;
                self.services = Services::new(now);
                if self.dialled.is_some() {
                    self.services.begin_telemetry(rope, now);
                }
            }
            Event::StreamOpened { stream, service } => {
                self.on_opened(rope, stream, service.as_str())
            }
            Event::StreamStopped { stream, .. } => self.services.on_stopped(stream),
            Event::StreamReset { stream, .. } => self.services.on_reset(stream),
            Event::PathChanged { path, state } => {
                say!(info, "path {=u32} is {}", path.0, state);
            }
            Event::PathGone(path) => say!(info, "path {=u32} is gone", path.0),
            Event::Closed(reason) => say!(info, "connection over: {}", reason),
            _ => {}
        }
    }

    fn on_opened<M: Storage>(&mut self, rope: &mut Rope<M>, stream: StreamId, service: &str) {
        if !self.services.on_opened(stream, service) {
            let mut handle = rope.stream(stream);
            handle.stop(BUSY);
            handle.reset(BUSY);
        }
    }
}

fn start(PublicKey(key): &PublicKey) -> [u8; 4] {
    key.first_chunk().copied().unwrap_or_default()
}
