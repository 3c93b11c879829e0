//! What does a path really deliver?
//!
//! ```text
//!   we send     |||||||||||                    a window at once
//!   narrowest   | | | | | | | | | | |          one after the other, a queue before it
//!   we hear     | | | | | | | | | | |          acknowledgements at just that pace
//! ```
//!
//! Congestion control begins with a hope (a window a round trip) and doubles it. That is its
//! business, but a scheduler that believes it gives a slow, young path a share that takes a second
//! to get across. While round trips are longer than the least one, packets queue before the path's
//! narrowest place, so acknowledgements come at the rate of that place, whatever the window is:
//! this file measures it, and the scheduler believes the smaller figure.

use crate::arithmetic::Wide;
use crate::time::{Duration, Instant};

/// Watches the pace of acknowledgements on one path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughput {
    /// Bytes a second that the path carries at most, as far as was seen.
    limit: Option<u64>,
    /// Since when packets have queued, and what was acknowledged since.
    span: Option<(Instant, u64)>,
}

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// Bytes newly acknowledged.
    pub bytes: u64,
    /// The newest round trip.
    pub latest: Duration,
    /// The least one.
    pub least: Duration,
    /// Whether the window was well used: else what arrives is only what was sent.
    pub busy: bool,
}

impl Throughput {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self { limit: None, span: None }
    }

    /// Something was acknowledged.
    pub fn on_acknowledged(&mut self, news: &News, now: Instant) {
        if news.latest <= news.least + (news.least / 4).max(QUEUE_MIN) {
            // No queue: it may carry more. A round of full use adds a quarter.
            let round = news.least.as_micros().max(1);
            let more = news.bytes.times(250_000).checked_div(round).unwrap_or(0);
            self.limit = self.limit.map(|limit| limit.plus(more));
            self.span = None;
            return;
        }
        let Some((began, before)) = self.span.filter(|_| news.busy) else {
            self.span = news.busy.then_some((now, 0));
            return;
        };
        let bytes = before.plus(news.bytes);
        let spent = now.since(began);
        let whole = spent >= SPAN;
        if whole || self.limit.is_none() || spent >= SPAN_FIRST {
            let rate = bytes.times(1_000_000).checked_div(spent.as_micros());
            self.limit = rate.or(self.limit);
        }
        self.span = Some(if whole { (now, 0) } else { (began, bytes) });
    }

    /// What the path carries at most, if that was seen.
    #[must_use]
    pub const fn limit(&self) -> Option<u64> {
        self.limit
    }
}

/// Acknowledgements that waited for company are no queue.
const QUEUE_MIN: Duration = Duration::from_millis(6);
/// How long one measurement takes, and when it is good enough to replace the last.
const SPAN: Duration = Duration::from_millis(200);
const SPAN_FIRST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Acknowledgements of 1,200 bytes, one each `every`, with this round trip.
    fn play(seen: &mut Throughput, count: u64, every: u64, latest: u64, busy: bool) {
        for turn in 0..count {
            let news = News { bytes: 1_200, latest: ms(latest), least: ms(20), busy };
            seen.on_acknowledged(&news, Instant::from_micros(turn * every * 1_000));
        }
    }

    #[test]
    fn a_queue_shows_the_rate_after_two_acknowledgements() {
        for (count, limit) in [(1, None), (2, Some(120_000)), (100, Some(120_000))] {
            let mut seen = Throughput::new();
            play(&mut seen, count, 10, 40, true);
            assert_eq!(seen.limit(), limit, "{count}");
        }
    }

    #[test]
    fn without_a_queue_or_a_full_window_nothing_is_learnt() {
        let mut seen = Throughput::new();
        play(&mut seen, 100, 10, 21, true);
        assert_eq!(seen.limit(), None, "no queue");
        play(&mut seen, 100, 10, 40, false);
        assert_eq!(seen.limit(), None, "somebody else's queue");
    }

    #[test]
    fn a_limit_rises_by_a_quarter_with_each_round_of_full_use() {
        let mut seen = Throughput { limit: Some(120_000), span: None };
        // 120 kB/s and 20 ms: two packets a round.
        play(&mut seen, 2, 10, 20, true);
        assert_eq!(seen.limit(), Some(150_000));
    }
}
