//! What is known of an item without asking its mirror: what it is, which files a folder has and, if there is a
//! sidecar, all hashes.
//!
//! | made of | tells lengths and paths | tells hashes | has the manifest itself |
//! |---|---|---|---|
//! | an item that is a file | yes | no | |
//! | a folder's item and its manifest, fetched elsewhere | yes | no | no |
//! | a sidecar | yes | yes | yes |
//!
//! All of it blocks.

use crate::content::catalog::{Item, ItemKind};
use crate::content::manifest::{FileEntry, record_at};
use crate::content::piece::Pieces;
use crate::content::sidecar::{Sidecar, SidecarError, TreeAt};
use crate::content::steady::Steady;
use crate::content::tree::{GroupId, Shape};
use crate::serve::protocol::Content;
use crate::transfer::safe_path::SafePath;
use core::ops::Range;
use std::fs::File;
use std::io;

/// What is known of an item.
#[derive(Debug)]
pub struct Facts {
    item: Item,
    more: More,
}

#[derive(Debug)]
enum More {
    Nothing,
    Manifest(Steady),
    Sidecar(Sidecar),
}

/// Content that was found.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) pieces: Pieces,
    pub(super) at: At,
}

/// Where the bytes of content are.
#[derive(Debug)]
pub(super) enum At {
    /// Where the item is.
    Item,
    /// In the folder.
    Inside(SafePath),
    /// In the sidecar.
    Sidecar,
}

impl Facts {
    /// Of a file, or of a folder that nothing else is known of.
    #[must_use]
    pub const fn item_alone(item: Item) -> Self {
        Self { item, more: More::Nothing }
    }

    /// Of a folder whose manifest is in `manifest`, proved.
    ///
    /// # Errors
    /// When `manifest` is no regular file.
    pub fn folder(item: Item, manifest: File) -> io::Result<Self> {
        Ok(Self { item, more: More::Manifest(Steady::new(manifest)?) })
    }

    /// What is in a sidecar.
    ///
    /// # Errors
    /// When it is none, or damaged.
    pub fn sidecar(file: File) -> Result<Self, SidecarError> {
        let sidecar = Sidecar::open(file)?;
        Ok(Self { item: sidecar.item().clone(), more: More::Sidecar(sidecar) })
    }

    /// What it is about.
    #[must_use]
    pub const fn item(&self) -> &Item {
        &self.item
    }

    pub(super) const fn has_hashes(&self) -> bool {
        matches!(self.more, More::Sidecar(_))
    }

    pub(super) const fn is_folder(&self) -> bool {
        matches!(self.item.kind(), ItemKind::Folder(_))
    }

    /// Where content is; `None` if it is none of the item's, or that is not known.
    pub(super) fn locate(&self, of: Content) -> io::Result<Option<Located>> {
        match of {
            Content::Item(root) if root != *self.item.root().as_bytes() => Ok(None),
            Content::Item(_) => {
                let at = match (self.is_folder(), &self.more) {
                    (false, _) => At::Item,
                    (true, More::Sidecar(_)) => At::Sidecar,
                    (true, _) => return Ok(None),
                };
                Ok(Some(Located { pieces: self.item.pieces(), at }))
            }
            Content::Entry { folder, place, root } => {
                if folder != *self.item.root().as_bytes() || !self.is_folder() {
                    return Ok(None);
                }
                let entry = match &self.more {
                    More::Nothing => None,
                    // A place between records may hold anything; one beyond the end, nothing.
                    More::Manifest(manifest) => {
                        let entry = record_at(manifest.section(place)).ok();
                        entry.filter(|entry| entry.root == root)
                    }
                    More::Sidecar(sidecar) => found(sidecar, place, root)?.map(|(entry, _)| entry),
                };
                Ok(entry.and_then(|entry| {
                    let pieces = Pieces::of(entry.length)?;
                    Some(Located { pieces, at: At::Inside(entry.path) })
                }))
            }
        }
    }

    /// The hashes of a group; `None` if they are not here.
    pub(super) fn group(&self, of: Content, id: GroupId) -> io::Result<Option<Vec<u8>>> {
        let More::Sidecar(sidecar) = &self.more else { return Ok(None) };
        let group = |tree, pieces| sidecar.group(tree, Shape::new(pieces), id);
        let own = *self.item.root().as_bytes();
        match of {
            Content::Item(root) if root == own && self.is_folder() => {
                sidecar.manifest_group(id).map_err(io::Error::other)
            }
            Content::Item(root) if root == own => group(sidecar.tree(), self.item.pieces()),
            Content::Entry { folder, place, root } if folder == own && self.is_folder() => {
                let Some((entry, tree)) = found(sidecar, place, root)? else { return Ok(None) };
                Pieces::of(entry.length).map_or(Ok(None), |pieces| group(tree, pieces))
            }
            _ => Ok(None),
        }
    }

    /// Bytes of a folder's manifest.
    pub(super) fn manifest(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let More::Sidecar(sidecar) = &self.more else { return Err(io::ErrorKind::NotFound.into()) };
        let length = usize::try_from(range.end.saturating_sub(range.start));
        let mut bytes = vec![0; length.map_err(io::Error::other)?];
        sidecar.read_manifest(range.start, &mut bytes).map_err(io::Error::other)?;
        Ok(bytes)
    }
}

fn found(sidecar: &Sidecar, place: u64, root: [u8; 32]) -> io::Result<Option<(FileEntry, TreeAt)>> {
    sidecar.file_at(place, root.into()).map_err(io::Error::other)
}
