//! A folder that is being filled: until it is whole it says of itself that `get` made it.
//!
//! ```text
//!   make ── new ──> rwx------ and sticky ── files come, perhaps by several gets ──> finish: the server's mode and time
//!        └ was there ─────────────────────────────────────────────────────────────> finish: stays, unless it is replaced
//! ```
//!
//! The sticky bit means nothing for a folder that is its owner's alone, and nobody else sets it there: so one that a
//! killed `get` made is told from a private one of the user's, whose mode is nobody else's business. Where a file system
//! keeps no modes there are none to be set.

use super::partial::Replace;
use crate::transfer::partial::{as_file, set_folder_attributes};
use crate::transfer::protocol::Attributes;
use crate::transfer::safe_path::{Made, Root, SafePath};
use cap_std::fs::Dir;
use std::io;

/// Makes the folder at `path`, whose own folder must be there, unless it is there.
///
/// # Errors
/// When something else has its name, or the system refuses.
pub fn make(root: &Root, path: &SafePath) -> io::Result<()> {
    if root.make_folder(path)? == Made::New {
        // Where that cannot be, it keeps the mode that it has.
        let _ = mark(&root.folder(path)?);
    }
    Ok(())
}

/// Gives a folder that is whole its permission bits and time, if a `get` made it or it is to be replaced.
///
/// # Errors
/// When the system refuses.
pub fn finish(folder: &Dir, mut attributes: Attributes, replace: Replace) -> io::Result<()> {
    let is_ours = is_marked(folder)?;
    if is_ours {
        attributes.mode.get_or_insert(PRIVATE);
    }
    match is_ours || replace == Replace::Yes {
        true => set_folder_attributes(folder, attributes),
        false => Ok(()),
    }
}

const PRIVATE: u32 = 0o700;
#[cfg(unix)]
const MARKED: u32 = 0o1000 | PRIVATE;

#[cfg(unix)]
fn mark(folder: &Dir) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    as_file(folder)?.set_permissions(std::fs::Permissions::from_mode(MARKED))
}

#[cfg(unix)]
fn is_marked(folder: &Dir) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(as_file(folder)?.metadata()?.permissions().mode() & 0o1777 == MARKED)
}

/// Elsewhere folders get no attributes.
#[cfg(not(unix))]
fn mark(_folder: &Dir) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn is_marked(_folder: &Dir) -> io::Result<bool> {
    Ok(false)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_one_that_a_get_made_gets_the_mode_unless_it_is_replaced() {
        let at = tempfile::tempdir().unwrap();
        let root = Root::open(at.path()).unwrap();
        let path = |name: &str| SafePath::parse(name.as_bytes()).unwrap();
        let mode = |name: &str| {
            std::fs::metadata(at.path().join(name)).unwrap().permissions().mode() & 0o7777
        };
        let finish = |name: &str, mode, replace| {
            let attributes = Attributes { mode, modified: None };
            finish(&root.folder(&path(name)).unwrap(), attributes, replace).unwrap();
        };
        std::fs::create_dir(at.path().join("mine")).unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(at.path().join("mine"), private).unwrap();
        for name in ["mine", "new", "plain"] {
            make(&root, &path(name)).unwrap();
            // By another one, after a kill.
            make(&root, &path(name)).unwrap();
        }
        assert_eq!((mode("mine"), mode("new")), (0o700, MARKED));
        finish("mine", Some(0o755), Replace::No);
        finish("new", Some(0o755), Replace::No);
        finish("plain", None, Replace::No);
        assert_eq!((mode("mine"), mode("new"), mode("plain")), (0o700, 0o755, 0o700));
        // From now on it is the user's.
        finish("new", Some(0o750), Replace::No);
        assert_eq!(mode("new"), 0o755);
        finish("mine", Some(0o755), Replace::Yes);
        assert_eq!(mode("mine"), 0o755);
    }
}
