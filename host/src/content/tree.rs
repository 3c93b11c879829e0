//! The tree of hashes between a file's root and its pieces, in groups of up to 256.
//!
//! ```text
//!                         root
//! level 1        [ h0  h1  h2 ]                   group 1.0: what the groups of level 0 come to
//!                  |   |   |
//! level 0  [p0 .. p255] [p256 .. p511] [p512]     groups 0.0, 0.1, 0.2: the hashes of pieces
//! ```
//!
//! A group joins as BLAKE3 joins (section 2.1 of its paper): what is left holds the largest power of two that leaves something
//! for the right. As 256 is a power of two, what a group joins into is a node of the file's
//! own tree. A group of level 0 spans 256 MiB, of level 1 64 GiB, of level 2 16 TiB, of level 3 the longest
//! file there may be.
//!
//! Groups are asked for from the top, and each proves itself against its parent, so that whoever fetches holds a few groups of 8 KiB
//! and believes nobody ([`super::proven`]). The length is believed from whoever says it until the last piece is
//! proven: every chunk's hash holds its place in the file, so the last one proves where the file ends.

use super::piece::{Node, PIECE_BYTES, Pieces};
use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Most children of a group.
pub const FAN_OUT: u64 = 256;
/// Most levels of groups: those of a file of [`super::piece::FILE_BYTES_MAX`].
pub const LEVELS_MAX: u8 = 4;
/// Bytes of the hash of one child.
pub const HASH_BYTES: usize = 32;
/// Most bytes of a group.
pub const GROUP_BYTES_MAX: usize = FAN_OUT as usize * HASH_BYTES;

/// A group: its level, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId {
    /// Zero for groups of pieces.
    pub level: u8,
    /// From zero, left to right.
    pub index: u64,
}

/// Which groups a file has. That follows from its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pieces: Pieces,
}

impl Shape {
    /// Of a file of these pieces.
    #[must_use]
    pub const fn new(pieces: Pieces) -> Self {
        Self { pieces }
    }

    /// The file's pieces.
    #[must_use]
    pub const fn pieces(self) -> Pieces {
        self.pieces
    }

    /// How many levels of groups there are; none if there is one piece, which is the root.
    #[must_use]
    pub fn levels(self) -> u8 {
        (0..LEVELS_MAX).find(|level| self.nodes(*level) == 1).unwrap_or(LEVELS_MAX)
    }

    /// How many hashes all groups of `level` hold: for level 0 the number of pieces.
    #[must_use]
    pub fn nodes(self, level: u8) -> u64 {
        let shift = u32::from(level.min(LEVELS_MAX)) * FAN_OUT.ilog2();
        self.pieces.count().div_ceil(1 << shift)
    }

    /// The group whose parent is the root; `None` if the file is one piece.
    #[must_use]
    pub fn top(self) -> Option<GroupId> {
        Some(GroupId { level: self.levels().checked_sub(1)?, index: 0 })
    }

    /// How many children the group has, from 1 to [`FAN_OUT`]; `None` if there is no such group.
    #[must_use]
    pub fn children(self, id: GroupId) -> Option<usize> {
        if id.level >= self.levels() {
            return None;
        }
        let before = id.index.checked_mul(FAN_OUT)?;
        match self.nodes(id.level).checked_sub(before) {
            None | Some(0) => None,
            Some(left) => Some(left.min(FAN_OUT) as usize),
        }
    }

    /// The group above this one, and which of its children this is; `None` for the top, whose parent is the root.
    #[must_use]
    pub fn parent(self, id: GroupId) -> Option<(GroupId, usize)> {
        let above = GroupId { level: id.level.checked_add(1)?, index: id.index / FAN_OUT };
        self.children(above)?;
        Some((above, (id.index % FAN_OUT) as usize))
    }

    /// The first piece below the group; `None` if there is no such group.
    #[must_use]
    pub fn first_piece(self, id: GroupId) -> Option<u64> {
        self.children(id)?;
        Some(id.index << (u32::from(id.level + 1) * FAN_OUT.ilog2()))
    }

    /// The groups from the top down to `piece`, each with which of its children is next on the way. Nothing if there is no such piece.
    pub fn way_to(self, piece: u64) -> impl Iterator<Item = (GroupId, usize)> {
        let levels = if piece < self.pieces.count() { self.levels() } else { 0 };
        (0..levels).rev().map(move |level| {
            let child = piece >> (u32::from(level) * FAN_OUT.ilog2());
            (GroupId { level, index: child / FAN_OUT }, (child % FAN_OUT) as usize)
        })
    }

    /// Where the group stands when all hashes of a tree are written one after the other, level 0
    /// first, in bytes; `None` if there is no such group.
    #[must_use]
    pub fn group_range(self, id: GroupId) -> Option<Range<u64>> {
        let children = self.children(id)? as u64;
        let levels_below: u64 = (0..id.level).map(|level| self.nodes(level)).sum();
        let first = levels_below + id.index * FAN_OUT;
        let bytes = HASH_BYTES as u64;
        Some(first * bytes..(first + children) * bytes)
    }

    /// Bytes of all hashes of the tree: 32 for every piece, and for every group below the top.
    #[must_use]
    pub fn tree_bytes(self) -> u64 {
        self.top().and_then(|top| self.group_range(top)).map_or(0, |range| range.end)
    }
}

/// The hashes of a group's children, proven to belong to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    children: Box<[ChainingValue]>,
}

/// Why hashes are not those of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A file of this length has no such group.
    #[error("there is no such group of hashes")]
    NoSuchGroup,
    /// Fewer or more of them than the group has.
    #[error("a group of {expected} bytes of hashes has {given}")]
    Length {
        /// Bytes that the group has.
        expected: usize,
        /// Bytes that came.
        given: usize,
    },
    /// They do not come to what the parent says.
    #[error("a group of hashes does not belong to the file")]
    Wrong,
}

impl Group {
    /// The group `id` out of `bytes`, in which its hashes stand one after the other, if they join into `parent`. Memory
    /// is taken only once the length is right: [`GROUP_BYTES_MAX`] at most.
    ///
    /// # Errors
    /// When they are not what `parent` was made of.
    pub fn prove(
        shape: Shape,
        id: GroupId,
        parent: Node,
        bytes: &[u8],
    ) -> Result<Self, ProofError> {
        let expected = shape.children(id).ok_or(ProofError::NoSuchGroup)? * HASH_BYTES;
        if bytes.len() != expected {
            return Err(ProofError::Length { expected, given: bytes.len() });
        }
        let (children, _) = bytes.as_chunks::<HASH_BYTES>();
        let is_top = shape.top() == Some(id);
        if join(children, is_top) != Some(parent) {
            return Err(ProofError::Wrong);
        }
        Ok(Self { children: children.into() })
    }

    /// The hash of the child, counted from zero; `None` if there is no such.
    #[must_use]
    pub fn child(&self, nth: usize) -> Option<Node> {
        self.children.get(nth).copied().map(Node::Inner)
    }

    /// The children's hashes one after the other, as [`Group::prove`] takes them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.children.as_flattened()
    }
}

/// What `children` join into, side by side; `None` if there are none, or a root of a single one, which is no join.
pub(super) fn join(children: &[ChainingValue], is_top: bool) -> Option<Node> {
    if !is_top {
        return join_inner(children).map(Node::Inner);
    }
    let (left, right) = halves(children)?;
    let root = merge_subtrees_root(&join_inner(left)?, &join_inner(right)?, Mode::Hash);
    Some(Node::Root(root))
}

fn join_inner(children: &[ChainingValue]) -> Option<ChainingValue> {
    match children {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (left, right) = halves(children)?;
            Some(merge_subtrees_non_root(&join_inner(left)?, &join_inner(right)?, Mode::Hash))
        }
    }
}

/// The left one as large as a power of two can be that leaves something for the right.
fn halves(children: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    if children.len() < 2 {
        return None;
    }
    children.split_at_checked(children.len().next_power_of_two() / 2)
}

const _: () = assert!(
    PIECE_BYTES.is_power_of_two() && FAN_OUT.is_power_of_two(),
    "else a group would be no node of BLAKE3's tree"
);

#[cfg(test)]
pub(super) mod tests;
