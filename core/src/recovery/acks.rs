//! What we owe the peer on one path: which of its packets arrived, and when to say so.
//!
//! An acknowledgement leaves at once when it is news that the sender must not wait for: a packet
//! out of order, a gap, the first packets of a path while the sender's window still doubles. Else
//! it waits for company: every second packet on a slow path, at most one acknowledgement a
//! millisecond on a fast one, none later than the promised delay (RFC 9000 section 13.2).
//!
//! Packets that came thick and fast and then stop may mean that the way in has broken off, and the
//! last acknowledgements with it: see [`Acks::broken_off_at`].
//!
//! Ranges are told until the peer is known to have heard them, or until newer ones push them out.

use crate::arithmetic::Wide;
use crate::id::PathId;
use crate::packet_number::PacketNumber;
use crate::storage::ranges::Ranges;
use crate::time::{Duration, Instant};
use crate::wire::{ACK_RANGES_MAX, Writer, encode_ack};

/// The receiving side of one path.
#[derive(Debug)]
pub struct Acks {
    ranges: Ranges<ACK_RANGES_MAX>,
    largest_at: Instant,
    /// Packets that asked for an acknowledgement since the last one was written.
    owed: u32,
    owed_since: Instant,
    at_once: bool,
    /// Whether any packet arrived since the last acknowledgement.
    news: bool,
    eager: u8,
    /// The deadline has come.
    overdue: bool,
    written_at: Option<Instant>,
    delay_max: Duration,
    /// Packets that asked for an acknowledgement, each soon after the one before.
    run: u8,
    heard_at: Instant,
}

impl Acks {
    /// Nothing arrived yet. `delay_max` is how long an acknowledgement may wait for company.
    #[must_use]
    pub const fn new(delay_max: Duration) -> Self {
        Self {
            ranges: Ranges::new(),
            largest_at: Instant::ZERO,
            owed: 0,
            owed_since: Instant::ZERO,
            at_once: false,
            news: false,
            eager: EAGER_PACKETS,
            overdue: false,
            written_at: None,
            delay_max,
            run: 0,
            heard_at: Instant::ZERO,
        }
    }

    /// A packet with this number was opened, for the first time.
    pub fn on_packet(&mut self, number: PacketNumber, ack_eliciting: bool, now: Instant) {
        let expected = self.ranges.last().map_or(0, |last| last.end);
        let in_order = number.0 == expected;
        self.ranges.insert_dropping_lowest(number.0..number.0.plus(1));
        self.news = true;
        if number.0 >= expected {
            self.largest_at = now;
        }
        if !ack_eliciting {
            return;
        }
        self.run =
            if now.since(self.heard_at) < PAUSE_MIN { self.run.saturating_add(1) } else { 0 };
        self.heard_at = now;
        if self.owed == 0 {
            self.owed_since = now;
        }
        self.owed = self.owed.saturating_add(1);
        self.at_once |= !in_order || self.eager > 0;
        self.eager = self.eager.saturating_sub(1);
    }

    /// When an acknowledgement is due, if one is owed.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.owed == 0 || self.overdue {
            return None;
        }
        if self.at_once || self.owed >= OWED_MAX {
            return Some(self.owed_since);
        }
        let latest = self.owed_since + self.delay_max;
        if self.owed < 2 {
            return Some(latest);
        }
        let spaced = self.written_at.map_or(self.owed_since, |at| at + SPACING);
        Some(latest.min(spaced.max(self.owed_since)))
    }

    /// Whether an acknowledgement is due now.
    #[must_use]
    pub fn due(&self, now: Instant) -> bool {
        self.overdue || self.deadline().is_some_and(|at| at <= now)
    }

    /// A deadline that has come is no longer one: the peer hears as soon as it can.
    pub fn on_timeout(&mut self, now: Instant) {
        self.overdue = self.due(now);
    }

    /// Whether there is anything to say that was not said: worth adding to a packet that leaves
    /// anyway.
    #[must_use]
    pub const fn pending(&self) -> bool {
        self.news
    }

    /// Whether anything arrived that an acknowledgement would name.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Writes an acknowledgement frame of everything remembered and returns the largest number in
    /// it; `None` if nothing ever arrived or nothing fits.
    pub fn write(&mut self, path: PathId, writer: &mut Writer<'_>, now: Instant) -> Option<u64> {
        let largest = self.ranges.last()?.end.minus(1);
        let delay = now.since(self.largest_at);
        let ranges = self.ranges.iter().rev().map(|range| range.start..=range.end.minus(1));
        encode_ack(writer, path, delay, ranges).ok()?;
        (self.owed, self.at_once, self.news) = (0, false, false);
        self.overdue = false;
        self.written_at = Some(now);
        Some(largest)
    }

    /// When a flow that stops counts as broken off, if there is one: after a quarter of a
    /// `round_trip`. The last acknowledgements, half a round trip of them, are lost as well then,
    /// unless they are told on another path, and the peer would send all that they name again
    /// before anything new.
    #[must_use]
    pub fn broken_off_at(&self, round_trip: Duration) -> Option<Instant> {
        let flows = self.run >= RUN_MIN && self.owed == 0;
        flows.then(|| self.heard_at + broken_off_after(round_trip))
    }

    /// It does, or it was only a pause: nothing more is to be said before packets come again.
    pub const fn on_broken_off(&mut self) {
        self.run = 0;
    }

    /// Whether the peer waits for an acknowledgement.
    #[must_use]
    pub const fn owes(&self) -> bool {
        self.owed > 0
    }

    /// The peer has heard an acknowledgement up to `largest`: what lies below need not be repeated.
    pub fn on_ack_of_ack(&mut self, largest: u64) {
        // The newest range stays, so that what comes next is known to be in order.
        let keep = self.ranges.last().map_or(0, |last| last.end.minus(1));
        self.ranges.remove_below(largest.min(keep));
    }
}

/// The first packets of a path are acknowledged at once: the sender is finding the rate.
const EAGER_PACKETS: u8 = 100;
/// So many packets are acknowledged at once, however fast they come.
const OWED_MAX: u32 = 32;
/// How long after the last packet of a flow it counts as broken off.
#[must_use]
pub fn broken_off_after(round_trip: Duration) -> Duration {
    (round_trip / 4).max(PAUSE_MIN)
}

/// So many packets, each within [`PAUSE_MIN`] of the one before, are a flow.
const RUN_MIN: u8 = 32;
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Acknowledgements in good order are at least this far apart.
const SPACING: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, Frames};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const DELAY: Duration = Duration::from_millis(5);

    fn us(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    fn told(acks: &mut Acks, now: Instant) -> (BTreeSet<u64>, usize, Duration) {
        let mut bytes = [0; 600];
        let mut writer = Writer::new(&mut bytes);
        let largest = acks.write(PathId(7), &mut writer, now).unwrap();
        let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.as_slice()).next() else { panic!() };
        assert_eq!((ack.path, ack.largest), (PathId(7), largest));
        let ranges: Vec<_> = ack.iter().collect();
        (ranges.iter().cloned().flatten().collect(), ranges.len(), ack.delay())
    }

    #[test]
    fn a_flow_that_stops_is_broken_off_and_a_trickle_is_not() {
        let round_trip = Duration::from_millis(60);
        let mut acks = Acks::new(DELAY);
        let arrive = |acks: &mut Acks, packets: u64, apart: u64, from: u64| {
            for at in 0..packets {
                acks.on_packet(PacketNumber(at), true, us(from + at * apart));
            }
            from + (packets - 1) * apart
        };
        arrive(&mut acks, 200, 10_000, 0);
        told(&mut acks, us(2_000_000));
        assert_eq!(acks.broken_off_at(round_trip), None, "they may be 10 ms apart for good");
        let last = arrive(&mut acks, 33, 9_000, 3_000_000);
        assert_eq!(acks.broken_off_at(round_trip), None, "the last of them is not acknowledged");
        told(&mut acks, us(last));
        assert_eq!(acks.broken_off_at(round_trip), Some(us(last + 15_000)));
        assert_eq!(acks.broken_off_at(Duration::ZERO), Some(us(last + 10_000)));
        acks.on_broken_off();
        assert_eq!(acks.broken_off_at(round_trip), None, "said once");
    }

    proptest! {
        #[test]
        fn whatever_arrived_is_told_or_older_than_the_table(
            numbers in prop::collection::vec((0_u64..400, any::<bool>()), 1..300), heard in prop::collection::vec(0_usize..300, 0..4)) {
            let mut acks = Acks::new(DELAY);
            let mut model = BTreeSet::new();
            let (mut floor, mut full) = (0, false);
            for (step, (number, eliciting)) in numbers.iter().enumerate() {
                acks.on_packet(PacketNumber(*number), *eliciting, us(step as u64));
                model.insert(*number);
                full |= acks.ranges.len() == ACK_RANGES_MAX;
                if heard.contains(&step) {
                    let (_, _, _) = told(&mut acks, us(step as u64));
                    acks.on_ack_of_ack(*number);
                    floor = floor.max(*number);
                }
            }
            let (told, ranges, _) = told(&mut acks, us(1_000));
            prop_assert!(ranges <= ACK_RANGES_MAX);
            prop_assert!(told.is_subset(&model));
            prop_assert_eq!(told.last(), model.last());
            if !full && floor == 0 {
                prop_assert_eq!(told, model);
            }
        }

        #[test]
        fn nothing_owed_is_late(steps in prop::collection::vec((0_u64..7_000, any::<bool>(), 0_u64..3), 1..200)) {
            let mut acks = Acks::new(DELAY);
            let (mut now, mut number, mut oldest) = (0, 0, None);
            for (wait, eliciting, skipped) in steps {
                number += 1 + skipped;
                acks.on_packet(PacketNumber(number), eliciting, us(now));
                if eliciting && oldest.is_none() {
                    oldest = Some(us(now));
                }
                prop_assert_eq!(acks.deadline().is_some(), oldest.is_some());
                if let (Some(at), Some(oldest)) = (acks.deadline(), oldest) {
                    prop_assert!(at >= oldest && at <= oldest + DELAY);
                }
                now += wait;
                if acks.due(us(now)) {
                    told(&mut acks, us(now));
                    oldest = None;
                    prop_assert!(!acks.pending() && acks.deadline().is_none());
                }
            }
        }
    }

    /// In order, one packet each `spacing` microseconds: how many acknowledgements in a second.
    fn acks_a_second(spacing: u64) -> u64 {
        let mut acks = Acks::new(DELAY);
        let mut written = 0;
        let start = 3_000_000;
        for now in (0..start + 1_000_000).step_by(100) {
            if now % spacing == 0 {
                acks.on_packet(PacketNumber(now / spacing), true, us(now));
            }
            if acks.due(us(now)) {
                told(&mut acks, us(now));
                written += u64::from(now >= start);
            }
        }
        written
    }

    #[test]
    fn slow_paths_answer_every_second_packet_and_fast_ones_once_a_millisecond() {
        assert_eq!(acks_a_second(4_000), 125);
        assert!((950..=1_000).contains(&acks_a_second(100)));
        // Slower than the delay: each for itself.
        assert_eq!(acks_a_second(20_000), 50);
    }

    #[test]
    fn news_that_cannot_wait_is_told_at_once() {
        let mut acks = Acks::new(DELAY);
        for number in 0..u64::from(EAGER_PACKETS) {
            acks.on_packet(PacketNumber(number), true, us(number));
            assert!(acks.due(us(number)));
            told(&mut acks, us(number));
        }
        acks.on_packet(PacketNumber(100), true, us(1_000));
        assert!(!acks.due(us(1_000)));
        acks.on_packet(PacketNumber(102), true, us(1_001));
        assert!(acks.due(us(1_001)));
        let (_, ranges, delay) = told(&mut acks, us(1_401));
        assert_eq!((ranges, delay), (2, Duration::from_micros(400)));
        acks.on_packet(PacketNumber(101), true, us(1_500));
        assert!(acks.due(us(1_500)));
        let (_, ranges, _) = told(&mut acks, us(1_500));
        assert_eq!(ranges, 1);
    }

    #[test]
    fn acknowledgements_alone_ask_for_none() {
        let mut acks = Acks::new(DELAY);
        acks.on_packet(PacketNumber(0), false, us(0));
        acks.on_packet(PacketNumber(5), false, us(1));
        assert!(acks.deadline().is_none() && acks.pending());
    }

    #[test]
    fn what_the_peer_heard_is_not_repeated() {
        let mut acks = Acks::new(DELAY);
        for number in [1, 3, 5, 7] {
            acks.on_packet(PacketNumber(number), true, us(0));
        }
        acks.on_ack_of_ack(5);
        assert_eq!(told(&mut acks, us(0)).0, BTreeSet::from([5, 7]));
        acks.on_ack_of_ack(u64::MAX);
        assert_eq!(told(&mut acks, us(0)).0, BTreeSet::from([7]));
    }
}
