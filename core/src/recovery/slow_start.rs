//! Slow start: the window doubles each round trip until the path is full.
//!
//! ```text
//!   Doubling --+-- the window holds what trains of packets say that the path carries --> over
//!              +-- the rate is flat for 3 rounds ------------------------------------->
//!              +-- much is lost ------------------------------------------------------>
//! ```
//!
//! Doubling sends in bursts, so a queue comes and goes long before the path is full: longer round
//! trips alone say little (where HyStart, RFC 9406, leaves too early), and a round later they say
//! it too late, when a short queue has overflowed. But the bursts leave at twice the rate that the
//! window stands for, so they show the narrowest place a round before the window fills it
//! (`train.rs`). Where they do not, the end comes when more in flight no longer brings more through.
//!
//! One lost packet says nothing on a radio link: loss ends slow start when it is a sixteenth of a
//! window within a round.

use crate::arithmetic::{product, sum};
use crate::recovery::congestion::Acked;
use crate::recovery::delivery::Sample;
use crate::recovery::rtt::Rtt;
use crate::recovery::train::Train;

/// Where slow start stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowStart {
    /// The window at which it ends in any case.
    threshold: u64,
    train: Train,
    /// The fastest that trains were seen to pass the path's narrowest place; zero: none was.
    capacity: u64,
    /// The best rate of earlier rounds and of this one.
    rate_before: u64,
    rate: u64,
    flat_rounds: u8,
    lost: u64,
}

impl SlowStart {
    /// Slow start from now on, up to a window of `threshold`.
    pub(super) const fn new(threshold: u64) -> Self {
        Self {
            threshold,
            train: Train::new(),
            capacity: 0,
            rate_before: 0,
            rate: 0,
            flat_rounds: 0,
            lost: 0,
        }
    }

    /// The window at which it ends in any case.
    pub(super) const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// What the path carries, in bytes a second, once a train has shown it; or zero.
    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes a loss. `true`: too many in this round, slow start is over.
    pub(super) const fn on_lost(&mut self, bytes: u64, window: u64, datagram: u64) -> bool {
        self.lost = sum(self.lost, bytes);
        self.lost >= window / 16 && self.lost >= product(datagram, LOST_DATAGRAMS)
    }

    /// Takes an acknowledgement; packets are of `datagram` bytes.
    pub(super) fn on_acked(&mut self, acked: &Acked, datagram: u64, rtt: &Rtt) {
        if let Some(rate) = self.train.on_acked(acked, datagram, rtt) {
            self.capacity = self.capacity.max(rate);
        }
        if acked.sample.round_ended {
            self.train.restart();
        }
        self.rate = self.rate.max(acked.sample.rate);
    }

    /// Whether slow start is over with this window; `sample` may have ended a round.
    pub(super) fn is_over(&mut self, window: u64, sample: &Sample, rtt: &Rtt) -> bool {
        let flat = sample.round_ended && self.end_round(sample.app_limited);
        let full = self.capacity > 0 && window >= rtt.min().bytes_at(self.capacity);
        flat || full || window >= self.threshold
    }

    /// Whether the rate has stopped growing.
    const fn end_round(&mut self, app_limited: bool) -> bool {
        self.lost = 0;
        let (rate, before) = (self.rate, self.rate_before);
        self.rate = 0;
        if app_limited {
            return false;
        }
        // Doubling should show as doubling.
        if rate >= before.saturating_add(before / 4) {
            self.flat_rounds = 0;
            self.rate_before = rate;
        } else {
            self.flat_rounds = self.flat_rounds.saturating_add(1);
        }
        self.flat_rounds >= FLAT_ROUNDS
    }
}

/// Rounds without growth of the rate that end doubling.
const FLAT_ROUNDS: u8 = 3;
/// Fewer lost packets than this never end it.
const LOST_DATAGRAMS: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Duration, Instant};

    const DATAGRAM: u64 = 1_000;
    const RTT: Duration = Duration::from_millis(20);

    /// A path, played packet by packet: what is sent in a round, and what comes back in the next.
    struct Play {
        start: SlowStart,
        now: u64,
    }

    impl Play {
        fn new() -> Self {
            Self { start: SlowStart::new(u64::MAX), now: 0 }
        }

        /// Sends a window over half a round, and acknowledges it packet by packet as a path of
        /// `rate` lets it through, after `pause` more in its middle. Returns the window after it.
        fn round(&mut self, window: u64, rate: u64, pause: u64) -> (u64, bool) {
            let (packets, rtt) = (window / DATAGRAM, Rtt::new(Some(RTT), Instant::ZERO));
            let apart = RTT.as_micros() / 2 / packets;
            let line = DATAGRAM * 1_000_000 / rate;
            let (mut grown, mut over, mut free_at) = (window, false, 0);
            for at in 0..packets {
                let sent = self.now + at * apart;
                let held = if at >= packets / 2 { pause } else { 0 };
                free_at = free_at.max(sent) + line;
                let arrived = free_at + held + RTT.as_micros();
                let delivered = (at + 1) * DATAGRAM * 1_000_000 / (arrived - self.now);
                let sample =
                    Sample { rate: delivered, app_limited: false, round_ended: at + 1 == packets };
                let acked = Acked {
                    bytes: DATAGRAM,
                    newest_sent_at: Instant::from_micros(sent),
                    sample,
                    rtt: Some(Duration::from_micros(arrived - sent)),
                    arrived: Instant::from_micros(arrived),
                    in_flight: window,
                };
                self.start.on_acked(&acked, DATAGRAM, &rtt);
                grown += DATAGRAM;
                over = self.start.is_over(grown, &sample, &rtt);
                if over {
                    break;
                }
            }
            self.now += 2 * RTT.as_micros();
            (grown, over)
        }
    }

    #[test]
    fn it_doubles_while_the_rate_does() {
        let (mut play, mut window) = (Play::new(), 40_000);
        for doubling in 1..8_u32 {
            let over;
            (window, over) = play.round(window, 1_000_000_000, 0);
            assert_eq!((window, over), (40_000 << doubling, false));
        }
    }

    #[test]
    fn it_ends_as_soon_as_the_window_holds_what_the_path_carries() {
        // 10 MB/s: 200 kB in a round trip. A window of 180 kB leaves in 10 ms and takes 18; a
        // train of 4 ms shows it.
        let mut play = Play::new();
        let (window, over) = play.round(90_000, 10_000_000, 0);
        assert_eq!((window, over), (180_000, false));
        let (window, over) = play.round(window, 10_000_000, 0);
        assert!(over && window <= 225_000, "{window}");
        assert!((9_500_000..=10_500_000).contains(&play.start.capacity()));
    }

    #[test]
    fn one_pause_of_the_acknowledgements_is_no_bottleneck() {
        let mut play = Play::new();
        let (window, over) = play.round(40_000, 1_000_000_000, 15_000);
        assert_eq!((window, over), (80_000, false));
        assert_eq!(play.round(window, 1_000_000_000, 0), (160_000, false));
    }

    #[test]
    fn a_flat_rate_ends_it_without_trains_too() {
        let (mut start, rtt) = (SlowStart::new(u64::MAX), Rtt::new(Some(RTT), Instant::ZERO));
        let sample = Sample { rate: 1_000_000, app_limited: false, round_ended: true };
        let ends = (0..10).find(|round| {
            let newest_sent_at = Instant::from_micros(round * 20_000);
            let arrived = newest_sent_at + RTT;
            let acked =
                Acked { bytes: 10_000, newest_sent_at, sample, rtt: None, arrived, in_flight: 0 };
            start.on_acked(&acked, DATAGRAM, &rtt);
            start.is_over(100_000, &sample, &rtt)
        });
        assert_eq!(ends, Some(3));
    }

    #[test]
    fn one_lost_packet_is_nothing_and_many_are_the_end() {
        let mut start = SlowStart::new(u64::MAX);
        assert!(!start.on_lost(1_200, 200_000, 1_200));
        assert!(!start.on_lost(3_600, 200_000, 1_200));
        assert!(start.on_lost(8_400, 200_000, 1_200));
        assert!(!SlowStart::new(u64::MAX).on_lost(3_600, 20_000, 1_200));
    }
}
