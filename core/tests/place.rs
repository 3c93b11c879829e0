//! A place takes one connection after another, dialled or answered, and nothing of one is left in
//! the next.
#![cfg(feature = "software")]

use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, LinkChange, LinkInfo, Listener, Memory, Peer, Route, Small, offered_credit,
};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::error::AcceptError;
use ropewalk_core::id::{Address, Arrival, CostClass, LinkId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};

type Board = Memory<2, 2, 32, 16_384, 16_384>;
type Place = Connection<Board, Software>;

const AT: Arrival = Arrival { link: LinkId(0), local: None, remote: Address::Serial };

struct Node {
    place: Place,
    listener: Listener<Software, Small>,
    identity: Identity,
    heard: Vec<u8>,
    connected: bool,
}

impl Node {
    fn new(number: u8) -> Self {
        let config = Config { services: &["echo"], ..Config::default() };
        let identity = Identity::new::<Software>([number; 32]);
        let now = Instant::from_micros(1);
        let offer = offered_credit(&mut Board::new());
        let seed = Seed([number + 10; 32]);
        let listener = Listener::new(identity.clone(), offer, true, seed, now);
        let mut place = Connection::vacant(config, Board::new());
        assert!(place.is_drained() && place.poll_timeout().is_none());
        let info = LinkInfo {
            rate: None,
            mtu: 1_400,
            class: CostClass::Wired,
            addresses: [Address::Serial].into_iter().collect(),
            hidden: false,
        };
        place.handle_link(LinkId(0), LinkChange::Up(info), now);
        Self { place, listener, identity, heard: vec![], connected: false }
    }

    fn dial(&mut self, whom: &Self, seed: u8, now: Instant) -> bool {
        let peer = Peer {
            key: whom.identity.public,
            psk: [0; 32],
            ticket: None,
            addresses: [Address::Serial].into_iter().collect(),
        };
        self.place.dial(self.identity.clone(), peer, Seed([seed; 32]), now)
    }

    fn hear(&mut self, datagram: &mut [u8], seed: u8, now: Instant) -> Option<Vec<u8>> {
        let id = self.place.id();
        let in_use = !self.place.is_drained();
        let known = |asked| in_use && asked == id;
        let mut scratch = [0; 1_500];
        let admit = &mut |_, _| Some([0; 32]);
        match self.listener.handle_datagram(AT, datagram, &known, admit, &mut scratch, now) {
            Route::Known(_) => drop(self.place.handle_datagram(AT, datagram, now)),
            Route::Reply(len) => return Some(scratch[..len].to_vec()),
            Route::Accept(incoming) => {
                let seed = || Seed([seed; 32]);
                self.place.answer(&incoming, seed(), now).unwrap();
                let again = self.place.answer(&incoming, seed(), now);
                assert_eq!(again, Err(AcceptError::InUse));
                let _ = self.place.handle_datagram(AT, datagram, now);
            }
            Route::Discard(_) => {}
        }
        None
    }

    fn look(&mut self) {
        while let Some(event) = self.place.poll_event() {
            match event {
                Event::Connected => self.connected = true,
                Event::StreamReadable(stream) => {
                    let mut bytes = [0; 64];
                    while let Ok(len) = self.place.stream(stream).read(&mut bytes) {
                        self.heard.extend(&bytes[..len]);
                    }
                }
                Event::Closed(_) => self.connected = false,
                _ => {}
            }
        }
    }
}

/// Lets both talk until neither has anything to say.
fn talk(a: &mut Node, b: &mut Node, seed: u8, now: Instant) {
    let mut buffer = [0; 1_200];
    let mut quiet = false;
    while !quiet {
        quiet = true;
        for _ in 0..2 {
            while let Some(sent) = a.place.poll_transmit(&mut buffer, now) {
                quiet = false;
                if let Some(mut reply) = b.hear(&mut buffer[..sent.len], seed, now) {
                    let _ = a.hear(&mut reply, seed, now);
                }
            }
            a.look();
            core::mem::swap(a, b);
        }
    }
}

#[test]
fn a_place_takes_one_connection_after_another() {
    let mut now = Instant::from_micros(1);
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    for turn in 0..6 {
        // By turns each of the two dials, and the other answers.
        let (dialer, other) = if turn % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        assert!(dialer.dial(other, 20 + turn, now), "turn {turn}");
        assert!(!dialer.dial(other, 20 + turn, now), "it is in use");
        assert_eq!(dialer.place.stats().sent_packets, 0, "a new count");
        talk(dialer, other, 40 + turn, now);
        assert!(dialer.connected && other.connected, "turn {turn}");
        let stream = dialer.place.open(&Service::new("echo").unwrap()).unwrap();
        assert_eq!(dialer.place.stream(stream).write(b"hello"), Ok(5));
        talk(dialer, other, 40 + turn, now);
        assert_eq!(core::mem::take(&mut other.heard), b"hello", "turn {turn}");
        dialer.place.close(0, "", now);
        for _ in 0..200 {
            now += Duration::from_millis(100);
            dialer.place.handle_timeout(now);
            other.place.handle_timeout(now);
            talk(dialer, other, 40 + turn, now);
        }
        assert!(dialer.place.is_drained() && other.place.is_drained(), "turn {turn}");
        assert!(!dialer.connected && !other.connected);
    }
}

#[test]
fn a_place_vacated_in_the_middle_of_a_connection_takes_another() {
    let now = Instant::from_micros(1);
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    for turn in 0..3 {
        assert!(a.dial(&b, 20 + turn, now), "turn {turn}");
        talk(&mut a, &mut b, 40 + turn, now);
        assert!(a.connected && b.connected, "turn {turn}");
        let stream = a.place.open(&Service::new("echo").unwrap()).unwrap();
        // Under way when both are cleared away: nobody hears of it.
        assert_eq!(a.place.stream(stream).write(b"hello"), Ok(5));
        assert!(a.place.poll_transmit(&mut [0; 1_200], now).is_some());
        for node in [&mut a, &mut b] {
            node.place.vacate();
            assert!(node.place.is_drained() && node.place.poll_timeout().is_none());
            assert!(node.place.poll_event().is_none() && node.place.holds_nothing());
            assert!(node.place.poll_transmit(&mut [0; 1_200], now).is_none());
            node.connected = false;
        }
    }
    assert!(b.heard.is_empty());
}
