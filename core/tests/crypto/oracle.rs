//! Our two sides against `snow`, an implementation of Noise that shares no line with ours.

use crate::{
    CREDIT, DIALER, PSK, RESPONDER, TRAILER, accepted, addresses, established, hello, identity,
    initiation, initiator, keyed_check, random, respond,
};
use ropewalk_core::crypto::{INITIATION_OVERHEAD, RESPONSE_OVERHEAD};
use ropewalk_core::error::Discard;
use ropewalk_core::wire::{Hello, Reply, Suite, Suites, Welcome};
use snow::{Builder, HandshakeState};

fn prologue() -> Vec<u8> {
    [b"ropewalk 1".as_slice(), &[0x01, 0x01, 0x02, 0x03, 0x04]].concat()
}

fn snow(secret: u8, prologue: &[u8], psk: &[u8; 32], dials: Option<&[u8; 32]>) -> HandshakeState {
    let name = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
    let secret = [secret; 32];
    let builder = Builder::new(name).prologue(prologue).unwrap().psk(2, psk).unwrap();
    let builder = builder.local_private_key(&secret).unwrap();
    match dials {
        Some(peer) => builder.remote_public_key(peer).unwrap().build_initiator().unwrap(),
        None => builder.build_responder().unwrap(),
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 2,
        suite: Suite::ChaCha20Poly1305,
        connection: RESPONDER,
        credit: CREDIT,
        addresses: addresses(2).into_iter().collect(),
    }
}

/// Snow reads our initiation and answers with `reply`.
fn answer(datagram: &[u8], psk: &[u8; 32], reply: &Reply) -> (HandshakeState, Vec<u8>, Vec<u8>) {
    let mut oracle = snow(2, &prologue(), psk, None);
    let mut hello = vec![0; 600];
    let message = &datagram[5..datagram.len() - TRAILER];
    let len = oracle.read_message(message, &mut hello).unwrap();
    hello.truncate(len);

    let mut payload = [0; 300];
    let len = reply.encode(&mut payload).unwrap();
    let mut response = vec![0x02, 0x01, 0x02, 0x03, 0x04];
    response.resize(len + RESPONSE_OVERHEAD, 0);
    oracle.write_message(&payload[..len], &mut response[5..]).unwrap();
    (oracle, hello, response)
}

#[test]
fn our_initiator_and_snows_responder_agree() {
    // spec: 4.3-1
    let (hello, dialer) = (hello(4), initiator(&hello(4)));
    let datagram = initiation(&dialer);
    let (mut oracle, read, mut response) = answer(&datagram, &PSK, &Reply::Welcome(welcome()));
    assert_eq!(Hello::decode(&read).as_ref(), Some(&hello));
    assert_eq!(datagram.len(), read.len() + INITIATION_OVERHEAD);
    assert_eq!(oracle.get_remote_static(), Some(identity(1).public.0.as_slice()));

    let (secrets, welcomed) = established(dialer.read_response(&mut response).unwrap());
    assert_eq!(welcomed, welcome());
    assert_eq!((secrets.send, secrets.receive), oracle.dangerously_get_raw_split());
}

#[test]
fn a_choice_that_was_not_offered_is_not_taken() {
    // spec: 4.6-3
    let offer = Hello { suites: Suites::new(&[Suite::ChaCha20Poly1305]), ..hello(0) };
    let dialer = initiator(&offer);
    let datagram = initiation(&dialer);
    let choices = [
        (Welcome { version: 0, ..welcome() }, false),
        (Welcome { version: 1, ..welcome() }, true),
        (Welcome { version: 3, ..welcome() }, true),
        (Welcome { version: 4, ..welcome() }, false),
        (Welcome { suite: Suite::Aes256Gcm, ..welcome() }, false),
    ];
    for (choice, good) in choices {
        let (_, _, mut response) = answer(&datagram, &PSK, &Reply::Welcome(choice.clone()));
        let outcome = dialer.read_response(&mut response);
        if good {
            assert_eq!(established(outcome.unwrap()).1, choice);
        } else {
            assert_eq!(outcome.unwrap_err(), Discard::Malformed);
        }
    }
}

#[test]
fn snows_initiator_and_our_responder_agree() {
    let mut oracle = snow(1, &prologue(), &PSK, Some(&identity(2).public.0));
    let mut payload = [0; 400];
    let len = hello(4).encode(&mut payload).unwrap();
    // Its Noise bytes, with our head and the trailer that its key gives.
    let ours = initiation(&initiator(&hello(4)));
    let mut datagram = vec![0; ours.len()];
    datagram[..5].copy_from_slice(&ours[..5]);
    let sealed = oracle.write_message(&payload[..len], &mut datagram[5..]).unwrap();
    assert_eq!(5 + sealed + TRAILER, datagram.len());
    keyed_check(&mut datagram);

    let (answer, response) = respond(&datagram, &PSK);
    let (secrets, welcome) = accepted(answer);
    assert_eq!(response[..5], [0x02, 0x01, 0x02, 0x03, 0x04]);
    let len = oracle.read_message(&response[5..], &mut payload).unwrap();
    assert_eq!(Reply::decode(&payload[..len]), Some(Reply::Welcome(welcome)));
    assert_eq!((secrets.receive, secrets.send), oracle.dangerously_get_raw_split());
}

#[test]
fn snow_opens_neither_message_with_another_prologue_or_secret() {
    // spec: 4.3-1
    // spec: 4.3-2
    let dialer = initiator(&hello(0));
    let datagram = initiation(&dialer);
    let message = &datagram[5..datagram.len() - TRAILER];
    let mut payload = [0; 600];
    let mut other = snow(2, b"ropewalk 2", &PSK, None);
    assert!(other.read_message(message, &mut payload).is_err());

    let (_, _, mut response) = answer(&datagram, &[0; 32], &Reply::Welcome(welcome()));
    assert_eq!(dialer.read_response(&mut response).unwrap_err(), Discard::Forged);
}

#[test]
fn a_second_handshake_has_nothing_in_common_with_the_first() {
    let first = initiation(&initiator(&hello(0)));
    let second = ropewalk_core::crypto::Initiator::new(
        &identity(1),
        identity(2).public,
        &PSK,
        DIALER,
        &hello(0),
        548,
        &mut random(9),
    );
    let second = initiation(&second);
    let equal = first.iter().zip(&second).skip(5).filter(|(a, b)| a == b).count();
    assert_eq!(first.len(), second.len());
    // The empty cookie, and what chance gives.
    assert!((16..16 + 12).contains(&equal), "{equal} bytes are equal");
}
