//! A file under way: what of it is here, on a disk and under a temporary name, until it is whole.
//!
//! ```text
//!                    prove: read, and proved right
//!            ┌───────────────────────────────────────────────┐
//!   open ─▶ here, perhaps            put: proved, written     ▼         all of it
//!            │                  missing ─────────────────▶ had ──────────────────▶ publish: durable, its own name
//!            └─ a hole, or wrong ──▲
//! ```
//!
//! What a killed `get` left behind is taken up by proof alone: the data that lies in the file is read
//! again, and what the hashes prove is had. No record says which pieces are there, so none can say too much,
//! after a power cut least of all. The [`Journal`] beside it keeps the groups of hashes, so that they need
//! not be asked for again, and which pieces are nothing but zeros: these are holes in the file, and holes are not read.
//!
//! Who opens it holds a lock; a second one is refused. It knows nothing of sources, and takes the caller's word
//! that what is put was proved.

mod flush;
mod holes;
mod journal;
mod names;
mod runs;

pub use crate::transfer::partial::Replace;
pub use journal::{Found, Journal};

use crate::transfer::locked;
use crate::transfer::partial::{give_name, set_attributes, sync_folder};
use crate::transfer::protocol::Attributes;
use cap_std::fs::Dir;
use core::ops::Range;
use flush::Flusher;
use runs::Runs;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes of one write. Those of a MiB take Linux two to four times the processor time, since the pages that it takes
/// for them are large ones, which were not in use a moment before.
const WRITE_BYTES: usize = 128 << 10;

/// Which content a file is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The hash over all of it.
    pub root: [u8; 32],
    /// Its bytes.
    pub length: u64,
    /// The length of each piece but the last.
    pub piece_bytes: u32,
}

impl Content {
    /// How many pieces there are. An empty file is one piece of no bytes: that it is empty must be proved like
    /// anything else.
    #[must_use]
    pub const fn pieces(&self) -> u64 {
        let pieces = self.length.div_ceil(self.piece_bytes as u64);
        if pieces == 0 { 1 } else { pieces }
    }

    /// Where the piece lies in the file.
    const fn range(&self, piece: u64) -> Range<u64> {
        let begin = piece.saturating_mul(self.piece_bytes as u64);
        let end = begin.saturating_add(self.piece_bytes as u64);
        begin..if end < self.length { end } else { self.length }
    }
}

/// Says which content is right.
pub trait Proof {
    /// Whether `content` is the piece of this number. `false` too if that cannot be said yet.
    fn proves(&mut self, piece: u64, content: &[u8]) -> bool;
}

impl<F: FnMut(u64, &[u8]) -> bool> Proof for F {
    fn proves(&mut self, piece: u64, content: &[u8]) -> bool {
        self(piece, content)
    }
}

/// What to do with what an earlier `get` left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Take it up.
    Resume,
    /// Throw it away.
    Discard,
}

/// Why a file cannot be put under way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another one writes to it.
    #[error("another get is fetching this file into the same folder")]
    Busy,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file under way. Dropped, it stays as it is, for whoever opens it next.
#[derive(Debug)]
pub struct Partial {
    folder: Dir,
    name: String,
    temporary: String,
    journal_name: String,
    file: File,
    journal: Journal,
    found: Found,
    content: Content,
    attributes: Attributes,
    had: Runs,
    flusher: Flusher,
}

impl Partial {
    /// The file that is to be called `name`, a plain name and none of ours ([`super::reserved`]), in `folder`.
    ///
    /// # Errors
    /// When another one writes to it, or the system refuses.
    pub fn open(
        folder: Dir,
        name: &str,
        content: Content,
        attributes: Attributes,
        leftover: Leftover,
    ) -> Result<Self, OpenError> {
        let [temporary, journal_name] = names::of(name);
        let file = locked::open_locked(&folder, &temporary, attributes.mode.is_some())?;
        let file = file.ok_or(OpenError::Busy)?;
        let journal_file = locked::open(&folder, &journal_name, true)?;
        if leftover == Leftover::Discard {
            file.set_len(0)?;
            journal_file.set_len(0)?;
        }
        let (journal, found) = Journal::open(journal_file, content.root, content.length)?;
        // A hole at first. It may be longer than it will be: how long that is, a liar may have said, and what is here is worth more.
        if file.metadata()?.len() < content.length {
            file.set_len(content.length)?;
        }
        let (name, had) = (name.to_owned(), Runs::default());
        let flusher = Flusher::new(&file)?;
        Ok(Self {
            folder,
            name,
            temporary,
            journal_name,
            file,
            journal,
            found,
            content,
            attributes,
            had,
            flusher,
        })
    }

    /// What the journal was found to be.
    #[must_use]
    pub const fn found(&self) -> Found {
        self.found
    }

    /// The name under which it lies until it is published.
    #[must_use]
    pub fn temporary(&self) -> &str {
        &self.temporary
    }

    /// The file itself, for whoever reads it when it is whole.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn content(&self) -> io::Result<File> {
        self.file.set_len(self.content.length)?;
        self.file.try_clone()
    }

    /// The groups of hashes that were proved.
    pub const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// How many pieces are here and right.
    #[must_use]
    pub const fn had(&self) -> u64 {
        self.had.count()
    }

    /// Whether all pieces are here.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.had.count() == self.content.pieces()
    }

    /// The first run of pieces that are not here, from `from` on.
    #[must_use]
    pub fn missing(&self, from: u64) -> Option<Range<u64>> {
        self.had.next_gap(from..self.content.pieces())
    }

    /// Looks at what lies in the file of these pieces, and says how many of them were proved. Reads
    /// data, never holes, but those of which the journal says that they are all zeros. What cannot be read is not had.
    ///
    /// # Errors
    /// When the system cannot say how long the file is.
    pub fn prove(&mut self, pieces: Range<u64>, proof: &mut dyn Proof) -> io::Result<u64> {
        let before = self.had.count();
        let end = pieces.end.min(self.content.pieces());
        let mut room = Vec::new();
        let mut from = pieces.start;
        while let Some(piece) = self.next_to_look_at(from, end)? {
            let range = self.content.range(piece);
            room.resize(usize::try_from(range.end - range.start).unwrap_or_default(), 0);
            let read = self.file.seek(SeekFrom::Start(range.start));
            let read = read.and_then(|_| self.file.read_exact(&mut room));
            // A disk that has lost a sector takes the piece anew, and often elsewhere.
            if read.is_ok() && proof.proves(piece, &room) {
                self.had.insert(piece);
            }
            from = piece + 1;
        }
        Ok(self.had.count() - before)
    }

    /// The next piece that is not had and may be here.
    fn next_to_look_at(&self, mut from: u64, end: u64) -> io::Result<Option<u64>> {
        while let Some(missing) = self.had.next_gap(from..end) {
            let data = holes::next_data(&self.file, self.content.range(missing.start).start)?;
            let data = data.map(|at| at / u64::from(self.content.piece_bytes));
            let zeros = self.journal.zeros().next(missing.start);
            match data.into_iter().chain(zeros).min() {
                Some(next) if next >= missing.end => from = next,
                next => return Ok(next),
            }
        }
        Ok(None)
    }

    /// Writes a piece that was proved.
    ///
    /// # Errors
    /// When the system refuses, or it is no piece of this content.
    pub fn put(&mut self, piece: u64, content: &[u8]) -> io::Result<()> {
        let range = self.content.range(piece);
        if piece >= self.content.pieces() || content.len() as u64 != range.end - range.start {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no piece of this file"));
        }
        if content.iter().all(|byte| *byte == 0) {
            holes::make_zero(&self.file, range.start, content.len() as u64)?;
            self.journal.put_zeros(piece)?;
        } else {
            self.file.seek(SeekFrom::Start(range.start))?;
            for part in content.chunks(WRITE_BYTES) {
                self.file.write_all(part)?;
            }
            self.flusher.wrote(content.len() as u64)?;
        }
        self.had.insert(piece);
        Ok(())
    }

    /// Makes it durable and gives it its attributes and its own name.
    ///
    /// # Errors
    /// When a piece is missing, or something has the name and is not to be replaced (`AlreadyExists`), or the system
    /// refuses, or the disk did not take a part of it, now or while it came. It stays under its temporary name then.
    pub fn publish(mut self, replace: Replace) -> io::Result<()> {
        if !self.is_whole() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "pieces of it are missing"));
        }
        self.file.set_len(self.content.length)?;
        set_attributes(&self.file, self.attributes)?;
        self.flusher.finish()?;
        give_name((&self.folder, &self.temporary), (&self.folder, &self.name), replace)?;
        sync_folder(&self.folder)?;
        // A journal that stays is one of a file that is no more under way: the next one empties it.
        let _ = self.folder.remove_file(&self.journal_name);
        Ok(())
    }

    /// Removes all trace of it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn discard(self) -> io::Result<()> {
        let _ = self.folder.remove_file(&self.journal_name);
        self.folder.remove_file(&self.temporary)
    }
}

#[cfg(test)]
mod tests;
