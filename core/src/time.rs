//! Time as the core sees it: whole microseconds on a clock that the caller keeps.
//!
//! Nothing here can say what time it is. `Instant` counts from any fixed moment and never runs
//! back; the arithmetic saturates, so that no peer and no clock can make it panic.

use crate::arithmetic::{Wide, difference, product};
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Div, Mul, Sub};

/// A moment: microseconds since the caller's epoch.
///
/// It is kept as one more than that, so that none at all takes no more room: a path remembers
/// some twenty moments that may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(NonZeroU64);

/// A span of time in microseconds, at most 71 minutes: what is longer counts as that. Nothing that
/// is measured or waited for takes so long, and on a processor of 32 bits it is half the room and
/// half the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u32);

impl Instant {
    /// The epoch.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// Later than any moment that a clock reaches.
    pub const FAR_FUTURE: Self = Self(NonZeroU64::MAX);

    /// The moment `micros` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        difference(self.0.get(), 1)
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(difference(self.0.get(), earlier.0.get()))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// 71 minutes, longer than anything measured.
    pub const MAX: Self = Self(u32::MAX);

    /// `micros` microseconds.
    #[must_use]
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub const fn from_micros(micros: u64) -> Self {
        Self(narrow(micros))
    }

    /// `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// Whole microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 as u64
    }

    /// Whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 as u64 / 1_000
    }

    /// The time that `bytes` take at `rate` bytes a second; [`Duration::MAX`] when the rate is zero.
    #[must_use]
    pub const fn of_bytes(bytes: u64, rate: u64) -> Self {
        match product(bytes, 1_000_000).checked_div(rate) {
            Some(micros) => Self::from_micros(micros),
            None => Self::MAX,
        }
    }

    /// How many bytes pass in this time at `rate` bytes a second.
    #[must_use]
    pub const fn bytes_at(self, rate: u64) -> u64 {
        product(rate, self.0 as u64) / 1_000_000
    }
}

/// The number, or the largest of 32 bits if it is larger.
const fn narrow(number: u64) -> u32 {
    if number > u32::MAX as u64 { u32::MAX } else { number as u32 }
}

/// The earlier of two moments that may not be set.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(not(target_pointer_width = "32"), inline)]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    #[cfg_attr(not(target_pointer_width = "32"), inline)]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0 as u64))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        NonZeroU64::new(self.0.get().minus(span.0 as u64)).map_or(Self::ZERO, Self)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(narrow(factor)))
    }
}

impl Div<u64> for Duration {
    type Output = Self;
    /// Dividing by zero gives [`Duration::MAX`].
    fn div(self, divisor: u64) -> Self {
        Self(self.0.checked_div(narrow(divisor)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_never_leaves_the_range() {
        assert_eq!(Instant::FAR_FUTURE + Duration::from_secs(1), Instant::FAR_FUTURE);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(Instant::from_micros(5)), Duration::ZERO);
        assert_eq!(Duration::from_secs(1) / 0, Duration::MAX);
    }

    #[test]
    fn a_span_that_is_too_long_is_the_longest() {
        let hours = Duration::from_secs(7_200);
        assert_eq!(hours, Duration::MAX);
        assert_eq!(Duration::from_millis(u64::MAX), Duration::MAX);
        assert_eq!(Instant::FAR_FUTURE.since(Instant::ZERO), Duration::MAX);
        assert_eq!(Duration::from_secs(1) * (1 << 32), Duration::MAX);
        assert_eq!(Duration::of_bytes(u64::MAX, 1), Duration::MAX);
        assert_eq!(Duration::MAX / (1 << 33), Duration::from_micros(1));
        assert_eq!(Instant::ZERO + hours, Instant::from_micros(u32::MAX.into()));
    }

    #[test]
    fn the_earlier_of_two_is_the_one_that_is_set() {
        let [soon, late] = [1, 2].map(|at| Some(Instant::from_micros(at)));
        for (one, other, first) in
            [(None, None, None), (soon, None, soon), (None, soon, soon), (late, soon, soon)]
        {
            assert_eq!(earlier(one, other), first);
        }
    }

    #[test]
    fn bytes_and_time_at_a_rate_are_inverse() {
        let rate = 12_500_000; // 100 Mbit/s
        assert_eq!(Duration::of_bytes(1_250, rate), Duration::from_micros(100));
        assert_eq!(Duration::from_micros(100).bytes_at(rate), 1_250);
        assert_eq!(Duration::of_bytes(1, 0), Duration::MAX);
    }
}
