//! Sources that state different lengths of one content. One of them lies, and which one cannot be told until bytes
//! are proved: one length is believed, and whoever states another one is not asked meanwhile.
//!
//! ```text
//!   believed ── bytes proved ──────────────────────────────> it was right
//!      ▲  └── nothing comes, or nothing that can be proved ──> another length is believed, with twice the patience each time
//!      └─────────────────────────────────────────────────────────┘
//! ```

use super::Fetch;
use crate::content::catalog::Item;
use crate::fetch::schedule::SourceId;
use crate::get::happened::{GetError, Happened};
use crate::get::source::Standing;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;

/// What is known of lengths.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// Bytes of the item were proved as it is described.
    is_proved: bool,
    /// All of them were.
    is_certain: bool,
    /// How often a length of a root was believed in vain.
    in_vain: BTreeMap<([u8; 32], u64), u32>,
}

impl Lengths {
    pub(super) const fn proved(&mut self) {
        self.is_proved = true;
    }

    pub(super) const fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// Nobody can state another length and be right.
    pub(super) const fn certain(&mut self) {
        (self.is_proved, self.is_certain) = (true, true);
    }

    /// Whether `other` may be right instead of `item`, of the same root. What is here would be lost if it were taken for
    /// a file of fewer pieces.
    fn may_be_right(&self, other: &Item, item: &Item) -> bool {
        let (others, own) = (other.pieces(), item.pieces());
        others != own && !self.is_certain && (!self.is_proved || others.count() == own.count())
    }

    fn in_vain(&self, item: &Item) -> u32 {
        self.in_vain.get(&key(item)).copied().unwrap_or_default()
    }
}

/// How long nothing may come at first from those who are believed, while others state another length.
const SILENCE: Duration = Duration::from_secs(3);
/// How long what comes may prove nothing at first.
const UNPROVED: Duration = Duration::from_secs(10);
/// How long nothing may come when much was proved: whoever lies about the last piece alone can give the others.
const SILENCE_PROVED: Duration = Duration::from_secs(30);
/// The patience is doubled so often at most.
const DOUBLINGS_MAX: u32 = 8;

impl Fetch {
    /// An item begins, as it is described.
    pub(super) fn begin_length(&mut self) {
        (self.lengths.is_proved, self.lengths.is_certain) = (false, false);
        (self.waits.silent, self.waits.unproved) = (Duration::ZERO, Duration::ZERO);
    }

    /// Looks whether what a source offers is what is fetched. One that states another length for the same root is
    /// set aside: nothing that it says could be proved.
    pub(super) fn compare_listing(&mut self, source: SourceId) {
        let (Some(item), Some(listing)) = (&self.item, self.listings.get(&source)) else { return };
        let same_root = || listing.items.iter().filter(|other| other.root() == item.root());
        let is_same = same_root().any(|other| other.pieces() == item.pieces());
        let other_length = same_root().next().filter(|_| !is_same).map(|it| it.pieces().length());
        let same_name = listing.items.iter().find(|other| other.name() == item.name());
        let differs = same_name.filter(|_| same_root().next().is_none());
        if let Some(other) = differs {
            let (name, root) = (other.name().to_owned(), other.root());
            self.happened(Happened::Differs { source: self.who(source), name, root });
        }
        self.exchange.set_aside(source, other_length.is_some(), self.clock.now());
        if let Some(length) = other_length {
            self.told_length(source, length);
        }
    }

    /// Whether those who are believed have had their time.
    pub(super) fn is_in_doubt(&self) -> bool {
        let Some(item) = &self.item else { return false };
        let times = 1 << self.lengths.in_vain(item).min(DOUBLINGS_MAX);
        let is_time = match self.lengths.is_proved {
            true => self.waits.silent >= SILENCE_PROVED * times,
            false => {
                self.waits.silent >= SILENCE * times || self.waits.unproved >= UNPROVED * times
            }
        };
        is_time && self.other_statement().is_some()
    }

    /// Whether another statement was never believed.
    pub(super) fn is_another_untried(&self) -> bool {
        self.other_statement().is_some_and(|other| self.lengths.in_vain(&other) == 0)
    }

    /// What sources that are not gone state of the content that is fetched, if that may be right instead of what is
    /// believed: what was believed least often, and of that what most of them state.
    pub(super) fn other_statement(&self) -> Option<Item> {
        let item = self.item.as_ref()?;
        let is_left = |source: SourceId| {
            let contact = self.contacts.get(source);
            contact.is_some_and(|contact| contact.standing != Standing::Gone)
        };
        let mut others: BTreeMap<u64, (usize, &Item)> = BTreeMap::new();
        for (_, listing) in self.listings.iter().filter(|(source, _)| is_left(**source)) {
            let same_root = listing.items.iter().filter(|other| other.root() == item.root());
            for other in same_root.filter(|other| self.lengths.may_be_right(other, item)) {
                others.entry(other.pieces().length()).or_insert((0, other)).0 += 1;
            }
        }
        let rank = |(count, other): &(usize, &Item)| (self.lengths.in_vain(other), Reverse(*count));
        let (_, other) = others.into_values().min_by_key(rank)?;
        Item::new(item.name(), other.kind(), other.pieces(), other.root()).ok()
    }

    /// Nothing of `item` could be proved: what others state of it is believed now.
    pub(super) fn believe_others(&mut self, item: &Item) -> Result<Item, GetError> {
        self.exchange.end_all();
        *self.lengths.in_vain.entry(key(item)).or_default() += 1;
        let other = self.other_statement().ok_or(GetError::NoSource)?;
        if let Some(total) = &mut self.status.total {
            *total = total.saturating_sub(item.bytes()).saturating_add(other.bytes());
        }
        Ok(other)
    }
}

fn key(item: &Item) -> ([u8; 32], u64) {
    (*item.root().as_bytes(), item.pieces().length())
}
