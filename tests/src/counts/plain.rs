//! Cryptography that costs next to nothing and hides nothing, so that what is counted is the
//! protocol's own work and not a cipher's.
//!
//! It is honest where the handshake needs it: both sides agree on a secret, a wrong key's tag does not
//! open. Sealing leaves the bytes as they are. It is for counting alone.

use ropewalk_core::crypto::Crypto;
use ropewalk_core::wire::Suite;

/// Implements [`Crypto`] by arithmetic that anybody can undo.
pub struct Plain;

impl Crypto for Plain {
    type Key = [u8; 32];

    fn suites() -> &'static [Suite] {
        &[Suite::ChaCha20Poly1305]
    }

    fn key(_: Suite, key: &[u8; 32]) -> Self::Key {
        *key
    }

    /// Not inlined, so that a profile shows it apart from what calls it.
    #[inline(never)]
    fn seal(key: &Self::Key, nonce: &[u8; 12], _: &[u8], _: &mut [u8]) -> [u8; 16] {
        let mut tag = *key.first_chunk().expect("it is longer");
        let number: [u8; 4] = *nonce.last_chunk().expect("it is longer");
        tag.iter_mut().zip(number).for_each(|(byte, number)| *byte ^= number);
        tag
    }

    #[inline(never)]
    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        Self::seal(key, nonce, aad, buffer) == *tag
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        *secret
    }

    fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        Some(core::array::from_fn(|at| secret[at] ^ public[at] ^ 0x5a))
    }

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        digest(parts)
    }

    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        let parts = digest::<32>(parts);
        digest(&[key, &parts])
    }
}

/// FNV-1a (64 bits) of the parts, stretched.
fn digest<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut state = parts.iter().copied().flatten().copied().fold(0xcbf2_9ce4_8422_2325, step);
    core::array::from_fn(|at| {
        state = step(state, at as u8);
        (state >> 32) as u8
    })
}
