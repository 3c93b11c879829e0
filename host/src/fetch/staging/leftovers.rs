//! What killed ones left in their folders of small files: contents without names, to be found by their hashes.
//!
//! ```text
//!   .ropewalk-get-5f0c…/ whose maker is gone ── locked, read ──> hash: where it lies ── take ──> its bytes, and the file goes
//! ```
//!
//! Nothing is believed: a content that was written by halves has a hash that nobody asks for. What is taken is written anew
//! by whoever takes it, so that how durable it was here does not matter.

use super::{LOCK, STAGING_HEAD};
use crate::content::piece::PIECE_BYTES;
use cap_std::fs::Dir;
use std::collections::HashMap;
use std::fs::File;
use std::io;

/// The folders, and the files in them.
#[derive(Debug)]
pub(super) struct Leftovers {
    root: Dir,
    folders: Vec<Abandoned>,
    /// By hash: which folder, and the name in it.
    files: HashMap<[u8; 32], (usize, String)>,
}

/// A folder whose maker is gone.
#[derive(Debug)]
struct Abandoned {
    name: String,
    folder: Dir,
    /// Held, so that nobody else takes it up.
    _lock: File,
}

impl Leftovers {
    /// Those in `root` that nobody has in use.
    pub(super) fn find(root: &Dir) -> io::Result<Self> {
        let (mut folders, mut files) = (Vec::new(), HashMap::new());
        for entry in root.entries()? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if let Some(abandoned) = abandoned(root, name) {
                // What cannot be read is fetched.
                let _ = index(&abandoned.folder, folders.len(), &mut files);
                folders.push(abandoned);
            }
        }
        Ok(Self { root: root.try_clone()?, folders, files })
    }

    /// The content with this hash, if it is here: once.
    pub(super) fn take(&mut self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        let (nth, name) = self.files.remove(hash)?;
        let folder = &self.folders.get(nth)?.folder;
        let content = folder.read(&name).ok();
        let _ = folder.remove_file(&name);
        content
    }

    /// Removes them.
    pub(super) fn clear(&mut self) {
        self.files.clear();
        for abandoned in self.folders.drain(..) {
            // What cannot be removed now is removed by the next one.
            let _ = self.root.remove_dir_all(&abandoned.name);
        }
    }
}

fn abandoned(root: &Dir, name: String) -> Option<Abandoned> {
    let is_folder = root.symlink_metadata(&name).is_ok_and(|there| there.is_dir());
    if !name.starts_with(STAGING_HEAD) || !is_folder {
        return None;
    }
    let folder = root.open_dir(&name).ok()?;
    match folder.open(LOCK).map(cap_std::fs::File::into_std) {
        Ok(lock) if lock.try_lock().is_ok() => Some(Abandoned { name, folder, _lock: lock }),
        // In use.
        Ok(_) => None,
        Err(error) => {
            if error.kind() == io::ErrorKind::NotFound {
                // Killed before it had a lock, so nothing is in it. One that is being made just now is made anew.
                let _ = root.remove_dir(&name);
            }
            None
        }
    }
}

fn index(
    folder: &Dir,
    nth: usize,
    files: &mut HashMap<[u8; 32], (usize, String)>,
) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        let there = entry.metadata()?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name == LOCK || !there.is_file() || there.len() > PIECE_BYTES {
            continue;
        }
        if let Ok(content) = folder.read(&name) {
            files.insert(*blake3::hash(&content).as_bytes(), (nth, name));
        }
    }
    Ok(())
}
