//! Randomness: a seed that no start before had.
//!
//! It is the hash of the settings, which hold secrets that only this board has, the number of this
//! start, which never repeats, and noise: the RP2350's generator, or the jitter of the RP2040's
//! ring oscillator, which alone would be too little. Without settings a board with an RP2040 has no
//! secret, and does not start.

use crate::store::{SETTINGS_BYTES, Store};
use ropewalk_core::crypto::{Crypto, Seed, Software};

/// The TRNG's own word, or 1,024 bits of the ring oscillator: a guess is that one in twenty of
/// them is random.
pub(crate) type Noise = [u8; 128];

#[cfg(feature = "rp2350")]
pub(crate) fn noise(trng: embassy_rp::Peri<'static, embassy_rp::peripherals::TRNG>) -> Noise {
    use embassy_rp::trng::{Config, InterruptHandler, Trng};
    embassy_rp::bind_interrupts!(struct Interrupts {
        TRNG_IRQ => InterruptHandler<embassy_rp::peripherals::TRNG>;
    });
    let mut noise = [0; 128];
    Trng::new(trng, Interrupts, Config::default()).blocking_fill_bytes(&mut noise);
    noise
}

#[cfg(feature = "rp2040")]
pub(crate) fn noise() -> Noise {
    core::array::from_fn(|_| embassy_rp::clocks::RoscRng::next_u8())
}

/// Why there is no seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SeedError {
    Unreadable,
    #[cfg(feature = "rp2040")]
    NoSecret,
}

impl defmt::Format for SeedError {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Unreadable => defmt::write!(f, "the settings' flash cannot be read"),
            #[cfg(feature = "rp2040")]
            Self::NoSecret => defmt::write!(
                f,
                "no settings, and an RP2040 alone has too little randomness: provision it first"
            ),
        }
    }
}

/// # Errors
/// There is too little to make a seed of.
pub(crate) fn seed(store: &mut Store, boot: u32, noise: &Noise) -> Result<Seed, SeedError> {
    let mut secret = [0; 32];
    let mut blank = true;
    let mut piece = [0; 256];
    for offset in (0..SETTINGS_BYTES).step_by(piece.len()) {
        store.read(offset as u32, &mut piece).map_err(|_| SeedError::Unreadable)?;
        blank &= piece.iter().all(|byte| *byte == 0xff);
        secret = Software::hash(&[&secret, &piece]);
    }
    #[cfg(feature = "rp2040")]
    if blank {
        return Err(SeedError::NoSecret);
    }
    #[cfg(feature = "rp2350")]
    let _ = blank;
    Ok(Seed(Software::hash(&[b"ropewalk seed", &secret, &boot.to_le_bytes(), noise])))
}
