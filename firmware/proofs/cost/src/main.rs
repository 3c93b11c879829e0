//! What the core costs a Cortex-M3: two nodes shake hands and exchange packets in memory, under
//! `qemu-system-arm -M mps2-an385 -icount shift=0`, where a nanosecond of the board's clock is one
//! instruction. The stack below is painted before and looked at afterwards.
//!
//! ```text
//!  dial ── first message ──> answer ──> finish ── first packet ──> accept ── packets ──> open
//! ```
//!
//! Each line of the output is a name and a number; `cargo test -p ropewalk-tests --test boards`
//! compares them with `firmware/costs.txt`.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m_rt::entry;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, LinkChange, LinkInfo, Listener, Memory, Peer, Route, Small, offered_credit,
};
use ropewalk_core::crypto::{Identity, Seed, Software};
use ropewalk_core::id::{Address, Arrival, CostClass, LinkId, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};
use semihosting::{print, println, process};
use static_cell::StaticCell;

/// As in the image `size`: 2 paths, 2 streams, 16 packets, but windows for all packets.
type Room = Memory<2, 2, 16, 16_384, 16_384>;
type Rope = Connection<&'static mut Room, Software>;

const AT: Arrival = Arrival { link: LinkId(0), local: None, remote: Address::Serial };
const DATAGRAM_BYTES: usize = 1_200;
/// Packets over which the cost of one is averaged.
const PACKETS: u32 = 200;

static ROOMS: [StaticCell<Room>; 2] = [const { StaticCell::new() }; 2];
static ROPES: [StaticCell<Rope>; 2] = [const { StaticCell::new() }; 2];
static LISTENER: StaticCell<Listener<Software, Small>> = StaticCell::new();
static BUFFERS: StaticCell<[[u8; DATAGRAM_BYTES]; 2]> = StaticCell::new();

#[entry]
fn main() -> ! {
    let timer = Timer::start();
    let [datagram, scratch] = BUFFERS.init([[0; _]; 2]);
    let [near, far] = ROOMS.each_ref().map(|room| room.init_with(Room::new));
    let offer = offered_credit(far);
    let (dialer, answerer) = (identity(1), identity(2));
    let key = answerer.public;
    let seed = |n| Seed([n; 32]);
    let now = Instant::from_micros(1);
    let listener = LISTENER.init(Listener::new(answerer, offer, true, seed(3), now));
    let config = Config {
        services: &["sink"],
        datagram_bytes_max: DATAGRAM_BYTES as u16,
        ..Config::default()
    };
    let near = ROPES[0].init_with(|| Connection::vacant(config, near));
    let far = ROPES[1].init_with(|| Connection::vacant(config, far));
    for rope in [&mut *near, &mut *far] {
        rope.handle_link(LinkId(0), link(), now);
    }
    let peer = Peer {
        key,
        psk: [0; 32],
        ticket: None,
        addresses: [Address::Serial].into_iter().collect(),
    };

    let painted = paint();
    let mut len = 0;
    let spent = timer.measure(|| {
        near.dial(dialer, peer, seed(4), now);
        len = near.poll_transmit(datagram, now).map_or(0, |sent| sent.len);
    });
    report("dial", spent);
    let spent = timer.measure(|| len = answer(listener, &mut datagram[..len], scratch, now));
    report("answer", spent);
    let spent = timer.measure(|| {
        let _ = near.handle_datagram(AT, &mut scratch[..len], now);
        len = near.poll_transmit(datagram, now).map_or(0, |sent| sent.len);
    });
    report("finish", spent);
    let spent = timer.measure(|| accept(listener, far, &mut datagram[..len], scratch, now));
    report("accept", spent);
    report("stack-handshake", painted_over(painted));

    let painted = paint();
    packets(&timer, near, far, datagram);
    report("stack-packets", painted_over(painted));
    process::exit(0)
}

/// The listener's part of a handshake: one multiplication to open it, three to answer.
fn answer(
    listener: &mut Listener<Software, Small>,
    datagram: &mut [u8],
    scratch: &mut [u8],
    now: Instant,
) -> usize {
    let admit = &mut |_, _| Some([0; 32]);
    match listener.handle_datagram(AT, datagram, &|_| false, admit, scratch, now) {
        Route::Reply(len) => len,
        _ => fail("the first message was not answered"),
    }
}

/// The first packet makes the connection.
fn accept(
    listener: &mut Listener<Software, Small>,
    far: &mut Rope,
    datagram: &mut [u8],
    scratch: &mut [u8],
    now: Instant,
) {
    let admit = &mut |_, _| Some([0; 32]);
    match listener.handle_datagram(AT, datagram, &|_| false, admit, scratch, now) {
        Route::Accept(incoming) => {
            if far.answer(&incoming, Seed([5; 32]), now).is_err() {
                fail("the place was not free");
            }
            let _ = far.handle_datagram(AT, datagram, now);
        }
        _ => fail("the first packet did not open"),
    }
}

/// Full packets one way, acknowledgements back.
fn packets(timer: &Timer, near: &mut Rope, far: &mut Rope, datagram: &mut [u8; DATAGRAM_BYTES]) {
    let mut now = Instant::from_micros(1_000);
    let mut stream = None;
    let (mut built, mut opened, mut full) = (0, 0, 0);
    let mut drained = 0;
    while full < PACKETS {
        now += Duration::from_millis(2);
        while near.poll_event().is_some() {}
        let service = Service::new("sink");
        if stream.is_none() {
            stream = service.and_then(|service| near.open(&service).ok());
        }
        if let Some(stream) = stream {
            while near.stream(stream).write(&[0x5a; 512]).is_ok() {}
        }
        for rope in [&mut *near, &mut *far] {
            if rope.poll_timeout().is_some_and(|due| due <= now) {
                rope.handle_timeout(now);
            }
        }
        loop {
            let mut len = 0;
            let spent = timer
                .measure(|| len = near.poll_transmit(datagram, now).map_or(0, |sent| sent.len));
            if len == 0 {
                break;
            }
            let opening = timer.measure(|| {
                let _ = far.handle_datagram(AT, &mut datagram[..len], now);
            });
            // Handshakes of lengths and probes are no measure of the rest.
            if len == DATAGRAM_BYTES && full < PACKETS {
                (built, opened, full) = (built + spent, opened + opening, full + 1);
            }
        }
        while let Some(event) = far.poll_event() {
            if let Event::StreamReadable(stream) = event {
                drained += read(far, stream);
            }
        }
        while let Some(sent) = far.poll_transmit(datagram, now) {
            let _ = near.handle_datagram(AT, &mut datagram[..sent.len], now);
        }
        if now > Instant::from_micros(60_000_000) {
            fail("packets are not full");
        }
    }
    if drained == 0 {
        fail("nothing arrived");
    }
    report("build", built / full);
    report("open", opened / full);
}

fn read(rope: &mut Rope, stream: StreamId) -> usize {
    let mut drained = 0;
    while let Ok(len) = rope.stream(stream).peek().map(<[u8]>::len) {
        rope.stream(stream).consume(len);
        drained += len;
    }
    drained
}

fn identity(n: u8) -> Identity {
    Identity::new::<Software>([n; 32])
}

fn link() -> LinkChange {
    LinkChange::Up(LinkInfo {
        mtu: 1_472,
        rate: None,
        class: CostClass::Wired,
        addresses: [Address::Serial].into_iter().collect(),
        hidden: false,
    })
}

/// TIMER0 of the machine: 25 MHz, so that a tick is 40 instructions.
struct Timer;

impl Timer {
    const VALUE: *const u32 = 0x4000_0004 as *const u32;
    const INSTRUCTIONS_PER_TICK: u32 = 40;

    fn start() -> Self {
        // SAFETY: the machine has its timer here; nothing else uses it.
        unsafe {
            (0x4000_0008 as *mut u32).write_volatile(u32::MAX);
            (0x4000_0004 as *mut u32).write_volatile(u32::MAX);
            (0x4000_0000 as *mut u32).write_volatile(1);
        }
        Self
    }

    #[inline(never)]
    fn measure(&self, work: impl FnOnce()) -> u32 {
        let before = self.ticks();
        work();
        // It counts down.
        before.wrapping_sub(self.ticks()).saturating_mul(Self::INSTRUCTIONS_PER_TICK)
    }

    fn ticks(&self) -> u32 {
        // SAFETY: `start` has started it, and reading changes nothing.
        unsafe { Self::VALUE.read_volatile() }
    }
}

const PAINT: u32 = 0xa5c3_5a3c;
/// Below where we stand, and below what these functions use themselves.
const PAINTED_BYTES: usize = 32 * 1_024;
const MARGIN_BYTES: usize = 256;

/// Paints what lies below the stack's end, and says where that was.
#[inline(never)]
fn paint() -> usize {
    let top = cortex_m::register::msp::read() as usize - MARGIN_BYTES;
    for at in (top - PAINTED_BYTES..top).step_by(4) {
        // SAFETY: the stack grows down into this, and nobody is there yet.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
    }
    top
}

/// How much of it was used since.
#[inline(never)]
fn painted_over(top: usize) -> u32 {
    let used = (top - PAINTED_BYTES..top).step_by(4).find(|at| {
        // SAFETY: it is memory of ours, painted before.
        let word = unsafe { (*at as *const u32).read_volatile() };
        word != PAINT
    });
    (used.map_or(0, |at| top - at) + MARGIN_BYTES) as u32
}

fn report(name: &str, number: u32) {
    println!("{name} {number}");
}

fn fail(why: &str) -> ! {
    println!("failed: {why}");
    process::exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print!("failed: {info}");
    process::exit(1)
}
