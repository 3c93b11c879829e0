//! The pieces of a file, and the hash of each.
//!
//! ```text
//! piece   0            1            2                a piece is 1 MiB, the last one what is left of it;
//!         |-- 1 MiB --|-- 1 MiB --|-- rest --|       an empty file is one piece of no bytes
//! ```
//!
//! BLAKE3 hashes a file as a binary tree over chunks of 1 KiB in which every left subtree is full
//! (section 2.1 of its paper). A piece is 2^10 chunks and begins at a multiple of that, so it is one
//! subtree of this very tree, and has a hash of its own, which the paper calls chaining value: no second
//! hashing, no second encoding, and the root stays what `b3sum` prints. How pieces join into the
//! root is [`super::tree`]'s.

use blake3::hazmat::{ChainingValue, HasherExt};
use core::ops::Range;

/// Bytes of every piece but the last.
pub const PIECE_BYTES: u64 = 1 << 20;
/// Bytes of the longest file that has pieces: 4 PiB. It bounds the depth of the tree.
pub const FILE_BYTES_MAX: u64 = 1 << 52;

/// How a file of some length falls into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    length: u64,
}

impl Pieces {
    /// Those of a file of `length` bytes; `None` beyond [`FILE_BYTES_MAX`].
    #[must_use]
    pub const fn of(length: u64) -> Option<Self> {
        if length <= FILE_BYTES_MAX { Some(Self { length }) } else { None }
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.length
    }

    /// How many there are; at least one.
    #[must_use]
    pub const fn count(self) -> u64 {
        let count = self.length.div_ceil(PIECE_BYTES);
        if count == 0 { 1 } else { count }
    }

    /// Which bytes of the file are piece number `piece`, counted from zero; `None` if there is no such.
    #[must_use]
    pub fn range(self, piece: u64) -> Option<Range<u64>> {
        if piece >= self.count() {
            return None;
        }
        let start = piece * PIECE_BYTES;
        Some(start..(start + PIECE_BYTES).min(self.length))
    }
}

/// The hash of a node of the tree, a piece or what several pieces join into. The root and the
/// others are made differently, so that neither can be taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The hash of the whole file.
    Root(blake3::Hash),
    /// The hash of some of it: 32 bytes.
    Inner(ChainingValue),
}

/// Hashes one piece as its bytes come. The whole file, if it is no more than one piece.
#[derive(Clone, Debug)]
pub struct PieceHasher {
    hasher: blake3::Hasher,
    left: u64,
    is_file: bool,
}

/// More bytes came than the piece has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more bytes came than the piece has")]
pub struct TooMuch;

impl PieceHasher {
    /// For piece number `piece`; `None` if there is no such.
    #[must_use]
    pub fn new(pieces: Pieces, piece: u64) -> Option<Self> {
        let range = pieces.range(piece)?;
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(range.start);
        Some(Self { hasher, left: range.end - range.start, is_file: pieces.count() == 1 })
    }

    /// How many bytes are still to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes of the piece.
    ///
    /// # Errors
    /// When they are more than are still to come; then none of them is taken.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(TooMuch)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The piece's hash; `None` as long as bytes are missing.
    #[must_use]
    pub fn finish(&self) -> Option<Node> {
        match (self.left, self.is_file) {
            (0, true) => Some(Node::Root(self.hasher.finalize())),
            (0, false) => Some(Node::Inner(self.hasher.finalize_non_root())),
            _ => None,
        }
    }
}

/// The hash of piece number `piece`, whose bytes are `bytes`; `None` if there is no such piece or it
/// has another length.
#[must_use]
pub fn hash_piece(pieces: Pieces, piece: u64, bytes: &[u8]) -> Option<Node> {
    let mut hasher = PieceHasher::new(pieces, piece)?;
    hasher.update(bytes).ok()?;
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_file_is_one_empty_piece() {
        let pieces = Pieces::of(0).unwrap();
        assert_eq!((pieces.count(), pieces.range(0), pieces.range(1)), (1, Some(0..0), None));
        let empty = hash_piece(pieces, 0, b"");
        assert_eq!(empty, Some(Node::Root(blake3::hash(b""))));
    }

    #[test]
    fn a_file_of_one_piece_is_its_piece() {
        let bytes = vec![7; PIECE_BYTES as usize];
        let pieces = Pieces::of(PIECE_BYTES).unwrap();
        assert_eq!(pieces.count(), 1);
        assert_eq!(hash_piece(pieces, 0, &bytes), Some(Node::Root(blake3::hash(&bytes))));
    }

    #[test]
    fn the_limit_is_a_limit() {
        assert_eq!(Pieces::of(FILE_BYTES_MAX).unwrap().count(), 1 << 32);
        assert_eq!(Pieces::of(FILE_BYTES_MAX + 1), None);
    }

    #[test]
    fn a_piece_too_long_or_too_short_has_no_hash() {
        let pieces = Pieces::of(PIECE_BYTES + 3).unwrap();
        assert!(hash_piece(pieces, 1, b"abc").is_some());
        assert_eq!(hash_piece(pieces, 1, b"ab"), None);
        assert_eq!(hash_piece(pieces, 1, b"abcd"), None);
        assert_eq!(hash_piece(pieces, 2, b""), None);
        let mut hasher = PieceHasher::new(pieces, 1).unwrap();
        hasher.update(b"ab").unwrap();
        assert_eq!((hasher.update(b"cd"), hasher.left()), (Err(TooMuch), 1));
        hasher.update(b"c").unwrap();
        assert_eq!(hasher.finish(), hash_piece(pieces, 1, b"abc"));
    }

    proptest! {
        #[test]
        fn pieces_cover_the_file_without_gap_or_overlap(length in 0..=FILE_BYTES_MAX, near in 0_u64..5) {
            for length in [length, length / PIECE_BYTES * PIECE_BYTES + near, near] {
                let pieces = Pieces::of(length.min(FILE_BYTES_MAX)).unwrap();
                let last = pieces.count() - 1;
                prop_assert_eq!(pieces.range(last).unwrap().end, pieces.length());
                prop_assert_eq!(pieces.range(last + 1), None);
                if let Some(before) = last.checked_sub(1) {
                    let (before, last) = (pieces.range(before).unwrap(), pieces.range(last).unwrap());
                    prop_assert_eq!(before.end, last.start);
                    prop_assert_eq!(before.end - before.start, PIECE_BYTES);
                    prop_assert!(!last.is_empty());
                }
            }
        }
    }
}
