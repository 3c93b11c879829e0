//! Settings and the boot counter in flash, at addresses that never change.

use embedded_storage::nor_flash::NorFlash;
use ropewalk_app::board::{Store, StoreError};
use ropewalk_drivers::flash::{Place, count_start};

/// Flash, and where in it things are.
pub struct FlashStore<F> {
    /// The flash.
    pub flash: F,
    /// Where the settings are: whole erasable sectors.
    pub settings: Range,
    /// Where the boot counter is.
    pub boots: Place,
}

/// A range of the flash.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Its offset.
    pub start: u32,
    /// Its length.
    pub bytes: u32,
}

impl<F: NorFlash> Store for FlashStore<F> {
    fn settings(&mut self, into: &mut [u8]) -> Result<usize, StoreError> {
        let len = into.len().min(self.settings.bytes as usize);
        let into = into.get_mut(..len).unwrap_or_default();
        self.flash.read(self.settings.start, into).map_err(|_| StoreError)?;
        Ok(len)
    }

    fn keep_settings(&mut self, file: &[u8]) -> Result<(), StoreError> {
        let Range { start, bytes } = self.settings;
        if file.len() > bytes as usize {
            return Err(StoreError);
        }
        self.flash.erase(start, start + bytes).map_err(|_| StoreError)?;
        // Flash takes so many bytes at a time; the last of them are padded as erased ones are.
        let mut at = start;
        for piece in file.chunks(PIECE_BYTES) {
            let mut whole = [0xff; PIECE_BYTES];
            whole.iter_mut().zip(piece).for_each(|(place, byte)| *place = *byte);
            self.flash.write(at, &whole).map_err(|_| StoreError)?;
            at += PIECE_BYTES as u32;
        }
        Ok(())
    }

    fn count_boot(&mut self) -> Result<u32, StoreError> {
        count_start(&mut self.flash, self.boots).map_err(|error| {
            defmt::error!("{}", defmt::Display2Format(&error));
            StoreError
        })
    }
}

/// A multiple of what any of the boards' flash takes at a time.
const PIECE_BYTES: usize = 256;
