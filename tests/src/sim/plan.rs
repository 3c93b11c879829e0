//! What the applications of a simulated world are to do: which streams, how long, and how each
//! direction ends.

use super::cadence::Cadence;
use ropewalk_core::time::Duration;

/// One stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamPlan {
    /// Who opens it.
    pub opener: u8,
    /// For which service; the other side refuses what is not in [`SERVICES`].
    pub service: &'static str,
    /// What the opener writes.
    pub there: HalfPlan,
    /// What the other side answers, without waiting for the end.
    pub back: HalfPlan,
}

/// One direction of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct HalfPlan {
    /// How much is to be written.
    pub bytes: u64,
    /// The writer gives up after so many bytes, with this code.
    pub reset: Option<(u64, u32)>,
    /// The reader has enough after so many bytes, and says so with this code.
    pub stop: Option<(u64, u32)>,
    /// The reader takes its time.
    pub pace: Option<Pace>,
    /// More is to be written as time passes.
    pub cadence: Option<Cadence>,
}

/// So many bytes at a time, and then a pause.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Read at once, at most.
    pub bytes: usize,
    /// From one reading to the next.
    pub every: Duration,
}

/// Unreliable messages that a node sends.
#[derive(Clone, Copy, Debug)]
pub struct MessagePlan {
    /// Who sends them.
    pub node: u8,
    /// How many.
    pub count: u32,
    /// From one to the next.
    pub every: Duration,
    /// Their length, 8 or more.
    pub bytes: usize,
}

impl StreamPlan {
    /// A stream that carries `bytes` to the other side and ends well.
    #[must_use]
    pub fn new(opener: u8, service: &'static str, bytes: u64) -> Self {
        let there = HalfPlan { bytes, ..HalfPlan::default() };
        Self { opener, service, there, back: HalfPlan::default() }
    }

    /// Whether the other side must refuse it.
    #[must_use]
    pub fn refused(&self) -> bool {
        !SERVICES.contains(&self.service)
    }
}

/// What both nodes offer.
pub const SERVICES: &[&str] = &["file", "echo"];
