//! The crypto room as its users see it: the handshake against another implementation of Noise and
//! under a hostile wire, and the key change under loss and reordering.
#![cfg(feature = "software")]

mod cookie;
mod handshake;
mod hostile;
mod key_change;
mod oracle;

use blake2::digest::{Digest, KeyInit, Mac, consts::U16};
use blake2::{Blake2s256, Blake2sMac};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use ropewalk_core::crypto::{
    Answer, Identity, Initiator, Outcome, Psk, Random, Secrets, Seed, Software, responder,
};
use ropewalk_core::id::{Address, ConnectionId, CostClass, LinkId, Mode};
use ropewalk_core::wire::{Advertised, Credit, Hello, Suite, Suites, Welcome};

const DIALER: ConnectionId = ConnectionId(0x0403_0201);
const RESPONDER: ConnectionId = ConnectionId(0x0807_0605);
const PSK: Psk = [0x77; 32];
const CREDIT: Credit = Credit { data: 1 << 20, stream_data: 1 << 18, streams: 16 };

fn identity(secret: u8) -> Identity {
    Identity::new::<Software>([secret; 32])
}

fn random(seed: u8) -> Random<Software> {
    Random::new(Seed([seed; 32]))
}

fn addresses(count: u8) -> Vec<Advertised> {
    let address = |link| Advertised {
        link: LinkId(link),
        class: CostClass::Wired,
        address: Address::Ip(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 9_000)),
    };
    (0..count).map(address).collect()
}

fn hello(address_count: u8) -> Hello {
    Hello {
        version_min: 1,
        version_max: 3,
        suites: Suites::new(&[Suite::Aes256Gcm, Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: Some(*b"ticket 1"),
        replaces: None,
        credit: CREDIT,
        addresses: addresses(address_count).into_iter().collect(),
    }
}

/// Identity 1 dials identity 2.
fn initiator(hello: &Hello) -> Initiator<Software> {
    Initiator::new(&identity(1), identity(2).public, &PSK, DIALER, hello, 548, &mut random(3))
}

fn initiation(initiator: &Initiator<Software>) -> Vec<u8> {
    let mut datagram = [0; 600];
    let len = initiator.write(None, &mut datagram).unwrap();
    datagram[..len].to_vec()
}

/// Identity 2 answers an initiation.
fn respond(initiation: &[u8], psk: &Psk) -> (Answer, Vec<u8>) {
    let mut datagram = initiation.to_vec();
    let request = responder::read_initiation::<Software>(&identity(2), &mut datagram).unwrap();
    let mut response = [0; 600];
    let (answer, len) = request
        .respond(psk, RESPONDER, CREDIT, &addresses(3), &mut random(4), &mut response)
        .unwrap();
    (answer, response[..len].to_vec())
}

fn accepted(answer: Answer) -> (Secrets, Welcome) {
    match answer {
        Answer::Accepted { secrets, welcome } => (secrets, welcome),
        Answer::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn established(outcome: Outcome) -> (Secrets, Welcome) {
    match outcome {
        Outcome::Established { secrets, welcome } => (secrets, welcome),
        Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

/// What follows an initiation's Noise bytes: the check and the cookie.
const TRAILER: usize = 32;

/// Makes an initiation's keyed check, with the `blake2` crate itself.
fn keyed_check(datagram: &mut [u8]) {
    let (before, trailer) = datagram.split_at_mut(datagram.len() - TRAILER);
    let key = Blake2s256::new()
        .chain_update(b"ropewalk check")
        .chain_update(identity(2).public.0)
        .finalize();
    trailer[..16].copy_from_slice(&keyed_mac(&key, before));
}

fn keyed_mac(key: &[u8], data: &[u8]) -> [u8; 16] {
    let mut mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(key).unwrap();
    Mac::update(&mut mac, data);
    mac.finalize().into_bytes().into()
}
