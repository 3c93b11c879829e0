//! Opening a file under way: under a name that the next `get` finds again, by one at a time.
//!
//! The name is that of the target with a dot before it and `.ropewalk-get` behind it.

use super::OpenError;
use crate::fetch::reserved::{JOURNAL_TAIL, TAIL};
use crate::transfer::safe_path::NAME_BYTES_MAX;
use cap_std::fs::{Dir, OpenOptions};
use std::fs::{File, TryLockError};
use std::io;

/// How often a file is opened anew because it was published between its opening and its locking.
const TRIES: usize = 16;

/// The names of a target's file under way and of its journal.
pub(super) fn names(target: &str) -> [String; 2] {
    // What is cut off must still tell two names apart.
    let room = NAME_BYTES_MAX - 1 - JOURNAL_TAIL.len();
    let stem = if target.len() <= room {
        target.to_owned()
    } else {
        let hash = blake3::hash(target.as_bytes()).to_hex();
        let short = target.split_at(target.floor_char_boundary(room - 17)).0;
        format!("{short}-{}", hash.split_at(16).0)
    };
    [format!(".{stem}{TAIL}"), format!(".{stem}{JOURNAL_TAIL}")]
}

/// Opens `name` and locks it. A lock ends with whoever held it, however that ended.
pub(super) fn open_locked(folder: &Dir, name: &str, private: bool) -> Result<File, OpenError> {
    for _ in 0..TRIES {
        let file = open(folder, name, private)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        match look(folder, name, &file)? {
            Look::Same => return Ok(file),
            Look::Gone => {}
            // Published, but a kill left this name to it: what has another name is not ours to write to.
            Look::Shared => folder.remove_file(name)?,
        }
    }
    Err(OpenError::Busy)
}

/// Opens the file `name`, made if it is not there: a plain file, and not by way of a link.
pub(super) fn open(folder: &Dir, name: &str, private: bool) -> io::Result<File> {
    let plain = match folder.symlink_metadata(name) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !plain {
        return Err(io::Error::other(format!("{name:?} is there, and no plain file")));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.mode(if private { 0o600 } else { 0o666 });
    }
    #[cfg(not(unix))]
    let _ = private;
    Ok(folder.open_with(name, &options)?.into_std())
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
