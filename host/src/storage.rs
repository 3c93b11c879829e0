//! The memory of one connection on a PC: vectors.
//!
//! The byte pools are reserved whole but come from the system as untouched zero pages, and blocks
//! that were used are used again first: what is resident is what was in use at once. Only the table
//! of packets in flight is written when it is made, so it begins small and grows on demand. What a
//! connection used that has been idle for a while goes back to the system.

use memmap2::MmapMut;
use ropewalk_core::connection::{Large, MemoryWish, Parts, Storage};
use ropewalk_core::path::Path;
use ropewalk_core::recovery::SentSlot;
use ropewalk_core::repair::MEMORY_BYTES;
use ropewalk_core::stream::StreamSlot;

/// Memory within a budget.
pub(crate) struct HostStorage {
    paths: Vec<Option<Path>>,
    streams: Vec<StreamSlot>,
    sent: Vec<SentSlot>,
    sent_max: usize,
    send: MmapMut,
    receive: MmapMut,
    /// The rings of messages, one each way.
    datagrams: MmapMut,
    /// Empty until the mode asks for it.
    repair: Vec<u8>,
    repair_max: usize,
}

impl HostStorage {
    /// At most `window` bytes in all.
    pub(crate) fn new(window: u64) -> Self {
        let window = usize::try_from(window).unwrap_or(usize::MAX).max(WINDOW_MIN);
        let sent_max = (window / 8 / size_of::<SentSlot>()).clamp(SENT_FIRST, SENT_MAX);
        let repair_max = if window < REPAIR_WINDOW_MIN { 0 } else { MEMORY_BYTES };
        let pools = window - window / 8 - FIXED_BYTES - repair_max;
        Self {
            paths: (0..8).map(|_| None).collect(),
            streams: (0..STREAMS).map(|_| StreamSlot::EMPTY).collect(),
            sent: vec![SentSlot::EMPTY; SENT_FIRST],
            sent_max,
            send: pages(pools / 7 * 3),
            receive: pages(pools / 7 * 4),
            datagrams: pages(2 * DATAGRAM_BYTES),
            repair: Vec::new(),
            repair_max,
        }
    }

    /// Bytes that are written when this is made, and resident from then on.
    #[cfg(test)]
    fn written_bytes(&self) -> usize {
        size_of_val(&*self.paths) + size_of_val(&*self.streams) + size_of_val(&*self.sent)
    }

    /// Grows what limits the rate, within the budget; returns whether anything grew.
    pub(crate) fn grow(&mut self, wish: MemoryWish) -> bool {
        let len = (self.sent.len() * 2).min(self.sent_max);
        let grows = wish.packets && len > self.sent.len();
        if grows {
            self.sent.resize(len, SentSlot::EMPTY);
        }
        let repairs = wish.repair && self.repair.len() < self.repair_max;
        if repairs {
            self.repair = vec![0; self.repair_max];
        }
        grows || repairs
    }

    /// Gives what was used back to the system, after
    /// [`forget_memory`](ropewalk_core::connection::Connection::forget_memory).
    pub(crate) fn renew(&mut self) {
        self.send = pages(self.send.len());
        self.receive = pages(self.receive.len());
        self.sent.truncate(SENT_FIRST);
        self.sent.shrink_to_fit();
    }
}

/// Untouched pages. A vector would do, but what the allocator has had before it hands out again
/// without asking the system, and must then write zeros into all of it.
fn pages(bytes: usize) -> MmapMut {
    MmapMut::map_anon(bytes).unwrap_or_else(|error| panic!("no memory for a connection: {error}"))
}

impl Storage for HostStorage {
    type Scale = Large;

    fn parts(&mut self) -> Parts<'_> {
        let (datagrams_out, datagrams_in) = self.datagrams.split_at_mut(DATAGRAM_BYTES);
        Parts {
            paths: &mut self.paths,
            streams: &mut self.streams,
            sent: &mut self.sent,
            send: &mut self.send,
            receive: &mut self.receive,
            datagrams_out,
            datagrams_in,
            repair: &mut self.repair,
        }
    }

    fn paths(&self) -> &[Option<Path>] {
        &self.paths
    }

    fn block_bytes(&self) -> usize {
        BLOCK_BYTES
    }
}

/// What a connection may use by default, in bytes.
pub(crate) const WINDOW_DEFAULT: u64 = 16 << 20;
/// Less is of no use to anybody with several links.
const WINDOW_MIN: usize = 2 << 20;
const STREAMS: usize = 16;
const BLOCK_BYTES: usize = 16 << 10;
const SENT_FIRST: usize = 64;
const SENT_MAX: usize = 16_384;
const DATAGRAM_BYTES: usize = 32 << 10;
/// What does not grow: paths, streams and the rings of messages.
const FIXED_BYTES: usize = 128 << 10;
/// With less, error correction would take most of what streams need: it is left out.
const REPAIR_WINDOW_MIN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use ropewalk_core::connection::offered_credit;

    #[test]
    fn the_default_window_gives_most_of_its_half_to_receiving() {
        let credit = offered_credit(&mut HostStorage::new(WINDOW_DEFAULT));
        assert!(credit.data > 6 << 20, "{credit:?}");
        assert!(credit.streams >= 8);
    }

    /// The pools and the rings of messages are untouched pages, but for the first of each.
    #[test]
    fn an_idle_connection_takes_less_than_64_kib() {
        let connection = size_of::<crate::connection::Shared>();
        let memory = HostStorage::new(WINDOW_DEFAULT).written_bytes();
        assert!(connection + memory + 4 * 4_096 < 64 << 10, "{connection} + {memory}");
    }

    #[test]
    fn it_grows_on_demand_and_never_beyond_the_window() {
        let mut storage = HostStorage::new(WINDOW_DEFAULT);
        let wish = MemoryWish { packets: true, ..MemoryWish::default() };
        assert!(!storage.grow(MemoryWish::default()), "nobody asked");
        while storage.grow(wish) {}
        let pools = storage.send.len() + storage.receive.len();
        let all = pools + storage.datagrams.len() + storage.written_bytes();
        assert!(all as u64 <= WINDOW_DEFAULT, "{all}");
        assert_eq!(storage.sent.len(), storage.sent_max);
    }

    #[test]
    fn the_smallest_window_still_works() {
        let credit = offered_credit(&mut HostStorage::new(0));
        assert!(credit.data > 192 << 10, "{credit:?}");
    }

    #[test]
    fn error_correction_is_left_out_of_a_small_window() {
        let wish = MemoryWish { repair: true, ..MemoryWish::default() };
        assert!(!HostStorage::new(0).grow(wish));
        for window in [REPAIR_WINDOW_MIN as u64, WINDOW_DEFAULT] {
            let mut storage = HostStorage::new(window);
            assert!(storage.grow(wish) && !storage.grow(wish));
            assert_eq!(storage.parts().repair.len(), MEMORY_BYTES);
            assert!(offered_credit(&mut storage).data > 192 << 10);
        }
    }
}
