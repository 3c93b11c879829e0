//! What a fetch tells: what happens, and how it ends if not well.

use super::choice::Open;
use super::folder::MANIFEST_BYTES_MAX;
use super::job::JobError;
use crate::content::catalog::Item;
use crate::fetch::partial::OpenError;
use crate::fetch::schedule::SourceId;
use crate::serve::protocol::Reason;
use crate::transfer::FileReport;
use core::time::Duration;
use std::sync::Arc;

/// A source, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its number, in the order in which sources were named.
    pub id: SourceId,
    /// Its name.
    pub name: Arc<str>,
}

/// What happens.
#[derive(Debug)]
pub enum Happened {
    /// A source can be asked.
    Up(Who),
    /// A source cannot be asked; it is tried again unless it is gone.
    Down {
        /// Which.
        source: Who,
        /// Why.
        why: String,
        /// Whether it is not tried any more.
        gone: bool,
    },
    /// A source pauses.
    Paused(Who),
    /// It goes on.
    Resumed(Who),
    /// What is offered, and by whom.
    Offered(Vec<(Item, Vec<Who>)>),
    /// This is fetched.
    Began(Item),
    /// A source gives the name of what is fetched to other content; it is not asked for it.
    Differs {
        /// Which.
        source: Who,
        /// The name.
        name: String,
        /// Its root there.
        root: blake3::Hash,
    },
    /// A source states another length for the same root; it is not asked while others are there.
    OtherLength {
        /// Which.
        source: Who,
        /// The length that it states.
        length: u64,
    },
    /// The hashes that lie beside a mirror cannot be used: it is as if there were none.
    BadHashes {
        /// Which mirror.
        source: Who,
        /// What is wrong with them.
        why: String,
    },
    /// No source can be asked. They are tried again.
    AllDown,
    /// Bytes come again, after this time.
    Again(Duration),
    /// A source sent what is wrong, and is not asked any more.
    Lied(Who),
    /// A source has not got a file, or not any more.
    Refused(Who, Reason),
    /// A file is done with.
    Ended(FileReport),
}

/// Why a fetch ended before its end. What is there stays, and the same again goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// It is not clear what is wanted, or that is not offered.
    #[error("{0}")]
    Open(Open, Vec<(Item, Vec<Who>)>),
    /// Tickets are for different content, and it was not said which is wanted.
    #[error("the tickets are not for the same thing; say which one you mean: --root HASH")]
    TicketsDiffer(Vec<(blake3::Hash, Who)>),
    /// Mirrors alone were named, and nobody has hashes to prove what they give.
    #[error(
        "no hashes beside {}: run `ropewalk manifest` there, or name a ticket or a .ropewalk file as a source too",
        each_mirror(.0)
    )]
    NoHashes(Vec<(Who, Option<String>)>),
    /// Every source is gone for good, or none that is left gives what is wanted.
    #[error("no source is left")]
    NoSource,
    /// Nothing came for as long as was allowed.
    #[error("nothing came for {} s", .0.as_secs())]
    GaveUp(Duration),
    /// The list of a folder's files is longer than any.
    #[error("the list of the files of {0} is too long: at most {MANIFEST_BYTES_MAX} bytes")]
    ManifestTooLong(String),
    /// No source has the list of a folder's files any more.
    #[error("no source has {0}: {1}")]
    NobodyHas(String, Reason),
    /// Another one fetches it.
    #[error(transparent)]
    Busy(OpenError),
    /// The disk, or the list of files.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Whoever drives it said so.
    #[error("stopped")]
    Stopped,
}

/// Each mirror, and what is wrong with the hashes beside it.
fn each_mirror(mirrors: &[(Who, Option<String>)]) -> String {
    let each = mirrors.iter().map(|(Who { name, .. }, why)| match why {
        Some(why) => format!("{name} ({why})"),
        None => name.to_string(),
    });
    each.collect::<Vec<_>>().join(", ")
}
