//! What is wanted of a folder: the files that its manifest names, as a list that is read while they are fetched.
//!
//! ```text
//!   manifest ── first pass: folders are made, files wanted ──> Job
//!            └─ second pass, when all files are there: folders get their permission bits and times
//! ```
//!
//! The manifest was proved as a whole before. It is still a stranger's: names are checked, and nothing of it is
//! held in memory but the record at hand.

use super::file::Whose;
use super::job::{JobError, Wanted};
use crate::content::manifest::{FileEntry, ManifestError, ManifestReader, Step};
use crate::content::piece::Pieces;
use crate::serve::protocol::Content;
use crate::transfer::partial::set_folder_attributes;
use crate::transfer::safe_path::{PathError, Root, SafePath};
use std::fs::File;
use std::io::{BufReader, Seek};
use std::sync::Arc;

/// Most bytes of a manifest that is fetched: ten million files of a hundred bytes each.
pub const MANIFEST_BYTES_MAX: u64 = 2 << 30;

/// A folder that is wanted, or parts of it.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its own name, below the output folder.
    pub name: String,
    /// The hash of its manifest.
    pub root: [u8; 32],
    /// Paths in it that are wanted, with all below them; all of it if there are none.
    pub picks: Vec<String>,
}

impl Folder {
    /// The files that are wanted, in the order of the manifest in `content`; folders are made on the way.
    ///
    /// # Errors
    /// When it is no manifest, or the folder cannot be made.
    pub fn files(&self, mut content: File, root: Arc<Root>) -> Result<Files, JobError> {
        content.rewind().map_err(ManifestError::from)?;
        let top = safe(self.name.as_bytes())?;
        let made = root.make_folder(&top);
        made.map_err(|cause| JobError::Disk { path: top.to_string(), cause })?;
        let reader = ManifestReader::new(BufReader::new(content))?;
        Ok(Files { folder: self.clone(), root, reader, found: false })
    }

    /// Gives the folders that were made their permission bits and times.
    ///
    /// # Errors
    /// When the manifest cannot be read. What the system refuses stays as it is.
    pub fn set_attributes(&self, mut content: File, root: &Root) -> Result<(), JobError> {
        content.rewind().map_err(ManifestError::from)?;
        let mut open = vec![safe(self.name.as_bytes())?];
        for step in ManifestReader::new(BufReader::new(content))? {
            match step?.1 {
                Step::File(_) => {}
                Step::Folder(path) => open.push(self.below(&path)?),
                Step::FolderEnd(attributes) => {
                    let Some(path) = open.pop() else { break };
                    if let Ok(folder) = root.folder(&path) {
                        // What the system refuses is no reason to throw files away.
                        let _ = set_folder_attributes(&folder, attributes);
                    }
                }
            }
        }
        Ok(())
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
        safe(format!("{}/{path}", self.name).as_bytes())
    }
}

/// The files of a folder that are wanted.
pub struct Files {
    folder: Folder,
    root: Arc<Root>,
    reader: ManifestReader<BufReader<File>>,
    found: bool,
}

impl Files {
    fn step(&mut self, place: u64, step: Step) -> Result<Option<Wanted>, JobError> {
        match step {
            Step::FolderEnd(_) => Ok(None),
            Step::Folder(path) => {
                if self.folder.leads_to_wanted(&path.to_string()) {
                    self.found |= self.folder.wants(&path.to_string());
                    // If it cannot be made, each file in it says so.
                    let _ = self.root.make_folder(&self.folder.below(&path)?);
                }
                Ok(None)
            }
            Step::File(entry) if self.folder.wants(&entry.path.to_string()) => {
                self.found = true;
                self.wanted(place, entry).map(Some)
            }
            Step::File(_) => Ok(None),
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

    fn end(&mut self) -> Option<Result<Wanted, JobError>> {
        let all_missing = !self.found && !self.folder.picks.is_empty();
        self.found = true;
        all_missing.then(|| {
            let Folder { name, picks, .. } = &self.folder;
            Err(JobError::NoSuchPath { folder: name.clone(), path: picks.join(", ") })
        })
    }
}

impl Iterator for Files {
    type Item = Result<Wanted, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let wanted = match self.reader.next() {
                None => return self.end(),
                Some(Err(error)) => return Some(Err(error.into())),
                Some(Ok((place, step))) => self.step(place, step),
            };
            if let Some(wanted) = wanted.transpose() {
                return Some(wanted);
            }
        }
    }
}

fn safe(path: &[u8]) -> Result<SafePath, JobError> {
    SafePath::parse(path).map_err(|error: PathError| ManifestError::from(error).into())
}
