//! Who owes which work, and how a work changes hands.
//!
//! ```text
//!   waiting ──claim──▶ owed by one ──claim (endgame, silence)──▶ owed by two ──▶ done, or owed by one
//!      ▲                 │    │
//!      ├──── silence ────┘    │ its source's connection is lost
//!      └──────────────────────┴──▶ waiting, with what came of it kept for that source
//! ```

use super::Schedule;
use super::source::{Change, Source, SourceId};
use super::work::{Request, Work, WorkId};
use ropewalk_core::time::Instant;

/// A work that was taken from the list and is not done.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bytes: u32,
    pub(super) claims: Vec<Claim>,
    /// What is kept of it for a source that is away; nobody owes it then.
    pub(super) kept: Option<Claim>,
}

impl Entry {
    pub(super) const fn new(bytes: u32) -> Self {
        Self { bytes, claims: Vec::new(), kept: None }
    }

    pub(super) fn claim_of(&self, source: SourceId) -> Option<Claim> {
        self.claims.iter().find(|claim| claim.source == source).copied()
    }
}

/// A source that owes a work, and how much of it has come; or did, before its connection was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) source: SourceId,
    pub(super) got: u32,
}

impl<W: Iterator<Item = Work>> Schedule<W> {
    /// `source` is to deliver the work, from where it was interrupted.
    pub(super) fn claim(
        &mut self,
        source: SourceId,
        work: WorkId,
        now: Instant,
    ) -> Option<Request> {
        self.take_from_silent(work);
        self.waiting.remove(&work);
        let entry = self.works.get_mut(&work)?;
        let kept = entry.kept.take();
        let from = kept.filter(|kept| kept.source == source).map_or(0, |kept| kept.got);
        entry.claims.push(Claim { source, got: from });
        let bytes = entry.bytes;
        if let Some(kept) = kept.filter(|kept| kept.source != source) {
            self.waste(kept, work);
        }
        let asked = self.sources.get_mut(&source)?;
        asked.handle_asked(work, (bytes - from).into(), now);
        Some(Request { work: Work { id: work, bytes }, from })
    }

    /// It said something: what it owes is its own again, if it was silent.
    pub(super) fn hear(&mut self, source: SourceId, now: Instant) {
        let Some(from) = self.sources.get_mut(&source) else { return };
        if from.handle_word(now) {
            for work in &from.queue {
                self.waiting.remove(work);
            }
        }
    }

    /// A silent source that has not begun the work need not begin it any more. One that has may still be the first.
    fn take_from_silent(&mut self, work: WorkId) {
        let Some(entry) = self.works.get(&work) else { return };
        let sources = &self.sources;
        let idle = |claim: &&Claim| {
            let source = sources.get(&claim.source);
            source.is_some_and(|source| !source.is_live() && !source.has_begun(work, claim.got))
        };
        for claim in entry.claims.iter().filter(idle).copied().collect::<Vec<_>>() {
            self.take(claim, work);
        }
    }

    /// `claim.source` does not owe the work any more.
    pub(super) fn take(&mut self, claim: Claim, work: WorkId) {
        let Some(entry) = self.works.get_mut(&work) else { return };
        entry.claims.retain(|other| other.source != claim.source);
        let bytes = entry.bytes;
        self.settle(claim, work, bytes);
        self.waste(claim, work);
    }

    /// What `claim.source` owed is not owed any more.
    pub(super) fn settle(&mut self, claim: Claim, work: WorkId, bytes: u32) {
        if let Some(source) = self.sources.get_mut(&claim.source) {
            source.settle(work, (bytes - claim.got).into());
        }
    }

    /// What came of the work by this claim is of no use.
    pub(super) fn waste(&mut self, claim: Claim, work: WorkId) {
        if let Some(source) = self.sources.get_mut(&claim.source) {
            source.counts.wasted += u64::from(claim.got);
            source.cancels.push_back(work);
        }
    }

    /// Takes all that `source` owes from it.
    pub(super) fn release(&mut self, source: SourceId, change: Change) {
        let Some(gone) = self.sources.get_mut(&source) else { return };
        gone.counts.losses += u64::from(change == Change::Lost);
        gone.standing = gone.standing.next(change);
        let is_good = gone.is_hoped_for();
        let queue = gone.queue.clone();
        let mut room = KEPT_BYTES_MAX.saturating_sub(self.kept_bytes());
        for work in queue {
            let Some(entry) = self.works.get_mut(&work) else { continue };
            let at = entry.claims.iter().position(|claim| claim.source == source);
            let Some(claim) = at.map(|at| entry.claims.remove(at)) else { continue };
            let is_begun = (1..entry.bytes).contains(&claim.got) && entry.claims.is_empty();
            let keeps = is_good && is_begun && u64::from(claim.got) <= room;
            room -= if keeps { u64::from(claim.got) } else { 0 };
            entry.kept = keeps.then_some(claim);
            let bytes = entry.bytes;
            self.settle(claim, work, bytes);
            if !keeps {
                self.waste(claim, work);
            }
            self.wait_unless_owed(work);
        }
        if !is_good {
            self.throw_away_kept(source);
        }
    }

    /// What is kept of works for sources that may be back.
    fn kept_bytes(&self) -> u64 {
        self.waiting
            .iter()
            .filter_map(|work| self.works.get(work)?.kept)
            .map(|kept| u64::from(kept.got))
            .sum()
    }

    /// Nothing of a liar's is good, and one that is gone does not go on with it.
    fn throw_away_kept(&mut self, source: SourceId) {
        let kept = |(work, entry): (&WorkId, &mut Entry)| {
            Some((*work, entry.kept.take_if(|kept| kept.source == source)?))
        };
        for (work, claim) in self.works.iter_mut().filter_map(kept).collect::<Vec<_>>() {
            self.waste(claim, work);
        }
    }

    /// The work waits for another source, unless one that delivers owes it too.
    pub(super) fn wait_unless_owed(&mut self, work: WorkId) {
        if self.works.get(&work).is_some_and(|entry| self.live_owners(entry) == 0) {
            self.waiting.insert(work);
        }
    }

    /// How many of those that owe the work deliver.
    pub(super) fn live_owners(&self, entry: &Entry) -> usize {
        let is_live = |claim: &&Claim| self.sources.get(&claim.source).is_some_and(Source::is_live);
        entry.claims.iter().filter(is_live).count()
    }
}

/// Bytes that are kept, at most, for sources that are away.
const KEPT_BYTES_MAX: u64 = 8 << 20;
