//! Which work is asked of which source, and when.
//!
//! Nothing is divided beforehand. Each source is asked for more when what it owes is less than half a
//! second of its rate (and a round trip), so that a fast one comes back for more often and none runs dry.
//! Works are handed out in their order; those that come back from a source that failed go
//! first. When none is left, the idle take from the busy what these would deliver later (`endgame.rs`).
//!
//! The contract is that of the protocol's core: tell it what happened (`handle_*`), then ask what to do
//! (`poll_*`) until it says `None`. Time never runs back. Memory is bounded: all sources together owe
//! [`OWED_BYTES_MAX`] and a work each, and the list of works is taken from an iterator as it is needed.

mod claims;
mod endgame;
mod rate;
mod source;
mod work;

pub use source::{Counts, SourceId, Standing};
pub use work::{Gives, Part, Request, WORK_BYTES_MAX, Work, WorkId};

use claims::Entry;
use ropewalk_core::time::{Duration, Instant};
use source::{Change, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that all sources together owe at most, but for one work each.
pub const OWED_BYTES_MAX: u64 = 32 << 20;

/// The schedule over the works that `W` lists.
///
/// `W` need not know all its works yet: where it says `None`, it is asked again later.
#[derive(Debug)]
pub struct Schedule<W> {
    fresh: W,
    works: BTreeMap<WorkId, Entry>,
    /// Those of `works` that no live source owes.
    waiting: BTreeSet<WorkId>,
    sources: BTreeMap<SourceId, Source>,
}

/// What to do with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What it sent, or would still send, of this work is of no use any more: it is thrown away, and
    /// the source is told if it can be.
    Cancel(WorkId),
    /// It is asked for this.
    Ask(Request),
}

/// From whom a part of a work is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Here,
    Nowhere,
    Elsewhere,
}

/// What is known of a source.
#[derive(Clone, Copy, Debug)]
pub struct SourceReport {
    /// Its name.
    pub id: SourceId,
    /// Whether it may be asked.
    pub standing: Standing,
    /// What it is asked for.
    pub gives: Gives,
    /// Bytes a second, once measured.
    pub rate: Option<u64>,
    /// From a request to its first byte, once measured.
    pub round_trip: Option<Duration>,
    /// Bytes that it was asked for and that have not come.
    pub owed: u64,
    /// What it has done so far.
    pub counts: Counts,
}

impl<W: Iterator<Item = Work>> Schedule<W> {
    /// A schedule without sources.
    pub const fn new(works: W) -> Self {
        Self {
            fresh: works,
            works: BTreeMap::new(),
            waiting: BTreeSet::new(),
            sources: BTreeMap::new(),
        }
    }

    /// The list of works, for whoever fills it.
    pub const fn works_mut(&mut self) -> &mut W {
        &mut self.fresh
    }

    /// A connection to `source` has come about, the first or another one. It can be asked at once, unless
    /// it was dropped.
    pub fn handle_added(&mut self, source: SourceId, now: Instant) {
        if self.sources.get(&source).is_some_and(|known| known.standing == Standing::Dropped) {
            return;
        }
        // The connection before it, if that is not known to be lost, is.
        if self.sources.get(&source).is_some_and(|known| known.standing.is_here()) {
            self.release(source, Change::Lost);
        }
        self.sources.entry(source).or_insert_with(|| Source::new(now)).handle_added(now);
    }

    /// The way to `source` takes this long; without it, answers to requests are timed.
    pub fn handle_round_trip(&mut self, source: SourceId, round_trip: Duration) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.measure_round_trip(round_trip);
        }
    }

    /// `source` is to owe no more than this many works at once, such as one for each connection to a mirror
    /// that answers one request at a time. One is the least.
    pub fn limit_works(&mut self, source: SourceId, works: usize) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.works_max = works.clamp(1, source::WORKS_MAX);
        }
    }

    /// `source` is asked only for what it gives of a file. What it does not give it does not lack: the rest is asked of
    /// it as ever.
    pub fn restrict(&mut self, source: SourceId, gives: Gives) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.gives = gives;
        }
    }

    /// `bytes` of the work came from `source`.
    pub fn handle_bytes(&mut self, source: SourceId, work: WorkId, bytes: u32, now: Instant) {
        let entry = self.works.get_mut(&work);
        let claim = entry.and_then(|entry| {
            let (length, mut claims) = (entry.bytes, entry.claims.iter_mut());
            claims.find(|claim| claim.source == source).map(|claim| (length, claim))
        });
        let mut owed = 0;
        if let Some((length, claim)) = claim {
            owed = bytes.min(length - claim.got);
            claim.got += owed;
        }
        if let Some(from) = self.sources.get_mut(&source) {
            from.counts.wasted += u64::from(bytes - owed);
            from.handle_bytes(bytes.into(), owed.into(), now);
        }
        self.hear(source, now);
    }

    /// The work came whole from `source`, and was proved. Whether it was the first: what comes second is to be thrown away.
    pub fn handle_done(&mut self, source: SourceId, work: WorkId) -> bool {
        let Some(entry) = self.works.remove(&work) else { return false };
        self.waiting.remove(&work);
        for claim in &entry.claims {
            self.settle(*claim, work, entry.bytes);
            if claim.source != source {
                self.waste(*claim, work);
            }
        }
        if let Some(kept) = entry.kept.filter(|kept| kept.source != source) {
            self.waste(kept, work);
        }
        if let Some(source) = self.sources.get_mut(&source) {
            source.counts.works += 1;
        }
        true
    }

    /// What came from `source` was wrong: it is dropped for good.
    pub fn handle_bad(&mut self, source: SourceId) {
        self.release(source, Change::Useless);
    }

    /// The connection to `source` is lost, or it closes, or pauses. What had come of its works stays good for
    /// when it is back.
    pub fn handle_lost(&mut self, source: SourceId) {
        self.release(source, Change::Lost);
    }

    /// `source` is not tried any more, whatever the reason: nothing is waited for from it until it is added again.
    pub fn handle_gone(&mut self, source: SourceId) {
        self.release(source, Change::Gone);
    }

    /// Something of `source` has come that nobody has taken yet: it is not silent.
    pub fn handle_untaken(&mut self, source: SourceId, now: Instant) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.handle_untaken(now);
        }
    }

    /// `source` says that it has not got this file, or not any more. Whether any other source that is known may have it;
    /// if not, [`Schedule::abandon`] is the way out.
    pub fn handle_refused(&mut self, source: SourceId, work: WorkId, now: Instant) -> bool {
        self.hear(source, now);
        if let Some(refuses) = self.sources.get_mut(&source) {
            refuses.counts.refusals += 1;
            refuses.lacks.insert(work.file);
        }
        if let Some(entry) = self.works.get_mut(&work) {
            let (length, at) =
                (entry.bytes, entry.claims.iter().position(|claim| claim.source == source));
            if let Some(claim) = at.map(|at| entry.claims.remove(at)) {
                self.settle(claim, work, length);
                self.waste(claim, work);
            }
            self.wait_unless_owed(work);
        }
        self.may_come(work)
    }

    /// Whether any source that is known may have this part of this file. If none gives hashes, for one, no piece can be proved.
    pub fn may_come(&self, work: WorkId) -> bool {
        self.sources.values().any(|other| other.is_hoped_for() && other.may_have(work))
    }

    /// Nobody has the file: nothing of it is asked for any more. What the list still holds of it is
    /// the list's to skip.
    pub fn abandon(&mut self, file: u32) {
        let of_it = |work: &WorkId| work.file == file;
        let works: Vec<_> = self.works.keys().copied().filter(of_it).collect();
        for work in works {
            self.waiting.remove(&work);
            let Some(entry) = self.works.remove(&work) else { continue };
            for claim in &entry.claims {
                self.settle(*claim, work, entry.bytes);
            }
            for claim in entry.claims.iter().chain(&entry.kept) {
                self.waste(*claim, work);
            }
        }
        self.forget(file);
    }

    /// The file is done with: who has not got it need not be remembered. So no more is remembered of a source that refuses all it is asked
    /// for than there are files under way.
    pub fn forget(&mut self, file: u32) {
        for source in self.sources.values_mut() {
            source.lacks.remove(&file);
        }
    }

    /// Whether a source fell silent, or has rested. Whoever was busy elsewhere tells first what has come meanwhile.
    pub fn handle_timeout(&mut self, now: Instant) {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let mut silent = Vec::new();
        for (id, source) in &mut self.sources {
            if passed(source.silent_at()) {
                silent.push(*id);
                source.handle_silence();
            } else if passed(source.rested_at()) {
                source.handle_rested(now);
            }
        }
        for source in silent {
            let queue = self.sources.get(&source).map(|source| source.queue.clone());
            for work in queue.unwrap_or_default() {
                self.wait_unless_owed(work);
            }
        }
    }

    /// When [`Schedule::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sources
            .values()
            .flat_map(|source| [source.silent_at(), source.rested_at()])
            .flatten()
            .min()
    }

    /// What is to be done with `source` now, in this order: a work may be cancelled and then asked for again. What is told
    /// of one source may change what is to be done with any other.
    pub fn poll_action(&mut self, source: SourceId, now: Instant) -> Option<Action> {
        let owed_max = self.owed_max();
        let asked = self.sources.get_mut(&source)?;
        if let Some(work) = asked.cancels.pop_front() {
            return Some(Action::Cancel(work));
        }
        if !asked.wants_more(owed_max) {
            return None;
        }
        let work = self
            .next_waiting(source, Kept::Here)
            .or_else(|| self.next_waiting(source, Kept::Nowhere));
        let work = work.or_else(|| self.next_fresh(source));
        let work = work.or_else(|| self.next_waiting(source, Kept::Elsewhere));
        let work = work.or_else(|| self.take_over(source))?;
        self.claim(source, work, now).map(Action::Ask)
    }

    /// Whether every work that was taken from the list is done.
    pub fn is_idle(&self) -> bool {
        self.works.is_empty()
    }

    /// All sources that were ever added.
    pub fn sources(&self) -> impl Iterator<Item = SourceReport> {
        self.sources.iter().map(|(id, source)| SourceReport {
            id: *id,
            standing: source.standing,
            gives: source.gives,
            rate: source.rate.get(),
            round_trip: source.round_trip(),
            owed: source.owed,
            counts: source.counts,
        })
    }

    /// What one source may owe: the fewer there are the more.
    fn owed_max(&self) -> u64 {
        let (mut live, mut left) = (0_u64, OWED_BYTES_MAX);
        for source in self.sources.values() {
            if source.is_live() {
                live += 1;
            } else {
                left = left.saturating_sub(source.owed);
            }
        }
        left / live.max(1)
    }

    /// The first work that waits, of those of which a part is kept from this source, from none or from another one: that one may
    /// be back before all else is done, and go on with it.
    fn next_waiting(&self, source: SourceId, wanted: Kept) -> Option<WorkId> {
        let asked = self.sources.get(&source)?;
        let fits = |work: &&WorkId| {
            let kept = match self.works.get(work).and_then(|entry| entry.kept) {
                Some(kept) if kept.source == source => Kept::Here,
                Some(_) => Kept::Elsewhere,
                None => Kept::Nowhere,
            };
            kept == wanted && asked.may_have(**work)
        };
        self.waiting.iter().find(fits).copied()
    }

    fn next_fresh(&mut self, source: SourceId) -> Option<WorkId> {
        // What this source has not got waits for another one, but not without end.
        while self.waiting.len() < WAITING_MAX {
            let work = self.fresh.next()?;
            debug_assert!(work.bytes <= WORK_BYTES_MAX, "{work:?}");
            self.works.insert(work.id, Entry::new(work.bytes));
            if self.sources.get(&source)?.may_have(work.id) {
                return Some(work.id);
            }
            self.waiting.insert(work.id);
        }
        None
    }
}

/// Works that wait, at most, before the list is left alone.
const WAITING_MAX: usize = 4096;

#[cfg(test)]
mod tests;
