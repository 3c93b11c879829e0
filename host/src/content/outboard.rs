//! The trees of files that are offered: each is built once, and kept in a file of its own beside the key.
//!
//! ```text
//! trees/NAME     head, 256 bytes | hashes, level 0 first | the file's full path        NAME: a hash of that path
//! head           what this is | stamp of the file, root | checksum of the head
//! ```
//!
//! What is kept is believed only if it proves itself: the head by its checksum, every hash by the root, when the tree is opened and
//! again when a group is taken out. So a tree needs no care when it is written, and may be damaged or deleted at any time: it
//! is built again. So it is if the file's stamp is another one.
//!
//! It takes 32 bytes for each MiB of the file, on the disk. A file of one piece has no tree. The tree of a file that is gone is
//! removed when it was not used for a month: a disk that is not there today may be back tomorrow.

use super::build::{BuildError, Progress, Slot, build, hash_short, read_group};
use super::draft::{self, Draft};
use super::piece::{Node, Pieces};
use super::position::{read_exact_at, write_all_at};
use super::steady::{Stamp, Steady};
use super::tree::{GROUP_BYTES_MAX, Group, GroupId, HASH_BYTES, Shape};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

mod unused;

/// The folder in which trees are kept.
#[derive(Clone, Debug)]
pub struct Trees {
    folder: PathBuf,
}

/// A file's root and, on the disk, its tree. It stays as it is, whatever becomes of the file and of the
/// place of the tree.
#[derive(Debug)]
pub struct Outboard {
    root: blake3::Hash,
    stamp: Stamp,
    shape: Shape,
    /// The tree, unless the file is one piece.
    tree: Option<File>,
}

impl Trees {
    /// Those in `folder`, which is made if it is not there, for its owner alone. Leftovers of builds that were killed go, and
    /// trees of files that are gone for long.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        draft::sweep(&folder)?;
        unused::sweep(&folder)?;
        Ok(Self { folder })
    }

    /// The tree of `file`, which is at `path`: the one that is kept, if it is still the file's, else a new one. That reads the file
    /// to its end, and blocks.
    ///
    /// # Errors
    /// When the file cannot be read, changes meanwhile or is too long, or the tree cannot be kept.
    pub fn outboard(
        &self,
        path: &Path,
        file: &Steady,
        progress: Progress<'_>,
    ) -> Result<Outboard, BuildError> {
        let now = SystemTime::now();
        let shape = shape_of(file)?;
        if shape.top().is_none() {
            return Outboard::short(file, shape, progress);
        }
        let full = path.canonicalize().map_err(BuildError::Read)?;
        let place = self.place(&full);
        if let Some(outboard) = Outboard::load(&place, file.stamp(), shape) {
            return Ok(outboard);
        }
        let draft = self.draft().map_err(BuildError::Write)?;
        let outboard = Outboard::long(file, shape, &draft, now, progress)?;
        unused::write_path(draft.file(), shape, &full).map_err(BuildError::Write)?;
        draft.publish(&place).map_err(BuildError::Write)?;
        Ok(outboard)
    }

    /// The tree that is kept of `file`, which is at `path` and of several pieces; `None` if there is none, or it is of
    /// another content.
    ///
    /// # Errors
    /// When the file is too long, or not at its path any more.
    pub fn kept(&self, path: &Path, file: &Steady) -> Result<Option<Outboard>, BuildError> {
        let full = path.canonicalize().map_err(BuildError::Read)?;
        Ok(Outboard::load(&self.place(&full), file.stamp(), shape_of(file)?))
    }

    /// The tree of a file that has no name, or maybe another one now, and will not come again: it has none either.
    pub(crate) fn outboard_unnamed(
        &self,
        file: &Steady,
        progress: Progress<'_>,
    ) -> Result<Outboard, BuildError> {
        let shape = shape_of(file)?;
        if shape.top().is_none() {
            return Outboard::short(file, shape, progress);
        }
        let draft = self.draft().map_err(BuildError::Write)?;
        Outboard::long(file, shape, &draft, SystemTime::now(), progress)
    }

    /// A file that is being written, in the folder of the trees.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        Draft::create(&self.folder)
    }

    /// Where the tree of the file is kept whose full path is this one.
    fn place(&self, full: &Path) -> PathBuf {
        let hash = blake3::hash(full.as_os_str().as_encoded_bytes()).to_hex();
        self.folder.join(format!("{}.{}", &hash[..32], unused::ENDING))
    }
}

fn shape_of(file: &Steady) -> Result<Shape, BuildError> {
    Pieces::of(file.stamp().length).map(Shape::new).ok_or(BuildError::TooLong)
}

impl Outboard {
    /// The hash of the file's content.
    #[must_use]
    pub const fn root(&self) -> blake3::Hash {
        self.root
    }

    /// What the file was when it was hashed. Whoever reads pieces of it compares.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Which groups the tree has.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The group `id`, proven; `None` if there is no such. Reads some 8 KiB for each level above it.
    ///
    /// # Errors
    /// When the tree cannot be read, or is damaged ([`io::ErrorKind::InvalidData`]); then it is to be built again.
    pub fn group(&self, id: GroupId) -> io::Result<Option<Group>> {
        match &self.tree {
            Some(tree) if self.shape.children(id).is_some() => self.proven(tree, id).map(Some),
            _ => Ok(None),
        }
    }

    /// Writes the whole tree, [`Shape::tree_bytes`] long, as whoever reads it proves it.
    ///
    /// # Errors
    /// When it cannot be read, or `out` takes no more.
    pub(super) fn copy_tree(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut room = [0; GROUP_BYTES_MAX];
        let (mut at, end) = (0, self.shape.tree_bytes());
        while at < end {
            let take = room.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let room = room.get_mut(..take).unwrap_or_default();
            read_exact_at(tree, HEAD_BYTES as u64 + at, room)?;
            out.write_all(room)?;
            at += take as u64;
        }
        Ok(())
    }

    fn proven(&self, tree: &File, id: GroupId) -> io::Result<Group> {
        let parent = match self.shape.parent(id) {
            None => Some(Node::Root(self.root)),
            Some((parent, nth)) => self.proven(tree, parent)?.child(nth),
        };
        self.prove(tree, id, parent.ok_or(io::ErrorKind::InvalidData)?)
    }

    fn prove(&self, tree: &File, id: GroupId, parent: Node) -> io::Result<Group> {
        let mut room = [0; GROUP_BYTES_MAX];
        let hashes = read_group(self.shape, slot_in(tree), id, &mut room)?.as_flattened();
        let proof = Group::prove(self.shape, id, parent, hashes);
        proof.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The kept tree, if it is the one of the file with this stamp and whole. Nothing else matters: it can be built again.
    fn load(place: &Path, stamp: Stamp, shape: Shape) -> Option<Self> {
        let tree = File::open(place).ok()?;
        let head = Head::read(&tree).ok()??;
        let length = HEAD_BYTES as u64 + shape.tree_bytes();
        if !head.settled || head.stamp != stamp || tree.metadata().ok()?.len() < length {
            return None;
        }
        let outboard = Self { root: head.root.into(), stamp, shape, tree: None };
        outboard.prove_below(&tree, shape.top()?, Node::Root(outboard.root)).ok()?;
        unused::note_use(&tree);
        Some(Self { tree: Some(tree), ..outboard })
    }

    /// Proves the group and all below it; one group of each level is in memory.
    fn prove_below(&self, tree: &File, id: GroupId, parent: Node) -> io::Result<()> {
        let group = self.prove(tree, id, parent)?;
        let Some(level) = id.level.checked_sub(1) else { return Ok(()) };
        let first = id.index * super::tree::FAN_OUT;
        let children = (0..).map_while(|nth| group.child(nth));
        for (index, node) in (first..).zip(children) {
            self.prove_below(tree, GroupId { level, index }, node)?;
        }
        Ok(())
    }

    fn short(file: &Steady, shape: Shape, progress: Progress<'_>) -> Result<Self, BuildError> {
        let root = hash_short(file, shape, progress)?;
        Ok(Self { root, stamp: file.stamp(), shape, tree: None })
    }

    fn long(
        file: &Steady,
        shape: Shape,
        draft: &Draft,
        now: SystemTime,
        progress: Progress<'_>,
    ) -> Result<Self, BuildError> {
        let stamp = file.stamp();
        let root = build(file, shape, slot_in(draft.file()), progress)?;
        let head = Head { stamp, root: *root.as_bytes(), settled: stamp.is_settled(now) };
        let tree = head.write(draft.file()).and_then(|()| draft.file().try_clone());
        Ok(Self { root, stamp, shape, tree: Some(tree.map_err(BuildError::Write)?) })
    }
}

/// What a kept tree is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    stamp: Stamp,
    root: [u8; HASH_BYTES],
    /// Whether the stamp tells every change since. If not, the tree serves only whoever built it.
    settled: bool,
}

/// Bytes before the hashes.
const HEAD_BYTES: usize = 256;
const MAGIC: &[u8; 16] = b"ropewalk tree 1\n";
const CHECKSUM_AT: usize = HEAD_BYTES - HASH_BYTES;

impl Head {
    /// `None` if it is damaged.
    fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEAD_BYTES];
        read_exact_at(file, 0, &mut bytes)?;
        let (head, checksum) = bytes.split_at(CHECKSUM_AT);
        if blake3::hash(head).as_bytes() != checksum {
            return Ok(None);
        }
        let fields = head.strip_prefix(MAGIC);
        Ok(fields.and_then(|fields| Some(postcard::take_from_bytes(fields).ok()?.0)))
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let mut bytes = [0; HEAD_BYTES];
        let (head, checksum) = bytes.split_at_mut(CHECKSUM_AT);
        let (magic, fields) = head.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        postcard::to_slice(self, fields).map_err(io::Error::other)?;
        checksum.copy_from_slice(blake3::hash(head).as_bytes());
        write_all_at(file, 0, &bytes)
    }
}

fn slot_in(tree: &File) -> Slot<'_> {
    Slot { file: tree, offset: HEAD_BYTES as u64 }
}

#[cfg(test)]
mod tests;
