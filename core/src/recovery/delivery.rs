//! How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! ```text
//!   sent        |--------- send elapsed ---------|
//!   first_sent_at                              P sent
//!   delivered_at (of the ack before P was sent)            P acknowledged
//!               |------------- ack elapsed -------------------|
//!   rate = what was delivered meanwhile / the longer of the two
//! ```
//!
//! Each packet carries a stamp of what had been delivered when it left. Acknowledgements that
//! arrive in a bunch do not fool the sample, since it never divides by less time than the sending
//! took. While the application had nothing to send, samples say what it wanted, not what the path
//! can do: they are marked, and raise an estimate but never lower it.

use crate::arithmetic::Wide;
use crate::time::{Duration, Instant};

/// What was known when a packet left; kept with the packet, so it is small. Times count back from
/// the packet's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Bytes delivered by then, modulo 2^32: no more than that is ever in flight.
    delivered: u32,
    since_delivered: Duration,
    since_first_sent: Duration,
    app_limited: bool,
}

impl Stamp {
    pub(super) const NONE: Self = Self {
        delivered: 0,
        since_delivered: Duration::ZERO,
        since_first_sent: Duration::ZERO,
        app_limited: false,
    };
}

/// What one acknowledgement says about the path's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// Bytes a second; zero if this acknowledgement allows no sample.
    pub(super) rate: u64,
    /// The application, not the path, was what limited the rate.
    pub(super) app_limited: bool,
    /// A round trip ended: a packet that left after the last one ended was acknowledged.
    pub(super) round_ended: bool,
}

/// The connection's side of the estimate.
#[derive(Debug)]
pub(super) struct Delivery {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// The application-limited phase lasts until this much is delivered.
    app_limited_until: u64,
    round_ends_at: u64,
    newest: Option<Newest>,
}

/// The packet sent last among those acknowledged together.
#[derive(Clone, Copy, Debug)]
struct Newest {
    delivered: u64,
    delivered_at: Instant,
    send_elapsed: Duration,
    app_limited: bool,
}

impl Delivery {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            app_limited_until: 0,
            round_ends_at: 0,
            newest: None,
        }
    }

    /// The stamp for a packet that leaves now, with `in_flight` bytes before it.
    pub(super) fn on_sent(&mut self, in_flight: u64, app_limited: bool, now: Instant) -> Stamp {
        if in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        if app_limited {
            self.app_limited_until = self.delivered.plus(in_flight).max(1);
        }
        Stamp {
            delivered: self.delivered as u32,
            since_delivered: now.since(self.delivered_at),
            since_first_sent: now.since(self.first_sent_at),
            app_limited: app_limited || self.delivered < self.app_limited_until,
        }
    }

    /// One newly acknowledged packet. [`Delivery::finish`] follows after the last.
    pub(super) fn on_acked(&mut self, stamp: Stamp, sent_at: Instant, bytes: u16, now: Instant) {
        let delivered_before = self.restore(stamp.delivered);
        self.delivered = self.delivered.plus(u64::from(bytes));
        self.delivered_at = now;
        if self.newest.is_none_or(|newest| delivered_before >= newest.delivered) {
            self.newest = Some(Newest {
                delivered: delivered_before,
                delivered_at: sent_at - stamp.since_delivered,
                send_elapsed: stamp.since_first_sent,
                app_limited: stamp.app_limited,
            });
            self.first_sent_at = sent_at;
        }
    }

    /// Bytes that arrived though their packet had been declared lost.
    pub(super) fn on_late(&mut self, bytes: u16) {
        self.delivered = self.delivered.plus(u64::from(bytes));
    }

    /// The sample of all packets acknowledged since the last call.
    pub(super) fn finish(&mut self, rtt_min: Duration, now: Instant) -> Sample {
        let Some(newest) = self.newest.take() else { return Sample::default() };
        let elapsed = now.since(newest.delivered_at).max(newest.send_elapsed);
        let bytes = self.delivered.minus(newest.delivered);
        // Less than a round trip cannot have brought an answer: the clock or the peer is odd.
        let rate = if elapsed < rtt_min { 0 } else { rate(bytes, elapsed) };
        let round_ended = newest.delivered >= self.round_ends_at;
        if round_ended {
            self.round_ends_at = self.delivered;
        }
        Sample { rate, app_limited: newest.app_limited, round_ended }
    }

    /// The full count whose low half is `low`, at most the count of now.
    const fn restore(&self, low: u32) -> u64 {
        let back = (self.delivered as u32).wrapping_sub(low);
        self.delivered.saturating_sub(back as u64)
    }
}

/// Bytes a second.
fn rate(bytes: u64, elapsed: Duration) -> u64 {
    bytes.times(1_000_000).checked_div(elapsed.as_micros()).unwrap_or(0)
}

/// The best rate of the last ten terms, each as long as the path's least round trip. Actual round
/// trips would not do: they grow with the queue, and when a link becomes slow the memory of its
/// better days would feed the very queue that prolongs it. Times in which the application held back,
/// or nothing arrived, do not push older terms out.
#[derive(Debug)]
pub(super) struct RateFilter {
    /// A ring; the present term is at `at`.
    best: [u64; TERMS],
    at: u8,
    began: Instant,
}

/// How many terms a good sample is remembered.
const TERMS: usize = 10;
/// A term is at least this long: ten round trips of a local link are too short to judge by.
const TERM_MIN: Duration = Duration::from_millis(10);

impl RateFilter {
    pub(super) const fn new(now: Instant) -> Self {
        Self { best: [0; TERMS], at: 0, began: now }
    }

    pub(super) fn update(&mut self, sample: &Sample, rtt_min: Duration, now: Instant) {
        if sample.app_limited && sample.rate < self.best() {
            return;
        }
        if now.since(self.began) >= rtt_min.max(TERM_MIN) {
            self.began = now;
            self.at = if usize::from(self.at) + 1 < TERMS { self.at + 1 } else { 0 };
            if let Some(slot) = self.best.get_mut(usize::from(self.at)) {
                *slot = 0;
            }
        }
        if let Some(slot) = self.best.get_mut(usize::from(self.at)) {
            *slot = (*slot).max(sample.rate);
        }
    }

    /// The best rate remembered, in bytes a second; zero before the first sample.
    pub(super) fn best(&self) -> u64 {
        self.best.iter().fold(0, |best, rate| best.max(*rate))
    }

    pub(super) fn clear(&mut self) {
        self.best = [0; TERMS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    const RTT: Duration = Duration::from_millis(10);

    #[test]
    fn a_steady_flow_is_measured_exactly() {
        // One packet of 1,000 bytes each millisecond, acknowledged ten later: 1,000,000 B/s.
        let mut delivery = Delivery::new(ms(0));
        let mut stamps = std::vec![];
        let mut last = Sample::default();
        for now in 0..60_u64 {
            stamps.push(delivery.on_sent(if now == 0 { 0 } else { 10_000 }, false, ms(now)));
            if let Some(acked) = now.checked_sub(10) {
                delivery.on_acked(stamps[acked as usize], ms(acked), 1_000, ms(now));
                last = delivery.finish(RTT, ms(now));
            }
        }
        assert_eq!((last.rate, last.app_limited), (1_000_000, false));
    }

    #[test]
    fn acknowledgements_in_a_bunch_do_not_look_fast() {
        let mut delivery = Delivery::new(ms(0));
        let stamps: std::vec::Vec<_> =
            (0..20).map(|now| delivery.on_sent(now * 1_000, false, ms(now))).collect();
        for (sent, stamp) in (0..20).zip(stamps) {
            delivery.on_acked(stamp, ms(sent), 1_000, ms(30));
        }
        assert!(delivery.finish(RTT, ms(30)).rate <= 1_000_000);
    }

    #[test]
    fn what_the_application_held_back_is_marked_and_lowers_nothing() {
        let mut delivery = Delivery::new(ms(0));
        let mut rates = RateFilter::new(ms(0));
        rates.update(&Sample { rate: 5_000, ..Sample::default() }, RTT, ms(0));
        for round in 1..40 {
            let stamp = delivery.on_sent(0, true, ms(round * 20));
            delivery.on_acked(stamp, ms(round * 20), 10, ms(round * 20 + 10));
            let sample = delivery.finish(RTT, ms(round * 20 + 10));
            assert!(sample.app_limited && sample.round_ended && sample.rate == 1_000);
            rates.update(&sample, RTT, ms(round * 20 + 10));
        }
        assert_eq!(rates.best(), 5_000);
    }

    #[test]
    fn a_rate_that_is_no_longer_reached_is_forgotten() {
        let mut rates = RateFilter::new(ms(0));
        rates.update(&Sample { rate: 9_000, ..Sample::default() }, RTT, ms(0));
        for round in 1..=TERMS as u64 {
            assert_eq!(rates.best(), 9_000);
            let sample = Sample { rate: 4_000, app_limited: false, round_ended: true };
            rates.update(&sample, RTT, ms(round * 20));
        }
        assert_eq!(rates.best(), 4_000);
    }

    #[test]
    fn counts_pass_the_end_of_the_stamp() {
        let mut delivery = Delivery::new(ms(0));
        delivery.delivered = u64::from(u32::MAX) - 500;
        let first = delivery.on_sent(0, false, ms(0));
        let second = delivery.on_sent(1_000, false, ms(1));
        delivery.on_acked(first, ms(0), 1_000, ms(10));
        delivery.on_acked(second, ms(1), 1_000, ms(10));
        assert_eq!(delivery.finish(RTT, ms(10)).rate, 200_000);
    }
}
