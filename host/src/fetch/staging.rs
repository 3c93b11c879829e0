//! Small files on their way to their places: many at once, since to make each durable by itself takes the disk
//! longer than to fetch it.
//!
//! ```text
//!   put: written, as 0, 1, 2 … in a folder of our own      publish: the disk is told once, then each gets its name
//!        .ropewalk-get-5f0c…/ ────────────────────────────────────────────────────────────▶ its place
//!                                                          the next publish: the disk is told once, and that
//!                                                          made the names durable too: they are settled
//! ```
//!
//! A file has its own name only when its content is durable, and is settled only when its name is. The folder
//! is locked by whoever made it. What a killed `get` left in one is taken up by the next ([`Staging::leftover`]).
//!
//! Not for files that are worth resuming: those are [`super::partial`]'s.

use super::partial::{Leftover, Replace};
use super::reserved::STAGING_HEAD;
use crate::random;
use crate::transfer::partial::{give_name, set_attributes, sync_folder};
use crate::transfer::protocol::Attributes;
use crate::transfer::safe_path::{Root, SafePath};
use cap_std::fs::{Dir, DirBuilder, OpenOptions};
use leftovers::Leftovers;
use std::fs::File;
use std::io::{self, Write};

mod leftovers;

/// Files of a batch, at most.
pub const FILES_MAX: usize = 1_000;
/// Bytes of a batch, at most, but for one file.
pub const BYTES_MAX: u64 = 64 << 20;

const LOCK: &str = "lock";
/// How often a folder is made anew because another one took it for a leftover.
const TRIES: usize = 4;

/// The folder, and what is in it.
#[derive(Debug)]
pub struct Staging {
    root: Dir,
    name: String,
    folder: Dir,
    /// Open from the beginning, so that the system tells it of every write that failed since.
    lock: File,
    next: u64,
    bytes: u64,
    /// Written, and perhaps not durable.
    written: Vec<(SafePath, String)>,
    /// They have their names, which are perhaps not durable.
    named: Vec<SafePath>,
    leftovers: Leftovers,
    /// The disk did not take something, of which it tells once.
    has_failed: bool,
}

impl Staging {
    /// A folder in `root`, which is the one that files are fetched into. What killed ones left there is taken up, or
    /// removed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(root: &Root, leftover: Leftover) -> io::Result<Self> {
        let root = root.handle()?;
        let mut leftovers = Leftovers::find(&root)?;
        if leftover == Leftover::Discard {
            leftovers.clear();
        }
        let mut tries = TRIES;
        let (name, (folder, lock)) = loop {
            let name = format!("{STAGING_HEAD}{:08x}", random::u32());
            match make(&root, &name) {
                Ok(made) => break (name, made),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => tries -= 1,
            }
        };
        Ok(Self {
            root,
            name,
            folder,
            lock,
            next: 0,
            bytes: 0,
            written: Vec::new(),
            named: Vec::new(),
            leftovers,
            has_failed: false,
        })
    }

    /// The content with this hash, if a killed one left it: once. To be proved and put like any other.
    pub fn leftover(&mut self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        self.leftovers.take(hash)
    }

    /// Removes what killed ones left: there is nothing more that it could be wanted for.
    pub fn clear_leftovers(&mut self) {
        self.leftovers.clear();
    }

    /// Writes a file that was proved, to be given the name `path` later, which is none of ours ([`super::reserved`]).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn put(
        &mut self,
        path: SafePath,
        content: &[u8],
        attributes: Attributes,
    ) -> io::Result<()> {
        let name = self.next.to_string();
        self.next += 1;
        if let Err(error) = self.write(&name, content, attributes) {
            let _ = self.folder.remove_file(&name);
            return Err(error);
        }
        self.bytes += content.len() as u64;
        self.written.push((path, name));
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8], attributes: Attributes) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if attributes.mode.is_some() {
            cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut file = self.folder.open_with(name, &options)?.into_std();
        file.write_all(content)?;
        set_attributes(&file, attributes)?;
        if cfg!(target_os = "linux") { Ok(()) } else { file.sync_all() }
    }

    /// Whether it is time to publish.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.written.len() >= FILES_MAX || self.bytes >= BYTES_MAX
    }

    /// Makes what was put durable and gives it its names. `settled` is told of each file that is now durable under its
    /// name, which are those of the time before, and of each that cannot have it (`AlreadyExists` if
    /// something else has, and is not to be replaced).
    ///
    /// # Errors
    /// When the disk fails. All that is not settled must be fetched again then.
    pub fn publish(
        &mut self,
        root: &Root,
        replace: Replace,
        settled: &mut dyn FnMut(&SafePath, io::Result<()>),
    ) -> io::Result<()> {
        self.sync()?;
        for path in self.named.drain(..) {
            settled(&path, Ok(()));
        }
        self.bytes = 0;
        let mut place: Option<(Vec<String>, Dir)> = None;
        for (path, name) in self.written.drain(..) {
            // Files of one folder come one after another.
            let folders: Vec<_> = path.folders().map(str::to_owned).collect();
            let there = match place.take() {
                Some((known, folder)) if known == folders => Ok(folder),
                _ => root.parent(&path),
            };
            let moved = there.and_then(|there| {
                let moved = move_to((&self.folder, &name), (&there, path.name()), replace);
                place = Some((folders, there));
                moved
            });
            match moved {
                Ok(()) => self.named.push(path),
                Err(error) => {
                    let _ = self.folder.remove_file(&name);
                    settled(&path, Err(error));
                }
            }
        }
        Ok(())
    }

    /// Makes all durable that was written to this file system. Elsewhere each file was by itself.
    fn sync(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("the disk did not take all that was written"));
        }
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.lock).inspect_err(|_| self.has_failed = true)?;
        #[cfg(not(target_os = "linux"))]
        let _ = &self.lock;
        Ok(())
    }

    /// Publishes what is left, and settles all of it.
    ///
    /// # Errors
    /// As for [`Staging::publish`].
    pub fn finish(
        mut self,
        root: &Root,
        replace: Replace,
        settled: &mut dyn FnMut(&SafePath, io::Result<()>),
    ) -> io::Result<()> {
        if !self.written.is_empty() {
            self.publish(root, replace, settled)?;
        }
        self.publish(root, replace, settled)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What has no name yet is for the next one, as after a kill.
        if self.written.is_empty() {
            // What cannot be removed now is removed by the next one.
            let _ = self.root.remove_dir_all(&self.name);
        }
    }
}

/// A folder of the list may be another file system; then the file is copied, and that copy made durable.
fn move_to(
    (from, temporary): (&Dir, &str),
    (folder, name): (&Dir, &str),
    replace: Replace,
) -> io::Result<()> {
    match give_name((from, temporary), (folder, name), replace) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let beside = format!("{STAGING_HEAD}{:08x}", random::u32());
            from.copy(temporary, folder, &beside)?;
            let copied = folder.open(&beside).and_then(|file| {
                let copied = file.into_std();
                copied.set_modified(from.metadata(temporary)?.modified()?.into_std())?;
                copied.sync_all()?;
                give_name((folder, &beside), (folder, name), replace)?;
                sync_folder(folder)
            });
            let _ = from.remove_file(temporary);
            if copied.is_err() {
                let _ = folder.remove_file(&beside);
            }
            copied
        }
        moved => moved,
    }
}

/// Makes a folder and locks it.
fn make(root: &Dir, name: &str) -> io::Result<(Dir, File)> {
    let builder = &mut DirBuilder::new();
    #[cfg(unix)]
    cap_std::fs::DirBuilderExt::mode(builder, 0o700);
    root.create_dir_with(name, builder)?;
    let folder = root.open_dir(name)?;
    let lock = folder.create(LOCK)?.into_std();
    lock.try_lock()?;
    // Before it was locked, another one may have begun to remove it.
    folder.symlink_metadata(LOCK)?;
    Ok((folder, lock))
}

#[cfg(test)]
mod tests;
