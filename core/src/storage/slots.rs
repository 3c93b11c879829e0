//! One slab of slots, several lists threaded through it, in memory that the caller lends.
//!
//! ```text
//!   slots   [ a1 ][ b1 ][ a2 ][free][ b2 ][ never used … ]
//!   list a    0 ───────── 2                 each list in the order of its pushes
//!   list b          1 ─────────────── 4
//!   free                        3           taken again before untouched slots are
//! ```
//!
//! Push, remove and step are O(1). The slice may be longer at each call than at the last, never
//! shorter; slots that were never used need no preparation, so growing costs nothing. A slot
//! belongs to the list that it was pushed on: only that list may remove it.

/// No slot. Also the limit: a slab uses at most this many.
const NONE: u16 = u16::MAX;

/// One slot of a slab.
#[derive(Clone, Copy, Debug)]
pub struct Slot<T> {
    next: u16,
    previous: u16,
    value: T,
}

impl<T> Slot<T> {
    /// A slot that was never used; its value is a placeholder.
    #[must_use]
    pub const fn new(value: T) -> Self {
        // What it is linked to is said when it is used; zeros take no room in a board's flash.
        Self { next: 0, previous: 0, value }
    }
}

impl<T: Default> Default for Slot<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Where a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotIndex(u16);

/// Which slots are free. The slots themselves are lent.
#[derive(Clone, Debug)]
pub struct Slots {
    /// The list of slots that were used and given back, linked by `next`.
    free: u16,
    /// Slots from here on were never used.
    fresh: u16,
    used: u16,
}

/// One list of slots.
#[derive(Clone, Debug)]
pub struct List {
    first: u16,
    last: u16,
    len: u16,
}

impl Slots {
    /// A slab of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self { free: NONE, fresh: 0, used: 0 }
    }

    /// How many slots are in use, over all lists.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used as usize
    }

    /// How many more values fit.
    #[must_use]
    pub fn room<T>(&self, slots: &[Slot<T>]) -> usize {
        slots.len().min(NONE as usize).saturating_sub(self.used as usize)
    }

    /// Appends `value` to `list`. `None`: no slot is free.
    pub fn push<T>(
        &mut self,
        list: &mut List,
        slots: &mut [Slot<T>],
        value: T,
    ) -> Option<SlotIndex> {
        let at = self.take(slots)?;
        let slot = slots.get_mut(at as usize)?;
        *slot = Slot { next: NONE, previous: list.last, value };
        match slots.get_mut(list.last as usize) {
            Some(previous) => previous.next = at,
            None => list.first = at,
        }
        list.last = at;
        list.len = list.len.saturating_add(1);
        self.used = self.used.saturating_add(1);
        Some(SlotIndex(at))
    }

    /// Takes the slot `at` out of `list`, to which it must belong. Returns the slot after it.
    pub fn remove<T>(
        &mut self,
        list: &mut List,
        slots: &mut [Slot<T>],
        at: SlotIndex,
    ) -> Option<SlotIndex> {
        let slot = slots.get_mut(at.0 as usize)?;
        let (previous, next) = (slot.previous, slot.next);
        slot.previous = NONE;
        slot.next = self.free;
        self.free = at.0;
        self.used = self.used.saturating_sub(1);
        list.len = list.len.saturating_sub(1);
        match slots.get_mut(previous as usize) {
            Some(slot) => slot.next = next,
            None => list.first = next,
        }
        match slots.get_mut(next as usize) {
            Some(slot) => slot.previous = previous,
            None => list.last = previous,
        }
        index(next)
    }

    fn take<T>(&mut self, slots: &[Slot<T>]) -> Option<u16> {
        if let Some(slot) = slots.get(self.free as usize) {
            let at = self.free;
            self.free = slot.next;
            return Some(at);
        }
        let at = self.fresh;
        if at == NONE || at as usize >= slots.len() {
            return None;
        }
        self.fresh = at.saturating_add(1);
        Some(at)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// A list of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }

    /// How many slots the list holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot that was pushed first of those still here.
    #[must_use]
    pub const fn first(&self) -> Option<SlotIndex> {
        index(self.first)
    }

    /// The slot that was pushed last.
    #[must_use]
    pub const fn last(&self) -> Option<SlotIndex> {
        index(self.last)
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// The value at `at`.
#[must_use]
pub fn value<T>(slots: &[Slot<T>], at: SlotIndex) -> Option<&T> {
    slots.get(at.0 as usize).map(|slot| &slot.value)
}

/// The value at `at`, to change.
#[must_use]
pub fn value_mut<T>(slots: &mut [Slot<T>], at: SlotIndex) -> Option<&mut T> {
    slots.get_mut(at.0 as usize).map(|slot| &mut slot.value)
}

/// The slot after `at` in its list.
#[must_use]
pub fn next<T>(slots: &[Slot<T>], at: SlotIndex) -> Option<SlotIndex> {
    slots.get(at.0 as usize).and_then(|slot| index(slot.next))
}

/// The slot before `at` in its list.
#[must_use]
pub fn previous<T>(slots: &[Slot<T>], at: SlotIndex) -> Option<SlotIndex> {
    slots.get(at.0 as usize).and_then(|slot| index(slot.previous))
}

const fn index(at: u16) -> Option<SlotIndex> {
    if at == NONE { None } else { Some(SlotIndex(at)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[derive(Clone, Debug)]
    enum Op {
        /// On this list.
        Push(usize),
        /// From this list, the slot at this position (modulo its length).
        Remove(usize, usize),
        /// Lend this many slots more.
        Grow(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            5 => (0_usize..3).prop_map(Op::Push),
            4 => (0_usize..3, any::<usize>()).prop_map(|(list, at)| Op::Remove(list, at)),
            1 => (0_usize..4).prop_map(Op::Grow),
        ]
    }

    fn walk(slots: &[Slot<u32>], list: &List) -> Vec<(SlotIndex, u32)> {
        let mut seen = Vec::new();
        let mut at = list.first();
        while let Some(here) = at {
            seen.push((here, *value(slots, here).unwrap()));
            at = next(slots, here);
            assert_eq!(at.map_or_else(|| list.last(), |n| previous(slots, n)), Some(here));
        }
        seen
    }

    proptest! {
        #[test]
        fn lists_keep_their_order_and_no_slot_is_shared(ops in prop::collection::vec(op(), 0..200)) {
            let mut slots = std::vec![Slot::new(0_u32); 4];
            let mut slab = Slots::new();
            let mut lists = [List::new(), List::new(), List::new()];
            let mut model: [Vec<u32>; 3] = Default::default();
            for (stamp, op) in (1_u32..).zip(ops) {
                match op {
                    Op::Push(l) => {
                        let room = slab.room(&slots) > 0;
                        let pushed = slab.push(&mut lists[l], &mut slots, stamp);
                        prop_assert_eq!(pushed.is_some(), room);
                        if room { model[l].push(stamp); }
                    }
                    Op::Remove(l, pick) if !model[l].is_empty() => {
                        let pick = pick % model[l].len();
                        let at = walk(&slots, &lists[l])[pick].0;
                        let after = slab.remove(&mut lists[l], &mut slots, at);
                        model[l].remove(pick);
                        let after = after.map(|at| *value(&slots, at).unwrap());
                        prop_assert_eq!(after, model[l].get(pick).copied());
                    }
                    Op::Remove(..) => {}
                    Op::Grow(more) => slots.extend((0..more).map(|_| Slot::new(0))),
                }
                let used: usize = model.iter().map(Vec::len).sum();
                prop_assert_eq!(slab.used(), used);
                prop_assert_eq!(slab.room(&slots), slots.len() - used);
                for (list, model) in lists.iter().zip(&model) {
                    let held: Vec<u32> = walk(&slots, list).into_iter().map(|(_, v)| v).collect();
                    prop_assert_eq!(&held, model);
                    prop_assert_eq!(list.len(), model.len());
                }
            }
        }
    }
}
