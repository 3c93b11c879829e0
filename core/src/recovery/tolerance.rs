//! Is the loss ours? An experiment, because no single loss can tell.
//!
//! ```text
//!   Generous ---- more lost than accepted ----> Trial: a window without slack
//!      ^                                          |
//!      +---- as much is lost: accept it ----------+
//!      |                                          |
//!      +---- after many rounds ------ Strict <----+ far less is lost: it was our window
//! ```
//!
//! A radio loses packets whatever we send, and giving way only wastes it. A short queue loses what
//! does not fit, and there slack in the window turns straight into loss. So when much is lost, the
//! slack is taken away for some rounds and the losses are compared.

use crate::arithmetic::{Wide, difference, sum};
use crate::time::{Duration, Instant};

/// Whether the window may have slack above what the path itself holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    phase: Phase,
    /// Since the phase began, and since counting did.
    rounds: u16,
    counted_rounds: u16,
    round_at: Instant,
    delivered: u64,
    lost: u64,
    /// In thousandths: so much loss is known not to be ours.
    accepted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Generous,
    /// With the share lost before, in thousandths.
    Trial(u64),
    /// The window was found guilty.
    Strict,
}

impl Tolerance {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Generous,
            rounds: 0,
            counted_rounds: 0,
            round_at: Instant::ZERO,
            delivered: 0,
            lost: 0,
            accepted: ACCEPTED,
        }
    }

    /// Whether the window may have slack.
    pub(super) fn is_generous(&self) -> bool {
        self.phase == Phase::Generous
    }

    pub(super) const fn on_acked(&mut self, bytes: u64) {
        self.delivered = sum(self.delivered, bytes);
    }

    pub(super) const fn on_lost(&mut self, bytes: u64) {
        self.lost = sum(self.lost, bytes);
    }

    /// Packets that had been counted as lost were only late.
    pub(super) const fn on_late(&mut self, bytes: u64) {
        self.lost = difference(self.lost, bytes);
    }

    /// A round trip ended.
    pub(super) fn on_round(&mut self, datagram: u64, now: Instant) {
        if now.since(self.round_at) < ROUND_MIN {
            return;
        }
        self.round_at = now;
        self.rounds = self.rounds.saturating_add(1);
        self.counted_rounds = self.counted_rounds.saturating_add(1);
        // What is found lost right after a change of phase was sent before it.
        if self.rounds == SETTLING_ROUNDS {
            self.count_from_here();
        }
        let Some(share) = self.share(datagram) else { return };
        match self.phase {
            Phase::Generous if share > self.accepted => self.enter(Phase::Trial(share)),
            Phase::Trial(before) if share < before / 2 => self.enter(Phase::Strict),
            Phase::Trial(_) => self.accept(share),
            Phase::Strict if share > ACCEPTED => self.accept(share),
            Phase::Strict if self.rounds >= STRICT_ROUNDS => self.accept(0),
            _ => self.count_from_here(),
        }
    }

    /// The share lost, once enough was counted to say so.
    fn share(&self, datagram: u64) -> Option<u64> {
        let total = self.delivered.plus(self.lost);
        let enough = total >= datagram.times(COUNTED_DATAGRAMS);
        if self.rounds < SETTLING_ROUNDS || self.counted_rounds < COUNTED_ROUNDS || !enough {
            return None;
        }
        self.lost.times(1_000).checked_div(total)
    }

    /// Back to slack: `share` is lost without it too.
    fn accept(&mut self, share: u64) {
        self.accepted = share.times(2).max(ACCEPTED);
        self.enter(Phase::Generous);
    }

    const fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.rounds = 0;
        self.count_from_here();
    }

    const fn count_from_here(&mut self) {
        (self.delivered, self.lost, self.counted_rounds) = (0, 0, 0);
    }
}

/// In thousandths: less loss than this never matters.
const ACCEPTED: u64 = 30;
/// A share is computed over at least so many rounds and packets.
const COUNTED_ROUNDS: u16 = 8;
const COUNTED_DATAGRAMS: u64 = 200;
/// Rounds after a change of phase whose losses do not count yet.
const SETTLING_ROUNDS: u16 = 4;
/// Shorter rounds count as one.
const ROUND_MIN: Duration = Duration::from_millis(10);
/// How long a window that was found guilty stays without slack.
const STRICT_ROUNDS: u16 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(round: u32) -> Instant {
        Instant::from_micros(20_000 * (1 + u64::from(round)))
    }

    /// Runs rounds of 100 packets that lose `share(generous)` thousandths; how many were generous.
    fn run(rounds: u32, share: impl Fn(bool) -> u64) -> u32 {
        let mut tolerance = Tolerance::new();
        let mut generous = 0;
        for round in 0..rounds {
            let lost = 100_000 * share(tolerance.is_generous()) / 1_000;
            tolerance.on_lost(lost);
            tolerance.on_acked(100_000 - lost);
            tolerance.on_round(1_000, at(round));
            generous += u32::from(tolerance.is_generous());
        }
        generous
    }

    #[test]
    fn little_loss_is_no_matter() {
        assert_eq!(run(1_000, |_| 20), 1_000);
    }

    #[test]
    fn a_radio_keeps_its_slack_but_for_one_trial() {
        assert!(run(1_000, |_| 100) >= 980);
    }

    #[test]
    fn a_short_queue_is_respected() {
        assert!(run(1_000, |generous| if generous { 150 } else { 0 }) < 100);
    }

    #[test]
    fn loss_that_grows_is_tried_again() {
        let mut tolerance = Tolerance::new();
        let mut trials = 0;
        for round in 0..400 {
            tolerance.on_lost(if round < 200 { 5_000 } else { 30_000 });
            tolerance.on_acked(100_000);
            let before = tolerance.is_generous();
            tolerance.on_round(1_000, at(round));
            trials += u32::from(before && !tolerance.is_generous());
        }
        assert_eq!(trials, 2);
    }
}
