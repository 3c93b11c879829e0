//! ropewalk on QEMU's mps2-an385: LAN9118 Ethernet and UART1 in one connection.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m as _;
use cortex_m_rt::entry;
use ropewalk_app::board::{Clock, Extended};
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_app::seat::Place;
use ropewalk_app::serial::Serial;
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_app::start::start;
use ropewalk_core::connection::Memory;
use ropewalk_core::id::CostClass;
use ropewalk_core::time::Instant;
use ropewalk_drivers::lan9118::Lan9118;
use ropewalk_drivers::mmio::{Mmio, Registers};
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use ropewalk_drivers::uart_cmsdk::CmsdkUart;
use ropewalk_qemu::{Files, HostEntropy, has_argument, panicked, refuse, run};
use static_cell::StaticCell;

/// 4 paths, 4 streams, 64 packets in flight, 32 KiB each way.
type Room = Memory<4, 4, 64, 32_768, 32_768>;

static PLACES: [StaticCell<Place<Room>>; 3] = [const { StaticCell::new() }; 3];
static ETHERNET: StaticCell<EthernetMemory> = StaticCell::new();
static NODE: StaticCell<Node<Room>> = StaticCell::new();
static SERIAL_IN: StaticCell<[u8; SERIAL_MTU + 4]> = StaticCell::new();
static SERIAL_OUT: StaticCell<[u8; 2 * memory_bytes(SERIAL_MTU)]> = StaticCell::new();

#[entry]
fn main() -> ! {
    let mut clock = Counter::new();
    let mut started = match start(&mut Files, &mut HostEntropy) {
        Ok(started) => started,
        Err(error) => refuse(&error),
    };
    defmt::info!("boot {=u32}", started.boot);
    // SAFETY: the machine has its network card here, and nothing else uses it.
    let registers = unsafe { Mmio::new(0x4020_0000) };
    let card = match Lan9118::new(registers, Some(mac(&started.settings.secret))) {
        Ok(card) => card,
        Err(_) => refuse(&"there is no network card; start QEMU with -net nic,model=lan9118"),
    };
    let settings = EthernetSettings {
        name: "eth0",
        class: CostClass::Wired,
        addressing: started.settings.addressing(0),
        port: started.settings.port,
        seed: started.seeds.number(),
    };
    let memory = ETHERNET.init_with(EthernetMemory::new);
    let mut ethernet = Ethernet::new(card, settings, memory, clock.now());
    // SAFETY: UART1 has its registers here, and nothing else uses it.
    let uart = CmsdkUart::new(unsafe { Mmio::new(0x4000_5000) }, CLOCK_HZ / BAUD);
    let (incoming, outgoing) = (SERIAL_IN.init([0; _]), SERIAL_OUT.init([0; _]));
    let line = SerialLine::new(uart, BAUD, incoming, outgoing);
    let mut serial = Serial::new("uart1", SERIAL_MTU as u16, BAUD, line);
    let places = PLACES.each_ref().map(|place| place.init_with(|| Place::new(Room::new())));
    let node = NODE.init(Node::new(started, places, clock.now()));
    let links: &mut [&mut dyn Link] = &mut [&mut ethernet, &mut serial];
    run(node, links, || clock.now())
}

/// An address that nobody else has: locally administered, from the node's secret.
fn mac(secret: &[u8; 32]) -> [u8; 6] {
    use ropewalk_core::crypto::{Crypto, Software};
    let [a, b, c, d, e, ..] = Software::hash(&[b"ropewalk mac", secret]);
    [2, a, b, c, d, e]
}

/// The microsecond counter of the board's FPGA.
struct Counter {
    registers: Mmio<u32>,
    extended: Extended,
}

impl Counter {
    fn new() -> Self {
        // SAFETY: the FPGA's system registers are here, and nothing else uses them.
        let mut registers = unsafe { Mmio::<u32>::new(0x4002_8000) };
        registers.write(PRESCALE, PRESCALE_HZ / 1_000_000 - 1);
        let start = if has_argument("clock-wraps") { u32::MAX - 1_000_000 } else { 0 };
        registers.write(COUNTER, start);
        Self { registers, extended: Extended::default() }
    }
}

impl Clock for Counter {
    fn now(&mut self) -> Instant {
        Instant::from_micros(self.extended.extend(self.registers.read(COUNTER)))
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}

const CLOCK_HZ: u32 = 25_000_000;
const BAUD: u32 = 115_200;
/// A frame of this length takes 25 ms of the line.
const SERIAL_MTU: usize = 288;
const COUNTER: u8 = 0x18;
const PRESCALE: u8 = 0x1c;
const PRESCALE_HZ: u32 = 25_000_000;
