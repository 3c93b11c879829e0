//! Memory of a simulated node: vectors of fixed length.

use ropewalk_core::connection::{Large, Parts, Storage};
use ropewalk_core::path::Path;
use ropewalk_core::recovery::SentSlot;
use ropewalk_core::repair::MEMORY_BYTES;
use ropewalk_core::stream::StreamSlot;

/// Memory that was taken once.
pub struct VecStorage {
    paths: Vec<Option<Path>>,
    streams: Vec<StreamSlot>,
    sent: Vec<SentSlot>,
    send: Vec<u8>,
    receive: Vec<u8>,
    datagrams_out: Vec<u8>,
    datagrams_in: Vec<u8>,
    repair: Vec<u8>,
    block_bytes: usize,
}

impl VecStorage {
    /// `window` bytes each for sending and receiving.
    #[must_use]
    pub fn new(window: usize, streams: usize, packets: usize, block_bytes: usize) -> Self {
        Self {
            paths: (0..8).map(|_| None).collect(),
            streams: (0..streams).map(|_| StreamSlot::EMPTY).collect(),
            sent: (0..packets).map(|_| SentSlot::EMPTY).collect(),
            send: vec![0; window],
            receive: vec![0; window],
            datagrams_out: vec![0; 4_096],
            datagrams_in: vec![0; 4_096],
            repair: vec![],
            block_bytes,
        }
    }

    /// Other memory takes the place of that of streams and packets: anything may stand there.
    pub fn renew(&mut self) {
        self.send.fill(0xa5);
        self.receive.fill(0xa5);
        self.sent.fill(SentSlot::EMPTY);
    }

    /// The same, and memory for error correction.
    #[must_use]
    pub fn with_repair(mut self) -> Self {
        self.repair = vec![0; MEMORY_BYTES];
        self
    }

    /// What a board has: 2 paths, 2 streams, 16 packets in flight, 8 KiB each way; the blocks are
    /// those of the core's own memory of this size.
    #[must_use]
    pub fn board() -> Self {
        let mut storage = Self::new(8 << 10, 2, 16, (8 << 10) / 12);
        storage.paths.truncate(2);
        storage.datagrams_out.truncate(1_280);
        storage.datagrams_in.truncate(1_280);
        storage
    }

    /// What a PC would have: 4 MiB each way.
    #[must_use]
    pub fn ample() -> Self {
        Self::new(4 << 20, 16, 8_192, 4_096).with_repair()
    }
}

impl Storage for VecStorage {
    type Scale = Large;

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            paths: &mut self.paths,
            streams: &mut self.streams,
            sent: &mut self.sent,
            send: &mut self.send,
            receive: &mut self.receive,
            datagrams_out: &mut self.datagrams_out,
            datagrams_in: &mut self.datagrams_in,
            repair: &mut self.repair,
        }
    }

    fn paths(&self) -> &[Option<Path>] {
        &self.paths
    }

    fn block_bytes(&self) -> usize {
        self.block_bytes
    }
}
