//! A file that is read in parts and must be the same file for all of them.
//!
//! A [`Stamp`] is what the system says of a file: which one it is, how long, and when it last changed. It is
//! compared after each read, so that no byte is given away that was read after a change. The time at which the system
//! itself noted a change (ctime, where there is one) counts as well, as programs that edit a file may set
//! the other one back. It also moves when a file is renamed or its permissions change ([`Difference::Touched`]); whoever
//! would rather know than give it up hashes it again.
//!
//! Against a change in the very moment of the one before it no stamp helps, as clocks of file systems have
//! steps ([`Stamp::is_settled`]). A change made through a memory map is stamped late. What is given away then
//! does not fit the root, and whoever fetches it notices.

use super::position::{Section, read_exact_at};
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// How the clock of a file system steps at worst (FAT: two seconds), in nanoseconds.
const CLOCK_STEP_NANOS: i64 = 2_000_000_000;

/// What the system says of a file's identity and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub length: u64,
    /// When it last changed as programs say, in nanoseconds since 1970.
    modified: i64,
    /// When it last changed as the system says; where it does not, as programs say.
    changed: i64,
    /// Device and number on it, where the system has such.
    identity: (u64, u64),
}

impl Stamp {
    /// Of the file that `metadata` is about.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or(0, nanos);
        let (changed, identity) = system(metadata).unwrap_or((modified, (0, 0)));
        Self { length: metadata.len(), modified, changed, identity }
    }

    /// Whether any change after `now` will show: the last one is longer ago than a step of the file system's clock.
    #[must_use]
    pub fn is_settled(&self, now: SystemTime) -> bool {
        self.changed.saturating_add(CLOCK_STEP_NANOS) < nanos(now)
    }
}

/// Why bytes of a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not the file any more that it was.
    #[error("the file changed")]
    Changed,
    /// The system refused.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// What is different of a file since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// The system noted a change, and neither length nor date say one: another name, permissions, links; or other
    /// bytes by a program that set the date back.
    Touched,
    /// Length or date.
    Content,
}

/// An open file, and its stamp when it was opened.
#[derive(Debug)]
pub struct Steady {
    file: File,
    stamp: Stamp,
}

impl Steady {
    /// Opens the file at `path`. A pipe is not opened, which would wait for its other end.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(no_file());
        }
        Self::new(File::open(path)?)
    }

    /// The open `file`.
    ///
    /// # Errors
    /// When it is no regular file.
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(no_file());
        }
        Ok(Self { file, stamp: Stamp::of(&metadata) })
    }

    /// What it was when it was opened.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The file itself, for reading without a look whether it changed.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Its bytes from `offset` to the end that it had; whether it changed, [`Steady::check`] says afterwards.
    #[must_use]
    pub const fn section(&self, offset: u64) -> Section<'_> {
        Section::new(&self.file, offset, self.stamp.length)
    }

    /// Fills `room` with what stands at `offset`, in bytes. Several threads may read at once.
    ///
    /// # Errors
    /// [`ReadError::Changed`] if the file changed before the read was over; `room` then holds anything.
    pub fn read_at(&self, offset: u64, room: &mut [u8]) -> Result<(), ReadError> {
        let read = read_exact_at(&self.file, offset, room);
        // A file that was cut short is a changed one, whatever the read says.
        self.check()?;
        Ok(read?)
    }

    /// Looks whether it is what it was.
    ///
    /// # Errors
    /// [`ReadError::Changed`] if not.
    pub fn check(&self) -> Result<(), ReadError> {
        match self.difference()? {
            Difference::None => Ok(()),
            _ => Err(ReadError::Changed),
        }
    }

    /// How it differs from what it was.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn difference(&self) -> io::Result<Difference> {
        let now = Stamp::of(&self.file.metadata()?);
        Ok(match (Stamp { changed: self.stamp.changed, ..now }) {
            _ if now == self.stamp => Difference::None,
            apart_from_that if apart_from_that == self.stamp => Difference::Touched,
            _ => Difference::Content,
        })
    }

    /// The same open file with the stamp that it has now.
    ///
    /// # Errors
    /// When the system has no more room for open files.
    pub fn again(&self) -> io::Result<Self> {
        Self::new(self.file.try_clone()?)
    }
}

fn no_file() -> io::Error {
    io::Error::other("it is no regular file")
}

fn nanos(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

#[cfg(unix)]
fn system(metadata: &Metadata) -> Option<(i64, (u64, u64))> {
    use std::os::unix::fs::MetadataExt;
    let seconds = metadata.ctime().saturating_mul(1_000_000_000);
    let changed = seconds.saturating_add(metadata.ctime_nsec());
    Some((changed, (metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
fn system(_metadata: &Metadata) -> Option<(i64, (u64, u64))> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::fs;

    fn file(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn parts_of_a_file_that_stays() {
        let (_folder, path) = file("content");
        let steady = Steady::open(&path).unwrap();
        let mut room = [0; 4];
        steady.read_at(3, &mut room).unwrap();
        assert_eq!(&room, b"tent");
        assert_eq!(steady.stamp(), Steady::open(&path).unwrap().stamp());
        assert!(matches!(steady.read_at(4, &mut room), Err(ReadError::Io(_))), "too far");
    }

    #[test]
    fn whatever_changes_it_is_seen() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 3] = [
            ("cut", |path| File::options().write(true).open(path).unwrap().set_len(2).unwrap()),
            ("grown", |path| fs::write(path, "content and more").unwrap()),
            ("another time", |path| {
                let file = File::options().write(true).open(path).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(1_000)).unwrap();
            }),
        ];
        for (name, change) in changes {
            let (_folder, path) = file("content");
            let steady = Steady::open(&path).unwrap();
            change(&path);
            let read = steady.read_at(0, &mut [0; 2]);
            assert!(matches!(read, Err(ReadError::Changed)), "{name}: {read:?}");
        }
    }

    /// As programs do that edit the names in a song and keep its date.
    #[cfg(unix)]
    #[test]
    fn a_time_that_was_set_back_deceives_nobody() {
        let (_folder, path) = file("content");
        let steady = Steady::open(&path).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        fs::write(&path, "CONTENT").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(matches!(steady.check(), Err(ReadError::Changed)));
    }

    #[cfg(unix)]
    #[test]
    fn another_name_and_other_permissions_are_told_from_another_content() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, path) = file("content");
        let steady = Steady::open(&path).unwrap();
        assert_eq!(steady.difference().unwrap(), Difference::None);
        std::thread::sleep(Duration::from_millis(30));
        fs::rename(&path, folder.path().join("new")).unwrap();
        fs::set_permissions(folder.path().join("new"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(steady.difference().unwrap(), Difference::Touched);
        assert_eq!(steady.again().unwrap().difference().unwrap(), Difference::None);
        fs::write(folder.path().join("new"), "longer content").unwrap();
        assert_eq!(steady.difference().unwrap(), Difference::Content);
    }

    #[test]
    fn another_file_under_the_name_has_another_stamp() {
        let (folder, path) = file("content");
        let before = Steady::open(&path).unwrap();
        fs::write(folder.path().join("new"), "another").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(Steady::open(&path).unwrap().stamp(), before.stamp());
    }

    #[test]
    fn a_change_just_now_is_not_settled() {
        let (_folder, path) = file("content");
        let stamp = Steady::open(&path).unwrap().stamp();
        assert!(!stamp.is_settled(SystemTime::now()));
        assert!(stamp.is_settled(SystemTime::now() + Duration::from_secs(4)));
    }

    /// What programs say of its date does not count: a date to come would never be over.
    #[cfg(unix)]
    #[test]
    fn a_file_dated_to_come_is_settled_all_the_same() {
        let (_folder, path) = file("content");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1_000)).unwrap();
        let stamp = Steady::open(&path).unwrap().stamp();
        assert!(stamp.is_settled(SystemTime::now() + Duration::from_secs(4)));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Steady::open(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        assert!(Steady::open(&pipe).is_err(), "and it does not wait");
    }
}
