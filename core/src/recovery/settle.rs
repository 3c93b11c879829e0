//! Settling what became of packets: an acknowledgement takes some out of the table, and shows that
//! others are lost.
//!
//! ```text
//!   in flight, oldest first    12 13 14 15 16 17 18 19 20
//!   acknowledged                  13    15 16 17    19          one walk from the old end
//!   then lost                  12    14                         overtaken by three, or overdue
//! ```
//!
//! Each walk costs what it takes and what it steps over, not what is in flight: the first ends with
//! the largest number acknowledged, the second with the first packet that is not lost. What is
//! stepped over is late, and leaves the list soon.

use crate::arithmetic::Wide;
use crate::carried::Carried;
use crate::packet_number::PacketNumber;
use crate::recovery::congestion::{Acked, Congestion, Lost};
use crate::recovery::sent::{Flight, Sent};
use crate::recovery::{AckResult, Fate, Recovery};
use crate::storage::slots::SlotIndex;
use crate::time::Instant;
use crate::wire::{ACK_RANGES_MAX, Ack};

impl Recovery {
    pub(super) fn process_ack(
        &mut self,
        ack: &Ack<'_>,
        own_path: bool,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> AckResult {
        if ack.largest >= self.next.0 {
            return AckResult { invalid: true, ..AckResult::default() };
        }
        let largest = PacketNumber(ack.largest);
        let mut result = AckResult::default();
        if self.largest_acked.is_none_or(|before| before < largest) {
            self.largest_acked = Some(largest);
            result.progress = true;
        }
        let newest = self.take_acked(ack, now, sent, each, &mut result);
        let (late, late_bytes) = self.take_late(ack, now);
        result.progress |= result.packets > 0 || late > 0;
        if result.progress {
            self.newly_acked_at = Some(now);
            self.probe.on_answer();
        }
        let delay = ack.delay().min(self.ack_delay_max);
        let mut round_trip = None;
        if let Some((number, sent_at)) = newest
            && own_path
            && number == largest
        {
            let sample = now.since(sent_at);
            self.rtt.on_sample(sample, delay, now);
            round_trip = Some(sample - delay);
            result.rtt_sample = true;
        }
        if late > 0 {
            self.congestion.on_late(late, late_bytes);
        }
        let sample = self.delivery.finish(self.rtt.min(), now);
        if sample.round_ended {
            self.loss.on_round(&self.rtt, now);
        }
        result.lost_bytes = self.detect_lost(now, sent, each);
        if let Some((_, newest_sent_at)) = newest {
            let acked = Acked {
                bytes: result.newly_acked,
                newest_sent_at,
                sample,
                rtt: round_trip,
                arrived: now - delay,
                in_flight: self.flight.bytes(),
            };
            self.congestion.on_acked(&acked, &mut self.rtt, now);
            self.update_pacing();
        }
        result
    }

    /// Takes every packet that `ack` names out of the table, in one walk along the path's list.
    /// Returns the newest packet taken.
    fn take_acked(
        &mut self,
        ack: &Ack<'_>,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
        result: &mut AckResult,
    ) -> Option<(PacketNumber, Instant)> {
        let mut at = self.flight.first();
        let oldest = sent.packet(at?)?.number.0;
        let mut ranges = heapless::Vec::<(u64, u64), ACK_RANGES_MAX>::new();
        for range in ack.iter().take_while(|range| *range.end() >= oldest) {
            if ranges.push((*range.start(), *range.end())).is_err() {
                break;
            }
        }
        let mut newest = None;
        for &(low, high) in ranges.iter().rev() {
            while let Some(here) = at {
                let Some(packet) = sent.packet(here) else { break };
                if packet.number.0 > high {
                    break;
                }
                if packet.number.0 < low {
                    at = Flight::next(here, sent);
                } else {
                    newest = Some((packet.number, packet.sent_at()));
                    at = self.take(here, now, sent, each, result);
                }
            }
        }
        newest
    }

    /// Takes one acknowledged packet out. Returns the place of the next.
    fn take(
        &mut self,
        at: SlotIndex,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
        result: &mut AckResult,
    ) -> Option<SlotIndex> {
        let next = self.flight.remove(at, sent);
        let packet = sent.packet(at)?;
        let bytes = u64::from(packet.bytes);
        self.delivery.on_acked(packet.stamp, packet.sent_at(), packet.bytes, now);
        self.loss.lengths.on_acked(packet.number.0, packet.bytes);
        result.newly_acked = result.newly_acked.plus(bytes);
        result.packets = result.packets.saturating_add(1);
        packet.cargo.iter().for_each(|item| each(Fate::Acked, *item));
        next
    }

    /// Finds packets in `ack` that had been declared lost. Returns how many, and their bytes.
    fn take_late(&mut self, ack: &Ack<'_>, now: Instant) -> (u32, u64) {
        if !self.loss.remembers() {
            return (0, 0);
        }
        let (mut packets, mut bytes): (u32, u64) = (0, 0);
        let largest = self.largest_acked.unwrap_or_default();
        for range in ack.iter() {
            let bounds = (*range.start(), *range.end());
            self.loss.find_late(bounds, largest, &self.rtt, now, |late: u16| {
                packets = packets.saturating_add(1);
                bytes = bytes.plus(u64::from(late));
                self.delivery.on_late(late);
            });
        }
        self.stats.late_packets = self.stats.late_packets.plus(u64::from(packets));
        (packets, bytes)
    }

    /// Declares lost what is overtaken or overdue, and sets the time at which the next will be.
    /// Packets are in the order of their sending, so the first that is not lost ends the search.
    pub(super) fn detect_lost(
        &mut self,
        now: Instant,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> u64 {
        self.loss_at = None;
        let Some(largest) = self.largest_acked else { return 0 };
        let patience = self.loss.overdue_after(&self.rtt);
        let mut lost = Lost { bytes: 0, packets: 0, newest_sent_at: now };
        let mut lost_bytes: u64 = 0;
        while let Some(at) = self.flight.first() {
            let Some(packet) = sent.packet(at) else { break };
            if packet.number > largest {
                break;
            }
            let overdue_at = packet.sent_at() + patience;
            // A symbol is worth waiting for: a sum may be under way that gives it back.
            let overtaken = !packet.is_symbol() && self.loss.overtaken(packet.number, largest);
            if overdue_at > now && !overtaken {
                self.loss_at = Some(overdue_at);
                break;
            }
            self.flight.remove(at, sent);
            let Some(packet) = sent.packet(at) else { break };
            self.loss.declare(packet.number, packet.sent_at(), packet.bytes);
            // That a length does not pass is found out, not suffered.
            if !packet.cargo.iter().any(|item| matches!(item, Carried::LengthProbe(_))) {
                self.stats.lost_packets = self.stats.lost_packets.plus(1);
            }
            lost_bytes = lost_bytes.plus(u64::from(packet.bytes));
            // A lost probe says only what its timeout said before: the path was silent.
            if !packet.probe {
                self.loss.lengths.on_lost(packet.number.0, packet.bytes);
                lost.bytes = lost.bytes.plus(u64::from(packet.bytes));
                lost.packets = lost.packets.saturating_add(1);
                lost.newest_sent_at = packet.sent_at();
            }
            // What was offered to other paths is on its way already.
            if !packet.offered {
                packet.cargo.iter().for_each(|item| each(Fate::Lost, *item));
            }
        }
        if lost.packets > 0 {
            self.congestion.on_lost(&lost, &self.rtt, now);
            self.update_pacing();
        }
        lost_bytes
    }
}
