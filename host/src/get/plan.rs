//! The works of one file, in their order: each group of hashes before the pieces that it proves.
//!
//! ```text
//!   groups down to the next one of level 0 ── asked for ──> proved ──> its pieces that are not here
//!                                                 └── meanwhile the groups after it, so that nobody waits
//! ```
//!
//! A file of a TiB has a million pieces; those of one group or two are listed at once.

use super::works::Works;
use crate::content::proven::{Known, ProvenTree};
use crate::content::tree::{FAN_OUT, GroupId, HASH_BYTES};
use crate::fetch::schedule::{Part, Work, WorkId};
use core::ops::Range;
use std::collections::BTreeSet;

/// How far the list of works has come.
#[derive(Debug)]
pub struct Plan {
    /// The file's number in the list.
    file: u32,
    /// The first piece that is not listed.
    next: u64,
    asked: BTreeSet<GroupId>,
}

impl Plan {
    /// Nothing of the file with this number is listed.
    #[must_use]
    pub const fn new(file: u32) -> Self {
        Self { file, next: 0, asked: BTreeSet::new() }
    }

    /// The first piece that is not listed.
    #[must_use]
    pub const fn next_piece(&self) -> u64 {
        self.next
    }

    /// The hashes that are needed next, if they are not known: those above the first piece that is not listed.
    pub fn missing(&self, tree: &mut ProvenTree) -> Option<GroupId> {
        group_above(tree, self.next)
    }

    /// Lists a group to be asked for, unless it was listed before.
    pub fn list_group(&mut self, tree: &ProvenTree, id: GroupId, works: &mut Works) {
        let Some(children) = tree.shape().children(id) else { return };
        if self.asked.insert(id) {
            let part = Part::Group { level: id.level, index: id.index };
            let bytes = (children * HASH_BYTES) as u32;
            works.list(Work { id: WorkId { file: self.file, part }, bytes });
        }
    }

    /// The group came, or must be asked for anew.
    pub fn forget_group(&mut self, id: GroupId) {
        self.asked.remove(&id);
    }

    /// The pieces that the next group of level 0 proves, if it is known. They count as listed from now on.
    pub fn take_pieces(&mut self, tree: &mut ProvenTree) -> Option<Range<u64>> {
        let count = tree.shape().pieces().count();
        if self.next >= count || self.missing(tree).is_some() {
            return None;
        }
        let end = ((self.next / FAN_OUT + 1) * FAN_OUT).min(count);
        Some(core::mem::replace(&mut self.next, end)..end)
    }

    /// Lists a piece.
    pub fn list_piece(&self, tree: &ProvenTree, piece: u64, works: &mut Works) {
        let Some(range) = tree.shape().pieces().range(piece) else { return };
        let id = WorkId { file: self.file, part: Part::Piece(piece) };
        works.list(Work { id, bytes: (range.end - range.start) as u32 });
    }
}

/// The group that must come before anything is known of the piece.
pub fn group_above(tree: &mut ProvenTree, piece: u64) -> Option<GroupId> {
    match tree.piece(piece)? {
        Known::Missing(id) => Some(id),
        Known::Node(_) => None,
    }
}
