//! The core's primitives on PCs: packets are sealed by `ring`, in place, with what the processor has
//! for it; the handshake, a handful of operations a connection, by the core's portable code.
//!
//! AES-256-GCM is offered first where the processor computes it, ChaCha20-Poly1305 first where not.
//! Both are always there, and keys of one implementation open what the other sealed.

use ring::aead::{self, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ropewalk_core::crypto::{Crypto, Software};
use ropewalk_core::wire::Suite;

/// Implements [`Crypto`] for PCs.
#[derive(Clone, Copy, Debug)]
pub struct HostCrypto;

impl Crypto for HostCrypto {
    /// "Less safe" means that the caller sees to nonces: ours are the packets' numbers, which the
    /// core never uses twice.
    type Key = LessSafeKey;

    fn suites() -> &'static [Suite] {
        if aes_in_hardware() {
            &[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]
        } else {
            &[Suite::ChaCha20Poly1305, Suite::Aes256Gcm]
        }
    }

    fn key(suite: Suite, key: &[u8; 32]) -> Self::Key {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            _ => &CHACHA20_POLY1305,
        };
        LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both take keys of 32 bytes"))
    }

    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), buffer)
            .expect("a packet is shorter than 64 GiB");
        tag.as_ref().try_into().expect("both make tags of 16 bytes")
    }

    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = aead::Tag::from(*tag);
        key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, buffer, 0..).is_ok()
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        Software::public(secret)
    }

    fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        Software::dh(secret, public)
    }

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        Software::hash(parts)
    }

    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        Software::mac(key, parts)
    }
}

/// Whether the processor has instructions for AES and for GCM's multiplication; without either the
/// other is of little use.
fn aes_in_hardware() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropewalk_core::crypto::{
        Answer, Identity, Initiator, NO_PSK, Outcome, PacketKeys, Random, Secrets, Seed, responder,
    };
    use ropewalk_core::id::{ConnectionId, Mode, PathId};
    use ropewalk_core::packet_number::PacketNumber;
    use ropewalk_core::time::Instant;
    use ropewalk_core::wire::{Credit, Hello, Suites};

    #[test]
    fn aes_256_gcm_of_its_specification() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
        let key = HostCrypto::key(Suite::Aes256Gcm, &[0; 32]);
        let mut buffer = [0; 16];
        let tag = HostCrypto::seal(&key, &[0; 12], &[], &mut buffer);
        assert_eq!(u128::from_be_bytes(buffer), 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18);
        assert_eq!(u128::from_be_bytes(tag), 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919);
        assert!(HostCrypto::open(&key, &[0; 12], &[], &mut buffer, &tag));
        assert_eq!(buffer, [0; 16]);
    }

    #[test]
    fn both_implementations_seal_to_the_same_bytes() {
        let secret = [7; 32];
        let ring = HostCrypto::key(Suite::ChaCha20Poly1305, &secret);
        let portable = Software::key(Suite::ChaCha20Poly1305, &secret);
        let text: [u8; 300] = core::array::from_fn(|at| at as u8);
        for len in 0..text.len() {
            let (nonce, aad) = ([len as u8; 12], &text[..len % 20]);
            let (mut one, mut two) = (text[..len].to_vec(), text[..len].to_vec());
            let tag = HostCrypto::seal(&ring, &nonce, aad, &mut one);
            assert_eq!(tag, Software::seal(&portable, &nonce, aad, &mut two), "length {len}");
            assert_eq!(one, two, "length {len}");
            assert!(HostCrypto::open(&ring, &nonce, aad, &mut two, &tag));
            assert!(Software::open(&portable, &nonce, aad, &mut one, &tag));
            assert_eq!((&one, &two), (&two, &text[..len].to_vec()));
        }
    }

    #[test]
    fn a_changed_bit_is_noticed_wherever_it_is() {
        for suite in HostCrypto::suites() {
            let key = HostCrypto::key(*suite, &[7; 32]);
            let mut sealed = [1, 2, 3];
            let tag = HostCrypto::seal(&key, &[0; 12], b"header", &mut sealed);
            let open = |mut sealed: [u8; 3], tag, aad| {
                HostCrypto::open(&key, &[0; 12], aad, &mut sealed, &tag)
            };
            assert!(open(sealed, tag, b"header"));
            assert!(!open(sealed, tag, b"Header"));
            for bit in 0..16 * 8 {
                let (byte, mask) = (bit / 8, 1 << (bit % 8));
                let mut changed = tag;
                changed[byte] ^= mask;
                assert!(!open(sealed, changed, b"header"), "bit {bit} of the tag");
                let mut changed = sealed;
                changed[byte % 3] ^= mask;
                assert!(!open(changed, tag, b"header"), "bit {bit} of the payload");
            }
        }
    }

    fn suite_between<D: Crypto, R: Crypto>() -> Suite {
        let (dialer, theirs) = (Identity::new::<D>([1; 32]), Identity::new::<R>([2; 32]));
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            suites: Suites::new(D::suites()),
            mode: Mode::Bulk,
            ticket: None,
            replaces: None,
            credit: Credit::default(),
            addresses: heapless::Vec::new(),
        };
        let (id, mut random) = (ConnectionId(1), Random::<D>::new(Seed([3; 32])));
        let initiator =
            Initiator::new(&dialer, theirs.public, &NO_PSK, id, &hello, 548, &mut random);
        let (mut there, mut back) = ([0; 548], [0; 548]);
        let len = initiator.write(None, &mut there).unwrap();
        let request = responder::read_initiation::<R>(&theirs, &mut there[..len]).unwrap();
        let mut random = Random::<R>::new(Seed([4; 32]));
        let (answer, len) =
            request.respond(&NO_PSK, id, Credit::default(), &[], &mut random, &mut back).unwrap();
        match (answer, initiator.read_response(&mut back[..len]).unwrap()) {
            (Answer::Accepted { secrets: far, .. }, Outcome::Established { secrets: near, .. }) => {
                packets::<D, R>(&near, &far);
                near.suite
            }
            other => panic!("{other:?}"),
        }
    }

    /// A packet there, a packet back, and once more after a key change.
    fn packets<D: Crypto, R: Crypto>(near: &Secrets, far: &Secrets) {
        fn carry<A: Crypto, B: Crypto>(from: &mut PacketKeys<A>, to: &mut PacketKeys<B>, n: u64) {
            let (path, number, mut text) = (PathId(2), PacketNumber(n), *b"payload");
            let tag = from.seal(path, number, b"header", &mut text);
            let phase = from.phase();
            to.open(phase, path, number, true, b"header", &mut text, &tag, Instant::ZERO).unwrap();
            assert_eq!(&text, b"payload");
        }
        let (mut near, mut far) = (PacketKeys::<D>::new(near), PacketKeys::<R>::new(far));
        for number in 0..2 {
            carry(&mut near, &mut far, number);
            carry(&mut far, &mut near, number);
            assert_eq!(near.change(), number == 0);
        }
    }

    #[test]
    fn a_pc_and_a_board_understand_each_other() {
        assert_eq!(suite_between::<HostCrypto, Software>(), Suite::ChaCha20Poly1305);
        assert_eq!(suite_between::<Software, HostCrypto>(), Suite::ChaCha20Poly1305);
        assert_eq!(suite_between::<HostCrypto, HostCrypto>(), HostCrypto::suites()[0]);
        assert_eq!(suite_between::<Software, Software>(), Suite::ChaCha20Poly1305);
    }
}
