//! How a job ends, and each file of it, if not well: what the disk said, in words, and what can be done about it.

use super::job::Wanted;
use crate::content::manifest::ManifestError;
use crate::fetch::reserved::Reserved;
use crate::transfer::safe_path::SafePath;
use crate::transfer::{FileReport, Outcome, shown};
use crate::trouble::{next_step, words};
use core::time::Duration;
use std::io;

/// Why a job cannot go on. What is there stays, for another one to take up.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The disk takes or gives no more.
    #[error(
        "cannot go on with {path}: {}; what is there is kept: {}, and do the same again",
        words(cause, ""),
        next_step(cause)
    )]
    Disk {
        /// The file, fit to be shown.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// What was picked is not there. All else that was wanted is done with.
    #[error("there is no {}; correct the name (all else is done with)", .0.join(", no "))]
    NoSuchPath(Vec<String>),
    /// A folder cannot have its name here.
    #[error("{path}: {why}")]
    Reserved {
        /// The name.
        path: String,
        /// What is wrong with it.
        why: Reserved,
    },
    /// The list of files is none.
    #[error(transparent)]
    List(#[from] ManifestError),
}

/// The end of one file that the system does not take.
pub(super) fn refused(cause: &io::Error) -> Outcome {
    Outcome::Refused(match cause.kind() {
        io::ErrorKind::AlreadyExists => EXISTS.into(),
        _ => format!("{}; {}, and do the same again", words(cause, ""), next_step(cause)),
    })
}

pub(super) const EXISTS: &str =
    "a file of this name is there, with other content (--overwrite replaces it)";

pub(super) fn disk(path: &str, cause: io::Error) -> JobError {
    JobError::Disk { path: shown(path), cause }
}

pub(super) fn of_file(wanted: &Wanted) -> FileReport {
    FileReport {
        resumed: 0,
        path: shown(&wanted.path.to_string()),
        bytes: wanted.whose.pieces.length(),
        time: Duration::ZERO,
        blake3: Some(*wanted.whose.root.as_bytes()),
        outcome: Outcome::Stored,
    }
}

pub(super) fn of_folder(path: &SafePath) -> FileReport {
    let (time, outcome) = (Duration::ZERO, Outcome::Stored);
    FileReport { path: shown(&path.to_string()), bytes: 0, resumed: 0, time, blake3: None, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_is_one_for_what_happened() {
        let said = |kind: io::ErrorKind| disk("film", kind.into()).to_string();
        let full = said(io::ErrorKind::StorageFull);
        assert_eq!(
            full,
            "cannot go on with film: the disk is full; what is there is kept: make room, and do the same again"
        );
        assert!(!said(io::ErrorKind::ReadOnlyFilesystem).contains("make room"));
        let Outcome::Refused(why) = refused(&io::ErrorKind::PermissionDenied.into()) else {
            panic!("refused")
        };
        assert!(why.contains("no permission") && why.contains("chown"), "{why}");
    }
}
