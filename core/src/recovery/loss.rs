//! When a packet counts as lost (RFC 9002 section 6.1): enough packets sent after it have arrived,
//! or it is overdue by enough time.
//!
//! How much is enough depends on how much the path reorders. Both thresholds start at the RFC's
//! and are widened when an acknowledgement shows that a packet declared lost had only been late,
//! as RACK does (RFC 8985 section 6.2); without such news they go back. To notice, the last few
//! packets declared lost are remembered by number.

use crate::arithmetic::Wide;
use crate::packet_number::PacketNumber;
use crate::recovery::lengths::Lengths;
use crate::recovery::rtt::Rtt;
use crate::time::{Duration, Instant};

/// The thresholds of one path, and what was declared lost lately.
#[derive(Debug)]
pub(super) struct LossDetector {
    pub(super) lengths: Lengths,
    packets: u32,
    /// The time threshold beyond a round trip, in sixteenths of it.
    sixteenths: u8,
    quiet_rounds: u8,
    declared: [Declared; REMEMBERED],
    oldest: u8,
}

/// A packet that was declared lost; [`Declared::NONE`] once nothing more is expected of it.
#[derive(Clone, Copy, Debug)]
struct Declared {
    number: PacketNumber,
    /// Microseconds modulo 2^32, which is more than an hour.
    sent_at: u32,
    bytes: u16,
}

impl Declared {
    const NONE: Self = Self { number: PacketNumber(u64::MAX), sent_at: 0, bytes: 0 };

    const fn is_some(self) -> bool {
        self.number.0 != u64::MAX
    }

    const fn age(self, now: Instant) -> Duration {
        Duration::from_micros((now.as_micros() as u32).wrapping_sub(self.sent_at) as u64)
    }
}

impl LossDetector {
    pub(super) const fn new() -> Self {
        Self {
            lengths: Lengths::new(),
            packets: PACKETS_MIN,
            sixteenths: SIXTEENTHS_MIN,
            quiet_rounds: 0,
            declared: [Declared::NONE; REMEMBERED],
            oldest: 0,
        }
    }

    /// Whether a packet is lost by the number of those acknowledged after it.
    pub(super) const fn overtaken(&self, number: PacketNumber, largest: PacketNumber) -> bool {
        number.0.saturating_add(self.packets as u64) <= largest.0
    }

    /// How long after sending a packet is overdue, once a later one was acknowledged.
    pub(super) fn overdue_after(&self, rtt: &Rtt) -> Duration {
        let round_trip = rtt.smoothed().max(rtt.latest());
        let extra = round_trip * u64::from(self.sixteenths) / 16;
        round_trip + extra.max(GRANULARITY)
    }

    /// Remembers a packet that is now declared lost.
    pub(super) fn declare(&mut self, number: PacketNumber, sent_at: Instant, bytes: u16) {
        if let Some(slot) = self.declared.get_mut(usize::from(self.oldest)) {
            *slot = Declared { number, sent_at: sent_at.as_micros() as u32, bytes };
        }
        self.oldest = if usize::from(self.oldest) + 1 < REMEMBERED { self.oldest + 1 } else { 0 };
    }

    /// Looks for packets declared lost among those acknowledged, `low..=high`. Each that is found
    /// widens the thresholds to what would have spared it, and its bytes are reported once.
    pub(super) fn find_late(
        &mut self,
        (low, high): (u64, u64),
        largest: PacketNumber,
        rtt: &Rtt,
        now: Instant,
        mut each: impl FnMut(u16),
    ) {
        let (mut packets, mut sixteenths) = (self.packets, self.sixteenths);
        for slot in &mut self.declared {
            if slot.is_some() && (low..=high).contains(&slot.number.0) {
                packets = packets.max(spare_distance(slot.number, largest));
                sixteenths = sixteenths.max(spare_time(slot.age(now), rtt));
                each(slot.bytes);
                *slot = Declared::NONE;
            }
        }
        if (packets, sixteenths) != (self.packets, self.sixteenths) {
            (self.packets, self.sixteenths, self.quiet_rounds) = (packets, sixteenths, 0);
        }
    }

    /// Whether anything is remembered at all; if not, acknowledgements need no search.
    pub(super) fn remembers(&self) -> bool {
        self.declared.iter().any(|declared| declared.is_some())
    }

    /// A round trip ended. After many without a late packet the thresholds come half-way back, and
    /// what could no longer arrive is forgotten.
    pub(super) fn on_round(&mut self, rtt: &Rtt, now: Instant) {
        let memory = rtt.smoothed() * 4 + Duration::from_millis(100);
        for slot in &mut self.declared {
            if slot.age(now) > memory {
                *slot = Declared::NONE;
            }
        }
        self.quiet_rounds = self.quiet_rounds.saturating_add(1);
        if self.quiet_rounds >= QUIET_ROUNDS {
            self.quiet_rounds = 0;
            self.packets = PACKETS_MIN.max(self.packets / 2);
            self.sixteenths = SIXTEENTHS_MIN.max(self.sixteenths / 2);
        }
    }
}

/// The packet threshold that would have waited for `number`, with a little to spare.
fn spare_distance(number: PacketNumber, largest: PacketNumber) -> u32 {
    let distance = largest.0.minus(number.0);
    let spared = distance.plus(distance / 4).plus(1);
    u32::try_from(spared).unwrap_or(PACKETS_MAX).min(PACKETS_MAX)
}

/// The time threshold, in sixteenths of a round trip beyond the first, that would have waited for
/// a packet which took `took`.
fn spare_time(took: Duration, rtt: &Rtt) -> u8 {
    let round_trip = rtt.smoothed().max(rtt.latest());
    let beyond = (took - round_trip) * 16 / round_trip.as_micros();
    u8::try_from(beyond.as_micros().plus(1)).unwrap_or(SIXTEENTHS_MAX).min(SIXTEENTHS_MAX)
}

/// RFC 9002's packet threshold, and the widest that reordering may make it.
const PACKETS_MIN: u32 = 3;
const PACKETS_MAX: u32 = 256;
/// RFC 9002's time threshold of 9/8, and the widest: two round trips.
const SIXTEENTHS_MIN: u8 = 2;
const SIXTEENTHS_MAX: u8 = 16;
/// After so many round trips without a late packet the thresholds go back by half.
const QUIET_ROUNDS: u8 = 64;
/// How many packets declared lost are remembered.
const REMEMBERED: usize = 16;
/// The finest that timers are trusted to be.
const GRANULARITY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn rtt() -> Rtt {
        Rtt::new(Some(Duration::from_millis(32)), ms(0))
    }

    fn late(detector: &mut LossDetector, range: (u64, u64), largest: u64, now: Instant) -> usize {
        let mut found = 0;
        detector.find_late(range, PacketNumber(largest), &rtt(), now, |_| found += 1);
        found
    }

    #[test]
    fn it_begins_as_rfc_9002_says() {
        let detector = LossDetector::new();
        assert!(!detector.overtaken(PacketNumber(7), PacketNumber(9)));
        assert!(detector.overtaken(PacketNumber(7), PacketNumber(10)));
        assert_eq!(detector.overdue_after(&rtt()), Duration::from_millis(36));
    }

    #[test]
    fn a_late_packet_widens_both_thresholds_once() {
        let mut detector = LossDetector::new();
        detector.declare(PacketNumber(7), ms(0), 1_200);
        assert_eq!(late(&mut detector, (0, 6), 20, ms(40)), 0);
        assert_eq!(late(&mut detector, (5, 9), 27, ms(48)), 1);
        assert_eq!(late(&mut detector, (5, 9), 27, ms(48)), 0);
        assert!(!detector.remembers());
        // 20 packets and half a round trip late.
        assert!(!detector.overtaken(PacketNumber(7), PacketNumber(27)));
        assert!(detector.overtaken(PacketNumber(7), PacketNumber(40)));
        assert!(detector.overdue_after(&rtt()) > Duration::from_millis(48));
    }

    #[test]
    fn thresholds_have_bounds_and_return() {
        let mut detector = LossDetector::new();
        detector.declare(PacketNumber(0), ms(0), 1_200);
        late(&mut detector, (0, 0), u64::MAX, ms(1_000_000));
        assert_eq!((detector.packets, detector.sixteenths), (PACKETS_MAX, SIXTEENTHS_MAX));
        for _ in 0..1_000 {
            detector.on_round(&rtt(), ms(1_000_000));
        }
        assert_eq!((detector.packets, detector.sixteenths), (PACKETS_MIN, SIXTEENTHS_MIN));
    }

    #[test]
    fn only_the_last_few_are_remembered() {
        let mut detector = LossDetector::new();
        for number in 0..100 {
            detector.declare(PacketNumber(number), ms(0), 1_200);
        }
        assert_eq!(late(&mut detector, (0, 99), 100, ms(1)), REMEMBERED);
    }
}
