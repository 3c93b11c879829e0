//! Rank 2: streams, credit, reassembly and unreliable messages. Knows nothing of packets or paths.
//!
//! ```text
//!  application --write--> SendHalf --write_frames--> packets
//!                             ^--on_acked, on_lost--
//!  packets --on_frame--> ReceiveHalf --read--> application
//! ```
//!
//! The memory belongs to the connection and is shared: a lone stream can have nearly all of it,
//! and none can take the last blocks that others need to get on (`docs/protocol.md` section 7).

mod datagram;
mod flow;
mod receive;
mod send;
mod service;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod transmit;

pub use datagram::{Datagrams, Departed};
pub use send::LANES_MAX;
pub use service::{SERVICE_BYTES_MAX, Service};
pub use slot::StreamSlot;
pub use transmit::{Waiting, Written};

use crate::error::{OpenError, ReadError, WriteError, code};
use crate::id::{Side, StreamId};
use crate::storage::blocks::Pool;
use crate::wire::{Credit, Frame};
use flow::{ReceiveCredit, SendCredit};
use receive::ReceiveState;
use send::{SendInput, SendState, UNSENT_MAX};
use service::Parsed;
use slot::{News, Opening};
use table::Table;

/// All streams of a connection. Their memory is lent with each call.
#[derive(Debug)]
pub struct Streams {
    table: Table,
    send_pool: Pool,
    receive_pool: Pool,
    send_credit: SendCredit,
    receive_credit: ReceiveCredit,
    /// The peer's credit for each stream that has not been given more.
    stream_limit: u64,
    /// Ours, as our handshake message has it: more is told stream by stream.
    stream_offer: u64,
    /// The slot that sends first in the next packet.
    turn: usize,
    /// Something of the kind waits, in some slot.
    control_due: bool,
}

/// Lent memory.
pub struct StreamMemory<'m> {
    /// One for each stream that may be open at once.
    pub slots: &'m mut [StreamSlot],
    /// Blocks of bytes that were written and not yet acknowledged.
    pub send: &'m mut [u8],
    /// Blocks of bytes that were received and not yet read.
    pub receive: &'m mut [u8],
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The peer broke the protocol.
    Protocol,
    /// A table of ours is full; the peer will send it again.
    NoRoom,
}

/// What the application should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The peer opened a stream.
    Opened {
        /// Its number.
        stream: StreamId,
        /// What it asks for.
        service: Service,
    },
    /// There is something to read.
    Readable(StreamId),
    /// A blocked write may succeed now.
    Writable(StreamId),
    /// All that was written has arrived.
    Finished(StreamId),
    /// The peer gave up sending.
    Reset {
        /// Which stream.
        stream: StreamId,
        /// Why.
        code: u32,
    },
    /// The peer wants no more bytes.
    Stopped {
        /// Which stream.
        stream: StreamId,
        /// Why.
        code: u32,
    },
}

impl Streams {
    /// No streams; blocks of `block_bytes`, their heads included.
    #[must_use]
    pub fn new(side: Side, block_bytes: usize) -> Self {
        Self {
            table: Table::new(side),
            send_pool: Pool::new(block_bytes),
            receive_pool: Pool::new(block_bytes),
            send_credit: SendCredit::default(),
            receive_credit: ReceiveCredit::default(),
            stream_limit: 0,
            stream_offer: 0,
            turn: 0,
            control_due: false,
        }
    }

    /// The credit that the memory can honour, for our handshake message.
    pub fn credit(&mut self, m: &StreamMemory<'_>) -> Credit {
        self.receive_credit.set_capacity(self.capacity(m));
        self.stream_offer = self.receive_credit.stream_capacity();
        Credit {
            data: self.receive_credit.tell(),
            stream_data: self.stream_offer,
            streams: self.table.peers_share(m.slots),
        }
    }

    /// The credit that our handshake message offered, when the memory may have grown since.
    pub fn on_own_credit(&mut self, offered: Credit, m: &StreamMemory<'_>) {
        let held = self.credit(m);
        debug_assert!(offered.data <= held.data, "what was promised is held");
        self.receive_credit.told_only(offered.data);
        self.table.told_only(offered.streams);
        self.stream_offer = offered.stream_data;
        self.control_due |= self.receive_credit.due() || self.table.streams_due();
    }

    /// The peer's credit, from its handshake message.
    pub fn on_peer_credit(&mut self, credit: Credit) {
        self.send_credit.raise(credit.data);
        self.stream_limit = credit.stream_data;
        self.table.raise_own_limit(credit.streams);
    }

    /// Opens a stream: the service's name is its first bytes.
    ///
    /// # Errors
    /// [`OpenError::TooMany`].
    pub fn open(
        &mut self,
        service: &Service,
        m: &mut StreamMemory<'_>,
    ) -> Result<StreamId, OpenError> {
        let (id, slot) = self.table.open(m.slots)?;
        slot.send.limit = self.stream_limit;
        slot.receive.offered(self.stream_offer);
        slot.receive.judge(&self.receive_credit);
        self.control_due |= slot.receive.told_due;
        debug_assert!(self.stream_offer > 0, "credit is offered before streams are opened");
        let name = service.as_str().as_bytes();
        let len = [u8::try_from(name.len()).unwrap_or(0)];
        let pool = &mut self.send_pool;
        let head = slot.send.write(&len, 0, pool, m.send);
        let body = slot.send.write(name, 0, pool, m.send);
        if head != Ok(len.len()) || body != Ok(name.len()) {
            slot.send.chain.clear(pool, m.send);
            *slot = StreamSlot::EMPTY;
            self.table.take_back();
            return Err(OpenError::TooMany);
        }
        Ok(id)
    }

    /// Takes bytes for sending.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(
        &mut self,
        id: StreamId,
        data: &[u8],
        m: &mut StreamMemory<'_>,
    ) -> Result<usize, WriteError> {
        let reserve = reserve(m.slots);
        let slot = self.table.find(id, m.slots).ok_or(WriteError::Unknown)?;
        slot.send.write(data, reserve, &mut self.send_pool, m.send)
    }

    /// Nothing more will be written.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(&mut self, id: StreamId, m: &mut StreamMemory<'_>) -> Result<(), WriteError> {
        let slot = self.table.find(id, m.slots).ok_or(WriteError::Unknown)?;
        slot.send.finish()
    }

    /// Gives up sending.
    pub fn reset(&mut self, id: StreamId, code: u32, m: &mut StreamMemory<'_>) {
        if let Some(slot) = self.table.find(id, m.slots) {
            slot.send.give_up(code, &mut self.send_pool, m.send);
            self.control_due = true;
        }
    }

    /// Copies the next bytes out.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &mut self,
        id: StreamId,
        into: &mut [u8],
        m: &mut StreamMemory<'_>,
    ) -> Result<usize, ReadError> {
        let slot = self.table.find(id, m.slots).ok_or(ReadError::Unknown)?;
        if matches!(slot.opening, Opening::Unnamed | Opening::Refused) {
            return Err(ReadError::Blocked);
        }
        let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
        let result = slot.receive.read(into, credit, pool, m.receive);
        slot.news.readable &= result.is_ok();
        self.after_reading(id, m);
        result
    }

    /// The next bytes where they lie.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn peek<'m>(
        &mut self,
        id: StreamId,
        mut m: StreamMemory<'m>,
    ) -> Result<&'m [u8], ReadError> {
        let slot = self.table.find(id, m.slots).ok_or(ReadError::Unknown)?;
        if matches!(slot.opening, Opening::Unnamed | Opening::Refused) {
            return Err(ReadError::Blocked);
        }
        if let Err(error) = slot.receive.readable() {
            self.after_reading(id, &mut m);
            return Err(error);
        }
        Ok(slot.receive.peek(&self.receive_pool, m.receive))
    }

    /// Takes off bytes that were peeked at.
    pub fn consume(&mut self, id: StreamId, len: usize, m: &mut StreamMemory<'_>) {
        if let Some(slot) = self.table.find(id, m.slots) {
            let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
            slot.receive.advance(len as u64, credit, pool, m.receive);
        }
        self.after_reading(id, m);
    }

    /// Asks the peer to stop sending.
    pub fn stop(&mut self, id: StreamId, code: u32, m: &mut StreamMemory<'_>) {
        if let Some(slot) = self.table.find(id, m.slots) {
            let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
            slot.receive.stop(code, credit, pool, m.receive);
            slot.news.readable = false;
            slot.news.reset = None;
        }
        self.after_reading(id, m);
    }

    /// Takes a frame that concerns streams or credit.
    ///
    /// # Errors
    /// [`Violation`].
    pub fn on_frame(
        &mut self,
        frame: &Frame<'_>,
        services: &[&str],
        m: &mut StreamMemory<'_>,
    ) -> Result<(), Violation> {
        match frame {
            Frame::Stream { stream, offset, fin, data }
            | Frame::StreamSized { stream, offset, fin, data } => {
                self.on_data(*stream, *offset, data, *fin, services, m)
            }
            Frame::Reset { stream, code, final_offset } => {
                self.on_reset(*stream, *code, *final_offset, m)
            }
            Frame::Stop { stream, code } => {
                let Some(slot) = self.admit(*stream, m.slots)? else { return Ok(()) };
                if matches!(slot.send.state, SendState::Ready | SendState::Sent) {
                    slot.send.give_up(*code, &mut self.send_pool, m.send);
                    slot.send.stopped = true;
                    slot.news.stopped = Some(*code);
                    self.control_due = true;
                }
                Ok(())
            }
            Frame::MaxData { bytes } => {
                self.send_credit.raise(*bytes);
                Ok(())
            }
            Frame::MaxStreamData { stream, bytes } => {
                if let Some(slot) = self.admit(*stream, m.slots)? {
                    slot.send.limit = slot.send.limit.max(*bytes);
                }
                Ok(())
            }
            Frame::MaxStreams { count } => {
                self.table.raise_own_limit(*count);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The peer gave up sending.
    fn on_reset(
        &mut self,
        id: StreamId,
        code: u32,
        final_offset: u64,
        m: &mut StreamMemory<'_>,
    ) -> Result<(), Violation> {
        let Some(slot) = self.admit(id, m.slots)? else { return Ok(()) };
        let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
        if slot.receive.on_reset(final_offset, credit, pool, m.receive)? {
            slot.news.reset = Some(code).filter(|_| slot.receive.stopped.is_none());
            slot.news.readable = false;
            if slot.opening == Opening::Unnamed {
                // It was given up before it said what it wanted: so do we.
                slot.send.give_up(code::DONE, &mut self.send_pool, m.send);
                slot.receive.state = ReceiveState::Done;
                slot.opening = Opening::Refused;
                self.control_due = true;
            }
        }
        self.after_reading(id, m);
        Ok(())
    }

    fn on_data(
        &mut self,
        id: StreamId,
        offset: u64,
        data: &[u8],
        fin: bool,
        services: &[&str],
        m: &mut StreamMemory<'_>,
    ) -> Result<(), Violation> {
        let Some(slot) = self.admit(id, m.slots)? else { return Ok(()) };
        let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
        let news = slot.receive.on_data(offset, data, fin, credit, pool, m.receive)?;
        if news && slot.opening == Opening::Unnamed {
            self.parse_service(id, services, m);
        }
        if let Some(slot) = self.table.find(id, m.slots) {
            slot.news.readable |= news && slot.opening != Opening::Unnamed;
        }
        self.after_reading(id, m);
        Ok(())
    }

    /// The stream of a frame: opened now, if the peer may; `None` if it is long over.
    fn admit<'s>(
        &mut self,
        id: StreamId,
        slots: &'s mut [StreamSlot],
    ) -> Result<Option<&'s mut StreamSlot>, Violation> {
        if self.table.is_news(id) {
            let (limit, offer) = (self.stream_limit, self.stream_offer);
            let credit = &self.receive_credit;
            self.table.admit(id, slots, |slot| {
                slot.send.limit = limit;
                slot.receive.offered(offer);
                slot.receive.judge(credit);
                slot.opening = Opening::Unnamed;
            })?;
            // The memory may have grown since the handshake.
            self.control_due |= credit.stream_capacity() > offer;
        }
        if !self.table.was_opened(id) {
            return Err(Violation::Protocol);
        }
        Ok(self.table.find(id, slots))
    }

    /// The first bytes of a stream that the peer opened are the name of a service.
    fn parse_service(&mut self, id: StreamId, services: &[&str], m: &mut StreamMemory<'_>) {
        let Some(slot) = self.table.find(id, m.slots) else { return };
        let (credit, pool) = (&mut self.receive_credit, &mut self.receive_pool);
        let mut head = [0; 1 + SERVICE_BYTES_MAX];
        let ready = usize::try_from(slot.receive.ready).unwrap_or(usize::MAX).min(head.len());
        let Some(head) = head.get_mut(..ready) else { return };
        slot.receive.chain.read(0, head, pool, m.receive);
        let named = match Service::parse(head) {
            Parsed::Name(service, len) => Some((service, len)),
            Parsed::More if !slot.receive.has_all() => return,
            Parsed::More | Parsed::Wrong => None,
        };
        match named.filter(|(name, _)| services.contains(&name.as_str())) {
            Some((service, len)) => {
                slot.receive.advance(len as u64, credit, pool, m.receive);
                slot.opening = Opening::Named(service);
            }
            None => {
                slot.opening = Opening::Refused;
                slot.receive.stop(code::UNKNOWN_SERVICE, credit, pool, m.receive);
                slot.send.give_up(code::UNKNOWN_SERVICE, &mut self.send_pool, m.send);
                self.control_due = true;
            }
        }
    }

    /// The next thing that the application should know.
    pub fn poll_event(&mut self, m: &mut StreamMemory<'_>) -> Option<StreamEvent> {
        let spare = self.send_pool.available(m.send) > reserve(m.slots);
        for slot in m.slots.iter_mut() {
            let Some(stream) = slot.id else { continue };
            if matches!(slot.opening, Opening::Unnamed | Opening::Refused) {
                continue;
            }
            if let Opening::Named(service) = core::mem::replace(&mut slot.opening, Opening::Known) {
                return Some(StreamEvent::Opened { stream, service });
            }
            if let Some(event) = take_news(slot, stream) {
                self.free_if_over(stream, m);
                return Some(event);
            }
            // Wherever the memory came from.
            if slot.send.blocked && slot.send.has_room(spare) {
                slot.send.blocked = false;
                return Some(StreamEvent::Writable(stream));
            }
        }
        None
    }

    /// Whether memory is what limits the rate: for sending, and for receiving.
    #[must_use]
    pub fn wants_memory(&self, m: &StreamMemory<'_>) -> (bool, bool) {
        let blocked = m.slots.iter().any(|slot| slot.send.blocked);
        let unsent: u64 =
            m.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.send.unsent()));
        let whole = self.send_pool.blocks(m.send).saturating_mul(self.send_pool.data_bytes());
        // Memory full of bytes that wait for the paths is not what limits the rate.
        (blocked && unsent <= (whole as u64 / 4).min(UNSENT_MAX / 2), self.receive_credit.tight())
    }

    /// Whether any stream is open: somebody waits for something.
    #[must_use]
    pub const fn any_open(&self) -> bool {
        self.table.any_open()
    }

    /// Whether no stream is open and no block of memory is held.
    #[must_use]
    pub fn is_empty(&self, m: &StreamMemory<'_>) -> bool {
        m.slots.iter().all(|slot| slot.id.is_none()) && self.holds_nothing()
    }

    /// Whether no block of memory is held.
    #[must_use]
    pub const fn holds_nothing(&self) -> bool {
        self.send_pool.is_unused() && self.receive_pool.is_unused()
    }

    /// With no block of memory held: forgets what was, so that other memory may take its place.
    /// Returns whether any was ever used.
    pub fn forget_memory(&mut self) -> bool {
        self.holds_nothing() && (self.send_pool.forget() | self.receive_pool.forget())
    }

    /// The peer was restarted: all streams are gone.
    pub fn clear(&mut self, side: Side, m: &mut StreamMemory<'_>) {
        let block_bytes = self.send_pool.stride();
        for slot in m.slots.iter_mut() {
            *slot = StreamSlot::EMPTY;
        }
        *self = Self::new(side, block_bytes);
        self.credit(m);
    }

    /// What the memory can promise to hold.
    fn capacity(&self, m: &StreamMemory<'_>) -> u64 {
        let pool = &self.receive_pool;
        let wasted = m.slots.len().saturating_mul(2);
        let blocks = pool.blocks(m.receive).saturating_sub(wasted);
        blocks.saturating_mul(pool.data_bytes()) as u64
    }

    /// Takes in memory that was added, for all streams.
    fn measure(&mut self, m: &mut StreamMemory<'_>) {
        let capacity = self.capacity(m);
        if capacity <= self.receive_credit.capacity() {
            return;
        }
        self.receive_credit.set_capacity(capacity);
        for slot in m.slots.iter_mut().filter(|slot| slot.id.is_some()) {
            slot.receive.judge(&self.receive_credit);
        }
        self.control_due = true;
    }

    /// Credit may have come back, and the stream may be over.
    fn after_reading(&mut self, id: StreamId, m: &mut StreamMemory<'_>) {
        let Some(slot) = self.table.find(id, m.slots) else { return };
        self.control_due |=
            slot.receive.told_due || slot.receive.stop_due || self.receive_credit.due();
        self.free_if_over(id, m);
    }

    /// Settles a reset that arrived.
    fn on_reset_acked(&mut self, id: StreamId, m: &mut StreamMemory<'_>) {
        if let Some(slot) = self.table.find(id, m.slots) {
            slot.send.state = slot.send.state.next(SendInput::ResetAcked);
            self.free_if_over(id, m);
        }
    }

    /// A stream that is over gives its slot back, and the blocks that it was in the middle of.
    fn free_if_over(&mut self, id: StreamId, m: &mut StreamMemory<'_>) {
        let Some(slot) = self.table.find(id, m.slots).filter(|slot| slot.is_over()) else { return };
        slot.send.chain.clear(&mut self.send_pool, m.send);
        slot.receive.chain.clear(&mut self.receive_pool, m.receive);
        self.table.free(slot);
        self.control_due |= self.table.streams_due();
    }
}

/// Blocks kept for the streams that have none: each can always get its first.
fn reserve(slots: &[StreamSlot]) -> usize {
    slots.iter().filter(|slot| slot.send.chain.blocks() == 0).count()
}

/// The next news of one stream.
fn take_news(slot: &mut StreamSlot, stream: StreamId) -> Option<StreamEvent> {
    let news: &mut News = &mut slot.news;
    if core::mem::take(&mut news.readable) {
        return Some(StreamEvent::Readable(stream));
    }
    if let Some(code) = news.stopped.take() {
        return Some(StreamEvent::Stopped { stream, code });
    }
    if let Some(code) = news.reset.take() {
        slot.receive.state = slot.receive.state.next(receive::ReceiveInput::ResetHeard);
        return Some(StreamEvent::Reset { stream, code });
    }
    core::mem::take(&mut news.finished).then_some(StreamEvent::Finished(stream))
}
