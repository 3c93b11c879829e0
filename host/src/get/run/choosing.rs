//! Which of what is offered is fetched: sources are waited for until that is clear, or cannot become clearer.

use super::{Fetch, Halt};
use crate::content::catalog::Item;
use crate::fetch::schedule::SourceId;
use crate::get::choice::{Chosen, Offered, Open, offered};
use crate::get::happened::{GetError, Happened, Who};
use crate::get::source::{Contact, Standing, Way};
use core::time::Duration;

/// For how long other sources are waited for once the first has said what it offers.
const GRACE: Duration = Duration::from_secs(1);
/// The same where a root says what is wanted, and only its name, kind and length are open: those that more of them state count.
const GRACE_OF_ROOT: Duration = Duration::from_millis(250);
/// How often it is looked at what is offered, while nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Fetch {
    /// A ticket for one thing says which.
    pub(super) fn root_of_tickets(&self) -> Result<Option<blake3::Hash>, GetError> {
        let roots: Vec<_> = self
            .contacts
            .iter()
            .filter_map(|(id, contact)| Some((contact.source.way.root()?, self.who(id))))
            .collect();
        let first = roots.first().map(|(root, _)| *root);
        match roots.iter().all(|(root, _)| Some(*root) == first) {
            true => Ok(first),
            false => Err(GetError::TicketsDiffer(roots)),
        }
    }

    /// Waits until it is clear what is wanted.
    pub(super) async fn choose(&mut self) -> Result<Vec<Chosen>, Halt> {
        loop {
            if let Some(chosen) = self.decide()? {
                self.status.total = Some(chosen.iter().map(|chosen| chosen.item.bytes()).sum());
                return Ok(chosen);
            }
            // Each item of a long list is an event of its own, and none of them ends a list.
            let until = self.contacts.now() + LOOK_EVERY;
            self.is_stirred = false;
            while !self.is_stirred && self.contacts.now() < until {
                self.turn(until).await?;
            }
        }
    }

    /// What is fetched, if that is clear; nothing if it is only listed.
    fn decide(&mut self) -> Result<Option<Vec<Chosen>>, GetError> {
        if !self.is_time() {
            return Ok(None);
        }
        let offers = offered(&self.listings);
        if self.order.list {
            self.happened(Happened::Offered(self.with_names(offers)));
            return Ok(Some(Vec::new()));
        }
        match self.order.wish.choose(&offers) {
            Ok(chosen) => Ok(Some(chosen)),
            // It may come yet.
            Err(Open::Nothing | Open::NotOffered(_)) if !self.nobody_else_may_offer() => Ok(None),
            Err(Open::Nothing | Open::NotOffered(_))
                if offers.is_empty() && self.bare_mirrors().next().is_some() =>
            {
                Err(GetError::NoHashes(self.bare_mirrors().collect()))
            }
            Err(open) => Err(GetError::Open(open, self.with_names(offers))),
        }
    }

    /// Whether all have said what they offer, or were waited for.
    fn is_time(&self) -> bool {
        let Some(first) = self.first_list else { return false };
        let grace = if self.order.wish.root.is_some() { GRACE_OF_ROOT } else { GRACE };
        let has_said =
            |(id, contact): (SourceId, &Contact)| contact.why.is_some() || self.is_listed(id);
        self.contacts.now() >= first + grace || self.contacts.iter().all(has_said)
    }

    fn is_listed(&self, source: SourceId) -> bool {
        self.listings.get(&source).is_some_and(|listing| listing.is_whole)
    }

    fn with_names(&self, offers: Vec<Offered>) -> Vec<(Item, Vec<Who>)> {
        let named = |offer: Offered| {
            let sources = offer.sources.into_iter().map(|source| self.who(source));
            (offer.item, sources.collect())
        };
        offers.into_iter().map(named).collect()
    }

    /// Whether all that are not gone have said what they offer.
    fn nobody_else_may_offer(&self) -> bool {
        self.contacts
            .iter()
            .all(|(id, contact)| contact.standing == Standing::Gone || self.is_listed(id))
    }

    /// Mirrors that answer and have no hashes beside them that can be used, with what is wrong with those.
    fn bare_mirrors(&self) -> impl Iterator<Item = (Who, Option<String>)> {
        self.contacts.iter().filter_map(|(id, contact)| match &contact.source.way {
            Way::Mirror(mirror) if contact.is_up() => Some((self.who(id), mirror.trouble())),
            _ => None,
        })
    }
}
