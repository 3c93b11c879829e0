//! One source as the schedule sees it: whether it may be asked, how fast it is, and what it owes.
//!
//! ```text
//!              add                   owes, and nothing comes for its patience
//!     Away ──────────▶ Live ────────────────────────────────────────────────▶ Silent
//!      ▲                │ ▲             a word, or its rest is over            │
//!      │      lost      │ └─────────────────────────────────────────────────────┘
//!      └────────────────┴──────────────── lost ─────────────────────────────────┘
//!     Gone: it is not tried any more, unless somebody adds it again.
//!     Dropped: it sent what is wrong. For good; no arrow leads out.
//! ```
//!
//! A silent source may still deliver, and is live again with its first word. One whose works all went elsewhere
//! rests, a second at first and up to a minute, and is then tried with one work.

use super::rate::Rate;
use super::work::{Gives, WorkId};
use ropewalk_core::time::{Duration, Instant};
use std::collections::{BTreeSet, VecDeque};

/// Names a source: a server or a mirror, whatever connection leads to it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// Whether a source may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be asked.
    Live,
    /// It owes something and delivers nothing.
    Silent,
    /// No connection leads to it.
    Away,
    /// No connection leads to it, and none is tried.
    Gone,
    /// It sent what is wrong: never asked again.
    Dropped,
}

/// What may change a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Lost,
    Gone,
    Quiet,
    Heard,
    Rested,
    Useless,
}

impl Standing {
    /// Whether a connection leads to it.
    #[must_use]
    pub const fn is_here(self) -> bool {
        matches!(self, Self::Live | Self::Silent)
    }

    pub(super) const fn next(self, change: Change) -> Self {
        match (self, change) {
            (Self::Dropped, _) | (_, Change::Useless) => Self::Dropped,
            (_, Change::Added) => Self::Live,
            (Self::Gone, _) | (_, Change::Gone) => Self::Gone,
            (_, Change::Lost) => Self::Away,
            (Self::Live, Change::Quiet) => Self::Silent,
            (Self::Silent, Change::Heard | Change::Rested) => Self::Live,
            (standing, Change::Quiet | Change::Heard | Change::Rested) => standing,
        }
    }
}

/// What a source has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of content that came from it.
    pub bytes: u64,
    /// Of these, what was of no use: it was fetched elsewhere too, or again.
    pub wasted: u64,
    /// Works that it delivered first, whole and proved.
    pub works: u64,
    /// How often it fell silent.
    pub silences: u64,
    /// How often its connection was lost.
    pub losses: u64,
    /// What it said it has not got.
    pub refusals: u64,
}

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) standing: Standing,
    pub(super) rate: Rate,
    pub(super) counts: Counts,
    /// What it was asked for, in that order.
    pub(super) queue: VecDeque<WorkId>,
    /// Bytes of these that have not come.
    pub(super) owed: u64,
    /// What is not wanted of it any more, until it is told.
    pub(super) cancels: VecDeque<WorkId>,
    /// Files that it has not got.
    pub(super) lacks: BTreeSet<u32>,
    /// What it has of a file.
    pub(super) gives: Gives,
    /// It has to deliver something before it is trusted again.
    pub(super) on_trial: bool,
    /// How many works it may owe.
    pub(super) works_max: usize,
    round_trip: Option<Duration>,
    /// Since when nothing came that is owed.
    quiet_since: Instant,
    /// When it was asked, if it owed nothing before and nothing has come since.
    asked: Option<Instant>,
    /// How long it rests after its next silence.
    rest: Duration,
}

impl Source {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            standing: Standing::Live,
            rate: Rate::default(),
            counts: Counts::default(),
            queue: VecDeque::new(),
            cancels: VecDeque::new(),
            owed: 0,
            lacks: BTreeSet::new(),
            gives: Gives::ALL,
            on_trial: false,
            works_max: WORKS_MAX,
            round_trip: None,
            quiet_since: now,
            asked: None,
            rest: REST_MIN,
        }
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(super) fn measure_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    /// Whether it may have this, as far as one knows.
    pub(super) fn may_have(&self, work: WorkId) -> bool {
        self.gives.has(work.part) && !self.lacks.contains(&work.file)
    }

    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }

    /// Whether it may be asked one day.
    pub(super) const fn is_hoped_for(&self) -> bool {
        !matches!(self.standing, Standing::Gone | Standing::Dropped)
    }

    /// Whether it should be asked for more: it must never run dry, and the longer what it owes is, the
    /// worse when it fails. A source that is on trial is asked for one work alone.
    pub(super) fn wants_more(&self, owed_max: u64) -> bool {
        if self.gives == Gives::NOTHING {
            return false;
        }
        if self.owed == 0 && self.queue.is_empty() {
            return self.is_live();
        }
        let ahead = self.round_trip.unwrap_or_default() + AHEAD;
        let aim = self.rate.get().map_or(OWED_AT_FIRST, |rate| ahead.bytes_at(rate));
        self.is_live()
            && !self.on_trial
            && self.queue.len() < self.works_max
            && self.owed < aim.min(owed_max)
    }

    pub(super) fn handle_asked(&mut self, id: WorkId, bytes: u64, now: Instant) {
        if self.queue.is_empty() {
            (self.asked, self.quiet_since) = (Some(now), now);
        }
        self.queue.push_back(id);
        self.owed += bytes;
    }

    /// `bytes` came, of which `owed` were still owed.
    pub(super) fn handle_bytes(&mut self, bytes: u64, owed: u64, now: Instant) {
        self.counts.bytes += bytes;
        self.rate.handle_bytes(bytes, now);
        self.owed = self.owed.saturating_sub(owed);
    }

    /// It said something, bytes or a refusal. Whether it was silent before.
    pub(super) fn handle_word(&mut self, now: Instant) -> bool {
        if let Some(asked) = self.asked.take() {
            let sample = now.since(asked);
            self.round_trip = Some(self.round_trip.map_or(sample, |old| old * 3 / 4 + sample / 4));
        }
        let before = self.standing;
        self.standing = before.next(Change::Heard);
        self.quiet_since = now;
        (self.on_trial, self.rest) = (false, REST_MIN);
        before == Standing::Silent
    }

    /// Something of it waits to be taken.
    pub(super) fn handle_untaken(&mut self, now: Instant) {
        if self.is_live() {
            self.quiet_since = now;
        }
    }

    /// It does not owe this any more, of which `left` bytes had not come.
    pub(super) fn settle(&mut self, id: WorkId, left: u64) {
        // It is the first one, or not far from it.
        if let Some(at) = self.queue.iter().position(|queued| *queued == id) {
            self.queue.remove(at);
        }
        self.owed = self.owed.saturating_sub(left);
        if self.queue.is_empty() {
            self.rate.pause();
            self.asked = None;
        }
    }

    /// Whether it has begun to send this, as far as one can tell.
    pub(super) fn has_begun(&self, id: WorkId, got: u32) -> bool {
        got > 0 || self.queue.front() == Some(&id)
    }

    /// When it will have been quiet for too long.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let owes = self.is_live() && !self.queue.is_empty();
        owes.then(|| self.quiet_since + self.patience())
    }

    /// When it is tried again.
    pub(super) fn rested_at(&self) -> Option<Instant> {
        let rests = self.standing == Standing::Silent && self.queue.is_empty();
        rests.then(|| self.quiet_since + self.patience() + self.rest)
    }

    pub(super) fn handle_silence(&mut self) {
        self.standing = self.standing.next(Change::Quiet);
        self.counts.silences += 1;
        self.rate.forget();
    }

    pub(super) fn handle_rested(&mut self, now: Instant) {
        self.standing = self.standing.next(Change::Rested);
        (self.on_trial, self.quiet_since) = (true, now);
        self.rest = (self.rest * 2).min(REST_MAX);
    }

    /// A new connection leads to it. What it had not got it may have now.
    pub(super) fn handle_added(&mut self, now: Instant) {
        self.standing = self.standing.next(Change::Added);
        self.rate.forget();
        self.lacks.clear();
        (self.on_trial, self.rest, self.quiet_since) = (false, REST_MIN, now);
    }

    /// In how long it will have delivered `bytes` from now on; `usual` is the rate of one not measured yet.
    pub(super) fn time_for(&self, bytes: u64, usual: u64) -> Duration {
        if self.on_trial || !self.is_live() {
            return Duration::MAX;
        }
        Duration::of_bytes(bytes, self.rate.get().unwrap_or(usual))
    }

    /// In how long it would have delivered `bytes` more, with its way there and back.
    pub(super) fn time_for_more(&self, bytes: u64, usual: u64) -> Duration {
        let time = self.time_for(self.owed + bytes, usual) + self.round_trip.unwrap_or_default();
        // Where others take long, one that was never measured is worth trying.
        let is_unknown = self.rate.get().is_none() && self.queue.is_empty() && !self.on_trial;
        if is_unknown { time.min(HOPE) } else { time }
    }

    /// Four round trips, but what a dead source owes must move within a second.
    fn patience(&self) -> Duration {
        let Some(round_trip) = self.round_trip else { return PATIENCE_AT_FIRST };
        (round_trip * 4).clamp(PATIENCE_MIN, PATIENCE_USUAL_MAX.max(round_trip * 2))
    }
}

/// Most works that a source owes: ten thousand small files must not wait a round trip each.
pub(super) const WORKS_MAX: usize = 1024;
/// What a source owes beyond the round trip.
const AHEAD: Duration = Duration::from_millis(500);
/// Before its rate is known: so that a second piece follows the first without a pause.
const OWED_AT_FIRST: u64 = 3 << 19;
const PATIENCE_MIN: Duration = Duration::from_millis(500);
const PATIENCE_AT_FIRST: Duration = Duration::from_millis(800);
const PATIENCE_USUAL_MAX: Duration = Duration::from_millis(900);
/// How long one takes for a work, one hopes.
const HOPE: Duration = Duration::from_secs(1);
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_standing_is_one_of_these() {
        use Change::{Added, Heard, Lost, Quiet, Rested, Useless};
        use Standing::{Away, Dropped, Live, Silent};
        let moves = [
            (Live, Lost, Away),
            (Live, Change::Gone, Standing::Gone),
            (Live, Quiet, Silent),
            (Live, Useless, Dropped),
            (Silent, Added, Live),
            (Silent, Lost, Away),
            (Silent, Change::Gone, Standing::Gone),
            (Silent, Heard, Live),
            (Silent, Rested, Live),
            (Silent, Useless, Dropped),
            (Away, Added, Live),
            (Away, Change::Gone, Standing::Gone),
            (Away, Useless, Dropped),
            (Standing::Gone, Added, Live),
            (Standing::Gone, Useless, Dropped),
        ];
        for standing in [Live, Silent, Away, Standing::Gone, Dropped] {
            for change in [Added, Lost, Change::Gone, Quiet, Heard, Rested, Useless] {
                let listed = moves.iter().find(|(from, by, _)| (*from, *by) == (standing, change));
                let expected = listed.map_or(standing, |(_, _, to)| *to);
                assert_eq!(standing.next(change), expected, "{standing:?}, {change:?}");
            }
        }
    }

    #[test]
    fn patience_ends_within_a_second_but_for_very_long_ways() {
        let mut source = Source::new(Instant::ZERO);
        let mut patience = |millis| {
            source.measure_round_trip(Duration::from_millis(millis));
            source.patience().as_millis()
        };
        assert_eq!([1, 150, 300, 600].map(&mut patience), [500, 600, 900, 1200]);
    }
}
