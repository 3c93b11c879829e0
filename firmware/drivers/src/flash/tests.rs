//! The counter on flash that loses its supply in the middle of things.

use super::*;
use embedded_storage::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const SECTOR: usize = 256;
const PLACE: Place = Place { start: SECTOR as u32, bytes: SECTOR as u32 };

/// Three sectors, the counter's behind one that is not its own.
struct Flash {
    bytes: Vec<u8>,
    /// Bytes that are still written or erased before the supply fails.
    supply: usize,
    /// A byte that turns to zero when it is written.
    worn_out: usize,
    /// The sector before the counter's was touched.
    trespassed: bool,
}

#[derive(Debug)]
struct Gone;

impl NorFlashError for Gone {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = Gone;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Gone> {
        into.copy_from_slice(&self.bytes[offset as usize..][..into.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Flash {
    fn new() -> Self {
        Self {
            bytes: vec![0xff; 3 * SECTOR],
            supply: usize::MAX,
            worn_out: usize::MAX,
            trespassed: false,
        }
    }

    fn change(&mut self, at: usize, to: impl Fn(u8) -> u8) -> Result<(), Gone> {
        self.trespassed |= at < SECTOR;
        self.supply = self.supply.checked_sub(1).ok_or(Gone)?;
        self.bytes[at] = if at == self.worn_out { 0 } else { to(self.bytes[at]) };
        Ok(())
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 32;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Gone> {
        assert!(from.is_multiple_of(SECTOR as u32) && to == from + SECTOR as u32);
        (from as usize..to as usize).try_for_each(|at| self.change(at, |_| 0xff))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Gone> {
        assert!(offset.is_multiple_of(32) && bytes.len().is_multiple_of(32));
        let range = &self.bytes[offset as usize..][..bytes.len()];
        assert!(range.iter().all(|byte| *byte == 0xff), "written twice without an erase");
        // Bytes become whole in any order; from the last to the first is the nastiest.
        let mut places = (offset as usize..offset as usize + bytes.len()).zip(bytes).rev();
        places.try_for_each(|(at, byte)| self.change(at, |old| old & byte))
    }
}

#[test]
fn it_counts_from_one_through_both_sectors_and_round_again() {
    let mut flash = Flash::new();
    for expected in 1..=100 {
        assert_eq!(count_start(&mut flash, PLACE), Ok(expected));
    }
    assert!(!flash.trespassed);
}

#[test]
fn what_is_no_counter_is_left_alone() {
    let mut flash = Flash::new();
    flash.bytes.fill(0x5a);
    assert_eq!(count_start(&mut flash, PLACE), Err(CountError::NotACounter));
    assert!(flash.bytes.iter().all(|byte| *byte == 0x5a));
}

#[test]
fn it_ends_rather_than_begin_anew() {
    let mut flash = Flash::new();
    flash.bytes[SECTOR..][..SLOT_BYTES].copy_from_slice(&encode(u32::MAX));
    assert_eq!(count_start(&mut flash, PLACE), Err(CountError::Exhausted));
}

#[test]
fn what_was_written_and_does_not_read_back_is_not_used() {
    let mut flash = Flash::new();
    flash.worn_out = SECTOR + SLOT_BYTES + 5;
    assert_eq!(count_start(&mut flash, PLACE), Ok(1));
    assert_eq!(count_start(&mut flash, PLACE), Err(CountError::Broken));
    assert_eq!(count_start(&mut flash, PLACE), Ok(2), "behind the slot that does not work");
}

proptest! {
    // Each start gets so many bytes of supply; enough, often, and nothing in between, now and then.
    #[test]
    fn no_number_is_given_twice(supplies in prop::collection::vec(prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..300], 0..80)) {
        let mut flash = Flash::new();
        let mut last = 0;
        for supply in supplies {
            flash.supply = supply;
            match count_start(&mut flash, PLACE) {
                Ok(number) => {
                    prop_assert!(number > last);
                    prop_assert_eq!(number, last + 1, "none is wasted without need");
                    last = number;
                }
                Err(error) => {
                    prop_assert_eq!(error, CountError::Broken);
                    prop_assert!(supply < usize::MAX, "it works while there is supply");
                }
            }
        }
        prop_assert!(!flash.trespassed);
    }
}
