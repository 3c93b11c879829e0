//! Rank 4: one connection, as poll-driven state.
//!
//! [`Connection`] owns its parts (streams, paths, keys, credit) and only routes between them:
//!
//! ```text
//!  handle_datagram -> receive  -> open -> frames -> streams, acknowledgements, paths
//!  handle_timeout  -> timeout  -> losses, suspicion, probes, the race for a restarted peer
//!  handle_link     -> routing  -> paths opened and given up
//!  poll_transmit   -> transmit -> which path, which frames -> seal
//!  poll_event      -> event    -> flags of streams, paths and the connection
//! ```
//!
//! | phase | entered when | left when |
//! |---|---|---|
//! | Handshake | `connect` | an answer opens, or the deadline passes |
//! | Established | keys exist on both sides | either side closes, or nothing arrives for too long |
//! | Closing | `close`, or a violation by the peer | the peer closes too, or some tries are made |
//! | Drained | nothing is left to do | never |
//!
//! What decides *which path* lives in [`crate::path`], not here.

#[cfg(feature = "repair")]
mod again;
mod api;
mod close;
mod compose;
mod control;
mod dial;
mod event;
mod ledger;
mod length;
mod links;
mod listener;
mod memory;
mod modes;
mod parting;
mod receive;
#[cfg(feature = "repair")]
mod repair;
#[cfg(not(feature = "repair"))]
#[path = "unrepaired.rs"]
mod repair;
mod routing;
mod scale;
mod stats;
mod stream_io;
mod timeout;
mod transmit;
mod twins;

pub use api::Stream;
pub use dial::{PEER_ADDRESSES_MAX, Peer};
pub use event::{CloseReason, Event};
pub use links::{LINK_ADDRESSES_MAX, LinkChange, LinkInfo, LinkPolicy};
pub use links::{Link, Policy};
pub use listener::HalfOpen;
pub use listener::{Incoming, Listener, Route};
pub use memory::{Memory, PATHS_MAX, Parts, Storage};
pub use scale::{Large, Scale, Small};
pub use stats::Stats;
pub use stream_io::StreamError;
pub use transmit::Transmit;

use crate::config::Config;
use crate::crypto::{Crypto, Identity, PacketKeys, Random, Secrets, Seed};
use crate::error::AcceptError;
use crate::id::{ConnectionId, Mode, PublicKey, Side};
use crate::path::PathReport;
use crate::recovery::SentTable;
use crate::storage::table::Table;
use crate::stream::{Datagrams, StreamMemory, Streams};
use crate::time::Instant;
use crate::wire::{Advertised, Credit, Welcome};
use close::Closing;
use dial::{Dial, Introduction};
use event::Notices;
use parting::Parted;
use repair::Repairs;
use routing::Routing;
use scale::LinksOf;

/// One encrypted connection over all paths between two nodes.
///
/// The contract: after any call that takes `&mut self`, poll until each poll says `None`, in any
/// order. Time is the caller's and never runs back; an older `now` counts as the latest seen. No
/// call allocates, blocks, reads a clock, logs or panics, whatever a peer sends, and the work of a
/// call is bounded by the length of its input. The same seed and the same calls give the same bytes.
pub struct Connection<S: Storage, C: Crypto> {
    config: Config,
    side: Side,
    peer: PublicKey,
    id: ConnectionId,
    remote_id: ConnectionId,
    phase: Phase,
    storage: S,
    random: Random<C>,
    keys: Option<PacketKeys<C>>,
    dial: Option<Dial<C, <S::Scale as Scale>::Dialled>>,
    streams: Streams,
    datagrams: Datagrams,
    repairs: Repairs,
    sent: SentTable,
    links: LinksOf<S::Scale>,
    routing: Routing<S::Scale>,
    parted: Option<Parted>,
    mode: Binding,
    closing: Closing,
    notices: Notices,
    stats: Stats,
    clock: Clock,
}

/// Where the connection is in its life; the table stands at the top of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Established,
    Closing,
    Drained,
}

/// The moments that the connection as a whole remembers.
struct Clock {
    /// The latest `now`.
    now: Instant,
    started: Instant,
    /// When a packet that opened last arrived.
    heard: Instant,
    /// When data that waits may be sent: pacing, or the wait for a faster path.
    transmit: Option<Instant>,
    /// Since when no path has been alive.
    all_down: Option<Instant>,
}

/// The mode, and whether the peer has heard of it. What the dialer says binds both directions.
struct Binding {
    mode: Mode,
    sequence: u32,
    due: bool,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// A connection to `peer`, which begins when the first link is reported up.
    pub fn connect(
        config: Config,
        identity: Identity,
        peer: Peer,
        seed: Seed,
        storage: S,
        now: Instant,
    ) -> Self {
        let mut connection = Self::vacant(config, storage);
        connection.dial(identity, peer, seed, now);
        connection
    }

    /// A connection that the listener let in. Report the links, then hand it the datagram that
    /// brought it about.
    ///
    /// # Errors
    /// [`AcceptError::StorageTooSmall`] when the storage holds less than the credit that the
    /// listener offered.
    pub fn accept(
        incoming: Incoming<C>,
        config: Config,
        seed: Seed,
        storage: S,
        now: Instant,
    ) -> Result<Self, AcceptError> {
        let mut connection = Self::vacant(config, storage);
        connection.answer(&incoming, seed, now).map(|()| connection)
    }

    /// The place of a connection, drained from the start: [`Connection::dial`] and
    /// [`Connection::answer`] begin one in it, and another when that has drained. What is large is
    /// so made once, when a board starts, and never moved.
    pub fn vacant(config: Config, storage: S) -> Self {
        let (side, now) = (Side::Dialer, Instant::ZERO);
        let streams = Streams::new(side, storage.block_bytes());
        Self {
            side,
            peer: PublicKey([0; 32]),
            id: ConnectionId(0),
            remote_id: ConnectionId(0),
            phase: Phase::Drained,
            storage,
            random: Random::new(Seed([0; 32])),
            keys: None,
            dial: None,
            streams,
            datagrams: Datagrams::new(),
            repairs: Repairs::new(),
            sent: SentTable::new(),
            links: LinksOf::<S::Scale>::default(),
            routing: Routing::new(now),
            parted: None,
            mode: Binding { mode: config.mode, sequence: 0, due: false },
            closing: Closing::default(),
            notices: Notices::default(),
            stats: Stats::default(),
            clock: Clock { now, started: now, heard: now, transmit: None, all_down: None },
            config,
        }
    }

    /// Begins a connection to `peer` in a place that is vacant or drained; the links that were
    /// reported stay. False: it is in use.
    pub fn dial(&mut self, identity: Identity, peer: Peer, seed: Seed, now: Instant) -> bool {
        if self.phase != Phase::Drained {
            return false;
        }
        let mut random = Random::new(seed);
        let id = ConnectionId(random.u32());
        self.begin(Side::Dialer, peer.key, id, random, now);
        self.dial = Some(Dial::new(identity, peer));
        if self.links.iter().next().is_some() {
            self.start_race(None, now);
        }
        true
    }

    /// Begins the connection that the listener let in, in a place that is vacant or drained; the
    /// links that were reported stay. Then hand it the datagram that brought it about.
    ///
    /// # Errors
    /// [`AcceptError::InUse`], and [`AcceptError::StorageTooSmall`] as for [`Connection::accept`].
    pub fn answer(
        &mut self,
        incoming: &Incoming<C>,
        seed: Seed,
        now: Instant,
    ) -> Result<(), AcceptError> {
        if self.phase != Phase::Drained {
            return Err(AcceptError::InUse);
        }
        let offered = incoming.offered;
        let held = offered_credit(&mut self.storage);
        if held.data < offered.data || held.streams < offered.streams {
            return Err(AcceptError::StorageTooSmall);
        }
        self.begin(Side::Responder, incoming.peer, incoming.id, Random::new(seed), now);
        let Incoming { secrets, hello, remote_id, .. } = incoming;
        self.mode.mode = hello.mode;
        self.establish(secrets, *remote_id, offered, hello.credit, &hello.addresses, now);
        Ok(())
    }

    /// Everything but the links is as if nothing had been.
    fn begin(
        &mut self,
        side: Side,
        peer: PublicKey,
        id: ConnectionId,
        random: Random<C>,
        now: Instant,
    ) {
        self.side = side;
        self.peer = peer;
        self.id = id;
        self.remote_id = ConnectionId(0);
        self.phase = Phase::Handshake;
        self.random = random;
        self.keys = None;
        self.dial = None;
        self.mode = Binding { mode: self.config.mode, sequence: 0, due: false };
        self.closing = Closing::default();
        self.stats = Stats::default();
        self.clock = Clock { now, started: now, heard: now, transmit: None, all_down: None };
        self.forget_everything();
    }

    /// The id in packets that we receive; a demultiplexer routes by it. It never changes.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who began the connection.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The peer's public key.
    pub const fn peer(&self) -> PublicKey {
        self.peer
    }

    /// How the paths are used now.
    pub const fn mode(&self) -> Mode {
        self.mode.mode
    }

    /// Whether streams can be opened.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Whether nothing is left to do; the object may be dropped.
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Drained
    }

    /// Counters of the connection.
    pub const fn stats(&self) -> Stats {
        Stats { messages_dropped: self.datagrams.dropped, ..self.stats }
    }

    /// Every live path, as it is now.
    pub fn paths(&self) -> impl Iterator<Item = PathReport> + '_ {
        self.storage.paths().iter().flatten().map(|path| path.report())
    }

    /// The memory, so that a host may let it grow. It must not shrink, but after
    /// [`Connection::forget_memory`].
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// Ends the connection without a word: its place is vacant, and the links that were reported
    /// stay.
    pub fn vacate(&mut self) {
        self.phase = Phase::Drained;
        self.keys = None;
        self.dial = None;
        self.closing = Closing::default();
        self.forget_everything();
    }

    /// Whether nothing lies in the memory of streams and of packets in flight.
    pub const fn holds_nothing(&self) -> bool {
        self.sent.used() == 0 && self.streams.holds_nothing()
    }

    /// If it [holds nothing](Self::holds_nothing): forgets what lay there, so that a host may put
    /// fresh memory of the same or the first size in its place. Returns whether there was anything.
    pub fn forget_memory(&mut self) -> bool {
        let any = self.sent.used() == 0 && self.streams.forget_memory();
        if any {
            self.sent = SentTable::new();
        }
        any
    }

    /// Which memory limits the rate now.
    pub fn wants_memory(&mut self) -> MemoryWish {
        let parts = self.storage.parts();
        let packets = self.sent.room(parts.sent) < PACKETS_LOW;
        let memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let (send, receive) = self.streams.wants_memory(&memory);
        let repair = self.mode.mode == Mode::Repair && Repairs::wants_memory(parts.repair);
        MemoryWish { send, receive, packets, repair }
    }

    /// Time never runs back.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn advance(&mut self, now: Instant) -> Instant {
        self.clock.now = self.clock.now.max(now);
        self.clock.now
    }

    /// Keys exist on both sides.
    fn establish(
        &mut self,
        secrets: &Secrets,
        remote_id: ConnectionId,
        offered: Credit,
        credit: Credit,
        addresses: &[Advertised],
        now: Instant,
    ) {
        self.keys = Some(PacketKeys::new(secrets));
        self.remote_id = remote_id;
        self.phase = Phase::Established;
        let (streams, memory) = self.streaming();
        streams.on_own_credit(offered, &memory);
        streams.on_peer_credit(credit);
        self.routing.establish(addresses, self.side, now);
        // Links that came up before are news already.
        if self.routing.advertise.sequence() == 0 && !self.links.advertised().is_empty() {
            self.routing.advertise.on_changed();
        }
        self.clock.heard = now;
        self.clock.all_down = None;
        self.notices.connected = true;
    }

    /// The answer to the first message opened: keys, and the pair of the first path. If this was
    /// the question whether the peer was restarted, everything that stood on the old keys goes.
    fn on_welcome(&mut self, secrets: &Secrets, welcome: &Welcome, now: Instant) {
        if self.phase == Phase::Established {
            self.forget_everything();
            self.notices.restarted = true;
        }
        let offered = self.dial.as_ref().map_or(Credit::NONE, |dial| dial.offered);
        let (id, credit) = (welcome.connection, welcome.credit);
        self.establish(secrets, id, offered, credit, &welcome.addresses, now);
        // The message that was answered may be older than the last word on the mode.
        self.mode.due = self.mode.sequence > 0;
        self.recall_dialled();
    }

    /// Where the peer was dialled it may be found, though it may have told that its link there went
    /// away: when that link returned, no path may have been left to tell us.
    fn recall_dialled(&mut self) {
        for address in self.dial.iter().flat_map(|dial| dial.addresses.list()) {
            self.routing.remotes.add_dialled(*address);
        }
    }

    fn forget_everything(&mut self) {
        let parts = self.storage.parts();
        for slot in parts.paths.iter_mut() {
            *slot = None;
        }
        self.parted = None;
        self.sent = SentTable::new();
        for slot in parts.sent.iter_mut() {
            *slot = crate::recovery::SentSlot::EMPTY;
        }
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        self.streams.clear(self.side, &mut memory);
        self.datagrams = Datagrams::new();
        self.repairs = Repairs::new();
        self.routing = Routing::new(self.clock.now);
        self.notices = Notices::default();
        self.mode.due = false;
    }

    /// Begins the handshake's race, or the question whether the peer was restarted.
    fn start_race(&mut self, replaces: Option<ConnectionId>, now: Instant) {
        self.recall_dialled();
        let introduction = Introduction {
            connection: self.id,
            mode: self.mode.mode,
            // What a fresh connection in this memory can take, whatever this one has used up.
            credit: offered_credit(&mut self.storage),
            replaces,
        };
        if let Some(dial) = &mut self.dial {
            dial.start(introduction, &self.links, &mut self.random, now);
        }
    }
}

/// Which memory would raise the rate if there were more of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MemoryWish {
    /// Bytes written but not yet acknowledged.
    pub send: bool,
    /// Bytes received but not yet read.
    pub receive: bool,
    /// Packets in flight.
    pub packets: bool,
    /// Symbols of error correction.
    pub repair: bool,
}

/// The credit that a [`Listener`] may offer for connections that will get memory like `storage`.
pub fn offered_credit<S: Storage>(storage: &mut S) -> Credit {
    let mut streams = Streams::new(Side::Responder, storage.block_bytes());
    let parts = storage.parts();
    streams.credit(&StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive })
}

/// With fewer free places than this, the table of packets in flight is the limit.
const PACKETS_LOW: usize = 64;
