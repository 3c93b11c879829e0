//! One sender, with all the data in the world unless told otherwise, one receiver, a link each way, a virtual clock.

use super::link::Link;
use crate::id::PathId;
use crate::packet_number::PacketNumber;
use crate::recovery::{
    Acks, Allowance, Recovery, Sent, SentKind, SentSlot, SentTable, TimeoutAction,
};
use crate::time::{Duration, Instant};
use crate::wire::{Frame, Frames, Writer};
use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;
use std::vec::Vec;

pub(super) const DATAGRAM: u16 = 1_200;
const PATH: PathId = PathId(0);
const ACK_DELAY: Duration = Duration::from_millis(5);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Packet(u64),
    Ack(Vec<u8>),
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) recovery: Recovery,
    pub(super) forth: Link,
    back: Link,
    acks: Acks,
    table: SentTable,
    slots: Vec<SentSlot>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    serial: u64,
    /// Times at which packets arrived for the first time, in order.
    pub(super) arrivals: Vec<Instant>,
    /// What each packet that left had to wait in the queue.
    pub(super) queueing: Vec<(Instant, Duration)>,
    /// The silence that each answer ended, if it was longer than 100 ms.
    pub(super) resumed: Vec<Duration>,
    pub(super) acks_written: u64,
    /// Timers fire only at multiples of this, as on a host.
    pub(super) timer_grain: Duration,
    /// `None`: the application has all the data in the world.
    pub(super) message_every: Option<Duration>,
    next_message: Instant,
}

impl World {
    pub(super) fn new(forth: Link) -> Self {
        let mut back = Link::new(1_000, 0, 1_000);
        back.delay = forth.delay;
        let now = Instant::from_micros(1_000_000);
        let round_trip = forth.delay * 2 + Duration::from_millis(1);
        Self {
            now,
            recovery: Recovery::with_round_trip(DATAGRAM, Some(round_trip), now),
            forth,
            back,
            acks: Acks::new(ACK_DELAY),
            table: SentTable::new(),
            slots: vec![SentSlot::EMPTY; 16_384],
            events: BinaryHeap::new(),
            serial: 0,
            arrivals: Vec::new(),
            queueing: Vec::new(),
            resumed: Vec::new(),
            acks_written: 0,
            timer_grain: Duration::from_micros(1),
            message_every: None,
            next_message: now,
        }
    }

    pub(super) fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1_000)
    }

    /// From now on the application sends one packet each time `every` has passed, and no more.
    pub(super) fn trickle(&mut self, every: Duration) {
        self.message_every = Some(every);
        self.next_message = self.now;
    }

    /// Runs until `ms` milliseconds after the beginning.
    pub(super) fn run(&mut self, ms: u64) {
        let end = Self::at(ms);
        while self.now < end {
            let next = self.step().unwrap_or(end);
            self.now = next.max(self.now + Duration::from_micros(1)).min(end);
        }
    }

    /// Does what is due now, and tells when something will be again.
    pub(super) fn step(&mut self) -> Option<Instant> {
        self.receive();
        self.time_out();
        let paced = self.transmit();
        self.acknowledge();
        let event = self.events.peek().map(|Reverse((at, ..))| *at);
        let timers = [paced, self.recovery.timeout(), self.acks.deadline()];
        let timer = timers.into_iter().flatten().min().map(|at| self.round_up(at));
        event.into_iter().chain(timer).min()
    }

    fn round_up(&self, at: Instant) -> Instant {
        let grain = self.timer_grain.as_micros();
        Instant::from_micros(at.as_micros().div_ceil(grain) * grain)
    }

    fn receive(&mut self) {
        while self.events.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            match self.events.pop() {
                Some(Reverse((_, _, Event::Packet(number)))) => {
                    self.acks.on_packet(PacketNumber(number), true, self.now);
                    self.arrivals.push(self.now);
                }
                Some(Reverse((_, _, Event::Ack(bytes)))) => self.answer(&bytes),
                None => {}
            }
        }
    }

    fn answer(&mut self, bytes: &[u8]) {
        let Some(Ok(Frame::Ack(ack))) = Frames::new(bytes).next() else { panic!("not an ack") };
        let silent_since = self.recovery.last_newly_acked();
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let result = self.recovery.on_ack(&ack, ACK_DELAY, self.now, &mut sent, &mut |_, _| {});
        assert!(!result.invalid);
        if let (true, Some(since)) = (result.progress, silent_since) {
            let silence = self.now.since(since);
            if silence > Duration::from_millis(100) {
                self.resumed.push(silence);
                self.recovery.on_resumed(silence, self.now);
            }
        }
    }

    fn time_out(&mut self) {
        if self.recovery.timeout().is_none_or(|at| at > self.now) {
            return;
        }
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let action = self.recovery.on_timeout(self.now, &mut sent, &mut |_, _| {});
        if action == TimeoutAction::Probe {
            self.send(SentKind::Probe, 40);
        }
    }

    /// Sends what is allowed; returns when more will be.
    fn transmit(&mut self) -> Option<Instant> {
        if let Some(every) = self.message_every {
            if self.next_message <= self.now {
                self.next_message += every;
                self.send(SentKind::Data, DATAGRAM);
            }
            return Some(self.next_message);
        }
        loop {
            match self.recovery.allowance(self.now) {
                Allowance::Now(bytes) => {
                    for _ in 0..(bytes / u64::from(DATAGRAM)).max(1) {
                        self.send(SentKind::Data, DATAGRAM);
                    }
                }
                Allowance::At(at) => return Some(at),
                Allowance::Full => return None,
            }
        }
    }

    fn send(&mut self, kind: SentKind, bytes: u16) {
        let number = self.recovery.next_number();
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        assert!(self.recovery.on_sent(
            bytes,
            kind,
            &[],
            self.message_every.is_some(),
            self.now,
            &mut sent
        ));
        self.queueing.push((self.now, self.forth.queueing(self.now)));
        if let Some(at) = self.forth.enter(u64::from(bytes), self.now) {
            self.schedule(at, Event::Packet(number.0));
        }
    }

    fn acknowledge(&mut self) {
        if !self.acks.due(self.now) {
            return;
        }
        let mut bytes = [0; 256];
        let mut writer = Writer::new(&mut bytes);
        assert!(self.acks.write(PATH, &mut writer, self.now).is_some());
        self.acks_written += 1;
        let ack = writer.as_slice().to_vec();
        if let Some(at) = self.back.enter(60, self.now) {
            self.schedule(at, Event::Ack(ack));
        }
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((at, self.serial, event)));
    }

    /// The share of the link's rate that arrived in `from..to` milliseconds, in thousandths.
    pub(super) fn utilisation(&self, from: u64, to: u64) -> u64 {
        let (from, to) = (Self::at(from), Self::at(to));
        let packets = self.arrivals.iter().filter(|at| (from..to).contains(*at)).count() as u64;
        let possible = to.since(from).bytes_at(self.forth.bytes_per_second);
        packets * u64::from(DATAGRAM) * 1_000 / possible
    }

    /// The longest wait in the queue from `from` milliseconds on, in milliseconds.
    pub(super) fn queueing_max(&self, from: u64) -> u64 {
        let late = self.queueing.iter().filter(|(at, _)| *at >= Self::at(from));
        late.map(|(_, wait)| wait.as_millis()).max().unwrap_or(0)
    }

    /// The wait in the queue that nineteen of twenty packets from `from` milliseconds on stay below,
    /// in milliseconds.
    pub(super) fn queueing_usual(&self, from: u64) -> u64 {
        let late = self.queueing.iter().filter(|(at, _)| *at >= Self::at(from));
        let mut waits: Vec<u64> = late.map(|(_, wait)| wait.as_millis()).collect();
        waits.sort_unstable();
        waits.get(waits.len() * 19 / 20).copied().unwrap_or(0)
    }
}
