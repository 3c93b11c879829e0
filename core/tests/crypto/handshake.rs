//! What an honest pair agrees on, and what it refuses.

use crate::{
    CREDIT, DIALER, PSK, RESPONDER, accepted, addresses, established, hello, identity, initiation,
    initiator, random, respond,
};
use proptest::prelude::*;
use ropewalk_core::crypto::{
    Answer, Identity, Initiator, NO_PSK, Outcome, PacketKeys, RESPONSE_OVERHEAD, Software,
    responder,
};
use ropewalk_core::error::Discard;
use ropewalk_core::id::{ConnectionId, PathId, PublicKey, Side};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::{Hello, Refusal, Suite, Suites};

#[test]
fn both_sides_hold_the_same_secrets_and_open_each_others_packets() {
    let dialer = initiator(&hello(2));
    let (answer, mut response) = respond(&initiation(&dialer), &PSK);
    let (theirs, sent) = accepted(answer);
    let (ours, welcome) = established(dialer.read_response(&mut response).unwrap());
    assert_eq!(welcome, sent);
    assert_eq!(welcome.connection, RESPONDER);
    assert_eq!((ours.send, ours.receive), (theirs.receive, theirs.send));
    assert_ne!(ours.send, ours.receive);
    assert_eq!((ours.side, theirs.side), (Side::Dialer, Side::Responder));

    let mut ours = PacketKeys::<Software>::new(&ours);
    let mut theirs = PacketKeys::<Software>::new(&theirs);
    first_packet(&mut ours, &mut theirs);
    first_packet(&mut theirs, &mut ours);
}

fn first_packet(from: &mut PacketKeys<Software>, to: &mut PacketKeys<Software>) {
    let (path, number, now) = (PathId(1), PacketNumber(7), Instant::ZERO);
    let mut payload = *b"first packet";
    let tag = from.seal(path, number, b"header", &mut payload);
    assert_ne!(&payload, b"first packet");
    to.open(false, path, number, true, b"header", &mut payload, &tag, now).unwrap();
    assert_eq!(&payload, b"first packet");
}

#[test]
fn the_request_names_its_sender_and_carries_its_hello() {
    let mut datagram = initiation(&initiator(&hello(8)));
    assert!(responder::check::<Software>(&identity(2).public, &datagram));
    assert!(!responder::check::<Software>(&identity(1).public, &datagram));
    let ephemeral = responder::ephemeral(&datagram).unwrap();
    assert_eq!(ephemeral, datagram[5..37]);
    let request = responder::read_initiation::<Software>(&identity(2), &mut datagram).unwrap();
    assert_eq!(request.peer, identity(1).public);
    assert_eq!(request.connection, DIALER);
    assert_eq!(request.hello, hello(8));
}

#[test]
fn every_copy_is_the_same_but_for_its_cookie() {
    let dialer = initiator(&hello(1));
    let (mut one, mut two) = ([0; 548], [0; 548]);
    let len = dialer.write(None, &mut one).unwrap();
    assert_eq!(dialer.write(Some(&[5; 16]), &mut two), Some(len));
    assert_eq!(one[..len - 16], two[..len - 16]);
    assert_ne!(one[len - 16..len], two[len - 16..len]);
    assert_eq!(dialer.write(None, &mut one[..len - 1]), None);
}

#[test]
fn a_response_after_bad_ones_still_counts() {
    // spec: 4.8-1
    let dialer = initiator(&hello(0));
    let request = initiation(&dialer);
    for psk in [[1; 32], NO_PSK] {
        let (_, mut response) = respond(&request, &psk);
        assert_eq!(dialer.read_response(&mut response).unwrap_err(), Discard::Forged);
    }
    let (_, mut response) = respond(&request, &PSK);
    established(dialer.read_response(&mut response).unwrap());
}

#[test]
fn only_the_holder_of_the_dialled_key_can_read_the_initiation() {
    let mut datagram = initiation(&initiator(&hello(0)));
    let other = responder::read_initiation::<Software>(&identity(9), &mut datagram);
    assert_eq!(other.unwrap_err(), Discard::Forged);
    // One who knows the key's name, and so can make the check, but not its secret.
    let thief = Identity { secret: [9; 32], public: identity(2).public };
    let other = responder::read_initiation::<Software>(&thief, &mut datagram);
    assert_eq!(other.unwrap_err(), Discard::Forged);
}

#[test]
fn nobody_else_can_respond() {
    let dialer = initiator(&hello(0));
    let (_, mut response) = respond(&initiation(&dialer), &PSK);
    let others = [
        Initiator::new(
            &identity(1),
            identity(2).public,
            &PSK,
            DIALER,
            &hello(0),
            548,
            &mut random(8),
        ),
        Initiator::new(
            &identity(7),
            identity(2).public,
            &PSK,
            DIALER,
            &hello(0),
            548,
            &mut random(3),
        ),
        Initiator::new(
            &identity(1),
            identity(7).public,
            &PSK,
            DIALER,
            &hello(0),
            548,
            &mut random(3),
        ),
    ];
    for other in others {
        assert_eq!(other.read_response(&mut response.clone()).unwrap_err(), Discard::Forged);
    }
    let id = ConnectionId(1);
    let other =
        Initiator::new(&identity(1), identity(2).public, &PSK, id, &hello(0), 548, &mut random(3));
    assert_eq!(other.read_response(&mut response.clone()).unwrap_err(), Discard::Malformed);
    established(dialer.read_response(&mut response).unwrap());
}

#[test]
fn points_of_low_order_are_refused() {
    // spec: 4.3-3
    for low in [[0; 32], core::array::from_fn(|at| u8::from(at == 0))] {
        let mut random = random(3);
        let mute = Initiator::<Software>::new(
            &identity(1),
            PublicKey(low),
            &PSK,
            DIALER,
            &hello(0),
            548,
            &mut random,
        );
        assert_eq!(mute.write(None, &mut [0; 600]), None);
        let dialer = initiator(&hello(0));
        let (_, mut response) = respond(&initiation(&dialer), &PSK);
        response[5..37].copy_from_slice(&low);
        assert_eq!(dialer.read_response(&mut response).unwrap_err(), Discard::Forged);
    }
}

#[test]
fn versions_without_overlap_are_refused_under_seal() {
    // spec: 4.6-1
    for (version_min, version_max) in [(2, 9), (0, 0), (3, 1)] {
        let offer = Hello { version_min, version_max, ..hello(0) };
        let refusal = Refusal::NoCommonVersion { min: 1, max: 1 };
        assert_eq!(refused(&offer), refusal);
    }
}

#[test]
fn suites_without_overlap_are_refused_under_seal() {
    for suites in [&[][..], &[Suite::Aes256Gcm]] {
        let offer = Hello { suites: Suites::new(suites), ..hello(0) };
        assert_eq!(refused(&offer), Refusal::NoCommonSuite);
    }
}

fn refused(offer: &Hello) -> Refusal {
    let dialer = initiator(offer);
    let (answer, response) = respond(&initiation(&dialer), &PSK);
    let mut forged = response.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(dialer.read_response(&mut forged).unwrap_err(), Discard::Forged);
    match (answer, dialer.read_response(&mut response.clone()).unwrap()) {
        (Answer::Refused(said), Outcome::Refused(heard)) => {
            assert_eq!(said, heard);
            heard
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_response_is_longer_than_its_initiation(theirs in 0_u8..9, ours in 0_u8..12, datagram_max in 150_usize..600, room in 150_usize..600) {
        // spec: 4.2-2
        let dialer = Initiator::new(
            &identity(1), identity(2).public, &PSK, DIALER, &hello(theirs), datagram_max, &mut random(3),
        );
        let mut request = [0; 600];
        let Some(len) = dialer.write(None, &mut request) else {
            // A Hello with a ticket and no address has 24 bytes.
            prop_assert!(datagram_max < 160);
            return Ok(());
        };
        prop_assert!(len <= datagram_max.min(548));
        let request = responder::read_initiation::<Software>(&identity(2), &mut request[..len]).unwrap();
        let shown = request.hello.addresses.len();
        prop_assert!(shown == usize::from(theirs) || len + 24 > datagram_max.min(548));
        let mut response = vec![0; room];
        let (answer, response_len) =
            request.respond(&PSK, RESPONDER, CREDIT, &addresses(ours), &mut random(4), &mut response).unwrap();
        prop_assert!(response_len <= len);
        prop_assert!(response_len >= RESPONSE_OVERHEAD);
        let (_, heard) = established(dialer.read_response(&mut response[..response_len]).unwrap());
        prop_assert!(heard.addresses.len() <= usize::from(ours));
        prop_assert!(addresses(ours).starts_with(&heard.addresses));
        prop_assert_eq!(accepted(answer).1.connection, RESPONDER);
    }
}
