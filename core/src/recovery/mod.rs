//! Rank 2: loss recovery, congestion control and pacing of one path (RFC 9002).
//!
//! | file | answers |
//! |---|---|
//! | `sent` | what is in flight? |
//! | `rtt` | how long is the round trip? |
//! | `delivery` | how fast does the path deliver? |
//! | `train` | how fast is its narrowest place? |
//! | `congestion`, `cubic` | how much may be in flight? |
//! | `pacing` | when may the next packet go? |
//! | `loss` | which packets are lost? |
//! | `lengths` | are the long ones among them swallowed? |
//! | `acks` | what do we owe the peer? |
//!
//! [`Recovery`] puts them together for one path. It knows packets by number and cargo, never their
//! bytes, and hands each item of cargo back exactly once, as acknowledged or as lost.

mod acks;
mod congestion;
mod cubic;
mod delivery;
mod lengths;
mod loss;
mod pacing;
mod rtt;
mod sent;
mod train;

pub use acks::Acks;
pub use rtt::Rtt;
pub use sent::{Sent, SentSlot, SentTable};

use crate::carried::{Cargo, Carried};
use crate::packet_number::PacketNumber;
use crate::time::{Duration, Instant};
use crate::wire::{ACK_RANGES_MAX, Ack};
use congestion::{Acked, Congestion, RateFloorCubic};
use delivery::{Delivery, Newest};
use heapless::Vec;
use loss::Loss;
use pacing::Pacer;
use sent::{List, Visit};
use train::Train;

/// Loss recovery, congestion control and pacing of one path.
#[derive(Debug)]
pub struct Recovery {
    /// The round trip.
    pub rtt: Rtt,
    delivery: Delivery,
    train: Train,
    congestion: RateFloorCubic,
    pacer: Pacer,
    loss: Loss,
    list: List,
    in_flight: u64,
    next_number: u64,
    largest_acked: Option<u64>,
    last_sent: Option<Instant>,
    last_acked: Option<Instant>,
    /// Since when every probe has gone unanswered.
    probing_since: Option<Instant>,
    last_probe_timeout: Option<Instant>,
    datagram: u64,
    lost_packets: u64,
}

/// What became of something that a packet carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Acked,
    /// It must be presumed lost.
    Lost,
}

/// Whether a packet may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// This many bytes, now.
    Now(u64),
    /// Not before this moment: the path is paced.
    At(Instant),
    /// Not before something is acknowledged: the window is full.
    Full,
}

/// Why a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// Wants an acknowledgement; counts against the window.
    Data,
    /// The same, but may exceed the window.
    Probe,
    /// Acknowledges only; is neither kept nor counted.
    AckOnly,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckResult {
    /// It tells of a packet that is newer than all acknowledged before, kept or not: the way out
    /// works.
    pub news: bool,
    /// Packets acknowledged for the first time, among those that are kept.
    pub packets: u32,
    /// Their bytes.
    pub bytes: u64,
    /// It names a packet that was never sent: the peer breaks the protocol.
    pub invalid: bool,
}

/// What a timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutAction {
    /// Nothing: it was early.
    None,
    /// Packets were declared lost.
    Lost,
    /// Something that wants an acknowledgement should be sent.
    Probe,
}

impl Recovery {
    /// A path on which nothing was sent yet. `datagram_bytes`: a full packet.
    #[must_use]
    pub fn new(datagram_bytes: u16, now: Instant) -> Self {
        let mut recovery = Self {
            rtt: Rtt::new(),
            delivery: Delivery::new(now),
            train: Train::new(),
            congestion: RateFloorCubic::new(datagram_bytes),
            pacer: Pacer::new(now),
            loss: Loss::new(),
            list: List::new(),
            in_flight: 0,
            next_number: 0,
            largest_acked: None,
            last_sent: None,
            last_acked: None,
            probing_since: None,
            last_probe_timeout: None,
            datagram: u64::from(datagram_bytes.max(1)),
            lost_packets: 0,
        };
        recovery.update_pacing(now);
        recovery
    }

    /// The number of the next packet.
    #[must_use]
    pub const fn next_number(&self) -> PacketNumber {
        PacketNumber(self.next_number)
    }

    /// The largest number that was acknowledged.
    #[must_use]
    pub fn largest_acked(&self) -> Option<PacketNumber> {
        self.largest_acked.map(PacketNumber)
    }

    /// Bytes that may be in flight.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.congestion.window(self.delivery.rate(), &self.rtt)
    }

    /// Bytes in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What the path delivers, bytes a second; a guess from window and round trip at first.
    #[must_use]
    pub fn rate(&self) -> u64 {
        match self.delivery.rate() {
            0 => self.window_rate(),
            rate if self.congestion.in_slow_start() => rate.max(self.window_rate()),
            rate => rate,
        }
    }

    /// A full packet has so many bytes from now on.
    pub fn set_datagram_bytes(&mut self, bytes: u16) {
        self.datagram = u64::from(bytes.max(1));
        self.congestion.set_datagram_bytes(bytes);
    }

    /// Long packets that were lost in a row while shorter ones arrived.
    #[must_use]
    pub const fn long_losses(&self) -> u16 {
        self.loss.lengths.lost()
    }

    /// What was sent so far says nothing of the lengths that pass.
    pub const fn forget_long_losses(&mut self) {
        self.loss.lengths.restart(self.next_number);
    }

    /// Packets declared lost so far.
    #[must_use]
    pub const fn lost_packets(&self) -> u64 {
        self.lost_packets
    }

    /// When something sent here was last newly acknowledged.
    #[must_use]
    pub const fn last_acked(&self) -> Option<Instant> {
        self.last_acked
    }

    /// When the oldest packet in flight was sent.
    #[must_use]
    pub fn oldest_sent_at(&self, slots: &[SentSlot]) -> Option<Instant> {
        self.list.front(slots).map(|slot| slot.sent_at)
    }

    /// When a packet that wants an acknowledgement was last sent.
    #[must_use]
    pub const fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// Whether anything waits for an acknowledgement.
    #[must_use]
    pub const fn waiting(&self) -> bool {
        self.list.len() > 0
    }

    /// Whether a full packet may go now.
    #[must_use]
    pub fn allowance(&self, now: Instant) -> Allowance {
        let room = self.window().saturating_sub(self.in_flight);
        if room < self.datagram {
            return Allowance::Full;
        }
        let tokens = self.pacer.allowance(now);
        if tokens < self.datagram {
            let at = self.pacer.ready_at(self.datagram);
            return if at > now { Allowance::At(at) } else { Allowance::Now(self.datagram) };
        }
        Allowance::Now(room.min(tokens))
    }

    /// Enters a packet that was just sealed with [`Recovery::next_number`]. False when the table
    /// is full: ask [`SentTable::room`] before.
    pub fn on_sent(
        &mut self,
        bytes: u16,
        kind: SentKind,
        cargo: &[Carried],
        app_limited: bool,
        now: Instant,
        sent: &mut Sent<'_>,
    ) -> bool {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        if kind == SentKind::AckOnly {
            return true;
        }
        let probe = kind == SentKind::Probe && cargo.is_empty();
        if probe {
            self.forget_old_probe(sent);
        }
        let mut slot = SentSlot {
            number,
            sent_at: now,
            bytes,
            probe,
            app_limited,
            cargo: Cargo::from_slice(cargo).unwrap_or_default(),
            ..SentSlot::EMPTY
        };
        self.delivery.stamp(&mut slot, self.in_flight == 0);
        let kept = self.list.push(slot, sent);
        if kept {
            self.in_flight = self.in_flight.saturating_add(bytes.into());
            self.last_sent = Some(now);
            self.pacer.on_sent(bytes.into(), now);
        }
        kept
    }

    /// An acknowledgement arrived. `own_path`: over the path that it is about; only such ones tell
    /// its round trip. `each` is told what became of every item of cargo that this settles.
    pub fn on_ack(
        &mut self,
        ack: &Ack<'_>,
        own_path: bool,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> AckResult {
        if ack.largest >= self.next_number {
            return AckResult { invalid: true, ..AckResult::default() };
        }
        let before = self.in_flight;
        let (mut result, newest) = self.take_acked(ack, sent, each);
        result.news = Some(ack.largest) > self.largest_acked;
        if self.loss.on_ack(ack) {
            self.congestion.on_spurious();
        }
        if result.news {
            self.largest_acked = Some(ack.largest);
            self.last_acked = Some(now);
            self.probing_since = None;
        }
        let Some((number, newest, sent_at)) = newest else {
            if result.news {
                self.declare_lost(now, sent, each);
            }
            return result;
        };
        if own_path && number == ack.largest {
            self.rtt.update(now.since(sent_at), ack.delay().min(DELAY_MAX));
        }
        self.last_acked = Some(now);
        self.probing_since = None;
        let round_ended = self.delivery.on_acked(result.bytes, newest, now);
        // When the peer got it, as far as the spacing is concerned.
        let arrived = Instant::from_micros(
            now.as_micros().saturating_sub(ack.delay().min(DELAY_MAX).as_micros()),
        );
        let bottleneck =
            self.train.on_acked(result.bytes, sent_at, arrived, self.datagram, &self.rtt);
        if round_ended {
            self.train.restart();
        }
        let window = self.window();
        let acked = Acked {
            bytes: result.bytes,
            round_ended,
            window_limited: before.saturating_mul(4) >= window.saturating_mul(3),
            rate: self.delivery.rate(),
            bottleneck,
        };
        self.congestion.on_acked(acked, &self.rtt, now);
        self.declare_lost(now, sent, each);
        self.update_pacing(now);
        result
    }

    /// When `on_timeout` wants to be called.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        if !self.waiting() {
            return None;
        }
        let probe = self.probe_at();
        Some(self.loss.time().map_or(probe, |loss| loss.min(probe)))
    }

    /// The moment has come: packets are lost, or a probe is due.
    pub fn on_timeout(
        &mut self,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> TimeoutAction {
        if self.loss.time().is_some_and(|moment| moment <= now) {
            self.declare_lost(now, sent, each);
            self.update_pacing(now);
            return TimeoutAction::Lost;
        }
        if self.waiting() && self.probe_at() <= now {
            self.probing_since.get_or_insert(now);
            self.last_probe_timeout = Some(now);
            return TimeoutAction::Probe;
        }
        TimeoutAction::None
    }

    /// How long to wait for an acknowledgement before asking again (RFC 9002 section 6.2.1).
    #[must_use]
    pub fn probe_timeout(&self) -> Duration {
        let variation = (self.rtt.variation() * 4).max(Duration::from_millis(1));
        self.rtt.smoothed() + variation + DELAY_MAX
    }

    /// Hands out the cargo of every packet in flight that was not handed out before, so that it
    /// can be sent on another path. The packets stay in flight: they may still arrive.
    pub fn for_each_in_flight(&mut self, sent: &mut Sent<'_>, each: &mut dyn FnMut(Carried)) {
        self.list.sweep(sent, |slot| {
            if !slot.reinjected {
                slot.reinjected = true;
                slot.cargo.iter().for_each(|item| each(*item));
            }
            Visit::Keep
        });
    }

    /// The path is given up: hands out the cargo of everything in flight, and forgets it.
    pub fn drop_all(&mut self, sent: &mut Sent<'_>, each: &mut dyn FnMut(Carried)) {
        self.list.sweep(sent, |slot| {
            slot.cargo.iter().for_each(|item| each(*item));
            Visit::Remove
        });
        self.in_flight = 0;
        self.loss.clear();
    }

    /// The path answers again after a silence.
    pub fn on_resumed(&mut self, silent: Duration, now: Instant) {
        self.congestion.on_resumed(silent, now);
        self.update_pacing(now);
    }

    /// The path leads elsewhere now: what was learnt of it is void.
    pub fn on_moved(&mut self, now: Instant) {
        self.rtt = Rtt::new();
        self.delivery = Delivery::new(now);
        let datagram = u16::try_from(self.datagram).unwrap_or(u16::MAX);
        self.congestion = RateFloorCubic::new(datagram);
        self.update_pacing(now);
    }

    fn take_acked(
        &mut self,
        ack: &Ack<'_>,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> (AckResult, Option<(u64, Newest, Instant)>) {
        // Highest first, so that the lowest is popped off the end as the walk goes up.
        let mut ranges: Vec<_, ACK_RANGES_MAX> = Vec::new();
        for range in ack.iter() {
            let _ = ranges.push(range);
        }
        let mut result = AckResult::default();
        let mut newest = None;
        let lengths = &mut self.loss.lengths;
        self.list.sweep(sent, |slot| {
            while ranges.last().is_some_and(|range| *range.end() < slot.number) {
                ranges.pop();
            }
            match ranges.last() {
                None => Visit::Stop,
                Some(range) if !range.contains(&slot.number) => Visit::Keep,
                Some(_) => {
                    result.packets = result.packets.saturating_add(1);
                    result.bytes = result.bytes.saturating_add(slot.bytes.into());
                    newest = Some((slot.number, Newest::of(slot), slot.sent_at));
                    lengths.on_acked(slot.number, slot.bytes);
                    slot.cargo.iter().for_each(|item| each(Fate::Acked, *item));
                    Visit::Remove
                }
            }
        });
        self.in_flight = self.in_flight.saturating_sub(result.bytes);
        (result, newest)
    }

    fn declare_lost(
        &mut self,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) {
        let Some(largest) = self.largest_acked else { return };
        let lost = self.loss.declare(largest, &self.rtt, now, &mut self.list, sent, each);
        self.in_flight = self.in_flight.saturating_sub(lost.bytes);
        self.lost_packets = self.lost_packets.saturating_add(lost.packets.into());
        if let Some(sent_at) = lost.newest_sent_at {
            let rate = self.delivery.rate();
            self.congestion.on_lost(lost.packets, sent_at, rate, &self.rtt, now);
        }
    }

    /// A silent path is probed again and again; the newest probe stands for all. An answer to one
    /// that is forgotten is still heard: its number is newer than all acknowledged before.
    fn forget_old_probe(&mut self, sent: &mut Sent<'_>) {
        let mut bytes = 0_u64;
        self.list.sweep(sent, |slot| {
            if !slot.probe {
                return Visit::Keep;
            }
            bytes = bytes.saturating_add(slot.bytes.into());
            Visit::Remove
        });
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// When the next probe is due. There is no backoff in the first seconds of a silence: a path
    /// that returns should be found at once.
    fn probe_at(&self) -> Instant {
        let from = self.last_sent.max(self.last_probe_timeout).unwrap_or(Instant::ZERO);
        let long = self.probing_since.is_some_and(|since| from.since(since) > EAGER);
        let wait = self.probe_timeout().max(PROBE_MIN);
        from + if long { wait.max(PROBE_SLOW) } else { wait }
    }

    fn window_rate(&self) -> u64 {
        let micros = self.rtt.smoothed().as_micros().max(1);
        self.window().saturating_mul(1_000_000).checked_div(micros).unwrap_or(0)
    }

    fn update_pacing(&mut self, now: Instant) {
        let base = self.window_rate();
        // Twice the rate lets slow start double; later a quarter more lets the window decide.
        let rate = if self.congestion.in_slow_start() {
            base.saturating_mul(2)
        } else {
            base.saturating_add(base / 4)
        };
        self.pacer.set_rate(rate, self.datagram, now);
    }
}

/// The longest that a peer of ours holds an acknowledgement back, with room for its scheduling.
const DELAY_MAX: Duration = Duration::from_millis(10);
const PROBE_MIN: Duration = Duration::from_millis(20);
const PROBE_SLOW: Duration = Duration::from_secs(1);
/// How long a silent path is probed without backing off.
const EAGER: Duration = Duration::from_secs(10);
