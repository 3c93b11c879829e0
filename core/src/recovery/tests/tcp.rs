//! A rival: a TCP flow with all the data in the world, as far as sharing a link goes. Every packet is
//! acknowledged by itself, nothing overtakes, what a later one overtakes is lost.

use super::bbr::Bbr;
use super::link::Link;
use super::sharing::Flow;
use crate::recovery::cubic::Cubic;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;
use std::vec::Vec;

pub(super) const SEGMENT: u64 = 1_500;

/// A sender and its receiver.
pub(super) struct Tcp {
    control: Control,
    begins: Instant,
    in_flight: VecDeque<Sent>,
    acks: VecDeque<(Instant, u64)>,
    next: u64,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    round_ends_at: u64,
    paced_at: Instant,
    /// Losses of packets before this one belong to the last cut.
    cut_until: u64,
    arrivals: Vec<Instant>,
}

/// What decides on window and pace.
pub(super) enum Control {
    /// Linux's default.
    Cubic(CubicWindow),
    /// The first version.
    Bbr(Bbr),
}

/// CUBIC after slow start with HyStart's delay rule.
pub(super) struct CubicWindow {
    window: u64,
    cubic: Cubic,
    slow_start: bool,
    rtt_min: Duration,
}

struct Sent {
    number: u64,
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
}

/// What one acknowledgement says.
pub(super) struct News {
    pub(super) rtt: Duration,
    /// Bytes a second.
    pub(super) rate: u64,
    pub(super) round_ended: bool,
    pub(super) in_flight: u64,
    pub(super) lost: bool,
}

impl Tcp {
    fn new(control: Control, begins: Instant) -> Self {
        Self {
            control,
            begins,
            in_flight: VecDeque::new(),
            acks: VecDeque::new(),
            next: 0,
            delivered: 0,
            delivered_at: begins,
            first_sent_at: begins,
            round_ends_at: 0,
            paced_at: begins,
            cut_until: 0,
            arrivals: Vec::new(),
        }
    }

    pub(super) fn cubic(begins: Instant) -> Self {
        let (window, rtt_min) = (10 * SEGMENT, Duration::MAX);
        let control = CubicWindow { window, cubic: Cubic::new(), slow_start: true, rtt_min };
        Self::new(Control::Cubic(control), begins)
    }

    pub(super) fn bbr(begins: Instant) -> Self {
        Self::new(Control::Bbr(Bbr::new(begins)), begins)
    }

    fn bytes_in_flight(&self) -> u64 {
        self.in_flight.len() as u64 * SEGMENT
    }

    fn window(&self) -> u64 {
        match &self.control {
            Control::Cubic(cubic) => cubic.window,
            Control::Bbr(bbr) => bbr.window(),
        }
    }

    fn acknowledged(&mut self, number: u64, now: Instant) {
        let mut lost = false;
        while let Some(sent) = self.in_flight.pop_front() {
            if sent.number < number {
                lost = true;
                continue;
            }
            self.delivered += SEGMENT;
            let elapsed = now.since(sent.delivered_at).max(sent.at.since(sent.first_sent_at));
            let bytes = self.delivered - sent.delivered;
            (self.delivered_at, self.first_sent_at) = (now, sent.at);
            let round_ended = sent.delivered >= self.round_ends_at;
            if round_ended {
                self.round_ends_at = self.delivered;
            }
            let news = News {
                rtt: now.since(sent.at),
                rate: bytes * 1_000_000 / elapsed.as_micros().max(1),
                round_ended,
                in_flight: self.bytes_in_flight(),
                lost,
            };
            let cut = lost && number >= self.cut_until;
            if cut {
                self.cut_until = self.next;
            }
            let recovering = number < self.cut_until;
            match &mut self.control {
                Control::Cubic(cubic) => cubic.on_acked(&news, cut, recovering, now),
                Control::Bbr(bbr) => bbr.on_acked(&news, now),
            }
            return;
        }
    }

    fn send(&mut self, link: &mut Link, now: Instant) {
        if self.in_flight.is_empty() {
            (self.delivered_at, self.first_sent_at) = (now, now);
        }
        let (number, delivered) = (self.next, self.delivered);
        let (delivered_at, first_sent_at) = (self.delivered_at, self.first_sent_at);
        self.next += 1;
        self.in_flight.push_back(Sent { number, at: now, delivered, delivered_at, first_sent_at });
        if let Some(at) = link.enter(SEGMENT, now) {
            self.arrivals.push(at);
            self.acks.push_back((at + link.delay, number));
        }
        if let Control::Bbr(bbr) = &self.control {
            let pace = Duration::from_micros(SEGMENT * 1_000_000 / bbr.pacing_rate().max(1));
            self.paced_at = self.paced_at.max(now - Duration::from_millis(1)) + pace;
        }
    }
}

impl Flow for Tcp {
    fn step(&mut self, link: &mut Link, now: Instant) -> Option<Instant> {
        if now < self.begins {
            return Some(self.begins);
        }
        while let Some((at, number)) = self.acks.front().copied().filter(|(at, _)| *at <= now) {
            self.acks.pop_front();
            self.acknowledged(number, at);
        }
        if self.acks.is_empty() {
            // The end of what was in flight is lost: a timeout would find it.
            self.in_flight.clear();
        }
        while self.paced_at <= now && self.bytes_in_flight() + SEGMENT <= self.window() {
            self.send(link, now);
        }
        let room = self.bytes_in_flight() + SEGMENT <= self.window();
        let paced = room.then_some(self.paced_at);
        let timeout = self.acks.is_empty().then_some(now + Duration::from_millis(200));
        let acked = self.acks.front().map(|(at, _)| *at);
        [paced, acked, timeout].into_iter().flatten().min()
    }

    fn arrived(&self, end: Instant) -> u64 {
        self.arrivals.iter().filter(|at| **at < end).count() as u64 * SEGMENT
    }
}

impl CubicWindow {
    fn on_acked(&mut self, news: &News, cut: bool, recovering: bool, now: Instant) {
        self.rtt_min = self.rtt_min.min(news.rtt);
        if cut {
            self.window = self.cubic.cut(self.window).max(2 * SEGMENT);
            self.slow_start = false;
        } else if recovering {
            // Nothing grows until the loss is repaired.
        } else if self.slow_start {
            self.window += SEGMENT;
            let rise =
                (self.rtt_min / 8).clamp(Duration::from_millis(4), Duration::from_millis(16));
            self.slow_start = news.rtt < self.rtt_min + rise;
        } else if news.in_flight + 2 * SEGMENT >= self.window {
            self.window = self.cubic.grow(self.window, SEGMENT, SEGMENT, news.rtt, now);
        }
    }
}
