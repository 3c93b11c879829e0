//! A file while it is being received: under a temporary name in the folder where it will lie, hashed
//! as it is written, and given its own name only when it is whole, verified and durable.
//!
//! Dropped without [`Partial::keep`] or [`Partial::publish`], it removes itself.

use super::protocol::{Attributes, Modified};
use super::safe_path::NAME_BYTES_MAX;
use crate::random;
use cap_std::fs::{Dir, File, OpenOptions};
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
    /// An empty one, to be called `name` in `folder` later. Others may not read it before, unless
    /// the sender said nothing of permissions; then it has the usual ones.
    pub(super) fn create(folder: Dir, name: &str, attributes: Attributes) -> io::Result<Self> {
        let temporary = temporary_name(name, random::u32());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if attributes.mode.is_some() {
            cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = attributes;
        let file = folder.open_with(&temporary, &options)?;
        let hasher = blake3::Hasher::new();
        Ok(Self { folder, name: name.into(), temporary, file, hasher, bytes: 0, settled: false })
    }

    /// How many bytes it has.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Empties it.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.hasher.reset();
        self.bytes = 0;
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
        self.temporary.clone()
    }

    /// Gives it its attributes and its name, durably. `AlreadyExists` if something has the name and is not to be replaced.
    pub(super) fn publish(mut self, attributes: Attributes, replace: Replace) -> io::Result<()> {
        let file = self.file.try_clone()?.into_std();
        set_attributes(&file, attributes)?;
        file.sync_all()?;
        drop(file);
        give_name((&self.folder, &self.temporary), (&self.folder, &self.name), replace)?;
        self.settled = true;
        sync_folder(&self.folder)
    }
}

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
        let mut partial = Partial::create(dir, "file", Attributes::default()).unwrap();
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
        let make =
            || Partial::create(dir.try_clone().unwrap(), "file", Attributes::default()).unwrap();
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
        drop(Partial::create(dir.try_clone().unwrap(), "file", Attributes::default()).unwrap());
        assert!(names(&at).is_empty());
        let kept = Partial::create(dir, "file", Attributes::default()).unwrap().keep();
        assert_eq!(names(&at), [kept]);
    }

    #[cfg(unix)]
    #[test]
    fn attributes_are_as_the_sender_said_but_for_the_dangerous_bits() {
        use std::os::unix::fs::MetadataExt;
        let (at, dir) = folder();
        let modified = Some(Modified { seconds: -5, nanoseconds: 250_000_000 });
        let attributes = Attributes { mode: Some(0o6751), modified };
        Partial::create(dir, "file", attributes).unwrap().publish(attributes, Replace::No).unwrap();
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
