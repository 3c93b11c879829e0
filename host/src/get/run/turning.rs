//! One turn of a fetch: what its driver says is done, and the next thing that happens is waited for.
//!
//! How long nothing has come counts while something is waited for, and not while the disk or a limit of the
//! person's own holds it up.

use super::{Fetch, Halt};
use crate::fetch::schedule::SourceId;
use crate::get::contacts::Tiding;
use crate::get::exchange::Came;
use crate::get::happened::{GetError, Happened};
use crate::get::order::{Added, Control};
use crate::get::peer::Event;
use crate::get::source::{Contact, Source, Standing, Way};
use core::time::Duration;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::Instant;

/// How often it is shown how things stand.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// That nobody answers is told when it has been so for this long: one may be back in a moment.
const ALL_DOWN_TOLD: Duration = Duration::from_secs(1);

/// For how long was waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// Since anything came, or a source said for the first time what it offers.
    pub(super) heard: Duration,
    /// Since the item began, or bytes came.
    pub(super) silent: Duration,
    /// Since the item began, or bytes of it were proved.
    pub(super) unproved: Duration,
}

impl Waits {
    fn count(&mut self, time: Duration) {
        self.heard += time;
        self.silent += time;
        self.unproved += time;
    }
}

impl Fetch {
    /// Waits for the next thing that happens, at most until `until`.
    pub(super) async fn turn(&mut self, until: Duration) -> Result<Option<Came>, Halt> {
        self.obey()?;
        let before = self.contacts.now();
        if before >= self.shown + SHOW_EVERY {
            self.shown = before;
            self.contacts.look_at_links();
            self.look_who_answers();
            self.show();
        }
        self.look_who_is_left()?;
        let due = self.exchange.poll_timeout();
        let due = due.map_or(Duration::MAX, |due| Duration::from_micros(due.as_micros()));
        let until = until.min(due).min(self.shown + SHOW_EVERY);
        let hold = self.hold.filter(|hold| *hold > Instant::now());
        let tiding = self.contacts.next(until, hold).await;
        if hold.is_none() {
            self.waits.count(self.contacts.now().saturating_sub(before));
        }
        if let Some(patience) = self.order.give_up_after
            && self.waits.heard >= patience
            && matches!(tiding, Tiding::Quiet)
        {
            return Err(GetError::GaveUp(patience).into());
        }
        let came = self.on_tiding(tiding);
        let now = self.clock.now();
        for source in self.contacts.untaken() {
            self.exchange.handle_untaken(source, now);
        }
        self.exchange.handle_timeout(now);
        Ok(came)
    }

    /// Does what the driver says.
    fn obey(&mut self) -> Result<(), GetError> {
        loop {
            match self.controls.try_recv() {
                Ok(Control::Add(source, answer)) => {
                    let _ = answer.send(self.add(source));
                }
                Ok(Control::Stop) | Err(TryRecvError::Disconnected) => {
                    return Err(GetError::Stopped);
                }
                Err(TryRecvError::Empty) => return Ok(()),
            }
        }
    }

    fn add(&mut self, source: Source) -> Added {
        let wanted = match (&self.roots[..], &self.order.wish.root) {
            ([], Some(root)) => core::slice::from_ref(root),
            (roots, _) => roots,
        };
        match source.way.root() {
            Some(root) if !wanted.is_empty() && !wanted.contains(&root) => Added::OtherRoot(root),
            _ => self.contacts.add(source),
        }
    }

    /// Whether a source that cannot be asked now may have what the others have not.
    pub(super) fn somebody_may_come(&self) -> bool {
        let may_be_believed = |(source, contact): (SourceId, &Contact)| {
            self.exchange.is_aside(source) && contact.standing != Standing::Gone
        };
        self.one_of_the_believed_may_come()
            || self.other_statement().is_some()
            || (!self.lengths.is_proved() && self.contacts.iter().any(may_be_believed))
    }

    fn one_of_the_believed_may_come(&self) -> bool {
        self.contacts.iter().any(|(source, contact)| {
            let is_listed = || self.listings.get(&source).is_some_and(|it| it.is_whole);
            let may_come = match contact.standing {
                Standing::Gone => false,
                Standing::Waiting | Standing::Dialling => true,
                // Whether there are hashes beside a mirror is known when it has said so.
                Standing::Up | Standing::Paused => {
                    matches!(contact.source.way, Way::Mirror(_)) && !is_listed()
                }
            };
            may_come && !self.exchange.is_aside(source)
        })
    }

    /// Whether any source is left that may give what is fetched.
    pub(super) fn look_who_is_left(&self) -> Result<(), Halt> {
        let is_left = match self.item {
            None => self.contacts.iter().any(|(_, contact)| contact.standing != Standing::Gone),
            Some(_) => {
                self.exchange.anybody_may_give_content() || self.one_of_the_believed_may_come()
            }
        };
        match is_left {
            false if self.is_another_untried() => Err(Halt::Doubt),
            false => Err(GetError::NoSource.into()),
            true if self.is_in_doubt() => Err(Halt::Doubt),
            true => Ok(()),
        }
    }

    fn on_tiding(&mut self, tiding: Tiding) -> Option<Came> {
        let now = self.clock.now();
        match tiding {
            Tiding::Quiet => None,
            Tiding::Up(source, asker) => {
                self.listings.remove(&source);
                asker.list();
                self.tell_mirror(source);
                self.exchange.add(source, asker, now);
                self.is_stirred = true;
                self.told_up(source);
                None
            }
            Tiding::Down(source) => {
                self.on_down(source);
                None
            }
            Tiding::Event(source, event) => {
                self.on_event(source, &event);
                self.exchange.handle(source, event, now)
            }
        }
    }

    fn on_down(&mut self, source: SourceId) {
        self.is_stirred = true;
        let Some(contact) = self.contacts.get(source) else { return };
        let gone = contact.standing == Standing::Gone;
        let why = contact.why.clone().unwrap_or_default();
        if gone {
            self.exchange.gone(source);
        } else {
            self.exchange.lose(source);
        }
        self.told_down(source, why, gone);
    }

    /// Says so when nobody answers: all are gone, or fell silent, or cannot be reached.
    fn look_who_answers(&mut self) {
        if self.down_since.is_none()
            && !self.exchange.anybody_answers()
            && self.waits.heard >= ALL_DOWN_TOLD
        {
            self.down_since = Some(self.contacts.now().saturating_sub(self.waits.heard));
            self.happened(Happened::AllDown);
        }
    }

    fn on_event(&mut self, source: SourceId, event: &Event) {
        match event {
            Event::Item(item) => {
                let listing = self.listings.entry(source).or_default();
                listing.items.push(item.clone());
            }
            Event::ListEnd => self.on_list(source),
            Event::Chunk { at_hand: false, bytes, .. } => {
                self.hold = self.throttle.take(bytes.len());
                self.hear(source);
            }
            Event::Paused => self.happened(Happened::Paused(self.who(source))),
            Event::Resumed => self.happened(Happened::Resumed(self.who(source))),
            _ => {}
        }
    }

    fn on_list(&mut self, source: SourceId) {
        self.first_list.get_or_insert_with(|| self.contacts.now());
        self.listings.entry(source).or_default().is_whole = true;
        self.is_stirred = true;
        // One that says it again and again, and gives nothing, is of no use.
        if self.told.lists(source) {
            self.waits.heard = Duration::ZERO;
        }
        self.tell_trouble(source);
        self.compare_listing(source);
        // Now it is known whether a mirror has hashes.
        self.exchange.restrict(source);
    }

    /// Bytes have come.
    fn hear(&mut self, source: SourceId) {
        (self.waits.heard, self.waits.silent) = (Duration::ZERO, Duration::ZERO);
        self.told_good(source);
        if let Some(since) = self.down_since.take() {
            let now = self.contacts.now();
            self.happened(Happened::Again(now.saturating_sub(since)));
        }
    }
}
