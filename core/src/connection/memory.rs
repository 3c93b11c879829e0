//! The memory that a connection works in, and the only place with const generics.
//!
//! The protocol's code is compiled once, over slices; who owns them is the caller's business. A
//! board puts a [`Memory`] of arrays in a `static`; a host implements [`Storage`] with vectors
//! that may grow between calls. Credit that we advertise equals memory that we hold: slices may
//! get longer, never shorter.

use super::scale::{Scale, Small};
use crate::path::Path;
use crate::recovery::SentSlot;
use crate::stream::StreamSlot;

/// All the memory of one connection, lent for the length of one call.
pub struct Parts<'s> {
    /// Live paths, 1 to 8.
    pub paths: &'s mut [Option<Path>],
    /// Streams that may be open at once, both sides' together.
    pub streams: &'s mut [StreamSlot],
    /// Packets in flight, over all paths.
    pub sent: &'s mut [SentSlot],
    /// Bytes written but not yet acknowledged, in blocks.
    pub send: &'s mut [u8],
    /// Bytes received but not yet read, in blocks.
    pub receive: &'s mut [u8],
    /// Unreliable messages that wait to be sent.
    pub datagrams_out: &'s mut [u8],
    /// Unreliable messages that wait to be read.
    pub datagrams_in: &'s mut [u8],
    /// For error correction (`repair::MEMORY_BYTES`); shorter, and it is left out.
    pub repair: &'s mut [u8],
}

/// An owner of memory. The slices keep their contents between calls and never get shorter.
pub trait Storage {
    /// How much is remembered beside what is lent here: [`super::Large`] or [`super::Small`].
    type Scale: Scale;
    /// Lends everything.
    fn parts(&mut self) -> Parts<'_>;
    /// Lends the paths, to look at only.
    fn paths(&self) -> &[Option<Path>];
    /// Length of the blocks into which `send` and `receive` are cut, their heads included; the
    /// same for the whole life of a connection.
    fn block_bytes(&self) -> usize;
}

/// Memory in arrays: `PATHS` live paths, `STREAMS` streams, `PACKETS` in flight, and the bytes of
/// the sending and the receiving side.
pub struct Memory<
    const PATHS: usize,
    const STREAMS: usize,
    const PACKETS: usize,
    const SEND: usize,
    const RECEIVE: usize,
> {
    paths: [Option<Path>; PATHS],
    streams: [StreamSlot; STREAMS],
    sent: [SentSlot; PACKETS],
    send: [u8; SEND],
    receive: [u8; RECEIVE],
    datagrams_out: [u8; DATAGRAM_BYTES],
    datagrams_in: [u8; DATAGRAM_BYTES],
}

impl<
    const PATHS: usize,
    const STREAMS: usize,
    const PACKETS: usize,
    const SEND: usize,
    const RECEIVE: usize,
> Memory<PATHS, STREAMS, PACKETS, SEND, RECEIVE>
{
    /// Empty memory, fit for a `static`. Sizes that the protocol cannot work with do not compile.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(PATHS >= 1 && PATHS <= PATHS_MAX, "1 to 8 paths");
            assert!(STREAMS >= 1, "at least one stream");
            assert!(PACKETS >= PATHS + 4, "at least four packets in flight, and a probe a path");
            assert!(Self::block() >= BLOCK_BYTES_MIN, "too little memory for so many streams");
        }
        Self {
            paths: [const { None }; PATHS],
            streams: [const { StreamSlot::EMPTY }; STREAMS],
            sent: [const { SentSlot::EMPTY }; PACKETS],
            send: [0; SEND],
            receive: [0; RECEIVE],
            datagrams_out: [0; DATAGRAM_BYTES],
            datagrams_in: [0; DATAGRAM_BYTES],
        }
    }

    /// Each stream can waste two blocks at its ends; an eighth of the memory may go that way.
    const fn block() -> usize {
        let smaller = if SEND < RECEIVE { SEND } else { RECEIVE };
        let share = smaller / (STREAMS * 6);
        if share > BLOCK_BYTES_MAX { BLOCK_BYTES_MAX } else { share }
    }
}

impl<
    const PATHS: usize,
    const STREAMS: usize,
    const PACKETS: usize,
    const SEND: usize,
    const RECEIVE: usize,
> Default for Memory<PATHS, STREAMS, PACKETS, SEND, RECEIVE>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const PATHS: usize,
    const STREAMS: usize,
    const PACKETS: usize,
    const SEND: usize,
    const RECEIVE: usize,
> Storage for Memory<PATHS, STREAMS, PACKETS, SEND, RECEIVE>
{
    type Scale = Small;

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            paths: &mut self.paths,
            streams: &mut self.streams,
            sent: &mut self.sent,
            send: &mut self.send,
            receive: &mut self.receive,
            datagrams_out: &mut self.datagrams_out,
            datagrams_in: &mut self.datagrams_in,
            repair: &mut [],
        }
    }

    fn paths(&self) -> &[Option<Path>] {
        &self.paths
    }

    fn block_bytes(&self) -> usize {
        Self::block()
    }
}

/// A board's static may be lent for good instead of moved in.
impl<T: Storage + ?Sized> Storage for &mut T {
    type Scale = T::Scale;

    fn parts(&mut self) -> Parts<'_> {
        (**self).parts()
    }

    fn paths(&self) -> &[Option<Path>] {
        (**self).paths()
    }

    fn block_bytes(&self) -> usize {
        (**self).block_bytes()
    }
}

/// Live paths of one connection, at most (design limit, `docs/protocol.md` section 14).
pub const PATHS_MAX: usize = 8;
/// One message of a packet's length, and its head, each way.
const DATAGRAM_BYTES: usize = 1_280;
/// Smaller blocks would be mostly head.
const BLOCK_BYTES_MIN: usize = 96;
const BLOCK_BYTES_MAX: usize = 16 * 1_024;
