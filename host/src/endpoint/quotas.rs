//! Quotas hold for a link, whatever connections share it: each is given what it has used and an even
//! part of what is left.
//!
//! Whoever had used less may use the others' part later: the parts are dealt out anew several times
//! a second, and whenever a connection comes or goes. Their sum is never more than the quota.

use super::inner::Inner;
use super::links::{LinkReport, QuotaReport};
use crate::connection::{Core, Shared};
use core::sync::atomic::{AtomicU64, Ordering};
use ropewalk_core::connection::LinkPolicy;
use ropewalk_core::id::LinkId;
use std::sync::Arc;

/// Bytes of links with a quota that are on no living connection's account, by the link's name.
pub(super) struct Quotas {
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    bytes: u64,
    /// Connections that are over, and strangers.
    settled: AtomicU64,
}

impl Quotas {
    pub(super) fn new(quotas: &[(String, u64)]) -> Self {
        let entry = |(name, bytes): &(String, u64)| Entry {
            name: name.clone(),
            bytes: *bytes,
            settled: AtomicU64::new(0),
        };
        Self { entries: quotas.iter().map(entry).collect() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that no connection will account for.
    fn settle(&self, name: &str, bytes: u64) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.name == name) {
            entry.settled.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// Tells a connection what the user wants of a link. It must hear so before it hears that the
    /// link is up; what it may carry comes with the next [`Inner::deal_quotas`].
    pub(super) fn tell_wishes(&self, core: &mut Core, id: LinkId) {
        let Some(name) = self.links().name(id) else { return };
        let spare = self.config.wishes.is_spare(&name);
        let counts = self.config.wishes.quota(&name).is_some();
        if (spare || counts) && core.link_policy(id).is_none() {
            core.set_link_policy(id, LinkPolicy { spare, quota: None }, self.clock.now());
        }
    }

    /// All links that are up, and what became of their quotas.
    pub(super) fn link_reports(&self) -> Vec<LinkReport> {
        let mut reports = self.links().reports();
        for report in &mut reports {
            let entry = self.quotas.entries.iter().find(|entry| entry.name == report.name);
            let id = self.links().number(&report.name);
            let (Some(entry), Some(id)) = (entry, id) else { continue };
            let live = self.all_connections();
            let live = live.iter().map(|shared| shared.lock().core.link_used(id)).sum::<u64>();
            let used = entry.settled.load(Ordering::Relaxed) + live;
            report.quota = Some(QuotaReport { bytes: entry.bytes, used });
        }
        reports
    }

    /// Gives every connection its part of every quota.
    pub(crate) fn deal_quotas(&self) {
        for entry in &self.quotas.entries {
            let Some(id) = self.links().number(&entry.name) else { continue };
            let connections = self.all_connections();
            let used = |shared: &Arc<Shared>| shared.lock().core.link_used(id);
            let used: Vec<u64> = connections.iter().map(used).collect();
            let settled = entry.settled.load(Ordering::Relaxed);
            let parts = parts(entry.bytes.saturating_sub(settled), &used);
            let spare = self.config.wishes.is_spare(&entry.name);
            for (shared, part) in connections.iter().zip(parts) {
                let policy = LinkPolicy { spare, quota: Some(part) };
                let mut state = shared.lock();
                if state.core.link_policy(id) == Some(policy) {
                    continue;
                }
                tracing::trace!(link = entry.name, part, "quota");
                state.core.set_link_policy(id, policy, self.clock.now());
                state.handle_events(shared);
                shared.wake();
            }
        }
    }

    /// Something came or went on a link that is no connection's.
    pub(super) fn count_stranger(&self, link: LinkId, bytes: usize) {
        if self.quotas.is_empty() {
            return;
        }
        if let Some(name) = self.links().name(link) {
            self.quotas.settle(&name, (bytes + HEADERS_MAX) as u64);
        }
    }

    /// A connection is over: what it used stays used.
    pub(super) fn settle_quotas(&self, shared: &Shared) {
        for entry in &self.quotas.entries {
            let id = self.links().number(&entry.name);
            let used = id.map_or(0, |id| shared.lock().core.link_used(id));
            entry.settled.fetch_add(used, Ordering::Relaxed);
        }
    }
}

/// What each may use in all, of `bytes` that all may use together, when they have used so much.
fn parts(bytes: u64, used: &[u64]) -> Vec<u64> {
    let left = bytes.saturating_sub(used.iter().sum());
    let share = left.checked_div(used.len() as u64).unwrap_or(0);
    used.iter().map(|used| used + share).collect()
}

/// Of IP (v6) and UDP.
const HEADERS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_never_more_than_the_whole() {
        assert_eq!(parts(100, &[]), [0; 0]);
        assert_eq!(parts(100, &[0]), [100]);
        assert_eq!(parts(100, &[40]), [100], "one alone keeps its limit");
        assert_eq!(parts(100, &[40, 0]), [70, 30]);
        assert_eq!(parts(100, &[40, 30, 5]), [48, 38, 13]);
        assert_eq!(parts(100, &[90, 20]), [90, 20], "nothing is left");
    }
}
