//! A fetch from beginning to end, in a thread of its own.
//!
//! ```text
//!   sources ── reached, listed ──> chosen ──> each item:  a file:    Job of one
//!      ▲                                                  a folder:  its manifest, Job of one; then Job of all its files
//!      └── lost, tried again, added while it runs
//! ```
//!
//! What happens is told as it happens ([`Happened`]), how it stands whenever somebody looks ([`Status`]). What a person
//! is shown of both is not for this file.

use super::budget::Budget;
use super::choice::{Chosen, Listing, Offered, Open, offered};
use super::contacts::{Contacts, Tiding};
use super::ends::disk;
use super::exchange::{Came, Exchange};
use super::file::{FileUnderWay, Whose};
use super::folder::{Folder, MANIFEST_BYTES_MAX};
use super::happened::{GetError, Happened, Who};
use super::job::{Job, JobError, List, Listed, Notice, Wanted};
use super::mirror::facts::Facts;
use super::order::{Control, Order, Running};
use super::peer::Event;
use super::source::{Contact, Standing, Way};
use super::status::{Meter, SourceStatus, Status};
use crate::clock::Clock;
use crate::content::catalog::{Item, ItemKind};
use crate::endpoint::Endpoint;
use crate::fetch::partial::OpenError;
use crate::fetch::schedule::SourceId;
use crate::fetch::staging::Staging;
use crate::serve::protocol::Content;
use crate::serve::throttle::Throttle;
use crate::transfer::Summary;
use crate::transfer::safe_path::SafePath;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Begins. To be called on a runtime with several threads, or one that is driven elsewhere.
#[must_use]
pub fn start(endpoint: Arc<Endpoint>, order: Order) -> Running {
    let (tell, happened) = mpsc::unbounded_channel();
    let (show, status) = watch::channel(Status::default());
    let (control, controls) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    // It hashes and writes: a thread of its own keeps that from the packets.
    let ended = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let mut fetch = Fetch::new(endpoint, order, tell, show, controls);
            let ended = fetch.run().await;
            fetch.show();
            fetch.contacts.close().await;
            ended
        })
    });
    Running { happened, status, control, ended }
}

/// For how long other sources are waited for once the first has said what it offers.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is shown how things stand.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// That nobody answers is told when it has been so for this long: one may be back in a moment.
const ALL_DOWN_TOLD: Duration = Duration::from_secs(1);

struct Fetch {
    order: Order,
    contacts: Contacts,
    exchange: Exchange,
    listings: BTreeMap<SourceId, Listing>,
    first_list: Option<Duration>,
    throttle: Throttle,
    clock: Clock,
    tell: mpsc::UnboundedSender<Happened>,
    show: watch::Sender<Status>,
    controls: mpsc::UnboundedReceiver<Control>,
    status: Status,
    summary: Summary,
    shown: Duration,
    began: Duration,
    /// What is fetched now.
    item: Option<Item>,
    /// If that is a folder: what is in it, once that is here.
    manifest: Option<File>,
    /// Sources that state another length for it.
    set_aside: BTreeSet<SourceId>,
    meters: BTreeMap<Option<SourceId>, Meter>,
    liars: BTreeSet<SourceId>,
    /// Who has refused, and for which reason, as far as it was told.
    refusers: BTreeSet<(SourceId, u8)>,
    /// Why sources are down, as it was told.
    told_down: BTreeMap<SourceId, String>,
    /// When bytes came last.
    heard: Duration,
    down_since: Option<Duration>,
}

impl Fetch {
    fn new(
        endpoint: Arc<Endpoint>,
        mut order: Order,
        tell: mpsc::UnboundedSender<Happened>,
        show: watch::Sender<Status>,
        controls: mpsc::UnboundedReceiver<Control>,
    ) -> Self {
        let clock = Clock::new();
        let mut contacts = Contacts::new(endpoint, clock);
        for source in core::mem::take(&mut order.sources) {
            contacts.add(source);
        }
        let now = contacts.now();
        Self {
            throttle: Throttle::new(order.rate_max),
            order,
            contacts,
            exchange: Exchange::default(),
            listings: BTreeMap::new(),
            first_list: None,
            clock,
            tell,
            show,
            controls,
            status: Status::default(),
            summary: Summary::default(),
            shown: Duration::ZERO,
            began: now,
            item: None,
            manifest: None,
            set_aside: BTreeSet::new(),
            meters: BTreeMap::new(),
            liars: BTreeSet::new(),
            refusers: BTreeSet::new(),
            told_down: BTreeMap::new(),
            heard: now,
            down_since: None,
        }
    }

    async fn run(&mut self) -> Result<Summary, GetError> {
        if self.order.wish.picks.is_empty() && self.order.wish.root.is_none() && !self.order.list {
            self.order.wish.root = self.root_of_tickets()?;
        }
        loop {
            let chosen = self.choose().await?;
            match self.fetch(chosen).await {
                Err(GetError::NoSource) if self.recall_set_aside() => {}
                ended => return ended.map(|()| self.summary),
            }
        }
    }

    async fn fetch(&mut self, chosen: Vec<Chosen>) -> Result<(), GetError> {
        let mut missing = Vec::new();
        for Chosen { item, picks } in chosen {
            self.happened(Happened::Began(item.clone()));
            self.status.item = Some(item.name().to_owned());
            self.item = Some(item.clone());
            let sources: Vec<_> = self.contacts.iter().map(|(source, _)| source).collect();
            for source in sources {
                self.compare_listing(source);
                self.tell_mirror(source);
            }
            match item.kind() {
                ItemKind::File(_) => self.file(&item).await?,
                ItemKind::Folder(_) => missing.extend(self.folder(&item, picks).await?),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(JobError::NoSuchPath(missing).into()) }
    }

    /// A mirror that has no list of its own is told what is wanted.
    fn tell_mirror(&self, source: SourceId) {
        let way = self.contacts.get(source).map(|contact| &contact.source.way);
        let (Some(Way::Mirror(mirror)), Some(item)) = (way, &self.item) else { return };
        let facts = match &self.manifest {
            Some(manifest) => manifest.try_clone().and_then(|it| Facts::folder(item.clone(), it)),
            None => Ok(Facts::item_alone(item.clone())),
        };
        if let Ok(facts) = facts {
            mirror.know(facts);
        }
    }

    /// Looks whether what a source offers is what is fetched. One that states another length for the same root is
    /// not asked: one of both lies, and nothing that this one says could be proved.
    fn compare_listing(&mut self, source: SourceId) {
        let (Some(item), Some(listing)) = (&self.item, self.listings.get(&source)) else { return };
        let same_root = listing.items.iter().find(|other| other.root() == item.root());
        let same_name = listing.items.iter().find(|other| other.name() == item.name());
        match (same_root, same_name) {
            (Some(other), _) if other.pieces() != item.pieces() => {
                let length = other.pieces().length();
                if self.set_aside.insert(source) {
                    self.exchange.lose(source);
                    self.happened(Happened::OtherLength { source: self.who(source), length });
                }
            }
            (None, Some(other)) => {
                let (name, root) = (other.name().to_owned(), other.root());
                self.happened(Happened::Differs { source: self.who(source), name, root });
            }
            _ => {}
        }
    }

    /// Those who stated the length that was believed turned out to be liars: the others are asked now, if there are any.
    fn recall_set_aside(&mut self) -> bool {
        let now = self.contacts.now();
        for source in core::mem::take(&mut self.listings).into_keys() {
            if self.set_aside.contains(&source) {
                self.contacts.try_again(source, now);
            }
        }
        self.exchange = Exchange::default();
        (self.item, self.first_list) = (None, None);
        (self.status.had, self.status.found) = (0, 0);
        !core::mem::take(&mut self.set_aside).is_empty()
    }

    /// A ticket for one thing says which.
    fn root_of_tickets(&self) -> Result<Option<blake3::Hash>, GetError> {
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
    async fn choose(&mut self) -> Result<Vec<Chosen>, GetError> {
        loop {
            let now = self.contacts.now();
            let offers = offered(&self.listings);
            let all_said = self.contacts.iter().all(|(id, contact)| {
                let tried = contact.why.is_some();
                tried || self.listings.get(&id).is_some_and(|listing| listing.is_whole)
            });
            let grace_over = self.first_list.is_some_and(|first| now >= first + GRACE);
            let is_time = self.first_list.is_some() && (all_said || grace_over);
            let chosen = self.order.wish.choose(&offers);
            if self.order.list {
                if is_time {
                    self.happened(Happened::Offered(self.with_names(offers)));
                    return Ok(Vec::new());
                }
            } else {
                match chosen {
                    // A root says all.
                    Ok(chosen) if is_time || self.order.wish.root.is_some() => {
                        self.status.total =
                            Some(chosen.iter().map(|chosen| chosen.item.bytes()).sum());
                        return Ok(chosen);
                    }
                    // It may come yet.
                    Ok(_) => {}
                    Err(Open::Nothing | Open::NotOffered(_)) if !self.nobody_else_may_offer() => {}
                    Err(open) if is_time => {
                        return Err(GetError::Open(open, self.with_names(offers)));
                    }
                    Err(_) => {}
                }
            }
            self.turn(now + Duration::from_millis(50)).await?;
        }
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
        self.contacts.iter().all(|(id, contact)| {
            contact.standing == Standing::Gone
                || self.listings.get(&id).is_some_and(|listing| listing.is_whole)
        })
    }

    async fn file(&mut self, item: &Item) -> Result<(), GetError> {
        let ItemKind::File(attributes) = item.kind() else { return Ok(()) };
        let wanted = Wanted {
            of: Content::Item(*item.root().as_bytes()),
            whose: Whose { root: item.root(), pieces: item.pieces(), attributes },
            path: SafePath::parse(item.name().as_bytes())
                .map_err(|error| JobError::List(error.into()))?,
        };
        self.work(None, core::iter::once(Ok(Listed::File(wanted)))).await
    }

    /// The folder, or `picks` of it. Those that it has not got.
    async fn folder(&mut self, item: &Item, picks: Vec<String>) -> Result<Vec<String>, GetError> {
        let folder = Folder::new(item.name(), *item.root().as_bytes(), picks)?;
        if item.pieces().length() > MANIFEST_BYTES_MAX {
            return Err(GetError::ManifestTooLong(item.name().into()));
        }
        let manifest = self.manifest(item).await?;
        self.manifest = manifest.content().ok();
        self.contacts.iter().for_each(|(source, _)| self.tell_mirror(source));
        let root = self.order.into.clone();
        let content = || manifest.content().map_err(|cause| disk(item.name(), cause));
        let files = folder.files(content()?, &root)?;
        let staging = Staging::open(&root, self.order.how.leftover);
        self.work(Some(staging.map_err(|cause| disk(item.name(), cause))?), files).await?;
        let missing = folder.finish(content()?, &root, self.order.how.replace)?;
        self.manifest = None;
        // What stays of it is taken up, or thrown away, by the next one.
        let _ = manifest.discard();
        Ok(missing)
    }

    /// The list of a folder's files, under a name of ours.
    async fn manifest(&mut self, item: &Item) -> Result<FileUnderWay, GetError> {
        let number = self.exchange.begin(Content::Item(*item.root().as_bytes()));
        let whose =
            Whose { root: item.root(), pieces: item.pieces(), attributes: Default::default() };
        let handle = self.order.into.handle().map_err(|cause| disk(item.name(), cause))?;
        let name = format!("{}.manifest", item.name());
        let opened = FileUnderWay::open(handle, &name, &whose, number, self.order.how.leftover);
        let mut under_way = opened.map_err(|error| match error {
            OpenError::Io(cause) => disk(item.name(), cause).into(),
            busy => GetError::Busy(busy),
        })?;
        let mut lacking = None;
        while !under_way.is_whole() {
            let mut budget = Budget::TURN;
            let listed = under_way.list(self.exchange.works_mut(), &mut budget);
            listed.map_err(|cause| disk(item.name(), cause))?;
            if under_way.is_whole() {
                break;
            }
            self.exchange.ask(self.clock.now());
            let Some(came) = self.turn(budget.next_turn()).await? else { continue };
            match came {
                Came::Whole { source, work, bytes } if work.file == number => {
                    let took = under_way.take(work.part, &bytes);
                    if !took.map_err(|cause| disk(item.name(), cause))? {
                        self.exchange.wrong(source);
                        self.notice(Notice::Lied(source));
                    } else if self.exchange.right(source, work)
                        && let crate::fetch::schedule::Part::Piece(piece) = work.part
                    {
                        under_way.put(piece, &bytes).map_err(|cause| disk(item.name(), cause))?;
                    }
                }
                Came::Whole { .. } => {}
                Came::Refused { source, work, reason, .. } => {
                    self.notice(Notice::Refused(source, reason));
                    lacking = Some((work, reason));
                }
            }
            if let Some((work, reason)) = lacking
                && !self.somebody_may_come()
                && !self.exchange.anybody_may_have(work)
            {
                return Err(GetError::NobodyHas(item.name().into(), reason));
            }
        }
        self.exchange.end(number);
        Ok(under_way)
    }

    /// Fetches what is listed. What is whole of it is durable and has its name then, however it ended.
    async fn work(&mut self, staging: Option<Staging>, list: impl List) -> Result<(), GetError> {
        let mut job = Job::new(self.order.into.clone(), self.order.how, staging, list);
        let ended = self.drive(&mut job).await;
        let finished = job.finish();
        self.notices(job.notices());
        ended?;
        Ok(finished?)
    }

    async fn drive(&mut self, job: &mut Job<impl List>) -> Result<(), GetError> {
        loop {
            let mut budget = if self.contacts.is_busy() { Budget::BUSY } else { Budget::TURN };
            let filled = job.fill(&mut self.exchange, &mut budget);
            self.notices(job.notices());
            filled?;
            if job.is_done() {
                return Ok(());
            }
            self.exchange.ask(self.clock.now());
            if let Some(came) = self.turn(budget.next_turn()).await? {
                let hope = self.somebody_may_come();
                let taken = job.take(came, hope, &mut self.exchange);
                self.notices(job.notices());
                taken?;
            }
            if !self.somebody_may_come() {
                job.give_up_hopeless(&mut self.exchange);
            }
        }
    }

    /// Whether a source that cannot be asked now may have what the others have not.
    fn somebody_may_come(&self) -> bool {
        self.contacts
            .iter()
            .any(|(_, contact)| !contact.is_up() && contact.standing != Standing::Gone)
    }

    /// Waits for the next thing that happens, at most until `until`.
    async fn turn(&mut self, until: Duration) -> Result<Option<Came>, GetError> {
        while let Ok(control) = self.controls.try_recv() {
            match control {
                Control::Stop => return Err(GetError::Stopped),
                Control::Add(source, answer) => {
                    let _ = answer.send(self.contacts.add(source).is_some());
                }
            }
        }
        let now = self.contacts.now();
        if now >= self.shown + SHOW_EVERY {
            self.shown = now;
            self.contacts.look_at_links();
            self.look_who_answers();
            self.show();
        }
        if let Some(patience) = self.order.give_up_after
            && now >= self.heard + patience
        {
            return Err(GetError::GaveUp(patience));
        }
        let is_of_use = |(id, contact): (SourceId, &Contact)| {
            contact.standing != Standing::Gone && !self.set_aside.contains(&id)
        };
        if !self.contacts.iter().any(is_of_use) {
            return Err(GetError::NoSource);
        }
        let due = self.exchange.poll_timeout();
        let due = due.map_or(Duration::MAX, |due| Duration::from_micros(due.as_micros()));
        let until = until.min(due).min(self.shown + SHOW_EVERY);
        let tiding = self.contacts.next(until).await;
        let came = self.on_tiding(tiding).await;
        // Whatever has come goes in before.
        if !self.contacts.is_busy() {
            self.exchange.handle_timeout(self.clock.now());
        }
        Ok(came)
    }

    async fn on_tiding(&mut self, tiding: Tiding) -> Option<Came> {
        let now = self.clock.now();
        match tiding {
            Tiding::Quiet => None,
            Tiding::Up(source, asker) => {
                self.listings.remove(&source);
                self.told_down.remove(&source);
                asker.list();
                self.tell_mirror(source);
                if !self.set_aside.contains(&source) {
                    self.exchange.add(source, asker, now);
                }
                self.happened(Happened::Up(self.who(source)));
                None
            }
            Tiding::Down(source) => {
                self.on_down(source);
                None
            }
            Tiding::Event(source, event) => {
                if let Event::Chunk { bytes, .. } = &event {
                    let length = bytes.len();
                    self.hear();
                    self.throttle.turn(length).await;
                }
                self.on_event(source, &event);
                self.exchange.handle(source, event, now)
            }
        }
    }

    fn on_down(&mut self, source: SourceId) {
        self.exchange.lose(source);
        if let Some(contact) = self.contacts.get(source) {
            let gone = contact.standing == Standing::Gone;
            let why = contact.why.clone().unwrap_or_default();
            // It is tried twice a second: what is the same as before is not said again.
            if self.told_down.get(&source) != Some(&why) || gone {
                self.told_down.insert(source, why.clone());
                self.happened(Happened::Down { source: self.who(source), why, gone });
            }
        }
    }

    /// Says so when nobody answers: all are gone, or fell silent, or cannot be reached.
    fn look_who_answers(&mut self) {
        let now = self.contacts.now();
        if self.down_since.is_none()
            && !self.exchange.anybody_answers()
            && now >= self.heard + ALL_DOWN_TOLD
        {
            self.down_since = Some(self.heard);
            self.happened(Happened::AllDown);
        }
    }

    /// Bytes have come.
    fn hear(&mut self) {
        self.heard = self.contacts.now();
        if let Some(since) = self.down_since.take() {
            self.happened(Happened::Again(self.heard.saturating_sub(since)));
        }
    }

    fn on_event(&mut self, source: SourceId, event: &Event) {
        match event {
            Event::Item(item) => {
                let listing = self.listings.entry(source).or_default();
                listing.items.push(item.clone());
            }
            Event::ListEnd => {
                self.heard = self.contacts.now();
                self.first_list.get_or_insert(self.heard);
                self.listings.entry(source).or_default().is_whole = true;
                self.compare_listing(source);
                // Now it is known whether a mirror has hashes.
                self.exchange.restrict(source);
            }
            Event::Paused => self.happened(Happened::Paused(self.who(source))),
            Event::Resumed => self.happened(Happened::Resumed(self.who(source))),
            _ => {}
        }
    }

    fn notices(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            self.notice(notice);
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Had(bytes) => self.status.had += bytes,
            Notice::Found(bytes) => {
                self.status.had += bytes;
                self.status.found += bytes;
            }
            Notice::Lied(source) => {
                self.liars.insert(source);
                self.contacts.drop_for_good(source, "it sent what is wrong");
                self.happened(Happened::Lied(self.who(source)));
            }
            Notice::Refused(source, reason) => {
                // Each of ten thousand files may be refused; once is enough to know.
                if self.refusers.insert((source, reason as u8)) {
                    self.happened(Happened::Refused(self.who(source), reason));
                }
            }
            Notice::Ended(report) => {
                self.summary.count(&report.outcome);
                self.happened(Happened::Ended(report));
            }
        }
    }

    fn who(&self, source: SourceId) -> Who {
        let name = self.contacts.get(source).map(|contact| contact.source.name.clone());
        Who { id: source, name: name.unwrap_or_default() }
    }

    fn happened(&self, happened: Happened) {
        // Whoever does not want to know hears nothing.
        let _ = self.tell.send(happened);
    }

    /// Shows how things stand.
    fn show(&mut self) {
        let now = self.contacts.now();
        self.status.time = now.saturating_sub(self.began);
        let sources: Vec<_> = self.contacts.iter().map(|(id, _)| id).collect();
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
