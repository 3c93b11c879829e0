//! One connection, the memory it works in, and its services. When it is over, the seat is free again.

use crate::log::say;
use crate::services::{BUSY, Services, Vitals};
use ropewalk_core::config::Config;
use ropewalk_core::connection::{Connection, Event, Incoming, Peer, Storage, offered_credit};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::id::{PublicKey, StreamId};
use ropewalk_core::path::PathState;
use ropewalk_core::recovery::SentSlot;
use ropewalk_core::stream::StreamSlot;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::Credit;

/// A connection over memory that was lent for good.
pub type Rope<M> = Connection<&'static mut M, Software>;

/// Where a connection and its memory are: a `static` on a board. Both are long, and never move.
pub struct Place<M: Storage + 'static> {
    memory: M,
    taken: Option<Taken<M>>,
}

impl<M: Storage + 'static> Place<M> {
    /// A place whose connections work in this memory.
    pub const fn new(memory: M) -> Self {
        Self { memory, taken: None }
    }
}

/// Room for one connection.
pub struct Seat<M: Storage + 'static> {
    memory: Option<&'static mut M>,
    taken: &'static mut Option<Taken<M>>,
}

/// A connection and what belongs to it.
pub struct Taken<M: Storage + 'static> {
    /// The connection.
    pub rope: Rope<M>,
    /// Which peer of the settings was dialled.
    pub dialled: Option<usize>,
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
    /// A free seat.
    pub const fn new(place: &'static mut Place<M>) -> Self {
        let Place { memory, taken } = place;
        Self { memory: Some(memory), taken }
    }

    /// What its memory holds, to be offered to who wants to come in.
    pub fn offer(&mut self) -> Credit {
        self.memory.as_mut().map_or(Credit::NONE, offered_credit)
    }

    /// The connection in it.
    pub const fn taken(&mut self) -> Option<&mut Taken<M>> {
        self.taken.as_mut()
    }

    /// To look at only.
    pub const fn occupant(&self) -> Option<&Taken<M>> {
        self.taken.as_ref()
    }

    /// Whether nobody sits here.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.taken.is_none()
    }

    /// Calls `peer`, if the seat is free.
    pub fn dial(&mut self, number: usize, call: Call) -> Option<&mut Taken<M>> {
        let memory = self.renewed()?;
        let Call { config, identity, peer, seed, now } = call;
        let rope = Connection::connect(config, identity, peer, seed, memory, now);
        Some(self.sit(rope, Some(number), now))
    }

    /// Takes in somebody whom the listener let in, if the seat is free.
    pub fn accept(
        &mut self,
        incoming: Incoming<Software>,
        config: Config,
        seed: Seed,
        now: Instant,
    ) -> Option<&mut Taken<M>> {
        let memory = self.renewed()?;
        // The listener offers what this memory holds, so this cannot fail.
        let rope = Connection::accept(incoming, config, seed, memory, now).ok()?;
        Some(self.sit(rope, None, now))
    }

    fn renewed(&mut self) -> Option<&'static mut M> {
        if self.taken.is_some() {
            return None;
        }
        let memory = self.memory.take()?;
        wipe(memory);
        Some(memory)
    }

    fn sit(&mut self, rope: Rope<M>, dialled: Option<usize>, now: Instant) -> &mut Taken<M> {
        let services = Services::new(now);
        self.taken.insert(Taken { rope, dialled, services, stood: false })
    }

    /// Ends the connection without a word, and frees the seat.
    pub fn clear(&mut self) -> Option<Over> {
        let Taken { rope, dialled, stood, .. } = self.taken.take()?;
        self.memory = Some(rope.into_storage());
        Some(Over { dialled, stood })
    }

    /// Frees the seat if its connection is over.
    pub fn clear_if_over(&mut self) -> Option<Over> {
        if !self.taken.as_ref().is_some_and(|taken| taken.rope.is_drained()) {
            return None;
        }
        self.clear()
    }
}

/// Makes memory as it was before its first connection, in its place: a new value would pass over
/// the stack, which on a board is shorter.
fn wipe(memory: &mut impl Storage) {
    let parts = memory.parts();
    parts.paths.fill_with(|| None);
    parts.streams.fill_with(|| StreamSlot::EMPTY);
    parts.sent.fill_with(|| SentSlot::EMPTY);
    for bytes in [parts.send, parts.receive, parts.datagrams_out, parts.datagrams_in, parts.repair]
    {
        bytes.fill(0);
    }
}

/// What it takes to dial.
pub struct Call {
    /// The connection's limits and habits.
    pub config: Config,
    /// Who we are.
    pub identity: Identity,
    /// Whom to call, and where.
    pub peer: Peer,
    /// Randomness, used once.
    pub seed: Seed,
    /// The moment.
    pub now: Instant,
}

impl<M: Storage + 'static> Taken<M> {
    /// What is due by now, what happened, and what the services make of it.
    pub fn advance(&mut self, vitals: &Vitals, now: Instant) {
        if self.rope.poll_timeout().is_some_and(|moment| moment <= now) {
            self.rope.handle_timeout(now);
        }
        let mut stirred = self.services.deadline().is_some_and(|due| due <= now);
        // Each event is news of something that the rules of the core bound: this ends.
        while let Some(event) = self.rope.poll_event() {
            stirred = true;
            self.on_event(event, now);
        }
        if stirred {
            self.services.run(&mut self.rope, vitals, now);
        }
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected | Event::Restarted => {
                say!(info, "connected to {=[u8]:02x}", self.peer_start());
                self.stood = true;
                self.services = Services::new(now);
                if self.dialled.is_some() {
                    self.services.begin_telemetry(&mut self.rope, now);
                }
            }
            Event::StreamOpened { stream, service } => self.on_opened(stream, service.as_str()),
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

    fn on_opened(&mut self, stream: StreamId, service: &str) {
        if !self.services.on_opened(stream, service) {
            let mut handle = self.rope.stream(stream);
            handle.stop(BUSY);
            handle.reset(BUSY);
        }
    }

    fn peer_start(&self) -> [u8; 4] {
        let PublicKey(key) = self.rope.peer();
        key.first_chunk().copied().unwrap_or_default()
    }

    /// When it wants to be moved on, nothing else happening.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.rope.poll_timeout(), self.services.deadline()].into_iter().flatten().min()
    }

    /// Whether any path carries data.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.rope.paths().any(|path| path.state == PathState::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropewalk_core::connection::Memory;
    use std::format;
    use std::string::String;

    type Small = Memory<2, 2, 16, 4_096, 4_096>;

    fn shown(memory: &mut Small) -> String {
        let parts = memory.parts();
        let bytes = (parts.send, parts.receive, parts.datagrams_out, parts.datagrams_in);
        format!("{:?} {:?} {bytes:?}", parts.streams, parts.sent)
    }

    #[test]
    fn wiped_memory_is_as_it_was_before_its_first_connection() {
        let fresh = shown(&mut Small::new());
        let mut memory = Small::new();
        let parts = memory.parts();
        for bytes in [parts.send, parts.receive, parts.datagrams_out, parts.datagrams_in] {
            bytes.fill(0x5a);
        }
        let offer = offered_credit(&mut memory);
        assert_ne!(shown(&mut memory), fresh);
        wipe(&mut memory);
        assert!(shown(&mut memory) == fresh);
        assert_eq!(offered_credit(&mut memory), offer);
    }
}
