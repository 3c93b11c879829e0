//! A board to copy. This file is the same on every board but for its links; what a chip does its
//! own way is in `hardware.rs`, one short function each.
//!
//! As it stands it compiles, runs, and refuses to start: it has no source of randomness.

#![no_std]
#![no_main]

mod hardware;

use defmt_rtt as _;

use core::panic::PanicInfo;
use hardware::{BAUD, Card, Dog, Flash, Generator, Timer, Uart, mac};
use ropewalk_app::board::{Clock, Watchdog};
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_app::seat;
use ropewalk_app::serial::Serial;
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_app::start::start;
use ropewalk_core::connection::Memory;
use ropewalk_core::id::CostClass;
use ropewalk_core::time::Duration;
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use static_cell::{ConstStaticCell, StaticCell};

/// What one connection has: 4 paths, 4 streams, 32 packets in flight, 8 KiB each way.
type Room = Memory<4, 4, 32, 8_192, 8_192>;
/// A connection, and where its memory is.
type Place = seat::Place<&'static mut Room>;

/// Connections at once, 1 to 4. One seat stays free for those who call us.
const SEATS: usize = 2;
static ROOMS: [ConstStaticCell<Room>; SEATS] = [const { ConstStaticCell::new(Room::new()) }; SEATS];
static PLACES: [StaticCell<Place>; SEATS] = [const { StaticCell::new() }; SEATS];
static ETHERNET: StaticCell<EthernetMemory> = StaticCell::new();
static NODE: StaticCell<Node<&'static mut Room>> = StaticCell::new();
static SERIAL_IN: StaticCell<[u8; SERIAL_MTU + 4]> = StaticCell::new();
static SERIAL_OUT: StaticCell<[u8; 2 * memory_bytes(SERIAL_MTU)]> = StaticCell::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut dog = Dog::start();
    let mut timer = Timer::start();
    let mut started = match start(&mut Flash, &mut Generator) {
        Ok(started) => started,
        Err(error) => refuse(&error, &mut dog, &mut timer),
    };
    defmt::info!("boot {=u32}", started.boot);

    let settings = EthernetSettings {
        name: "eth0",
        class: CostClass::Wired,
        addressing: started.settings.addressing(0),
        port: started.settings.port,
        seed: started.seeds.number(),
    };
    let card = Card::start(mac(&started.settings.secret));
    let memory = place(&ETHERNET, EthernetMemory::new);
    let mut ethernet = Ethernet::new(card, settings, memory, timer.now());

    let (incoming, outgoing) = (SERIAL_IN.init([0; _]), SERIAL_OUT.init([0; _]));
    let line = SerialLine::new(Uart::start(), BAUD, incoming, outgoing);
    let mut serial = Serial::new("uart0", SERIAL_MTU as u16, BAUD, line);

    let rooms = PLACES.iter().zip(ROOMS.iter().map(ConstStaticCell::take));
    let places = rooms.map(|(cell, room)| place(cell, || Place::new(room)));
    let node = place(&NODE, || Node::new(started, places, timer.now()));
    // Always all of them, in this order: a link that is down says so itself.
    let links: &mut [&mut dyn Link] = &mut [&mut ethernet, &mut serial];
    loop {
        dog.feed();
        let before = timer.now();
        let _ = node.turn(links, before);
        node.on_turn(timer.now().since(before));
    }
}

/// Makes a value where it stays. What that needs of the stack is free again afterwards; inlined into
/// a function that never returns, it would not be.
#[inline(never)]
fn place<T>(cell: &'static StaticCell<T>, make: impl FnOnce() -> T) -> &'static mut T {
    cell.init_with(make)
}

/// Says why the board does not start, again and again: whoever looks may have come late.
fn refuse(why: &dyn core::fmt::Display, dog: &mut Dog, timer: &mut Timer) -> ! {
    let mut due = timer.now();
    loop {
        dog.feed();
        if timer.now() >= due {
            defmt::error!("refuses to start: {}", defmt::Display2Format(why));
            due = timer.now() + REPEAT_AFTER;
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    cortex_m::peripheral::SCB::sys_reset()
}

const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// A frame of this length takes 25 ms of a line of 115,200 baud.
const SERIAL_MTU: usize = 288;
