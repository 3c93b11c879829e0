//! The receiver's side: a small system of linear equations, kept solved as far as it goes.
//!
//! Each repair symbol is an equation whose unknowns are the symbols that have not arrived. The
//! equations are kept in reduced form: each has a *pivot*, an unknown that no other has. One that
//! is left with its pivot alone has found it. What slides out of the window is forgotten, and with
//! it the equations that still ask for it.

use super::encoder::Mixture;
use super::gf256::{add_multiple, inverse, multiply, scale};
use super::write_symbol;
use super::{
    CONTENTS_BYTES_MAX, DECODER_BYTES, EQUATIONS, LENGTH_BYTES, SYMBOL_BYTES, WINDOW, coefficient,
    index, place, place_mut,
};

/// The last symbols that arrived, and the equations. Their bytes are lent with each call.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// One more than the highest number heard of.
    end: u32,
    /// Bit `i`: the symbol whose place is `i` is here.
    here: u64,
    equations: [Option<Equation>; EQUATIONS],
}

/// Left side of an equation; the right side lies in the memory. Coefficients by place.
#[derive(Clone, Copy, Debug)]
struct Equation {
    coefficients: [u8; WINDOW],
    pivot: usize,
}

impl Equation {
    fn at(&self, place: usize) -> u8 {
        self.coefficients.get(place).copied().unwrap_or(0)
    }

    fn first_unknown(&self) -> Option<usize> {
        self.coefficients.iter().position(|c| *c != 0)
    }

    fn is_solved(&self) -> bool {
        self.coefficients.iter().filter(|c| **c != 0).count() == 1
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { end: 0, here: 0, equations: [None; EQUATIONS] }
    }
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
        if !self.advance(number) {
            return false;
        }
        if self.is_here(number) {
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
        if usize::from(mixture.count) > WINDOW || data.len() > SYMBOL_BYTES || !self.advance(last) {
            return;
        }
        if !self.in_window(mixture.first) {
            return;
        }
        let mut equation = Equation { coefficients: [0; WINDOW], pivot: 0 };
        for number in mixture.first..=last {
            if let Some(place) = equation.coefficients.get_mut(index(number)) {
                *place = coefficient(mixture.key, number);
            }
        }
        let slot = self.free_slot();
        let Some(right) = place_mut(memory, WINDOW + slot) else { return };
        let Some((bytes, rest)) = right.split_at_mut_checked(data.len()) else { return };
        bytes.copy_from_slice(data);
        rest.fill(0);
        for at in 0..WINDOW {
            if self.here & bit(at) != 0 {
                substitute(&mut equation, slot, at, memory);
            }
        }
        self.insert(equation, slot, memory);
    }

    /// A symbol that could be computed: its number and its contents.
    pub fn recovered<'m>(&mut self, memory: &'m mut [u8]) -> Option<(u32, &'m [u8])> {
        loop {
            let solved = |e: &Option<Equation>| e.as_ref().is_some_and(Equation::is_solved);
            let slot = self.equations.iter().position(solved)?;
            let equation = self.equations.get_mut(slot)?.take()?;
            let at = equation.first_unknown()?;
            let (symbols, rights) = memory.split_at_mut_checked(WINDOW * SYMBOL_BYTES)?;
            let symbol = place_mut(symbols, at)?;
            symbol.copy_from_slice(place(rights, slot)?);
            scale(symbol, inverse(equation.at(at)));
            let len = symbol.first_chunk().map_or(0, |head| usize::from(u16::from_le_bytes(*head)));
            if len > CONTENTS_BYTES_MAX {
                continue; // No honest sender makes such a symbol.
            }
            self.learn(at, memory);
            let (_, body) = place(memory, at)?.split_first_chunk::<LENGTH_BYTES>()?;
            return Some((self.number_at(at), body.get(..len)?));
        }
    }

    /// The symbol at this place is known now.
    fn learn(&mut self, at: usize, memory: &mut [u8]) {
        self.here |= bit(at);
        for slot in 0..EQUATIONS {
            let Some(place) = self.equations.get_mut(slot) else { continue };
            let Some(mut equation) = place.take_if(|equation| equation.at(at) != 0) else {
                continue;
            };
            substitute(&mut equation, slot, at, memory);
            self.insert(equation, slot, memory);
        }
    }

    /// Takes in an equation whose right side lies at `slot`, and keeps the reduced form.
    fn insert(&mut self, mut equation: Equation, slot: usize, memory: &mut [u8]) {
        for (other, known) in self.equations.iter().enumerate() {
            if let Some(known) = known {
                eliminate(&mut equation, slot, known, other, memory);
            }
        }
        let Some(pivot) = equation.first_unknown() else { return };
        equation.pivot = pivot;
        for (other, known) in self.equations.iter_mut().enumerate() {
            if let Some(known) = known {
                eliminate(known, other, &equation, slot, memory);
            }
        }
        if let Some(place) = self.equations.get_mut(slot) {
            *place = Some(equation);
        }
    }

    /// A place for one more equation; when there is none, one of those with most unknowns goes.
    fn free_slot(&mut self) -> usize {
        let unknowns = |e: &Option<Equation>| {
            e.as_ref().map_or(usize::MAX, |e| e.coefficients.iter().filter(|c| **c != 0).count())
        };
        let slots = self.equations.iter_mut().enumerate();
        let Some((slot, place)) = slots.max_by_key(|(_, equation)| unknowns(equation)) else {
            return 0;
        };
        *place = None;
        slot
    }

    /// Makes room for this number; false when it lies behind the window.
    fn advance(&mut self, number: u32) -> bool {
        let Some(end) = number.checked_add(1) else { return false };
        if end <= self.end {
            return self.in_window(number);
        }
        let steps = (end - self.end).min(WINDOW as u32);
        for number in (end - steps)..end {
            self.here &= !bit(index(number));
            for place in &mut self.equations {
                place.take_if(|equation| equation.at(index(number)) != 0);
            }
        }
        self.end = end;
        true
    }

    const fn in_window(&self, number: u32) -> bool {
        number < self.end && number >= self.end.saturating_sub(WINDOW as u32)
    }

    fn is_here(&self, number: u32) -> bool {
        self.here & bit(index(number)) != 0
    }

    /// The number in the window whose place this is.
    const fn number_at(&self, at: usize) -> u32 {
        let behind = index(self.end.wrapping_sub(1).wrapping_sub(at as u32));
        self.end.wrapping_sub(1).wrapping_sub(behind as u32)
    }
}

/// Puts the known symbol at `at` into the equation whose right side lies at `slot`.
fn substitute(equation: &mut Equation, slot: usize, at: usize, memory: &mut [u8]) {
    let factor = equation.at(at);
    if let Some(coefficient) = equation.coefficients.get_mut(at) {
        *coefficient = 0;
    }
    let Some((symbols, rights)) = memory.split_at_mut_checked(WINDOW * SYMBOL_BYTES) else {
        return;
    };
    if let Some((symbol, right)) = place(symbols, at).zip(place_mut(rights, slot)) {
        add_multiple(right, symbol, factor);
    }
}

/// Removes the pivot of `known` from `equation`.
fn eliminate(
    equation: &mut Equation,
    slot: usize,
    known: &Equation,
    known_slot: usize,
    memory: &mut [u8],
) {
    let factor = multiply(equation.at(known.pivot), inverse(known.at(known.pivot)));
    if factor == 0 || slot == known_slot {
        return;
    }
    add_multiple(&mut equation.coefficients, &known.coefficients, factor);
    let Some(rights) = memory.get_mut(WINDOW * SYMBOL_BYTES..) else { return };
    let (lower, upper) = (slot.min(known_slot), slot.max(known_slot));
    let Some((front, back)) = rights.split_at_mut_checked(upper * SYMBOL_BYTES) else { return };
    let Some((low, high)) = place_mut(front, lower).zip(place_mut(back, 0)) else { return };
    match slot < known_slot {
        true => add_multiple(low, high, factor),
        false => add_multiple(high, low, factor),
    }
}

/// The bit of a place.
const fn bit(at: usize) -> u64 {
    1_u64.rotate_left(at as u32)
}
