//! What a fetch tells, and how things are shown to stand.

use super::Fetch;
use crate::fetch::schedule::SourceId;
use crate::get::happened::{Happened, Who};
use crate::get::job::Notice;
use crate::get::source::Way;
use crate::get::status::SourceStatus;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// What was told, so that it is not told again and again.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Why sources are down.
    down: BTreeMap<SourceId, String>,
    /// Who has refused, and for which reason.
    refusers: BTreeSet<(SourceId, u8)>,
    /// Who states another length.
    lengths: BTreeSet<SourceId>,
    /// Whose hashes cannot be used.
    troubles: BTreeSet<SourceId>,
    /// Who has said what it offers.
    lists: BTreeSet<SourceId>,
}

impl Told {
    /// A source says what it offers. Whether it is the first time.
    pub(super) fn lists(&mut self, source: SourceId) -> bool {
        self.lists.insert(source)
    }
}

impl Fetch {
    pub(super) fn notices(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            self.notice(notice);
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Had(bytes) => {
                self.status.had += bytes;
                self.proved();
            }
            Notice::Found(bytes) => {
                self.status.had += bytes;
                self.status.found += bytes;
                self.proved();
            }
            Notice::Lied(source) => {
                self.liars.insert(source);
                self.contacts.drop_for_good(source, "it sent what is wrong");
                self.happened(Happened::Lied(self.who(source)));
            }
            Notice::Refused(source, reason) => {
                // Each of ten thousand files may be refused; once is enough to know.
                if self.told.refusers.insert((source, reason as u8)) {
                    self.happened(Happened::Refused(self.who(source), reason));
                }
            }
            Notice::Ended(report) => {
                self.summary.count(&report.outcome);
                self.happened(Happened::Ended(report));
            }
        }
    }

    /// Bytes of the item were proved.
    pub(super) fn proved(&mut self) {
        self.lengths.proved();
        self.waits.unproved = Duration::ZERO;
    }

    /// A source that was down is said to be up when it has given something ([`Fetch::told_good`]): it may go down
    /// again at once, twice a second.
    pub(super) fn told_up(&mut self, source: SourceId) {
        if !self.told.down.contains_key(&source) {
            self.happened(Happened::Up(self.who(source)));
        }
    }

    /// A source has given something.
    pub(super) fn told_good(&mut self, source: SourceId) {
        if self.told.down.remove(&source).is_some() {
            self.happened(Happened::Up(self.who(source)));
        }
    }

    /// A source is down. It is tried twice a second: what is the same as before is not said again.
    pub(super) fn told_down(&mut self, source: SourceId, why: String, gone: bool) {
        if self.told.down.get(&source) != Some(&why) || gone {
            self.told.down.insert(source, why.clone());
            self.happened(Happened::Down { source: self.who(source), why, gone });
        }
    }

    pub(super) fn told_length(&mut self, source: SourceId, length: u64) {
        if self.told.lengths.insert(source) {
            self.happened(Happened::OtherLength { source: self.who(source), length });
        }
    }

    /// Hashes that lie beside a mirror and cannot be used are nobody's but the mirror's to put right.
    pub(super) fn tell_trouble(&mut self, source: SourceId) {
        let way = self.contacts.get(source).map(|contact| &contact.source.way);
        if let Some(Way::Mirror(mirror)) = way
            && let Some(why) = mirror.trouble()
            && self.told.troubles.insert(source)
        {
            self.happened(Happened::BadHashes { source: self.who(source), why });
        }
    }

    pub(super) fn who(&self, source: SourceId) -> Who {
        let name = self.contacts.get(source).map(|contact| contact.source.name.clone());
        Who { id: source, name: name.unwrap_or_default() }
    }

    pub(super) fn happened(&self, happened: Happened) {
        // Whoever does not want to know hears nothing.
        let _ = self.tell.send(happened);
    }

    /// Shows how things stand.
    pub(super) fn show(&mut self) {
        let now = self.contacts.now();
        self.status.time = now.saturating_sub(self.began);
        let sources = self.contacts.ids();
        self.status.sources = sources.into_iter().filter_map(|id| self.source(id, now)).collect();
        let fetched = self.status.sources.iter().map(|source| source.bytes).sum();
        self.status.fetched = fetched;
        self.status.wasted = self.status.sources.iter().map(|source| source.wasted).sum();
        self.status.rate = self.meters.entry(None).or_default().look(fetched, now);
        self.show.send_replace(self.status.clone());
    }

    fn source(&mut self, id: SourceId, now: Duration) -> Option<SourceStatus> {
        let known = self.exchange.sources().find(|source| source.id == id);
        let lied = self.liars.contains(&id);
        let meter = self.meters.entry(Some(id)).or_default();
        Some(SourceStatus::new(self.contacts.get_mut(id)?, known, lied, meter, now))
    }
}
