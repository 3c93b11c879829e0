//! The primitives in portable Rust, for boards and tests: `x25519-dalek`, `chacha20poly1305` and
//! `blake2`. ChaCha20-Poly1305 costs a fifth of AES-GCM where no instruction helps, so it is the
//! only suite offered here.

use blake2::digest::consts::U16;
use blake2::digest::{Digest, KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::Crypto;
use crate::wire::Suite;

/// Implements [`Crypto`] without hardware.
#[derive(Clone, Copy, Debug)]
pub struct Software;

impl Crypto for Software {
    type Key = ChaCha20Poly1305;

    fn suites() -> &'static [Suite] {
        &[Suite::ChaCha20Poly1305]
    }

    /// A suite that is not offered is never asked for; the key is ChaCha20-Poly1305's all the same.
    fn key(_: Suite, key: &[u8; 32]) -> Self::Key {
        ChaCha20Poly1305::new(key.into())
    }

    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
        // It fails for messages beyond 256 GiB only.
        key.encrypt_inout_detached(nonce.into(), aad, buffer.into()).map_or([0; 16], Into::into)
    }

    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        key.decrypt_inout_detached(nonce.into(), aad, buffer.into(), tag.into()).is_ok()
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        x25519(*secret, X25519_BASEPOINT_BYTES)
    }

    fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        let shared = x25519(*secret, *public);
        let zero = shared.iter().fold(0, |seen, byte| seen | byte) == 0;
        (!zero).then_some(shared)
    }

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Blake2s256::new();
        for part in parts {
            Digest::update(&mut hash, part);
        }
        hash.finalize().into()
    }

    /// A longer key than BLAKE2s takes is hashed first.
    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        let Ok(mut mac) = <Blake2sMac<U16> as KeyInit>::new_from_slice(key) else {
            return Self::mac(&Self::hash(&[key]), parts);
        };
        for part in parts {
            Mac::update(&mut mac, part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::vec::Vec;

    pub(in crate::crypto) fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    fn array<const N: usize>(text: &str) -> [u8; N] {
        hex(text).try_into().unwrap()
    }

    #[test]
    fn x25519_of_rfc_7748() {
        let secret = array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let shared = array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        assert_eq!(Software::dh(&secret, &point), Some(shared));
    }

    #[test]
    fn both_sides_share_a_secret_and_low_points_give_none() {
        let (a, b) = ([1; 32], [2; 32]);
        let shared = Software::dh(&a, &Software::public(&b));
        assert!(shared.is_some());
        assert_eq!(shared, Software::dh(&b, &Software::public(&a)));
        let low = [
            [0; 32],
            array("0100000000000000000000000000000000000000000000000000000000000000"),
            array("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            array("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            array("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            array("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            array("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ];
        for point in low {
            assert_eq!(Software::dh(&a, &point), None, "{point:02x?}");
        }
    }

    #[test]
    fn chacha20_poly1305_of_rfc_8439() {
        let secret = core::array::from_fn(|at| 0x80 + at as u8);
        let key = Software::key(Suite::ChaCha20Poly1305, &secret);
        let nonce = array("070000004041424344454647");
        let aad = hex("50515253c0c1c2c3c4c5c6c7");
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let mut buffer = *text;
        let mut tag = Software::seal(&key, &nonce, &aad, &mut buffer);
        assert_eq!(buffer[..16], hex("d31a8d34648e60db7b86afbc53ef7ec2"));
        assert_eq!(tag[..], hex("1ae10b594f09e26a7e902ecbd0600691"));
        let sealed = buffer;
        assert!(Software::open(&key, &nonce, &aad, &mut buffer, &tag));
        assert_eq!(&buffer, text);
        tag[0] ^= 1;
        assert!(!Software::open(&key, &nonce, &aad, &mut sealed.clone(), &tag));
    }

    #[test]
    fn blake2s_of_rfc_7693() {
        let digest = hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        assert_eq!(Software::hash(&[b"abc"])[..], digest);
        assert_eq!(Software::hash(&[b"a", b"", b"bc"])[..], digest);
    }

    #[test]
    fn keyed_blake2s_agrees_with_another_implementation() {
        // Python: hashlib.blake2s(data, digest_size=16, key=key).
        let bytes: [u8; 200] = core::array::from_fn(|at| at as u8);
        let mac = Software::mac(&bytes[..32], &[b"abc"]);
        assert_eq!(mac[..], hex("61ba5f165c194692e09d12520cc4c74a"));
        let mac = Software::mac(&bytes[..16], &[&bytes[..64], &bytes[64..65], &bytes[65..]]);
        assert_eq!(mac[..], hex("b8d300fa7937e4d1e67c8468df4c9a43"));
        let long = Software::mac(&bytes[..33], &[b"abc"]);
        assert_ne!(long, Software::mac(&bytes[..32], &[b"abc"]));
    }
}
