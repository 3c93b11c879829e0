//! What a server offers, by root, and where the bytes and hashes of anything asked for are found.
//!
//! An item lies ready. A file in a folder is looked up in the folder's manifest by the place that the client
//! names, and counts only if the record there has the root that the client names too: so a client can ask for
//! what was offered and for nothing else, and no list of a folder's files is held.
//!
//! A file that was only renamed or got other permissions is hashed again and given on (`watched`); what changed
//! is noted for the server's owner ([`Shelf::take_changes`]).

use super::builds::Builds;
use super::changes::{Change, Changes};
use super::protocol::{Content, Reason};
use super::watched::Watched;
use crate::content::build::BuildError;
use crate::content::catalog::{Catalog, CatalogError, ItemKind};
use crate::content::manifest::{FileEntry, ManifestError};
use crate::content::offer::Offer;
use crate::content::outboard::{Outboard, Trees};
use crate::content::piece::{Node, Pieces, hash_piece};
use crate::content::steady::{ReadError, Steady};
use crate::content::tree::GroupId;
use crate::transfer::safe_path::Root;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Says whether whoever asked is still there.
pub type Wanted<'w> = &'w (dyn Fn() -> bool + Sync);

/// The offers of one server, or of several.
#[derive(Debug)]
pub struct Shelf {
    trees: Trees,
    catalog: Catalog,
    offers: HashMap<[u8; 32], Offered>,
    builds: Builds,
    changes: Arc<Changes>,
}

#[derive(Debug)]
struct Offered {
    offer: Offer,
    content: Arc<Watched>,
    /// Of a folder: the way to its files, which no link leads out of.
    inside: Option<Root>,
}

/// Why an offer is not on the shelf.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The list does not take it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The folder cannot be opened.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Content that was asked for and found, open.
#[derive(Debug)]
pub struct Found<'s> {
    bytes: Arc<Steady>,
    tree: Tree<'s>,
    /// Of a file in a folder: what it is called, and who is told when it changes.
    entry: Option<(String, &'s Changes)>,
}

#[derive(Debug)]
enum Tree<'s> {
    Item(&'s Outboard),
    Entry(Outboard),
    /// One piece: its hash is the root.
    None(Node),
}

impl Shelf {
    /// An empty one; trees of files in offered folders are looked for in `trees`.
    #[must_use]
    pub fn new(trees: Trees) -> Self {
        let (catalog, builds, changes) = (Catalog::default(), Builds::default(), Arc::default());
        Self { trees, catalog, offers: HashMap::new(), builds, changes }
    }

    /// Puts an offer on it.
    ///
    /// # Errors
    /// When another item has its name, there are too many, or a folder cannot be opened.
    pub fn add(&mut self, offer: Offer) -> Result<(), ShelfError> {
        let inside = match offer.item().kind() {
            ItemKind::Folder(_) => Some(Root::open(offer.path())?),
            ItemKind::File(_) => None,
        };
        self.catalog.add(offer.item().clone())?;
        let (name, root) = (offer.item().name(), offer.item().root());
        let (file, trees) = (Arc::clone(offer.content()), self.trees.clone());
        let content = Arc::new(Watched::new(name, root, file, trees, Arc::clone(&self.changes)));
        self.offers.insert(*root.as_bytes(), Offered { offer, content, inside });
        Ok(())
    }

    /// What is offered.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The root of what is offered, if that is one item: what a ticket to it names.
    #[must_use]
    pub fn only_root(&self) -> Option<blake3::Hash> {
        match self.catalog.items() {
            [item] => Some(item.root()),
            _ => None,
        }
    }

    /// What was found changed since this was last called.
    #[must_use]
    pub fn take_changes(&self) -> Vec<Change> {
        self.changes.take()
    }

    /// Opens what is asked for, for somebody who waits for it in any case ([`Shelf::find_while`]).
    ///
    /// # Errors
    /// When it is not offered, is not what it was, or cannot be read.
    pub fn find(&self, content: Content) -> Result<Found<'_>, Reason> {
        self.find_while(content, &|| true)
    }

    /// Opens what is asked for. Blocks: a file of a folder whose tree is gone from the disk is hashed anew, and so is
    /// what was touched; that goes on only as long as it is `wanted`, which is looked at ten times a second or oftener.
    ///
    /// # Errors
    /// When it is not offered, is not what it was, cannot be read, or is not wanted any more.
    pub fn find_while(&self, content: Content, wanted: Wanted<'_>) -> Result<Found<'_>, Reason> {
        match content {
            Content::Item(root) => {
                let Offered { offer, content, .. } =
                    self.offers.get(&root).ok_or(Reason::Unknown)?;
                let (bytes, tree) = (content.file(wanted)?, Tree::Item(offer.outboard()));
                Ok(Found { bytes, tree, entry: None })
            }
            Content::Entry { folder, place, root } => {
                let offered = self.offers.get(&folder).ok_or(Reason::Unknown)?;
                self.entry(offered, place, root.into(), wanted)
            }
        }
    }

    fn entry(
        &self,
        offered: &Offered,
        place: u64,
        root: blake3::Hash,
        wanted: Wanted<'_>,
    ) -> Result<Found<'_>, Reason> {
        let Offered { offer, inside: Some(inside), .. } = offered else {
            return Err(Reason::Unknown);
        };
        let entry = offer.file_at(place, root).map_err(|error| match error {
            // Not so a place from which a record would lead beyond the end.
            ManifestError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Reason::Unreadable
            }
            _ => Reason::Unknown,
        })?;
        let name = format!("{}/{}", offer.item().name(), entry.path);
        let found = self.open(offer, inside, &entry, root, wanted);
        if matches!(found, Err(Reason::Changed)) {
            self.changes.note_once(&name);
        }
        let (file, tree) = found?;
        Ok(Found { bytes: Arc::new(file), tree, entry: Some((name, &self.changes)) })
    }

    /// A file of a folder and its tree.
    fn open(
        &self,
        offer: &Offer,
        inside: &Root,
        entry: &FileEntry,
        root: blake3::Hash,
        wanted: Wanted<'_>,
    ) -> Result<(Steady, Tree<'_>), Reason> {
        let file = inside.read(&entry.path).and_then(Steady::new).map_err(|error| gone(&error))?;
        if file.stamp().length != entry.length {
            return Err(Reason::Changed);
        }
        let pieces = Pieces::of(entry.length).ok_or(Reason::Unknown)?;
        if pieces.count() <= 1 {
            return Ok((file, Tree::None(Node::Root(root))));
        }
        let outboard = self.outboard(&offer.path().join(entry.path.to_string()), &file, wanted);
        let outboard = outboard.map_err(|error| match error {
            BuildError::Changed => Reason::Changed,
            _ => Reason::Unreadable,
        })?;
        if outboard.root() != root {
            return Err(Reason::Changed);
        }
        Ok((file, Tree::Entry(outboard)))
    }

    fn outboard(
        &self,
        path: &Path,
        file: &Steady,
        wanted: Wanted<'_>,
    ) -> Result<Outboard, BuildError> {
        if let Some(kept) = self.trees.kept(path, file)? {
            return Ok(kept);
        }
        let build = || self.trees.outboard(path, file, &|_| wanted());
        self.builds.one(path, wanted, build).unwrap_or(Err(BuildError::Stopped))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.offers.values().for_each(|offered| offered.content.stop());
    }
}

impl Found<'_> {
    /// Whether it is still what was found. If not it may be found again.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.bytes.check().is_ok()
    }

    /// Its pieces.
    #[must_use]
    pub fn pieces(&self) -> Option<Pieces> {
        Pieces::of(self.bytes.stamp().length)
    }

    /// Fills `room` with what stands at `offset`, in bytes.
    ///
    /// # Errors
    /// When the file changed, or cannot be read.
    pub fn read_at(&self, offset: u64, room: &mut [u8]) -> Result<(), Reason> {
        self.bytes.read_at(offset, room).map_err(|error| reason(&error))?;
        // A small file that changed before it was opened here shows only by its hash.
        match (&self.tree, self.pieces()) {
            (Tree::None(root), Some(pieces))
                if offset == 0
                    && room.len() as u64 == pieces.length()
                    && hash_piece(pieces, 0, room) != Some(*root) =>
            {
                if let Some((name, changes)) = &self.entry {
                    changes.note_once(name);
                }
                Err(Reason::Changed)
            }
            _ => Ok(()),
        }
    }

    /// The hashes of a group, one after the other.
    ///
    /// # Errors
    /// When there is no such group, or it cannot be read.
    pub fn group(&self, id: GroupId) -> Result<Vec<u8>, Reason> {
        let outboard = match &self.tree {
            Tree::Item(outboard) => *outboard,
            Tree::Entry(outboard) => outboard,
            Tree::None(_) => return Err(Reason::Unknown),
        };
        let group = outboard.group(id).map_err(|_| Reason::Unreadable)?;
        Ok(group.ok_or(Reason::Unknown)?.bytes().to_vec())
    }
}

fn reason(error: &ReadError) -> Reason {
    match error {
        ReadError::Changed => Reason::Changed,
        _ => Reason::Unreadable,
    }
}

/// A file that is gone is one that changed.
fn gone(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            Reason::Changed
        }
        _ => Reason::Unreadable,
    }
}

#[cfg(test)]
impl Shelf {
    /// Builds nothing for this path, as long as `hold` takes, and nobody else does meanwhile.
    pub(super) fn hold_build<T>(&self, path: &Path, hold: impl FnOnce() -> T) {
        self.builds.one(path, &|| true, hold);
    }

    /// Builds the tree of the file there.
    pub(super) fn builds_tree(
        &self,
        path: &Path,
        wanted: Wanted<'_>,
    ) -> Result<Outboard, BuildError> {
        self.outboard(path, &Steady::open(path).unwrap(), wanted)
    }
}
