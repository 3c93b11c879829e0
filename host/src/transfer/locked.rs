//! Opening a file under way: under a name that whoever goes on with it finds again, by one at a time.
//!
//! ```text
//!   open, made if it is not there ──> lock ──> still under this name? ── no: it was published meanwhile, once more
//!                                       └ held: busy        └ yes, but under its own as well: a kill left it this one
//! ```

use cap_std::fs::{Dir, OpenOptions};
use std::fs::{File, TryLockError};
use std::io;

/// How often a file is opened anew because it was published between its opening and its locking.
const TRIES: usize = 16;

/// Opens `name` and locks it; `None` if another one has it. A lock ends with whoever held it, however that ended. `private`: a
/// new one is its owner's alone.
pub(crate) fn open_locked(folder: &Dir, name: &str, private: bool) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let file = open(folder, name, private)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match look(folder, name, &file)? {
            Look::Same => return Ok(Some(file)),
            Look::Gone => {}
            // What has another name is not ours to write to.
            Look::Shared => folder.remove_file(name)?,
        }
    }
    Ok(None)
}

/// Opens the file `name`, made if it is not there: a plain file, and not by way of a link.
pub(crate) fn open(folder: &Dir, name: &str, private: bool) -> io::Result<File> {
    let plain = match folder.symlink_metadata(name) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !plain {
        return Err(io::Error::other(format!("{name:?} is there, and no plain file")));
    }
    Ok(folder.open_with(name, options(private).create(true))?.into_std())
}

/// Makes the file `name`, which must not be there.
pub(super) fn open_new(folder: &Dir, name: &str, private: bool) -> io::Result<File> {
    Ok(folder.open_with(name, options(private).create_new(true))?.into_std())
}

fn options(private: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = private;
    options
}

enum Look {
    Same,
    Gone,
    Shared,
}

/// Whether the name still leads to the file.
#[cfg(unix)]
fn look(folder: &Dir, name: &str, file: &File) -> io::Result<Look> {
    use cap_std::fs::MetadataExt as _;
    use std::os::unix::fs::MetadataExt as _;
    let ours = file.metadata()?;
    Ok(match folder.symlink_metadata(name) {
        Ok(there) if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) => Look::Gone,
        Ok(_) if ours.nlink() > 1 => Look::Shared,
        Ok(_) => Look::Same,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Gone,
        Err(error) => return Err(error),
    })
}

/// Elsewhere a file that is open keeps its name for longer than it takes to lock it.
#[cfg(not(unix))]
fn look(_folder: &Dir, _name: &str, _file: &File) -> io::Result<Look> {
    Ok(Look::Same)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_its_own_name_already_is_not_written_to() {
        let at = tempfile::tempdir().unwrap();
        let folder = Dir::open_ambient_dir(at.path(), cap_std::ambient_authority()).unwrap();
        std::fs::write(at.path().join("published"), "whole").unwrap();
        std::fs::hard_link(at.path().join("published"), at.path().join("under way")).unwrap();
        let file = open_locked(&folder, "under way", true).unwrap().unwrap();
        file.set_len(1).unwrap();
        assert_eq!(std::fs::read(at.path().join("published")).unwrap(), b"whole");
        assert!(open_locked(&folder, "under way", true).unwrap().is_none(), "it is busy");
    }
}
