//! A fetch from beginning to end, in a thread of its own.
//!
//! ```text
//!   sources ── reached, listed ──> chosen ──> each item:  a file:    Job of one
//!      ▲                              ▲                   a folder:  its manifest, Job of one; then Job of all its files
//!      │                              └── nothing could be proved: what others state of it (`length`)
//!      └── lost, tried again, added while it runs
//! ```
//!
//! What happens is told as it happens ([`Happened`]), how it stands whenever somebody looks ([`Status`]). What a person
//! is shown of both is not for this file.
//!
//! | part | what it is |
//! |---|---|
//! | `choosing` | which of what is offered is fetched |
//! | `length` | sources that state different lengths of one content |
//! | `turning` | the next thing that happens, and for how long it is waited for |
//! | `telling` | what is told and shown |

mod choosing;
mod length;
mod telling;
mod turning;

use super::budget::Budget;
use super::choice::{Chosen, Listing};
use super::contacts::Contacts;
use super::ends::disk;
use super::exchange::{Came, Exchange};
use super::file::{FileUnderWay, Whose};
use super::folder::{Folder, MANIFEST_BYTES_MAX};
use super::happened::{GetError, Happened};
use super::job::{Job, JobError, List, Listed, Notice, Wanted};
use super::mirror::facts::Facts;
use super::order::{Control, Order, Running};
use super::source::Way;
use super::status::{Meter, Status};
use crate::clock::Clock;
use crate::content::catalog::{Item, ItemKind};
use crate::endpoint::Endpoint;
use crate::fetch::partial::OpenError;
use crate::fetch::schedule::{Part, SourceId, WorkId};
use crate::fetch::staging::Staging;
use crate::serve::protocol::Content;
use crate::serve::throttle::Throttle;
use crate::transfer::Summary;
use crate::transfer::safe_path::SafePath;
use core::time::Duration;
use length::Lengths;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use telling::Told;
use tokio::sync::{mpsc, watch};
use turning::Waits;

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

struct Fetch {
    order: Order,
    contacts: Contacts,
    exchange: Exchange,
    listings: BTreeMap<SourceId, Listing>,
    first_list: Option<Duration>,
    /// Something has changed in what is offered, or by whom.
    is_stirred: bool,
    throttle: Throttle,
    /// Until then nothing more is taken of what came: so the person wants it.
    hold: Option<tokio::time::Instant>,
    clock: Clock,
    tell: mpsc::UnboundedSender<Happened>,
    show: watch::Sender<Status>,
    controls: mpsc::UnboundedReceiver<Control>,
    status: Status,
    summary: Summary,
    shown: Duration,
    began: Duration,
    /// The roots of all that is fetched, once that is clear.
    roots: Vec<blake3::Hash>,
    /// What is fetched now.
    item: Option<Item>,
    /// If that is a folder: what is in it, once that is here.
    manifest: Option<File>,
    lengths: Lengths,
    meters: BTreeMap<Option<SourceId>, Meter>,
    liars: BTreeSet<SourceId>,
    told: Told,
    waits: Waits,
    down_since: Option<Duration>,
}

/// Why it does not go on.
enum Halt {
    /// It is over.
    End(GetError),
    /// Nothing of the item could be proved, and other sources state other things of it.
    Doubt,
}

impl From<GetError> for Halt {
    fn from(error: GetError) -> Self {
        Self::End(error)
    }
}

impl From<JobError> for Halt {
    fn from(error: JobError) -> Self {
        Self::End(error.into())
    }
}

impl From<Halt> for GetError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::End(error) => error,
            Halt::Doubt => Self::NoSource,
        }
    }
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
            hold: None,
            order,
            contacts,
            exchange: Exchange::default(),
            listings: BTreeMap::new(),
            first_list: None,
            is_stirred: false,
            clock,
            tell,
            show,
            controls,
            status: Status::default(),
            summary: Summary::default(),
            shown: Duration::ZERO,
            began: now,
            roots: Vec::new(),
            item: None,
            manifest: None,
            lengths: Lengths::default(),
            meters: BTreeMap::new(),
            liars: BTreeSet::new(),
            told: Told::default(),
            waits: Waits::default(),
            down_since: None,
        }
    }

    async fn run(&mut self) -> Result<Summary, GetError> {
        if self.order.wish.picks.is_empty() && self.order.wish.root.is_none() && !self.order.list {
            self.order.wish.root = self.root_of_tickets()?;
        }
        let chosen = self.choose().await?;
        self.roots = chosen.iter().map(|chosen| chosen.item.root()).collect();
        let mut missing = Vec::new();
        for Chosen { mut item, picks } in chosen {
            let before = (self.status.had, self.status.found);
            missing.extend(loop {
                match self.fetch(&item, &picks).await {
                    Ok(missing) => break missing,
                    Err(Halt::End(error)) => return Err(error),
                    Err(Halt::Doubt) => item = self.believe_others(&item)?,
                }
                (self.status.had, self.status.found) = before;
            });
        }
        if missing.is_empty() {
            Ok(self.summary)
        } else {
            Err(JobError::NoSuchPath(missing).into())
        }
    }

    /// Fetches an item as it is described. The picks that it has not got.
    async fn fetch(&mut self, item: &Item, picks: &[String]) -> Result<Vec<String>, Halt> {
        self.happened(Happened::Began(item.clone()));
        self.status.item = Some(item.name().to_owned());
        (self.item, self.manifest) = (Some(item.clone()), None);
        self.begin_length();
        for source in self.contacts.ids() {
            self.compare_listing(source);
            self.tell_mirror(source);
        }
        match item.kind() {
            ItemKind::File(_) => self.file(item).await.map(|()| Vec::new()),
            ItemKind::Folder(_) => self.folder(item, picks).await,
        }
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

    async fn file(&mut self, item: &Item) -> Result<(), Halt> {
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
    async fn folder(&mut self, item: &Item, picks: &[String]) -> Result<Vec<String>, Halt> {
        let folder = Folder::new(item.name(), *item.root().as_bytes(), picks.to_vec())?;
        if item.pieces().length() > MANIFEST_BYTES_MAX {
            return Err(GetError::ManifestTooLong(item.name().into()).into());
        }
        let manifest = self.manifest(item).await?;
        self.manifest = manifest.content().ok();
        for source in self.contacts.ids() {
            self.tell_mirror(source);
        }
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
    async fn manifest(&mut self, item: &Item) -> Result<FileUnderWay, Halt> {
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
            let may = |part| self.exchange.anybody_may_have(WorkId { file: number, part });
            let group = Part::Group { level: 0, index: 0 };
            let may_come = may(Part::Piece(0)) && (!under_way.lacks_hashes() || may(group));
            if !may_come && !self.somebody_may_come() {
                let name = || item.name().to_owned();
                let error = lacking.map(|why| GetError::NobodyHas(name(), why));
                return Err(error.unwrap_or(GetError::NoSource).into());
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
                        && let Part::Piece(piece) = work.part
                    {
                        under_way.put(piece, &bytes).map_err(|cause| disk(item.name(), cause))?;
                        self.proved();
                    }
                }
                Came::Whole { .. } => {}
                Came::Refused { source, reason, .. } => {
                    self.notice(Notice::Refused(source, reason));
                    lacking = Some(reason);
                }
            }
        }
        self.exchange.end(number);
        self.lengths.certain();
        Ok(under_way)
    }

    /// Fetches what is listed. What is whole of it is durable and has its name then, however it ended.
    async fn work(&mut self, staging: Option<Staging>, list: impl List) -> Result<(), Halt> {
        let mut job = Job::new(self.order.into.clone(), self.order.how, staging, list);
        let ended = self.drive(&mut job).await;
        let finished = job.finish();
        self.notices(job.notices());
        ended?;
        Ok(finished?)
    }

    async fn drive(&mut self, job: &mut Job<impl List>) -> Result<(), Halt> {
        let mut looked = self.shown;
        loop {
            let somebody_waits = self.contacts.untaken().next().is_some();
            let mut budget = if somebody_waits { Budget::BUSY } else { Budget::TURN };
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
            if self.shown != looked {
                looked = self.shown;
                // If nobody at all is left, that is the end of the fetch, not of each file.
                self.look_who_is_left()?;
                if !self.somebody_may_come() {
                    job.give_up_hopeless(&mut self.exchange);
                    self.notices(job.notices());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
