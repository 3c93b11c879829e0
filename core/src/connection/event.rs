//! What the application hears. No queue that could overflow: what can be said again is a flag and
//! coalesces, so an event means "look", and looking twice is harmless.

use crate::id::{LinkId, PathId, StreamId};
use crate::path::PathState;
use crate::stream::Service;

/// Something happened on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done; streams can be opened.
    Connected,
    /// The peer had lost its state, and a fresh connection stands in the old one's place. All
    /// streams are gone.
    Restarted,
    /// A path was opened or changed its state.
    PathChanged {
        /// Which.
        path: PathId,
        /// Its state now.
        state: PathState,
    },
    /// A path was given up: its link went away on one side.
    PathGone(PathId),
    /// The quota of a link is spent: it carries nothing more, and its paths are given up.
    LinkSpent(LinkId),
    /// The peer opened a stream for this service.
    StreamOpened {
        /// Its number.
        stream: StreamId,
        /// What the peer wants.
        service: Service,
    },
    /// Bytes or the end can be read.
    StreamReadable(StreamId),
    /// A blocked write may succeed now.
    StreamWritable(StreamId),
    /// All that was written, and the end, has arrived.
    StreamFinished(StreamId),
    /// The peer gave up sending.
    StreamReset {
        /// Which stream.
        stream: StreamId,
        /// The peer's code ([`crate::error::code`]).
        code: u32,
    },
    /// The peer wants no more bytes.
    StreamStopped {
        /// Which stream.
        stream: StreamId,
        /// The peer's code ([`crate::error::code`]).
        code: u32,
    },
    /// An unreliable message can be read.
    DatagramReceived,
    /// An unreliable message left. Reported for the newest eight only, in their order.
    DatagramSent {
        /// The number that `send_datagram` gave it.
        number: u32,
        /// The path it took; none if it was dropped, since packets had become too short for it.
        path: Option<PathId>,
    },
    /// The connection is over. The last event.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it.
    Local {
        /// Our code.
        code: u32,
    },
    /// The peer closed it.
    Peer {
        /// The peer's code.
        code: u32,
        /// The peer's words, cut to 64 bytes.
        reason: heapless::String<64, u8>,
    },
    /// Nothing arrived for the idle timeout.
    Idle,
    /// Nobody answered in time.
    Unreachable {
        /// Replies came that did not open: the peer is there, but key or secret is wrong.
        undecipherable: bool,
    },
    /// The peer answered that no version or no cipher suits both.
    Refused,
    /// The peer broke the protocol.
    Protocol,
}

/// What waits to be said of the connection as a whole.
#[derive(Default)]
pub(super) struct Notices {
    pub(super) connected: bool,
    pub(super) restarted: bool,
    pub(super) datagram_received: bool,
    pub(super) closed: Option<CloseReason>,
    /// Bit `i`: the path in slot `i` changed its state.
    pub(super) paths: u8,
    /// Paths that were given up; the oldest is forgotten when it overflows.
    pub(super) gone: heapless::Deque<PathId, 8>,
    /// Links whose quota is spent; the oldest is forgotten when it overflows.
    pub(super) spent: heapless::Deque<LinkId, 8>,
    pub(super) datagrams_sent: heapless::Deque<(u32, Option<PathId>), 8>,
}

impl Notices {
    pub(super) fn path_changed(&mut self, slot: usize) {
        self.paths |= 1_u8.checked_shl(slot as u32).unwrap_or(0);
    }

    pub(super) fn path_gone(&mut self, path: PathId) {
        if self.gone.is_full() {
            self.gone.pop_front();
        }
        let _ = self.gone.push_back(path);
    }

    pub(super) fn link_spent(&mut self, link: LinkId) {
        if self.spent.is_full() {
            self.spent.pop_front();
        }
        let _ = self.spent.push_back(link);
    }

    pub(super) fn datagram_left(&mut self, number: u32, path: Option<PathId>) {
        if self.datagrams_sent.is_full() {
            self.datagrams_sent.pop_front();
        }
        let _ = self.datagrams_sent.push_back((number, path));
    }

    /// The slot of one path that changed, and not again until it changes again.
    pub(super) fn take_path(&mut self) -> Option<usize> {
        let slot = self.paths.trailing_zeros();
        if slot >= 8 {
            return None;
        }
        self.paths &= self.paths.wrapping_sub(1);
        Some(slot as usize)
    }
}
