//! The bytes of one stream between two offsets, in a chain of blocks.
//!
//! ```text
//!  offset   first * D                                  (first + count) * D
//!           [ block first ] -> [ block first + 1 ] -> ... -> [ tail ]
//! ```
//!
//! The chain has no holes: whoever writes far ahead takes the blocks before it too, which credit
//! has paid for. Bytes are found by block number. The head and the tail are known, and two cursors
//! between them: a stream is worked on at few places at once (sending and acknowledgements; the
//! fronts of a fast path and of a slow one), and walking along from each costs nothing.

use super::blocks::{NONE, Pool};
use super::copy;
use crate::arithmetic::Wide;

/// A chain of blocks. The pool and its memory are lent with each call.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    head: u32,
    tail: u32,
    /// Number of the head block; a block's number is its first offset by the data of a block.
    first: u64,
    count: u64,
    /// No bit is set from here on.
    marked: u64,
    /// Blocks that were found before, each its number and its place; the lower one first.
    low: (u64, u32),
    high: (u64, u32),
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// No blocks.
    #[must_use]
    pub const fn new() -> Self {
        // Places mean nothing while there are no blocks; zeros take no room in a board's flash.
        Self { head: 0, tail: 0, first: 0, count: 0, marked: 0, low: (0, 0), high: (0, 0) }
    }

    /// Blocks held.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.count
    }

    /// Copies `data` to `offset`, taking blocks while `may_take` (given the blocks held) allows
    /// it; returns how many bytes were copied.
    pub fn write(
        &mut self,
        mut offset: u64,
        mut data: &[u8],
        pool: &mut Pool,
        memory: &mut [u8],
        may_take: impl Fn(&Pool, &[u8], u64) -> bool,
    ) -> usize {
        let mut copied = 0;
        while !data.is_empty() {
            let Some((number, inside)) = self.split(offset, pool) else { break };
            while number >= self.first.plus(self.count) {
                if !may_take(pool, memory, self.count) || !self.extend(pool, memory) {
                    return copied;
                }
            }
            let Some(index) = self.find(number, pool, memory) else { break };
            let Some(room) = pool.data_mut(index, memory).and_then(|d| d.get_mut(inside..)) else {
                break;
            };
            let len = room.len().min(data.len());
            let Some((now, later)) = data.split_at_checked(len) else { break };
            let Some(room) = room.get_mut(..len) else { break };
            copy(now, room);
            data = later;
            copied = copied.saturating_add(len);
            offset = offset.plus(len as u64);
        }
        copied
    }

    /// Copies bytes from `offset` on out; returns how many there were.
    pub fn read(&mut self, mut offset: u64, into: &mut [u8], pool: &Pool, memory: &[u8]) -> usize {
        let mut copied = 0;
        while let Some(rest) = into.get_mut(copied..).filter(|rest| !rest.is_empty()) {
            let piece = self.slice(offset, pool, memory);
            let len = piece.len().min(rest.len());
            if len == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..len), piece.get(..len)) {
                copy(from, to);
            }
            copied = copied.saturating_add(len);
            offset = offset.plus(len as u64);
        }
        copied
    }

    /// The bytes from `offset` to the end of its block.
    pub fn slice<'m>(&mut self, offset: u64, pool: &Pool, memory: &'m [u8]) -> &'m [u8] {
        let piece = self.split(offset, pool).and_then(|(number, inside)| {
            let index = self.find(number, pool, memory)?;
            pool.data(index, memory)?.get(inside..)
        });
        piece.unwrap_or_default()
    }

    /// Sets the bits of `from..to`, as far as there are blocks.
    pub fn mark(&mut self, mut from: u64, to: u64, pool: &Pool, memory: &mut [u8]) {
        let held = self.first.times(pool.data_bytes() as u64);
        from = from.max(held);
        self.marked = self.marked.max(to);
        while from < to {
            let Some((number, inside)) = self.split(from, pool) else { return };
            let Some(index) = self.find(number, pool, memory) else { return };
            let Some(bits) = pool.bits_mut(index, memory) else { return };
            let end = usize::try_from(to.minus(from))
                .unwrap_or(usize::MAX)
                .saturating_add(inside)
                .min(pool.data_bytes());
            set_bits(bits, inside, end);
            from = from.plus(end.saturating_sub(inside).max(1) as u64);
        }
    }

    /// The first offset in `from..to` whose bit is `set`, or `to`.
    pub fn next(&mut self, mut from: u64, to: u64, set: bool, pool: &Pool, memory: &[u8]) -> u64 {
        if from >= self.marked {
            return if set { to } else { from.min(to) };
        }
        while from < to {
            let Some((number, inside)) = self.split(from, pool) else { return to };
            let Some(bits) =
                self.find(number, pool, memory).and_then(|index| pool.bits(index, memory))
            else {
                // Where there is no block no bit is set.
                return if set { to } else { from };
            };
            if let Some(found) = find_bit(bits, inside, set) {
                let ahead = found.saturating_sub(inside) as u64;
                return from.plus(ahead).min(to);
            }
            let rest = pool.data_bytes().saturating_sub(inside).max(1);
            from = from.plus(rest as u64);
        }
        to
    }

    /// Gives back the blocks that lie wholly below `offset`.
    pub fn release(&mut self, offset: u64, pool: &mut Pool, memory: &mut [u8]) {
        let Some((number, _)) = self.split(offset, pool) else { return };
        while self.first < number && self.count > 0 {
            self.pop(pool, memory);
        }
        if self.count == 0 {
            // Nothing is held: the next block taken is the one that is needed.
            self.first = self.first.max(number);
        }
    }

    /// Gives back everything.
    pub fn clear(&mut self, pool: &mut Pool, memory: &mut [u8]) {
        while self.count > 0 {
            self.pop(pool, memory);
        }
    }

    fn pop(&mut self, pool: &mut Pool, memory: &mut [u8]) {
        let next = pool.next(self.head, memory);
        pool.put(self.head, memory);
        self.head = next;
        self.first = self.first.plus(1);
        self.count = self.count.minus(1);
        if self.count == 0 {
            self.head = NONE;
            self.tail = NONE;
        }
        for cursor in [&mut self.low, &mut self.high] {
            if cursor.0 < self.first {
                *cursor = (self.first, self.head);
            }
        }
    }

    fn extend(&mut self, pool: &mut Pool, memory: &mut [u8]) -> bool {
        let Some(index) = pool.take(memory) else { return false };
        if self.count == 0 {
            self.head = index;
            self.low = (self.first, index);
            self.high = self.low;
        } else {
            pool.set_next(self.tail, index, memory);
        }
        self.tail = index;
        self.count = self.count.plus(1);
        true
    }

    /// The place of a block: the tail, or found from the nearest known block before it.
    fn find(&mut self, number: u64, pool: &Pool, memory: &[u8]) -> Option<u32> {
        let last = self.first.checked_add(self.count)?.checked_sub(1)?;
        if self.count == 0 || number < self.first || number > last {
            return None;
        }
        if number == last {
            return Some(self.tail);
        }
        if number == self.first {
            return Some(self.head);
        }
        let cursor = if number >= self.high.0 {
            &mut self.high
        } else {
            // Before both: begin at the head, and leave the higher one where it is.
            if number < self.low.0 {
                self.low = (self.first, self.head);
            }
            &mut self.low
        };
        while cursor.0 < number {
            cursor.1 = pool.next(cursor.1, memory);
            cursor.0 = cursor.0.plus(1);
        }
        Some(cursor.1)
    }

    fn split(&self, offset: u64, pool: &Pool) -> Option<(u64, usize)> {
        let data = pool.data_bytes() as u64;
        let number = offset.checked_div(data)?;
        Some((number, usize::try_from(offset.checked_rem(data)?).ok()?))
    }
}

/// Sets bits `from..to`: whole bytes at once, and the parts of bytes at both ends.
fn set_bits(bits: &mut [u8], from: usize, to: usize) {
    let (first, last) = (from / 8, to / 8);
    let mut set = |place: usize, mask: u8| {
        if let Some(byte) = bits.get_mut(place) {
            *byte |= mask;
        }
    };
    let (head, tail) = (u8::MAX << (from % 8), !(u8::MAX << (to % 8)));
    if first >= last {
        return set(first, head & tail);
    }
    set(first, head);
    set(last, tail);
    if let Some(whole) = bits.get_mut(first.saturating_add(1)..last) {
        whole.fill(u8::MAX);
    }
}

/// The first bit from `from` on that is `set`.
fn find_bit(bits: &[u8], from: usize, set: bool) -> Option<usize> {
    let flip = if set { 0 } else { u64::MAX };
    // Of the first word, only the bits from `from` on.
    let mut mask = u64::MAX << (from % 64);
    let (words, _) = bits.as_chunks::<8>();
    for (place, word) in (from / 64..).zip(words.get(from / 64..)?) {
        let wanted = (u64::from_le_bytes(*word) ^ flip) & mask;
        if wanted != 0 {
            return Some(place * 64 + wanted.trailing_zeros() as usize);
        }
        mask = u64::MAX;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const STRIDE: usize = 4 + 8 + 64;

    proptest! {
        /// Two chains in one growing memory, against plain vectors.
        #[test]
        fn chains_are_byte_arrays(ops in prop::collection::vec((0_usize..2, 0_u8..5, 0_u64..700, 1_usize..200), 1..120)) {
            let mut memory = vec![0; STRIDE * 6];
            let mut pool = Pool::new(STRIDE);
            prop_assert_eq!(pool.data_bytes(), 64);
            let mut chains = [Chain::new(); 2];
            // `None`: never written, so that the block may hold anything there.
            let mut bytes = [vec![None; 1_000], vec![None; 1_000]];
            let mut marks = [vec![false; 1_000], vec![false; 1_000]];
            let mut low = [0_u64; 2];
            let mut held = [0_u64; 2];
            for (who, op, at, len) in ops {
                let chain = &mut chains[who];
                let from = at.max(low[who]);
                let to = (from + len as u64).min(1_000);
                match op {
                    0 => {
                        let data: Vec<u8> = (from..to).map(|offset| (offset * 7 + who as u64) as u8).collect();
                        let copied = chain.write(from, &data, &mut pool, &mut memory, |_, _, _| true);
                        let (begin, end) = (from as usize, from as usize + copied);
                        for (place, byte) in bytes[who][begin..end].iter_mut().zip(&data) {
                            *place = Some(*byte);
                        }
                        if copied > 0 { held[who] = held[who].max(end as u64); }
                    }
                    1 if to <= held[who] => {
                        chain.mark(from, to, &pool, &mut memory);
                        marks[who][from as usize..to as usize].fill(true);
                    }
                    2 => {
                        chain.release(from, &mut pool, &mut memory);
                        low[who] = from.max(low[who]);
                    }
                    3 if memory.len() < STRIDE * 40 => memory.extend([0; STRIDE]),
                    _ => {
                        for set in [false, true] {
                            let end = to.min(held[who]);
                            if from < end {
                                let model = (from..end).find(|o| marks[who][*o as usize] == set).unwrap_or(end);
                                prop_assert_eq!(chain.next(from, end, set, &pool, &memory), model);
                            }
                        }
                        let end = to.min(held[who]);
                        if from < end {
                            let mut out = vec![0; (end - from) as usize];
                            prop_assert_eq!(chain.read(from, &mut out, &pool, &memory), out.len());
                            let model = &bytes[who][from as usize..end as usize];
                            prop_assert!(out.iter().zip(model).all(|(out, model)| model.is_none_or(|byte| byte == *out)));
                        }
                    }
                }
                let blocks: u64 = chains.iter().map(Chain::blocks).sum();
                prop_assert_eq!(pool.available(&memory) as u64 + blocks, (memory.len() / STRIDE) as u64);
            }
            for chain in &mut chains {
                chain.clear(&mut pool, &mut memory);
            }
            prop_assert_eq!(pool.available(&memory), memory.len() / STRIDE);
        }
    }
}
