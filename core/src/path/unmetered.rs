//! In place of `quota.rs` where quotas are left out: nothing is counted, and every link is open.

use crate::time::{Duration, Instant};

/// A meter that counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Meter;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// We sent them.
    Out,
    /// They came.
    In,
}

/// What a meter would be told of the link beside the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnLink {
    /// The longest round trip of its paths.
    pub round_trip: Duration,
    /// How many paths it has.
    pub paths: u64,
    /// Bytes that the peer sent on them and that have not come.
    pub missing: u64,
    /// No other link carries data.
    pub alone: bool,
}

impl Meter {
    /// Whether quotas are kept.
    pub const KEEPS_QUOTAS: bool = false;

    /// There is no quota to keep.
    #[must_use]
    pub const fn new(_: Option<u64>) -> Self {
        Self
    }

    /// Nothing is kept.
    pub const fn set_quota(&mut self, _: Option<u64>, _: Instant) {}

    /// Nothing is counted.
    pub const fn count(&mut self, _: Way, _: u64, _: OnLink, _: Instant) {}

    /// Nothing is counted.
    pub const fn write_off(&mut self, _: u64) {}

    /// None.
    #[must_use]
    pub const fn quota(&self) -> Option<u64> {
        None
    }

    /// Nothing was counted.
    #[must_use]
    pub const fn used(&self) -> u64 {
        0
    }

    /// Always.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        true
    }

    /// Never.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        false
    }

    /// Never.
    #[must_use]
    pub const fn is_tight(&self) -> bool {
        false
    }

    /// Never.
    #[must_use]
    pub const fn rests_until(&self) -> Option<Instant> {
        None
    }

    /// Nothing changes.
    pub const fn on_timeout(&mut self, _: Instant) -> bool {
        false
    }
}
