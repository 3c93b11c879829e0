//! A file that is being written, and not yet what it is to be: under a name of its own, until it gets its place or
//! nobody needs a name for it any more.

use core::time::Duration;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Dropped before it is published it loses its name; who has its file open may go on using it.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: Option<PathBuf>,
}

/// Ends the names of drafts.
const ENDING: &str = "draft";
/// A draft that was not written to for so long is nobody's any more.
const AGE_MAX: Duration = Duration::from_secs(3_600);

impl Draft {
    /// An empty one in `folder`. Only its owner may read it.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::open(options, folder.join(format!("{:08x}.{ENDING}", crate::random::u32())))
    }

    /// An empty one in the folder of `place`, hidden there, for whoever may read what its owner writes.
    pub(super) fn beside(place: &Path) -> io::Result<Self> {
        let name = format!(".{:08x}.ropewalk-{ENDING}", crate::random::u32());
        Self::open(File::options(), place.with_file_name(name))
    }

    fn open(mut options: fs::OpenOptions, path: PathBuf) -> io::Result<Self> {
        let file = options.read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { file, path: Some(path) })
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its place, instead of whatever was there before.
    pub(super) fn publish(mut self, place: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            fs::rename(path, place)?;
        }
        self.path = None;
        Ok(())
    }

    /// Gives it its place, unless something is there.
    pub(super) fn publish_new(self, place: &Path) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        match fs::hard_link(path, place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // No hard links on this file system: the rename is as good, but for a race.
            Err(_) if !fs::exists(place)? => self.publish(place),
            linked => linked,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed now is swept later.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the drafts in `folder` whose makers were killed.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_draft = entry.path().extension().is_some_and(|ending| ending == ENDING);
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if is_draft && age.is_some_and(|age| age > AGE_MAX) {
            // Another process may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};
    use std::time::SystemTime;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_seen_only_when_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        fs::write(&place, "old").unwrap();
        let draft = Draft::create(folder.path()).unwrap();
        draft.file().write_all(b"new").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"old");
        draft.publish(&place).unwrap();
        assert_eq!(
            (names(folder.path()), fs::read(&place).unwrap()),
            (vec!["place".into()], b"new".to_vec())
        );
    }

    #[test]
    fn a_new_one_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        for (content, taken) in [(b"one", false), (b"two", true)] {
            let draft = Draft::beside(&place).unwrap();
            draft.file().write_all(content).unwrap();
            assert_eq!(draft.publish_new(&place).is_err(), taken);
        }
        let kept = fs::read(&place).unwrap();
        assert_eq!((names(folder.path()), kept), (vec!["place".into()], b"one".to_vec()));
    }

    #[test]
    fn dropped_it_has_no_name_but_is_there_for_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::create(folder.path()).unwrap();
        draft.file().write_all(b"content").unwrap();
        let mut held = draft.file().try_clone().unwrap();
        drop(draft);
        assert!(names(folder.path()).is_empty());
        let mut text = String::new();
        held.rewind().unwrap();
        held.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
    }

    #[test]
    fn those_of_killed_makers_are_swept_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        for (name, age) in [("old.draft", 7_200), ("new.draft", 60), ("old.tree", 7_200)] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        sweep(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["new.draft", "old.tree"]);
    }
}
