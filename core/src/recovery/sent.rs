//! The table of packets in flight: one slab of slots that the storage lends, shared by all paths,
//! with one list for each path threaded through it in packet-number order.
//!
//! A packet leaves the table when it is acknowledged or declared lost; what it carried is named in
//! it, and handed to whoever must forget it or send it again. Only packets that ask for an
//! acknowledgement are here, so the bytes of a list are the path's bytes in flight.

use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::packet_number::PacketNumber;
use crate::recovery::delivery::Stamp;
use crate::storage::slots::{self, List, Slot, SlotIndex, Slots};
use crate::time::Instant;

/// The memory of one packet in flight.
pub type SentSlot = Slot<Packet>;

/// Which slots are in use.
#[derive(Clone, Debug, Default)]
pub struct SentTable {
    slots: Slots,
}

/// The table together with the memory lent for it. The memory may be longer at each call.
pub struct Sent<'m> {
    /// Which slots are in use.
    pub table: &'m mut SentTable,
    /// The slots, of all paths.
    pub slots: &'m mut [SentSlot],
}

/// One packet that was sent and is neither acknowledged nor lost.
#[derive(Clone, Debug)]
pub struct Packet {
    pub(super) number: PacketNumber,
    /// Of a slot in use; of one that is empty all is zero, see [`Slot::new`].
    pub(super) sent_at: Option<Instant>,
    pub(super) stamp: Stamp,
    pub(super) bytes: u16,
    pub(super) probe: bool,
    /// What it carried was offered to other paths already.
    pub(super) offered: bool,
    pub(super) cargo: Cargo,
}

impl Slot<Packet> {
    /// A slot without a packet, to fill arrays with.
    pub const EMPTY: Self = Self::new(Packet::EMPTY);
}

impl Packet {
    const EMPTY: Self = Self {
        number: PacketNumber(0),
        sent_at: None,
        stamp: Stamp::NONE,
        bytes: 0,
        probe: false,
        offered: false,
        cargo: Cargo::new(),
    };

    /// When it was sent.
    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at.unwrap_or_default()
    }

    /// A probe that carries nothing whose fate matters.
    fn only_asks(&self) -> bool {
        let told = |item: &Carried| matches!(item, Carried::Acknowledgement { .. });
        self.probe && self.cargo.iter().all(told)
    }

    /// See [`Flight::unload`].
    fn unload(&mut self, symbol: u32, each: &mut dyn FnMut(Carried)) -> bool {
        let found = self.cargo.iter_mut().enumerate().find_map(|(begin, item)| {
            let Carried::Symbols { first, missing } = item else { return None };
            let bit = 1_u8.checked_shl(symbol.checked_sub(*first)?)?;
            let here = *missing & bit != 0;
            *missing &= !bit;
            here.then_some((begin, *missing == 0))
        });
        if let Some((begin, true)) = found {
            self.cargo.iter().skip(begin).for_each(|item| each(*item));
            self.cargo.truncate(begin);
        }
        found.is_some()
    }

    /// It carries a symbol of which the peer has not said that it was computed.
    pub(super) fn is_symbol(&self) -> bool {
        self.cargo.iter().any(|item| matches!(item, Carried::Symbols { .. }))
    }
}

impl SentTable {
    /// A table in which nothing is in flight.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Slots::new() }
    }

    /// Packets in flight.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.slots.used()
    }

    /// How many more packets fit into `slots`.
    #[must_use]
    pub fn room(&self, slots: &[SentSlot]) -> usize {
        self.slots.room(slots)
    }
}

impl Sent<'_> {
    /// How many more packets the table holds. A caller must not send data without room: a packet
    /// that is not in the table can be neither acknowledged nor found lost.
    #[must_use]
    pub fn room(&self) -> usize {
        self.table.room(self.slots)
    }

    /// The packet at `at`.
    pub(super) fn packet(&self, at: SlotIndex) -> Option<&Packet> {
        slots::value(self.slots, at)
    }
}

/// The packets of one path in flight, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flight {
    list: List,
    bytes: u64,
    /// Known without the table, since timers must be.
    oldest_sent_at: Option<Instant>,
}

impl Flight {
    pub(super) const fn new() -> Self {
        Self { list: List::new(), bytes: 0, oldest_sent_at: None }
    }

    /// The sum of the packets' bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest packet was sent.
    pub(super) const fn oldest_sent_at(&self) -> Option<Instant> {
        self.oldest_sent_at
    }

    pub(super) const fn first(&self) -> Option<SlotIndex> {
        self.list.first()
    }

    /// Appends the packet sent last. `false`: the table is full.
    pub(super) fn push(&mut self, packet: Packet, sent: &mut Sent<'_>) -> bool {
        let (bytes, sent_at) = (packet.bytes, packet.sent_at());
        let pushed = sent.table.slots.push(&mut self.list, sent.slots, packet).is_some();
        if pushed {
            self.bytes = self.bytes.plus(u64::from(bytes));
            self.oldest_sent_at = self.oldest_sent_at.or(Some(sent_at));
        }
        pushed
    }

    /// Takes the packet at `at` out. The slot keeps its value until the next push, so the caller
    /// may still read the packet there. Returns the slot of the packet after it.
    pub(super) fn remove(&mut self, at: SlotIndex, sent: &mut Sent<'_>) -> Option<SlotIndex> {
        let bytes = sent.packet(at).map_or(0, |packet| packet.bytes);
        self.bytes = self.bytes.minus(u64::from(bytes));
        let was_first = self.first() == Some(at);
        let next = sent.table.slots.remove(&mut self.list, sent.slots, at);
        if was_first {
            let oldest = next.and_then(|next| sent.packet(next));
            self.oldest_sent_at = oldest.map(Packet::sent_at);
        }
        next
    }

    /// The packet after `at`.
    pub(super) fn next(at: SlotIndex, sent: &Sent<'_>) -> Option<SlotIndex> {
        slots::next(sent.slots, at)
    }

    /// Calls `each` for every packet whose cargo was not offered before, oldest first, and marks
    /// them. What was offered lies before what was not, so only the new end is walked.
    pub(super) fn offer(&mut self, sent: &mut Sent<'_>, mut each: impl FnMut(&Packet)) {
        let mut begin = None;
        let mut at = self.list.last();
        while let Some(here) = at {
            if sent.packet(here).is_none_or(|packet| packet.offered) {
                break;
            }
            begin = Some(here);
            at = slots::previous(sent.slots, here);
        }
        while let Some(here) = begin {
            if let Some(packet) = slots::value_mut(sent.slots, here) {
                packet.offered = true;
                each(packet);
            }
            begin = slots::next(sent.slots, here);
        }
    }

    /// The peer has computed this symbol. Once it has all symbols of a packet, they and what they
    /// contained are taken out of the packet. False: no packet here carries it.
    pub(super) fn unload(
        &mut self,
        symbol: u32,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Carried),
    ) -> bool {
        let mut at = self.first();
        while let Some(here) = at {
            if let Some(packet) = slots::value_mut(sent.slots, here)
                && packet.unload(symbol, each)
            {
                return true;
            }
            at = Self::next(here, sent);
        }
        false
    }

    /// Forgets this path's probes, since the next is about to be sent: the newest stands for all,
    /// and a dead path cannot fill the table that all paths share. An answer to one that is
    /// forgotten still counts as a sign of life, since its number stays one that was sent.
    pub(super) fn forget_probes(&mut self, sent: &mut Sent<'_>) {
        let mut at = self.first();
        while let Some(here) = at {
            at = if sent.packet(here).is_some_and(Packet::only_asks) {
                self.remove(here, sent)
            } else {
                Self::next(here, sent)
            };
        }
    }

    /// Whether the bytes counted are those in the list; for tests and debug assertions.
    #[cfg(test)]
    pub(super) fn is_consistent(&self, sent: &Sent<'_>) -> bool {
        let (mut sum, mut count, mut at) = (0, 0, self.first());
        let mut below = None;
        while let Some(here) = at {
            let Some(packet) = sent.packet(here) else { return false };
            if below >= Some(packet.number) {
                return false;
            }
            below = Some(packet.number);
            sum += u64::from(packet.bytes);
            count += 1;
            at = Self::next(here, sent);
        }
        let oldest = self.first().and_then(|at| sent.packet(at)).map(Packet::sent_at);
        sum == self.bytes && count == self.list.len() && oldest == self.oldest_sent_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_packet_is_relieved_of_its_symbols_once_all_are_known() {
        let mut packet = Packet::EMPTY;
        let before = Carried::MaxData;
        for item in [before, Carried::Symbols { first: 7, missing: 3 }, Carried::MaxStreams] {
            packet.cargo.push(item).unwrap();
        }
        let mut taken = Vec::new();
        for (symbol, found) in [(6, false), (9, false), (700, false), (8, true), (8, false)] {
            assert_eq!(packet.unload(symbol, &mut |item| taken.push(item)), found, "{symbol}");
            assert!(taken.is_empty() && packet.is_symbol(), "{symbol}");
        }
        assert!(packet.unload(7, &mut |item| taken.push(item)));
        assert_eq!(taken, [Carried::Symbols { first: 7, missing: 0 }, Carried::MaxStreams]);
        assert_eq!((packet.cargo.as_slice(), packet.is_symbol()), (&[before][..], false));
    }
}
