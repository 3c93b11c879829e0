//! What we owe the peer on one path: which of its packets arrived, and when it must hear so.
//!
//! An acknowledgement goes out at once when packets come out of order, since the peer may be
//! waiting to see a loss; else with every second packet, but not more often than once a
//! millisecond, so that a fast path does not drown in them; and a lone packet waits for company
//! no longer than the configured delay (RFC 9000 section 13.2).

use crate::id::PathId;
use crate::packet_number::PacketNumber;
use crate::time::{Duration, Instant};
use crate::wire::{ACK_RANGES_MAX, Writer, encode_ack};
use heapless::Vec;

/// The acknowledgements of one path.
#[derive(Clone, Debug)]
pub struct Acks {
    /// Inclusive ranges of numbers that arrived, lowest first, never touching.
    ranges: Vec<(u64, u64), ACK_RANGES_MAX>,
    largest_at: Instant,
    /// Packets that want an acknowledgement and have not been told of.
    waiting: u32,
    deadline: Option<Instant>,
    /// The deadline has come.
    overdue: bool,
    told_at: Instant,
    /// Packets so far; the first ones are acknowledged eagerly, for the peer's slow start.
    packets: u32,
    delay: Duration,
}

impl Acks {
    /// Nothing arrived yet. A lone packet waits for at most `delay`.
    #[must_use]
    pub const fn new(delay: Duration) -> Self {
        Self {
            ranges: Vec::new(),
            largest_at: Instant::ZERO,
            waiting: 0,
            deadline: None,
            overdue: false,
            told_at: Instant::ZERO,
            packets: 0,
            delay,
        }
    }

    /// A packet arrived and was taken whole.
    pub fn on_packet(&mut self, number: PacketNumber, ack_eliciting: bool, now: Instant) {
        let largest = self.ranges.last().map(|(_, end)| *end);
        let in_order = largest.is_none_or(|largest| number.0 == largest.saturating_add(1));
        if largest.is_none_or(|largest| number.0 > largest) {
            self.largest_at = now;
        }
        self.insert(number.0);
        self.packets = self.packets.saturating_add(1);
        if !ack_eliciting {
            return;
        }
        self.waiting = self.waiting.saturating_add(1);
        let when = if !in_order || self.waiting >= WAITING_MAX {
            now
        } else if self.waiting >= 2 {
            if self.packets < EAGER_PACKETS { now } else { self.told_at + SPACING }
        } else {
            now + self.delay
        };
        self.deadline = Some(self.deadline.map_or(when, |deadline| deadline.min(when)));
    }

    /// When the peer must hear.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it must hear now.
    #[must_use]
    pub fn due(&self, now: Instant) -> bool {
        self.overdue || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// A deadline that has come is no longer one: the peer hears as soon as it can.
    pub fn on_timeout(&mut self, now: Instant) {
        self.overdue = self.due(now);
        self.deadline = self.deadline.filter(|deadline| *deadline > now);
    }

    /// Whether there is anything that it has not heard.
    #[must_use]
    pub const fn pending(&self) -> bool {
        self.waiting > 0
    }

    /// Writes an acknowledgement of everything that arrived; returns the largest number in it, or
    /// `None` when there is none or it does not fit.
    pub fn write(&mut self, path: PathId, writer: &mut Writer<'_>, now: Instant) -> Option<u64> {
        let Some((_, largest)) = self.ranges.last().copied() else {
            self.told(now);
            return None;
        };
        let held = now.since(self.largest_at);
        let ranges = self.ranges.iter().rev().map(|(start, end)| *start..=*end);
        encode_ack(writer, path, held, ranges).ok()?;
        self.told(now);
        Some(largest)
    }

    /// Nothing is left to tell.
    const fn told(&mut self, now: Instant) {
        self.waiting = 0;
        self.deadline = None;
        self.overdue = false;
        self.told_at = now;
    }

    /// The peer has seen an acknowledgement up to `largest`: what it held need not be repeated.
    pub fn on_ack_of_ack(&mut self, largest: u64) {
        self.ranges.retain_mut(|(start, end)| {
            *start = (*start).max(largest.saturating_add(1));
            *start <= *end
        });
    }

    fn insert(&mut self, number: u64) {
        // From the top, where nearly every packet belongs.
        let place = self.ranges.iter().rposition(|(start, _)| *start <= number);
        if let Some((_, end)) = place.and_then(|place| self.ranges.get_mut(place)) {
            if number <= *end {
                return;
            }
            if number == end.saturating_add(1) {
                *end = number;
                self.join_above(place.unwrap_or(0));
                return;
            }
        }
        let above = place.map_or(0, |place| place.saturating_add(1));
        if let Some((start, _)) = self.ranges.get_mut(above)
            && *start == number.saturating_add(1)
        {
            *start = number;
            return;
        }
        if self.ranges.is_full() {
            // The oldest matters least: the peer has long heard of it or sent it again.
            self.shift_down(above, number);
        } else if above <= self.ranges.len() {
            let _ = self.ranges.insert(above, (number, number));
        }
    }

    /// Closes the gap between a range that grew and the one above it.
    fn join_above(&mut self, place: usize) {
        let above = place.saturating_add(1);
        let Some((start, end)) = self.ranges.get(above).copied() else { return };
        let Some(grown) = self.ranges.get_mut(place) else { return };
        if grown.1.saturating_add(1) == start {
            grown.1 = end;
            // No two ranges begin with the same number.
            self.ranges.retain(|range| range.0 != start);
        }
    }

    /// Inserts below `above` by dropping the lowest range.
    fn shift_down(&mut self, above: usize, number: u64) {
        let Some(last) = above.checked_sub(1) else { return };
        for place in 0..last {
            let next = self.ranges.get(place.saturating_add(1)).copied();
            if let (Some(slot), Some(next)) = (self.ranges.get_mut(place), next) {
                *slot = next;
            }
        }
        if let Some(slot) = self.ranges.get_mut(last) {
            *slot = (number, number);
        }
    }
}

/// However fast packets come, this many are not left waiting.
const WAITING_MAX: u32 = 32;
const SPACING: Duration = Duration::from_millis(1);
const EAGER_PACKETS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, Frames};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;

    fn told(acks: &mut Acks) -> BTreeSet<u64> {
        let mut bytes = vec![0; 1_200];
        let mut writer = Writer::new(&mut bytes);
        acks.write(PathId(0), &mut writer, Instant::ZERO).unwrap();
        let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.as_slice()).next() else { panic!() };
        ack.iter().flatten().collect()
    }

    proptest! {
        /// What is told is what arrived, or, beyond 32 ranges, the newest part of it.
        #[test]
        fn tells_what_arrived(numbers in prop::collection::vec(0_u64..200, 1..300)) {
            let mut acks = Acks::new(Duration::from_millis(5));
            let mut model = BTreeSet::new();
            let mut overflowed = false;
            for number in numbers {
                acks.on_packet(PacketNumber(number), true, Instant::ZERO);
                model.insert(number);
                let told = told(&mut acks);
                prop_assert!(told.is_subset(&model));
                prop_assert!(told.contains(&number) || told.len() >= 32);
                overflowed |= acks.ranges.is_full();
                prop_assert!(overflowed || told == model);
            }
        }
    }

    #[test]
    fn gaps_are_told_at_once_and_lone_packets_wait() {
        let mut acks = Acks::new(Duration::from_millis(5));
        let now = Instant::from_micros(1_000_000);
        acks.on_packet(PacketNumber(0), true, now);
        assert!(!acks.due(now));
        assert_eq!(acks.deadline(), Some(now + Duration::from_millis(5)));
        acks.on_packet(PacketNumber(2), true, now);
        assert!(acks.due(now));
    }

    #[test]
    fn packets_that_want_no_acknowledgement_cause_none() {
        let mut acks = Acks::new(Duration::from_millis(5));
        acks.on_packet(PacketNumber(0), false, Instant::ZERO);
        assert_eq!(acks.deadline(), None);
    }

    #[test]
    fn what_the_peer_has_seen_is_not_repeated() {
        let mut acks = Acks::new(Duration::from_millis(5));
        for number in [0, 1, 2, 5, 6] {
            acks.on_packet(PacketNumber(number), true, Instant::ZERO);
        }
        acks.on_ack_of_ack(5);
        assert_eq!(told(&mut acks), BTreeSet::from([6]));
    }
}
