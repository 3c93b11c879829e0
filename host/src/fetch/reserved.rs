//! Names that are ours: of files under way, their journals, and the folder of small files.
//!
//! A list from a peer may hold any plain name. One like these is refused wherever it stands in a path, or else a file of such a
//! list could be renamed onto what another file is being written to, and a folder of it be removed as a leftover.

use crate::transfer::safe_path::SafePath;

/// A file under way is the target's name with a dot before and this behind it.
pub(super) const TAIL: &str = ".ropewalk-get";
/// So is its journal with this.
pub(super) const JOURNAL_TAIL: &str = ".ropewalk-get-journal";
/// What the names of folders of small files begin with.
pub(super) const STAGING_HEAD: &str = ".ropewalk-get-";

/// A path has a name that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "names that begin with {STAGING_HEAD} or end in {TAIL} or {JOURNAL_TAIL} are ropewalk's own; \
     the server must offer it under another name"
)]
pub struct Reserved;

/// Looks at each name of the path of a file or folder that is to be fetched.
///
/// # Errors
/// When one is ours.
pub fn check(path: &SafePath) -> Result<(), Reserved> {
    let is_ours = |name: &str| {
        name.ends_with(TAIL) || name.ends_with(JOURNAL_TAIL) || name.starts_with(STAGING_HEAD)
    };
    let mut names = path.folders().chain([path.name()]);
    if names.any(is_ours) { Err(Reserved) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_a_path_is_looked_at() {
        let check = |path: &str| check(&SafePath::parse(path.as_bytes()).unwrap());
        for ours in [
            ".film.ropewalk-get",
            ".film.ropewalk-get-journal",
            ".ropewalk-get-0",
            ".ropewalk-get-0/file",
            "a/.ropewalk-get-0/b",
            "a/.b.ropewalk-get/c",
        ] {
            assert_eq!(check(ours), Err(Reserved), "{ours}");
        }
        for fine in ["a", "ropewalk-get-0", "a/.ropewalk-getter/b", ".ropewalk"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }
}
