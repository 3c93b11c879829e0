//! Memory for connections, in pieces that come into being where they stay.
//!
//! [`Memory`](ropewalk_core::connection::Memory) is one value. As the start of a `static` it would
//! fill flash, since it is not all zeros, and made at run time it would pass over the stack, which
//! is shorter. So here its bytes are a `static` of zeros, and the rest is made piece by piece.

use ropewalk_app::seat::Place;
use ropewalk_core::connection::{Parts, Storage};
use ropewalk_core::path::Path;
use ropewalk_core::recovery::SentSlot;
use ropewalk_core::stream::StreamSlot;
use static_cell::{ConstStaticCell, StaticCell};

/// A `static` for one connection: paths, streams, packets in flight, and bytes each way.
pub struct Room<const PATHS: usize, const STREAMS: usize, const PACKETS: usize, const BYTES: usize>
{
    place: StaticCell<Place<Lent>>,
    paths: StaticCell<[Option<Path>; PATHS]>,
    streams: StaticCell<[StreamSlot; STREAMS]>,
    sent: StaticCell<[SentSlot; PACKETS]>,
    bytes: ConstStaticCell<[[u8; BYTES]; 2]>,
    datagrams: ConstStaticCell<[[u8; DATAGRAM_BYTES]; 2]>,
}

impl<const PATHS: usize, const STREAMS: usize, const PACKETS: usize, const BYTES: usize>
    Room<PATHS, STREAMS, PACKETS, BYTES>
{
    /// Room that nobody has taken.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(PATHS >= 1 && STREAMS >= 1 && PACKETS >= PATHS + 4);
            assert!(Self::block() >= 96, "too little memory for so many streams");
        }
        Self {
            place: StaticCell::new(),
            paths: StaticCell::new(),
            streams: StaticCell::new(),
            sent: StaticCell::new(),
            bytes: ConstStaticCell::new([[0; BYTES]; 2]),
            datagrams: ConstStaticCell::new([[0; DATAGRAM_BYTES]; 2]),
        }
    }

    /// The place for a connection, once.
    ///
    /// # Panics
    /// The room was taken before.
    #[inline(never)]
    pub fn take(&'static self) -> &'static mut Place<Lent> {
        let [send, receive] = self.bytes.take();
        let [out, come] = self.datagrams.take();
        let lent = Lent {
            paths: self.paths.init([const { None }; PATHS]),
            streams: self.streams.init([const { StreamSlot::EMPTY }; STREAMS]),
            sent: self.sent.init([const { SentSlot::EMPTY }; PACKETS]),
            send,
            receive,
            datagrams_out: out,
            datagrams_in: come,
            block_bytes: Self::block(),
        };
        self.place.init_with(|| Place::new(lent))
    }

    /// Each stream can waste two blocks at its ends; a third of the memory may go that way.
    const fn block() -> usize {
        let share = BYTES / (STREAMS * 6);
        if share > BLOCK_BYTES_MAX { BLOCK_BYTES_MAX } else { share }
    }
}

impl<const PATHS: usize, const STREAMS: usize, const PACKETS: usize, const BYTES: usize> Default
    for Room<PATHS, STREAMS, PACKETS, BYTES>
{
    fn default() -> Self {
        Self::new()
    }
}

/// A room's memory, lent for good.
pub struct Lent {
    paths: &'static mut [Option<Path>],
    streams: &'static mut [StreamSlot],
    sent: &'static mut [SentSlot],
    send: &'static mut [u8],
    receive: &'static mut [u8],
    datagrams_out: &'static mut [u8],
    datagrams_in: &'static mut [u8],
    block_bytes: usize,
}

impl Storage for Lent {
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            paths: self.paths,
            streams: self.streams,
            sent: self.sent,
            send: self.send,
            receive: self.receive,
            datagrams_out: self.datagrams_out,
            datagrams_in: self.datagrams_in,
            repair: &mut [],
        }
    }

    fn paths(&self) -> &[Option<Path>] {
        self.paths
    }

    fn block_bytes(&self) -> usize {
        self.block_bytes
    }
}

/// One message of a packet's length, and its head, each way.
const DATAGRAM_BYTES: usize = 1_280;
const BLOCK_BYTES_MAX: usize = 16 * 1_024;
