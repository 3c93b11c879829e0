//! How much may a link still carry? A count of bytes both ways, and the moment to stop.
//!
//! What we send we could stop at the last byte, but not what is on its way to us: the peer goes on
//! until it hears that the link is given up, and what it has sent by then still arrives. So the link
//! stops early, by what came and went in the last fraction of a second, several times over:
//!
//! ```text
//!   0                                   used      quota
//!   |████████████████████████████████████|░░░░░░░░░░|
//!                                         <-reserve->   two round trips and 200 ms of the fastest
//!                                                       100 ms lately, and 64 KiB
//! ```
//!
//! Once a quota is spent it stays spent, until a larger one is given.

use crate::time::{Duration, Instant};

/// The count of one link.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    quota: u64,
    used: u64,
    slice_began: Instant,
    /// Bytes in the present slice of time.
    slice: u64,
    /// Most bytes in a slice, lately.
    peak: u64,
    round_trip: Duration,
    spent: bool,
}

impl Meter {
    /// Nothing was carried yet. `None`: as much as there is.
    #[must_use]
    pub fn new(quota: Option<u64>) -> Self {
        let quota = quota.unwrap_or(u64::MAX);
        let mut meter = Self {
            quota,
            used: 0,
            slice_began: Instant::ZERO,
            slice: 0,
            peak: 0,
            round_trip: Duration::ZERO,
            spent: false,
        };
        meter.judge();
        meter
    }

    /// Another quota, counted from the beginning.
    pub fn set_quota(&mut self, quota: Option<u64>) {
        let quota = quota.unwrap_or(u64::MAX);
        self.spent &= quota <= self.quota;
        self.quota = quota;
        self.judge();
    }

    /// So many bytes came or went. `round_trip`: how long the word to stop and what was sent before
    /// it take together.
    pub fn count(&mut self, bytes: u64, round_trip: Duration, now: Instant) {
        self.round_trip = round_trip;
        if now.since(self.slice_began) >= SLICE {
            self.peak = self.slice.max(self.peak.saturating_sub(self.peak / 8));
            self.slice = 0;
            self.slice_began = now;
        }
        self.slice = self.slice.saturating_add(bytes);
        self.used = self.used.saturating_add(bytes);
        self.judge();
    }

    /// How many bytes it may carry, if that was said.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        Some(self.quota).filter(|quota| *quota < u64::MAX)
    }

    /// Bytes carried so far.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Whether the link may carry nothing more.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.spent
    }

    fn judge(&mut self) {
        self.spent |= self.used.saturating_add(self.reserve()) >= self.quota;
    }

    /// What may still come, if the rate doubles meanwhile.
    fn reserve(&self) -> u64 {
        let ahead = (self.round_trip + SLICE) * 2;
        let recent = self.peak.max(self.slice).saturating_mul(ahead.as_micros());
        let recent = recent.checked_div(SLICE.as_micros()).unwrap_or(u64::MAX);
        recent.saturating_add(RESERVE_MIN)
    }
}

const SLICE: Duration = Duration::from_millis(100);
/// Probes of a peer that was never told, and a first window.
const RESERVE_MIN: u64 = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRIP: Duration = Duration::from_millis(20);

    #[test]
    fn a_quota_is_spent_before_it_is_reached_and_stays_spent() {
        let mut meter = Meter::new(Some(1_000_000));
        let mut now = Instant::from_micros(1_000_000);
        while !meter.is_spent() {
            now += Duration::from_millis(10);
            meter.count(1_000, TRIP, now);
        }
        assert!((850_000..936_000).contains(&meter.used()), "{meter:?}");
        meter.count(0, TRIP, now + Duration::from_secs(9));
        assert!(meter.is_spent(), "{meter:?}");
        meter.set_quota(Some(900_000));
        assert!(meter.is_spent());
        meter.set_quota(Some(2_000_000));
        assert!(!meter.is_spent());
        meter.set_quota(None);
        assert!(!meter.is_spent());
        assert!(Meter::new(Some(1_000)).is_spent(), "too little to begin with");
    }

    proptest! {
        /// When the quota is spent, a round trip and 100 ms at twice the fastest pace fit into it.
        #[test]
        fn what_still_arrives_fits(
            quota in 100_000_u64..100_000_000,
            trip in 1_u64..500,
            paces in prop::collection::vec(1_u64..60_000, 1..100),
        ) {
            let round_trip = Duration::from_millis(trip);
            let mut meter = Meter::new(Some(quota));
            let mut now = Instant::from_micros(1_000_000);
            for pace in paces.iter().cycle().take(10_000) {
                let fastest = meter.peak.max(meter.slice);
                now += Duration::from_millis(10);
                meter.count(*pace, round_trip, now);
                if meter.is_spent() {
                    prop_assert!(meter.used() + 2 * fastest * (trip + 100) / 100 <= quota);
                    break;
                }
            }
        }
    }
}
