//! The sender's side: remembers the last symbols and mixes them.

use super::{CONTENTS_BYTES_MAX, LENGTH_BYTES, WINDOW, coefficient, gf256, index, place};
use super::{place_mut, write_symbol};

/// The last symbols sent. Their memory is lent with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    next: u32,
    held: u8,
    key: u16,
    /// Bit `i`: the fate of the symbol whose place is `i` is known.
    settled: u128,
}

/// What a repair symbol is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixture {
    /// The first symbol in it.
    pub first: u32,
    /// How many follow each other, that one included.
    pub count: u8,
    /// What the coefficients are drawn from.
    pub key: u16,
    /// Bytes of the repair symbol.
    pub len: usize,
}

impl Encoder {
    /// No symbols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers the contents of a packet; returns the symbol's number. `None` when they are too
    /// long or there is no memory: the packet then goes without protection.
    pub fn push(&mut self, contents: &[u8], memory: &mut [u8]) -> Option<u32> {
        if contents.len() > CONTENTS_BYTES_MAX {
            return None;
        }
        let number = self.next;
        let symbol = place_mut(memory, index(number))?;
        if !write_symbol(contents, symbol) {
            return None;
        }
        self.next = number.checked_add(1)?;
        self.settled &= !bit(number);
        self.held = self.held.saturating_add(1).min(WINDOW as u8);
        Some(number)
    }

    /// What a symbol of the window contains.
    #[must_use]
    pub fn contents<'m>(&self, number: u32, memory: &'m [u8]) -> Option<&'m [u8]> {
        let (head, body) = place(memory, index(number))?.split_first_chunk::<LENGTH_BYTES>()?;
        body.get(..usize::from(u16::from_le_bytes(*head)))
    }

    /// Symbols from the oldest on whose fate is not known.
    #[must_use]
    pub const fn held(&self) -> u8 {
        self.held
    }

    /// The number of the next symbol.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// The packet of a symbol was acknowledged, or its contents go out again: no repair symbol need
    /// cover it, and one that did would only have one more unknown.
    pub fn on_settled(&mut self, number: u32) {
        let held = u32::from(self.held);
        let behind = self.next.wrapping_sub(number);
        if behind == 0 || behind > held {
            return;
        }
        self.settled |= bit(number);
        while self.held > 0 && self.settled & bit(self.next.wrapping_sub(self.held.into())) != 0 {
            self.held = self.held.saturating_sub(1);
        }
    }

    /// The same for each symbol of `which`: bit `i` stands for the `i`th from `first` on.
    pub fn on_fate(&mut self, first: u32, which: u8) {
        let of = |bit: &u32| which >> bit & 1 != 0;
        (0..u8::BITS).filter(of).for_each(|bit| self.on_settled(first.wrapping_add(bit)));
    }

    /// What the next repair symbol is made of: all symbols held. `None` when there are none.
    #[must_use]
    pub fn mixture(&self, memory: &[u8]) -> Option<Mixture> {
        if self.held == 0 {
            return None;
        }
        let first = self.next.checked_sub(self.held.into())?;
        let mut longest = 0;
        for number in first..self.next {
            let head = place(memory, index(number))?.first_chunk::<LENGTH_BYTES>()?;
            longest = longest.max(usize::from(u16::from_le_bytes(*head)));
        }
        let len = longest.checked_add(LENGTH_BYTES)?;
        Some(Mixture { first, count: self.held, key: self.key, len })
    }

    /// Writes that repair symbol; the next one will have another key.
    pub fn mix(&mut self, mixture: &Mixture, into: &mut [u8], memory: &[u8]) {
        into.fill(0);
        for number in mixture.first..self.next {
            if let Some(symbol) = place(memory, index(number)) {
                gf256::add_multiple(into, symbol, coefficient(mixture.key, number));
            }
        }
        self.key = self.key.wrapping_add(1);
    }
}

/// The bit of a symbol's place.
const fn bit(number: u32) -> u128 {
    1_u128.rotate_left(index(number) as u32)
}
