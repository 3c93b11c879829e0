//! Making an item of what lies on a disk: a file's tree, or a folder's manifest with the trees of all its files.
//!
//! A folder's manifest is a file without a name beside the trees, there as long as it is offered: the next
//! offer of the folder takes nothing away from this one. What cannot be read, and what is neither file nor
//! folder, is left out and said.

use super::build::BuildError;
use super::catalog::{CatalogError, Item, ItemKind};
use super::manifest::{FileEntry, ManifestError, ManifestWriter, Step, Totals, record_at};
use super::outboard::{Outboard, Trees};
use super::steady::Steady;
use crate::transfer::safe_path::SafePath;
use crate::transfer::walk::{self, GoOn};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An item, and where its content comes from.
#[derive(Debug)]
pub struct Offer {
    item: Item,
    path: PathBuf,
    content: Arc<Steady>,
    outboard: Outboard,
}

/// What is noticed while an item is made; some of it by several threads.
#[derive(Clone, Copy, Debug)]
pub enum Noticed<'n> {
    /// So many more bytes were read and hashed.
    Hashed(u64),
    /// A file or folder is not in the manifest.
    LeftOut {
        /// Its path, fit to be shown.
        path: &'n str,
        /// Why.
        reason: &'n str,
        /// Whether the user would expect it to be there.
        failed: bool,
    },
}

/// Is told what is noticed, and says whether to go on.
pub type Watch<'w> = &'w (dyn Fn(Noticed<'_>) -> GoOn + Sync);

/// Why there is no item.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The path, or what it leads to, cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A file has no tree.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The folder has no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The item cannot be.
    #[error(transparent)]
    Item(#[from] CatalogError),
    /// It is neither a file nor a folder.
    #[error("it is neither a file nor a folder")]
    Neither,
    /// Whoever watched did not want more.
    #[error("it was stopped")]
    Stopped,
}

impl Offer {
    /// Of the file or folder at `path`. Reads all of it that has no tree yet, and blocks.
    ///
    /// # Errors
    /// When it cannot be read, or is no file or folder, or what is made of it cannot be kept. In a folder, what cannot be read is left out.
    pub fn make(path: &Path, trees: &Trees, watch: Watch<'_>) -> Result<Self, OfferError> {
        let metadata = std::fs::metadata(path)?;
        let name = walk::top_name(path)?;
        if metadata.is_dir() {
            let (content, totals) = write_manifest(path, trees, watch)?;
            let outboard = trees.outboard_unnamed(&content, &|_| true)?;
            return Self::new(&name, ItemKind::Folder(totals), path, content, outboard);
        }
        if !metadata.is_file() {
            return Err(OfferError::Neither);
        }
        let content = Steady::open(path)?;
        let hashed = |bytes| watch(Noticed::Hashed(bytes));
        let outboard = trees.outboard(path, &content, &hashed).map_err(stopped)?;
        let kind = ItemKind::File(walk::attributes(&content.file().metadata()?));
        Self::new(&name, kind, path, content, outboard)
    }

    fn new(
        name: &str,
        kind: ItemKind,
        path: &Path,
        content: Steady,
        outboard: Outboard,
    ) -> Result<Self, OfferError> {
        let item = Item::new(name, kind, outboard.shape().pieces(), outboard.root())?;
        Ok(Self { item, path: path.into(), content: Arc::new(content), outboard })
    }

    /// What is said of it.
    #[must_use]
    pub const fn item(&self) -> &Item {
        &self.item
    }

    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, or the folder's manifest: what has the item's root.
    #[must_use]
    pub const fn content(&self) -> &Arc<Steady> {
        &self.content
    }

    /// The file of the folder whose record stands at `place` of the manifest. Whoever asks for it names its root as well, as
    /// a place between records may hold anything.
    ///
    /// # Errors
    /// When there is no record of a file of this root, or the item is no folder.
    pub fn file_at(&self, place: u64, root: blake3::Hash) -> Result<FileEntry, ManifestError> {
        let is_folder = matches!(self.item.kind(), ItemKind::Folder(_));
        let entry = is_folder.then(|| record_at(self.content.section(place)));
        match entry {
            Some(Ok(entry)) if entry.root == root => Ok(entry),
            Some(Err(error)) => Err(error),
            _ => Err(ManifestError::Damaged("there is no such file in it")),
        }
    }

    /// The tree of that content.
    #[must_use]
    pub const fn outboard(&self) -> &Outboard {
        &self.outboard
    }
}

/// The build's error as the offer's.
pub(super) fn stopped(error: BuildError) -> OfferError {
    match error {
        BuildError::Stopped => OfferError::Stopped,
        error => error.into(),
    }
}

fn write_manifest(
    path: &Path,
    trees: &Trees,
    watch: Watch<'_>,
) -> Result<(Steady, Totals), OfferError> {
    let draft = trees.draft()?;
    let file = draft.file().try_clone()?;
    let writer = ManifestWriter::new(BufWriter::new(draft.file().try_clone()?))?;
    let mut making = Making { writer, trees, watch, top_bytes: None, failed: None };
    walk::walk(path, &mut |step| making.step(step));
    if let Some(error) = making.failed {
        return Err(error);
    }
    let (_, totals) = making.writer.finish()?;
    // To lose its name is a change, so this comes before its stamp is taken.
    drop(draft);
    Ok((Steady::new(file)?, totals))
}

/// A manifest on its way.
struct Making<'m> {
    writer: ManifestWriter<BufWriter<File>>,
    trees: &'m Trees,
    watch: Watch<'m>,
    /// Bytes of the top folder's name, which the walk puts before every path, and of the slash.
    top_bytes: Option<usize>,
    failed: Option<OfferError>,
}

impl Making<'_> {
    fn step(&mut self, step: walk::Step) -> GoOn {
        let done = match step {
            walk::Step::LeftOut { path, reason, failed } => self.leave_out(&path, &reason, failed),
            walk::Step::FolderEnd(attributes) => self.write(&Step::FolderEnd(attributes)),
            walk::Step::Folder { path } => match self.top_bytes {
                None => {
                    self.top_bytes = Some(path.len() + 1);
                    Ok(())
                }
                Some(_) => self.folder(&path),
            },
            walk::Step::File { path, origin } => self.file(&path, &origin),
        };
        self.failed = done.err();
        self.failed.is_none()
    }

    fn write(&mut self, step: &Step) -> Result<(), OfferError> {
        Ok(self.writer.step(step)?)
    }

    /// The path from the wire's point of view, without the top folder's name.
    fn relative(&self, path: &str) -> Result<SafePath, ManifestError> {
        let inside = path.get(self.top_bytes.unwrap_or_default()..).unwrap_or_default();
        Ok(SafePath::parse(inside.as_bytes())?)
    }

    fn folder(&mut self, path: &str) -> Result<(), OfferError> {
        // The walk found it, so only its path's length could be wrong; and such no system opens.
        let path = self.relative(path)?;
        self.write(&Step::Folder(path))
    }

    fn file(&mut self, path: &str, origin: &Path) -> Result<(), OfferError> {
        let entry = match self.entry(path, origin) {
            Ok(entry) => entry,
            Err(OfferError::Stopped) => return Err(OfferError::Stopped),
            Err(error @ OfferError::Build(BuildError::Write(_))) => return Err(error),
            Err(error) => return self.leave_out(path, &error.to_string(), true),
        };
        self.write(&Step::File(entry))
    }

    fn entry(&self, path: &str, origin: &Path) -> Result<FileEntry, OfferError> {
        let path = self.relative(path)?;
        let file = Steady::open(origin)?;
        let attributes = walk::attributes(&file.file().metadata()?);
        let hashed = |bytes| (self.watch)(Noticed::Hashed(bytes));
        let outboard = self.trees.outboard(origin, &file, &hashed).map_err(stopped)?;
        Ok(FileEntry { path, attributes, length: file.stamp().length, root: outboard.root() })
    }

    fn leave_out(&self, path: &str, reason: &str, failed: bool) -> Result<(), OfferError> {
        let path = &crate::transfer::shown(path);
        let go_on = (self.watch)(Noticed::LeftOut { path, reason, failed });
        if go_on { Ok(()) } else { Err(OfferError::Stopped) }
    }
}

#[cfg(test)]
mod tests;
