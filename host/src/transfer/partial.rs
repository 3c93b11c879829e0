//! A file while it is being received: under a temporary name in the folder where it will lie, hashed
//! as it is written, and given its own name only when it is whole, verified and durable.
//!
//! Dropped without [`Partial::keep`] or [`Partial::publish`], it removes itself.

use super::locked;
use super::protocol::{Attributes, CHUNK_BYTES_MAX, Modified};
use super::safe_path::NAME_BYTES_MAX;
use crate::random;
use cap_std::fs::{Dir, File};
use core::time::Duration;
use std::io::{self, Read, Seek, Write};
use std::time::SystemTime;

/// The file, and where it belongs.
#[derive(Debug)]
pub(super) struct Partial {
    folder: Dir,
    name: String,
    temporary: String,
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
    /// How far the file reaches that an earlier one left.
    length: u64,
    /// How much of it was hashed, and into what.
    kept: Option<(u64, blake3::Hasher)>,
    settled: bool,
}

/// Whether publishing may replace what has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// What was there is gone then.
    Yes,
    /// What is there stays, and publishing fails.
    No,
}

impl Partial {
    /// One to be called `name` in `folder` later. Others may not read it before, unless
    /// the sender said nothing of permissions; then it has the usual ones. With a `mark`, what an earlier one of the same
    /// mark left is in it ([`Partial::kept`]); else it is empty.
    pub(super) fn create(
        folder: Dir,
        name: &str,
        attributes: Attributes,
        mark: Option<u32>,
    ) -> io::Result<Self> {
        let private = attributes.mode.is_some();
        let marked = mark.and_then(|mark| {
            let temporary = temporary_name(name, mark);
            // What cannot be taken up, or is another one's, is left alone.
            let file = locked::open_locked(&folder, &temporary, private).ok()??;
            Some((temporary, File::from_std(file)))
        });
        let (temporary, file) = match marked {
            Some(marked) => marked,
            None => {
                let temporary = temporary_name(name, random::u32());
                let file = locked::open_new(&folder, &temporary, private)?;
                (temporary, File::from_std(file))
            }
        };
        let length = file.metadata()?.len();
        let (name, hasher) = (name.into(), blake3::Hasher::new());
        let (kept, settled) = (None, false);
        Ok(Self { folder, name, temporary, file, hasher, bytes: 0, length, kept, settled })
    }

    /// How much is here from an earlier time, and its hash, if it is worth asking about. `size`: how long it will be.
    pub(super) fn kept(&mut self, size: Option<u64>) -> io::Result<Option<(u64, [u8; 32])>> {
        if self.length < KEPT_BYTES_MIN || size.is_none_or(|size| self.length > size) {
            return Ok(None);
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut self.file, &mut hasher)?;
        self.file.rewind()?;
        let hash = *hasher.finalize().as_bytes();
        self.kept = Some((bytes, hasher));
        Ok(Some((bytes, hash)))
    }

    /// What comes begins at this byte: behind what is kept, or at the beginning.
    pub(super) fn go_on_from(&mut self, from: u64) -> io::Result<()> {
        match self.kept.take() {
            Some((bytes, hasher)) if bytes == from => {
                (self.bytes, self.hasher) = (bytes, hasher);
                self.file.seek(io::SeekFrom::Start(from)).map(|_| ())
            }
            _ if from == 0 => self.restart(),
            _ => Err(io::Error::other("the sender goes on where nothing is")),
        }
    }

    /// How many bytes it has.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let new = self.without_kept(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(new)
    }

    /// What of `bytes` is not here from an earlier time. What is kept must stay as it was hashed, since the sender may
    /// go on behind it: the same is not written again, and after anything else nothing counts as kept.
    fn without_kept<'b>(&mut self, bytes: &'b [u8]) -> io::Result<&'b [u8]> {
        let Some((kept, _)) = &self.kept else { return Ok(bytes) };
        let there = kept.saturating_sub(self.bytes).min(bytes.len() as u64) as usize;
        let (old, new) = bytes.split_at(there);
        let mut room = vec![0; there];
        self.file.read_exact(&mut room)?;
        if room == old {
            return Ok(new);
        }
        self.kept = None;
        self.file.seek(io::SeekFrom::Start(self.bytes))?;
        Ok(bytes)
    }

    /// Zeros make a hole, but for where something else may be.
    pub(super) fn write_zeros(&mut self, bytes: usize) -> io::Result<()> {
        let zeros = ZEROS.get(..bytes).ok_or(io::ErrorKind::InvalidInput)?;
        if self.bytes < self.length {
            return self.write(zeros);
        }
        self.hasher.update(zeros);
        self.bytes += bytes as u64;
        self.file.seek(io::SeekFrom::Start(self.bytes)).map(|_| ())
    }

    /// Empties it.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.hasher.reset();
        (self.bytes, self.length, self.kept) = (0, 0, None);
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// The hash of what was written.
    pub(super) fn blake3(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Leaves it under its temporary name, which is returned.
    pub(super) fn keep(mut self) -> String {
        self.settled = true;
        // What ends in a hole has its length all the same.
        let _ = self.file.set_len(self.bytes.max(self.length));
        self.temporary.clone()
    }

    /// Gives it its attributes and its name, durably. `AlreadyExists` if something has the name and is not to be replaced.
    pub(super) fn publish(mut self, attributes: Attributes, replace: Replace) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        let file = self.file.try_clone()?.into_std();
        set_attributes(&file, attributes)?;
        file.sync_all()?;
        drop(file);
        give_name((&self.folder, &self.temporary), (&self.folder, &self.name), replace)?;
        self.settled = true;
        sync_folder(&self.folder)
    }
}

/// Less is fetched again before the sender hears of it.
const KEPT_BYTES_MIN: u64 = 256 << 10;
/// Most zeros at once.
static ZEROS: [u8; CHUNK_BYTES_MAX] = [0; CHUNK_BYTES_MAX];

/// Moves a file from its temporary name to its own, both in folders of one file system. `AlreadyExists`
/// if something has the name and is not to be replaced.
pub(crate) fn give_name(
    (from, temporary): (&Dir, &str),
    (folder, name): (&Dir, &str),
    replace: Replace,
) -> io::Result<()> {
    if replace == Replace::Yes {
        return from.rename(temporary, folder, name);
    }
    #[cfg(target_os = "linux")]
    match rename_to_free((from, temporary), (folder, name)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        renamed => return renamed,
    }
    // A rename would replace; a second name for the file does not.
    match from.hard_link(temporary, folder, name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without hard links (FAT): look first, which leaves a moment's gap.
            if folder.symlink_metadata(name).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            from.rename(temporary, folder, name)
        }
        linked => {
            linked?;
            // What cannot be removed keeps its temporary name too, which harms nobody.
            let _ = from.remove_file(temporary);
            Ok(())
        }
    }
}

/// In one step, where the file system can.
#[cfg(target_os = "linux")]
fn rename_to_free((from, temporary): (&Dir, &str), (folder, name): (&Dir, &str)) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    Ok(renameat_with(from, temporary, folder, name, RenameFlags::NOREPLACE)?)
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.settled {
            // What cannot be removed keeps its temporary name, which harms nobody.
            let _ = self.folder.remove_file(&self.temporary);
        }
    }
}

/// Gives a file the permission bits and the time.
pub(crate) fn set_attributes(file: &std::fs::File, attributes: Attributes) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(mode) = attributes.mode {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(mode & 0o777))?;
    }
    match attributes.modified.and_then(Modified::to_system) {
        Some(time) => file.set_modified(time),
        None => Ok(()),
    }
}

/// Gives a folder the permission bits and the time, where the system can.
pub(crate) fn set_folder_attributes(folder: &Dir, attributes: Attributes) -> io::Result<()> {
    if cfg!(unix) { set_attributes(&as_file(folder)?, attributes) } else { Ok(()) }
}

/// The BLAKE3 hash of a file's content.
pub(crate) fn hash_file(file: &mut File) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut room = vec![0; 128 << 10];
    loop {
        match file.read(&mut room)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            read => hasher.update(room.get(..read).unwrap_or_default()),
        };
    }
}

impl From<SystemTime> for Modified {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: after.subsec_nanos(),
            },
            Err(before) => {
                // Nanoseconds count up from the whole second before.
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds: -whole, nanoseconds: 0 },
                    nanos => Self { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanos },
                }
            }
        }
    }
}

impl Modified {
    /// `None` if this system cannot say it.
    fn to_system(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let whole = match self.seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole)?,
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole)?,
        };
        whole.checked_add(Duration::from_nanos(self.nanoseconds.min(999_999_999).into()))
    }
}

fn temporary_name(name: &str, random: u32) -> String {
    let tail = format!(".ropewalk-part-{random:08x}");
    let room = NAME_BYTES_MAX - 1 - tail.len();
    format!(".{}{tail}", &name[..name.floor_char_boundary(room)])
}

/// Makes a folder's list of names durable, where the system can.
pub(crate) fn sync_folder(folder: &Dir) -> io::Result<()> {
    if cfg!(unix) { as_file(folder)?.sync_all() } else { Ok(()) }
}

/// A folder's handle is good for finding what is in it; for the folder itself it is opened anew.
pub(crate) fn as_file(folder: &Dir) -> io::Result<std::fs::File> {
    Ok(folder.open(".")?.into_std())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use proptest::prelude::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let at = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(at.path(), ambient_authority()).unwrap();
        (at, dir)
    }

    fn names(at: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(at.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn it_is_never_seen_under_its_name_before_it_is_published() {
        let (at, dir) = folder();
        let mut partial = Partial::create(dir, "file", Attributes::default(), None).unwrap();
        partial.write(b"wrong").unwrap();
        partial.restart().unwrap();
        partial.write(b"con").unwrap();
        partial.write(b"tent").unwrap();
        let seen = names(&at);
        assert!(seen.len() == 1 && seen[0].starts_with(".file.ropewalk-part-"), "{seen:?}");
        assert_eq!((partial.bytes(), partial.blake3()), (7, *blake3::hash(b"content").as_bytes()));
        partial.publish(Attributes::default(), Replace::No).unwrap();
        assert_eq!(names(&at), ["file"]);
        assert_eq!(std::fs::read(at.path().join("file")).unwrap(), b"content");
    }

    #[test]
    fn what_is_there_is_replaced_only_on_purpose() {
        let (at, dir) = folder();
        std::fs::write(at.path().join("file"), "old").unwrap();
        let make = || {
            Partial::create(dir.try_clone().unwrap(), "file", Attributes::default(), None).unwrap()
        };
        let error = make().publish(Attributes::default(), Replace::No).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(at.path().join("file")).unwrap(), b"old");
        make().publish(Attributes::default(), Replace::Yes).unwrap();
        assert_eq!(std::fs::read(at.path().join("file")).unwrap(), b"");
        assert_eq!(names(&at), ["file"], "no temporary name stays");
    }

    #[test]
    fn dropped_it_goes_and_kept_it_stays() {
        let (at, dir) = folder();
        drop(
            Partial::create(dir.try_clone().unwrap(), "file", Attributes::default(), None).unwrap(),
        );
        assert!(names(&at).is_empty());
        let kept = Partial::create(dir, "file", Attributes::default(), None).unwrap().keep();
        assert_eq!(names(&at), [kept]);
    }

    #[cfg(unix)]
    #[test]
    fn attributes_are_as_the_sender_said_but_for_the_dangerous_bits() {
        use std::os::unix::fs::MetadataExt;
        let (at, dir) = folder();
        let modified = Some(Modified { seconds: -5, nanoseconds: 250_000_000 });
        let attributes = Attributes { mode: Some(0o6751), modified };
        Partial::create(dir, "file", attributes, None)
            .unwrap()
            .publish(attributes, Replace::No)
            .unwrap();
        let metadata = std::fs::metadata(at.path().join("file")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o751, -5));
    }

    #[test]
    fn the_longest_name_has_a_temporary_name_too() {
        let name = temporary_name(&"ü".repeat(127), u32::MAX);
        assert!(name.len() <= NAME_BYTES_MAX, "{}", name.len());
        assert_eq!(temporary_name("a", 1), ".a.ropewalk-part-00000001");
    }

    proptest! {
        #[test]
        fn a_time_is_the_same_on_both_ends(seconds in -1_000_000_000_i64..4_000_000_000, nanoseconds in 0_u32..1_000_000_000) {
            // Windows counts in steps of 100 ns.
            let modified = Modified { seconds, nanoseconds: nanoseconds / 100 * 100 };
            prop_assert_eq!(modified.to_system().map(Modified::from), Some(modified));
        }

        #[test]
        fn no_time_makes_it_panic(seconds: i64, nanoseconds: u32) {
            let _ = Modified { seconds, nanoseconds }.to_system();
        }
    }
}
