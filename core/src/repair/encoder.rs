//! The sender's side: remembers the last symbols and mixes them.

use super::places::Places;
use super::{
    CONTENTS_BYTES_MAX, COVER_MAX, LENGTH_BYTES, WINDOW, coefficient, gf256, index, place,
};
use super::{place_mut, write_symbol};

/// The last symbols sent. Their memory is lent with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    next: u32,
    held: u8,
    key: u16,
    /// Of symbols whose fate is known.
    settled: Places,
    /// Of symbols that got lost and were not sent again yet.
    lost: Places,
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
        self.settled.set(index(number), false);
        self.lost.set(index(number), false);
        self.held = self.held.saturating_add(1).min(COVER_MAX);
        self.trim();
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

    /// A symbol arrived, or goes out again: no repair symbol need cover it, and one that did would
    /// only have one more unknown.
    pub fn on_settled(&mut self, number: u32) {
        if self.remembers(number) {
            self.settled.set(index(number), true);
            self.lost.set(index(number), false);
            self.trim();
        }
    }

    /// The same for each symbol of `which`: bit `i` stands for the `i`th from `first` on.
    pub fn on_acked(&mut self, first: u32, which: u8) {
        each(first, which).for_each(|number| self.on_settled(number));
    }

    /// These symbols got lost.
    pub fn on_lost(&mut self, first: u32, which: u8) {
        for number in each(first, which) {
            if self.remembers(number) {
                self.lost.set(index(number), true);
            }
        }
    }

    /// The oldest symbol that got lost and was not sent again.
    #[must_use]
    pub fn lost(&self) -> Option<u32> {
        if self.lost.is_empty() {
            return None;
        }
        let oldest = self.next.saturating_sub(WINDOW as u32);
        (oldest..self.next).find(|number| self.lost.has(index(*number)))
    }

    fn remembers(&self, number: u32) -> bool {
        let behind = self.next.wrapping_sub(number);
        behind > 0 && behind <= WINDOW as u32
    }

    /// Lets go of the oldest symbols, as far as they are settled.
    fn trim(&mut self) {
        let oldest = |held: u8| index(self.next.wrapping_sub(held.into()));
        while self.held > 0 && self.settled.has(oldest(self.held)) {
            self.held = self.held.saturating_sub(1);
        }
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

/// The symbols of `which`: bit `i` stands for the `i`th from `first` on.
fn each(first: u32, which: u8) -> impl Iterator<Item = u32> {
    let of = move |bit: &u32| which >> bit & 1 != 0;
    (0..u8::BITS).filter(of).map(move |bit| first.wrapping_add(bit))
}
