//! How fast a path delivers: samples taken with each acknowledgement, and their maximum over the
//! last rounds (draft-cheng-iccrg-delivery-rate-estimation).
//!
//! A sample spans from the moment at which the path had last delivered something when the packet
//! was sent, to its acknowledgement; the longer of the sending and the acknowledging span counts,
//! so that neither bursts nor compressed acknowledgements make a path look fast. Samples taken
//! while the sender had nothing more to send can only raise the estimate.

use super::sent::SentSlot;
use crate::time::{Duration, Instant};

/// The delivery rate of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Bytes acknowledged so far.
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// A round ends when a packet that was sent after `delivered` had this value is acknowledged.
    round_end: u64,
    round: u64,
    /// Bytes a second: the maximum of the present window of rounds, and of the one before.
    current: u64,
    previous: u64,
    window_end: u64,
}

/// The newest packet of one acknowledgement, from which its rate sample is taken.
#[derive(Clone, Copy)]
pub(super) struct Newest {
    delivered: u64,
    delivered_at: Instant,
    sent_at: Instant,
    first_sent_at: Instant,
    app_limited: bool,
}

impl Newest {
    pub(super) fn of(slot: &SentSlot) -> Self {
        Self {
            delivered: slot.delivered,
            delivered_at: slot.delivered_at,
            sent_at: slot.sent_at,
            first_sent_at: slot.first_sent_at,
            app_limited: slot.app_limited,
        }
    }
}

impl Delivery {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            round_end: 0,
            round: 0,
            current: 0,
            previous: 0,
            window_end: WINDOW_ROUNDS,
        }
    }

    /// Bytes a second; zero before the first sample.
    pub(super) fn rate(&self) -> u64 {
        self.current.max(self.previous)
    }

    /// Notes in a packet what had been delivered when it was sent.
    pub(super) fn stamp(&mut self, slot: &mut SentSlot, nothing_in_flight: bool) {
        if nothing_in_flight {
            self.first_sent_at = slot.sent_at;
            self.delivered_at = slot.sent_at;
        }
        slot.delivered = self.delivered;
        slot.delivered_at = self.delivered_at;
        slot.first_sent_at = self.first_sent_at;
    }

    /// Takes an acknowledgement of `bytes`; returns whether a round trip's round ended with it.
    pub(super) fn on_acked(&mut self, bytes: u64, newest: Newest, now: Instant) -> bool {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        self.first_sent_at = newest.sent_at;
        let ended = newest.delivered >= self.round_end;
        if ended {
            self.round_end = self.delivered;
            self.round = self.round.saturating_add(1);
            if self.round >= self.window_end {
                self.window_end = self.round.saturating_add(WINDOW_ROUNDS);
                self.previous = self.current;
                self.current = 0;
            }
        }
        let sending = newest.sent_at.since(newest.first_sent_at);
        let acknowledging = now.since(newest.delivered_at);
        let span = sending.max(acknowledging).max(SPAN_MIN);
        let sample = self
            .delivered
            .saturating_sub(newest.delivered)
            .saturating_mul(1_000_000)
            .checked_div(span.as_micros())
            .unwrap_or(0);
        if !newest.app_limited || sample > self.rate() {
            self.current = self.current.max(sample);
        }
        ended
    }
}

/// Rounds in each half of the window over which the maximum is taken.
const WINDOW_ROUNDS: u64 = 6;
/// No span is shorter: clocks are coarse.
const SPAN_MIN: Duration = Duration::from_micros(100);
