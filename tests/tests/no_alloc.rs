//! The core allocates nothing: a whole connection (handshake, a transfer with losses over two
//! links of which one goes away, close) under an allocator that ends the process when it is asked
//! for anything during a call of the core.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::net::SocketAddr;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, LinkChange, LinkInfo, Listener, Memory, Peer, Route, Transmit,
    offered_credit,
};
use ropewalk_core::crypto::{Identity, NO_PSK, Seed, Software};
use ropewalk_core::id::{Address, Arrival, CostClass, LinkId, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use std::alloc::System;
use std::collections::VecDeque;

type Board = Memory<2, 2, 32, 16_384, 16_384>;
type Rope<'m> = Connection<&'m mut Board, Software>;

#[test]
fn a_whole_connection_allocates_nothing() {
    let (mut here, mut there) = (Box::new(Board::new()), Box::new(Board::new()));
    let mut world = World::new(&mut here, &mut there);
    while world.received.len() < BYTES && world.now < Instant::from_micros(60_000_000) {
        world.turn();
        if world.received.len() > BYTES / 2 {
            let now = world.now;
            core(|| world.dialer.handle_link(LinkId(1), LinkChange::Down, now));
        }
    }
    assert_eq!(world.received.len(), BYTES, "after {:?}", world.now);
    assert!(world.received.iter().enumerate().all(|(at, byte)| *byte == content(at)));
    assert!(world.dropped > 10, "nothing was lost: recovery was not tried");
    let now = world.now;
    core(|| world.dialer.close(0, "done", now));
    for _ in 0..2_000 {
        world.turn();
    }
    assert!(world.answerer.as_ref().is_some_and(Connection::is_drained));
}

#[test]
fn the_allocator_would_notice() {
    let before = ASKED.with(Cell::get);
    GUARD.with(|guard| guard.set(Guard::Count));
    drop(core::hint::black_box(Vec::<u8>::with_capacity(9)));
    GUARD.with(|guard| guard.set(Guard::Off));
    assert_eq!(ASKED.with(Cell::get), before + 1);
}

struct World<'m> {
    now: Instant,
    dialer: Rope<'m>,
    listener: Listener<Software>,
    idle: Option<&'m mut Board>,
    answerer: Option<Rope<'m>>,
    /// When it is due, whether it goes to the answerer, its link, and the datagram.
    wire: VecDeque<(Instant, bool, LinkId, Vec<u8>)>,
    sent: usize,
    stream: Option<StreamId>,
    written: usize,
    received: Vec<u8>,
    dropped: u32,
}

impl<'m> World<'m> {
    fn new(here: &'m mut Board, there: &'m mut Board) -> Self {
        let now = Instant::from_micros(1);
        let answering = Identity::new::<Software>([7; 32]);
        let mut peer = Peer {
            key: answering.public,
            psk: NO_PSK,
            ticket: None,
            addresses: heapless::Vec::new(),
        };
        for link in LINKS {
            peer.addresses.push(address(true, link)).unwrap();
        }
        let offer = offered_credit(there);
        let identity = Identity::new::<Software>([9; 32]);
        let (mut dialer, mut listener) = core(|| {
            let dialer = Connection::connect(CONFIG, identity, peer, Seed([1; 32]), here, now);
            (dialer, Listener::new(answering, offer, true, Seed([2; 32]), now))
        });
        for link in LINKS {
            core(|| dialer.handle_link(link, up(false, link), now));
            core(|| listener.handle_link(link, &up(true, link)));
        }
        Self {
            now,
            dialer,
            listener,
            idle: Some(there),
            answerer: None,
            wire: VecDeque::new(),
            sent: 0,
            stream: None,
            written: 0,
            received: Vec::new(),
            dropped: 0,
        }
    }

    /// A millisecond passes.
    fn turn(&mut self) {
        self.now += Duration::from_millis(1);
        let now = self.now;
        while self.wire.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, to_answerer, link, mut datagram)) = self.wire.pop_front() else { break };
            let from = address(!to_answerer, link);
            let at = Arrival { link, local: None, remote: from };
            if to_answerer {
                self.answer(at, &mut datagram);
            } else {
                let _ = core(|| self.dialer.handle_datagram(at, &mut datagram, now));
            }
        }
        self.drive_dialer();
        self.drive_answerer();
    }

    fn answer(&mut self, at: Arrival, datagram: &mut [u8]) {
        let now = self.now;
        let mut scratch = [0; 1_500];
        let ours = self.answerer.as_ref().map(Connection::id);
        let route = core(|| {
            let known = |id| ours == Some(id);
            let admit = &mut |_, _| Some(NO_PSK);
            self.listener.handle_datagram(at, datagram, &known, admit, &mut scratch, now)
        });
        match route {
            Route::Reply(len) => self.send(false, at.link, &scratch[..len]),
            Route::Accept(incoming) => {
                let memory = self.idle.take().expect("one connection comes to be");
                let seed = Seed([3; 32]);
                let mut connection =
                    core(|| Connection::accept(incoming, CONFIG, seed, memory, now)).unwrap();
                for link in LINKS {
                    core(|| connection.handle_link(link, up(true, link), now));
                }
                let _ = core(|| connection.handle_datagram(at, datagram, now));
                self.answerer = Some(connection);
            }
            Route::Known(_) => {
                let connection = self.answerer.as_mut().expect("it is known");
                let _ = core(|| connection.handle_datagram(at, datagram, now));
            }
            Route::Discard(_) => {}
        }
    }

    fn drive_dialer(&mut self) {
        let (events, out) = drive(&mut self.dialer, self.now);
        if events.iter().any(|event| matches!(event, Event::Connected)) {
            let service = Service::new("file").unwrap();
            self.stream = core(|| self.dialer.open(&service)).ok();
        }
        if let Some(stream) = self.stream {
            let fresh: Vec<u8> = (self.written..BYTES).take(4_096).map(content).collect();
            self.written += core(|| self.dialer.stream(stream).write(&fresh)).unwrap_or(0);
        }
        for (transmit, bytes) in out {
            self.send(true, transmit.link, &bytes);
        }
    }

    fn drive_answerer(&mut self) {
        let Some(connection) = &mut self.answerer else { return };
        let (_, out) = drive(connection, self.now);
        let mut bytes = [0; 4_096];
        while let Ok(len) = core(|| connection.stream(StreamId(0)).read(&mut bytes)) {
            self.received.extend_from_slice(&bytes[..len]);
        }
        for (transmit, bytes) in out {
            self.send(false, transmit.link, &bytes);
        }
    }

    /// Every eleventh datagram is lost, the others take ten milliseconds.
    fn send(&mut self, to_answerer: bool, link: LinkId, datagram: &[u8]) {
        self.sent += 1;
        if self.sent.is_multiple_of(11) {
            self.dropped += 1;
            return;
        }
        let due = self.now + Duration::from_millis(10);
        self.wire.push_back((due, to_answerer, link, datagram.to_vec()));
    }
}

/// Polls until there is nothing more.
fn drive(connection: &mut Rope<'_>, now: Instant) -> (Vec<Event>, Vec<(Transmit, Vec<u8>)>) {
    if core(|| connection.poll_timeout()).is_some_and(|moment| moment <= now) {
        core(|| connection.handle_timeout(now));
    }
    let (mut events, mut out) = (Vec::new(), Vec::new());
    while let Some(event) = core(|| connection.poll_event()) {
        events.push(event);
    }
    let mut buffer = [0; 1_200];
    while let Some(transmit) = core(|| connection.poll_transmit(&mut buffer, now)) {
        out.push((transmit, buffer[..transmit.len].to_vec()));
    }
    (events, out)
}

fn address(answerer: bool, link: LinkId) -> Address {
    let host = if answerer { 2 } else { 1 };
    Address::Ip(SocketAddr::from(([10, 0, link.0, host], 7_000)))
}

fn up(answerer: bool, link: LinkId) -> LinkChange {
    let mut addresses = heapless::Vec::new();
    addresses.push(address(answerer, link)).unwrap();
    LinkChange::Up(LinkInfo {
        mtu: 1_500,
        rate: None,
        class: CostClass::Wired,
        addresses,
        hidden: false,
    })
}

fn content(at: usize) -> u8 {
    (at * 31 + at / 251) as u8
}

const LINKS: [LinkId; 2] = [LinkId(0), LinkId(1)];
const BYTES: usize = 300_000;
const CONFIG: Config = Config {
    mode: ropewalk_core::id::Mode::Bulk,
    services: &["file"],
    idle_timeout: Duration::from_secs(60),
    keep_alive: Duration::from_secs(15),
    keep_alive_in_use: Duration::from_millis(400),
    handshake_timeout: Duration::from_secs(5),
    datagram_bytes_max: 1_200,
    acknowledgement_delay: Duration::from_millis(5),
    restart_check: Duration::from_secs(1),
    packets_per_key: 1 << 22,
};

/// A call of the core: whoever asks for memory in it ends the process.
fn core<T>(call: impl FnOnce() -> T) -> T {
    GUARD.with(|guard| guard.set(Guard::Abort));
    let result = call();
    GUARD.with(|guard| guard.set(Guard::Off));
    result
}

#[derive(Clone, Copy, PartialEq)]
enum Guard {
    Off,
    Count,
    Abort,
}

thread_local! {
    static GUARD: Cell<Guard> = const { Cell::new(Guard::Off) };
    static ASKED: Cell<u32> = const { Cell::new(0) };
}

struct Watchful;

#[global_allocator]
static ALLOCATOR: Watchful = Watchful;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match GUARD.try_with(Cell::get) {
            Ok(Guard::Abort) => {
                // Printing may allocate, which is no harm any more.
                GUARD.with(|guard| guard.set(Guard::Off));
                let trace = std::backtrace::Backtrace::force_capture();
                eprintln!("the core asked for {} bytes:\n{trace}", layout.size());
                std::process::abort();
            }
            Ok(Guard::Count) => ASKED.with(|asked| asked.set(asked.get() + 1)),
            _ => {}
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}
