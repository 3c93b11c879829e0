//! ropewalk on QEMU's RISC-V machine virt: up to four virtio network cards in one connection.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use heapless::Vec;
use riscv as _;
use riscv_rt::entry;
use ropewalk_app::board::{Clock, Entropy, NoEntropy};
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_app::seat::Place;
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_app::start::start;
use ropewalk_core::connection::Memory;
use ropewalk_core::id::CostClass;
use ropewalk_core::time::Instant;
use ropewalk_drivers::mmio::{Mmio, Registers};
use ropewalk_drivers::virtio::{Found, NetMemory, Slot, Slots, VirtioNet, VirtioRandom};
use ropewalk_qemu::{Files, panicked, refuse, run};
use static_cell::StaticCell;

/// 8 paths, 4 streams, 128 packets in flight, 64 KiB each way.
type Room = Memory<8, 4, 128, 65_536, 65_536>;

const CARDS_MAX: usize = 4;
const NAMES: [&str; CARDS_MAX] = ["eth0", "eth1", "eth2", "eth3"];

static PLACES: [StaticCell<Place<Room>>; 3] = [const { StaticCell::new() }; 3];
static CARDS: [StaticCell<NetMemory>; CARDS_MAX] = [const { StaticCell::new() }; CARDS_MAX];
static ETHERNET: [StaticCell<EthernetMemory>; CARDS_MAX] = [const { StaticCell::new() }; CARDS_MAX];
static NODE: StaticCell<Node<Room>> = StaticCell::new();

#[entry]
fn main() -> ! {
    let mut clock = Timer::new();
    let (mut slots, mut random) = (Vec::<Slot, CARDS_MAX>::new(), None);
    // The emulator fills the slots from the last on, and so they are walked.
    // SAFETY: the image runs on this machine alone, nothing else uses its slots, and this is the
    // only walk.
    for found in unsafe { Slots::of_riscv_virt() } {
        match found {
            Found::Net(slot) => drop(slots.push(slot)),
            Found::Random(slot) => random = VirtioRandom::new(slot).ok(),
        }
    }
    let mut started = match start(&mut Files, &mut Random(random)) {
        Ok(started) => started,
        Err(error) => refuse(&error),
    };
    defmt::info!("boot {=u32}", started.boot);
    let mut cards = Vec::<Ethernet<VirtioNet>, CARDS_MAX>::new();
    let memories = CARDS.iter().zip(&ETHERNET);
    for (number, (slot, (card, ethernet))) in slots.into_iter().zip(memories).enumerate() {
        let Ok(card) = VirtioNet::new(slot, card.init_with(NetMemory::new)) else {
            refuse(&"a network card does not work")
        };
        let settings = EthernetSettings {
            name: NAMES.get(number).copied().unwrap_or("eth"),
            class: CostClass::Wired,
            addressing: started.settings.addressing(number),
            port: started.settings.port,
            seed: started.seeds.number(),
        };
        let memory = ethernet.init_with(EthernetMemory::new);
        let _ = cards.push(Ethernet::new(card, settings, memory, clock.now()));
    }
    if cards.is_empty() {
        refuse(&"there is no network card; start QEMU with -device virtio-net-device");
    }
    let places = PLACES.each_ref().map(|place| place.init_with(|| Place::new(Room::new())));
    let node = NODE.init(Node::new(started, places, clock.now()));
    let mut links = Vec::<&mut dyn Link, CARDS_MAX>::new();
    for card in &mut cards {
        let _ = links.push(card);
    }
    run(node, &mut links, || clock.now())
}

/// The emulator's source of randomness, if it was given one.
struct Random(Option<VirtioRandom>);

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let source = self.0.as_mut().ok_or(NoEntropy)?;
        source.fill(bytes).map_err(|_| NoEntropy)
    }
}

/// The machine's timer: 10 MHz, 64 bits in two halves.
struct Timer {
    low: Mmio<u32>,
}

impl Timer {
    fn new() -> Self {
        // SAFETY: the machine's `mtime` is here; it is only read.
        Self { low: unsafe { Mmio::new(0x0200_bff8) } }
    }
}

impl Clock for Timer {
    fn now(&mut self) -> Instant {
        loop {
            let (high, low) = (self.low.read(4), self.low.read(0));
            // The lower half may wrap between the two looks.
            if self.low.read(4) == high {
                return Instant::from_micros((u64::from(high) << 32 | u64::from(low)) / 10);
            }
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}
