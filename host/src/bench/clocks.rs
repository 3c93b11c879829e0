//! Two clocks that a measurement needs and the standard library does not show: one that all processes
//! of a machine share, and the processor time that this process used.

use core::time::Duration;

/// Time since some moment that is the same for all processes of this machine, until it restarts. It
/// never runs back.
#[cfg(unix)]
#[must_use]
pub fn monotonic() -> Duration {
    get(rustix::time::ClockId::Monotonic)
}

/// The processor time that this process used so far, in user mode and in the system's.
#[cfg(unix)]
#[must_use]
pub fn processor() -> Option<Duration> {
    Some(get(rustix::time::ClockId::ProcessCPUTime))
}

#[cfg(unix)]
fn get(clock: rustix::time::ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Where nothing better is at hand, the clock on the wall: shared, but somebody may set it.
#[cfg(not(unix))]
#[must_use]
pub fn monotonic() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The processor time that this process used so far: not known on this system.
#[cfg(not(unix))]
#[must_use]
pub const fn processor() -> Option<Duration> {
    None
}

/// The processor time used since its making.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    before: Option<Duration>,
}

impl Processor {
    /// Counts from now on.
    #[must_use]
    pub fn new() -> Self {
        Self { before: processor() }
    }

    /// What was used since; `None` where the system does not say.
    #[must_use]
    pub fn used(&self) -> Option<Duration> {
        Some(processor()?.saturating_sub(self.before?))
    }
}

impl Default for Processor {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_shared_clock_goes_as_fast_as_ours() {
        let (start, before) = (Instant::now(), monotonic());
        std::thread::sleep(Duration::from_millis(20));
        let went = monotonic() - before;
        assert!(went >= Duration::from_millis(20) && went <= start.elapsed(), "{went:?}");
    }

    #[cfg(unix)]
    #[test]
    fn work_counts_and_sleep_does_not() {
        let thread_start = Instant::now();
        let work = Processor::new();
        let mut hash = blake3::hash(b"");
        while work.used().unwrap() < Duration::from_millis(5) {
            hash = blake3::hash(hash.as_bytes());
            assert!(thread_start.elapsed() < Duration::from_secs(20), "{hash}");
        }
    }
}
