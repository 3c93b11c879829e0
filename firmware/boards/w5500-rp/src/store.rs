//! The last 16 KiB of the flash: settings, and the boot counter.
//!
//! ```text
//!  0x101f_c000  settings, 8 KiB: written by `probe-rs download`, or by the application
//!  0x101f_e000  boot counter, two sectors of 4 KiB
//! ```

use embassy_rp::Peri;
use embassy_rp::flash::{Blocking, Error, Flash};
use embassy_rp::peripherals::FLASH;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use ropewalk_drivers::flash::Place;

const FLASH_BYTES: usize = 2 * 1024 * 1024;
const SETTINGS: u32 = 0x1f_c000;
pub(crate) const SETTINGS_BYTES: usize = 8 * 1024;
pub(crate) const BOOTS: Place = Place { start: 0x1f_e000, bytes: 4 * 1024 };

pub(crate) struct Store {
    pub(crate) flash: Flash<'static, FLASH, Blocking, FLASH_BYTES>,
}

impl Store {
    pub(crate) fn new(flash: Peri<'static, FLASH>) -> Self {
        Self { flash: Flash::new_blocking(flash) }
    }

    /// Reads settings from an offset in their place on.
    pub(crate) fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Error> {
        self.flash.read(SETTINGS + offset, into)
    }

    /// Puts other settings in the place of those that were there.
    pub(crate) fn write(&mut self, settings: &[u8]) -> Result<(), Error> {
        if settings.len() > SETTINGS_BYTES {
            return Err(Error::OutOfBounds);
        }
        self.flash.erase(SETTINGS, SETTINGS + SETTINGS_BYTES as u32)?;
        self.flash.write(SETTINGS, settings)
    }

    /// An address of our own making (the second bit says so), different on each board.
    pub(crate) fn mac(&mut self) -> [u8; 6] {
        #[cfg(feature = "rp2350")]
        let id = embassy_rp::otp::get_chipid().unwrap_or_default().to_le_bytes();
        #[cfg(feature = "rp2040")]
        let id = {
            // The RP2040 has no number of its own, its flash has one.
            let mut id = [0; 8];
            let _ = self.flash.blocking_unique_id(&mut id);
            id
        };
        let hash = <ropewalk_core::crypto::Software as ropewalk_core::crypto::Crypto>::hash(&[&id]);
        let [a, b, c, d, e, ..] = hash;
        [0x02, a, b, c, d, e]
    }
}
