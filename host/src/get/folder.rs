//! What is wanted of a folder: the files that its manifest names, as a list that is read while they are fetched.
//!
//! ```text
//!   manifest ── first pass: folders and files that are wanted ──> Job
//!            └─ second pass, when all files are there: folders get their permission bits and times,
//!               and it is known what was picked and is not there
//! ```
//!
//! The manifest was proved as a whole before. It is still a stranger's: names are checked, and nothing of it is
//! held in memory but the record at hand.

use super::ends::disk;
use super::file::Whose;
use super::job::{JobError, Listed, Wanted};
use crate::content::manifest::{FileEntry, ManifestError, ManifestReader, Step};
use crate::content::piece::Pieces;
use crate::fetch::partial::Replace;
use crate::fetch::{folder, reserved};
use crate::serve::protocol::Content;
use crate::transfer::safe_path::{PathError, Root, SafePath};
use std::fs::File;
use std::io::{BufReader, Seek};

/// Most bytes of a manifest that is fetched: ten million files of a hundred bytes each.
pub const MANIFEST_BYTES_MAX: u64 = 2 << 30;

/// A folder that is wanted, or parts of it.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its own name, below the output folder.
    top: SafePath,
    /// The hash of its manifest.
    root: [u8; 32],
    /// Paths in it that are wanted, with all below them; all of it if there are none.
    picks: Vec<String>,
}

impl Folder {
    /// The folder `name`, below the output folder, whose manifest has the hash `root`. Wanted are `picks`, paths in it, with
    /// all below them; all of it if there are none.
    ///
    /// # Errors
    /// When it can have no such name.
    pub fn new(name: &str, root: [u8; 32], picks: Vec<String>) -> Result<Self, JobError> {
        let top = safe(name.as_bytes())?;
        match reserved::check(&top) {
            Ok(()) => Ok(Self { top, root, picks }),
            Err(why) => Err(JobError::Reserved { path: name.to_owned(), why }),
        }
    }

    /// What is wanted of it, in the order of the manifest in `content`; its own folder is made.
    ///
    /// # Errors
    /// When it is no manifest, or the folder cannot be made.
    pub fn files(&self, mut content: File, root: &Root) -> Result<Files, JobError> {
        content.rewind().map_err(ManifestError::from)?;
        let made = folder::make(root, &self.top);
        made.map_err(|cause| disk(&self.top.to_string(), cause))?;
        let reader = ManifestReader::new(BufReader::new(content))?;
        Ok(Files { folder: self.clone(), reader })
    }

    /// Gives the folders that were made for what is wanted their permission bits and times; those that were there as
    /// well, if they are to be replaced. What was picked and is not there.
    ///
    /// # Errors
    /// When the manifest cannot be read. What the system refuses stays as it is.
    pub fn finish(
        &self,
        mut content: File,
        root: &Root,
        replace: Replace,
    ) -> Result<Vec<String>, JobError> {
        content.rewind().map_err(ManifestError::from)?;
        let mut open = vec![Some(self.top.clone())];
        let mut missing = self.picks.clone();
        for step in ManifestReader::new(BufReader::new(content))? {
            match step?.1 {
                Step::File(entry) => missing.retain(|pick| *pick != entry.path.to_string()),
                Step::Folder(path) => {
                    let text = path.to_string();
                    missing.retain(|pick| *pick != text);
                    let wanted = self.leads_to_wanted(&text).then(|| self.below(&path));
                    open.push(wanted.transpose()?);
                }
                Step::FolderEnd(attributes) => {
                    let Some(path) = open.pop() else { break };
                    if let Some(there) = path.and_then(|path| root.folder(&path).ok()) {
                        // What the system refuses is no reason to throw files away.
                        let _ = folder::finish(&there, attributes, replace);
                    }
                }
            }
        }
        Ok(missing.into_iter().map(|pick| format!("{}/{pick}", self.top)).collect())
    }

    /// Whether the path is wanted, or leads to what is.
    fn wants(&self, path: &str) -> bool {
        let under = |path: &str, folder: &str| {
            path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.picks.is_empty() || self.picks.iter().any(|pick| under(path, pick))
    }

    fn leads_to_wanted(&self, path: &str) -> bool {
        self.wants(path)
            || self
                .picks
                .iter()
                .any(|pick| pick.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    fn below(&self, path: &SafePath) -> Result<SafePath, JobError> {
        safe(format!("{}/{path}", self.top).as_bytes())
    }
}

/// What is wanted of a folder: folders in it, each before what is in it, and files.
pub struct Files {
    folder: Folder,
    reader: ManifestReader<BufReader<File>>,
}

impl Files {
    fn step(&self, place: u64, step: Step) -> Result<Option<Listed>, JobError> {
        match step {
            Step::Folder(path) if self.folder.leads_to_wanted(&path.to_string()) => {
                self.folder.below(&path).map(Listed::Folder).map(Some)
            }
            Step::File(entry) if self.folder.wants(&entry.path.to_string()) => {
                self.wanted(place, entry).map(Listed::File).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn wanted(&self, place: u64, entry: FileEntry) -> Result<Wanted, JobError> {
        let FileEntry { path, attributes, length, root } = entry;
        let pieces = Pieces::of(length).ok_or(ManifestError::Damaged("a file is too long"))?;
        Ok(Wanted {
            of: Content::Entry { folder: self.folder.root, place, root: *root.as_bytes() },
            whose: Whose { root, pieces, attributes },
            path: self.folder.below(&path)?,
        })
    }
}

impl Iterator for Files {
    type Item = Result<Listed, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let listed = match self.reader.next()? {
                Err(error) => return Some(Err(error.into())),
                Ok((place, step)) => self.step(place, step),
            };
            if let Some(listed) = listed.transpose() {
                return Some(listed);
            }
        }
    }
}

fn safe(path: &[u8]) -> Result<SafePath, JobError> {
    SafePath::parse(path).map_err(|error: PathError| ManifestError::from(error).into())
}
