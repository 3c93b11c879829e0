//! All sources of a fetch: dials those that are due, and passes on what those that are up say.
//!
//! ```text
//!   due ── reach, a task each ──> Tiding::Up ── Tiding::Event ... ──> Tiding::Down ──> due again, by Retry
//! ```
//!
//! Nothing here knows what is fetched.

use super::order::Added;
use super::peer::{Asker, Event, lock};
use super::source::{Contact, Reached, Source, Standing, Unreached, Visit, Way, lost, reach};
use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::fetch::schedule::SourceId;
use crate::random;
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::error::code;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What happens to sources.
#[derive(Debug)]
pub(super) enum Tiding {
    /// It can be asked.
    Up(SourceId, Asker),
    /// It says something. Its end is told as [`Tiding::Down`] alone.
    Event(SourceId, Event),
    /// It cannot be asked any more, or could not be reached.
    Down(SourceId),
    /// Time has passed.
    Quiet,
}

/// Chunks of all sources that wait to be taken, at most: 1 MiB. What waits is fetched again after a kill.
const EVENTS_MAX: usize = 8;
/// How long the end may take to be told.
const CLOSE_TIME: Duration = Duration::from_millis(500);
/// How often somebody looks whether a link has come up.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The sources.
pub(super) struct Contacts {
    endpoint: Arc<Endpoint>,
    all: Vec<Contact>,
    reaching: JoinSet<(SourceId, Result<Reached, Unreached>)>,
    told: mpsc::Sender<(Visit, Event)>,
    events: mpsc::Receiver<(Visit, Event)>,
    clock: Clock,
    links: BTreeSet<(String, SocketAddr)>,
    looked: Duration,
}

impl Contacts {
    pub(super) fn new(endpoint: Arc<Endpoint>, clock: Clock) -> Self {
        let (told, events) = mpsc::channel(EVENTS_MAX);
        Self {
            endpoint,
            all: Vec::new(),
            reaching: JoinSet::new(),
            told,
            events,
            clock,
            links: BTreeSet::new(),
            looked: Duration::ZERO,
        }
    }

    /// One more source. If it is there already, by its key or its address, more ways to it are known then, and it is
    /// tried at once.
    pub(super) fn add(&mut self, source: Source) -> Added {
        let now = self.now();
        let known = self.all.iter_mut().find(|known| known.source.way.is_same(&source.way));
        let Some(known) = known else {
            self.all.push(Contact::new(source));
            return Added::New;
        };
        if known.is_barred {
            return Added::Barred;
        }
        match (&mut known.source.way, source.way) {
            (Way::Peer(known), Way::Peer(peer)) => {
                for place in peer.places {
                    if !known.places.contains(&place) {
                        known.places.push(place);
                    }
                }
                known.ticket = peer.ticket.or(known.ticket);
            }
            // What was learned of one that is gone may be wrong.
            (way, newer) if known.standing == Standing::Gone => *way = newer,
            _ => {}
        }
        let is_up = known.is_up();
        known.try_now(now);
        if is_up { Added::Known } else { Added::Again }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_micros(self.clock.now().as_micros())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SourceId, &Contact)> {
        (0..).map(SourceId).zip(&self.all)
    }

    pub(super) fn ids(&self) -> Vec<SourceId> {
        self.iter().map(|(source, _)| source).collect()
    }

    pub(super) fn get(&self, source: SourceId) -> Option<&Contact> {
        self.all.get(source.0 as usize)
    }

    pub(super) fn get_mut(&mut self, source: SourceId) -> Option<&mut Contact> {
        self.all.get_mut(source.0 as usize)
    }

    /// It is not tried any more, whoever names it.
    pub(super) fn drop_for_good(&mut self, source: SourceId, why: &str) {
        let now = self.now();
        if let Some(contact) = self.get_mut(source) {
            contact.is_barred = true;
            contact.go_down(Unreached { why: why.into(), for_good: true }, now, 0);
        }
    }

    /// Tells all of them that it is over, and gives the word time to leave.
    pub(super) async fn close(&mut self) {
        let connections = self.all.iter_mut().filter_map(|contact| contact.connection.take());
        let mut closing = JoinSet::new();
        for connection in connections {
            connection.close(code::DONE, "");
            closing.spawn(async move { drop(connection.closed().await) });
        }
        let all = async { while closing.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_TIME, all).await;
    }

    /// Sources of which something waits to be taken.
    pub(super) fn untaken(&self) -> impl Iterator<Item = SourceId> {
        let has_untaken = |contact: &Contact| {
            let out = contact.out.as_ref();
            out.is_some_and(|out| lock(out).has_untaken())
        };
        self.iter().filter(move |(_, contact)| has_untaken(contact)).map(|(source, _)| source)
    }

    /// The next thing that happens, or that `until` has come. What sources say is left alone until `hold` has come.
    pub(super) async fn next(&mut self, until: Duration, hold: Option<Instant>) -> Tiding {
        self.dial_due();
        let now = self.now();
        let retries = self.all.iter().filter(|contact| contact.standing == Standing::Waiting);
        let due = retries.filter_map(|contact| contact.retry.next()).chain([until]).min();
        let wait = due.unwrap_or(until).saturating_sub(now);
        let happened = tokio::select! {
            biased;
            // This happens now and then: what sources say, which may come all the time, must not shut it out.
            Some(Ok(reached)) = self.reaching.join_next() => Err(Some(reached)),
            Some(event) = self.events.recv(), if hold.is_none() => Ok(event),
            () = sleep_until(hold.unwrap_or_else(Instant::now)), if hold.is_some() => Err(None),
            () = tokio::time::sleep(wait) => Err(None),
        };
        match happened {
            Ok((visit, event)) => self.on_event(visit, event),
            Err(Some((source, reached))) => self.on_reached(source, reached),
            Err(None) => Tiding::Quiet,
        }
    }

    /// Sources that wait are tried at once when a link or an address has come.
    pub(super) fn look_at_links(&mut self) {
        let now = self.now();
        if now.saturating_sub(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        let links = self.endpoint.links().into_iter();
        let links: BTreeSet<_> = links
            .flat_map(|link| {
                let name = link.name.clone();
                link.addresses.into_iter().map(move |address| (name.clone(), address))
            })
            .collect();
        if !links.is_subset(&self.links) {
            for contact in &mut self.all {
                contact.retry.hurry(now);
            }
        }
        self.links = links;
    }

    fn dial_due(&mut self) {
        let now = self.now();
        for (number, contact) in self.all.iter_mut().enumerate() {
            if !contact.is_due(now) {
                continue;
            }
            contact.standing = Standing::Dialling;
            contact.retry.begin(now);
            contact.visit += 1;
            (contact.out, contact.taken, contact.is_renewed) = (None, 0, false);
            let source = SourceId(number as u32);
            let visit = Visit { source, number: contact.visit };
            let (endpoint, way) = (self.endpoint.clone(), contact.source.way.clone());
            let (before, told) = (contact.connection.clone(), self.told.clone());
            self.reaching
                .spawn(async move { (source, reach(endpoint, way, before, visit, told).await) });
        }
    }

    fn on_reached(&mut self, source: SourceId, reached: Result<Reached, Unreached>) -> Tiding {
        let now = self.now();
        let Some(contact) = self.get_mut(source) else { return Tiding::Quiet };
        // It was dropped meanwhile.
        if contact.standing != Standing::Dialling {
            return Tiding::Quiet;
        }
        match reached {
            Ok(Reached { connection, is_new, asker }) => {
                let out = asker.shared();
                lock(&out).take(contact.taken);
                contact.out = Some(out);
                contact.go_up(connection, is_new, now);
                Tiding::Up(source, asker)
            }
            Err(mut unreached) => {
                // What was tried is not what is known of it now.
                let is_renewed = core::mem::take(&mut contact.is_renewed);
                unreached.for_good &= !is_renewed;
                contact.go_down(unreached, now, dice());
                if is_renewed {
                    contact.try_now(now);
                }
                Tiding::Down(source)
            }
        }
    }

    fn on_event(&mut self, visit: Visit, event: Event) -> Tiding {
        let now = self.now();
        let Some(contact) = self.all.get_mut(visit.source.0 as usize) else { return Tiding::Quiet };
        if contact.visit != visit.number || contact.standing == Standing::Gone {
            return Tiding::Quiet;
        }
        match &contact.out {
            Some(out) => lock(out).take(1),
            None => contact.taken += 1,
        }
        match event {
            Event::Closing => {
                let why = "it closed".into();
                contact.go_down(Unreached { why, for_good: false }, now, dice());
                Tiding::Down(visit.source)
            }
            Event::Lost(error) => {
                let lost = lost(&contact.source.way, &error);
                contact.go_down(lost, now, dice());
                Tiding::Down(visit.source)
            }
            event => {
                match event {
                    // A list proves little: a server may die after each one, and a mirror's needs no server.
                    Event::Chunk { at_hand: false, .. } => contact.retry.succeed(),
                    Event::Paused => contact.standing = Standing::Paused,
                    Event::Resumed => contact.standing = Standing::Up,
                    _ => {}
                }
                Tiding::Event(visit.source, event)
            }
        }
    }
}

fn dice() -> u8 {
    let [dice] = random::bytes();
    dice
}

#[cfg(test)]
mod tests;
