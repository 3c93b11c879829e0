//! The other end: the core over the boards' own IP stack, one loop in this thread.

use crate::settings::{self, PORT};
use crate::wire::{Card, Knob, Line};
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_app::link::Link;
use ropewalk_app::serial::Serial;
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_core::application::bench::{self, BulkOutcome, MessagesOutcome};
use ropewalk_core::application::settings::Addressing;
use ropewalk_core::application::{echo, ticket::Secret};
use ropewalk_core::config::Config;
use ropewalk_core::connection::{CloseReason, Connection, Event, LinkChange, Memory, Peer as Whom};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::error::ReadError;
use ropewalk_core::id::{Address, Arrival, CostClass, LinkId, Mode, StreamId};
use ropewalk_core::path::PathState;
use ropewalk_core::stream::Service;
use ropewalk_core::time::Instant as CoreInstant;
use ropewalk_core::wire::TicketId;
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

type Room = Memory<6, 4, 256, 262_144, 262_144>;
type Rope = Connection<&'static mut Room, Software>;
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const SERIAL_MTU: usize = 288;
const BAUD: u32 = 115_200;

/// The links that the test's end of the connection has.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<Box<dyn Link>>,
    descriptors: Vec<OwnedFd>,
    pub(crate) knobs: Vec<Knob>,
}

impl Links {
    /// A cable from `here` to `there`; this end's address is `10.0.n.1` of link `n`.
    pub(crate) fn cable(&mut self, here: &Path, there: &Path) {
        let number = self.links.len() as u8;
        let card = Card::new(here, there, number, u64::from(number));
        self.descriptors.push(card.descriptor().try_clone_to_owned().unwrap());
        self.knobs.push(card.knob());
        let addressing =
            Addressing::Static { address: [10, 0, number, 1].into(), prefix: 24, gateway: None };
        let settings = EthernetSettings {
            name: "cable",
            class: CostClass::Wired,
            addressing,
            port: PORT,
            seed: 7,
        };
        let memory = Box::leak(Box::new(EthernetMemory::new()));
        self.links.push(Box::new(Ethernet::new(
            card,
            settings,
            memory,
            CoreInstant::from_micros(0),
        )));
    }

    /// A serial line to a board that listens at `path`.
    pub(crate) fn line(&mut self, path: &Path) {
        let line = Line::new(path, BAUD, 99);
        self.descriptors.push(line.descriptor().try_clone_to_owned().unwrap());
        self.knobs.push(line.knob());
        let incoming = Box::leak(Box::new([0; 1_500]));
        let outgoing = Box::leak(vec![0; 2 * memory_bytes(SERIAL_MTU)].into_boxed_slice());
        let line = SerialLine::new(line, BAUD, incoming, outgoing);
        self.links.push(Box::new(Serial::new("line", SERIAL_MTU as u16, BAUD, line)));
    }
}

/// One end of a connection to a board.
pub(crate) struct Peer {
    pub(crate) rope: Rope,
    pub(crate) links: Links,
    start: Instant,
    closed: Option<CloseReason>,
    restarts: u32,
    sent: u32,
    call: Call,
}

/// How a board was called.
#[derive(Clone)]
struct Call {
    node: u8,
    key: u8,
    ticket: Option<(TicketId, Secret)>,
    addresses: Vec<Address>,
}

/// What a transfer looked like from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) time: Duration,
    /// The longest time without progress after the first byte.
    pub(crate) gap_max: Duration,
}

/// Bytes on their way to the board and back.
struct Echo {
    stream: StreamId,
    noise: Vec<u8>,
    written: usize,
    back: usize,
}

impl Echo {
    fn new(stream: StreamId, bytes: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(3);
        let noise = (0..bytes).map(|_| random.u8(..)).collect();
        Self { stream, noise, written: 0, back: 0 }
    }

    /// Writes what is taken, and finishes after the last byte. Whether anything was.
    fn write(&mut self, peer: &mut Peer) -> bool {
        let before = self.written;
        while self.written < self.noise.len()
            && let Ok(len) = peer.rope.stream(self.stream).write(&self.noise[self.written..])
        {
            self.written += len;
            if self.written == self.noise.len() {
                peer.rope.stream(self.stream).finish().unwrap();
            }
        }
        self.written > before
    }

    /// Reads what is back and compares it; `each` hears how much that is. Whether it is the end.
    fn read(&mut self, peer: &mut Peer, mut each: impl FnMut(&mut Peer, usize)) -> bool {
        let mut room = [0; 4_096];
        loop {
            match peer.rope.stream(self.stream).read(&mut room) {
                Ok(len) => {
                    let at = self.back;
                    assert_eq!(room[..len], self.noise[at..at + len], "at byte {at}");
                    self.back += len;
                    each(peer, self.back);
                }
                Err(ReadError::Blocked) => return false,
                Err(ReadError::Finished) => return true,
                Err(error) => panic!("the stream broke: {error:?}"),
            }
        }
    }
}

impl Peer {
    /// Calls board `node` at these addresses, with this ticket or by our key, which is `key`'s.
    pub(crate) fn dial(
        links: Links,
        node: u8,
        key: u8,
        ticket: Option<(TicketId, Secret)>,
        addresses: &[Address],
    ) -> Self {
        let call = Call { node, key, ticket, addresses: addresses.to_vec() };
        let rope = call.dial(CoreInstant::from_micros(0));
        let start = Instant::now();
        Self { rope, links, start, closed: None, restarts: 0, sent: 0, call }
    }

    /// Whether the call has gone out.
    pub(crate) const fn knocked(&self) -> bool {
        self.sent > 0
    }

    /// Drops the connection and calls once more, with a message that nobody has seen yet.
    pub(crate) fn knock_again(&mut self) {
        self.rope = self.call.dial(self.now());
        for (number, link) in self.links.links.iter().enumerate() {
            let change = link.report().map_or(LinkChange::Down, LinkChange::Up);
            self.rope.handle_link(LinkId(number as u8), change, self.now());
        }
        (self.sent, self.closed) = (0, None);
    }

    /// How often the board turned out to have lost its state.
    pub(crate) const fn restarts(&self) -> u32 {
        self.restarts
    }

    fn now(&self) -> CoreInstant {
        CoreInstant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// One turn: what came in, what is due, what goes out; then waits until something may come.
    pub(crate) fn step(&mut self) {
        let mut busy = false;
        let now = self.now();
        let mut room = [0; 2_048];
        for (number, link) in self.links.links.iter_mut().enumerate() {
            let id = LinkId(number as u8);
            if link.poll(now) {
                let change = link.report().map_or(LinkChange::Down, LinkChange::Up);
                self.rope.handle_link(id, change, now);
            }
            while let Some(came) = link.receive(&mut room) {
                let at = Arrival { link: id, local: came.local, remote: came.remote };
                let _ = self.rope.handle_datagram(at, &mut room[..came.len], now);
                busy = true;
            }
        }
        if self.rope.poll_timeout().is_some_and(|due| due <= now) {
            self.rope.handle_timeout(now);
        }
        while let Some(event) = self.rope.poll_event() {
            match event {
                Event::Closed(reason) => self.closed = Some(reason),
                Event::Restarted => self.restarts += 1,
                _ => {}
            }
        }
        for _ in 0..32 {
            let Some(transmit) = self.rope.poll_transmit(&mut room[..1_472], now) else { break };
            let link = &mut self.links.links[usize::from(transmit.link.0)];
            let sent = link.send(&room[..transmit.len], transmit.local, &transmit.remote);
            self.sent += u32::from(sent.is_ok());
            busy = true;
        }
        if !busy {
            self.wait();
        }
    }

    /// Until a socket has something, or a millisecond: lines give their bytes out by time.
    fn wait(&self) {
        let descriptors = &self.links.descriptors;
        let mut polled: Vec<_> =
            descriptors.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let millisecond = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let _ = poll(&mut polled, Some(&millisecond));
    }

    /// Turns until `done`.
    pub(crate) fn until(
        &mut self,
        what: &str,
        patience: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let until = Instant::now() + patience;
        while !done(self) {
            assert!(self.closed.is_none(), "waiting for {what}: closed, {:?}", self.closed);
            assert!(Instant::now() < until, "waited {patience:?} for {what}: {:#?}", self.paths());
            self.step();
        }
    }

    /// Waits until so many paths carry data.
    pub(crate) fn connect(&mut self, paths: usize) {
        self.until("the paths", PATIENCE, |peer| peer.active() >= paths);
    }

    pub(crate) fn active(&self) -> usize {
        self.rope.paths().filter(|path| path.state == PathState::Active).count()
    }

    fn paths(&self) -> Vec<(LinkId, PathState, u64)> {
        let path = |path: ropewalk_core::path::PathReport| {
            (path.link, path.state, path.counters.data_sent)
        };
        self.rope.paths().map(path).collect()
    }

    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    pub(crate) fn open(&mut self, service: &str) -> StreamId {
        self.open_turning(service, |_| {})
    }

    fn open_turning(&mut self, service: &str, mut turn: impl FnMut(&mut Self)) -> StreamId {
        let service = Service::new(service).unwrap();
        let mut opened = None;
        self.until("room for a stream", PATIENCE, |peer| {
            turn(peer);
            opened = peer.rope.open(&service).ok();
            opened.is_some()
        });
        opened.unwrap()
    }

    /// Sends so many bytes to the board, and hears what it saw.
    pub(crate) fn bulk(&mut self, bytes: u64) -> BulkOutcome {
        let stream = self.open(bench::BULK);
        let noise = [0xa5; 4_096];
        let mut left = bytes;
        self.until("room for all bytes", PATIENCE, |peer| {
            while left > 0 {
                let piece = left.min(noise.len() as u64) as usize;
                match peer.rope.stream(stream).write(&noise[..piece]) {
                    Ok(written) => left -= written as u64,
                    Err(_) => break,
                }
            }
            left == 0
        });
        self.rope.stream(stream).finish().unwrap();
        postcard::from_bytes(&self.read_all(stream)).unwrap()
    }

    /// Sends messages to the board at once, and hears what it saw.
    pub(crate) fn messages(&mut self, count: u64, size: u32) -> MessagesOutcome {
        let stream = self.open(bench::MESSAGES);
        let mut bytes = [&size.to_le_bytes()[..], &count.to_le_bytes()].concat();
        for number in 0..count {
            bytes.extend(number.to_le_bytes());
            bytes.extend(0_u64.to_le_bytes());
            bytes.resize(bytes.len() + size as usize - 16, 0);
        }
        let mut rest = &bytes[..];
        self.until("room for all messages", PATIENCE, |peer| {
            while let Ok(written) = peer.rope.stream(stream).write(rest)
                && !rest.is_empty()
            {
                rest = &rest[written..];
            }
            rest.is_empty()
        });
        self.rope.stream(stream).finish().unwrap();
        postcard::from_bytes(&self.read_all(stream)).unwrap()
    }

    fn read_all(&mut self, stream: StreamId) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until("the board's word", PATIENCE, |peer| {
            let mut room = [0; 64];
            loop {
                match peer.rope.stream(stream).read(&mut room) {
                    Ok(len) => bytes.extend(&room[..len]),
                    Err(ReadError::Blocked) => return false,
                    Err(ReadError::Finished) => return true,
                    Err(error) => panic!("the stream broke: {error:?}"),
                }
            }
        });
        bytes
    }

    /// Sends bytes to the board and back, and compares each. `progress` hears how many are back.
    pub(crate) fn echo(&mut self, bytes: usize, progress: impl FnMut(&mut Self, usize)) -> Seen {
        self.echo_with(bytes, progress, |_| {})
    }

    /// The same; `turn` is called in each turn, be there progress or not.
    pub(crate) fn echo_turning(&mut self, bytes: usize, turn: impl FnMut(&mut Self)) -> Seen {
        self.echo_with(bytes, |_, _| {}, turn)
    }

    fn echo_with(
        &mut self,
        bytes: usize,
        mut progress: impl FnMut(&mut Self, usize),
        mut turn: impl FnMut(&mut Self),
    ) -> Seen {
        let stream = self.open_turning(echo::SERVICE, &mut turn);
        let mut echo = Echo::new(stream, bytes);
        let (start, mut last, mut gap_max) = (Instant::now(), None, Duration::ZERO);
        self.until("all bytes to be back", PATIENCE * 3, |peer| {
            turn(peer);
            echo.write(peer);
            echo.read(peer, |peer, back| {
                let now = Instant::now();
                if let Some(before) = last.replace(now) {
                    gap_max = gap_max.max(now.duration_since(before));
                }
                progress(peer, back);
            })
        });
        assert_eq!(echo.back, bytes);
        Seen { time: start.elapsed(), gap_max }
    }

    /// Writes to a stream that the board echoes and reads none of it, until nothing is taken any
    /// more; calls `full`; then reads all of it.
    pub(crate) fn echo_late(&mut self, bytes: usize, full: impl FnOnce(&mut Self)) {
        let mut echo = Echo::new(self.open(echo::SERVICE), bytes);
        let mut progress = Instant::now();
        self.until("a full window", PATIENCE, |peer| {
            if echo.write(peer) {
                progress = Instant::now();
            }
            assert!(echo.written < bytes, "all of it was taken, though nobody reads");
            progress.elapsed() > Duration::from_secs(1)
        });
        eprintln!("{} bytes written, and no more taken", echo.written);
        full(self);
        self.until("all bytes to be back", PATIENCE, |peer| {
            echo.write(peer);
            echo.read(peer, |_, _| {})
        });
        assert_eq!(echo.back, bytes);
    }

    /// Lets time pass.
    pub(crate) fn idle(&mut self, length: Duration) {
        let until = Instant::now() + length;
        self.until("time to pass", length + PATIENCE, |_| Instant::now() >= until);
    }

    /// Says goodbye, so that the board need not wait for us.
    pub(crate) fn hang_up(mut self) {
        self.rope.close(0, "", self.now());
        let until = Instant::now() + Duration::from_secs(5);
        while !self.rope.is_drained() && Instant::now() < until {
            self.step();
        }
    }
}

/// Where board `node` is on its Ethernet link `n`.
pub(crate) fn address(node: u8, link: u8) -> Address {
    Address::Ip(SocketAddr::new([10, 0, link, 1 + node].into(), PORT))
}

impl Call {
    fn dial(&self, now: CoreInstant) -> Rope {
        let whom = Whom {
            key: settings::key(self.node),
            psk: self.ticket.map_or([0; 32], |(_, psk)| psk),
            ticket: self.ticket.map(|(id, _)| id),
            addresses: self.addresses.iter().copied().collect(),
        };
        let config = Config {
            mode: Mode::Bulk,
            datagram_bytes_max: 1_472,
            handshake_timeout: ropewalk_core::time::Duration::from_secs(20),
            ..Config::default()
        };
        let identity = Identity::new::<Software>(settings::secret(self.key));
        let mut seed = [0; 32];
        fastrand::fill(&mut seed);
        Connection::connect(config, identity, whom, Seed(seed), Box::leak(Box::default()), now)
    }
}
