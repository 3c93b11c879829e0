//! Three sectors of the flash's second bank, in which the image has no part.
//!
//! ```text
//!  0x081a_0000  boot counter, two sectors of 128 KiB
//!  0x081e_0000  settings, one sector: written by `probe-rs download`, or by the application
//! ```

use embassy_stm32::Peri;
use embassy_stm32::flash::{Blocking, Error, Flash};
use embassy_stm32::peripherals::FLASH;
use ropewalk_drivers::flash::Place;

const SECTOR_BYTES: u32 = 128 * 1024;
const SETTINGS: u32 = 0x1e_0000;
/// Settings are much shorter than their sector.
pub(crate) const SETTINGS_BYTES: usize = 8 * 1024;
pub(crate) const BOOTS: Place = Place { start: 0x1a_0000, bytes: SECTOR_BYTES };

pub(crate) struct Store {
    pub(crate) flash: Flash<'static, Blocking>,
}

impl Store {
    pub(crate) fn new(flash: Peri<'static, FLASH>) -> Self {
        Self { flash: Flash::new_blocking(flash) }
    }

    /// Reads settings from an offset in their place on.
    pub(crate) fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Error> {
        self.flash.blocking_read(SETTINGS + offset, into)
    }

    /// Puts other settings in the place of those that were there.
    pub(crate) fn write(&mut self, settings: &[u8]) -> Result<(), Error> {
        if settings.len() > SETTINGS_BYTES {
            return Err(Error::Size);
        }
        self.flash.blocking_erase(SETTINGS, SETTINGS + SECTOR_BYTES)?;
        let mut at = SETTINGS;
        // The flash takes 32 bytes at a time; the last of them are padded as erased ones are.
        for piece in settings.chunks(WRITE_BYTES) {
            let mut whole = [0xff; WRITE_BYTES];
            whole.iter_mut().zip(piece).for_each(|(place, byte)| *place = *byte);
            self.flash.blocking_write(at, &whole)?;
            at += WRITE_BYTES as u32;
        }
        Ok(())
    }
}

const WRITE_BYTES: usize = 32;
