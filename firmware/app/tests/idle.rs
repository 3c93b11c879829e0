//! Hours on a virtual clock: two boards, joined by an Ethernet cable and a serial line that the
//! test holds, with their own IP stacks.

use core::cell::RefCell;
use core::convert::Infallible;
use core::net::SocketAddr;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use ropewalk_app::board::{Entropy, NoEntropy, Store, StoreError};
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_app::seat::Place;
use ropewalk_app::serial::Serial;
use ropewalk_app::stack::{Ethernet, EthernetMemory, EthernetSettings};
use ropewalk_app::start::start;
use ropewalk_core::application::settings::{Addressing, PeerSettings, Settings};
use ropewalk_core::connection::Memory;
use ropewalk_core::crypto::{Identity, Software};
use ropewalk_core::id::{Address, CostClass, PublicKey};
use ropewalk_core::time::{Duration, Instant};
use ropewalk_drivers::serial::{SerialLine, memory_bytes};
use ropewalk_drivers::{EthernetDevice, Full};
use std::collections::VecDeque;
use std::rc::Rc;

type Room = Memory<4, 4, 32, 8_192, 8_192>;
type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;
type Bytes = Rc<RefCell<VecDeque<u8>>>;

const MTU: usize = 288;
const BAUD: u32 = 115_200;

struct Card {
    number: u8,
    out: Frames,
    inward: Frames,
    plugged: Rc<RefCell<bool>>,
}

impl EthernetDevice for Card {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number]
    }

    fn carrier(&mut self) -> bool {
        *self.plugged.borrow()
    }

    fn can_send(&mut self) -> bool {
        true
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Full> {
        if *self.plugged.borrow() {
            self.out.borrow_mut().push_back(frame.to_vec());
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        let frame = self.inward.borrow_mut().pop_front()?;
        into.get_mut(..frame.len())?.copy_from_slice(&frame);
        Some(frame.len())
    }
}

struct Uart {
    out: Bytes,
    inward: Bytes,
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.inward.borrow().is_empty())
    }
}

impl Read for Uart {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut inward = self.inward.borrow_mut();
        let len = into.len().min(inward.len());
        into.iter_mut().zip(inward.drain(..len)).for_each(|(place, byte)| *place = byte);
        Ok(len)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.out.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Settings that were written beforehand, and numbers that differ.
struct Flash(Settings);

impl Store for Flash {
    fn settings(&mut self, into: &mut [u8]) -> Result<usize, StoreError> {
        self.0.encode(into).ok_or(StoreError)
    }

    fn keep_settings(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError)
    }

    fn count_boot(&mut self) -> Result<u32, StoreError> {
        Ok(1)
    }
}

struct Numbers(u8);

impl Entropy for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(3);
            *byte = self.0;
        }
        Ok(())
    }
}

struct Board {
    node: Node<Room>,
    ethernet: Ethernet<Card>,
    serial: Serial<'static, Uart>,
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn key(number: u8) -> PublicKey {
    Identity::new::<Software>([number; 32]).public
}

impl Board {
    /// Board 1 calls board 2, at both of its addresses.
    fn new(number: u8, card: Card, uart: Uart, now: Instant) -> Self {
        let other = 3 - number;
        let at = Address::Ip(SocketAddr::from(([10, 0, 0, other], 4_433)));
        let addresses = if number == 1 { vec![at, Address::Serial] } else { vec![] };
        let peer = PeerSettings {
            key: key(other),
            ticket: None,
            addresses: addresses.into_iter().collect(),
        };
        let addressing =
            Addressing::Static { address: [10, 0, 0, number].into(), prefix: 24, gateway: None };
        let settings = Settings {
            secret: [number; 32],
            entropy: [number; 32],
            port: 4_433,
            links: [addressing].into_iter().collect(),
            peers: [peer].into_iter().collect(),
            invitations: heapless::Vec::new(),
        };
        let mut started = start(&mut Flash(settings), &mut Numbers(number)).unwrap();
        let settings = EthernetSettings {
            name: "eth0",
            class: CostClass::Wired,
            addressing,
            port: 4_433,
            seed: started.seeds.number(),
        };
        let ethernet = Ethernet::new(card, settings, leak(EthernetMemory::new()), now);
        let outgoing = leak([0; 2 * memory_bytes(MTU)]);
        let line = SerialLine::new(uart, BAUD, leak([0; MTU + 4]), outgoing);
        let serial = Serial::new("uart1", MTU as u16, BAUD, line);
        let places = [leak(Place::new(Room::new())), leak(Place::new(Room::new()))];
        Self { node: Node::new(started, places, now), ethernet, serial }
    }

    fn turn(&mut self, now: Instant) -> Option<Instant> {
        let links: &mut [&mut dyn Link] = &mut [&mut self.ethernet, &mut self.serial];
        self.node.turn(links, now)
    }
}

struct World {
    boards: [Board; 2],
    plugged: Rc<RefCell<bool>>,
    frames: [Frames; 2],
    bytes: [Bytes; 2],
    now: Instant,
}

impl World {
    fn new(now: Instant) -> Self {
        let (frames, bytes): ([Frames; 2], [Bytes; 2]) = Default::default();
        let plugged = Rc::new(RefCell::new(true));
        let board = |number: u8| {
            let (own, other) = (usize::from(number - 1), usize::from(2 - number));
            let card = Card {
                number,
                out: frames[own].clone(),
                inward: frames[other].clone(),
                plugged: plugged.clone(),
            };
            let uart = Uart { out: bytes[own].clone(), inward: bytes[other].clone() };
            Board::new(number, card, uart, now)
        };
        let boards = [board(1), board(2)];
        Self { boards, plugged, frames, bytes, now }
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            let due = self.boards.each_mut().map(|board| board.turn(self.now));
            let busy = self.frames.iter().any(|frames| !frames.borrow().is_empty())
                || self.bytes.iter().any(|bytes| !bytes.borrow().is_empty());
            // Something comes a moment later; else the stack and the cards are asked now and then.
            let soon = self.now + Duration::from_micros(if busy { 500 } else { 100_000 });
            let due = due.into_iter().flatten().min().unwrap_or(soon);
            self.now = soon.min(due.max(self.now + Duration::from_micros(100)));
        }
    }
}

#[test]
fn hours_of_idling_and_flapping_cost_no_connection() {
    // The clock of one that has run for long, close to where 32 bits of microseconds wrap.
    let mut world = World::new(Instant::from_micros((1 << 32) - 5_000_000));
    world.run(Duration::from_secs(5));
    assert_eq!(world.boards.each_ref().map(|board| board.node.alive()), [1, 1]);
    for hour in 0..4 {
        world.run(Duration::from_secs(3_600));
        assert_eq!(world.boards.each_ref().map(|board| board.node.alive()), [1, 1], "hour {hour}");
        // Once an hour somebody trips over the cable.
        *world.plugged.borrow_mut() = false;
        world.run(Duration::from_secs(5));
        assert_eq!(world.boards.each_ref().map(|board| board.node.alive()), [1, 1], "unplugged");
        *world.plugged.borrow_mut() = true;
    }
    let counters = world.boards.each_ref().map(|board| board.node.counters());
    assert_eq!(counters.map(|counters| counters.begun), [1, 1], "the same one all the time");
}
