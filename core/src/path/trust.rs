//! Has a path that fell silent been good for long enough to be relied on again?
//!
//! A link that comes and goes should not take the traffic with it each time: every change may cost
//! a gap. So a path that came back must be good for a second, and each fall within a minute of the
//! one before doubles that. In the meantime it is asked often, or its silence would go unnoticed.

use crate::time::{Duration, Instant};

/// How far a path is to be trusted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    fell: Option<Instant>,
    /// When it came back.
    rose: Option<Instant>,
    /// Falls, each within a minute of the one before.
    falls: u32,
}

impl Trust {
    /// The path fell silent.
    pub fn fall(&mut self, now: Instant) {
        let again = self.fell.is_some_and(|fell| now.since(fell) <= FORGIVEN);
        self.falls = if again { self.falls.saturating_add(1) } else { 1 };
        self.fell = Some(now);
        self.rose = None;
    }

    /// It answers again.
    pub fn rise(&mut self, now: Instant) {
        self.rose = self.fell.map(|_| now);
    }

    /// Since when it is trusted, or will be if nothing happens; `None` while it is silent.
    #[must_use]
    pub fn from(&self) -> Option<Instant> {
        match (self.fell, self.rose) {
            (None, _) => Some(Instant::ZERO),
            (Some(_), rose) => Some(rose? + self.needed()),
        }
    }

    /// Whether it is trusted.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.from().is_some_and(|from| from <= now)
    }

    /// How long it must be good.
    fn needed(&self) -> Duration {
        let doublings = self.falls.saturating_sub(1).min(DOUBLINGS_MAX);
        GOOD_FOR * 1_u64.checked_shl(doublings).unwrap_or(1)
    }
}

const GOOD_FOR: Duration = Duration::from_secs(1);
/// 16 seconds at most.
const DOUBLINGS_MAX: u32 = 4;
const FORGIVEN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_path_that_comes_and_goes_is_trusted_later_each_time() {
        // spec: 9.11-3
        let mut trust = Trust::default();
        assert!(trust.holds(at(0)), "a path that never fell");
        let mut now = 1_000;
        for needed in [1_000, 2_000, 4_000, 8_000, 16_000, 16_000] {
            trust.fall(at(now));
            assert!(!trust.holds(at(now + 100_000)), "it is silent");
            trust.rise(at(now + 300));
            assert!(!trust.holds(at(now + 300 + needed - 1)));
            assert!(trust.holds(at(now + 300 + needed)));
            now += 20_000;
        }
        trust.fall(at(now + 60_000));
        trust.rise(at(now + 60_000));
        assert!(trust.holds(at(now + 61_000)), "what was long ago is forgiven");
    }
}
