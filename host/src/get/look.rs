//! What is there under a file's name already, looked at a part at a time: of a long file that is a lot to read.

use super::budget::Budget;
use super::job::Wanted;
use cap_std::fs::{Dir, File};
use std::io::{self, Read};

/// What is under a name.
pub(super) enum Standing {
    /// Nothing.
    Free,
    /// A file that may be the same: what is in it must be read.
    Perhaps(Looking),
    /// A file with other content.
    Other,
    /// Something that cannot be replaced.
    Taken(&'static str),
}

impl Standing {
    /// Of the name in its `folder` that is wanted.
    pub(super) fn of(wanted: &Wanted, folder: &Dir) -> io::Result<Self> {
        let there = match folder.symlink_metadata(wanted.path.name()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Free),
            there => there?,
        };
        if there.is_dir() {
            return Ok(Self::Taken("a folder of this name is there"));
        }
        if !there.is_file() {
            return Ok(Self::Taken("something that is no file has this name"));
        }
        if there.len() != wanted.whose.pieces.length() {
            return Ok(Self::Other);
        }
        let file = folder.open(wanted.path.name())?;
        let (wanted, hasher) = (Box::new(wanted.clone()), Box::default());
        Ok(Self::Perhaps(Looking { wanted, file, hasher }))
    }
}

/// A file that is being read.
pub(super) struct Looking {
    pub(super) wanted: Box<Wanted>,
    file: File,
    hasher: Box<blake3::Hasher>,
}

impl Looking {
    /// Reads on; whether it is what is wanted, once that is known. What cannot be read is not.
    pub(super) fn go_on(&mut self, budget: &mut Budget) -> Option<bool> {
        let mut room = vec![0; READ_BYTES];
        while !budget.is_spent() {
            match self.file.read(&mut room) {
                Ok(0) => return Some(self.hasher.finalize() == self.wanted.whose.root),
                Ok(read) => {
                    self.hasher.update(room.get(..read).unwrap_or_default());
                    budget.spend(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(false),
            }
        }
        None
    }
}

const READ_BYTES: usize = 128 << 10;
