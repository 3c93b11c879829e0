//! Unreliable messages: two rings of lent bytes, one each way.
//!
//! ```text
//!  ring   | length 2 | tag 4 | bytes ... | length 2 | tag 4 | bytes ... |
//! ```
//!
//! The tag is the message's number on its way out, and the path it came by on its way in. When
//! the incoming ring is full the newest is dropped and counted: the application is late already.
//! Unlike the streams' memory a ring keeps its length for good: what it holds goes round its end.

use crate::arithmetic::Wide;
use crate::id::PathId;
use crate::storage::copy;
use crate::wire::{Writer, place_datagram};
use core::ops::Range;

/// What became of a message that was to be sent: its number is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departed {
    /// It is in the packet.
    Sent(u32),
    /// It fits into no packet any more.
    Dropped(u32),
}

/// The two rings' ends. Their memory is lent with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datagrams {
    outgoing: Ring,
    incoming: Ring,
    next_number: u32,
    /// Messages that arrived and found no room, or were too long for any packet.
    pub dropped: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    head: usize,
    len: usize,
}

impl Datagrams {
    /// No messages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.outgoing.len as u64
    }

    /// The longest message that a ring of so many bytes holds.
    #[must_use]
    pub const fn longest(ring: usize) -> usize {
        ring.saturating_sub(ENTRY_HEAD)
    }

    /// Queues a message; returns its number, or `None` when the ring is full.
    pub fn send(&mut self, bytes: &[u8], ring: &mut [u8]) -> Option<u32> {
        let number = self.next_number;
        self.outgoing.push(number, bytes, ring)?;
        self.next_number = number.wrapping_add(1);
        Some(number)
    }

    /// Writes the oldest message into a packet, if it fits. One that does not even fit into a
    /// packet without anything else was meant for longer packets than there are now: it is dropped,
    /// since nothing behind it would ever be sent.
    /// `alone`: nothing else is in the packet.
    pub fn write(&mut self, writer: &mut Writer<'_>, alone: bool, ring: &[u8]) -> Option<Departed> {
        let (number, len) = self.outgoing.front(ring)?;
        let Ok(place) = place_datagram(writer, len) else {
            return alone.then(|| self.drop_front(number, ring));
        };
        self.outgoing.copy(ENTRY_HEAD, place, ring);
        self.outgoing.pop(ring);
        Some(Departed::Sent(number))
    }

    fn drop_front(&mut self, number: u32, ring: &[u8]) -> Departed {
        self.outgoing.pop(ring);
        self.dropped = self.dropped.plus(1);
        Departed::Dropped(number)
    }

    /// Keeps a message that arrived; false when there is no room.
    pub fn receive(&mut self, bytes: &[u8], path: PathId, ring: &mut [u8]) -> bool {
        let kept = self.incoming.push(path.0, bytes, ring).is_some();
        if !kept {
            self.dropped = self.dropped.plus(1);
        }
        kept
    }

    /// Copies the oldest message out, cut to `into`; returns its length and the path it came by.
    pub fn read(&mut self, into: &mut [u8], ring: &[u8]) -> Option<(usize, PathId)> {
        let (path, len) = self.incoming.front(ring)?;
        let len = len.min(into.len());
        self.incoming.copy(ENTRY_HEAD, into.get_mut(..len)?, ring);
        self.incoming.pop(ring);
        Some((len, PathId(path)))
    }
}

impl Ring {
    fn push(&mut self, tag: u32, bytes: &[u8], ring: &mut [u8]) -> Option<()> {
        let len = u16::try_from(bytes.len()).ok()?;
        let needed = bytes.len().checked_add(ENTRY_HEAD)?;
        if needed > ring.len().saturating_sub(self.len) {
            return None;
        }
        let mut head = [0; ENTRY_HEAD];
        let [a, b, rest @ ..] = &mut head;
        [*a, *b] = len.to_le_bytes();
        *rest = tag.to_le_bytes();
        self.append(&head, ring);
        self.append(bytes, ring);
        Some(())
    }

    /// Copies `bytes` behind what is there, round the end of the memory. The caller has seen to it
    /// that there is room.
    fn append(&mut self, bytes: &[u8], ring: &mut [u8]) {
        let (until_end, from_start) = self.places(self.len, bytes.len(), ring.len());
        let Some((early, late)) = bytes.split_at_checked(until_end.len()) else { return };
        for (place, piece) in [(until_end, early), (from_start, late)] {
            if let Some(room) = ring.get_mut(place).filter(|room| room.len() == piece.len()) {
                copy(piece, room);
            }
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Where `len` bytes lie that begin `skip` bytes behind the head: up to the end of the memory,
    /// and on from its start.
    fn places(&self, skip: usize, len: usize, whole: usize) -> (Range<usize>, Range<usize>) {
        let start = self.head.saturating_add(skip);
        let start = if start >= whole { start.saturating_sub(whole) } else { start };
        let end = start.saturating_add(len).min(whole).max(start);
        (start..end, 0..len.saturating_sub(end.saturating_sub(start)))
    }

    /// The oldest entry's tag and length.
    fn front(&self, ring: &[u8]) -> Option<(u32, usize)> {
        if self.len < ENTRY_HEAD {
            return None;
        }
        let mut head = [0; ENTRY_HEAD];
        self.copy(0, &mut head, ring);
        let [a, b, tag @ ..] = head;
        Some((u32::from_le_bytes(tag), u16::from_le_bytes([a, b]).into()))
    }

    fn copy(&self, skip: usize, into: &mut [u8], ring: &[u8]) {
        let (until_end, from_start) = self.places(skip, into.len(), ring.len());
        let Some((early, late)) = into.split_at_mut_checked(until_end.len()) else { return };
        for (place, piece) in [(until_end, early), (from_start, late)] {
            if let Some(bytes) = ring.get(place).filter(|bytes| bytes.len() == piece.len()) {
                copy(bytes, piece);
            }
        }
    }

    fn pop(&mut self, ring: &[u8]) {
        let Some((_, len)) = self.front(ring) else { return };
        let len = len.saturating_add(ENTRY_HEAD).min(self.len);
        self.head = self.places(len, 0, ring.len()).0.start;
        self.len = self.len.saturating_sub(len);
    }
}

const ENTRY_HEAD: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_message_that_fits_no_packet_does_not_stop_those_behind_it() {
        let (mut ring, mut packet) = ([0; 400], [0; 100]);
        let mut datagrams = Datagrams::new();
        for len in [150, 20] {
            datagrams.send(&vec![7; len], &mut ring).unwrap();
        }
        let mut writer = Writer::new(&mut packet);
        writer.put_u8(1).unwrap();
        assert_eq!(datagrams.write(&mut writer, false, &ring), None);
        assert_eq!(datagrams.dropped, 0, "a packet of its own might take it");
        let mut alone = || datagrams.write(&mut Writer::new(&mut packet), true, &ring);
        assert_eq!(alone(), Some(Departed::Dropped(0)));
        assert_eq!(alone(), Some(Departed::Sent(1)));
        assert_eq!(datagrams.dropped, 1);
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_and_in_order(ops in prop::collection::vec((any::<bool>(), 0_usize..60), 1..200)) {
            let mut memory = vec![0; 200];
            let mut datagrams = Datagrams::new();
            let mut dropped = 0;
            let mut model: VecDeque<(u32, Vec<u8>)> = VecDeque::new();
            for (step, (push, len)) in ops.into_iter().enumerate() {
                if push {
                    let bytes: Vec<u8> = (0..len).map(|at| (step * 31 + at) as u8).collect();
                    let used: usize = model.iter().map(|(_, bytes)| bytes.len() + ENTRY_HEAD).sum();
                    let fits = used + len + ENTRY_HEAD <= memory.len();
                    prop_assert_eq!(datagrams.receive(&bytes, PathId(step as u32), &mut memory), fits);
                    dropped += u64::from(!fits);
                    prop_assert_eq!(datagrams.dropped, dropped);
                    if fits {
                        model.push_back((step as u32, bytes));
                    }
                } else {
                    let mut out = [0; 64];
                    let got = datagrams.read(&mut out, &memory);
                    let expected = model.pop_front();
                    prop_assert_eq!(got.map(|(len, path)| (path.0, out[..len].to_vec())), expected);
                }
            }
        }
    }
}
