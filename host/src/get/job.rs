//! Files that are wanted, one after another or ten thousand at once: each is listed, fetched, proved and put in its
//! place.
//!
//! ```text
//!   list of files ──> there already, or something else is there ──────────────────────────> Ended
//!        │             └ neither: large ──> FileUnderWay ── whole ──> publish ──────────────^
//!        │                        small ──> a work ── proved ──> staging ── a batch at once ^
//!        └ taken from as the exchange has room: no file waits a round trip of its own
//! ```
//!
//! It is told what came ([`Job::take`]) and never waits. It blocks on the disk: it belongs into a thread of its own.

pub use super::ends::JobError;

use super::budget::Budget;
use super::ends::{EXISTS, disk, of_file, of_folder, refused};
use super::exchange::{Came, Exchange};
use super::file::{FileUnderWay, Whose};
use super::look::{Looking, Standing};
use crate::content::piece::{Node, hash_piece};
use crate::fetch::folder;
use crate::fetch::partial::{Leftover, OpenError, Replace};
use crate::fetch::reserved;
use crate::fetch::schedule::{Part, SourceId, Work, WorkId};
use crate::fetch::staging::Staging;
use crate::serve::protocol::{Content, Reason};
use crate::transfer::safe_path::{Root, SafePath};
use crate::transfer::{FileReport, Outcome};
use cap_std::fs::Dir;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Instant as Clock;

/// A file that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As sources know it.
    pub of: Content,
    /// What it is.
    pub whose: Whose,
    /// Where it belongs, below the output folder. Its own folder is there.
    pub path: SafePath,
}

/// What happens to a job.
#[derive(Debug)]
pub enum Notice {
    /// So many bytes more are there and proved.
    Had(u64),
    /// So many bytes were there from before.
    Found(u64),
    /// What this source sent was wrong; it is not asked any more.
    Lied(SourceId),
    /// This source has not got a file, or not any more.
    Refused(SourceId, Reason),
    /// A file is done with.
    Ended(FileReport),
}

/// What to do with what is there.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// With other files of the same names.
    pub replace: Replace,
    /// With what an earlier one left under way.
    pub leftover: Leftover,
}

/// What a list has.
#[derive(Clone, Debug)]
pub enum Listed {
    /// A file that is wanted.
    File(Wanted),
    /// A folder, before what is in it.
    Folder(SafePath),
}

/// A list of what is wanted.
pub trait List: Iterator<Item = Result<Listed, JobError>> {}
impl<L: Iterator<Item = Result<Listed, JobError>>> List for L {}

/// Files under way.
pub struct Job<L> {
    root: Arc<Root>,
    how: How,
    list: L,
    is_listed: bool,
    files: BTreeMap<u32, File>,
    /// Large files of which works are still to be listed.
    unlisted: Vec<u32>,
    /// Where small files go; none if all are to be resumable.
    staging: Option<Staging>,
    /// What is said of a small file when it is durable.
    settling: HashMap<String, FileReport>,
    notices: Vec<Notice>,
    /// What is there under the name of a file that is not begun yet.
    looking: Option<Looking>,
    /// The folder that was looked into last.
    folder: Option<(Vec<String>, Dir)>,
    /// What was said last by those who have not got a file.
    refused: BTreeMap<u32, Reason>,
}

enum File {
    Large(Box<Large>),
    Small(Box<Wanted>),
}

struct Large {
    wanted: Wanted,
    under_way: FileUnderWay,
    began: Clock,
    /// Bytes that were there from an earlier time.
    found: u64,
}

impl File {
    /// Whether all that is still needed of it may come from sources that are known.
    fn may_come(&mut self, number: u32, exchange: &Exchange) -> bool {
        let may = |part| exchange.anybody_may_have(WorkId { file: number, part });
        let lacks_hashes = match self {
            Self::Large(large) => large.under_way.lacks_hashes(),
            Self::Small(_) => false,
        };
        may(Part::Piece(0)) && (!lacks_hashes || may(Part::Group { level: 0, index: 0 }))
    }
}

/// Large files that are open at once: so many hashes are waited for together.
const LARGE_MAX: usize = 32;
/// Files under way at once.
const FILES_MAX: usize = 4096;
/// Looking whether a file is there takes as long as reading this.
const LOOK_BYTES: u64 = 16 << 10;

impl<L: List> Job<L> {
    /// A job of what `list` says, below `root`. With `staging`, files of one piece go through that.
    pub fn new(root: Arc<Root>, how: How, staging: Option<Staging>, list: L) -> Self {
        Self {
            root,
            how,
            list,
            is_listed: false,
            files: BTreeMap::new(),
            unlisted: Vec::new(),
            staging,
            settling: HashMap::new(),
            notices: Vec::new(),
            looking: None,
            folder: None,
            refused: BTreeMap::new(),
        }
    }

    /// What has happened since the last time.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    /// Whether every file is done with but for [`Job::finish`].
    pub fn is_done(&self) -> bool {
        self.is_listed && self.files.is_empty() && self.looking.is_none()
    }

    /// Makes durable what is not yet, and gives it its names: all that is here of small files, whether the job is done or not.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(&mut self) -> Result<(), JobError> {
        let is_done = self.is_done();
        let Some(mut staging) = self.staging.take() else { return Ok(()) };
        if is_done {
            staging.clear_leftovers();
        }
        let (settling, notices) = (&mut self.settling, &mut self.notices);
        let mut settled = |path: &SafePath, ended| settle(settling, notices, path, ended);
        let finished = staging.finish(&self.root, self.how.replace, &mut settled);
        finished.map_err(|cause| disk("the small files", cause))
    }

    /// Lists works as the exchange has room for them, and looks at what is there already, within the `budget`.
    ///
    /// # Errors
    /// When the list is none, or the disk fails.
    pub fn fill(&mut self, exchange: &mut Exchange, budget: &mut Budget) -> Result<(), JobError> {
        self.look_on(exchange, budget)?;
        let mut left = core::mem::take(&mut self.unlisted).into_iter().peekable();
        while let Some(number) = left.next_if(|_| !budget.is_spent()) {
            self.list_works(number, exchange, budget)?;
        }
        // Those that have not had a turn come first in the next.
        self.unlisted.splice(0..0, left);
        while !exchange.works_mut().is_plenty()
            && self.unlisted.len() < LARGE_MAX
            && self.files.len() < FILES_MAX
            && !self.is_listed
            && self.looking.is_none()
            && !budget.is_spent()
        {
            match self.list.next() {
                None => self.is_listed = true,
                Some(listed) => self.on_listed(listed?, exchange, budget)?,
            }
        }
        Ok(())
    }

    /// Takes what came. `hope`: a source that cannot be asked now may have what the others have not.
    ///
    /// # Errors
    /// When the disk fails: what is there stays.
    pub fn take(
        &mut self,
        came: Came,
        hope: bool,
        exchange: &mut Exchange,
    ) -> Result<(), JobError> {
        match came {
            Came::Whole { source, work, bytes } => {
                let taken = self.on_whole(source, work, &bytes, exchange);
                exchange.reuse(bytes);
                taken
            }
            Came::Refused { source, work, reason, .. } => {
                self.notices.push(Notice::Refused(source, reason));
                self.refused.insert(work.file, reason);
                let file = self.files.get_mut(&work.file);
                if !hope && file.is_some_and(|file| !file.may_come(work.file, exchange)) {
                    self.give_up(work.file, exchange);
                }
                Ok(())
            }
        }
    }

    /// Gives up what nobody has who can be asked: nobody else will come. To be called every now and then, since sources
    /// go for many reasons.
    pub fn give_up_hopeless(&mut self, exchange: &mut Exchange) {
        let (files, refused) = (&mut self.files, &mut self.refused);
        refused.retain(|number, _| files.contains_key(number));
        let is_hopeless = |(number, file): (&u32, &mut File)| {
            (!file.may_come(*number, exchange)).then_some(*number)
        };
        for number in files.iter_mut().filter_map(is_hopeless).collect::<Vec<_>>() {
            self.give_up(number, exchange);
        }
    }

    /// The one place where names from a list are looked at.
    fn on_listed(
        &mut self,
        listed: Listed,
        exchange: &mut Exchange,
        budget: &mut Budget,
    ) -> Result<(), JobError> {
        budget.spend(LOOK_BYTES);
        let (Listed::Folder(path) | Listed::File(Wanted { path, .. })) = &listed;
        let reserved = reserved::check(path).err();
        match (listed, reserved) {
            (Listed::File(wanted), None) => self.look(wanted, exchange, budget),
            (Listed::File(wanted), Some(why)) => {
                self.end(of_file(&wanted), Outcome::Refused(why.to_string()));
                Ok(())
            }
            (Listed::Folder(path), None) => match folder::make(&self.root, &path) {
                Err(cause) => self.disk_says(of_folder(&path), cause),
                Ok(()) => Ok(()),
            },
            (Listed::Folder(path), Some(why)) => {
                self.end(of_folder(&path), Outcome::Refused(why.to_string()));
                Ok(())
            }
        }
    }

    fn look(
        &mut self,
        wanted: Wanted,
        exchange: &mut Exchange,
        budget: &mut Budget,
    ) -> Result<(), JobError> {
        let standing = self.folder(&wanted.path).and_then(|folder| Standing::of(&wanted, folder));
        match standing {
            Ok(Standing::Free) => self.begin(wanted, exchange, budget),
            Ok(Standing::Other) => self.replace(wanted, exchange, budget),
            Ok(Standing::Perhaps(looking)) => {
                self.looking = Some(looking);
                self.look_on(exchange, budget)
            }
            Ok(Standing::Taken(why)) => {
                self.end(of_file(&wanted), Outcome::Refused(why.into()));
                Ok(())
            }
            Err(cause) => self.disk_says(of_file(&wanted), cause),
        }
    }

    fn begin(
        &mut self,
        wanted: Wanted,
        exchange: &mut Exchange,
        budget: &mut Budget,
    ) -> Result<(), JobError> {
        if self.staging.is_some() && wanted.whose.pieces.count() <= 1 {
            return self.begin_small(wanted, exchange);
        }
        let number = exchange.begin(wanted.of);
        let opened = self.root.parent(&wanted.path).map_err(OpenError::Io).and_then(|folder| {
            let name = wanted.path.name();
            FileUnderWay::open(folder, name, &wanted.whose, number, self.how.leftover)
        });
        match opened {
            Ok(under_way) => {
                let large = Large { wanted, under_way, began: Clock::now(), found: 0 };
                self.files.insert(number, File::Large(Box::new(large)));
                self.list_works(number, exchange, budget)
            }
            Err(OpenError::Io(cause)) => {
                exchange.end(number);
                self.disk_says(of_file(&wanted), cause)
            }
            Err(why) => {
                exchange.end(number);
                self.end(of_file(&wanted), Outcome::Refused(why.to_string()));
                Ok(())
            }
        }
    }

    fn begin_small(&mut self, wanted: Wanted, exchange: &mut Exchange) -> Result<(), JobError> {
        if wanted.whose.pieces.length() == 0 {
            // There is nothing to fetch, and one hash that it can have.
            return match self.stage(&wanted, &[], Notice::Had)? {
                true => Ok(()),
                false => {
                    self.end(
                        of_file(&wanted),
                        Outcome::Failed("an empty file has another hash".into()),
                    );
                    Ok(())
                }
            };
        }
        let left = self.staging.as_mut();
        let left = left.and_then(|staging| staging.leftover(wanted.whose.root.as_bytes()));
        if let Some(bytes) = left
            && self.stage(&wanted, &bytes, Notice::Found)?
        {
            return Ok(());
        }
        let number = exchange.begin(wanted.of);
        let id = WorkId { file: number, part: Part::Piece(0) };
        let bytes = wanted.whose.pieces.length() as u32;
        exchange.works_mut().list(Work { id, bytes });
        self.files.insert(number, File::Small(Box::new(wanted)));
        Ok(())
    }

    /// The folder of a file. Those of one folder come one after another.
    fn folder(&mut self, path: &SafePath) -> io::Result<&Dir> {
        let same = |(names, _): &(Vec<String>, Dir)| path.folders().eq(names);
        if !self.folder.as_ref().is_some_and(same) {
            self.folder = None;
            let names = path.folders().map(str::to_owned).collect();
            self.folder = Some((names, self.root.parent(path)?));
        }
        let folder = self.folder.as_ref().map(|(_, folder)| folder);
        folder.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Looks on at the file that is there; once it is known what it is, goes on with it.
    fn look_on(&mut self, exchange: &mut Exchange, budget: &mut Budget) -> Result<(), JobError> {
        let Some(looking) = &mut self.looking else { return Ok(()) };
        let Some(is_same) = looking.go_on(budget) else { return Ok(()) };
        let wanted = *looking.wanted.clone();
        self.looking = None;
        if is_same {
            self.notices.push(Notice::Found(wanted.whose.pieces.length()));
            self.end(of_file(&wanted), Outcome::Already);
            return Ok(());
        }
        self.replace(wanted, exchange, budget)
    }

    /// Something else is there.
    fn replace(
        &mut self,
        wanted: Wanted,
        exchange: &mut Exchange,
        budget: &mut Budget,
    ) -> Result<(), JobError> {
        match self.how.replace {
            Replace::Yes => self.begin(wanted, exchange, budget),
            Replace::No => {
                self.end(of_file(&wanted), Outcome::Refused(EXISTS.into()));
                Ok(())
            }
        }
    }

    fn list_works(
        &mut self,
        number: u32,
        exchange: &mut Exchange,
        budget: &mut Budget,
    ) -> Result<(), JobError> {
        let Some(File::Large(large)) = self.files.get_mut(&number) else { return Ok(()) };
        let before = large.under_way.had_bytes();
        let listed = large.under_way.list(exchange.works_mut(), budget);
        listed.map_err(|cause| disk(&large.wanted.path.to_string(), cause))?;
        let found = large.under_way.had_bytes() - before;
        large.found += found;
        if found > 0 {
            self.notices.push(Notice::Found(found));
        }
        if large.under_way.is_whole() {
            self.publish(number, exchange)
        } else {
            if !large.under_way.is_listed() {
                self.unlisted.push(number);
            }
            Ok(())
        }
    }

    fn on_whole(
        &mut self,
        source: SourceId,
        work: WorkId,
        bytes: &[u8],
        exchange: &mut Exchange,
    ) -> Result<(), JobError> {
        match self.files.get_mut(&work.file) {
            // It is done with meanwhile.
            None => drop(exchange.right(source, work)),
            Some(File::Large(large)) => {
                let failed = |cause| disk(&large.wanted.path.to_string(), cause);
                if !large.under_way.take(work.part, bytes).map_err(failed)? {
                    self.drop_liar(source, exchange);
                } else if exchange.right(source, work)
                    && let Part::Piece(piece) = work.part
                {
                    large.under_way.put(piece, bytes).map_err(failed)?;
                    self.notices.push(Notice::Had(bytes.len() as u64));
                    if large.under_way.is_whole() {
                        return self.publish(work.file, exchange);
                    }
                }
            }
            Some(File::Small(wanted)) => {
                let wanted = wanted.clone();
                if !self.stage(&wanted, bytes, Notice::Had)? {
                    self.drop_liar(source, exchange);
                } else if exchange.right(source, work) {
                    self.files.remove(&work.file);
                    exchange.finish(work.file);
                }
            }
        }
        Ok(())
    }

    fn drop_liar(&mut self, source: SourceId, exchange: &mut Exchange) {
        exchange.wrong(source);
        self.notices.push(Notice::Lied(source));
    }

    /// Whether the small file's content is right; then it is kept, and noticed as `had`.
    fn stage(
        &mut self,
        wanted: &Wanted,
        bytes: &[u8],
        had: fn(u64) -> Notice,
    ) -> Result<bool, JobError> {
        let Whose { root, pieces, attributes } = &wanted.whose;
        if hash_piece(*pieces, 0, bytes) != Some(Node::Root(*root)) {
            return Ok(false);
        }
        let Some(staging) = &mut self.staging else { return Ok(true) };
        match staging.put(wanted.path.clone(), bytes, *attributes) {
            Ok(()) => {
                self.notices.push(had(bytes.len() as u64));
                self.settling.insert(wanted.path.to_string(), of_file(wanted));
            }
            Err(cause) => self.disk_says(of_file(wanted), cause)?,
        }
        self.publish_batch()?;
        Ok(true)
    }

    fn publish_batch(&mut self) -> Result<(), JobError> {
        let Some(staging) = self.staging.as_mut().filter(|staging| staging.is_full()) else {
            return Ok(());
        };
        let (settling, notices) = (&mut self.settling, &mut self.notices);
        let mut settled = |path: &SafePath, ended| settle(settling, notices, path, ended);
        let published = staging.publish(&self.root, self.how.replace, &mut settled);
        published.map_err(|cause| disk("the small files", cause))
    }

    fn publish(&mut self, number: u32, exchange: &mut Exchange) -> Result<(), JobError> {
        let Some(File::Large(large)) = self.files.remove(&number) else { return Ok(()) };
        exchange.end(number);
        let Large { wanted, under_way, began, found } = *large;
        match under_way.publish(self.how.replace) {
            Ok(()) => {
                let time = began.elapsed();
                let report = FileReport { time, resumed: found, ..of_file(&wanted) };
                self.notices.push(Notice::Ended(report));
                Ok(())
            }
            Err(cause) => self.disk_says(of_file(&wanted), cause),
        }
    }

    /// Nobody that is known has the file.
    fn give_up(&mut self, number: u32, exchange: &mut Exchange) {
        let Some(file) = self.files.remove(&number) else { return };
        self.unlisted.retain(|unlisted| *unlisted != number);
        exchange.end(number);
        let wanted = match &file {
            File::Large(large) => &large.wanted,
            File::Small(wanted) => wanted,
        };
        let why = match self.refused.remove(&number) {
            Some(reason) => format!("no source has it: {reason}"),
            None => "no source that is left gives it".into(),
        };
        self.end(of_file(wanted), Outcome::Failed(why));
    }

    /// What concerns one file is its end; what concerns the disk is everybody's.
    fn disk_says(&mut self, of: FileReport, cause: io::Error) -> Result<(), JobError> {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match cause.kind() {
            StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge => {
                Err(JobError::Disk { path: of.path, cause })
            }
            _ => {
                self.end(of, refused(&cause));
                Ok(())
            }
        }
    }

    fn end(&mut self, of: FileReport, outcome: Outcome) {
        self.notices.push(Notice::Ended(FileReport { outcome, ..of }));
    }
}

fn settle(
    settling: &mut HashMap<String, FileReport>,
    notices: &mut Vec<Notice>,
    path: &SafePath,
    ended: io::Result<()>,
) {
    let Some(mut report) = settling.remove(&path.to_string()) else { return };
    report.outcome = ended.map_or_else(|cause| refused(&cause), |()| Outcome::Stored);
    notices.push(Notice::Ended(report));
}

#[cfg(test)]
mod tests;
