//! Values of which the optimizer knows the type and nothing else.

pub(crate) use core::hint::black_box as any;

use ropewalk_core::crypto::{Crypto, Identity, Random, Seed};
use ropewalk_core::id::{Address, Arrival, LinkId, PublicKey};
use ropewalk_core::time::Instant;
use ropewalk_core::wire::Suite;

/// Uses a value, so that nothing that led to it can be left out.
pub(crate) fn see<T>(value: T) {
    any(&value);
}

/// Bytes that may be anything, of any length up to `N`.
pub(crate) struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Bytes<N> {
    /// The most bytes that there can be do not matter: the length is not known anyway.
    pub(crate) fn new() -> Self {
        Self(any([0; N]))
    }

    pub(crate) fn any(&mut self) -> &mut [u8] {
        any(&mut self.0)
    }
}

pub(crate) fn now() -> Instant {
    Instant::from_micros(any(0))
}

pub(crate) fn random() -> Random<Stub> {
    any(Random::new(Seed(any([0; 32]))))
}

pub(crate) fn identity() -> Identity {
    any(Identity { secret: [0; 32], public: PublicKey([0; 32]) })
}

pub(crate) fn arrival() -> Arrival {
    any(Arrival { link: LinkId(0), local: None, remote: Address::Serial })
}

/// Cryptography whose results may be anything.
pub(crate) struct Stub;

impl Crypto for Stub {
    type Key = [u8; 32];

    #[inline(never)]
    fn suites() -> &'static [Suite] {
        any(&[Suite::ChaCha20Poly1305])
    }

    #[inline(never)]
    fn key(_: Suite, key: &[u8; 32]) -> [u8; 32] {
        any(*key)
    }

    #[inline(never)]
    fn seal(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
        any((key, nonce, aad, buffer));
        any([0; 16])
    }

    #[inline(never)]
    fn open(
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        any((key, nonce, aad, buffer, tag));
        any(true)
    }

    #[inline(never)]
    fn public(secret: &[u8; 32]) -> [u8; 32] {
        any(*secret)
    }

    #[inline(never)]
    fn dh(secret: &[u8; 32], _: &[u8; 32]) -> Option<[u8; 32]> {
        any(Some(*secret))
    }

    #[inline(never)]
    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        any(parts);
        any([0; 32])
    }

    #[inline(never)]
    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        any((key, parts));
        any([0; 16])
    }
}
