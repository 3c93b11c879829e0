//! The end: nothing is left to hand out, and some sources are busy for longer than others.
//!
//! ```text
//!   slow   [ begun ....... ][ next ][ next ]      ◀── takes from the back what it would deliver sooner
//!   fast   [ begun ]                                  "next" changes hands; "begun" is fetched twice, first wins
//! ```
//!
//! The same estimate ends a division that went wrong for any other reason: a rate that fell, a source that came late.

use super::source::{Source, SourceId};
use super::work::WorkId;
use super::{Schedule, Work};
use ropewalk_core::time::Duration;

/// For sources that were not measured, when none was.
const RATE_AT_FIRST: u64 = 1 << 20;
/// What is won must be more than the error of the estimates.
const GAIN_MIN: Duration = Duration::from_millis(10);

impl<W: Iterator<Item = Work>> Schedule<W> {
    /// The work that `source` saves most time by delivering it instead of its owner, or beside it; taken
    /// from the owner if that has not begun it.
    pub(super) fn take_over(&mut self, source: SourceId) -> Option<WorkId> {
        let usual = self.usual_rate();
        let taker = self.sources.get(&source)?;
        let owners = self.sources.iter().filter(|(id, owner)| **id != source && owner.is_live());
        let offers = owners.filter_map(|(id, owner)| {
            let (work, wait) = self.last_worth_taking((*id, owner), taker, usual)?;
            let claim = self.works.get(&work)?.claim_of(*id)?;
            Some((wait, work, claim, owner.has_begun(work, claim.got)))
        });
        let (_, work, claim, begun) = offers.max_by_key(|(wait, ..)| *wait)?;
        if !begun {
            self.take(claim, work);
        }
        Some(work)
    }

    /// The last of what `owner` owes that `taker` would deliver sooner, and in how long the owner would.
    fn last_worth_taking(
        &self,
        (id, owner): (SourceId, &Source),
        taker: &Source,
        usual: u64,
    ) -> Option<(WorkId, Duration)> {
        let mut ahead = owner.owed;
        for work in owner.queue.iter().rev() {
            let entry = self.works.get(work)?;
            let theirs = owner.time_for(ahead, usual);
            let ours = taker.time_for_more(entry.bytes.into(), usual);
            if theirs <= ours + ours / 4 + GAIN_MIN {
                return None;
            }
            // What two owe already is not fetched a third time.
            if self.live_owners(entry) == 1 && taker.may_have(*work) {
                return Some((*work, theirs));
            }
            ahead = ahead.saturating_sub((entry.bytes - entry.claim_of(id)?.got).into());
        }
        None
    }

    /// The mean of what was measured.
    fn usual_rate(&self) -> u64 {
        let live = self.sources.values().filter(|source| source.is_live());
        let (sum, count) = live
            .filter_map(|source| source.rate.get())
            .fold((0_u64, 0_u64), |(sum, count), rate| (sum.saturating_add(rate), count + 1));
        sum.checked_div(count).unwrap_or(RATE_AT_FIRST).max(1)
    }
}
