//! When a source that cannot be reached is tried again.
//!
//! ```text
//!   the first minute      every 500 ms
//!   after that            1 s, 2 s, 4 s ... 60 s, each up to a quarter shorter, so that many do not come at once
//!   an interface comes up at once
//! ```
//!
//! Pure state: the caller says what time it is, and throws the dice.

use core::time::Duration;

/// Every so often at first, from one attempt's beginning to the next.
pub const EVERY: Duration = Duration::from_millis(500);
/// For so long.
pub const EAGER: Duration = Duration::from_mins(1);
/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_mins(1);

/// The attempts to reach one source. Times are since any moment that stays the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    /// When the first attempt of this row began.
    first: Option<Duration>,
    /// When the last one began.
    last: Duration,
    /// How long the wait after it is, once eagerness is over.
    wait: Option<Duration>,
    next: Option<Duration>,
}

impl Retry {
    /// An attempt begins.
    pub fn begin(&mut self, now: Duration) {
        self.first.get_or_insert(now);
        (self.last, self.next) = (now, None);
    }

    /// It failed. `dice` is anything from 0 to 255.
    pub fn fail(&mut self, now: Duration, dice: u8) {
        let since = now.saturating_sub(self.first.unwrap_or(now));
        let next = if since < EAGER {
            self.last + EVERY
        } else {
            let wait = self.wait.map_or(2 * EVERY, |wait| 2 * wait).min(WAIT_MAX);
            self.wait = Some(wait);
            now + wait - wait / 4 * u32::from(dice) / 255
        };
        self.next = Some(next.max(now));
    }

    /// Whether the last one was a success, or there was none.
    pub(super) const fn is_fresh(&self) -> bool {
        self.first.is_none()
    }

    /// It succeeded: the next failure is a first one again.
    pub fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Something changed for the better: the next attempt is due now, and eagerness begins anew.
    pub fn hurry(&mut self, now: Duration) {
        if self.next.is_some() {
            *self = Self { next: Some(now), ..Self::default() };
        }
    }

    /// When the next attempt is due, if one is.
    #[must_use]
    pub const fn next(&self) -> Option<Duration> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The times at which attempts begin that fail `takes` after they began.
    fn attempts(takes: Duration, until: Duration, dice: &[u8]) -> Vec<Duration> {
        let (mut retry, mut begun, mut now) = (Retry::default(), Vec::new(), Duration::ZERO);
        while now < until {
            retry.begin(now);
            begun.push(now);
            retry.fail(now + takes, dice[begun.len() % dice.len()]);
            now = retry.next().unwrap();
        }
        begun
    }

    #[test]
    fn every_half_second_for_a_minute_then_slower() {
        let begun = attempts(Duration::from_millis(10), Duration::from_secs(600), &[0]);
        let eager = begun.iter().filter(|at| **at < EAGER).count();
        assert_eq!(eager, 120);
        let waits: Vec<_> = begun.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
        assert_eq!(waits[120..127], [1, 2, 4, 8, 16, 32, 60], "{waits:?}");
        assert!(waits[127..].iter().all(|wait| *wait == 60));
    }

    #[test]
    fn an_interface_that_comes_up_makes_it_eager_again() {
        let mut retry = Retry::default();
        let hour = Duration::from_secs(3600);
        retry.hurry(hour);
        assert_eq!(retry.next(), None, "nothing waits");
        retry.begin(Duration::ZERO);
        retry.hurry(hour);
        assert_eq!(retry.next(), None, "it is under way");
        retry.fail(hour, 0);
        retry.hurry(hour);
        assert_eq!(retry.next(), Some(hour));
        retry.begin(hour);
        retry.fail(hour, 0);
        assert_eq!(retry.next(), Some(hour + EVERY));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_a_minute_nor_in_the_past(
            takes in 0_u64..5_000, dice in prop::collection::vec(any::<u8>(), 1..9),
        ) {
            let takes = Duration::from_millis(takes);
            let begun = attempts(takes, Duration::from_secs(900), &dice);
            for two in begun.windows(2) {
                let wait = two[1] - two[0];
                prop_assert!(wait >= takes && wait <= takes + WAIT_MAX, "{wait:?}");
            }
        }
    }
}
