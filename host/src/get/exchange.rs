//! What is asked of which source, and what came of it: the schedule's decisions put into requests, and chunks put
//! together into works.
//!
//! ```text
//!   events of sources ──> bytes, put together by work ──> Came::Whole ──> proved by whoever knows the hashes
//!                                                                          │
//!   askers of sources <── Schedule <── first, another one's, or wrong <────┘
//! ```
//!
//! It lasts as long as its sources, over any number of files one after another: rates and round trips that were
//! measured for one are good for the next. It knows no hash and no disk.

use super::peer::{Asker, Event};
use super::works::Works;
use crate::content::piece::PIECE_BYTES;
use crate::content::tree::GroupId;
use crate::fetch::schedule::{
    Action, Gives, Part, Request, Schedule, SourceId, SourceReport, Standing, WorkId,
};
use crate::serve::protocol::{Content, Reason};
use crate::transfer::protocol::CHUNK_BYTES_MAX;
use ropewalk_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// What an event came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// A work has all its bytes, which are to be proved: [`Exchange::right`] or [`Exchange::wrong`] is told.
    Whole {
        /// Who sent them.
        source: SourceId,
        /// Which work.
        work: WorkId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A source has not got a work's file, or not any more.
    Refused {
        /// Who.
        source: SourceId,
        /// Which work.
        work: WorkId,
        /// Why.
        reason: Reason,
    },
}

/// Sources, and what is under way from each.
#[derive(Debug)]
pub struct Exchange {
    schedule: Schedule<Works>,
    sources: BTreeMap<SourceId, Link>,
    /// What came of works that are not whole; kept while a source is away, since it goes on where it stopped.
    bytes: HashMap<(SourceId, WorkId), Vec<u8>>,
    /// Room that is free again.
    spare: Vec<Vec<u8>>,
    /// How each file is called at the sources.
    contents: BTreeMap<u32, Content>,
    next_file: u32,
    /// The content that was begun last: those of one folder are alike.
    last: Option<Content>,
    /// Sources that are not asked for now.
    aside: BTreeSet<SourceId>,
}

#[derive(Debug)]
struct Link {
    asker: Asker,
    /// Which work each request is about.
    out: HashMap<u64, WorkId>,
    /// What did not fit into the requests that a server allows.
    backlog: VecDeque<Request>,
}

/// How many rooms of a piece are kept for the next one.
const SPARE_MAX: usize = 4;
const ROOM_BYTES: usize = PIECE_BYTES as usize;

impl Default for Exchange {
    fn default() -> Self {
        Self {
            schedule: Schedule::new(Works::default()),
            sources: BTreeMap::new(),
            bytes: HashMap::new(),
            spare: Vec::new(),
            contents: BTreeMap::new(),
            next_file: 0,
            last: None,
            aside: BTreeSet::new(),
        }
    }
}

impl Exchange {
    /// A number for a file that the sources know as `content`.
    pub fn begin(&mut self, content: Content) -> u32 {
        let file = self.next_file;
        self.next_file += 1;
        self.contents.insert(file, content);
        self.last = Some(content);
        let sources: Vec<_> = self.sources.keys().copied().collect();
        for source in sources {
            self.restrict(source);
        }
        file
    }

    /// What a source gives has become known anew.
    pub fn restrict(&mut self, source: SourceId) {
        let gives = match (self.sources.get(&source), self.last) {
            _ if self.aside.contains(&source) => Gives::NOTHING,
            (Some(link), Some(content)) => link.asker.gives(content),
            _ => return,
        };
        self.schedule.restrict(source, gives);
    }

    /// From now on the source is not asked, whatever connection leads to it, or is asked again.
    pub fn set_aside(&mut self, source: SourceId, is_aside: bool, now: Instant) {
        let here = |known: &SourceReport| known.id == source && known.standing.is_here();
        if !is_aside {
            self.aside.remove(&source);
        } else if self.aside.insert(source) && self.sources().any(|known| here(&known)) {
            // What it owes is cancelled, and its connection stays.
            self.lose(source);
            self.schedule.handle_added(source, now);
        }
        self.restrict(source);
    }

    /// Whether the source was set aside.
    #[must_use]
    pub fn is_aside(&self, source: SourceId) -> bool {
        self.aside.contains(&source)
    }

    /// All works of the file are done.
    pub fn finish(&mut self, file: u32) {
        self.contents.remove(&file);
        self.schedule.forget(file);
    }

    /// Nothing more of the file is wanted, whatever is under way.
    pub fn end(&mut self, file: u32) {
        self.schedule.abandon(file);
        self.works_mut().forget(file);
        self.contents.remove(&file);
        self.bytes.retain(|(_, work), _| work.file != file);
    }

    /// Nothing of any file that was begun is wanted any more.
    pub fn end_all(&mut self) {
        for file in self.contents.keys().copied().collect::<Vec<_>>() {
            self.end(file);
        }
    }

    /// The works that are listed and not asked for yet.
    pub const fn works_mut(&mut self) -> &mut Works {
        self.schedule.works_mut()
    }

    /// A connection to `source` has come about.
    pub fn add(&mut self, source: SourceId, asker: Asker, now: Instant) {
        let works_max = asker.works_max();
        let link = Link { asker, out: HashMap::new(), backlog: VecDeque::new() };
        self.sources.insert(source, link);
        self.schedule.handle_added(source, now);
        self.schedule.limit_works(source, works_max);
        self.restrict(source);
    }

    /// What is known of each source.
    pub fn sources(&self) -> impl Iterator<Item = SourceReport> {
        self.schedule.sources()
    }

    /// Whether any source answers that has more than hashes, as far as one can tell.
    #[must_use]
    pub fn anybody_answers(&self) -> bool {
        self.sources().any(|source| source.standing == Standing::Live && source.gives.pieces)
    }

    /// Whether any source that is known has more than hashes, or may have one day.
    #[must_use]
    pub fn anybody_may_give_content(&self) -> bool {
        let is_lost = |standing| matches!(standing, Standing::Gone | Standing::Dropped);
        self.sources().any(|source| !is_lost(source.standing) && source.gives.pieces)
    }

    /// Something of the source has come that was not taken yet.
    pub fn handle_untaken(&mut self, source: SourceId, now: Instant) {
        self.schedule.handle_untaken(source, now);
    }

    /// When [`Exchange::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.schedule.poll_timeout()
    }

    /// Looks who fell silent. Before that it is told of whom something waits to be taken.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.schedule.handle_timeout(now);
    }

    /// Whether any source that is known may have the work.
    #[must_use]
    pub fn anybody_may_have(&self, work: WorkId) -> bool {
        self.schedule.may_come(work)
    }

    /// Takes what a source tells. What it offers is for whoever chooses.
    pub fn handle(&mut self, source: SourceId, event: Event, now: Instant) -> Option<Came> {
        match event {
            Event::Chunk { number, bytes, .. } => self.on_chunk(source, number, &bytes, now),
            Event::Done(number) => return self.on_done(source, number),
            Event::Cut(number) => return self.on_refused(source, number, Reason::Unreadable, now),
            Event::No(number, reason) => return self.on_refused(source, number, reason, now),
            Event::Paused | Event::Closing | Event::Lost(_) => self.lose(source),
            Event::Resumed => self.schedule.handle_added(source, now),
            Event::Item(_) | Event::ListEnd => {}
        }
        None
    }

    /// The work was proved. Whether it is the first: what comes second is of no use.
    pub fn right(&mut self, source: SourceId, work: WorkId) -> bool {
        self.schedule.handle_done(source, work)
    }

    /// The work is not what it should be: the source is not asked any more.
    pub fn wrong(&mut self, source: SourceId) {
        self.schedule.handle_bad(source);
        self.drop_link(source);
    }

    /// The source is not tried any more: nothing is waited for from it, until it is added again.
    pub fn gone(&mut self, source: SourceId) {
        self.schedule.handle_gone(source);
        self.drop_link(source);
    }

    fn drop_link(&mut self, source: SourceId) {
        self.lose(source);
        self.sources.remove(&source);
        self.bytes.retain(|(from, _), _| *from != source);
    }

    /// Room of a work that is done with.
    pub fn reuse(&mut self, mut room: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && room.capacity() >= ROOM_BYTES {
            room.clear();
            self.spare.push(room);
        }
    }

    /// Asks every source for what is due.
    pub fn ask(&mut self, now: Instant) {
        let names: Vec<_> = self.sources.keys().copied().collect();
        // What one is asked for may be taken from another.
        let mut stirred = true;
        while core::mem::take(&mut stirred) {
            for source in &names {
                while let Some(action) = self.schedule.poll_action(*source, now) {
                    self.act(*source, action);
                    stirred = true;
                }
            }
        }
        for source in names {
            self.flush(source);
        }
    }

    fn act(&mut self, source: SourceId, action: Action) {
        let Some(link) = self.sources.get_mut(&source) else { return };
        match action {
            Action::Cancel(work) => {
                link.backlog.retain(|request| request.work.id != work);
                let number = link.out.iter().find(|(_, about)| **about == work).map(|(n, _)| *n);
                if let Some(number) = number {
                    link.out.remove(&number);
                    link.asker.cancel(number);
                }
                if let Some(room) = self.bytes.remove(&(source, work)) {
                    self.reuse(room);
                }
            }
            Action::Ask(request) => {
                let kept = self.bytes.get_mut(&(source, request.work.id));
                let kept_bytes = kept.map_or(0, |kept| {
                    kept.truncate(request.from as usize);
                    kept.len()
                });
                debug_assert_eq!(kept_bytes, request.from as usize, "what came before is here");
                link.backlog.push_back(request);
            }
        }
    }

    /// Says what waits to be said.
    fn flush(&mut self, source: SourceId) {
        let Some(link) = self.sources.get_mut(&source) else { return };
        while let Some(request) = link.backlog.front() {
            let Some(of) = self.contents.get(&request.work.id.file).copied() else {
                link.backlog.pop_front();
                continue;
            };
            let asked = match request.work.id.part {
                Part::Group { level, index } => link.asker.group(of, GroupId { level, index }),
                Part::Piece(piece) => link.asker.piece(of, piece, request.from),
            };
            let Some(number) = asked else { return };
            link.out.insert(number, request.work.id);
            link.backlog.pop_front();
        }
    }

    fn on_chunk(&mut self, source: SourceId, number: u64, bytes: &[u8], now: Instant) {
        // What was cancelled may come all the same.
        let link = self.sources.get(&source);
        let Some(work) = link.and_then(|link| link.out.get(&number)).copied() else { return };
        // Room is taken when the first bytes come: what waits for its turn at the source needs none.
        let spare = &mut self.spare;
        let room = self.bytes.entry((source, work)).or_insert_with(|| match bytes.len() {
            CHUNK_BYTES_MAX.. => spare.pop().unwrap_or_else(|| Vec::with_capacity(ROOM_BYTES)),
            short => Vec::with_capacity(short),
        });
        room.extend_from_slice(bytes);
        self.schedule.handle_bytes(source, work, bytes.len() as u32, now);
    }

    fn on_done(&mut self, source: SourceId, number: u64) -> Option<Came> {
        let work = self.sources.get_mut(&source)?.out.remove(&number)?;
        let bytes = self.bytes.remove(&(source, work)).unwrap_or_default();
        Some(Came::Whole { source, work, bytes })
    }

    /// The source goes away; what came of it so far stays.
    pub fn lose(&mut self, source: SourceId) {
        self.schedule.handle_lost(source);
        if let Some(link) = self.sources.get_mut(&source) {
            for number in link.out.drain().map(|(number, _)| number) {
                link.asker.cancel(number);
            }
            link.backlog.clear();
        }
    }

    fn on_refused(
        &mut self,
        source: SourceId,
        number: u64,
        reason: Reason,
        now: Instant,
    ) -> Option<Came> {
        let work = self.sources.get_mut(&source)?.out.remove(&number)?;
        self.bytes.remove(&(source, work));
        self.schedule.handle_refused(source, work, now);
        Some(Came::Refused { source, work, reason })
    }
}
