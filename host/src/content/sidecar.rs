//! The small file that lies beside a mirror: an item with all hashes that whoever fetches it needs, so that any
//! server of plain bytes will do.
//!
//! ```text
//! magic | length, u16 little endian | item | checksum of all that | body
//! body of a file      its tree, level 0 first
//! body of a folder    its manifest | the tree of each file in it that has one, in the manifest's order
//! ```
//!
//! It has 32 bytes for each MiB. The checksum is against damage alone; a manifest is compared with the item's root
//! when the sidecar is opened, and groups of hashes prove themselves to whoever takes them ([`super::proven`]).
//! So what must be trusted is the root, and that may come from elsewhere.

use super::catalog::{CatalogError, ITEM_BYTES_MAX, Item, ItemKind};
use super::draft::Draft;
use super::manifest::{FileEntry, ManifestError, ManifestReader, Step};
use super::offer::{Noticed, Offer, OfferError, Watch, stopped};
use super::outboard::Trees;
use super::piece::Pieces;
use super::position::{Section, read_exact_at};
use super::steady::Steady;
use super::tree::{GroupId, HASH_BYTES, Shape};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Ends the names of sidecars: that of `film.mkv` is `film.mkv.ropewalk`, beside it.
pub const SUFFIX: &str = ".ropewalk";

mod folder;

const MAGIC: &[u8; 19] = b"ropewalk sidecar 1\n";
/// What every version begins with.
const MAGIC_OF_ALL: &[u8] = b"ropewalk sidecar ";
const LENGTH_BYTES: usize = 2;

/// Why there is no sidecar.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// It cannot be read, or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is there is no sidecar, or of a later version.
    #[error("this is no sidecar of this version")]
    NotOne,
    /// It was damaged, or cut.
    #[error("the sidecar is damaged")]
    Damaged,
    /// What it is about cannot be.
    #[error(transparent)]
    Item(#[from] CatalogError),
    /// Its manifest is none.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file of the folder has no tree.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A file of the folder is not what the manifest says any more.
    #[error("{0} changed")]
    Changed(String),
    /// Something else has its name, and stays.
    #[error("something is there already, and it is no sidecar")]
    PlaceTaken,
}

/// The place of the sidecar of the file or folder at `path`, if nobody says where: beside it.
///
/// # Errors
/// When the path leads to no name.
pub fn place_of(path: &Path) -> io::Result<PathBuf> {
    let name = crate::transfer::walk::top_name(path)? + SUFFIX;
    // `.` is a folder with a name as well.
    let full = if path.file_name().is_some() { path.into() } else { fs::canonicalize(path)? };
    Ok(full.with_file_name(name))
}

/// Writes the sidecar of `offer` to `place`, at once or not at all, and says how long it is. An older sidecar is replaced.
///
/// # Errors
/// As [`write()`], and when something else is at the place.
pub fn save(
    offer: &Offer,
    trees: &Trees,
    place: &Path,
    watch: Watch<'_>,
) -> Result<u64, SidecarError> {
    let is_there = check_place(place)?;
    let draft = Draft::beside(place)?;
    write(offer, trees, &mut BufWriter::new(draft.file()), watch)?;
    draft.file().sync_all()?;
    let length = draft.file().metadata()?.len();
    if is_there { draft.publish(place) } else { draft.publish_new(place) }.map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => SidecarError::PlaceTaken,
            _ => error.into(),
        }
    })?;
    Ok(length)
}

/// An empty file in `folder`, which is gone with its handle: for a sidecar that comes from somewhere else.
///
/// # Errors
/// When the folder cannot be made, or written to.
pub fn scratch(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    Draft::create(folder)?.file().try_clone()
}

/// Whether a sidecar, of any version, is at `place`.
///
/// # Errors
/// [`SidecarError::PlaceTaken`] if something else is there.
pub fn check_place(place: &Path) -> Result<bool, SidecarError> {
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.is_file() => return Err(SidecarError::PlaceTaken),
        Ok(_) => {}
    }
    let mut begin = Vec::new();
    File::open(place)?.take(MAGIC_OF_ALL.len() as u64).read_to_end(&mut begin)?;
    if begin == MAGIC_OF_ALL { Ok(true) } else { Err(SidecarError::PlaceTaken) }
}

/// Writes the sidecar of `offer` into `out`, which had better be buffered.
///
/// # Errors
/// When a tree cannot be had, a file of a folder changed meanwhile, or `out` takes no more.
pub fn write(
    offer: &Offer,
    trees: &Trees,
    out: &mut dyn Write,
    watch: Watch<'_>,
) -> Result<(), SidecarError> {
    let item = offer.item().to_bytes();
    let mut head = MAGIC.to_vec();
    head.extend((item.len() as u16).to_le_bytes());
    head.extend(item);
    let checksum = blake3::hash(&head);
    head.extend(checksum.as_bytes());
    out.write_all(&head)?;
    match offer.item().kind() {
        ItemKind::File(_) => offer.outboard().copy_tree(out)?,
        ItemKind::Folder(_) => write_folder(offer, trees, out, watch)?,
    }
    Ok(out.flush()?)
}

fn write_folder(
    offer: &Offer,
    trees: &Trees,
    out: &mut dyn Write,
    watch: Watch<'_>,
) -> Result<(), SidecarError> {
    io::copy(&mut offer.content().section(0), out)?;
    for step in ManifestReader::new(BufReader::new(offer.content().section(0)))? {
        let (_, Step::File(entry)) = step? else { continue };
        if !watch(Noticed::Hashed(0)) {
            return Err(OfferError::Stopped.into());
        }
        if tree_bytes(&entry) > 0 {
            write_tree(&offer.path().join(entry.path.to_string()), &entry, trees, out, watch)?;
        }
    }
    offer.content().check().map_err(|_| SidecarError::Changed("the manifest".into()))
}

fn write_tree(
    path: &Path,
    entry: &FileEntry,
    trees: &Trees,
    out: &mut dyn Write,
    watch: Watch<'_>,
) -> Result<(), SidecarError> {
    let hashed = |bytes| watch(Noticed::Hashed(bytes));
    let outboard = trees.outboard(path, &Steady::open(path)?, &hashed).map_err(stopped)?;
    if outboard.root() != entry.root {
        return Err(SidecarError::Changed(crate::transfer::shown(&entry.path.to_string())));
    }
    Ok(outboard.copy_tree(out)?)
}

fn tree_bytes(entry: &FileEntry) -> u64 {
    Pieces::of(entry.length).map_or(0, |pieces| Shape::new(pieces).tree_bytes())
}

/// An open sidecar.
#[derive(Debug)]
pub struct Sidecar {
    file: File,
    item: Item,
    body_at: u64,
    end: u64,
    /// Of a folder: the way to the tree of any of its files.
    marks: Vec<folder::Mark>,
}

/// Where a tree begins in a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeAt(u64);

impl Sidecar {
    /// The one in `file`. A folder's manifest is read to its end.
    ///
    /// # Errors
    /// When it is none, or damaged where that shows without the trees.
    pub fn open(file: File) -> Result<Self, SidecarError> {
        let end = file.metadata()?.len();
        let (item, body_at) = read_head(&mut Section::new(&file, 0, end))?;
        let body = end.checked_sub(body_at).ok_or(SidecarError::Damaged)?;
        let mut sidecar = Self { file, item, body_at, end, marks: Vec::new() };
        match sidecar.item.kind() {
            ItemKind::File(_) if body != Shape::new(sidecar.item.pieces()).tree_bytes() => {
                Err(SidecarError::Damaged)
            }
            ItemKind::File(_) => Ok(sidecar),
            ItemKind::Folder(_) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(sidecar.manifest_section()?)?;
                if hasher.finalize() != sidecar.item.root() {
                    return Err(SidecarError::Damaged);
                }
                sidecar.marks = sidecar.mark()?;
                Ok(sidecar)
            }
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn item(&self) -> &Item {
        &self.item
    }

    /// Where the tree is, if it is about a file.
    #[must_use]
    pub const fn tree(&self) -> TreeAt {
        TreeAt(self.body_at)
    }

    /// What is in the folder, if it is about one.
    ///
    /// # Errors
    /// When it is not.
    pub fn steps(&self) -> Result<Steps<'_>, SidecarError> {
        let section = self.manifest_section()?;
        let tree_at = section.end();
        Ok(Steps { reader: ManifestReader::new(BufReader::new(section))?, tree_at })
    }

    /// The hashes of a group of the tree at `tree`, whose shape is `shape`, as they are: whoever takes them
    /// has them proven. `None` if there is no such group.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn group(&self, tree: TreeAt, shape: Shape, id: GroupId) -> io::Result<Option<Vec<u8>>> {
        let Some(range) = shape.group_range(id) else { return Ok(None) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let at = tree.0.checked_add(range.start).ok_or(io::ErrorKind::UnexpectedEof)?;
        read_exact_at(&self.file, at, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn manifest_section(&self) -> Result<Section<'_>, SidecarError> {
        let is_folder = matches!(self.item.kind(), ItemKind::Folder(_));
        let end = self.body_at.checked_add(self.item.pieces().length());
        let end = end.filter(|end| is_folder && *end <= self.end).ok_or(SidecarError::Damaged)?;
        Ok(Section::new(&self.file, self.body_at, end))
    }
}

fn read_head(section: &mut Section<'_>) -> Result<(Item, u64), SidecarError> {
    let mut head = vec![0; MAGIC.len() + LENGTH_BYTES];
    section.read_exact(&mut head)?;
    let length = head.strip_prefix(MAGIC).and_then(|length| length.try_into().ok());
    let length: usize = u16::from_le_bytes(length.ok_or(SidecarError::NotOne)?).into();
    if length > ITEM_BYTES_MAX {
        return Err(SidecarError::Damaged);
    }
    let item_at = head.len();
    head.resize(item_at + length, 0);
    section.read_exact(&mut head[item_at..])?;
    let mut checksum = [0; HASH_BYTES];
    section.read_exact(&mut checksum)?;
    if blake3::hash(&head).as_bytes() != &checksum {
        return Err(SidecarError::Damaged);
    }
    Ok((Item::parse(&head[item_at..])?, section.at()))
}

/// What is in a folder, and where the tree of each file is.
#[derive(Debug)]
pub struct Steps<'s> {
    reader: ManifestReader<BufReader<Section<'s>>>,
    tree_at: u64,
}

impl Steps<'_> {
    /// The next one with the place of its record as well.
    fn next_placed(&mut self) -> Option<Result<(u64, Step, TreeAt), ManifestError>> {
        let step = self.reader.next()?;
        let tree = TreeAt(self.tree_at);
        if let Ok((_, Step::File(entry))) = &step {
            self.tree_at = self.tree_at.saturating_add(tree_bytes(entry));
        }
        Some(step.map(|(place, step)| (place, step, tree)))
    }
}

/// Each step with the place of its tree, which is there if it is a file of several pieces.
impl Iterator for Steps<'_> {
    type Item = Result<(Step, TreeAt), ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_placed()?.map(|(_, step, tree)| (step, tree)))
    }
}

#[cfg(test)]
mod tests;
