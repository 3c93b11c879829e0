//! One file from many sources: what they tell goes in, what they are asked goes out, and proved pieces onto the
//! disk.
//!
//! ```text
//!   events of sources ──> bytes, put together by request ──> proved ──> the file under way
//!                                    │                         └ wrong: the source is dropped, by name
//!   askers of sources <── Schedule <─┘
//! ```
//!
//! It does as it is told and never waits: which connections there are, and when one is tried again, is for
//! whoever drives it ([`FileJob::handle`], [`FileJob::handle_timeout`], then [`FileJob::ask`]).

use super::peer::{Asker, Event};
use super::plan::{Plan, Works, group_above};
use crate::content::piece::{PIECE_BYTES, Pieces, hash_piece};
use crate::content::proven::{AddError, Known, ProvenTree};
use crate::content::tree::GroupId;
use crate::fetch::partial::{Content as Whole, Leftover, OpenError, Partial, Replace};
use crate::fetch::schedule::{Action, Part, Request, Schedule, SourceId, SourceReport, WorkId};
use crate::serve::protocol::{Content, Reason};
use crate::transfer::protocol::Attributes;
use cap_std::fs::Dir;
use ropewalk_core::time::Instant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

/// What is to be fetched, and what it is to be called.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As servers know it.
    pub of: Content,
    /// Its hash.
    pub root: blake3::Hash,
    /// Its length, in pieces.
    pub pieces: Pieces,
    /// One plain name.
    pub name: String,
    /// Its permission bits and time.
    pub attributes: Attributes,
}

/// What happens to a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many bytes more are there and proved.
    Had(u64),
    /// What this source sent was wrong; it is not asked any more.
    Lied(SourceId),
    /// This source has not got the file, or not any more.
    Refused(SourceId, Reason),
    /// No source that is known has the file.
    NobodyHasIt,
}

/// A file under way from many sources.
#[derive(Debug)]
pub struct FileJob {
    of: Content,
    tree: ProvenTree,
    plan: Plan,
    schedule: Schedule<Works>,
    partial: Partial,
    sources: BTreeMap<SourceId, Link>,
    /// What came of works that are not whole; kept while a source is away, since it goes on where it stopped.
    bytes: HashMap<(SourceId, WorkId), Vec<u8>>,
}

#[derive(Debug)]
struct Link {
    asker: Asker,
    /// Which work each request is about.
    out: HashMap<u64, WorkId>,
    /// What did not fit into the requests that a server allows.
    backlog: VecDeque<Request>,
}

/// Groups that are held: those of 16 GiB of the file.
const GROUPS_MAX: usize = 64;
/// There is one file.
const FILE: u32 = 0;

impl FileJob {
    /// Begins, or goes on with what an earlier one left in `folder`: what is there is read and proved as far as
    /// hashes are known; the rest when they come.
    ///
    /// # Errors
    /// When another one fetches this file into the folder, or the system refuses.
    pub fn open(folder: Dir, wanted: Wanted, leftover: Leftover) -> Result<Self, OpenError> {
        let Wanted { of, root, pieces, name, attributes } = wanted;
        let whole = Whole {
            root: *root.as_bytes(),
            length: pieces.length(),
            piece_bytes: PIECE_BYTES as u32,
        };
        let partial = Partial::open(folder, &name, whole, attributes, leftover)?;
        let mut job = Self {
            of,
            tree: ProvenTree::new(root, pieces, GROUPS_MAX),
            plan: Plan::new(FILE),
            schedule: Schedule::new(Works::default()),
            partial,
            sources: BTreeMap::new(),
            bytes: HashMap::new(),
        };
        job.list()?;
        Ok(job)
    }

    /// How many bytes are there and proved, roughly: whole pieces.
    #[must_use]
    pub fn had_bytes(&self) -> u64 {
        (self.partial.had() * PIECE_BYTES).min(self.tree.shape().pieces().length())
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.partial.is_whole()
    }

    /// Makes it durable, with its own name.
    ///
    /// # Errors
    /// When it is not whole, the name is taken and may not be replaced, or the system refuses.
    pub fn publish(self, replace: Replace) -> io::Result<()> {
        self.partial.publish(replace)
    }

    /// What is known of each source.
    pub fn sources(&self) -> impl Iterator<Item = SourceReport> {
        self.schedule.sources()
    }

    /// A connection to `source` has come about.
    pub fn add(&mut self, source: SourceId, asker: Asker, now: Instant) {
        let link = Link { asker, out: HashMap::new(), backlog: VecDeque::new() };
        self.sources.insert(source, link);
        self.schedule.handle_added(source, now);
    }

    /// When [`FileJob::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.schedule.poll_timeout()
    }

    /// Looks who fell silent. Whatever has come goes in before.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.schedule.handle_timeout(now);
    }

    /// Takes what a source tells.
    ///
    /// # Errors
    /// When the disk fails: what is there stays.
    pub fn handle(
        &mut self,
        source: SourceId,
        event: Event,
        now: Instant,
    ) -> io::Result<Vec<Notice>> {
        let mut notices = Vec::new();
        match event {
            Event::Chunk { number, bytes } => self.on_chunk(source, number, &bytes, now),
            Event::Done(number) => self.on_done(source, number, &mut notices)?,
            Event::Cut(number) => {
                self.on_refused(source, number, Reason::Unreadable, now, &mut notices)
            }
            Event::No(number, reason) => self.on_refused(source, number, reason, now, &mut notices),
            Event::Paused | Event::Closing | Event::Lost(_) => self.on_lost(source),
            Event::Resumed => self.schedule.handle_added(source, now),
            // What a source offers is for whoever chose what to fetch.
            Event::Item(_) | Event::ListEnd => {}
        }
        Ok(notices)
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
                self.bytes.remove(&(source, work));
            }
            Action::Ask(request) => {
                let kept = self.bytes.entry((source, request.work.id)).or_default();
                kept.truncate(request.from as usize);
                debug_assert_eq!(kept.len(), request.from as usize, "what came before is here");
                link.backlog.push_back(request);
            }
        }
    }

    /// Says what waits to be said.
    fn flush(&mut self, source: SourceId) {
        let of = self.of;
        let Some(link) = self.sources.get_mut(&source) else { return };
        while let Some(request) = link.backlog.front() {
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
        self.bytes.entry((source, work)).or_default().extend_from_slice(bytes);
        self.schedule.handle_bytes(source, work, bytes.len() as u32, now);
    }

    fn on_done(
        &mut self,
        source: SourceId,
        number: u64,
        notices: &mut Vec<Notice>,
    ) -> io::Result<()> {
        let link = self.sources.get_mut(&source);
        let Some(work) = link.and_then(|link| link.out.remove(&number)) else { return Ok(()) };
        let bytes = self.bytes.remove(&(source, work)).unwrap_or_default();
        let right = match work.part {
            Part::Group { level, index } => self.on_group(GroupId { level, index }, &bytes)?,
            Part::Piece(piece) => self.proves(piece, &bytes)?,
        };
        if !right {
            self.drop_liar(source, notices);
            return Ok(());
        }
        // Who comes second has brought what is there.
        if self.schedule.handle_done(source, work)
            && let Part::Piece(piece) = work.part
        {
            self.partial.put(piece, &bytes)?;
            notices.push(Notice::Had(bytes.len() as u64));
        }
        self.list()
    }

    fn on_group(&mut self, id: GroupId, bytes: &[u8]) -> io::Result<bool> {
        self.plan.forget_group(id);
        match self.tree.add(id, bytes) {
            Ok(()) => self.partial.journal().put_group(id.level, id.index, bytes).map(|()| true),
            // Nobody's fault; the list asks for both again.
            Err(AddError::ParentMissing(_)) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    fn proves(&mut self, piece: u64, bytes: &[u8]) -> io::Result<bool> {
        // Hashes that were forgotten since are in the journal.
        self.take_from_journal(piece)?;
        Ok(proves(&mut self.tree, piece, bytes))
    }

    fn drop_liar(&mut self, source: SourceId, notices: &mut Vec<Notice>) {
        self.schedule.handle_bad(source);
        self.forget(source);
        notices.push(Notice::Lied(source));
    }

    /// The source goes away; what came of it so far stays.
    fn on_lost(&mut self, source: SourceId) {
        self.schedule.handle_lost(source);
        if let Some(link) = self.sources.get_mut(&source) {
            for number in link.out.drain().map(|(number, _)| number) {
                link.asker.cancel(number);
            }
            link.backlog.clear();
        }
    }

    fn forget(&mut self, source: SourceId) {
        self.on_lost(source);
        self.sources.remove(&source);
        self.bytes.retain(|(from, _), _| *from != source);
    }

    fn on_refused(
        &mut self,
        source: SourceId,
        number: u64,
        reason: Reason,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        let link = self.sources.get_mut(&source);
        let Some(work) = link.and_then(|link| link.out.remove(&number)) else { return };
        self.bytes.remove(&(source, work));
        notices.push(Notice::Refused(source, reason));
        if !self.schedule.handle_refused(source, work, now) {
            notices.push(Notice::NobodyHasIt);
        }
    }

    /// Lists what has become known: pieces whose hashes are here, and the hashes that come next. What an earlier
    /// one left is proved as soon as it can be.
    fn list(&mut self) -> io::Result<()> {
        while !self.schedule.works_mut().is_plenty() {
            self.take_from_journal(self.plan.next_piece())?;
            let Some(pieces) = self.plan.take_pieces(&mut self.tree) else { break };
            let tree = &mut self.tree;
            let mut proof = |piece, content: &[u8]| proves(tree, piece, content);
            self.partial.prove(pieces.clone(), &mut proof)?;
            let mut from = pieces.start;
            while let Some(missing) =
                self.partial.missing(from).filter(|gap| gap.start < pieces.end)
            {
                for piece in missing.start..missing.end.min(pieces.end) {
                    self.plan.list_piece(&self.tree, piece, self.schedule.works_mut());
                }
                from = missing.end;
            }
        }
        if let Some(id) = self.plan.missing(&mut self.tree) {
            self.plan.list_group(&self.tree, id, self.schedule.works_mut());
        }
        Ok(())
    }

    /// The hashes above a piece, as far as they were written down.
    fn take_from_journal(&mut self, piece: u64) -> io::Result<()> {
        while let Some(id) = group_above(&mut self.tree, piece) {
            let Some(bytes) = self.partial.journal().group(id.level, id.index)? else { break };
            if self.tree.add(id, &bytes).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn proves(tree: &mut ProvenTree, piece: u64, bytes: &[u8]) -> bool {
    let Some(Known::Node(node)) = tree.piece(piece) else { return false };
    hash_piece(tree.shape().pieces(), piece, bytes) == Some(node)
}

#[cfg(test)]
mod tests;
