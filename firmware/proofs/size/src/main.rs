//! The core as a board would link it: a node that dials and answers, two paths, two streams,
//! sixteen packets in flight, with its own ciphers. `cargo run -p ropewalk-tests --bin proof`
//! prints what it takes of flash, of memory, and of stack.
//!
//! The wire is a pair of functions that the optimizer cannot look into, in place of a driver and
//! an IP stack: what is measured is the protocol. It is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::mem::MaybeUninit;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, Incoming, LinkChange, LinkInfo, Listener, Memory, Peer, Route, Small,
    Storage, offered_credit,
};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::id::{Arrival, CostClass, LinkId, Mode, PublicKey, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};

/// 2 paths, 2 streams, 16 packets, 4 KiB each way.
type Board = Memory<2, 2, 16, 4_096, 4_096>;
type Rope = Connection<&'static mut Board, Software>;

static mut MEMORY: Board = Board::new();
// Not initialized by the linker: the initial values would lie in flash a second time.
static mut LISTENER: MaybeUninit<Listener<Software, Small>> = MaybeUninit::uninit();
static mut CONNECTION: MaybeUninit<Rope> = MaybeUninit::uninit();
static mut BUFFERS: [[u8; 1_200]; 2] = [[0; 1_200]; 2];

/// A board's loop.
#[unsafe(no_mangle)]
pub extern "C" fn reset() -> ! {
    // SAFETY: this function is entered once, and nothing else names these.
    let (memory, listener, connection, buffers) = unsafe {
        (
            &mut *(&raw mut MEMORY),
            &mut *(&raw mut LISTENER),
            &mut *(&raw mut CONNECTION),
            &mut *(&raw mut BUFFERS),
        )
    };
    let listener = listen(listener, memory);
    let connection = place(connection, memory);
    if black_box(true) {
        dial(connection);
    }
    loop {
        step(listener, connection, buffers);
    }
}

#[inline(never)]
fn listen<'l>(
    listener: &'l mut MaybeUninit<Listener<Software, Small>>,
    memory: &mut Board,
) -> &'l mut Listener<Software, Small> {
    let offer = offered_credit(memory);
    let listener = listener.write(Listener::new(identity(), offer, true, seed(), now()));
    listener.handle_link(LinkId(0), &link());
    listener
}

#[inline(never)]
fn place<'c>(place: &'c mut MaybeUninit<Rope>, memory: &'static mut Board) -> &'c mut Rope {
    let connection = place.write(Connection::vacant(CONFIG, memory));
    connection.handle_link(LinkId(0), link(), now());
    connection
}

#[inline(never)]
fn dial(connection: &mut Rope) {
    connection.dial(identity(), peer(), seed(), now());
}

/// One turn of the loop: what came in, what is due, what goes out.
#[inline(never)]
fn step(
    listener: &mut Listener<Software, Small>,
    connection: &mut Rope,
    [datagram, scratch]: &mut [[u8; 1_200]; 2],
) {
    while let Some((arrival, len)) = receive(datagram) {
        let Some(bytes) = datagram.get_mut(..len) else { continue };
        let ours = connection.id();
        let known = |id| ours == id;
        let admit = &mut |_: PublicKey, _| black_box(Some([0; 32]));
        match listener.handle_datagram(arrival, bytes, &known, admit, scratch, now()) {
            Route::Known(_) => {
                let _ = connection.handle_datagram(arrival, bytes, now());
            }
            Route::Reply(len) => send(scratch.get(..len).unwrap_or_default()),
            Route::Accept(incoming) => accept(connection, &incoming),
            Route::Discard(_) => {}
        }
    }
    turn(connection, scratch);
}

#[inline(never)]
fn accept(connection: &mut Rope, incoming: &Incoming<Software>) {
    let _ = connection.answer(incoming, seed(), now());
}

const CONFIG: Config = Config {
    services: &["echo"],
    mode: Mode::Bulk,
    idle_timeout: Duration::from_secs(60),
    keep_alive: Duration::from_secs(15),
    keep_alive_in_use: Duration::from_millis(400),
    handshake_timeout: Duration::from_secs(5),
    datagram_bytes_max: 1_200,
    acknowledgement_delay: Duration::from_millis(5),
    restart_check: Duration::from_secs(1),
    packets_per_key: 1 << 22,
};

fn identity() -> Identity {
    Identity::new::<Software>(black_box([1; 32]))
}

fn seed() -> Seed {
    Seed(black_box([2; 32]))
}

/// Reacts to what happened, and sends what there is to send.
#[inline(never)]
fn turn<S: Storage>(connection: &mut Connection<S, Software>, buffer: &mut [u8]) {
    if connection.poll_timeout().is_some_and(|moment| moment <= now()) {
        connection.handle_timeout(now());
    }
    while let Some(event) = connection.poll_event() {
        match event {
            Event::Connected => {
                if let Some(service) = Service::new("echo") {
                    let _ = connection.open(&service);
                }
            }
            Event::StreamReadable(id) => echo(connection, id),
            Event::Closed(_) => connection.close(0, "", now()),
            _ => {}
        }
    }
    while let Some(transmit) = connection.poll_transmit(buffer, now()) {
        send(buffer.get(..transmit.len).unwrap_or_default());
    }
}

fn echo<S: Storage>(connection: &mut Connection<S, Software>, id: StreamId) {
    let mut bytes = [0; 64];
    let mut stream = connection.stream(id);
    while let Ok(len) = stream.read(&mut bytes) {
        let _ = stream.write(bytes.get(..len).unwrap_or_default());
    }
    let _ = stream.finish();
}

fn peer() -> Peer {
    black_box(Peer {
        key: PublicKey([3; 32]),
        psk: [4; 32],
        ticket: None,
        addresses: heapless::Vec::new(),
    })
}

fn link() -> LinkChange {
    let info = LinkInfo {
        mtu: 1_500,
        class: CostClass::Wired,
        addresses: heapless::Vec::new(),
        rate: None,
        hidden: false,
    };
    black_box(LinkChange::Up(info))
}

#[inline(never)]
fn now() -> Instant {
    Instant::from_micros(black_box(0))
}

#[inline(never)]
fn receive(datagram: &mut [u8]) -> Option<(Arrival, usize)> {
    black_box(datagram);
    black_box(None)
}

#[inline(never)]
fn send(datagram: &[u8]) {
    black_box(datagram);
}

/// Keeps [`reset`], which keeps everything else.
#[used]
#[unsafe(link_section = ".vectors")]
static VECTOR: extern "C" fn() -> ! = reset;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
