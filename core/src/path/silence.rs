//! For how long has a path been silent? What was last heard of it, and the moments that follow.
//!
//! ```text
//!   sent, wants an answer ──> waiting ──acknowledged──> heard        suspect_at: answers overdue
//!                               │                         ^          down_at:    patience is over
//!                               └──> suspected ──answered─┘          probe_at:   ask again
//! ```
//!
//! How long is too long, [`super::failover`] says; what follows from it, [`super::state`]. This file
//! only remembers.

use super::failover::{down_after, probe_interval, quiet_after, suspect_after};
use crate::recovery::Recovery;
use crate::time::{Duration, Instant};

/// What is known of a path's silence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// How long the peer may hold an acknowledgement back.
    held: Duration,
    /// When the oldest packet that waits for an acknowledgement was sent.
    waiting_since: Option<Instant>,
    /// When something was last newly acknowledged.
    heard: Option<Instant>,
    /// It came back by an acknowledgement on another path: its own way back is in doubt.
    heard_elsewhere: bool,
    suspected: Option<Instant>,
    /// The number of the first packet sent since then: its arrival proves that the silence is over.
    doubted_from: u64,
    last_probe: Option<Instant>,
    /// When something that wants an acknowledgement was last sent.
    last_eliciting: Instant,
}

impl Silence {
    /// Nothing was sent yet.
    pub(super) const fn new(held: Duration, now: Instant) -> Self {
        Self {
            held,
            waiting_since: None,
            heard: None,
            heard_elsewhere: false,
            suspected: None,
            doubted_from: 0,
            last_probe: None,
            last_eliciting: now,
        }
    }

    /// Something that wants an acknowledgement was sent.
    pub(super) fn on_eliciting(&mut self, now: Instant) {
        self.last_eliciting = now;
        self.last_probe = Some(now);
        self.waiting_since.get_or_insert(now);
    }

    /// Of the packets that still wait, `oldest` was sent first.
    pub(super) const fn on_settled(&mut self, oldest: Option<Instant>) {
        self.waiting_since = oldest;
    }

    /// A packet up to number `largest` was newly acknowledged, by a word on the path itself or on
    /// another. Whether that proves that the path works: what arrived before the silence says
    /// nothing of its end.
    pub(super) const fn on_acknowledged(
        &mut self,
        largest: u64,
        own_path: bool,
        now: Instant,
    ) -> bool {
        // While the way back works, what comes another way says rather that it no longer does.
        if own_path || self.heard_elsewhere {
            self.heard = Some(now);
        }
        own_path || largest >= self.doubted_from
    }

    /// It works: after it was suspected (`over`), or as before.
    pub(super) const fn on_working(&mut self, over: bool, own_path: bool, now: Instant) {
        self.heard_elsewhere = !own_path && (over || self.heard_elsewhere);
        if over {
            self.heard = Some(now);
            self.suspected = None;
        }
    }

    /// It is suspect. `next` is the number of the next packet.
    pub(super) const fn on_suspected(&mut self, next: u64, now: Instant) {
        self.suspected = Some(now);
        self.doubted_from = next;
    }

    /// The moment of a probe has come. It passes whether or not the probe can be sent now: nothing
    /// waits for a moment that has passed.
    pub(super) const fn on_probe_due(&mut self, now: Instant) {
        self.last_probe = Some(now);
    }

    /// How long the oldest packet that waits for an acknowledgement has been under way.
    pub(super) fn waits(&self, recovery: &Recovery, now: Instant) -> Duration {
        let oldest = self.waiting_since.filter(|_| recovery.waiting());
        oldest.map_or(Duration::ZERO, |oldest| now.since(oldest))
    }

    /// How much longer than a round trip that is.
    pub(super) fn overdue(&self, recovery: &Recovery, now: Instant) -> Duration {
        let rtt = &recovery.rtt;
        self.waits(recovery, now) - rtt.smoothed().max(rtt.latest()) - self.held
    }

    /// When an active path becomes suspect, if what the peer acknowledges comes by another path after
    /// `copy`.
    pub(super) fn suspect_at(&self, recovery: &Recovery, copy: Duration) -> Option<Instant> {
        let oldest = self.waiting_since.filter(|_| recovery.waiting())?;
        let line = recovery.time_on_line();
        let patience = suspect_after(&recovery.rtt, self.held) + line;
        let patient = quiet_after(&recovery.rtt, self.held, recovery.in_flight(), copy) + line;
        let quiet = self.heard.map(|at| at + patient);
        Some((oldest + patience).max(quiet.unwrap_or(Instant::ZERO)))
    }

    /// When a suspect path is down.
    pub(super) fn down_at(&self, recovery: &Recovery) -> Option<Instant> {
        Some(self.suspected? + down_after(recovery.probe_timeout()))
    }

    /// When an active path, quiet for `keep_alive`, is probed to keep it open.
    pub(super) fn keep_alive_at(&self, keep_alive: Duration) -> Instant {
        self.last_probe.unwrap_or(self.last_eliciting) + keep_alive
    }

    /// When a silent path is probed again, to find out whether it is back.
    pub(super) fn probe_at(&self, recovery: &Recovery) -> Instant {
        let last = self.last_probe.unwrap_or(Instant::ZERO);
        let silent = self.waiting_since.map_or(Duration::ZERO, |since| last.since(since));
        last + probe_interval(&recovery.rtt, silent)
    }

    /// Whether an acknowledgement should ask to be acknowledged itself: a path that only ever
    /// carries acknowledgements would not notice that they get lost.
    pub(super) fn wants_ping_with_ack(&self, recovery: &Recovery, now: Instant) -> bool {
        let since = now.since(self.last_eliciting);
        self.waiting_since.is_none() && since >= recovery.rtt.smoothed().max(PING_WITH_ACK)
    }

    /// The longest silence of a path that swallows long packets alone: the first Ping is answered.
    pub(super) fn of_long_packets(&self, recovery: &Recovery) -> Duration {
        let rtt = &recovery.rtt;
        suspect_after(rtt, self.held) + rtt.smoothed() * 2 + Duration::from_millis(20)
    }
}

/// How often a path that only acknowledges asks whether its acknowledgements arrive.
const PING_WITH_ACK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Duration = Duration::from_millis(5);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn what_arrived_before_the_silence_proves_nothing_unless_the_path_itself_says_so() {
        let mut silence = Silence::new(HELD, at(0));
        silence.on_suspected(10, at(100));
        assert!(!silence.on_acknowledged(9, false, at(110)));
        assert!(silence.on_acknowledged(10, false, at(120)));
        assert!(silence.on_acknowledged(9, true, at(130)));
    }

    #[test]
    fn a_word_on_another_path_counts_while_the_way_back_is_in_doubt() {
        let mut silence = Silence::new(HELD, at(0));
        silence.on_acknowledged(1, false, at(10));
        assert_eq!(silence.heard, None);
        silence.on_suspected(2, at(20));
        silence.on_acknowledged(2, false, at(30));
        silence.on_working(true, false, at(30));
        silence.on_acknowledged(3, false, at(40));
        assert_eq!(silence.heard, Some(at(40)));
        silence.on_acknowledged(4, true, at(50));
        silence.on_working(false, true, at(50));
        silence.on_acknowledged(5, false, at(60));
        assert_eq!(silence.heard, Some(at(50)), "its own way back works again");
    }

    #[test]
    fn only_one_ping_for_acknowledgements_is_under_way() {
        let recovery = Recovery::new(1_200, at(0));
        let mut silence = Silence::new(HELD, at(0));
        assert!(!silence.wants_ping_with_ack(&recovery, at(40)));
        assert!(silence.wants_ping_with_ack(&recovery, at(2_000)));
        silence.on_eliciting(at(2_000));
        assert!(!silence.wants_ping_with_ack(&recovery, at(4_000)));
        silence.on_settled(None);
        assert!(silence.wants_ping_with_ack(&recovery, at(4_000)));
    }
}
