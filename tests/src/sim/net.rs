//! One direction of one link: rate, delay, a queue with a tail to drop, and everything that goes
//! wrong on real ones.

use fastrand::Rng;
use ropewalk_core::time::{Duration, Instant};

/// What a link is like, the same both ways.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpec {
    /// Bits a second.
    pub rate: u64,
    /// One way.
    pub delay: Duration,
    /// Bytes that may wait for the line.
    pub queue: u64,
    /// Datagrams lost, in 1/1,000.
    pub loss: u32,
    /// Mean length of a burst of losses; 1 for independent ones.
    pub burst: u32,
    /// Datagrams held back by up to a few milliseconds, in 1/1,000.
    pub reorder: u32,
    /// Datagrams doubled, in 1/1,000.
    pub duplicate: u32,
    /// Datagrams with a flipped bit, in 1/1,000.
    pub corrupt: u32,
    /// Longer datagrams are dropped.
    pub mtu: usize,
}

impl LinkSpec {
    /// A clean link: `mbit` Mbit/s, `ms` one way, a queue of `queue_kib` KiB.
    #[must_use]
    pub const fn new(mbit: u64, ms: u64, queue_kib: u64) -> Self {
        Self {
            rate: mbit * 1_000_000,
            delay: Duration::from_millis(ms),
            queue: queue_kib * 1024,
            loss: 0,
            burst: 1,
            reorder: 0,
            duplicate: 0,
            corrupt: 0,
            mtu: 1472,
        }
    }

    /// The same link, carrying IP packets of up to `bytes`.
    #[must_use]
    pub const fn with_mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes - 28;
        self
    }

    /// What the nodes believe that the link carries: Ethernet's 1,500 bytes less the headers of IPv4
    /// and UDP, or more where the link does. That it carries less is theirs to find out.
    #[must_use]
    pub fn interface_mtu(&self) -> u16 {
        u16::try_from(self.mtu.max(1_472)).unwrap_or(u16::MAX)
    }

    /// The same link, losing `permille` of its datagrams.
    #[must_use]
    pub const fn lossy(mut self, permille: u32) -> Self {
        self.loss = permille;
        self
    }
}

/// The state of one direction.
#[derive(Clone, Debug)]
pub struct Direction {
    /// What it is like now.
    pub spec: LinkSpec,
    /// A black hole while false.
    pub open: bool,
    /// When the line is free again.
    free_at: Instant,
    /// Nothing leaves the queue before.
    held_until: Instant,
    /// Datagrams still to be lost in the present burst.
    burst_left: u32,
    /// How many were carried.
    pub carried: u64,
    /// Their bytes, IPv4 and UDP headers included, whether carried or dropped.
    pub bytes: u64,
    /// How many were dropped, for any reason.
    pub dropped: u64,
}

/// A datagram on its way: when it arrives, and its bytes.
pub type Flight = (Instant, Vec<u8>);

impl Direction {
    /// An idle line.
    #[must_use]
    pub const fn new(spec: LinkSpec) -> Self {
        Self {
            spec,
            open: true,
            free_at: Instant::ZERO,
            held_until: Instant::ZERO,
            burst_left: 0,
            carried: 0,
            bytes: 0,
            dropped: 0,
        }
    }

    /// Puts a datagram on the line; returns the copies that will arrive.
    pub fn send(&mut self, datagram: &[u8], now: Instant, rng: &mut Rng) -> Vec<Flight> {
        let wire_bytes = datagram.len() as u64 + FRAME_OVERHEAD;
        let moves_from = now.max(self.held_until);
        let waiting = self.free_at.since(moves_from).bytes_at(self.spec.rate / 8);
        self.bytes += datagram.len() as u64 + 28;
        let lost = self.loses(rng);
        if !self.open || datagram.len() > self.spec.mtu || waiting + wire_bytes > self.spec.queue {
            self.dropped += 1;
            return Vec::new();
        }
        self.free_at = self.free_at.max(now) + Duration::of_bytes(wire_bytes, self.spec.rate / 8);
        if lost {
            self.dropped += 1;
            return Vec::new();
        }
        self.carried += 1;
        let mut flights = Vec::with_capacity(1);
        let copies = if happens(self.spec.duplicate, rng) { 2 } else { 1 };
        for _ in 0..copies {
            let mut bytes = datagram.to_vec();
            if happens(self.spec.corrupt, rng) {
                let bit = rng.usize(..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let held = if happens(self.spec.reorder, rng) {
                Duration::from_micros(rng.u64(500..8_000))
            } else {
                Duration::ZERO
            };
            flights.push((self.free_at + self.spec.delay + held, bytes));
        }
        flights
    }

    /// Nothing leaves before `end`; what comes meanwhile waits in the queue.
    pub fn hold_until(&mut self, end: Instant) {
        self.free_at = self.free_at.max(end);
        self.held_until = self.held_until.max(end);
    }

    /// Becomes a black hole, and loses what waits in the queue.
    pub const fn sever(&mut self) {
        self.open = false;
        self.free_at = Instant::ZERO;
    }

    fn loses(&mut self, rng: &mut Rng) -> bool {
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return true;
        }
        // A burst of mean length n begins n times more rarely, so that the loss stays the same.
        let begins = rng.u32(..1_000 * self.spec.burst.max(1)) < self.spec.loss;
        if begins && self.spec.burst > 1 {
            self.burst_left = rng.u32(..2 * self.spec.burst - 1);
        }
        begins
    }
}

fn happens(permille: u32, rng: &mut Rng) -> bool {
    permille > 0 && rng.u32(..1_000) < permille
}

/// IPv4, UDP and Ethernet around each datagram, as in the lab.
const FRAME_OVERHEAD: u64 = 20 + 8 + 14;
