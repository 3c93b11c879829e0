//! Packets in flight: one table for the whole connection, one list a path.
//!
//! ```text
//!  slots   [ 7 | 2 | free | 8 | 3 | free | 9 ]      memory lent by the storage
//!  path 0    2 -> 3                                 each list in packet-number order
//!  path 1    7 -> 8 -> 9
//! ```
//!
//! The table may grow between calls, when a host lends a longer slice; it never shrinks. A list
//! is walked from its oldest packet on, so an acknowledgement costs what it acknowledges.

use crate::carried::Cargo;
use crate::time::Instant;

/// Room for one packet in flight.
#[derive(Clone, Debug)]
pub struct SentSlot {
    /// Its number on its path.
    pub(super) number: u64,
    pub(super) sent_at: Instant,
    pub(super) bytes: u16,
    /// Sent while the sender had no more to send: says little about the path's rate.
    pub(super) app_limited: bool,
    /// It only asks for an acknowledgement; a newer one may take its place.
    pub(super) probe: bool,
    /// Its cargo was already handed out to be sent on another path.
    pub(super) reinjected: bool,
    pub(super) cargo: Cargo,
    /// What the path had delivered when this was sent, and when it last had.
    pub(super) delivered: u64,
    pub(super) delivered_at: Instant,
    /// When the packet was sent that the rate is measured from.
    pub(super) first_sent_at: Instant,
    pub(super) next: u32,
}

impl SentSlot {
    /// A free slot.
    pub const EMPTY: Self = Self {
        number: 0,
        sent_at: Instant::ZERO,
        bytes: 0,
        app_limited: false,
        probe: false,
        reinjected: false,
        cargo: Cargo::new(),
        delivered: 0,
        delivered_at: Instant::ZERO,
        first_sent_at: Instant::ZERO,
        next: NONE,
    };
}

/// Which slots are free.
#[derive(Debug)]
pub struct SentTable {
    free: u32,
    /// Slots seen so far; those beyond have never been used.
    known: u32,
    free_count: u32,
}

/// The table with its memory, for one call.
pub struct Sent<'m> {
    /// Which slots are free.
    pub table: &'m mut SentTable,
    /// The slots.
    pub slots: &'m mut [SentSlot],
}

/// One path's packets in flight, oldest first.
#[derive(Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl Default for SentTable {
    fn default() -> Self {
        Self::new()
    }
}

impl SentTable {
    /// A table of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self { free: NONE, known: 0, free_count: 0 }
    }

    /// How many more packets fit.
    #[must_use]
    pub const fn room(&self, slots: &[SentSlot]) -> usize {
        let unknown = slots.len().saturating_sub(self.known as usize);
        unknown.saturating_add(self.free_count as usize)
    }

    fn take(&mut self, slots: &mut [SentSlot]) -> Option<u32> {
        if let Some(slot) = slots.get(self.free as usize) {
            let taken = self.free;
            self.free = slot.next;
            self.free_count = self.free_count.saturating_sub(1);
            return Some(taken);
        }
        slots.get(self.known as usize)?;
        let taken = self.known;
        self.known = self.known.saturating_add(1);
        Some(taken)
    }

    fn put(&mut self, index: u32, slots: &mut [SentSlot]) {
        if let Some(slot) = slots.get_mut(index as usize) {
            slot.next = self.free;
            slot.cargo.clear();
            self.free = index;
            self.free_count = self.free_count.saturating_add(1);
        }
    }
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Appends a packet, which is the newest; false when the table is full.
    pub(super) fn push(&mut self, packet: SentSlot, sent: &mut Sent<'_>) -> bool {
        let Some(index) = sent.table.take(sent.slots) else { return false };
        if let Some(slot) = sent.slots.get_mut(index as usize) {
            *slot = SentSlot { next: NONE, ..packet };
        }
        match sent.slots.get_mut(self.tail as usize) {
            Some(tail) => tail.next = index,
            None => self.head = index,
        }
        self.tail = index;
        self.len = self.len.saturating_add(1);
        true
    }

    /// The oldest packet.
    pub(super) fn front<'m>(&self, slots: &'m [SentSlot]) -> Option<&'m SentSlot> {
        slots.get(self.head as usize)
    }

    /// Visits packets from the oldest on until told to stop; removes those it is told to.
    pub(super) fn sweep(
        &mut self,
        sent: &mut Sent<'_>,
        mut visit: impl FnMut(&mut SentSlot) -> Visit,
    ) {
        let mut before = NONE;
        let mut index = self.head;
        // The length bounds the walk, whatever the links say.
        for _ in 0..self.len {
            let Some(slot) = sent.slots.get_mut(index as usize) else { return };
            let next = slot.next;
            match visit(slot) {
                Visit::Stop => return,
                Visit::Keep => before = index,
                Visit::Remove => {
                    match sent.slots.get_mut(before as usize) {
                        Some(slot) => slot.next = next,
                        None => self.head = next,
                    }
                    if next == NONE {
                        self.tail = before;
                    }
                    sent.table.put(index, sent.slots);
                    self.len = self.len.saturating_sub(1);
                }
            }
            index = next;
        }
    }
}

/// What becomes of a packet that a sweep visits.
pub(super) enum Visit {
    Keep,
    Remove,
    Stop,
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        /// Several lists in one table behave as as many queues, and no slot is lost or doubled.
        #[test]
        fn lists_are_queues(ops in prop::collection::vec((0_usize..3, any::<u16>(), 0_u8..4), 1..300)) {
            let mut table = SentTable::new();
            let mut slots = vec![SentSlot::EMPTY; 8];
            let mut lists = [List::new(), List::new(), List::new()];
            let mut model = [const { VecDeque::new() }; 3];
            let mut number = 0;
            for (list, mask, op) in ops {
                if slots.len() < 24 && mask % 16 == 0 {
                    slots.push(SentSlot::EMPTY);
                }
                let mut sent = Sent { table: &mut table, slots: &mut slots };
                if op > 0 {
                    let pushed = lists[list].push(SentSlot { number, ..SentSlot::EMPTY }, &mut sent);
                    let used: usize = model.iter().map(VecDeque::len).sum();
                    prop_assert_eq!(pushed, used < sent.slots.len());
                    if pushed {
                        model[list].push_back(number);
                    }
                    number += 1;
                } else {
                    let mut place = 0;
                    lists[list].sweep(&mut sent, |_| {
                        let remove = mask >> (place % 16) & 1 == 1;
                        place += 1;
                        if remove { Visit::Remove } else { Visit::Keep }
                    });
                    let mut place = 0;
                    model[list].retain(|_| {
                        place += 1;
                        mask >> ((place - 1) % 16) & 1 == 0
                    });
                }
                for (list, model) in lists.iter_mut().zip(&model) {
                    let mut seen = Vec::new();
                    list.sweep(&mut sent, |slot| {
                        seen.push(slot.number);
                        Visit::Keep
                    });
                    prop_assert!(seen.iter().eq(model.iter()));
                    prop_assert_eq!(list.len() as usize, model.len());
                }
                let used: usize = model.iter().map(VecDeque::len).sum();
                prop_assert_eq!(sent.table.room(sent.slots), sent.slots.len() - used);
            }
        }
    }
}
