//! Who gets in, who gets silence, and what a flood costs: the listener as strangers, guests and
//! attackers see it.

use core::cell::Cell;
use core::ops::Range;
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    CloseReason, Connection, Event, LinkChange, LinkInfo, Listener, Peer, Route,
};
use ropewalk_core::crypto::{Crypto, Identity, Initiator, NO_PSK, Psk, Random, Seed, Software};
use ropewalk_core::error::code;
use ropewalk_core::id::{Address, Arrival, ConnectionId, CostClass, LinkId, Mode};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::{
    Credit, Hello, Kind, Suite, Suites, TicketId, VERSION, VERSION_MIN, kind,
};
use ropewalk_tests::sim::VecStorage;
use ropewalk_tests::sim::node::{Node, Outgoing};

const NOW: Instant = Instant::from_micros(1_000_000);
const TICKET: (TicketId, Psk) = (*b"ticket 1", [5; 32]);
const CREDIT: Credit = Credit { data: 10_000, stream_data: 10_000, streams: 4 };

/// Two nodes on one link that loses nothing.
struct Two {
    nodes: [Node; 2],
    now: Instant,
    /// How often the second node said anything.
    answers: usize,
}

impl Two {
    fn new() -> Self {
        let mut rng = Rng::with_seed(1);
        let config = Config { services: &["file"], ..Config::default() };
        let storage = || VecStorage::new(48 * 1_024, 6, 64, 1_024);
        let mut nodes = [0, 1].map(|index| Node::new(index, config, storage, &mut rng, NOW));
        nodes.iter_mut().for_each(|node| node.link_up(0, 1_400, NOW));
        Self { nodes, now: NOW, answers: 0 }
    }

    fn dial(&mut self, ticket: Option<TicketId>, psk: Psk) {
        let key = self.nodes[1].identity.public;
        let addresses = [Node::address(1, 0)].into_iter().collect();
        self.nodes[0].dial(Peer { key, psk, ticket, addresses }, self.now);
    }

    /// Some milliseconds pass.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            for from in 0..2 {
                for Outgoing { datagram, .. } in self.nodes[from].poll(self.now) {
                    self.deliver(from, datagram);
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, datagram: Vec<u8>) {
        self.answers += usize::from(from == 1);
        let sender = Node::address(from as u8, 0);
        if let Some(reply) = self.nodes[1 - from].receive(0, sender, datagram, self.now) {
            self.deliver(1 - from, reply.datagram);
        }
    }

    fn connected(&self) -> bool {
        self.nodes.iter().all(|node| node.connection.as_ref().is_some_and(|c| c.is_connected()))
    }

    /// The dialer was told that nobody answered; whether answers came that it could not open.
    fn unreachable(&self) -> Option<bool> {
        self.nodes[0].events.iter().find_map(|event| match event {
            Event::Closed(CloseReason::Unreachable { undecipherable }) => Some(*undecipherable),
            _ => None,
        })
    }
}

#[test]
fn a_guest_with_the_ticket_gets_in() {
    let mut two = Two::new();
    two.nodes[1].ticket = Some(TICKET);
    two.dial(Some(TICKET.0), TICKET.1);
    two.run(20);
    assert!(two.connected());
}

#[test]
fn strangers_get_silence() {
    // spec: 4.7-1
    for shown in [None, Some(*b"ticket 2")] {
        let mut two = Two::new();
        two.nodes[1].ticket = Some(TICKET);
        two.dial(shown, TICKET.1);
        two.run(5_000);
        assert_eq!(two.answers, 0);
        assert_eq!(two.unreachable(), Some(false));
        assert!(two.nodes[1].connection.is_none());
    }
}

#[test]
fn a_wrong_secret_is_told_from_an_absent_peer() {
    let mut two = Two::new();
    two.nodes[1].ticket = Some(TICKET);
    two.dial(Some(TICKET.0), [6; 32]);
    two.run(5_000);
    assert!(two.answers > 0);
    assert_eq!(two.unreachable(), Some(true));
    assert!(two.nodes[1].connection.is_none());
}

#[test]
fn an_unknown_service_is_refused_by_name() {
    let mut two = Two::new();
    two.dial(None, NO_PSK);
    two.run(20);
    let connection = two.nodes[0].connection.as_mut().unwrap();
    let stream = connection.open(&Service::new("echo").unwrap()).unwrap();
    two.run(50);
    let code = code::UNKNOWN_SERVICE;
    let events = &two.nodes[0].events;
    assert!(events.contains(&Event::StreamReset { stream, code }), "{events:?}");
    assert!(events.contains(&Event::StreamStopped { stream, code }), "{events:?}");
    let opened = |event: &Event| matches!(event, Event::StreamOpened { .. });
    assert!(!two.nodes[1].events.iter().any(opened));
}

#[test]
fn there_is_no_connection_before_the_first_packet_under_its_keys() {
    // spec: 4.8-2
    // spec: 4.8-3
    let mut two = Two::new();
    two.dial(None, NO_PSK);
    let first = two.nodes[0].poll(NOW).remove(0).datagram;
    let from = Node::address(0, 0);
    let ask = |node: &mut Node| node.receive(0, from, first.clone(), NOW).map(|out| out.datagram);
    let response = ask(&mut two.nodes[1]).expect("an answer");
    assert!(two.nodes[1].connection.is_none());
    for _ in 0..3 {
        assert_eq!(ask(&mut two.nodes[1]).as_ref(), Some(&response), "another answer");
    }
    // A forged first packet for that connection changes nothing either.
    two.nodes[0].receive(0, Node::address(1, 0), response, NOW);
    let packets = two.nodes[0].poll(NOW);
    let packet = packets.into_iter().map(|out| out.datagram).next().expect("a first packet");
    let mut forged = packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(two.nodes[1].receive(0, from, forged, NOW).is_none());
    assert!(two.nodes[1].connection.is_none());
    two.nodes[1].receive(0, from, packet, NOW);
    let id = two.nodes[1].connection.as_ref().expect("now there is one").id();
    // Now that it exists, copies get silence and change nothing.
    assert_eq!(ask(&mut two.nodes[1]), None);
    assert_eq!(two.nodes[1].connection.as_ref().map(Connection::id), Some(id));
    two.run(20);
    assert!(two.connected());
}

#[test]
fn a_replayed_first_message_changes_no_connection() {
    // spec: 4.8-3
    let mut two = Two::new();
    two.dial(None, NO_PSK);
    let first = two.nodes[0].poll(NOW).remove(0).datagram;
    two.deliver(0, first.clone());
    two.run(20);
    assert!(two.connected());
    // Long after the half-open state is forgotten it is answered, and that is all.
    two.run(11_000);
    let id = two.nodes[1].connection.as_ref().map(Connection::id);
    let answer = two.nodes[1].receive(0, Node::address(0, 0), first, two.now);
    assert!(answer.is_some());
    two.run(20);
    assert_eq!(two.nodes[1].connection.as_ref().map(Connection::id), id);
    assert!(two.connected());
}

#[test]
fn a_question_about_a_connection_that_is_here_gets_silence() {
    // spec: 12-1
    let mut two = Two::new();
    two.dial(None, NO_PSK);
    two.run(20);
    let id = two.nodes[1].connection.as_ref().expect("connected").id();
    let key = two.nodes[1].identity.clone();
    for (replaces, answered) in [(id, false), (ConnectionId(!id.0), true)] {
        let hello = Hello { replaces: Some(replaces), ..hello() };
        let datagram = initiation(&dialer::<Software>(9, &key, &hello), None);
        let answer = two.nodes[1].receive(0, Node::address(0, 0), datagram, two.now);
        assert_eq!(answer.is_some(), answered);
    }
    assert!(two.connected());
}

#[test]
fn a_first_message_fits_every_link_that_it_is_sent_on() {
    // spec: 4.2-1
    let (key, alice) = (identity(2).public, identity(1));
    let link = |index: u8, mtu| LinkInfo {
        rate: None,
        mtu,
        class: CostClass::Wired,
        addresses: (0..6).map(|host| Node::address(host, index)).collect(),
        hidden: false,
    };
    let addresses = [Node::address(9, 0)].into_iter().collect();
    let peer = Peer { key, psk: NO_PSK, ticket: None, addresses };
    let storage = VecStorage::new(48 * 1_024, 6, 64, 1_024);
    let mut connection = Connection::<_, Software>::connect(
        Config::default(),
        alice,
        peer,
        Seed([1; 32]),
        storage,
        NOW,
    );
    let mut buffer = [0; 1_200];
    // The longest come first, as an Ethernet does before a serial line is plugged in.
    let mtus = [1_472, 1_400, 300, 256];
    for (index, mtu) in mtus.into_iter().enumerate() {
        let info = link(index as u8, mtu);
        connection.handle_link(LinkId(index as u8), LinkChange::Up(info), NOW);
        let mut lens = Vec::new();
        while let Some(sent) = connection.poll_transmit(&mut buffer, NOW) {
            assert_eq!(kind(&buffer[..sent.len]), Some(Kind::Initiation));
            let limit = usize::from(mtus[usize::from(sent.link.0)]).min(548);
            assert!(sent.len <= limit, "{} bytes on link {:?}", sent.len, sent.link);
            lens.push(sent.len);
        }
        assert_eq!(lens.len(), index + 1, "one copy for each link");
    }
}

#[test]
fn no_multiplication_before_the_check() {
    // spec: 4.5-1
    let mut door = Door::new();
    let mut datagram = door.initiation(1, None);
    *datagram.get_mut(50).unwrap() ^= 1;
    assert_eq!(door.ask(datagram, NOW), None);
    assert_eq!(door.multiplied, 0);
}

#[test]
fn under_load_only_cookies_lead_to_multiplications() {
    // spec: 4.5-2
    let mut door = Door::new();
    door.admits = false;
    door.knock(0..50, NOW);
    let datagram = door.initiation(60, None);
    let before = door.multiplied;
    assert!(before >= 50, "each was opened");
    let reply = door.ask(datagram.clone(), NOW).expect("a cookie");
    assert_eq!(kind(&reply), Some(Kind::CookieReply));
    assert!(reply.len() <= datagram.len());
    let made_up = door.initiation(60, Some(&[7; 16]));
    assert_eq!(door.ask(made_up, NOW).as_deref().and_then(kind), Some(Kind::CookieReply));
    assert_eq!(door.multiplied, before, "it multiplied for a stranger");

    // With the cookie the message is opened; this one is even let in.
    door.admits = true;
    let cookie = door.dialer(60).read_cookie(&reply).expect("it opens");
    let again = door.initiation(60, Some(&cookie));
    assert_eq!(door.ask(again, NOW).as_deref().and_then(kind), Some(Kind::Response));
    assert!(door.multiplied > before);

    // The second passes, and with it the load.
    let later = NOW + Duration::from_millis(1_001);
    let plain = door.initiation(61, None);
    assert_eq!(door.ask(plain, later).as_deref().and_then(kind), Some(Kind::Response));
}

#[test]
fn a_flood_holds_sixteen_half_open_states_and_none_that_was_just_answered_makes_room() {
    let mut door = Door::new();
    let answers = door.knock(0..16, NOW);
    assert!(answers.iter().all(|answer| answer.as_deref().and_then(kind) == Some(Kind::Response)));
    let asked = door.initiation(16, None);
    let reply = door.ask(asked, NOW).expect("a cookie");
    assert_eq!(kind(&reply), Some(Kind::CookieReply), "the table is full");
    // Those that are in it are still answered, with the same bytes.
    let copies = door.knock(0..16, NOW);
    assert_eq!(copies, answers);

    let cookie = door.dialer(16).read_cookie(&reply).expect("it opens");
    let again = door.initiation(16, Some(&cookie));
    assert_eq!(door.ask(again.clone(), NOW), None, "whoever was answered believes to be connected");
    let later = NOW + Duration::from_secs(2);
    let answer = door.ask(again, later);
    assert_eq!(answer.as_deref().and_then(kind), Some(Kind::Response));
    let forgotten = door
        .knock(0..17, later)
        .iter()
        .filter(|answer| answer.as_deref().and_then(kind) == Some(Kind::CookieReply))
        .count();
    assert_eq!(forgotten, 1, "one made room");

    let later = NOW + Duration::from_secs(10);
    let plain = door.initiation(40, None);
    assert_eq!(door.ask(plain, later).as_deref().and_then(kind), Some(Kind::Response));
}

/// A listener alone, and who knocks.
struct Door {
    listener: Listener<Counting>,
    admits: bool,
    /// How often the listener multiplied.
    multiplied: u32,
}

impl Door {
    fn new() -> Self {
        let listener = Listener::new(identity(2), CREDIT, true, Seed([4; 32]), NOW);
        Self { listener, admits: true, multiplied: 0 }
    }

    fn dialer(&self, who: u8) -> Initiator<Counting> {
        dialer(who, &identity(2), &hello())
    }

    fn initiation(&self, who: u8, cookie: Option<&[u8; 16]>) -> Vec<u8> {
        initiation(&self.dialer(who), cookie)
    }

    fn knock(&mut self, who: Range<u8>, now: Instant) -> Vec<Option<Vec<u8>>> {
        who.map(|who| self.ask(self.initiation(who, None), now)).collect()
    }

    fn ask(&mut self, mut datagram: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        let at = Arrival { link: LinkId(0), local: None, remote: Address::Serial };
        let psk = self.admits.then_some(NO_PSK);
        let mut scratch = [0; 1_500];
        let (known, admit) = (&|_| false, &mut |_, _| psk);
        let before = MULTIPLICATIONS.with(Cell::get);
        let route =
            self.listener.handle_datagram(at, &mut datagram, known, admit, &mut scratch, now);
        self.multiplied += MULTIPLICATIONS.with(Cell::get) - before;
        match route {
            Route::Reply(len) => Some(scratch[..len].to_vec()),
            Route::Discard(_) => None,
            Route::Known(_) | Route::Accept(_) => panic!("no packet came"),
        }
    }
}

fn identity(secret: u8) -> Identity {
    Identity::new::<Software>([secret; 32])
}

fn hello() -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION,
        suites: Suites::new(&[Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: None,
        replaces: None,
        credit: CREDIT,
        addresses: heapless::Vec::new(),
    }
}

fn dialer<C: Crypto>(who: u8, peer: &Identity, hello: &Hello) -> Initiator<C> {
    let mut random = Random::new(Seed([who; 32]));
    let (me, id) = (identity(100 + who), ConnectionId(who.into()));
    Initiator::new(&me, peer.public, &NO_PSK, id, hello, 548, &mut random)
}

fn initiation<C: Crypto>(dialer: &Initiator<C>, cookie: Option<&[u8; 16]>) -> Vec<u8> {
    let mut datagram = vec![0; 548];
    let len = dialer.write(cookie, &mut datagram).expect("it fits");
    datagram.truncate(len);
    datagram
}

thread_local! {
    static MULTIPLICATIONS: Cell<u32> = const { Cell::new(0) };
}

/// The portable ciphers, with the expensive part counted.
struct Counting;

impl Crypto for Counting {
    type Key = <Software as Crypto>::Key;

    fn suites() -> &'static [Suite] {
        Software::suites()
    }

    fn key(suite: Suite, key: &[u8; 32]) -> Self::Key {
        Software::key(suite, key)
    }

    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
        Software::seal(key, nonce, aad, buffer)
    }

    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        Software::open(key, nonce, aad, buffer, tag)
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        Software::public(secret)
    }

    fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        MULTIPLICATIONS.with(|count| count.set(count.get() + 1));
        Software::dh(secret, public)
    }

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        Software::hash(parts)
    }

    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        Software::mac(key, parts)
    }
}
