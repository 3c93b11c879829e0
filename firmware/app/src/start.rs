//! From power-on to an identity: settings, the boot counter, and seeds that no two starts share.
//!
//! ```text
//!  settings? ──── good ───────────────────────────────┐
//!      ├── absent: made here, kept, used from then on ┤
//!      └── damaged: refuse                            ├── boot counted ── entropy ── Started
//! ```
//!
//! Every random number of the node descends from one key: a hash of fresh entropy, the settings'
//! own, the secret key and the boot's number. So seeds differ from start to start even where a
//! source of entropy repeats itself, and between boards even where it starts alike. Without any
//! source the board refuses to start.

use crate::board::{Entropy, NoEntropy, Store, StoreError};
use core::fmt;
use heapless::Vec;
use ropewalk_core::application::settings::{
    Addressing, FILE_BYTES_MAX, LINKS_MAX, Settings, SettingsError,
};
use ropewalk_core::crypto::{Crypto, Identity, Seed, Software};

/// What a start yields.
pub struct Started {
    /// What the board was told, or made itself.
    pub settings: Settings,
    /// The settings were made just now.
    pub fresh: bool,
    /// How often the board has started, this time included.
    pub boot: u32,
    /// Randomness for everything that follows.
    pub seeds: Seeds,
}

/// Why a board does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StartError {
    /// Nothing here can make a secret.
    NoEntropy,
    /// The memory that stays cannot be read or written.
    Store,
    /// There are settings, and they cannot be trusted.
    Settings(SettingsError),
}

impl From<NoEntropy> for StartError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl From<StoreError> for StartError {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEntropy => f.write_str(
                "this board has no working source of randomness, and secrets that can be guessed are none: it does not start",
            ),
            Self::Store => {
                f.write_str("the memory for settings and the boot counter does not work")
            }
            Self::Settings(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

/// Reads or makes the settings, counts the boot, and gathers entropy.
///
/// # Errors
/// As [`StartError`] says. Nothing was sent.
pub fn start(store: &mut dyn Store, entropy: &mut dyn Entropy) -> Result<Started, StartError> {
    let mut fresh_entropy = [0; 32];
    entropy.fill(&mut fresh_entropy)?;
    let mut file = [0; FILE_BYTES_MAX];
    let len = store.settings(&mut file)?;
    let (settings, fresh) = match Settings::decode(file.get(..len).unwrap_or_default()) {
        Ok(settings) => (settings, false),
        Err(SettingsError::Absent) => (make_settings(store, entropy)?, true),
        Err(error) => return Err(StartError::Settings(error)),
    };
    let boot = store.count_boot()?;
    let key = Software::hash(&[
        b"ropewalk 1 board seeds",
        &fresh_entropy,
        &settings.entropy,
        &settings.secret,
        &boot.to_le_bytes(),
    ]);
    Ok(Started { settings, fresh, boot, seeds: Seeds { key, given: 0 } })
}

/// A board that was told nothing asks for addresses and lets in whoever reads its ticket.
fn make_settings(store: &mut dyn Store, entropy: &mut dyn Entropy) -> Result<Settings, StartError> {
    let (mut secret, mut stock, mut id, mut psk) = ([0; 32], [0; 32], [0; 8], [0; 32]);
    entropy.fill(&mut secret)?;
    entropy.fill(&mut stock)?;
    entropy.fill(&mut id)?;
    entropy.fill(&mut psk)?;
    let settings = Settings {
        secret,
        entropy: stock,
        port: PORT,
        links: Vec::from_array([Addressing::Dhcp; LINKS_MAX]),
        peers: Vec::new(),
        invitations: Vec::from_iter([(id, psk)]),
    };
    let mut file = [0; FILE_BYTES_MAX];
    let len = settings.encode(&mut file).ok_or(StartError::Store)?;
    store.keep_settings(file.get(..len).unwrap_or_default())?;
    Ok(settings)
}

impl Started {
    /// Who the board is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new::<Software>(self.settings.secret)
    }
}

/// Gives out seeds, each once.
pub struct Seeds {
    key: [u8; 32],
    given: u64,
}

impl Seeds {
    /// The next seed.
    pub fn seed(&mut self) -> Seed {
        self.given = self.given.wrapping_add(1);
        Seed(Software::hash(&[&self.key, &self.given.to_le_bytes()]))
    }

    /// Eight bytes of the next seed, for what must merely not be guessed.
    pub fn number(&mut self) -> u64 {
        let Seed(bytes) = self.seed();
        bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// The port of boards that were told none.
const PORT: u16 = 4_433;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    struct Flash {
        file: List<u8>,
        boots: u32,
        works: bool,
    }

    impl Store for Flash {
        fn settings(&mut self, into: &mut [u8]) -> Result<usize, StoreError> {
            into[..self.file.len()].copy_from_slice(&self.file);
            Ok(self.file.len())
        }

        fn keep_settings(&mut self, file: &[u8]) -> Result<(), StoreError> {
            self.file = file.to_vec();
            Ok(())
        }

        fn count_boot(&mut self) -> Result<u32, StoreError> {
            self.boots += 1;
            if self.works { Ok(self.boots) } else { Err(StoreError) }
        }
    }

    /// The worst source that still works: it says the same at each start.
    struct Same(u8);

    impl Entropy for Same {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            for byte in bytes {
                self.0 = self.0.wrapping_mul(5).wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    struct Broken;

    impl Entropy for Broken {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), NoEntropy> {
            Err(NoEntropy)
        }
    }

    fn flash() -> Flash {
        Flash { file: List::new(), boots: 0, works: true }
    }

    #[test]
    fn the_first_start_makes_settings_and_the_next_keeps_them() {
        let mut flash = flash();
        let first = start(&mut flash, &mut Same(0)).unwrap();
        let second = start(&mut flash, &mut Same(0)).unwrap();
        assert!(first.fresh && !second.fresh);
        assert!(first.settings == second.settings);
        assert_eq!(first.identity().public, second.identity().public);
        assert_eq!((first.boot, second.boot), (1, 2));
    }

    #[test]
    fn no_seed_is_used_twice_even_if_the_entropy_repeats() {
        let mut flash = flash();
        let mut seen = List::new();
        for _ in 0..3 {
            let mut seeds = start(&mut flash, &mut Same(0)).unwrap().seeds;
            for _ in 0..3 {
                let Seed(seed) = seeds.seed();
                assert!(!seen.contains(&seed));
                seen.push(seed);
            }
        }
    }

    #[test]
    fn a_board_without_entropy_or_memory_refuses() {
        assert_eq!(start(&mut flash(), &mut Broken).err(), Some(StartError::NoEntropy));
        let mut broken = Flash { works: false, ..flash() };
        assert_eq!(start(&mut broken, &mut Same(0)).err(), Some(StartError::Store));
    }

    #[test]
    fn damaged_settings_are_not_replaced() {
        let mut flash = flash();
        let _ = start(&mut flash, &mut Same(0)).unwrap();
        flash.file[20] ^= 1;
        let damaged = flash.file.clone();
        let error = start(&mut flash, &mut Same(0)).err();
        assert_eq!(error, Some(StartError::Settings(SettingsError::Damaged)));
        assert_eq!(flash.file, damaged);
    }
}
