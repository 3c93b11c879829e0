//! How often this board has started, in flash: a number that is never seen twice.
//!
//! ```text
//!  sector A:  41 42 43 .. 104 full    sector B:  105 106 __ __    next: 107
//! ```
//!
//! Two sectors take turns. A start writes the next number behind the last one, reads it back, and
//! only then hands it out, so that a board which loses its supply at any moment cannot use one
//! number for two starts. A sector is erased when the other one is full and still holds the
//! highest number.
//!
//! Flash that holds no number, and anything but erased sectors, is not this counter's: who begins anew
//! there might count what was counted before, so that is for a person to do, by erasing it.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

/// Where the counter lives: two neighbouring ranges of whole erasable sectors, each `bytes` long.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Offset of the first one in the flash.
    pub start: u32,
    /// Length of each of the two.
    pub bytes: u32,
}

/// Why there is no number. What was counted so far stays counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CountError {
    /// The flash cannot be read, written or erased.
    Broken,
    /// There is something else in this place; it has to be erased by hand.
    NotACounter,
    /// All numbers were used.
    Exhausted,
}

impl core::fmt::Display for CountError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Broken => "the flash does not work",
            Self::NotACounter => "the boot counter's flash holds something else; erase it",
            Self::Exhausted => "the boot counter is at its end",
        })
    }
}

impl core::error::Error for CountError {}

/// Counts a start: the next number, which no start before was given. The first one is 1.
///
/// # Errors
/// There is no such number; the board should not do what needs one.
pub fn count_start<F: NorFlash>(flash: &mut F, place: Place) -> Result<u32, CountError> {
    const {
        assert!(SLOT_BYTES.is_multiple_of(F::WRITE_SIZE) && SLOT_BYTES.is_multiple_of(F::READ_SIZE))
    };
    let [a, b] = [place.start, place.start.saturating_add(place.bytes)];
    let (in_a, in_b) = (look(flash, a, place.bytes)?, look(flash, b, place.bytes)?);
    if in_a.highest == 0 && in_b.highest == 0 && (in_a.foreign || in_b.foreign) {
        return Err(CountError::NotACounter);
    }
    let (from, current, other) =
        if in_b.highest > in_a.highest { (b, in_b, a) } else { (a, in_a, b) };
    let next = current.highest.checked_add(1).ok_or(CountError::Exhausted)?;
    let slot = if current.used + SLOT_BYTES as u32 <= place.bytes {
        from + current.used
    } else {
        flash.erase(other, other + place.bytes).map_err(|_| CountError::Broken)?;
        other
    };
    flash.write(slot, &encode(next)).map_err(|_| CountError::Broken)?;
    if decode(read(flash, slot)?) != Some(next) {
        return Err(CountError::Broken);
    }
    Ok(next)
}

/// What a sector holds.
struct Sector {
    /// The highest number; zero if there is none.
    highest: u32,
    /// Bytes up to the last slot that is not erased.
    used: u32,
    /// There is something that even a first number that was written in part cannot have left.
    foreign: bool,
}

fn look<F: ReadNorFlash>(flash: &mut F, from: u32, bytes: u32) -> Result<Sector, CountError> {
    let mut sector = Sector { highest: 0, used: 0, foreign: false };
    for index in 0..bytes / SLOT_BYTES as u32 {
        let slot = read(flash, from + index * SLOT_BYTES as u32)?;
        sector.highest = sector.highest.max(decode(slot).unwrap_or(0));
        if slot != [0xff; SLOT_BYTES] {
            sector.used = (index + 1) * SLOT_BYTES as u32;
        }
        // Writing turns ones to zeros, and none but these.
        sector.foreign |= slot.iter().zip(encode(1)).any(|(is, target)| is & target != target);
    }
    Ok(sector)
}

fn read<F: ReadNorFlash>(flash: &mut F, at: u32) -> Result<[u8; SLOT_BYTES], CountError> {
    let mut slot = [0; SLOT_BYTES];
    flash.read(at, &mut slot).map_err(|_| CountError::Broken)?;
    Ok(slot)
}

/// The number in a slot, if it is whole.
fn decode(slot: [u8; SLOT_BYTES]) -> Option<u32> {
    let number = u32::from_le_bytes(*slot.first_chunk()?);
    (encode(number) == slot).then_some(number)
}

/// A number and its complement, so that a slot that was written in part is not taken for one. The
/// rest is left erased.
fn encode(number: u32) -> [u8; SLOT_BYTES] {
    let mut slot = [0xff; SLOT_BYTES];
    let bytes = number.to_le_bytes().into_iter().chain((!number).to_le_bytes());
    slot.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    slot
}

/// A number's share of flash: what an STM32H7 writes at a time, with its error correction.
const SLOT_BYTES: usize = 32;

#[cfg(test)]
mod tests;
