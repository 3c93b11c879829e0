//! What a server offers, by root, and where the bytes and hashes of anything asked for are found.
//!
//! An item lies ready. A file in a folder is looked up in the folder's manifest by the place that the client
//! names, and counts only if the record there has the root that the client names too: so a client can ask for
//! what was offered and for nothing else, and no list of a folder's files is held.

use super::protocol::{Content, Reason};
use crate::content::build::BuildError;
use crate::content::catalog::{Catalog, CatalogError, ItemKind};
use crate::content::manifest::ManifestError;
use crate::content::offer::Offer;
use crate::content::outboard::{Outboard, Trees};
use crate::content::piece::{Node, Pieces, hash_piece};
use crate::content::steady::{ReadError, Steady};
use crate::content::tree::GroupId;
use crate::transfer::safe_path::Root;
use std::collections::HashMap;
use std::io;

/// The offers of one server, or of several.
#[derive(Debug)]
pub struct Shelf {
    trees: Trees,
    catalog: Catalog,
    offers: HashMap<[u8; 32], Offered>,
}

#[derive(Debug)]
struct Offered {
    offer: Offer,
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
    bytes: Bytes<'s>,
    tree: Tree<'s>,
}

#[derive(Debug)]
enum Bytes<'s> {
    Item(&'s Steady),
    Entry(Steady),
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
        Self { trees, catalog: Catalog::default(), offers: HashMap::new() }
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
        self.offers.insert(*offer.item().root().as_bytes(), Offered { offer, inside });
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

    /// Opens what is asked for. Blocks; a file of a folder whose tree is gone from the disk is hashed anew.
    ///
    /// # Errors
    /// When it is not offered, is not what it was, or cannot be read.
    pub fn find(&self, content: Content) -> Result<Found<'_>, Reason> {
        match content {
            Content::Item(root) => {
                let Offered { offer, .. } = self.offers.get(&root).ok_or(Reason::Unknown)?;
                offer.content().check().map_err(|error| reason(&error))?;
                let (bytes, tree) = (Bytes::Item(offer.content()), Tree::Item(offer.outboard()));
                Ok(Found { bytes, tree })
            }
            Content::Entry { folder, place, root } => {
                let offered = self.offers.get(&folder).ok_or(Reason::Unknown)?;
                self.entry(offered, place, root.into())
            }
        }
    }

    fn entry(
        &self,
        offered: &Offered,
        place: u64,
        root: blake3::Hash,
    ) -> Result<Found<'_>, Reason> {
        let Offered { offer, inside: Some(inside) } = offered else { return Err(Reason::Unknown) };
        let entry = offer.file_at(place, root).map_err(|error| match error {
            // Not so a place from which a record would lead beyond the end.
            ManifestError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Reason::Unreadable
            }
            _ => Reason::Unknown,
        })?;
        let file = inside.read(&entry.path).and_then(Steady::new).map_err(|error| gone(&error))?;
        if file.stamp().length != entry.length {
            return Err(Reason::Changed);
        }
        let pieces = Pieces::of(entry.length).ok_or(Reason::Unknown)?;
        let tree = if pieces.count() <= 1 {
            Tree::None(Node::Root(root))
        } else {
            let path = offer.path().join(entry.path.to_string());
            let outboard =
                self.trees.outboard(&path, &file, &|_| true).map_err(|error| match error {
                    BuildError::Changed => Reason::Changed,
                    _ => Reason::Unreadable,
                })?;
            if outboard.root() != root {
                return Err(Reason::Changed);
            }
            Tree::Entry(outboard)
        };
        Ok(Found { bytes: Bytes::Entry(file), tree })
    }
}

impl Found<'_> {
    /// Its pieces.
    #[must_use]
    pub fn pieces(&self) -> Option<Pieces> {
        Pieces::of(self.file().stamp().length)
    }

    /// Fills `room` with what stands at `offset`, in bytes.
    ///
    /// # Errors
    /// When the file changed, or cannot be read.
    pub fn read_at(&self, offset: u64, room: &mut [u8]) -> Result<(), Reason> {
        self.file().read_at(offset, room).map_err(|error| reason(&error))?;
        // A small file that changed before it was opened here shows only by its hash.
        match (&self.tree, self.pieces()) {
            (Tree::None(root), Some(pieces))
                if offset == 0
                    && room.len() as u64 == pieces.length()
                    && hash_piece(pieces, 0, room) != Some(*root) =>
            {
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

    fn file(&self) -> &Steady {
        match &self.bytes {
            Bytes::Item(file) => file,
            Bytes::Entry(file) => file,
        }
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
