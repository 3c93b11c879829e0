//! Cookies: asked for, given, carried, and worthless elsewhere or too late.

use crate::{hello, identity, initiation, initiator, keyed_mac, random};
use core::net::SocketAddr;
use ropewalk_core::crypto::{CookieJar, Software, responder};
use ropewalk_core::id::{Address, LinkId};
use ropewalk_core::time::{Duration, Instant};

const LINK: LinkId = LinkId(1);

fn address(text: &str) -> Address {
    Address::Ip(text.parse::<SocketAddr>().unwrap())
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn jar() -> CookieJar<Software> {
    CookieJar::new(&mut random(6), at(0))
}

/// An initiation that carries this cookie.
fn with(cookie: &[u8; 16]) -> Vec<u8> {
    let mut datagram = vec![0; 600];
    let len = initiator(&hello(0)).write(Some(cookie), &mut datagram).unwrap();
    datagram.truncate(len);
    datagram
}

#[test]
fn a_cookie_comes_back_sealed_and_lets_the_initiation_in() {
    let (dialer, mut jar) = (initiator(&hello(0)), jar());
    let (from, our) = (address("10.0.0.1:9000"), identity(2).public);
    let bare = initiation(&dialer);
    assert!(!jar.verify(&bare, &from, LINK, at(1)));

    let mut reply = [0; 100];
    let len = jar.reply(&our, &bare, &from, LINK, &mut reply, at(1)).unwrap();
    assert!(len < bare.len());
    let cookie = dialer.read_cookie(&reply[..len]).unwrap();
    assert_eq!(cookie, jar.make(&from, LINK, at(1)));

    let datagram = with(&cookie);
    assert_eq!(
        datagram[datagram.len() - 16..],
        keyed_mac(&cookie, &datagram[..datagram.len() - 16])
    );
    assert!(jar.verify(&datagram, &from, LINK, at(1)));
    assert!(responder::check::<Software>(&our, &datagram));
    let mut opened = datagram.clone();
    responder::read_initiation::<Software>(&identity(2), &mut opened).unwrap();
}

#[test]
fn a_cookie_reply_serves_only_the_initiation_it_answers() {
    // spec: 4.5-4
    let (dialer, mut jar) = (initiator(&hello(0)), jar());
    let mut reply = [0; 100];
    let len = jar
        .reply(&identity(2).public, &initiation(&dialer), &Address::Serial, LINK, &mut reply, at(0))
        .unwrap();
    for byte in 0..len {
        let mut changed = reply;
        changed[byte] ^= 1;
        assert_eq!(dialer.read_cookie(&changed[..len]), None, "byte {byte}");
    }
    for cut in 0..len {
        assert_eq!(dialer.read_cookie(&reply[..cut]), None, "length {cut}");
    }
    assert_eq!(initiator(&hello(1)).read_cookie(&reply[..len]), None);
    assert!(dialer.read_cookie(&reply[..len]).is_some());
}

#[test]
fn a_cookie_holds_for_one_address_on_one_link() {
    // spec: 4.5-3
    let mut jar = jar();
    let places = [
        (address("10.0.0.1:9000"), LINK),
        (address("10.0.0.1:9001"), LINK),
        (address("10.0.0.2:9000"), LINK),
        (address("[::ffff:10.0.0.1]:9000"), LINK),
        (address("10.0.0.1:9000"), LinkId(2)),
        (Address::Serial, LINK),
        (Address::Serial, LinkId(2)),
    ];
    for (given, place) in places.iter().enumerate() {
        let datagram = with(&jar.make(&place.0, place.1, at(0)));
        for (used, (address, link)) in places.iter().enumerate() {
            let good = jar.verify(&datagram, address, *link, at(0));
            assert_eq!(good, given == used, "given for {given}, used for {used}");
        }
    }
}

#[test]
fn a_cookie_outlives_one_rotation_and_not_two() {
    let from = Address::Serial;
    for (made, until) in [(0, 240), (119, 240), (120, 360), (300, 480)] {
        let mut jar = jar();
        // Something asks every ten seconds, so that the jar rotates on time.
        for tick in (0..=made).step_by(10) {
            let _ = jar.make(&from, LINK, at(tick));
        }
        let datagram = with(&jar.make(&from, LINK, at(made)));
        for tick in made..until {
            assert!(jar.verify(&datagram, &from, LINK, at(tick)), "made {made}, used {tick}");
        }
        let _ = jar.make(&from, LINK, at(until));
        assert!(!jar.verify(&datagram, &from, LINK, at(until)), "made {made}, used {until}");
    }
}

#[test]
fn a_jar_that_slept_keeps_no_secret_for_longer() {
    let from = Address::Serial;
    let (mut jar, mut other) = (jar(), jar());
    let datagram = with(&jar.make(&from, LINK, at(0)));
    assert!(other.verify(&datagram, &from, LINK, at(0)));
    assert!(jar.verify(&datagram, &from, LINK, at(230)));
    assert!(!jar.verify(&datagram, &from, LINK, at(240)));
    assert!(!other.verify(&datagram, &from, LINK, at(240)));
}
