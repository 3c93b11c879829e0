//! One file under way: which hashes and pieces of it are wanted next, and proved pieces onto the disk.
//!
//! ```text
//!   list ──> groups, then the pieces that they prove ──> works        what an earlier one left is proved on the way
//!   take <── bytes of a work ── wrong: whoever sent them is a liar
//!              └ right: into the tree, or (put) onto the disk ──> whole: publish
//! ```
//!
//! It asks nobody: that is [`super::exchange`]'s.

use super::budget::Budget;
use super::plan::{Plan, group_above};
use super::works::Works;
use crate::content::piece::{PIECE_BYTES, Pieces, hash_piece};
use crate::content::proven::{AddError, Known, ProvenTree};
use crate::content::tree::GroupId;
use crate::fetch::partial::{Content as Whole, Leftover, OpenError, Partial, Replace};
use crate::fetch::schedule::Part;
use crate::transfer::protocol::Attributes;
use cap_std::fs::Dir;
use core::ops::Range;
use std::io;

/// A file as its hash names it, and what it is to be called.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Its hash.
    pub root: blake3::Hash,
    /// Its length, in pieces.
    pub pieces: Pieces,
    /// Its permission bits and time.
    pub attributes: Attributes,
}

/// A file under way. Dropped, it stays as it is, for whoever opens it next.
#[derive(Debug)]
pub struct FileUnderWay {
    tree: ProvenTree,
    plan: Plan,
    /// Pieces whose hashes are here, and that are not looked at yet.
    proving: Range<u64>,
    partial: Partial,
}

/// Groups that are held: those of 16 GiB of the file.
const GROUPS_MAX: usize = 64;
/// Pieces that are read before it is asked whether there may be more.
const PROVED_AT_ONCE: u64 = 4;

impl FileUnderWay {
    /// Begins, or goes on with what an earlier one left in `folder` under way to `name`: what is there is read and
    /// proved as far as hashes are known, the rest when they come. `number` is the file's at the exchange.
    ///
    /// # Errors
    /// When another one fetches this file into the folder, or the system refuses.
    pub fn open(
        folder: Dir,
        name: &str,
        whose: &Whose,
        number: u32,
        leftover: Leftover,
    ) -> Result<Self, OpenError> {
        let Whose { root, pieces, attributes } = whose;
        let whole = Whole {
            root: *root.as_bytes(),
            length: pieces.length(),
            piece_bytes: PIECE_BYTES as u32,
        };
        let partial = Partial::open(folder, name, whole, *attributes, leftover)?;
        Ok(Self {
            tree: ProvenTree::new(*root, *pieces, GROUPS_MAX),
            plan: Plan::new(number),
            proving: 0..0,
            partial,
        })
    }

    /// How many bytes are there and proved, roughly: whole pieces.
    #[must_use]
    pub fn had_bytes(&self) -> u64 {
        (self.partial.had() * PIECE_BYTES).min(self.tree.shape().pieces().length())
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.partial.is_whole()
    }

    /// The name under which it lies until it is published.
    #[must_use]
    pub fn temporary(&self) -> &str {
        self.partial.temporary()
    }

    /// The file itself, to be read when it is whole.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn content(&self) -> io::Result<std::fs::File> {
        self.partial.content()
    }

    /// Makes it durable, with its own name.
    ///
    /// # Errors
    /// When it is not whole, the name is taken and may not be replaced, or the system refuses.
    pub fn publish(self, replace: Replace) -> io::Result<()> {
        self.partial.publish(replace)
    }

    /// Removes all trace of it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn discard(self) -> io::Result<()> {
        self.partial.discard()
    }

    /// Lists what has become known: pieces whose hashes are here, and the hashes that come next. What an earlier
    /// one left is proved as soon as it can be, within the `budget`.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn list(&mut self, works: &mut Works, budget: &mut Budget) -> io::Result<()> {
        while !works.is_plenty() && !budget.is_spent() {
            if self.proving.is_empty() {
                self.take_from_journal(self.plan.next_piece());
                let Some(pieces) = self.plan.take_pieces(&mut self.tree) else { break };
                self.proving = pieces;
            }
            let end = self.proving.end.min(self.proving.start + PROVED_AT_ONCE);
            let pieces = core::mem::replace(&mut self.proving.start, end)..end;
            self.prove_and_list(pieces, works, budget)?;
        }
        self.take_from_journal(self.plan.next_piece());
        if let Some(id) = self.plan.missing(&mut self.tree) {
            self.plan.list_group(&self.tree, id, works);
        }
        Ok(())
    }

    fn prove_and_list(
        &mut self,
        pieces: Range<u64>,
        works: &mut Works,
        budget: &mut Budget,
    ) -> io::Result<()> {
        // Hashes that were forgotten since are in the journal.
        self.take_from_journal(pieces.start);
        let tree = &mut self.tree;
        let mut proof = |piece, content: &[u8]| {
            budget.spend(content.len() as u64);
            proves(tree, piece, content)
        };
        self.partial.prove(pieces.clone(), &mut proof)?;
        let mut from = pieces.start;
        while let Some(missing) = self.partial.missing(from).filter(|gap| gap.start < pieces.end) {
            for piece in missing.start..missing.end.min(pieces.end) {
                self.plan.list_piece(&self.tree, piece, works);
            }
            from = missing.end;
        }
        Ok(())
    }

    /// Whether all its works were listed.
    pub fn is_listed(&mut self) -> bool {
        self.proving.is_empty() && self.plan.next_piece() >= self.tree.shape().pieces().count()
    }

    /// Whether it has to have hashes before more of it can be asked for.
    pub fn lacks_hashes(&mut self) -> bool {
        self.take_from_journal(self.plan.next_piece());
        self.plan.missing(&mut self.tree).is_some()
    }

    /// Whether a work's bytes are right. A group of hashes is kept.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn take(&mut self, part: Part, bytes: &[u8]) -> io::Result<bool> {
        match part {
            Part::Group { level, index } => self.on_group(GroupId { level, index }, bytes),
            Part::Piece(piece) => {
                // Hashes that were forgotten since are in the journal.
                self.take_from_journal(piece);
                Ok(proves(&mut self.tree, piece, bytes))
            }
        }
    }

    /// Writes a piece that was proved.
    ///
    /// # Errors
    /// When the disk fails: what is there stays.
    pub fn put(&mut self, piece: u64, bytes: &[u8]) -> io::Result<()> {
        self.partial.put(piece, bytes)
    }

    fn on_group(&mut self, id: GroupId, bytes: &[u8]) -> io::Result<bool> {
        self.plan.forget_group(id);
        match self.tree.add(id, bytes) {
            Ok(()) => self.partial.journal().put_group(id.level, id.index, bytes).map(|()| true),
            // Nobody's fault; the list asks for both again.
            Err(AddError::ParentMissing(_)) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// The hashes above a piece, as far as they were written down.
    fn take_from_journal(&mut self, piece: u64) {
        while let Some(id) = group_above(&mut self.tree, piece) {
            let Some(bytes) = self.partial.journal().group(id.level, id.index) else { break };
            if self.tree.add(id, &bytes).is_err() {
                break;
            }
        }
    }
}

fn proves(tree: &mut ProvenTree, piece: u64, bytes: &[u8]) -> bool {
    let Some(Known::Node(node)) = tree.piece(piece) else { return false };
    hash_piece(tree.shape().pieces(), piece, bytes) == Some(node)
}
