//! What is offered: a list of items, each a file or a folder with its root.
//!
//! The item is what a server says and a client shows. Of a file the length and the root count, of a folder those of its
//! manifest ([`super::manifest`]); name, attributes and totals are what the server says, and nobody proves
//! them. [`super::offer`] makes items of what lies on a disk.

use super::manifest::Totals;
use super::piece::Pieces;
use crate::transfer::protocol::Attributes;
use crate::transfer::safe_path::{NAME_BYTES_MAX, PathError, SafePath};
use serde::{Deserialize, Serialize};

/// Most items of a catalog.
pub const ITEMS_MAX: usize = 10_000;
/// Most bytes of an item on the wire.
pub const ITEM_BYTES_MAX: usize = NAME_BYTES_MAX + 128;

/// A file or a folder that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// One plain name.
    name: SafePath,
    kind: ItemKind,
    pieces: Pieces,
    root: blake3::Hash,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemKind {
    /// A file.
    File(Attributes),
    /// A folder, and how much is in it.
    Folder(Totals),
}

/// Why an item is none, or does not fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The bytes hold no item.
    #[error("an item of the list cannot be read")]
    Damaged,
    /// Its name is none that a file may have.
    #[error("an item has a name that cannot be: {0}")]
    Name(#[from] PathError),
    /// Its name has a slash in it.
    #[error("the name of an item is a path")]
    NotOneName,
    /// It is longer than any file.
    #[error("an item is too long: at most 4 PiB")]
    TooLong,
    /// Another item has its name.
    #[error("two items have the same name")]
    NameTaken,
    /// There are [`ITEMS_MAX`] already.
    #[error("too many items: at most {ITEMS_MAX}")]
    Full,
}

/// As it goes over the wire.
#[derive(Serialize, Deserialize)]
struct Wire<'w> {
    name: &'w [u8],
    kind: ItemKind,
    length: u64,
    root: [u8; 32],
}

impl Item {
    /// An item of these properties.
    ///
    /// # Errors
    /// When `name` is not one plain name.
    pub fn new(
        name: &str,
        kind: ItemKind,
        pieces: Pieces,
        root: blake3::Hash,
    ) -> Result<Self, CatalogError> {
        let name = SafePath::parse(name.as_bytes())?;
        if name.folders().next().is_some() {
            return Err(CatalogError::NotOneName);
        }
        Ok(Self { name, kind, pieces, root })
    }

    /// The item in `bytes`.
    ///
    /// # Errors
    /// When they hold none, or one that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogError> {
        let Ok((wire, [])) = postcard::take_from_bytes::<Wire<'_>>(bytes) else {
            return Err(CatalogError::Damaged);
        };
        let name = core::str::from_utf8(wire.name).map_err(|_| PathError::NotUtf8)?;
        let pieces = Pieces::of(wire.length).ok_or(CatalogError::TooLong)?;
        Self::new(name, wire.kind, pieces, wire.root.into())
    }

    /// Its bytes, at most [`ITEM_BYTES_MAX`], as [`Item::parse`] takes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (name, length, root) =
            (self.name.name().as_bytes(), self.pieces.length(), *self.root.as_bytes());
        let mut room = [0; ITEM_BYTES_MAX];
        let wire = Wire { name, kind: self.kind, length, root };
        postcard::to_slice(&wire, &mut room).expect("the longest item fits").to_vec()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.name()
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ItemKind {
        self.kind
    }

    /// The pieces of its content: the file's, or those of the folder's manifest.
    #[must_use]
    pub const fn pieces(&self) -> Pieces {
        self.pieces
    }

    /// Bytes of the file, or of all files in the folder.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        match self.kind {
            ItemKind::File(_) => self.pieces.length(),
            ItemKind::Folder(totals) => totals.bytes,
        }
    }

    /// The root of that content.
    #[must_use]
    pub const fn root(&self) -> blake3::Hash {
        self.root
    }
}

/// The items that one server offers, in their order, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    items: Vec<Item>,
}

impl Catalog {
    /// Adds `item`.
    ///
    /// # Errors
    /// When its name is taken, or there are too many.
    pub fn add(&mut self, item: Item) -> Result<(), CatalogError> {
        if self.items.len() >= ITEMS_MAX {
            return Err(CatalogError::Full);
        }
        if self.named(item.name()).is_some() {
            return Err(CatalogError::NameTaken);
        }
        self.items.push(item);
        Ok(())
    }

    /// All items.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The item of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::protocol::Modified;
    use proptest::prelude::*;

    fn item(name: &str, kind: ItemKind, length: u64) -> Result<Item, CatalogError> {
        let root = blake3::hash(name.as_bytes());
        Item::new(name, kind, Pieces::of(length).unwrap(), root)
    }

    #[test]
    fn names_are_plain_and_each_is_there_once() {
        let file = ItemKind::File(Attributes::default());
        assert_eq!(item("a/b", file, 0), Err(CatalogError::NotOneName));
        assert_eq!(item("..", file, 0), Err(CatalogError::Name(PathError::Dots)));
        assert_eq!(item("", file, 0), Err(CatalogError::Name(PathError::Empty)));
        let mut catalog = Catalog::default();
        catalog.add(item("a", file, 1).unwrap()).unwrap();
        let folder = ItemKind::Folder(Totals::default());
        assert_eq!(catalog.add(item("a", folder, 2).unwrap()), Err(CatalogError::NameTaken));
        assert_eq!(catalog.named("a").unwrap().pieces().length(), 1);
        assert_eq!(catalog.named("b"), None);
        for nth in 1..ITEMS_MAX {
            catalog.items.push(item(&nth.to_string(), file, 0).unwrap());
        }
        assert_eq!(catalog.add(item("b", file, 0).unwrap()), Err(CatalogError::Full));
    }

    #[test]
    fn the_longest_item_fits() {
        let modified = Some(Modified { seconds: i64::MIN, nanoseconds: u32::MAX });
        let attributes = Attributes { mode: Some(u32::MAX), modified };
        let totals = Totals { entries: u64::MAX, bytes: u64::MAX };
        for kind in [ItemKind::File(attributes), ItemKind::Folder(totals)] {
            let item = item(&"x".repeat(NAME_BYTES_MAX), kind, super::super::piece::FILE_BYTES_MAX);
            let item = item.unwrap();
            assert_eq!(Item::parse(&item.to_bytes()), Ok(item));
        }
    }

    #[test]
    fn a_length_beyond_any_file_is_refused() {
        let kind = ItemKind::File(Attributes::default());
        let wire = Wire { name: b"a", kind, length: u64::MAX, root: [0; 32] };
        let bytes = postcard::to_slice(&wire, &mut [0; ITEM_BYTES_MAX]).unwrap().to_vec();
        assert_eq!(Item::parse(&bytes), Err(CatalogError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, at: prop::sample::Index, new: u8) {
            let _ = Item::parse(&bytes);
            bytes = item("name", ItemKind::Folder(Totals::default()), 5).unwrap().to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = new;
            let _ = Item::parse(&bytes);
        }
    }
}
