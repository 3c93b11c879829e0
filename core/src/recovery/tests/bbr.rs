//! A model of BBR's first version as Linux has it: the best rate of ten round trips, the least round
//! trip of ten seconds, and never more than twice their product in flight. Gains are in hundredths.

use super::tcp::{News, SEGMENT};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

pub(super) struct Bbr {
    phase: Phase,
    rounds: u64,
    /// The best rate of each of the last ten rounds.
    rates: VecDeque<(u64, u64)>,
    rtt_min: Duration,
    rtt_min_at: Instant,
    full_rate: u64,
    flat_rounds: u8,
    window: u64,
    window_before: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Startup,
    Drain,
    /// The place in the cycle, and since when.
    Cycle(usize, Instant),
    /// The end, once little enough is in flight.
    ProbeRtt(Option<Instant>),
}

impl Bbr {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Startup,
            rounds: 0,
            rates: VecDeque::new(),
            rtt_min: Duration::MAX,
            rtt_min_at: now,
            full_rate: 0,
            flat_rounds: 0,
            window: 10 * SEGMENT,
            window_before: 0,
        }
    }

    pub(super) fn window(&self) -> u64 {
        match self.phase {
            Phase::ProbeRtt(_) => self.window.min(4 * SEGMENT),
            _ => self.window,
        }
    }

    pub(super) fn pacing_rate(&self) -> u64 {
        let gain = match self.phase {
            Phase::Startup => 289,
            Phase::Drain => 35,
            Phase::Cycle(place, _) => CYCLE[place],
            Phase::ProbeRtt(_) => 100,
        };
        match self.rate() {
            0 => 10 * SEGMENT * 1_000 * 289 / 100,
            // Linux stays a hundredth below, so that queues can drain.
            rate => rate * gain / 101,
        }
    }

    pub(super) fn on_acked(&mut self, news: &News, now: Instant) {
        self.rounds += u64::from(news.round_ended);
        while self.rates.back().is_some_and(|(_, rate)| *rate <= news.rate) {
            self.rates.pop_back();
        }
        self.rates.push_back((self.rounds, news.rate));
        while self.rates.front().is_some_and(|(round, _)| round + 10 < self.rounds) {
            self.rates.pop_front();
        }
        self.move_on(news, now);
        self.see_rtt(news, now);
        let gain = if matches!(self.phase, Phase::Startup | Phase::Drain) { 289 } else { 200 };
        let target = self.product(gain) + 6 * SEGMENT;
        if self.phase != Phase::Startup {
            self.window = (self.window + SEGMENT).min(target);
        } else if self.window < target {
            self.window += SEGMENT;
        }
        self.window = self.window.max(4 * SEGMENT);
    }

    fn move_on(&mut self, news: &News, now: Instant) {
        match self.phase {
            Phase::Startup if news.round_ended => {
                if self.rate() >= self.full_rate * 5 / 4 {
                    (self.full_rate, self.flat_rounds) = (self.rate(), 0);
                } else {
                    self.flat_rounds += 1;
                }
                if self.flat_rounds >= 3 {
                    self.phase = Phase::Drain;
                }
            }
            Phase::Drain if news.in_flight <= self.product(100) => {
                self.phase = Phase::Cycle(2, now);
            }
            Phase::Cycle(place, since) => {
                let elapsed = now.since(since) > self.rtt_min;
                let over = match CYCLE[place] {
                    125 => elapsed && (news.lost || news.in_flight >= self.product(125)),
                    75 => elapsed || news.in_flight <= self.product(100),
                    _ => elapsed,
                };
                if over {
                    self.phase = Phase::Cycle((place + 1) % CYCLE.len(), now);
                }
            }
            _ => {}
        }
    }

    fn see_rtt(&mut self, news: &News, now: Instant) {
        let expired = now.since(self.rtt_min_at) > Duration::from_secs(10);
        if news.rtt <= self.rtt_min || expired {
            (self.rtt_min, self.rtt_min_at) = (news.rtt, now);
        }
        match self.phase {
            Phase::ProbeRtt(None) if news.in_flight <= 4 * SEGMENT => {
                self.phase = Phase::ProbeRtt(Some(now + Duration::from_millis(200)));
            }
            Phase::ProbeRtt(Some(end)) if now >= end => {
                self.rtt_min_at = now;
                self.window = self.window.max(self.window_before);
                self.phase = Phase::Cycle(2, now);
            }
            Phase::ProbeRtt(_) => {}
            _ if expired => {
                self.window_before = self.window;
                self.phase = Phase::ProbeRtt(None);
            }
            _ => {}
        }
    }

    fn rate(&self) -> u64 {
        self.rates.front().map_or(0, |(_, rate)| *rate)
    }

    /// What the path holds, times a gain.
    fn product(&self, gain: u64) -> u64 {
        match self.rtt_min {
            Duration::MAX => 10 * SEGMENT,
            rtt => rtt.bytes_at(self.rate()) * gain / 100,
        }
    }
}

const CYCLE: [u64; 8] = [125, 75, 100, 100, 100, 100, 100, 100];
