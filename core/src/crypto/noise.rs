//! The symmetric state of a Noise handshake (The Noise Protocol Framework, revision 34, section 5.2).
//!
//! It holds the chaining key, into which every shared secret is mixed, and the hash of all that both
//! sides saw, under which every payload is sealed; so whoever changed a byte or guessed a secret
//! wrong ends with other keys. The protocol is fixed: `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s`.
//!
//! ```text
//! <- s                      known beforehand
//! -> e, es, s, ss           Initiation, payload Hello
//! <- e, ee, se, psk         Response, payload Reply
//! ```
//!
//! In this pattern each key seals exactly one thing before the next is mixed, so the nonce is always
//! zero and no counter is kept. The order of the tokens is `initiator.rs`'s and `responder.rs`'s.

use core::marker::PhantomData;

use super::{Crypto, Psk};
use crate::id::PublicKey;
use crate::wire::Suite;

/// Both sides' view of the handshake so far.
pub(crate) struct Symmetric<C> {
    chaining: [u8; 32],
    hash: [u8; 32],
    key: [u8; 32],
    crypto: PhantomData<fn() -> C>,
}

impl<C: Crypto> Symmetric<C> {
    /// The state before the first message: its head is bound in as the prologue, and the responder's
    /// key is known.
    pub(crate) fn new(head: &[u8], responder: &PublicKey) -> Self {
        let name = C::hash(&[PROTOCOL]);
        let mut state = Self { chaining: name, hash: name, key: [0; 32], crypto: PhantomData };
        state.mix_hash(PROLOGUE, head);
        state.mix_hash(&responder.0, &[]);
        state
    }

    /// `MixHash(data || more)`.
    pub(crate) fn mix_hash(&mut self, data: &[u8], more: &[u8]) {
        self.hash = C::hash(&[&self.hash, data, more]);
    }

    /// `MixKey(secret)`.
    pub(crate) fn mix_key(&mut self, secret: &[u8; 32]) {
        [self.chaining, self.key] = hkdf::<C, 2>(&self.chaining, secret);
    }

    /// The token `e`: an ephemeral key is hashed, and because of the psk mixed in as well.
    pub(crate) fn mix_ephemeral(&mut self, public: &[u8; 32]) {
        self.mix_hash(public, &[]);
        self.mix_key(public);
    }

    /// `MixKeyAndHash(psk)`.
    pub(crate) fn mix_psk(&mut self, psk: &Psk) {
        let hash;
        [self.chaining, hash, self.key] = hkdf::<C, 3>(&self.chaining, psk);
        self.mix_hash(&hash, &[]);
    }

    /// `EncryptAndHash`, in place; returns the tag.
    pub(crate) fn seal(&mut self, buffer: &mut [u8]) -> [u8; 16] {
        let tag = C::seal(&self.cipher(), &NONCE, &self.hash, buffer);
        self.mix_hash(buffer, &tag);
        tag
    }

    /// `DecryptAndHash`, in place; false if the tag is wrong, and then the state is of no use.
    #[must_use]
    pub(crate) fn open(&mut self, buffer: &mut [u8], tag: &[u8; 16]) -> bool {
        let before = self.hash;
        self.mix_hash(buffer, tag);
        C::open(&self.cipher(), &NONCE, &before, buffer, tag)
    }

    /// `Split`: the traffic secrets from the initiator to the responder, and back.
    pub(crate) fn split(self) -> [[u8; 32]; 2] {
        hkdf::<C, 2>(&self.chaining, &[])
    }

    fn cipher(&self) -> C::Key {
        C::key(Suite::ChaCha20Poly1305, &self.key)
    }
}

impl<C> Clone for Symmetric<C> {
    fn clone(&self) -> Self {
        Self { chaining: self.chaining, hash: self.hash, key: self.key, crypto: PhantomData }
    }
}

/// HMAC-BLAKE2s (RFC 2104) of `data || more`; the hash's block has 64 bytes.
pub(crate) fn hmac<C: Crypto>(key: &[u8; 32], data: &[u8], more: &[u8]) -> [u8; 32] {
    let (mut inner, mut outer) = ([0x36; 64], [0x5c; 64]);
    for ((inner, outer), key) in inner.iter_mut().zip(&mut outer).zip(key) {
        *inner ^= key;
        *outer ^= key;
    }
    C::hash(&[&outer, &C::hash(&[&inner, data, more])])
}

/// Noise's `HKDF` with `N` outputs.
fn hkdf<C: Crypto, const N: usize>(chaining: &[u8; 32], input: &[u8]) -> [[u8; 32]; N] {
    let secret = hmac::<C>(chaining, input, &[]);
    let mut outputs = [[0; 32]; N];
    let mut previous = None::<[u8; 32]>;
    for (output, counter) in outputs.iter_mut().zip(1_u8..) {
        let before = previous.as_ref().map_or(&[][..], |before| before);
        *output = hmac::<C>(&secret, before, &[counter]);
        previous = Some(*output);
    }
    outputs
}

const PROTOCOL: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// Followed by the head of the initiation.
const PROLOGUE: &[u8] = b"ropewalk 1";
const NONCE: [u8; 12] = [0; 12];

#[cfg(all(test, feature = "software"))]
mod tests {
    use super::*;
    use crate::crypto::Software;
    use crate::crypto::seal::Schedule;
    use crate::crypto::software::tests::hex;

    // The whole handshake is compared with another implementation in `tests/crypto/oracle.rs`.

    #[test]
    fn hmac_agrees_with_another_implementation() {
        // Python: hmac.new(bytes(range(32)), b"ropewalk key", hashlib.blake2s), and so on.
        let secret = core::array::from_fn(|at| at as u8);
        let schedule = Schedule::new::<Software>(&secret);
        let key = "7a55a8f5c541b1bc0c8d5b4b342e7eca8d64722b40ae44253ed7436b36046e2d";
        let iv = "5cceed18d5b49704189c4fda";
        let next = "47fcdf4ab3d164519a0524fb632656678e852f6641689c2e53fcd5cf0b484088";
        assert_eq!(schedule.key[..], hex(key));
        assert_eq!(schedule.iv[..], hex(iv));
        assert_eq!(schedule.next[..], hex(next));
        assert_eq!(hmac::<Software>(&secret, b"ropewalk", b" key"), schedule.key);
    }

    #[test]
    fn outputs_of_hkdf_do_not_depend_on_how_many_are_asked_for() {
        let two = hkdf::<Software, 2>(&[1; 32], b"input");
        let three = hkdf::<Software, 3>(&[1; 32], b"input");
        assert_eq!(two[..], three[..2]);
        assert_ne!(three[1], three[2]);
    }
}
