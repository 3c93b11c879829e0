//! SKELETON of the face, so that the host can be written against it. Bodies follow.
#![allow(missing_docs, unused_variables, clippy::missing_errors_doc)]
use crate::config::Config;
use crate::error::*;
use crate::id::*;
use crate::time::{Duration, Instant};
use core::marker::PhantomData;
use core::net::IpAddr;

/// Comes from `crypto` (same names).
pub trait Crypto {}
pub struct Seed(pub [u8; 32]);
pub type Psk = [u8; 32];
pub type TicketId = [u8; 8];
#[derive(Clone)]
pub struct Identity { pub secret: [u8; 32], pub public: PublicKey }
/// From `stream`: 1 to 32 bytes. `Service::new("file")`, `.as_str()`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service(heapless::String<32, u8>);
impl Service { pub fn new(name: &str) -> Option<Self> { todo!() } pub fn as_str(&self) -> &str { &self.0 } }

/// Whom to dial.
#[derive(Clone)]
pub struct Peer { pub key: PublicKey, pub psk: Psk, pub ticket: Option<TicketId>, pub addresses: heapless::Vec<Address, 16> }

/// What a link can do. `addresses`: what the peer may send to (SocketAddr with our port; Serial for a serial line).
#[derive(Clone, Debug)]
pub struct LinkInfo { pub mtu: u16, pub class: CostClass, pub addresses: heapless::Vec<Address, 6> }
#[derive(Clone, Debug)]
pub enum LinkChange { Up(LinkInfo), Down }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub link: LinkId, pub local: Option<IpAddr>, pub remote: Address,
    /// Bytes written to the buffer.
    pub len: usize,
    /// All packets have this length, but the last, which may be shorter.
    pub segment_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum PathState { Probing, Active, Suspect, Down }
#[derive(Clone, Copy, Debug)]
pub struct PathReport {
    pub id: PathId, pub link: LinkId, pub local: Option<IpAddr>, pub remote: Address, pub state: PathState,
    pub smoothed_rtt: Duration, pub min_rtt: Duration, pub rate: u64, pub window: u64, pub in_flight: u64, pub counters: PathCounters,
}
#[derive(Clone, Copy, Debug, Default)]
pub struct PathCounters { pub sent_packets: u64, pub sent_bytes: u64, pub received_packets: u64, pub received_bytes: u64, pub data_sent: u64, pub data_received: u64, pub lost_packets: u64, pub again_bytes: u64, pub state_changes: u32 }

#[derive(Clone, Debug)] #[non_exhaustive]
pub enum Event {
    Connected,
    /// The peer lost its state and a fresh connection stands in the old one's place: all streams are gone.
    Restarted,
    PathChanged { path: PathId, state: PathState },
    StreamOpened { stream: StreamId, service: Service },
    StreamReadable(StreamId), StreamWritable(StreamId),
    /// Everything written, and the end, has been acknowledged.
    StreamFinished(StreamId),
    StreamReset { stream: StreamId, code: u32 },
    StreamStopped { stream: StreamId, code: u32 },
    DatagramReceived,
    DatagramSent { number: u32, path: PathId },
    /// The peer may open more streams again.
    StreamsAvailable,
    Closed(CloseReason),
}
#[derive(Clone, Debug, PartialEq, Eq)] #[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    Local { code: u32 },
    /// The peer did.
    Peer { code: u32, reason: heapless::String<64, u8> },
    /// Nothing arrived for the idle timeout.
    Idle,
    /// Nobody answered in time. `undecipherable`: replies came that could not be opened (secret wrong?).
    Unreachable { undecipherable: bool },
    /// The peer's version or ciphers don't fit ours.
    Refused,
    /// The peer broke the protocol.
    Protocol,
}
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats { pub received_packets: u64, pub received_bytes: u64, pub sent_packets: u64, pub sent_bytes: u64, pub discarded: u64, pub delivered_bytes: u64 , pub forged: u64, pub replayed: u64, pub malformed: u64 }

/// Memory of one connection: see storage. The host implements it with vectors that may grow between calls.
pub struct Parts<'s> {
    pub paths: &'s mut [Option<()>],   // really: [Option<path::Path>], 1..=8
    pub streams: &'s mut [()],         // really: [stream::StreamSlot]
    pub sent: &'s mut [()],            // really: [recovery::SentSlot]
    pub send: &'s mut [u8], pub receive: &'s mut [u8],
    pub datagrams_out: &'s mut [u8], pub datagrams_in: &'s mut [u8],
}
pub trait Storage { fn parts(&mut self) -> Parts<'_>; fn paths(&self) -> &[Option<()>]; fn block_bytes(&self) -> usize; }

pub struct Connection<S: Storage, C: Crypto>(PhantomData<(S, C)>);
impl<S: Storage, C: Crypto> Connection<S, C> {
    pub fn connect(config: Config, identity: Identity, peer: Peer, seed: Seed, storage: S, now: Instant) -> Self { todo!() }
    pub fn accept(incoming: Incoming<C>, config: Config, seed: Seed, storage: S, now: Instant) -> Result<Self, AcceptError> { todo!() }
    /// The id in packets that we receive: what the demultiplexer routes by. May change once, on `Restarted`... it does not: it stays.
    pub fn id(&self) -> ConnectionId { todo!() }
    pub fn side(&self) -> Side { todo!() }
    pub fn peer(&self) -> PublicKey { todo!() }
    pub fn is_connected(&self) -> bool { todo!() }
    /// Nothing is left to do: the object may be dropped.
    pub fn is_drained(&self) -> bool { todo!() }
    pub fn handle_datagram(&mut self, at: Arrival, datagram: &mut [u8], now: Instant) -> Result<(), Discard> { todo!() }
    pub fn handle_link(&mut self, link: LinkId, change: LinkChange, now: Instant) { todo!() }
    pub fn handle_timeout(&mut self, now: Instant) { todo!() }
    /// Fills `buffer` (at least 1,200 bytes) with a run of packets for one path.
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Instant) -> Option<Transmit> { todo!() }
    pub fn poll_timeout(&self) -> Option<Instant> { todo!() }
    pub fn poll_event(&mut self) -> Option<Event> { todo!() }
    pub fn open(&mut self, service: Service) -> Result<StreamId, OpenError> { todo!() }
    pub fn stream(&mut self, id: StreamId) -> Option<Stream<'_, S, C>> { todo!() }
    /// Returns its number, which `DatagramSent` repeats.
    pub fn send_datagram(&mut self, bytes: &[u8]) -> Result<u32, SendError> { todo!() }
    /// Length, and the path it came by.
    pub fn recv_datagram(&mut self, into: &mut [u8]) -> Option<(usize, PathId)> { todo!() }
    pub fn set_mode(&mut self, mode: Mode) { todo!() }
    pub fn mode(&self) -> Mode { todo!() }
    pub fn close(&mut self, code: u32, reason: &str, now: Instant) { todo!() }
    pub fn paths(&self) -> impl Iterator<Item = PathReport> + '_ { core::iter::empty() }
    pub fn stats(&self) -> Stats { todo!() }
    /// Whether the send or receive memory is what limits the rate: a host may grow its storage now.
    pub fn wants_memory(&mut self) -> MemoryWish { todo!() }
    pub fn storage_mut(&mut self) -> &mut S { todo!() }
}
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryWish { pub send: bool, pub receive: bool, pub packets: bool }

pub struct Stream<'c, S: Storage, C: Crypto>(&'c mut Connection<S, C>);
impl<S: Storage, C: Crypto> Stream<'_, S, C> {
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> { todo!() }
    pub fn finish(&mut self) -> Result<(), WriteError> { todo!() }
    pub fn reset(&mut self, code: u32) { todo!() }
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> { todo!() }
    pub fn peek(&mut self) -> Result<&[u8], ReadError> { todo!() }
    pub fn consume(&mut self, len: usize) { todo!() }
    pub fn stop(&mut self, code: u32) { todo!() }
}

pub struct Incoming<C: Crypto> { peer: PublicKey, id: ConnectionId, c: PhantomData<C> }
impl<C: Crypto> Incoming<C> { pub fn peer(&self) -> PublicKey { self.peer } pub fn connection_id(&self) -> ConnectionId { self.id } pub fn ticket(&self) -> Option<TicketId> { todo!() } }

/// What to do with a datagram. One listener stands before all connections of an endpoint, dialers too.
pub enum Route<C: Crypto> {
    /// Give it to this connection.
    Known(ConnectionId),
    /// Send the first `len` bytes of `reply` back the way it came.
    Reply(usize),
    /// A new connection: `Connection::accept`, report the links to it, then give it this same datagram.
    Accept(Incoming<C>),
    Discard(Discard),
}
pub struct Listener<C: Crypto>(PhantomData<C>);
impl<C: Crypto> Listener<C> {
    /// `accepting`: false for an endpoint that only dials.
    pub fn new(identity: Identity, config: Config, seed: Seed, now: Instant) -> Self { todo!() }
    pub fn set_accepting(&mut self, accepting: bool) { todo!() }
    /// Our addresses, which the answer to a handshake enumerates.
    pub fn handle_link(&mut self, link: LinkId, change: &LinkChange) { todo!() }
    /// `known`: whether a connection with this id is here. `admit`: who may connect: the psk, or `None` for silence.
    /// `scratch`: at least 1,500 bytes; holds the reply.
    pub fn handle_datagram(&mut self, at: Arrival, datagram: &mut [u8], known: &dyn Fn(ConnectionId) -> bool,
        admit: &mut dyn FnMut(PublicKey, Option<TicketId>) -> Option<Psk>, credit_receive_bytes: usize, scratch: &mut [u8], now: Instant) -> Route<C> { todo!() }
}
