//! Bytes that no honest peer sends: changed, cut, or made up.

use crate::{
    DIALER, PSK, TRAILER, established, hello, identity, initiation, initiator, keyed_check, random,
    respond,
};
use proptest::prelude::*;
use ropewalk_core::crypto::{CookieJar, PacketKeys, Secrets, Software, responder};
use ropewalk_core::error::Discard;
use ropewalk_core::id::{Address, LinkId, PathId, Side};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::Suite;

fn read(datagram: &[u8]) -> Result<(), Discard> {
    let mut datagram = datagram.to_vec();
    responder::read_initiation::<Software>(&identity(2), &mut datagram).map(|_| ())
}

#[test]
fn an_initiation_with_any_byte_changed_fails_its_check() {
    // spec: 4.5-1
    let datagram = initiation(&initiator(&hello(1)));
    for at in 0..datagram.len() - 16 {
        let mut changed = datagram.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(!responder::check::<Software>(&identity(2).public, &changed), "byte {at}");
        assert_eq!(read(&changed), Err(Discard::Forged), "byte {at}");
    }
}

#[test]
fn an_initiation_with_any_byte_changed_and_a_right_check_fails_its_seals() {
    let datagram = initiation(&initiator(&hello(0)));
    // From the connection's id to the last tag; another first byte makes it another message.
    for at in 1..datagram.len() - TRAILER {
        let mut changed = datagram.clone();
        changed[at] ^= 1 << (at % 7);
        keyed_check(&mut changed);
        assert!(responder::check::<Software>(&identity(2).public, &changed), "byte {at}");
        assert_eq!(read(&changed), Err(Discard::Forged), "byte {at}");
    }
}

#[test]
fn a_response_with_any_byte_changed_is_ignored_and_the_true_one_still_taken() {
    // spec: 4.8-1
    let dialer = initiator(&hello(0));
    let (_, response) = respond(&initiation(&dialer), &PSK);
    for at in 0..response.len() {
        let mut changed = response.clone();
        changed[at] ^= 1 << (at % 7);
        let expected = if at < 5 { Discard::Malformed } else { Discard::Forged };
        assert_eq!(dialer.read_response(&mut changed).unwrap_err(), expected, "byte {at}");
    }
    established(dialer.read_response(&mut response.clone()).unwrap());
}

#[test]
fn cut_messages_are_dropped() {
    let dialer = initiator(&hello(0));
    let request = initiation(&dialer);
    let (_, response) = respond(&request, &PSK);
    for len in 0..request.len() {
        assert_eq!(read(&request[..len]), Err(Discard::Forged), "length {len}");
        let mut cut = request[..len].to_vec();
        if len >= TRAILER {
            keyed_check(&mut cut);
        }
        assert!(read(&cut).is_err(), "length {len}");
    }
    for len in 0..response.len() {
        assert!(dialer.read_response(&mut response[..len].to_vec()).is_err(), "length {len}");
    }
}

#[test]
fn a_hello_that_says_nothing_is_malformed_though_authentic() {
    // The Noise bytes of an initiation with an empty payload, by the oracle's hand.
    let name = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
    let mut datagram = vec![0x01, 0x01, 0x02, 0x03, 0x04];
    let prologue = [b"ropewalk 1".as_slice(), &datagram].concat();
    let (secret, peer) = ([1; 32], identity(2).public.0);
    let mut oracle = snow::Builder::new(name)
        .prologue(&prologue)
        .unwrap()
        .local_private_key(&secret)
        .unwrap()
        .remote_public_key(&peer)
        .unwrap()
        .psk(2, &PSK)
        .unwrap()
        .build_initiator()
        .unwrap();
    datagram.resize(600, 0);
    let len = oracle.write_message(&[], &mut datagram[5..]).unwrap();
    datagram.truncate(5 + len + TRAILER);
    keyed_check(&mut datagram);
    assert_eq!(read(&datagram), Err(Discard::Malformed));
}

/// Bytes that get past the first look now and then.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![Just(1_u8), Just(2), Just(3), any::<u8>()];
    (head, any::<bool>(), prop::collection::vec(any::<u8>(), 0..600)).prop_map(
        |(kind, ours, mut bytes)| {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            if let (true, Some(id)) = (ours, bytes.get_mut(1..5)) {
                id.copy_from_slice(&DIALER.0.to_le_bytes());
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn made_up_bytes_are_dropped_by_every_reader(bytes in bytes(), repaired in any::<bool>(), phase in any::<bool>()) {
        let mut bytes = bytes;
        if repaired && bytes.len() >= TRAILER {
            keyed_check(&mut bytes);
        }
        let _ = responder::ephemeral(&bytes);
        prop_assert!(read(&bytes).is_err());
        let dialer = initiator(&hello(0));
        prop_assert_eq!(dialer.read_cookie(&bytes), None);
        prop_assert!(dialer.read_response(&mut bytes.clone()).is_err());

        let mut jar = CookieJar::<Software>::new(&mut random(5), Instant::ZERO);
        prop_assert!(!jar.verify(&bytes, &Address::Serial, LinkId(0), Instant::ZERO));
        let mut reply = [0; 100];
        if let Some(len) = jar.reply(&identity(2).public, &bytes, &Address::Serial, LinkId(0), &mut reply, Instant::ZERO) {
            prop_assert!(len < bytes.len());
        }

        let secrets = Secrets { side: Side::Responder, send: [1; 32], receive: [2; 32], suite: Suite::ChaCha20Poly1305 };
        let mut keys = PacketKeys::<Software>::new(&secrets);
        let opened = keys.open(phase, PathId(0), PacketNumber(0), true, b"", &mut bytes, &[0; 16], Instant::ZERO);
        prop_assert_eq!(opened, Err(Discard::Forged));
    }
}
