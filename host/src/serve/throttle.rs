//! A limit on a rate that several share: whoever comes first has his turn first, and the next waits for it to be over.
//!
//! ```text
//!  waiting:  C  B ──> at the front: A, until all that went before has gone at that rate ──> A sends
//! ```
//!
//! Who gives up waiting leaves the queue, at its front too, and has used nothing. Whoever sends much takes it in parts
//! ([`Throttle::part`]), so that nobody waits long for the turn of another.

use core::num::NonZeroU64;
use core::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a part takes at most.
const PART_TIME: Duration = Duration::from_millis(100);

/// A rate in bytes a second, or none.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: Option<NonZeroU64>,
    /// When all that was sent so far has gone at that rate. Who waits for that moment has the lock, which is given in the
    /// order of the asking.
    free: Mutex<Option<Instant>>,
}

impl Throttle {
    /// So many bytes a second; as many as there are, if that is not said.
    #[must_use]
    pub(crate) const fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, free: Mutex::const_new(None) }
    }

    /// How many bytes are one turn at most; never zero.
    #[must_use]
    pub(crate) fn part(&self) -> usize {
        let part = |rate: NonZeroU64| u128::from(rate.get()) * PART_TIME.as_millis() / 1_000;
        self.rate
            .map_or(usize::MAX, |rate| usize::try_from(part(rate)).unwrap_or(usize::MAX).max(1))
    }

    /// Takes the turn for `bytes` if it is there at once.
    pub(crate) fn try_turn(&self, bytes: usize) -> bool {
        let Some(rate) = self.rate else { return true };
        // Whoever waits is not overtaken: the lock is his.
        let Ok(mut free) = self.free.try_lock() else { return false };
        let now = Instant::now();
        let is_free = free.is_none_or(|free| free <= now);
        if is_free {
            *free = Some(now + lasts(bytes, rate));
        }
        is_free
    }

    /// Waits until `bytes` more may go.
    pub(crate) async fn turn(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let mut free = self.free.lock().await;
        let now = Instant::now();
        // What was not used is not saved up.
        let turn = free.map_or(now, |free| free.max(now));
        tokio::time::sleep_until(turn).await;
        *free = Some(turn + lasts(bytes, rate));
    }

    /// Takes `bytes` that have come already, and says when more may; `None`: now.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Instant> {
        let rate = self.rate?;
        let now = Instant::now();
        let free = self.free.get_mut();
        *free = Some(free.map_or(now, |free| free.max(now)) + lasts(bytes, rate));
        *free
    }
}

fn lasts(bytes: usize, rate: NonZeroU64) -> Duration {
    let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn several_share_the_rate_and_nothing_is_saved_up() {
        let throttle = Throttle::new(NonZeroU64::new(1_000));
        let start = Instant::now();
        let take = async || {
            for _ in 0..5 {
                throttle.turn(100).await;
            }
        };
        tokio::join!(take(), take());
        assert_eq!(start.elapsed(), Duration::from_millis(900), "the last one's turn begins then");
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        throttle.turn(500).await;
        assert!(!throttle.try_turn(1));
        throttle.turn(1).await;
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        Throttle::new(None).turn(usize::MAX).await;
        assert!(Throttle::new(None).try_turn(usize::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_has_used_nothing() {
        let throttle = Throttle::new(NonZeroU64::new(1_000));
        throttle.turn(100).await;
        for _ in 0..50 {
            let waited = tokio::time::timeout(Duration::from_millis(1), throttle.turn(5_000)).await;
            assert!(waited.is_err());
        }
        let start = Instant::now();
        throttle.turn(1).await;
        assert!(start.elapsed() <= Duration::from_millis(100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_overtaken() {
        let throttle = Throttle::new(NonZeroU64::new(1_000));
        assert!(throttle.try_turn(100));
        let order = std::sync::Mutex::new(Vec::new());
        let take = async |name| {
            throttle.turn(50).await;
            order.lock().unwrap().push(name);
        };
        let push_in = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!throttle.try_turn(1), "somebody waits");
        };
        tokio::join!(take(1), take(2), take(3), push_in);
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_part_is_a_tenth_of_a_second_and_something() {
        let part = |rate| Throttle::new(NonZeroU64::new(rate)).part();
        assert_eq!([part(10_000), part(1), part(0)], [1_000, 1, usize::MAX]);
        assert!(part(u64::MAX) > 1 << 30);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_already_is_paid_for_after_it() {
        let mut throttle = Throttle::new(NonZeroU64::new(1_000));
        let start = Instant::now();
        for _ in 0..5 {
            tokio::time::sleep_until(throttle.take(100).unwrap()).await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(500));
        assert_eq!(Throttle::new(None).take(usize::MAX), None);
    }
}
