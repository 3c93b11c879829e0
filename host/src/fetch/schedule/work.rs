//! What can be asked of a source: one part of one file in one request.
//!
//! Ten thousand small files and the million pieces of a large one are the same here: a row of works
//! in the order in which they are wanted.

use crate::content::piece::PIECE_BYTES;

/// Most bytes of one work: a piece of content.
pub const WORK_BYTES_MAX: u32 = PIECE_BYTES as u32;

/// Names a work. Files come in order; within one, hashes come before the pieces that they prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId {
    /// The file's number in whatever list there is.
    pub file: u32,
    /// Which part of it.
    pub part: Part,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A group of hashes.
    Group {
        /// How far above the pieces.
        level: u8,
        /// Which one of its level.
        index: u64,
    },
    /// A piece of content.
    Piece(u64),
}

/// A work, and how much it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its name.
    pub id: WorkId,
    /// Its length, at most [`WORK_BYTES_MAX`].
    pub bytes: u32,
}

/// Which parts of files a source can give: a mirror of plain bytes has no hashes, and a file of hashes nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gives {
    /// Groups of hashes.
    pub hashes: bool,
    /// Pieces of content.
    pub pieces: bool,
}

impl Gives {
    /// Both.
    pub const ALL: Self = Self { hashes: true, pieces: true };
    /// Neither: it is not asked.
    pub const NOTHING: Self = Self { hashes: false, pieces: false };

    /// Whether a part is of the kind that it gives.
    #[must_use]
    pub const fn has(self, part: Part) -> bool {
        match part {
            Part::Group { .. } => self.hashes,
            Part::Piece(_) => self.pieces,
        }
    }
}

/// What a source is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The work.
    pub work: Work,
    /// The first byte that is wanted. What lies before it has come from this very source already,
    /// before its connection broke, and is still there: one piece is never mixed from two sources, so that a
    /// wrong one has one culprit.
    pub from: u32,
}
