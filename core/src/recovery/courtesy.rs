//! How long a queue we may keep standing: a short one, unless someone else lives by a long one.
//!
//! ```text
//!             less than two fifths of the best rate of late
//!   Courteous ----------------------------------------------> Insisting
//!      ^  <---------------------------------------------------
//!      |             more than three fifths of it
//!   one round trip of queue                            100 ms of queue
//! ```
//!
//! More than a round trip of queue brings nothing, and starves a flow that bounds its own (BBR keeps
//! no more than a round trip, either). But a flow that lives by losses (CUBIC) fills the queue
//! whatever we do: to step back from that would be to go. Round trips do not tell one from the
//! other; what becomes of us does: the first stops at its share, the second takes all. So we are
//! courteous until that has cost too much, and again once we have our share back.

use crate::time::{Duration, Instant};

/// Whether we step back from a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Courtesy {
    /// The best rate of this term and of the last, in bytes a second.
    best: [u64; 2],
    term_began: Instant,
    insisting: bool,
}

impl Courtesy {
    pub(super) const fn new(now: Instant) -> Self {
        Self { best: [0; 2], term_began: now, insisting: false }
    }

    /// The longest queue that we cause out of courtesy.
    pub(super) fn queue(rtt_min: Duration) -> Duration {
        rtt_min.clamp(QUEUE_MIN, QUEUE_MAX)
    }

    /// Whether courtesy is suspended.
    pub(super) const fn insists(&self) -> bool {
        self.insisting
    }

    /// The path delivers `rate` to us now.
    pub(super) fn on_rate(&mut self, rate: u64, now: Instant) {
        let [this, last] = self.best;
        self.best = [this.max(rate), last];
        if now.since(self.term_began) > TERM {
            self.best = [rate, this];
            self.term_began = now;
        }
        let fifth = this.max(last) / 5;
        self.insisting = rate < fifth * if self.insisting { 3 } else { 2 };
    }

    /// What the path carried before says nothing any more.
    pub(super) const fn forget(&mut self) {
        (self.best, self.insisting) = ([0; 2], false);
    }
}

/// How long a rate is remembered, at least.
const TERM: Duration = Duration::from_secs(10);
/// On a short path, acknowledgements are late by more than a round trip.
const QUEUE_MIN: Duration = Duration::from_millis(15);
/// No queue of ours is longer.
pub(super) const QUEUE_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_micros(s * 1_000_000)
    }

    #[test]
    fn a_queue_as_long_as_the_round_trip_within_bounds() {
        for (rtt, queue) in [(1, 15), (20, 20), (400, 100)] {
            let queue = Duration::from_millis(queue);
            assert_eq!(Courtesy::queue(Duration::from_millis(rtt)), queue);
        }
    }

    #[test]
    fn it_ends_with_less_than_half_and_returns_with_more() {
        let mut courtesy = Courtesy::new(at(0));
        for rate in [5_000, 3_000, 2_000] {
            courtesy.on_rate(rate, at(1));
            assert!(!courtesy.insists());
        }
        for rate in [1_999, 2_000, 2_999] {
            courtesy.on_rate(rate, at(2));
            assert!(courtesy.insists());
        }
        courtesy.on_rate(3_000, at(3));
        assert!(!courtesy.insists());
    }

    #[test]
    fn better_days_are_forgotten_after_two_terms() {
        let mut courtesy = Courtesy::new(at(0));
        courtesy.on_rate(9_000, at(1));
        for now in [2, 11, 12, 20] {
            courtesy.on_rate(2_000, at(now));
            assert!(courtesy.insists());
        }
        courtesy.on_rate(2_000, at(22));
        courtesy.on_rate(2_000, at(23));
        assert!(!courtesy.insists());
    }

    #[test]
    fn a_fresh_start_has_no_better_days() {
        let mut courtesy = Courtesy::new(at(0));
        courtesy.on_rate(9_000, at(1));
        courtesy.on_rate(2_000, at(2));
        courtesy.forget();
        courtesy.on_rate(2_000, at(3));
        assert!(!courtesy.insists());
    }
}
