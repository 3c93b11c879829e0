//! Which packets are lost (RFC 9002 section 6.1): those sent well before one that arrived, by
//! number or by time.
//!
//! "Well before" adapts: when a packet that was declared lost arrives after all, the path reorders
//! by that much, and both thresholds widen.

use super::Fate;
use super::lengths::Lengths;
use super::rtt::Rtt;
use super::sent::{List, Sent, Visit};
use crate::carried::Carried;
use crate::time::{Duration, Instant};
use crate::wire::Ack;
use heapless::Deque;

/// Loss detection of one path.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    packet_threshold: u64,
    /// In eighths of the round trip.
    time_eighths: u64,
    /// When the next packet is lost by time.
    time: Option<Instant>,
    /// The last packets declared lost, and how many numbers were acknowledged past them.
    declared: Deque<(u64, u64), DECLARED_MAX>,
    pub(super) lengths: Lengths,
}

/// What was declared lost in one go.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) packets: u32,
    pub(super) bytes: u64,
    pub(super) newest_sent_at: Option<Instant>,
}

impl Loss {
    pub(super) const fn new() -> Self {
        Self {
            packet_threshold: PACKET_THRESHOLD,
            time_eighths: TIME_EIGHTHS,
            time: None,
            declared: Deque::new(),
            lengths: Lengths::new(),
        }
    }

    pub(super) const fn time(&self) -> Option<Instant> {
        self.time
    }

    pub(super) const fn clear(&mut self) {
        self.time = None;
    }

    /// Whether the acknowledgement covers a packet that was declared lost: it was only late.
    pub(super) fn on_ack(&mut self, ack: &Ack<'_>) -> bool {
        let mut spurious = false;
        for _ in 0..self.declared.len() {
            let Some((number, behind)) = self.declared.pop_front() else { break };
            if number <= ack.largest && ack.iter().any(|range| range.contains(&number)) {
                spurious = true;
                let widened = behind.saturating_add(behind / 2).saturating_add(1);
                self.packet_threshold =
                    self.packet_threshold.max(widened.min(PACKET_THRESHOLD_MAX));
                self.time_eighths = self.time_eighths.saturating_add(1).min(TIME_EIGHTHS_MAX);
            } else {
                let _ = self.declared.push_back((number, behind));
            }
        }
        spurious
    }

    /// Takes the lost packets off the list; `each` gets their cargo.
    pub(super) fn declare(
        &mut self,
        largest_acked: u64,
        rtt: &Rtt,
        now: Instant,
        list: &mut List,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Fate, Carried),
    ) -> Lost {
        let patience = rtt.smoothed().max(rtt.latest()) * self.time_eighths / 8;
        let patience = patience.max(GRANULARITY);
        let mut lost = Lost::default();
        self.time = None;
        list.sweep(sent, |slot| {
            if slot.number > largest_acked {
                return Visit::Stop;
            }
            let behind = largest_acked.saturating_sub(slot.number);
            let lost_at = slot.sent_at + patience;
            if behind < self.packet_threshold && lost_at > now {
                let earliest = self.time.map_or(lost_at, |time| time.min(lost_at));
                self.time = Some(earliest);
                return Visit::Keep;
            }
            lost.bytes = lost.bytes.saturating_add(slot.bytes.into());
            // That a length does not pass says nothing of congestion.
            if !slot.cargo.iter().any(|item| matches!(item, Carried::LengthProbe(_))) {
                lost.packets = lost.packets.saturating_add(1);
                lost.newest_sent_at = lost.newest_sent_at.max(Some(slot.sent_at));
                self.lengths.on_lost(slot.number, slot.bytes);
            }
            if self.declared.is_full() {
                self.declared.pop_front();
            }
            let _ = self.declared.push_back((slot.number, behind));
            // What was handed out for another path is on its way already.
            if !slot.reinjected {
                slot.cargo.iter().for_each(|item| each(Fate::Lost, *item));
            }
            Visit::Remove
        });
        lost
    }
}

const PACKET_THRESHOLD: u64 = 3;
const PACKET_THRESHOLD_MAX: u64 = 256;
/// 9/8 of a round trip.
const TIME_EIGHTHS: u64 = 9;
const TIME_EIGHTHS_MAX: u64 = 14;
const GRANULARITY: Duration = Duration::from_millis(1);
const DECLARED_MAX: usize = 16;
