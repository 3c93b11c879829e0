//! Randomness: the RP2350's generator, or what the RP2040 has instead.
//!
//! The RP2040 has a ring oscillator whose jitter anybody with a good model of it could guess at
//! in part. So its bits only stir what was provisioned: secrets that this board alone has. Each
//! start also hashes its number into the seeds (`ropewalk_app::start`), so that none comes twice.
//! Without provisioned settings such a board has no randomness, and does not start.

use ropewalk_app::board::{Entropy, NoEntropy};

/// The RP2350's generator.
#[cfg(feature = "rp2350")]
pub(crate) struct Generator(embassy_rp::trng::Trng<'static, embassy_rp::peripherals::TRNG>);

#[cfg(feature = "rp2350")]
impl Generator {
    pub(crate) fn new(trng: embassy_rp::Peri<'static, embassy_rp::peripherals::TRNG>) -> Self {
        use embassy_rp::trng::{Config, InterruptHandler, Trng};
        embassy_rp::bind_interrupts!(struct Interrupts {
            TRNG_IRQ => InterruptHandler<embassy_rp::peripherals::TRNG>;
        });
        Self(Trng::new(trng, Interrupts, Config::default()))
    }
}

#[cfg(feature = "rp2350")]
impl Entropy for Generator {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.blocking_fill_bytes(bytes);
        Ok(())
    }
}

/// The RP2040's ring oscillator over a provisioned secret.
#[cfg(feature = "rp2040")]
pub(crate) struct Oscillator {
    /// The hash of all that came so far; `None` without a secret to begin with.
    key: Option<[u8; 32]>,
}

#[cfg(feature = "rp2040")]
mod oscillator {
    use super::{Entropy, NoEntropy, Oscillator};
    use embassy_rp::clocks::RoscRng;
    use ropewalk_app::board::Store;
    use ropewalk_core::application::settings::{FILE_BYTES_MAX, Settings};
    use ropewalk_core::crypto::{Crypto, Software};

    impl Oscillator {
        pub(crate) fn new(store: &mut dyn Store) -> Self {
            let mut file = [0; FILE_BYTES_MAX];
            let len = store.settings(&mut file).unwrap_or(0);
            let settings = Settings::decode(file.get(..len).unwrap_or_default());
            let secrets = settings.ok().map(|settings| (settings.secret, settings.entropy));
            if secrets.is_none() {
                defmt::error!("an RP2040 gathers too little randomness to make its own settings");
            }
            let key = secrets.map(|(secret, stock)| {
                Software::hash(&[b"ropewalk oscillator", &secret, &stock, &jitter()])
            });
            Self { key }
        }
    }

    impl Entropy for Oscillator {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            let key = self.key.as_mut().ok_or(NoEntropy)?;
            for piece in bytes.chunks_mut(32) {
                *key = Software::hash(&[b"next", &*key, &jitter()]);
                let drawn = Software::hash(&[b"drawn", &*key]);
                piece.iter_mut().zip(drawn).for_each(|(place, byte)| *place = byte);
            }
            Ok(())
        }
    }

    /// 2,048 bits of the oscillator, of which perhaps one in twenty is random.
    fn jitter() -> [u8; 256] {
        core::array::from_fn(|_| RoscRng::next_u8())
    }
}
