//! The receiver's side: a small system of linear equations, kept solved as far as it goes.
//!
//! ```text
//!  lent memory   [ the window's symbols ][ row ][ row ] ...
//!  row           [ a coefficient for each place of the window | the sum ]
//! ```
//!
//! Each repair symbol is an equation whose unknowns are the symbols that have not arrived. The
//! equations are kept in reduced form: each has a *pivot*, an unknown that no other has. One that
//! is left with its pivot alone has found it. What slides out of the window is forgotten, and with
//! it the equations that still ask for it.

use super::encoder::Mixture;
use super::gf256::{add_multiple, inverse, multiply, scale};
use super::places::Places;
use super::{CONTENTS_BYTES_MAX, DECODER_BYTES, EQUATIONS, LENGTH_BYTES, ROW_BYTES, SYMBOL_BYTES};
use super::{WINDOW, coefficient, index, place, place_mut, write_symbol};
use crate::storage::copy;

/// The last symbols that arrived, and the equations. Their bytes are lent with each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    /// One more than the highest number heard of.
    end: u32,
    /// Of symbols that are here.
    here: Places,
    /// The pivots of the equations whose rows are in use.
    pivots: [Option<u8>; EQUATIONS],
}

impl Decoder {
    /// Nothing arrived yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A symbol arrived; returns whether it is news, and not one that was computed before.
    pub fn on_source(&mut self, number: u32, contents: &[u8], memory: &mut [u8]) -> bool {
        if memory.len() < DECODER_BYTES {
            return true; // Nothing is ever computed.
        }
        if !self.advance(number, memory) || self.here.has(index(number)) {
            return false;
        }
        if place_mut(memory, index(number)).is_some_and(|symbol| write_symbol(contents, symbol)) {
            self.learn(index(number), memory);
        }
        true
    }

    /// A repair symbol arrived.
    pub fn on_repair(&mut self, mixture: &Mixture, data: &[u8], memory: &mut [u8]) {
        let Some(last) = mixture.count.checked_sub(1) else { return };
        let Some(last) = mixture.first.checked_add(last.into()) else { return };
        let fits = usize::from(mixture.count) <= WINDOW && data.len() <= SYMBOL_BYTES;
        if memory.len() < DECODER_BYTES || !fits || !self.advance(last, memory) {
            return;
        }
        if mixture.first < self.end.saturating_sub(WINDOW as u32) {
            return;
        }
        let slot = self.free_slot(memory);
        let Some((symbols, rows)) = split(memory) else { return };
        let Some((coefficients, sum)) = row_mut(rows, slot) else { return };
        let Some((bytes, rest)) = sum.split_at_mut_checked(data.len()) else { return };
        copy(data, bytes);
        rest.fill(0);
        coefficients.fill(0);
        for number in mixture.first..=last {
            let factor = coefficient(mixture.key, number);
            if !self.here.has(index(number)) {
                if let Some(place) = coefficients.get_mut(index(number)) {
                    *place = factor;
                }
            } else if let Some(symbol) = place(symbols, index(number)) {
                add_multiple(sum, symbol, factor);
            }
        }
        self.insert(slot, memory);
    }

    /// A symbol that could be computed: its number and its contents.
    pub fn recovered<'m>(&mut self, memory: &'m mut [u8]) -> Option<(u32, &'m [u8])> {
        for slot in 0..EQUATIONS {
            let Some(at) = self.solved(slot, memory) else { continue };
            let (symbols, rows) = split(memory)?;
            let (coefficients, sum) = row_mut(rows, slot)?;
            let factor = coefficients.get(at).copied().unwrap_or(0);
            let symbol = place_mut(symbols, at)?;
            copy(sum, symbol);
            scale(symbol, inverse(factor));
            let len = symbol.first_chunk().map_or(0, |head| usize::from(u16::from_le_bytes(*head)));
            if let Some(pivot) = self.pivots.get_mut(slot) {
                *pivot = None;
            }
            if len > CONTENTS_BYTES_MAX {
                continue; // No honest sender makes such a symbol.
            }
            self.learn(at, memory);
            let (_, body) = place(memory, at)?.split_first_chunk::<LENGTH_BYTES>()?;
            return Some((self.number_at(at), body.get(..len)?));
        }
        None
    }

    /// The place of the symbol that the equation has found.
    fn solved(&self, slot: usize, memory: &mut [u8]) -> Option<usize> {
        let pivot = (*self.pivots.get(slot)?)?;
        let (_, rows) = split(memory)?;
        let (coefficients, _) = row_mut(rows, slot)?;
        (unknowns(coefficients) == 1).then_some(pivot.into())
    }

    /// The symbol at this place is known now.
    fn learn(&mut self, at: usize, memory: &mut [u8]) {
        self.here.set(at, true);
        for slot in 0..EQUATIONS {
            if !self.in_use(slot) {
                continue;
            }
            let Some((symbols, rows)) = split(memory) else { return };
            let Some((coefficients, sum)) = row_mut(rows, slot) else { return };
            let Some(factor) = coefficients.get_mut(at).map(core::mem::take) else { return };
            if factor == 0 {
                continue;
            }
            if let Some(symbol) = place(symbols, at) {
                add_multiple(sum, symbol, factor);
            }
            if let Some(pivot) = self.pivots.get_mut(slot) {
                *pivot = None;
            }
            self.insert(slot, memory);
        }
    }

    /// Takes in the equation whose row was written, and keeps the reduced form.
    fn insert(&mut self, slot: usize, memory: &mut [u8]) {
        let Some((_, rows)) = split(memory) else { return };
        for (other, pivot) in self.pivots.iter().enumerate() {
            if let Some(pivot) = pivot {
                eliminate(rows, slot, other, (*pivot).into());
            }
        }
        let Some((coefficients, _)) = row_mut(rows, slot) else { return };
        let Some(pivot) = coefficients.iter().position(|c| *c != 0) else { return };
        for (other, taken) in self.pivots.iter().enumerate() {
            if taken.is_some() {
                eliminate(rows, other, slot, pivot);
            }
        }
        if let Some(place) = self.pivots.get_mut(slot) {
            *place = u8::try_from(pivot).ok();
        }
    }

    /// A row for one more equation; when there is none, the one with most unknowns goes.
    fn free_slot(&mut self, memory: &mut [u8]) -> usize {
        let free = self.pivots.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            let count = |slot: &usize| {
                let row = split(memory).and_then(|(_, rows)| row_mut(rows, *slot));
                row.map_or(0, |(coefficients, _)| unknowns(coefficients))
            };
            (0..EQUATIONS).max_by_key(count).unwrap_or(0)
        });
        if let Some(pivot) = self.pivots.get_mut(slot) {
            *pivot = None;
        }
        slot
    }

    fn in_use(&self, slot: usize) -> bool {
        self.pivots.get(slot).is_some_and(Option::is_some)
    }

    /// Makes room for this number; false when it lies behind the window.
    fn advance(&mut self, number: u32, memory: &mut [u8]) -> bool {
        let Some(end) = number.checked_add(1) else { return false };
        if end <= self.end {
            return number >= self.end.saturating_sub(WINDOW as u32);
        }
        let steps = (end - self.end).min(WINDOW as u32);
        for number in (end - steps)..end {
            self.here.set(index(number), false);
            for slot in 0..EQUATIONS {
                let row = split(memory).and_then(|(_, rows)| row_mut(rows, slot));
                let asks = row.and_then(|(coefficients, _)| coefficients.get(index(number)));
                if asks.is_some_and(|factor| *factor != 0)
                    && let Some(pivot) = self.pivots.get_mut(slot)
                {
                    *pivot = None;
                }
            }
        }
        self.end = end;
        true
    }

    /// The number in the window whose place this is.
    const fn number_at(&self, at: usize) -> u32 {
        let last = self.end.wrapping_sub(1);
        last.wrapping_sub(index(last.wrapping_sub(at as u32)) as u32)
    }
}

/// The symbols, and the rows.
fn split(memory: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    memory.split_at_mut_checked(WINDOW * SYMBOL_BYTES)
}

/// The coefficients and the sum of an equation.
fn row_mut(rows: &mut [u8], slot: usize) -> Option<(&mut [u8], &mut [u8])> {
    let row = rows.get_mut(slot.checked_mul(ROW_BYTES)?..)?.get_mut(..ROW_BYTES)?;
    row.split_at_mut_checked(WINDOW)
}

fn unknowns(coefficients: &[u8]) -> usize {
    coefficients.iter().filter(|factor| **factor != 0).count()
}

/// Removes the unknown `pivot` from the equation at `slot` by that at `by`.
fn eliminate(rows: &mut [u8], slot: usize, by: usize, pivot: usize) {
    if slot == by {
        return;
    }
    let (lower, upper) = (slot.min(by), slot.max(by));
    let Some((front, back)) = rows.split_at_mut_checked(upper * ROW_BYTES) else { return };
    let front = front.get_mut(lower * ROW_BYTES..).and_then(|rest| rest.get_mut(..ROW_BYTES));
    let Some((low, high)) = front.zip(back.get_mut(..ROW_BYTES)) else { return };
    let (to, from) = if slot < by { (low, high) } else { (high, low) };
    let at = |row: &[u8]| row.get(pivot).copied().unwrap_or(0);
    let factor = multiply(at(to), inverse(at(from)));
    add_multiple(to, from, factor);
}
