//! A peer that is driven by hand: it holds the keys, and says whatever a test wants, when it wants.
//!
//! The connection on the other side is the real one, the *subject*. The puppet acknowledges nothing,
//! answers no challenge and keeps no rule by itself.

use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, LinkChange, LinkInfo, Listener, Peer, Route, offered_credit,
};
use ropewalk_core::crypto::{
    Answer, Identity, Initiator, NO_PSK, Outcome, PacketKeys, Random, Secrets, Seed, Software,
    responder,
};
use ropewalk_core::error::Discard;
use ropewalk_core::id::{
    Address, Arrival, ConnectionId, CostClass, LinkId, Mode, PathId, StreamId,
};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::path::{PathReport, PathState};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::{
    Advertised, Credit, Frame, Frames, Header, Hello, Kind, Reader, Suite, Suites, TAG_BYTES,
    Writer, encode_ack, kind,
};
use ropewalk_tests::sim::VecStorage;
use ropewalk_tests::sim::node::{Node, SimConnection};
use std::collections::{BTreeMap, BTreeSet};

/// What the world of a test is like.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) storage: VecStorage,
    /// Links that are up on both sides from the beginning.
    pub(crate) links: u8,
    /// What the puppet lends the subject.
    pub(crate) credit: Credit,
    /// What the subject's listener offers, if that is less than its storage holds.
    pub(crate) offer: Option<Credit>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Config { services: &["file"], ..Config::default() },
            storage: VecStorage::new(64 * 1_024, 8, 256, 1_024),
            links: 1,
            credit: Credit { data: 1 << 20, stream_data: 1 << 20, streams: 100 },
            offer: None,
        }
    }
}

/// A packet of the subject's.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) link: u8,
    pub(crate) remote: Address,
    pub(crate) path: u32,
    pub(crate) number: u64,
    pub(crate) len: usize,
    pub(crate) frames: Vec<Frame<'static>>,
}

pub(crate) struct Puppet {
    pub(crate) subject: SimConnection,
    pub(crate) now: Instant,
    /// What the subject lends us.
    pub(crate) offered: Credit,
    pub(crate) events: Vec<Event>,
    /// First messages that the subject sent, and on which link.
    pub(crate) initiations: Vec<(u8, Vec<u8>)>,
    identity: Identity,
    keys: PacketKeys<Software>,
    next: BTreeMap<u32, u64>,
    received: BTreeMap<u32, BTreeSet<u64>>,
}

impl Puppet {
    /// The subject dialled us; path 0 is proved, the paths on other links are not.
    pub(crate) fn answering(setup: Setup) -> Self {
        let now = Instant::from_micros(1_000_000);
        let identity = Identity::new::<Software>([9; 32]);
        let peer = Peer {
            key: identity.public,
            psk: NO_PSK,
            ticket: None,
            addresses: (0..setup.links).map(|link| Node::address(1, link)).collect(),
        };
        let theirs = Identity::new::<Software>([8; 32]);
        let mut subject =
            Connection::connect(setup.config, theirs, peer, Seed([1; 32]), setup.storage, now);
        for link in 0..setup.links {
            subject.handle_link(LinkId(link), up(0, link, 1_400), now);
        }
        let secrets = Secrets {
            side: ropewalk_core::id::Side::Responder,
            send: [0; 32],
            receive: [0; 32],
            suite: Suite::ChaCha20Poly1305,
        };
        let offered = Credit { data: 0, stream_data: 0, streams: 0 };
        let mut puppet = Self {
            subject,
            now,
            offered,
            events: vec![],
            initiations: vec![],
            identity,
            keys: PacketKeys::new(&secrets),
            next: BTreeMap::new(),
            received: BTreeMap::new(),
        };
        puppet.hear();
        puppet.answer(setup.links, setup.credit, 1);
        puppet
    }

    /// The subject dialled us, and paths 0 and 2 on links 0 and 1 are Active.
    pub(crate) fn on_two_paths() -> Self {
        let mut puppet = Self::answering(Setup { links: 2, ..Setup::default() });
        puppet.settle();
        let mut paths: Vec<_> = puppet.subject.paths().collect();
        paths.sort_by_key(|path| path.id);
        let standing: Vec<_> =
            paths.iter().map(|path| (path.id.0, path.link.0, path.state)).collect();
        assert_eq!(standing, [(0, 0, PathState::Active), (2, 1, PathState::Active)]);
        puppet
    }

    /// Answers the first message on the first link; what stood before is forgotten.
    pub(crate) fn answer(&mut self, links: u8, credit: Credit, seed: u8) {
        assert!(!self.initiations.is_empty(), "nobody asks");
        let (link, mut initiation) = self.initiations.remove(0);
        self.initiations.clear();
        let request = responder::read_initiation::<Software>(&self.identity, &mut initiation)
            .expect("a good first message");
        self.offered = request.hello.credit;
        let mut response = [0; 548];
        let addresses = advertised(1, 0..links);
        let mut random = Random::<Software>::new(Seed([seed; 32]));
        let (answer, len) = request
            .respond(&NO_PSK, OURS, credit, &addresses, &mut random, &mut response)
            .expect("an answer fits");
        let Answer::Accepted { secrets, .. } = answer else { panic!("we have all in common") };
        self.keys = PacketKeys::new(&secrets);
        self.next.clear();
        self.received.clear();
        let at = at(link);
        self.subject.handle_datagram(at, &mut response[..len], self.now).expect("it opens");
    }

    /// We dialled the subject; our path 0 is not proved to it yet.
    pub(crate) fn dialing(setup: Setup) -> Self {
        let Setup { config, mut storage, links, credit, offer } = setup;
        let now = Instant::from_micros(1_000_000);
        let identity = Identity::new::<Software>([9; 32]);
        let theirs = Identity::new::<Software>([8; 32]);
        let key = theirs.public;
        let offer = offer.unwrap_or_else(|| offered_credit(&mut storage));
        let mut listener = Listener::<Software>::new(theirs, offer, true, Seed([2; 32]), now);
        let hello = hello(credit, advertised(1, 0..links).into_iter().collect(), None);
        let mut random = Random::new(Seed([3; 32]));
        let initiator =
            Initiator::<Software>::new(&identity, key, &NO_PSK, OURS, &hello, 548, &mut random);
        let (mut datagram, mut scratch) = ([0; 1_200], [0; 1_500]);
        let len = initiator.write(None, &mut datagram).expect("it fits");
        let mut route = |datagram: &mut [u8]| {
            let admit = &mut |_, _| Some(NO_PSK);
            let route =
                listener.handle_datagram(at(0), datagram, &|_| false, admit, &mut scratch, now);
            (route, scratch)
        };
        let (Route::Reply(len), mut response) = route(&mut datagram[..len]) else {
            panic!("not answered")
        };
        let Ok(Outcome::Established { secrets, welcome }) =
            initiator.read_response(&mut response[..len])
        else {
            panic!("not welcome")
        };
        let mut keys = PacketKeys::new(&secrets);
        let mut first = seal(&mut keys, welcome.connection, 0, 0, &payload(&[Frame::Ping]));
        let (Route::Accept(incoming), _) = route(&mut first) else { panic!("not accepted") };
        let mut subject = Connection::accept(incoming, config, Seed([1; 32]), storage, now)
            .expect("there is memory");
        for link in 0..links {
            subject.handle_link(LinkId(link), up(0, link, 1_400), now);
        }
        subject.handle_datagram(at(0), &mut first, now).expect("it opens");
        Self {
            subject,
            now,
            offered: welcome.credit,
            events: vec![],
            initiations: vec![],
            identity,
            keys,
            next: BTreeMap::from([(0, 1)]),
            received: BTreeMap::new(),
        }
    }

    /// Says these frames in one packet on a path.
    pub(crate) fn say(&mut self, path: u32, link: u8, frames: &[Frame<'_>]) -> Result<(), Discard> {
        self.say_from(path, at(link), &payload(frames))
    }

    pub(crate) fn say_from(
        &mut self,
        path: u32,
        at: Arrival,
        payload: &[u8],
    ) -> Result<(), Discard> {
        let mut datagram = self.prepare(path, payload);
        self.deliver(at, &mut datagram)
    }

    /// Seals the next packet of a path without sending it.
    pub(crate) fn prepare(&mut self, path: u32, payload: &[u8]) -> Vec<u8> {
        let number = self.next.entry(path).or_default();
        *number += 1;
        seal(&mut self.keys, self.subject.id(), path, *number - 1, payload)
    }

    pub(crate) fn deliver(&mut self, at: Arrival, datagram: &mut [u8]) -> Result<(), Discard> {
        self.subject.handle_datagram(at, datagram, self.now)
    }

    /// Acknowledges `numbers` of path `about`, by a packet on path `path`.
    pub(crate) fn acknowledge(&mut self, about: u32, numbers: &[u64], path: u32, link: u8) {
        let payload = acknowledgement(about, numbers);
        self.say_from(path, at(link), &payload).expect("it opens");
    }

    /// Acknowledges all that was heard on a path, on that path.
    pub(crate) fn acknowledge_all(&mut self, path: u32, link: u8) {
        let numbers: Vec<u64> = self.received.entry(path).or_default().iter().copied().collect();
        if !numbers.is_empty() {
            self.acknowledge(path, &numbers, path, link);
        }
    }

    /// Whatever the subject says now.
    pub(crate) fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = [0; 1_200];
        while let Some(sent) = self.subject.poll_transmit(&mut buffer, self.now) {
            let datagram = &mut buffer[..sent.len];
            if kind(datagram) == Some(Kind::Initiation) {
                self.initiations.push((sent.link.0, datagram.to_vec()));
                continue;
            }
            let (path, number, frames) = self.open(datagram);
            heard.push(Heard {
                link: sent.link.0,
                remote: sent.remote,
                path,
                number,
                len: sent.len,
                frames,
            });
        }
        self.events.extend(core::iter::from_fn(|| self.subject.poll_event()));
        heard
    }

    fn open(&mut self, datagram: &mut [u8]) -> (u32, u64, Vec<Frame<'static>>) {
        let mut reader = Reader::new(datagram);
        let header = Header::decode(&mut reader).expect("a header");
        assert_eq!(header.destination, OURS);
        let head_len = datagram.len() - reader.remaining();
        let (head, sealed) = datagram.split_at_mut(head_len);
        let (payload, tag) = sealed.split_at_mut(sealed.len() - TAG_BYTES);
        let received = self.received.entry(header.path.0).or_default();
        let expected = PacketNumber(received.last().map_or(0, |largest| largest + 1));
        let number = PacketNumber::expand(header.number, header.number_len.into(), expected);
        let tag: [u8; TAG_BYTES] = (&*tag).try_into().expect("a tag");
        let opened = self
            .keys
            .open(header.key_phase, header.path, number, true, head, payload, &tag, self.now)
            .expect("what the subject seals opens");
        if opened.key_changed {
            self.keys.on_changed_keep_until(self.now);
        }
        assert!(received.insert(number.0), "number {number:?} of {:?} came twice", header.path);
        // Frames borrow; a test's packets are few.
        let payload: &'static [u8] = Vec::leak(payload.to_vec());
        let frames = Frames::new(payload).map(|frame| frame.expect("a frame")).collect();
        (header.path.0, number.0, frames)
    }

    /// Time passes; what the subject says meanwhile.
    pub(crate) fn wait(&mut self, millis: u64) -> Vec<Heard> {
        let end = self.now + Duration::from_millis(millis);
        let mut heard = self.hear();
        while let Some(next) = self.subject.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.subject.handle_timeout(self.now);
            heard.extend(self.hear());
        }
        self.now = end;
        heard
    }

    /// Answers every challenge and acknowledges everything, until the subject is content; what it
    /// said is returned.
    pub(crate) fn settle(&mut self) -> Vec<Heard> {
        let mut said = Vec::new();
        for _ in 0..10 {
            self.now += Duration::from_millis(10);
            self.subject.handle_timeout(self.now);
            for heard in self.hear() {
                let back = Arrival { remote: heard.remote, ..at(heard.link) };
                for frame in &heard.frames {
                    if let Frame::Challenge { token, .. } = frame {
                        let answer = [Frame::Response { token: *token }];
                        self.say_from(heard.path, back, &payload(&answer)).expect("it opens");
                    }
                }
                let numbers: Vec<u64> = self.received[&heard.path].iter().copied().collect();
                let numbers = acknowledgement(heard.path, &numbers);
                self.say_from(heard.path, back, &numbers).expect("it opens");
                said.push(heard);
            }
        }
        said
    }

    pub(crate) fn report(&self, path: u32) -> PathReport {
        self.subject.paths().find(|report| report.id == PathId(path)).expect("a live path")
    }

    pub(crate) fn has_path(&self, path: u32) -> bool {
        self.subject.paths().any(|report| report.id == PathId(path))
    }

    /// The packet that holds these frames must end the connection with `PROTOCOL`.
    #[track_caller]
    pub(crate) fn is_violated_by(&mut self, frames: &[Frame<'_>]) {
        self.is_violated_by_payload(&payload(frames));
    }

    #[track_caller]
    pub(crate) fn is_violated_by_payload(&mut self, payload: &[u8]) {
        assert!(self.subject.is_connected());
        assert_eq!(self.say_from(0, at(0), payload), Err(Discard::Malformed));
        let said = frames(&self.hear());
        let close = said.iter().any(|frame| matches!(frame, Frame::Close { code: 1, .. }));
        assert!(close, "not closed: {said:?}");
        assert!(!self.subject.is_connected());
    }
}

/// All frames of some packets.
pub(crate) fn frames(heard: &[Heard]) -> Vec<Frame<'static>> {
    heard.iter().flat_map(|packet| packet.frames.iter().cloned()).collect()
}

/// All bytes of streams among them: stream, offset, data.
pub(crate) fn stream_data(heard: &[Heard]) -> Vec<(u32, u64, &'static [u8])> {
    let data = |frame: &Frame<'static>| match frame {
        Frame::Stream { stream, offset, data, .. }
        | Frame::StreamSized { stream, offset, data, .. } => Some((stream.0, *offset, *data)),
        _ => None,
    };
    heard.iter().flat_map(|packet| packet.frames.iter().filter_map(data)).collect()
}

pub(crate) fn payload(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = [0; 1_200];
    let mut writer = Writer::new(&mut bytes);
    for frame in frames {
        frame.encode(&mut writer).expect("it fits");
    }
    writer.as_slice().to_vec()
}

pub(crate) fn acknowledgement(about: u32, numbers: &[u64]) -> Vec<u8> {
    let mut ranges = Vec::new();
    for number in numbers.iter().rev() {
        match ranges.last_mut() {
            Some((start, _)) if *start == number + 1 => *start = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let mut bytes = [0; 600];
    let mut writer = Writer::new(&mut bytes);
    let ranges = ranges.into_iter().map(|(start, end)| start..=end);
    encode_ack(&mut writer, PathId(about), Duration::ZERO, ranges).expect("it fits");
    writer.as_slice().to_vec()
}

pub(crate) fn hello(
    credit: Credit,
    addresses: heapless::Vec<Advertised, 8>,
    replaces: Option<ConnectionId>,
) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        suites: Suites::new(&[Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: None,
        replaces,
        credit,
        addresses,
    }
}

fn seal(
    keys: &mut PacketKeys<Software>,
    destination: ConnectionId,
    path: u32,
    number: u64,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header {
        destination,
        path: PathId(path),
        number: number as u32,
        number_len: 4,
        key_phase: keys.phase(),
    };
    let mut head = [0; 16];
    let mut writer = Writer::new(&mut head);
    header.encode(&mut writer).expect("it fits");
    let head = writer.as_slice();
    let mut sealed = payload.to_vec();
    let tag = keys.seal(PathId(path), PacketNumber(number), head, &mut sealed);
    [head, &sealed, &tag].concat()
}

/// Opens a stream of the subject's and writes to it.
pub(crate) fn write(puppet: &mut Puppet, bytes: usize) -> StreamId {
    let service = Service::new("file").expect("a name");
    let stream = puppet.subject.open(&service).expect("a stream");
    puppet.subject.stream(stream).write(&vec![7; bytes]).expect("memory");
    stream
}

pub(crate) const fn challenge(token: u64) -> Frame<'static> {
    Frame::Challenge { token, link: LinkId(0), class: CostClass::Wired }
}

/// The puppet's own address on a link, as the subject sees it.
pub(crate) fn at(link: u8) -> Arrival {
    Arrival { link: LinkId(link), local: None, remote: Node::address(1, link) }
}

pub(crate) fn up(node: u8, link: u8, mtu: u16) -> LinkChange {
    let addresses = [Node::address(node, link)].into_iter().collect();
    LinkChange::Up(LinkInfo { mtu, rate: None, class: CostClass::Wired, addresses, hidden: false })
}

pub(crate) fn advertised(node: u8, links: core::ops::Range<u8>) -> Vec<Advertised> {
    let one = |link| Advertised {
        link: LinkId(link),
        class: CostClass::Wired,
        address: Node::address(node, link),
    };
    links.map(one).collect()
}

/// The puppet's connection id.
pub(crate) const OURS: ConnectionId = ConnectionId(0x0807_0605);
