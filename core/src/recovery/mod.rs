//! Loss recovery and congestion control of one path (RFC 9002), rank 2.
//!
//! ```text
//!   on_sent ──> sent ──────────────┐               rtt        how long a round trip takes
//!   on_ack ───> acked ──> delivery ┼─> congestion  delivery   how fast packets arrive
//!   on_timeout  lost  <── loss ────┘      │        loss       which packets are lost
//!      probe <── silence             pacing <──────┘          when the next may leave
//! ```
//!
//! [`Recovery`] only puts these together: each part stands in its own file and is tested alone.
//! The bytes of packets are not here; a packet names what it carried ([`Carried`]), and whoever
//! owns that hears whether it arrived or was lost. The receiving side of a path is [`Acks`].

mod acks;
mod bounded_cubic;
mod congestion;
mod courtesy;
mod cubic;
mod delivery;
mod drain;
mod leftover;
mod lengths;
mod loss;
mod pacing;
mod probe;
mod rtt;
mod sent;
mod settle;
mod slow_start;
mod tolerance;
mod train;

use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::packet_number::PacketNumber;
use crate::recovery::bounded_cubic::BoundedCubic;
use crate::recovery::congestion::Congestion;
use crate::recovery::delivery::Delivery;
use crate::recovery::loss::LossDetector;
use crate::recovery::pacing::Pacer;
use crate::recovery::probe::ProbeTimer;
use crate::recovery::sent::Flight;
use crate::time::{Duration, Instant};
use crate::wire::Ack;

pub use acks::{Acks, broken_off_after};
pub use leftover::Leftover;
pub use rtt::Rtt;
pub use sent::{Packet, Sent, SentSlot, SentTable};

/// Loss recovery, congestion control and pacing of one path.
#[derive(Debug)]
pub struct Recovery {
    /// Round-trip times.
    pub rtt: Rtt,
    /// What happened so far.
    pub stats: RecoveryStats,
    congestion: BoundedCubic,
    pacer: Pacer,
    delivery: Delivery,
    loss: LossDetector,
    probe: ProbeTimer,
    flight: Flight,
    next: PacketNumber,
    largest_acked: Option<PacketNumber>,
    loss_at: Option<Instant>,
    newly_acked_at: Option<Instant>,
    eliciting_sent_at: Option<Instant>,
    ack_delay_max: Duration,
    datagram_bytes: u16,
}

/// What may be sent on a path now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many bytes.
    Now(u64),
    /// Nothing before this moment: packets are paced.
    At(Instant),
    /// Nothing until something is acknowledged or lost: the window is full.
    Full,
}

/// What kind of packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// Asks for an acknowledgement and counts against the window.
    Data,
    /// The same, but may exceed the window.
    Probe,
    /// Only acknowledges: neither kept nor counted.
    AckOnly,
}

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Acked,
    /// It is to be sent again, if it still matters.
    Lost,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckResult {
    /// Bytes newly acknowledged.
    pub newly_acked: u64,
    /// Packets newly acknowledged.
    pub packets: u32,
    /// Whether it gave a round-trip sample.
    pub rtt_sample: bool,
    /// Whether it acknowledged anything not acknowledged before, also packets that are no longer
    /// kept: a sign of life of the path.
    pub progress: bool,
    /// Bytes found lost by it.
    pub lost_bytes: u64,
    /// It acknowledges a packet that was never sent: the peer breaks the protocol. Nothing was done.
    pub invalid: bool,
}

/// What a timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutAction {
    /// Nothing: it was too early.
    None,
    /// Packets were found lost and reported.
    Lost,
    /// Send a packet that asks for an acknowledgement ([`SentKind::Probe`]), whatever the window.
    /// Packets may have been found lost and reported, too.
    Probe,
}

/// Counters of one path's sending side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecoveryStats {
    /// Packets sent, of every kind.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Packets declared lost that had only been late.
    pub late_packets: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
}

impl Recovery {
    /// A path of which nothing is known; full packets have `datagram_bytes`.
    #[must_use]
    pub fn new(datagram_bytes: u16, now: Instant) -> Self {
        Self::with_round_trip(datagram_bytes, None, now)
    }

    /// The same, with a first round-trip sample from the handshake or the path's validation.
    #[must_use]
    pub fn with_round_trip(datagram_bytes: u16, first: Option<Duration>, now: Instant) -> Self {
        let rtt = Rtt::new(first, now);
        let congestion = BoundedCubic::new(datagram_bytes, now);
        let pacer = Pacer::new(congestion.pacing_rate(&rtt), u64::from(datagram_bytes), now);
        Self {
            rtt,
            stats: RecoveryStats::default(),
            congestion,
            pacer,
            delivery: Delivery::new(now),
            loss: LossDetector::new(),
            probe: ProbeTimer::new(),
            flight: Flight::new(),
            next: PacketNumber(0),
            largest_acked: None,
            loss_at: None,
            newly_acked_at: None,
            eliciting_sent_at: None,
            ack_delay_max: ACK_DELAY_MAX,
            datagram_bytes,
        }
    }

    /// The number of the next packet.
    #[must_use]
    pub const fn next_number(&self) -> PacketNumber {
        self.next
    }

    /// The largest number that the peer has acknowledged.
    #[must_use]
    pub const fn largest_acked(&self) -> Option<PacketNumber> {
        self.largest_acked
    }

    /// What may be sent now.
    #[must_use]
    pub fn allowance(&self, now: Instant) -> Allowance {
        let room = self.congestion.window().minus(self.flight.bytes());
        if room < u64::from(self.datagram_bytes) {
            return Allowance::Full;
        }
        match self.pacer.allowance(now) {
            Ok(bytes) => Allowance::Now(bytes.min(room)),
            Err(at) => Allowance::At(at),
        }
    }

    /// A packet left with the number [`Recovery::next_number`], which is used up by it.
    /// `app_limited`: there was nothing more to send. `false`: the table is full and nobody will
    /// hear of this packet's fate; look at [`Sent::room`] first.
    pub fn on_sent(
        &mut self,
        bytes: u16,
        kind: SentKind,
        cargo: &[Carried],
        app_limited: bool,
        now: Instant,
        sent: &mut Sent<'_>,
    ) -> bool {
        let number = self.next;
        self.next = number.next();
        self.stats.sent_packets = self.stats.sent_packets.plus(1);
        self.pacer.on_sent(u64::from(bytes), now);
        if kind == SentKind::AckOnly {
            return true;
        }
        self.eliciting_sent_at = Some(now);
        let probe = kind == SentKind::Probe;
        if probe {
            self.flight.forget_probes(sent);
        }
        let stamp = self.delivery.on_sent(self.flight.bytes(), app_limited, now);
        let mut items = Cargo::new();
        for item in cargo {
            let kept = items.push(*item);
            debug_assert!(kept.is_ok(), "a packet carries at most CARRIED_MAX items");
        }
        let packet = Packet {
            number,
            sent_at: Some(now),
            stamp,
            bytes,
            probe,
            offered: false,
            cargo: items,
        };
        let kept = self.flight.push(packet, sent);
        self.congestion.on_sent(self.flight.bytes());
        kept
    }

    /// An acknowledgement of this path's packets came back on this path. `ack_delay_max` is the
    /// longest delay that the peer promised; `each` hears the fate of every item.
    pub fn on_ack(
        &mut self,
        ack: &Ack<'_>,
        ack_delay_max: Duration,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> AckResult {
        self.ack_delay_max = ack_delay_max;
        self.process_ack(ack, true, now, sent, each)
    }

    /// The same for an acknowledgement that came back on another path: it says what arrived, but
    /// its time says nothing of this path's round trip.
    pub fn on_ack_elsewhere(
        &mut self,
        ack: &Ack<'_>,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> AckResult {
        self.process_ack(ack, false, now, sent, each)
    }

    /// When [`Recovery::on_timeout`] is to be called: packets are overdue, or silence is long
    /// enough to ask.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.loss_at.or_else(|| self.probe_deadline())
    }

    /// Time has passed.
    pub fn on_timeout(
        &mut self,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> TimeoutAction {
        let mut lost = 0;
        if let Some(at) = self.loss_at {
            if at > now {
                return TimeoutAction::None;
            }
            lost = self.detect_lost(now, sent, each);
        }
        // What is left may have been silent for so long, behind what was overdue, that it is asked too.
        if self.loss_at.is_some() || self.probe_deadline().is_none_or(|at| at > now) {
            return if lost > 0 { TimeoutAction::Lost } else { TimeoutAction::None };
        }
        let since = self.silence_began().unwrap_or(now);
        self.probe.on_expired(since, now);
        self.stats.probe_timeouts = self.stats.probe_timeouts.plus(1);
        TimeoutAction::Probe
    }

    /// Names what is in flight, oldest first, so that other paths may carry it too. Each packet is
    /// named by one call only; it stays in flight, and whoever hears of it sends it elsewhere, so
    /// that nothing is said if it is found lost later.
    pub fn for_each_in_flight(&mut self, sent: &mut Sent<'_>, each: &mut dyn FnMut(Carried)) {
        self.flight.offer(sent, |packet| packet.cargo.iter().for_each(|item| each(*item)));
    }

    /// What this symbol contained has arrived, though the packet that carried it may not: the items
    /// after the symbol are taken out of the packet, for `each`. The packet stays in flight, to be
    /// acknowledged or lost. False: it is not in flight here.
    pub fn unload(
        &mut self,
        symbol: u32,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Carried),
    ) -> bool {
        self.flight.unload(symbol, sent, each)
    }

    /// Gives up everything in flight, oldest first, without a word to congestion control: nobody
    /// waits for it any more.
    pub fn drop_all(&mut self, sent: &mut Sent<'_>, each: &mut dyn FnMut(Carried)) {
        while let Some(at) = self.flight.first() {
            self.flight.remove(at, sent);
            if let Some(packet) = sent.packet(at) {
                packet.cargo.iter().for_each(|item| each(*item));
            }
        }
        self.loss_at = None;
    }

    /// The path answers again after `stalled` of silence. A short stall is forgotten; after a long
    /// one the window starts small again and doubles up to what it was.
    pub fn on_resumed(&mut self, stalled: Duration, _now: Instant) {
        self.congestion.on_resumed(stalled, &self.rtt);
        self.update_pacing();
    }

    /// The path leads elsewhere now: what was learnt of it is void. Packets stay in flight.
    pub fn on_moved(&mut self, now: Instant) {
        self.rtt = Rtt::new(None, now);
        self.congestion = BoundedCubic::new(self.datagram_bytes, now);
        self.loss = LossDetector::new();
        self.update_pacing();
    }

    /// Whether anything waits for an acknowledgement.
    #[must_use]
    pub fn waiting(&self) -> bool {
        self.flight.oldest_sent_at().is_some()
    }

    /// When the oldest packet in flight was sent.
    #[must_use]
    pub fn oldest_unacked_sent_at(&self) -> Option<Instant> {
        self.flight.oldest_sent_at()
    }

    /// When something was last acknowledged that had not been before.
    #[must_use]
    pub const fn last_newly_acked(&self) -> Option<Instant> {
        self.newly_acked_at
    }

    /// When the last packet was sent that asks for an acknowledgement.
    #[must_use]
    pub const fn last_eliciting_sent(&self) -> Option<Instant> {
        self.eliciting_sent_at
    }

    /// How long to wait for an acknowledgement before asking for one.
    #[must_use]
    pub fn probe_timeout(&self) -> Duration {
        self.rtt.probe_timeout(self.ack_delay_max)
    }

    /// Bytes a second that the path is believed to carry.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.congestion.rate(&self.rtt).min(self.pacer.line_rate().unwrap_or(u64::MAX))
    }

    /// The link carries so many bytes a second, if that is known: packets are paced to it.
    pub fn set_line_rate(&mut self, rate: Option<u32>) {
        self.pacer.set_line_rate(rate.map(u64::from));
    }

    /// How long the link itself takes for what is in flight, and for one full packet that may
    /// stand before the acknowledgement; zero where its rate is not known.
    #[must_use]
    pub fn time_on_line(&self) -> Duration {
        let bytes = self.flight.bytes().plus(u64::from(self.datagram_bytes));
        self.pacer.line_rate().map_or(Duration::ZERO, |rate| Duration::of_bytes(bytes, rate))
    }

    /// Bytes a second that the path was seen to deliver of late; zero if nothing was seen.
    #[must_use]
    pub fn delivery_rate(&self) -> u64 {
        self.congestion.delivery_rate()
    }

    /// Most bytes in flight.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.congestion.window()
    }

    /// Bytes in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.flight.bytes()
    }

    /// Long packets that were lost in a row while shorter ones arrived.
    #[must_use]
    pub const fn long_losses(&self) -> u16 {
        self.loss.lengths.lost()
    }

    /// What was sent so far says nothing of the lengths that pass.
    pub const fn forget_long_losses(&mut self) {
        self.loss.lengths.restart(self.next.0);
    }

    /// The size of a full packet changed.
    pub fn set_datagram_bytes(&mut self, bytes: u16) {
        self.datagram_bytes = bytes;
        self.congestion.set_datagram_bytes(bytes);
        self.update_pacing();
    }
}

impl Recovery {
    /// The later of the last progress and the sending of the oldest packet in flight.
    fn silence_began(&self) -> Option<Instant> {
        let oldest = self.oldest_unacked_sent_at()?;
        Some(self.newly_acked_at.map_or(oldest, |at| at.max(oldest)))
    }

    fn probe_deadline(&self) -> Option<Instant> {
        Some(self.probe.deadline(self.silence_began()?, self.probe_timeout()))
    }

    fn update_pacing(&mut self) {
        let rate = self.congestion.pacing_rate(&self.rtt);
        self.pacer.set_rate(rate, u64::from(self.datagram_bytes));
    }
}

/// What a peer is taken to promise before it says otherwise: `Config::acknowledgement_delay`'s
/// default.
const ACK_DELAY_MAX: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
