//! What client and server say on a stream of the service `get`. Frames as those of
//! [`crate::transfer::protocol`]: a control frame holds one message, the rest are content.
//!
//! ```text
//! client   List | Group 1 | Piece 2 | Piece 3 | Cancel 3 | Piece 4 ...          no waiting for answers
//! server   Item Item ListEnd | Bytes 1, content | Bytes 2, content ... | Cut 3 | No 4 ("changed") ...
//! ```
//!
//! The client numbers what it asks for, and the server answers in the order of the asking. A server that pauses or goes away says so
//! between any two frames. Nothing that either says is believed: the client proves content by its hash,
//! and the server gives away only what it offers.

use crate::content::tree::GroupId;
use serde::{Deserialize, Serialize};

/// The name of the service.
pub const SERVICE: &str = "get";
/// Most requests that a client may have out; a server that has more to answer hangs up.
pub const REQUESTS_MAX: usize = 1024;

/// Which content is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Content {
    /// That of the item with this root: a file, or a folder's manifest.
    Item([u8; 32]),
    /// That of a file in a folder.
    Entry {
        /// The root of the folder's manifest.
        folder: [u8; 32],
        /// Where the file's record stands in the manifest, in bytes.
        place: u64,
        /// The file's own root, which the record names too.
        root: [u8; 32],
    },
}

/// What the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What is offered?
    List,
    /// The hashes of this group.
    Group {
        /// The client's number of this request.
        number: u64,
        /// Of which content's tree.
        of: Content,
        /// Which group.
        id: GroupId,
    },
    /// A piece, from a byte in it to its end.
    Piece {
        /// The client's number of this request.
        number: u64,
        /// Of which content.
        of: Content,
        /// Which piece, from zero.
        piece: u64,
        /// The first byte wanted, counted in the piece.
        from: u32,
    },
    /// The request of this number is not wanted any more.
    Cancel(u64),
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<'m> {
    /// An item of the list ([`crate::content::catalog::Item::parse`]).
    Item(&'m [u8]),
    /// The list is complete.
    ListEnd,
    /// So many bytes of content follow, and are the answer to this request.
    Bytes {
        /// The request's number.
        number: u64,
        /// How many, all frames together.
        length: u32,
    },
    /// No more bytes for this request: it was cancelled, or what it is about cannot be read further.
    Cut(u64),
    /// The request has no answer.
    No(u64, Reason),
    /// No more answers until [`Answer::Resumed`].
    Paused,
    /// Answers go on.
    Resumed,
    /// No more answers: the server goes away, or lets this client go.
    Closing,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// It is not offered here, or has no such piece or group.
    #[error("it is not offered")]
    Unknown,
    /// The file is not what it was when it was offered.
    #[error("the file changed since it was offered")]
    Changed,
    /// The system refuses to read it.
    #[error("the file cannot be read")]
    Unreadable,
}
