//! A limit on a rate that several share: whoever sends first takes his turn, and the next waits for it to be over.

use core::num::NonZeroU64;
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// A rate in bytes a second, or none.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Option<NonZeroU64>,
    /// When all that was taken so far has gone at that rate.
    free: Mutex<Option<Instant>>,
}

impl Throttle {
    /// So many bytes a second; as many as there are, if that is not said.
    #[must_use]
    pub(crate) const fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, free: Mutex::new(None) }
    }

    /// When `bytes` more may go; `None`: now.
    pub(crate) fn turn(&self, bytes: usize) -> Option<Instant> {
        let rate = self.rate?;
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
        let lasts = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // What was not used is not saved up.
        let turn = free.map_or(now, |free| free.max(now));
        *free = Some(turn + lasts);
        (turn > now).then_some(turn)
    }

    /// Takes `bytes` that have come already, and says when more may; `None`: now.
    pub(crate) fn take(&self, bytes: usize) -> Option<Instant> {
        let _ = self.turn(bytes);
        *self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(throttle: &Throttle, bytes: usize) {
        if let Some(turn) = throttle.turn(bytes) {
            tokio::time::sleep_until(turn).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn several_share_the_rate_and_nothing_is_saved_up() {
        let throttle = Throttle::new(NonZeroU64::new(1_000));
        let start = Instant::now();
        let all = async {
            for _ in 0..5 {
                take(&throttle, 100).await;
            }
        };
        let others = async {
            for _ in 0..5 {
                take(&throttle, 100).await;
            }
        };
        tokio::join!(all, others);
        assert_eq!(start.elapsed(), Duration::from_millis(900), "the last one's turn begins then");
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        take(&throttle, 500).await;
        take(&throttle, 1).await;
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        take(&Throttle::new(None), usize::MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_already_is_paid_for_after_it() {
        let throttle = Throttle::new(NonZeroU64::new(1_000));
        let start = Instant::now();
        for _ in 0..5 {
            tokio::time::sleep_until(throttle.take(100).unwrap()).await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        assert_eq!(Throttle::new(None).take(usize::MAX), None);
    }
}
