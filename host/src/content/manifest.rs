//! The manifest of a folder: what is in it, in an order that can be read, made and checked in one
//! pass. It is a file like any other, with pieces and a root of its own, so it is proven like any content.
//!
//! ```text
//! magic | record | record | ...                    record: length, u16 little endian | what postcard makes of Record
//! File a   Folder b   File b/x   FolderEnd   File c   FolderEnd   End      the last FolderEnd is the top folder's
//! ```
//!
//! Paths are relative to the top folder, so that its own name does not count. Those of one folder
//! ascend, byte by byte, and all of a folder stands between its two records: no file comes twice, none comes outside of its
//! folder. [`ManifestReader`] refuses everything else, and holds one record and the names of the folders it is in.
//!
//! A record is found again by its place alone ([`record_at`]): a server needs no table of its files.

use super::piece::FILE_BYTES_MAX;
use crate::transfer::protocol::{Attributes, PATH_BYTES_MAX};
use crate::transfer::safe_path::{PathError, SafePath};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Most files and folders in a manifest.
pub const ENTRIES_MAX: u64 = 10_000_000;
/// Most bytes of a record after its length: a path, and what there is beside it.
pub const RECORD_BYTES_MAX: usize = PATH_BYTES_MAX + 128;

const MAGIC: &[u8; 20] = b"ropewalk manifest 1\n";
const LENGTH_BYTES: usize = 2;

/// A step through the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A folder begins; all that is in it follows, up to its end.
    Folder(SafePath),
    /// The innermost folder ends, and this belongs to it. The last one is the top folder's.
    FolderEnd(Attributes),
    /// A file.
    File(FileEntry),
}

/// A file in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it lies, seen from the top folder.
    pub path: SafePath,
    /// Its permission bits and time.
    pub attributes: Attributes,
    /// Bytes; at most [`FILE_BYTES_MAX`].
    pub length: u64,
    /// The hash of its content.
    pub root: blake3::Hash,
}

/// How much there is in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Files and folders, without the top one.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Why a manifest is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It cannot be read, or written; also when it ends too early.
    #[error("the manifest: {0}")]
    Io(#[from] io::Error),
    /// What is there is no manifest, or of a later version.
    #[error("this is no manifest of this version")]
    NotOne,
    /// A record breaks the rules.
    #[error("the manifest is damaged: {0}")]
    Damaged(&'static str),
    /// A path leads where none may, or would not fit.
    #[error("the manifest has a path that cannot be: {0}")]
    Path(#[from] PathError),
    /// More than [`ENTRIES_MAX`] files and folders.
    #[error("the folder has too many files: at most {ENTRIES_MAX}")]
    TooMany,
}

/// What stands in a manifest.
#[derive(Debug, Serialize, Deserialize)]
enum Record<'r> {
    Folder {
        #[serde(borrow)]
        path: &'r [u8],
    },
    FolderEnd(Attributes),
    File {
        path: &'r [u8],
        attributes: Attributes,
        length: u64,
        root: [u8; 32],
    },
    End(Totals),
}

/// The rules of the order, the same for who writes and who reads.
#[derive(Debug, Default)]
struct Order {
    /// The names of the folders we are in.
    folders: Vec<String>,
    /// The name before, in the innermost of them.
    before: Option<String>,
    top_ended: bool,
    totals: Totals,
}

impl Order {
    fn check(&mut self, step: &Step) -> Result<(), ManifestError> {
        if self.top_ended {
            return Err(ManifestError::Damaged("something comes after the top folder's end"));
        }
        match step {
            Step::Folder(path) => {
                self.entry(path, 0)?;
                self.folders.extend(self.before.take());
            }
            Step::File(file) => self.entry(&file.path, file.length)?,
            Step::FolderEnd(_) => {
                self.before = self.folders.pop();
                self.top_ended = self.before.is_none();
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &SafePath, length: u64) -> Result<(), ManifestError> {
        if !path.folders().eq(self.folders.iter().map(String::as_str)) {
            return Err(ManifestError::Damaged("a path is not in the folder it stands in"));
        }
        if self.before.as_deref().is_some_and(|before| before >= path.name()) {
            return Err(ManifestError::Damaged("names do not ascend"));
        }
        if self.totals.entries >= ENTRIES_MAX {
            return Err(ManifestError::TooMany);
        }
        let bytes = self.totals.bytes.checked_add(length).filter(|_| length <= FILE_BYTES_MAX);
        let bytes = bytes.ok_or(ManifestError::Damaged("a file is too long"))?;
        self.totals = Totals { entries: self.totals.entries + 1, bytes };
        self.before = Some(path.name().to_owned());
        Ok(())
    }
}

/// Writes a manifest, step by step.
#[derive(Debug)]
pub struct ManifestWriter<W> {
    out: W,
    order: Order,
}

impl<W: Write> ManifestWriter<W> {
    /// Into `out`, which had better be buffered.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn new(mut out: W) -> Result<Self, ManifestError> {
        out.write_all(MAGIC)?;
        Ok(Self { out, order: Order::default() })
    }

    /// The next step.
    ///
    /// # Errors
    /// When `out` takes no more, or the step breaks the order; then nothing is written.
    pub fn step(&mut self, step: &Step) -> Result<(), ManifestError> {
        self.order.check(step)?;
        let path;
        let record = match step {
            Step::FolderEnd(attributes) => Record::FolderEnd(*attributes),
            Step::Folder(folder) => {
                path = folder.to_string();
                Record::Folder { path: path.as_bytes() }
            }
            Step::File(FileEntry { path: file, attributes, length, root }) => {
                path = file.to_string();
                let (attributes, length, root) = (*attributes, *length, *root.as_bytes());
                Record::File { path: path.as_bytes(), attributes, length, root }
            }
        };
        self.write(&record)
    }

    /// Ends the manifest, after the top folder's end.
    ///
    /// # Errors
    /// When the top folder has not ended, or `out` takes no more.
    pub fn finish(mut self) -> Result<(W, Totals), ManifestError> {
        if !self.order.top_ended {
            return Err(ManifestError::Damaged("the top folder has no end"));
        }
        let totals = self.order.totals;
        self.write(&Record::End(totals))?;
        self.out.flush()?;
        Ok((self.out, totals))
    }

    fn write(&mut self, record: &Record<'_>) -> Result<(), ManifestError> {
        let mut room = [0; RECORD_BYTES_MAX];
        let too_long = |_| ManifestError::Damaged("a record is too long");
        let body = postcard::to_slice(record, &mut room).map_err(too_long)?;
        self.out.write_all(&(body.len() as u16).to_le_bytes())?;
        Ok(self.out.write_all(body)?)
    }
}

/// Reads a manifest, step by step, and believes nothing that breaks the order. After an error, or the end, there is nothing more.
#[derive(Debug)]
pub struct ManifestReader<R> {
    inner: R,
    order: Order,
    /// How far it was read, in bytes.
    at: u64,
    ended: bool,
}

impl<R: Read> ManifestReader<R> {
    /// Out of `inner`, which had better be buffered.
    ///
    /// # Errors
    /// When it is no manifest.
    pub fn new(mut inner: R) -> Result<Self, ManifestError> {
        let mut magic = [0; MAGIC.len()];
        inner.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(ManifestError::NotOne);
        }
        Ok(Self { inner, order: Order::default(), at: MAGIC.len() as u64, ended: false })
    }

    /// What came so far: after the end, what there is.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.order.totals
    }

    fn advance(&mut self) -> Result<Option<(u64, Step)>, ManifestError> {
        let place = self.at;
        let mut room = [0; RECORD_BYTES_MAX];
        let body = read_record(&mut self.inner, &mut room)?;
        self.at += (LENGTH_BYTES + body.len()) as u64;
        match parse(body)? {
            Ok(step) => self.order.check(&step).map(|()| Some((place, step))),
            Err(totals) => self.end(totals).map(|()| None),
        }
    }

    fn end(&mut self, totals: Totals) -> Result<(), ManifestError> {
        if !self.order.top_ended || totals != self.order.totals {
            return Err(ManifestError::Damaged("something is missing"));
        }
        match self.inner.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(ManifestError::Damaged("something comes after its end")),
        }
    }
}

/// Each step with the place of its record, for [`record_at`]; an error if the manifest breaks a rule or ends too early.
impl<R: Read> Iterator for ManifestReader<R> {
    type Item = Result<(u64, Step), ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.advance().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The file whose record stands at `place` of a manifest, out of `inner`, which begins there. A place that is no record's
/// may hold anything: the caller compares the root with the one he was asked for.
///
/// # Errors
/// When there is no record of a file.
pub fn record_at(mut inner: impl Read) -> Result<FileEntry, ManifestError> {
    let mut room = [0; RECORD_BYTES_MAX];
    match parse(read_record(&mut inner, &mut room)?)? {
        Ok(Step::File(file)) => Ok(file),
        _ => Err(ManifestError::Damaged("there is no file's record")),
    }
}

/// The records from `place` on, out of `inner`, which begins there: each with its place, and its file if it is one's. For a
/// manifest that was read and proved before; the order is not looked at.
pub(super) struct Records<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Records<R> {
    pub(super) const fn new(inner: R, place: u64) -> Self {
        Self { inner, at: place }
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<(u64, Option<FileEntry>), ManifestError>;

    /// It ends where the manifest does.
    fn next(&mut self) -> Option<Self::Item> {
        let (mut room, place) = ([0; RECORD_BYTES_MAX], self.at);
        let step = read_record(&mut self.inner, &mut room).and_then(|body| {
            self.at += (LENGTH_BYTES + body.len()) as u64;
            parse(body)
        });
        match step {
            Ok(Ok(Step::File(entry))) => Some(Ok((place, Some(entry)))),
            Ok(Ok(_)) => Some(Ok((place, None))),
            Ok(Err(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

fn read_record<'r>(
    inner: &mut impl Read,
    room: &'r mut [u8; RECORD_BYTES_MAX],
) -> Result<&'r [u8], ManifestError> {
    let mut length = [0; LENGTH_BYTES];
    inner.read_exact(&mut length)?;
    let body = room.get_mut(..u16::from_le_bytes(length).into());
    let body = body.ok_or(ManifestError::Damaged("a record is too long"))?;
    inner.read_exact(body)?;
    Ok(body)
}

/// A step, or the totals at the end.
fn parse(body: &[u8]) -> Result<Result<Step, Totals>, ManifestError> {
    let Ok((record, [])) = postcard::take_from_bytes(body) else {
        return Err(ManifestError::Damaged("a record cannot be read"));
    };
    Ok(Ok(match record {
        Record::Folder { path } => Step::Folder(SafePath::parse(path)?),
        Record::FolderEnd(attributes) => Step::FolderEnd(attributes),
        Record::File { path, attributes, length, root } => {
            let path = SafePath::parse(path)?;
            Step::File(FileEntry { path, attributes, length, root: root.into() })
        }
        Record::End(totals) => return Ok(Err(totals)),
    }))
}

#[cfg(test)]
mod tests;
