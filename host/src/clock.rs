//! The system's monotonic clock, as the core's instants: microseconds since the endpoint began.

use ropewalk_core::time::Instant;

/// A clock that begins with its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: std::time::Instant,
}

impl Clock {
    /// Begins now. The first instant is not zero, so that "before the beginning" can be said.
    #[must_use]
    pub fn new() -> Self {
        Self { began: std::time::Instant::now() }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Instant {
        let micros = self.began.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(HEAD_START))
    }

    /// The system's instant for one of the core's.
    #[must_use]
    pub fn at(&self, instant: Instant) -> std::time::Instant {
        let micros = instant.as_micros().saturating_sub(HEAD_START).min(FAR);
        self.began + core::time::Duration::from_micros(micros)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

const HEAD_START: u64 = 1_000_000;
/// A century; the system's instants cannot hold every number.
const FAR: u64 = 3_000_000_000_000_000;
