//! Names that are ours: of files under way, their journals, and the folder of small files.
//!
//! A list from a peer may hold any plain name. One like these is refused, or else a file of such a list could be
//! renamed onto what another file is being written to.

/// A file under way is the target's name with a dot before and this behind it.
pub(super) const TAIL: &str = ".ropewalk-get";
/// So is its journal with this.
pub(super) const JOURNAL_TAIL: &str = ".ropewalk-get-journal";
/// What the names of folders of small files begin with.
pub(super) const STAGING_HEAD: &str = ".ropewalk-get-";

/// Whether no file or folder that is fetched may have this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.ends_with(TAIL) || name.ends_with(JOURNAL_TAIL) || name.starts_with(STAGING_HEAD)
}
