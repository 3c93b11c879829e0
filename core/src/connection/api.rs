//! What the application wants: streams, unreliable messages, another mode; and what it hears.

use super::event::Event;
use super::{Connection, Phase, Storage};
use crate::crypto::Crypto;
use crate::error::{OpenError, ReadError, SendError, WriteError};
use crate::id::{Mode, PathId, Side, StreamId};
use crate::path::{BASE_IPV4, Path};
use crate::stream::{Datagrams, Service, StreamEvent, StreamMemory, Streams};
use crate::wire::TAG_BYTES;

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Opens a stream for one of the peer's services. Both directions are open at once.
    ///
    /// # Errors
    /// [`OpenError::TooMany`] until a stream ends.
    pub fn open(&mut self, service: &Service) -> Result<StreamId, OpenError> {
        match self.phase {
            Phase::Handshake => Err(OpenError::NotConnected),
            Phase::Closing | Phase::Drained => Err(OpenError::Closed),
            Phase::Established => {
                let (streams, mut memory) = self.streaming();
                streams.open(service, &mut memory)
            }
        }
    }

    /// A handle on one stream. It is cheap: take one for each call.
    pub fn stream(&mut self, id: StreamId) -> Stream<'_, S, C> {
        Stream { connection: self, id }
    }

    /// Queues an unreliable message; it goes out with the next packet and may be lost. Returns the
    /// number that [`Event::DatagramSent`] repeats.
    ///
    /// # Errors
    /// [`SendError::Full`] until the messages before it have left.
    pub fn send_datagram(&mut self, bytes: &[u8]) -> Result<u32, SendError> {
        if self.phase != Phase::Established {
            return Err(SendError::Closed);
        }
        if bytes.len() > self.datagram_max() {
            return Err(SendError::TooLong);
        }
        let ring = self.storage.parts().datagrams_out;
        if bytes.len() > Datagrams::longest(ring.len()) {
            return Err(SendError::TooLong);
        }
        self.datagrams.send(bytes, ring).ok_or(SendError::Full)
    }

    /// The longest unreliable message that fits a packet on every path that carries data now; while
    /// there is none, on every path. It grows as the paths' lengths are found, and shrinks with them.
    pub fn datagram_max(&self) -> usize {
        let paths = || self.storage.paths().iter().flatten();
        let length = |path: &Path| self.shortened(path);
        let live = paths().filter(|path| path.may_carry_data()).map(length).min();
        let limit = live.or_else(|| paths().map(length).min());
        limit.unwrap_or(BASE_IPV4 as usize).saturating_sub(DATAGRAM_OVERHEAD)
    }

    /// The oldest unreliable message that waits: its length, cut to `into`, and the path it came by.
    pub fn recv_datagram(&mut self, into: &mut [u8]) -> Option<(usize, PathId)> {
        let ring = self.storage.parts().datagrams_in;
        self.datagrams.read(into, ring)
    }

    /// Changes how the paths are used. A dialer's word binds both directions; a responder's binds
    /// its own until the dialer says otherwise.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode.mode = mode;
        if self.side == Side::Dialer {
            self.mode.sequence = self.mode.sequence.saturating_add(1);
            self.mode.due = self.phase == Phase::Established;
        }
    }

    /// The next thing that happened. Flags, not a queue: the same news is told once.
    pub fn poll_event(&mut self) -> Option<Event> {
        let notices = &mut self.notices;
        if core::mem::take(&mut notices.restarted) {
            notices.connected = false;
            return Some(Event::Restarted);
        }
        if core::mem::take(&mut notices.connected) {
            return Some(Event::Connected);
        }
        if let Some(path) = notices.gone.pop_front() {
            return Some(Event::PathGone(path));
        }
        if let Some(link) = notices.spent.pop_front() {
            return Some(Event::LinkSpent(link));
        }
        while let Some(slot) = self.notices.take_path() {
            if let Some(path) = self.path(slot) {
                return Some(Event::PathChanged { path: path.id, state: path.state() });
            }
        }
        if let Some((number, path)) = self.notices.datagrams_sent.pop_front() {
            return Some(Event::DatagramSent { number, path });
        }
        if core::mem::take(&mut self.notices.datagram_received) {
            return Some(Event::DatagramReceived);
        }
        let (streams, mut memory) = self.streaming();
        if let Some(event) = streams.poll_event(&mut memory) {
            return Some(event.into());
        }
        self.notices.closed.take().map(Event::Closed)
    }

    /// The streams' room and the memory it works in.
    pub(super) fn streaming(&mut self) -> (&mut Streams, StreamMemory<'_>) {
        let parts = self.storage.parts();
        let memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        (&mut self.streams, memory)
    }
}

impl From<StreamEvent> for Event {
    fn from(event: StreamEvent) -> Self {
        match event {
            StreamEvent::Opened { stream, service } => Self::StreamOpened { stream, service },
            StreamEvent::Readable(stream) => Self::StreamReadable(stream),
            StreamEvent::Writable(stream) => Self::StreamWritable(stream),
            StreamEvent::Finished(stream) => Self::StreamFinished(stream),
            StreamEvent::Reset { stream, code } => Self::StreamReset { stream, code },
            StreamEvent::Stopped { stream, code } => Self::StreamStopped { stream, code },
        }
    }
}

/// A handle on one stream of a connection.
pub struct Stream<'c, S: Storage, C: Crypto> {
    connection: &'c mut Connection<S, C>,
    id: StreamId,
}

impl<S: Storage, C: Crypto> Stream<'_, S, C> {
    /// Takes as many bytes as there is memory for; at least one, or an error.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] until [`Event::StreamWritable`]; nothing was taken.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        let (streams, mut memory) = self.connection.streaming();
        streams.write(self.id, data, &mut memory)
    }

    /// Nothing more will be written.
    ///
    /// # Errors
    /// If the stream was finished, reset or stopped before.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        let (streams, mut memory) = self.connection.streaming();
        streams.finish(self.id, &mut memory)
    }

    /// Gives up sending; bytes not yet delivered are dropped.
    pub fn reset(&mut self, code: u32) {
        let (streams, mut memory) = self.connection.streaming();
        streams.reset(self.id, code, &mut memory);
    }

    /// Copies the next bytes out.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] until [`Event::StreamReadable`]; [`ReadError::Finished`] at the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        let (streams, mut memory) = self.connection.streaming();
        streams.read(self.id, into, &mut memory)
    }

    /// The next bytes where they lie, as many as lie together. Take them off with `consume`.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn peek(&mut self) -> Result<&[u8], ReadError> {
        let parts = self.connection.storage.parts();
        let memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        self.connection.streams.peek(self.id, memory)
    }

    /// Takes `len` bytes off that were peeked at.
    pub fn consume(&mut self, len: usize) {
        let (streams, mut memory) = self.connection.streaming();
        streams.consume(self.id, len, &mut memory);
    }

    /// Asks the peer to stop sending; bytes not yet read are dropped.
    pub fn stop(&mut self, code: u32) {
        let (streams, mut memory) = self.connection.streaming();
        streams.stop(self.id, code, &mut memory);
    }
}

/// Header (at most 14), tag, and the frame's own head.
const DATAGRAM_OVERHEAD: usize = 14 + TAG_BYTES + 4;
