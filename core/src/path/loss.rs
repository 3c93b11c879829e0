//! How much does a path lose, and what does that cost in time?
//!
//! What is lost arrives all the same, but later: the loss must be noticed, the bytes go out once
//! more, and may be lost again. On average a path that loses a share *p* of its packets is later
//! than its delay says by *p / (1 - p)* of the time that this takes. A transfer hardly feels it,
//! since much waits and every path helps. But a message goes where it arrives first, and so it leaves
//! a path that has become lossy for a longer one that has not.
//!
//! A loss weighs twice as much as an arrival: to be wrong by a few milliseconds costs less than to
//! lose the same message again.

use crate::arithmetic::Wide;
use crate::time::Duration;

/// The share of a path's packets that get lost lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossRate {
    /// In 1/2^16.
    share: u32,
}

impl LossRate {
    /// Nothing was lost.
    #[must_use]
    pub const fn new() -> Self {
        Self { share: 0 }
    }

    /// So many packets arrived.
    pub const fn on_arrived(&mut self, packets: u32) {
        let mut left = if packets < MEMORY { packets } else { MEMORY };
        while left > 0 {
            self.share = self.share.saturating_sub(self.share.div_ceil(8));
            left = left.saturating_sub(1);
        }
    }

    /// So many did not. More at once is a queue that overflowed or a silence, not a lossy path.
    pub const fn on_lost(&mut self, packets: u64) {
        let mut left = if packets < BURST { packets } else { BURST };
        while left > 0 {
            self.share = self.share.saturating_add(ONE.saturating_sub(self.share) / 4);
            left = left.saturating_sub(1);
        }
    }

    /// How much later than its delay a packet arrives, on average, when it takes so long to notice a
    /// loss and to send once more.
    #[must_use]
    pub fn lateness(&self, repair: Duration) -> Duration {
        let share = u64::from(self.share.min(SHARE_MAX));
        let kept = u64::from(ONE).minus(share);
        let micros = repair.as_micros().times(share);
        micros.checked_div(kept).map_or(Duration::ZERO, Duration::from_micros)
    }
}

const ONE: u32 = 1 << 16;
/// With more lost than this the mean is a guess.
const SHARE_MAX: u32 = ONE / 4 * 3;
/// After so many arrivals in a row nothing is left of a loss.
const MEMORY: u32 = 64;
const BURST: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const REPAIR: Duration = Duration::from_millis(40);

    /// Every `every`th of so many packets is lost.
    fn lossy(every: u32) -> LossRate {
        let mut rate = LossRate::new();
        for number in 1..1_000 {
            if number % every == 0 { rate.on_lost(1) } else { rate.on_arrived(1) }
        }
        rate
    }

    #[test]
    fn a_path_that_loses_is_late_by_as_much() {
        assert_eq!(LossRate::new().lateness(REPAIR), Duration::ZERO);
        for (every, least, most) in [(3, 12, 80), (10, 1, 20), (100, 0, 2)] {
            let late = lossy(every).lateness(REPAIR).as_millis();
            assert!((least..=most).contains(&late), "one of {every}: {late} ms");
        }
    }

    #[test]
    fn a_loss_is_felt_at_once_and_forgotten_soon() {
        let mut rate = LossRate::new();
        rate.on_lost(1);
        assert!(rate.lateness(REPAIR) >= Duration::from_millis(10));
        rate.on_lost(u64::MAX);
        assert!(rate.lateness(REPAIR) <= REPAIR * 3);
        rate.on_arrived(20);
        assert!(rate.lateness(REPAIR) <= Duration::from_millis(5));
        rate.on_arrived(u32::MAX);
        assert_eq!(rate.lateness(REPAIR), Duration::ZERO);
    }
}
