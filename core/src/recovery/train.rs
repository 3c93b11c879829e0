//! What is the rate of the path's narrowest place? Packets that were sent faster than it lets
//! through come out spaced by it, and so do their acknowledgements: a few of them tell the rate
//! long before the queue in front of it has filled (the idea is HyStart's, and older: packet
//! trains, Jain 1986).
//!
//! ```text
//!  sent           | | | | | | | |
//!  acknowledged          |   |   |   |   |   |   |   |      further apart: this is the bottleneck
//! ```

use crate::arithmetic::Wide;
use crate::recovery::congestion::Acked;
use crate::recovery::rtt::Rtt;
use crate::time::{Duration, Instant};

/// The packets acknowledged since the train began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Train {
    /// When the packet before the first arrived, seen from here, and when it was sent.
    start: Option<(Instant, Instant)>,
    bytes: u64,
    /// When the last one arrived, and the longest that it or one before it let wait.
    last: Instant,
    pause: Duration,
}

impl Train {
    pub(super) const fn new() -> Self {
        Self { start: None, bytes: 0, last: Instant::ZERO, pause: Duration::ZERO }
    }

    /// Takes an acknowledgement; packets are of `datagram` bytes. Returns the bottleneck's rate, in
    /// bytes a second, when a train has just shown it.
    pub(super) fn on_acked(&mut self, acked: &Acked, datagram: u64, rtt: &Rtt) -> Option<u64> {
        self.bytes = self.bytes.plus(acked.bytes);
        let Some((acked_from, sent_from)) = self.start else {
            self.begin(acked);
            return None;
        };
        self.pause = self.pause.max(acked.arrived.since(self.last));
        self.last = acked.arrived;
        let (arriving, sending) =
            (acked.arrived.since(acked_from), acked.newest_sent_at.since(sent_from));
        let long = (rtt.min() / 8).max(SPAN_MIN);
        if self.bytes < datagram.times(DATAGRAMS_MIN) || arriving < long {
            return None;
        }
        let rate = self.bytes.times(1_000_000).checked_div(arriving.as_micros());
        // A quarter further apart than they were sent: less may be chance. If most of it was one
        // pause, the path did not carry slowly but not at all for a while, as radios do.
        let apart = arriving > sending + sending / 4 + CHANCE && self.pause < arriving / 2;
        self.begin(acked);
        rate.filter(|_| apart)
    }

    const fn begin(&mut self, acked: &Acked) {
        let start = Some((acked.arrived, acked.newest_sent_at));
        *self = Self { start, bytes: 0, last: acked.arrived, pause: Duration::ZERO };
    }

    /// The next acknowledgement begins a new train.
    pub(super) const fn restart(&mut self) {
        *self = Self::new();
    }
}

/// A train is at least so many packets and so long: less is chance.
const DATAGRAMS_MIN: u64 = 8;
const SPAN_MIN: Duration = Duration::from_millis(4);
/// Acknowledgements come up to a millisecond apart on purpose.
const CHANCE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::delivery::Sample;

    /// Packets of 1000 bytes, sent and acknowledged so many microseconds apart: the first rate.
    fn rate(sent_apart: u64, acked_apart: u64) -> Option<u64> {
        let rtt = Rtt::new(Some(Duration::from_millis(20)), Instant::ZERO);
        let mut train = Train::new();
        (0..40).find_map(|at| {
            let acked = Acked {
                bytes: 1_000,
                newest_sent_at: Instant::from_micros(at * sent_apart),
                sample: Sample::default(),
                rtt: None,
                arrived: Instant::from_micros(20_000 + at * acked_apart),
                in_flight: 0,
            };
            train.on_acked(&acked, 1_000, &rtt)
        })
    }

    #[test]
    fn packets_that_come_out_further_apart_show_the_bottleneck() {
        assert_eq!(rate(100, 400), Some(2_500_000));
        assert_eq!(rate(0, 1_000), Some(1_000_000));
    }

    #[test]
    fn a_pause_shows_nothing() {
        let rtt = Rtt::new(Some(Duration::from_millis(20)), Instant::ZERO);
        let mut train = Train::new();
        for at in 0..40 {
            let paused = if at >= 20 { 30_000 } else { 0 };
            let acked = Acked {
                bytes: 1_000,
                newest_sent_at: Instant::from_micros(at * 400),
                sample: Sample::default(),
                rtt: None,
                // What gathered in the pause comes all at once.
                arrived: Instant::from_micros((at * 400).max(paused)),
                in_flight: 0,
            };
            assert_eq!(train.on_acked(&acked, 1_000, &rtt), None);
        }
    }

    #[test]
    fn packets_that_come_out_as_they_went_in_show_nothing() {
        assert_eq!(rate(400, 400), None);
        assert_eq!(rate(400, 480), None);
    }
}
