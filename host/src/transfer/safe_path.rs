//! Where a received file may land: below the output folder, and nowhere else.
//!
//! A path from the wire is parsed once into plain names. The file system is then walked by directory handles, one
//! name at a time, and a symbolic link on the way is refused: what is opened is never decided by a
//! string. (rsync's long list of path escapes, closed in its version 3.5.0, is what this guards against.) The
//! handles are `cap-std`'s, which the system itself keeps from leaving the folder even when a link is planted between a look and its use.

use super::protocol::PATH_BYTES_MAX;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, FileType};
use core::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// No file system that matters takes longer names.
pub const NAME_BYTES_MAX: usize = 255;

/// A path of plain names, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafePath {
    names: Vec<String>,
}

/// Why a path from the wire is none that a file may have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing at all, or nothing between two slashes.
    #[error("it has an empty name")]
    Empty,
    /// It begins at the root.
    #[error("an absolute path leads out of the output folder")]
    Absolute,
    /// `.` or `..`.
    #[error("'.' and '..' lead out of their folder")]
    Dots,
    /// A NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// Not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The path or a name in it.
    #[error("it is too long (a name has at most {NAME_BYTES_MAX} bytes, a path {PATH_BYTES_MAX})")]
    TooLong,
    /// A name that means something else on this system.
    #[error("Windows does not allow this name")]
    Windows,
}

impl SafePath {
    /// The path in `bytes`, names with `/` between them.
    ///
    /// # Errors
    /// When any of its names is not plain.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?;
        if text.starts_with('/') {
            return Err(PathError::Absolute);
        }
        let names = text.split('/').map(|name| check_name(name).map(|()| name.to_owned()));
        Ok(Self { names: names.collect::<Result<_, _>>()? })
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// The names of the folders on the way to it.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.names.iter().take(self.names.len().saturating_sub(1)).map(String::as_str)
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join("/"))
    }
}

fn check_name(name: &str) -> Result<(), PathError> {
    match name {
        "" => Err(PathError::Empty),
        "." | ".." => Err(PathError::Dots),
        _ if name.len() > NAME_BYTES_MAX => Err(PathError::TooLong),
        _ if cfg!(windows) && !fit_for_windows(name) => Err(PathError::Windows),
        _ => Ok(()),
    }
}

/// Drive letters, streams, devices and names that Windows would silently change.
fn fit_for_windows(name: &str) -> bool {
    const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().any(|port| {
        let digit = stem.strip_prefix(port).unwrap_or_default();
        matches!(digit, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    });
    let sign = |sign: char| sign.is_control() || r#"\:*?"<>|"#.contains(sign);
    !name.contains(sign)
        && !name.ends_with(['.', ' '])
        && !numbered
        && !DEVICES.contains(&stem.as_str())
}

/// The output folder.
#[derive(Debug)]
pub struct Root {
    folder: Dir,
}

/// Whether a folder is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made.
    New,
    /// It was there.
    Existed,
}

impl Root {
    /// The folder at `path`, which the user named; made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self { folder: Dir::open_ambient_dir(path, ambient_authority())? })
    }

    /// The folder itself.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn handle(&self) -> io::Result<Dir> {
        self.folder.try_clone()
    }

    /// The folder in which `path` lies.
    ///
    /// # Errors
    /// When a folder on the way is missing, or no folder but a link or a file.
    pub fn parent(&self, path: &SafePath) -> io::Result<Dir> {
        let mut folder = self.folder.try_clone()?;
        for name in path.folders() {
            folder = step(&folder, name)?;
        }
        Ok(folder)
    }

    /// The folder at `path` itself.
    ///
    /// # Errors
    /// As for [`Root::parent`].
    pub fn folder(&self, path: &SafePath) -> io::Result<Dir> {
        step(&self.parent(path)?, path.name())
    }

    /// Opens the regular file at `path` for reading.
    ///
    /// # Errors
    /// As for [`Root::parent`], and when something else is there.
    pub fn read(&self, path: &SafePath) -> io::Result<File> {
        let parent = self.parent(path)?;
        if !parent.symlink_metadata(path.name())?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        // Should it become a link just now: none leads out of its folder.
        Ok(parent.open(path.name())?.into_std())
    }

    /// Makes the folder at `path`, whose own folder must be there, for its owner alone for now.
    ///
    /// # Errors
    /// When something else has its name, or the system refuses.
    pub fn make_folder(&self, path: &SafePath) -> io::Result<Made> {
        let parent = self.parent(path)?;
        let builder = &mut DirBuilder::new();
        #[cfg(unix)]
        cap_std::fs::DirBuilderExt::mode(builder, 0o700);
        match parent.create_dir_with(path.name(), builder) {
            Ok(()) => Ok(Made::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                step(&parent, path.name()).map(|_| Made::Existed)
            }
            Err(error) => Err(error),
        }
    }
}

fn step(folder: &Dir, name: &str) -> io::Result<Dir> {
    let kind = folder.symlink_metadata(name)?.file_type();
    if !kind.is_dir() {
        return Err(not_a_folder(name, kind));
    }
    folder.open_dir(name)
}

fn not_a_folder(name: &str, kind: FileType) -> io::Error {
    let what = if kind.is_symlink() { "a symbolic link" } else { "not a folder" };
    io::Error::new(io::ErrorKind::NotADirectory, format!("{name:?} on its way is {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_are_taken_as_they_are() {
        for path in ["a", "a/b/c", ".hidden", "...", "a b", "ü/文件", "back\\slash"] {
            let parsed = SafePath::parse(path.as_bytes());
            if !cfg!(windows) {
                assert_eq!(parsed.unwrap().to_string(), path);
            }
        }
        let long = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(SafePath::parse(long.as_bytes()).unwrap().name(), long);
    }

    #[test]
    fn each_way_out_is_closed_by_name() {
        let parse = |bytes: &[u8]| SafePath::parse(bytes).unwrap_err();
        assert_eq!(parse(b""), PathError::Empty);
        assert_eq!(parse(b"a//b"), PathError::Empty);
        assert_eq!(parse(b"a/"), PathError::Empty);
        assert_eq!(parse(b"/etc/passwd"), PathError::Absolute);
        assert_eq!(parse(b".."), PathError::Dots);
        assert_eq!(parse(b"a/../../b"), PathError::Dots);
        assert_eq!(parse(b"./a"), PathError::Dots);
        assert_eq!(parse(b"a\0b"), PathError::Nul);
        assert_eq!(parse(b"a\xff"), PathError::NotUtf8);
        assert_eq!(parse(&[b'x'; NAME_BYTES_MAX + 1]), PathError::TooLong);
        assert_eq!(parse("x/".repeat(PATH_BYTES_MAX).as_bytes()), PathError::TooLong);
    }

    #[test]
    fn what_windows_takes_for_something_else() {
        for bad in
            ["c:", "a\\b", "x:stream", "nul", "NUL.txt", "com1.log", "a.", "a ", "a?", "CON "]
        {
            assert!(!fit_for_windows(bad), "{bad:?}");
        }
        for good in ["console", "com", "com10", "a.txt", "ü"] {
            assert!(fit_for_windows(good), "{good:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_not_followed() {
        let (outside, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link =
            |to: &Path, name: &str| std::os::unix::fs::symlink(to, out.path().join(name)).unwrap();
        std::fs::create_dir(out.path().join("inside")).unwrap();
        link(outside.path(), "out");
        link(Path::new("inside"), "in");
        let root = Root::open(out.path()).unwrap();
        for path in ["out/file", "in/file", "out/deep/file"] {
            let error = root.parent(&SafePath::parse(path.as_bytes()).unwrap()).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{path}: {error}");
        }
        let made = root.make_folder(&SafePath::parse(b"out/folder").unwrap());
        assert!(made.is_err() && root.make_folder(&SafePath::parse(b"out").unwrap()).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_is_made_once_and_not_over_a_file() {
        let out = tempfile::tempdir().unwrap();
        let root = Root::open(&out.path().join("new")).unwrap();
        let path = |text: &str| SafePath::parse(text.as_bytes()).unwrap();
        assert_eq!(root.make_folder(&path("a")).unwrap(), Made::New);
        assert_eq!(root.make_folder(&path("a")).unwrap(), Made::Existed);
        assert_eq!(root.make_folder(&path("a/b")).unwrap(), Made::New);
        assert!(root.make_folder(&path("missing/b")).is_err());
        std::fs::write(out.path().join("new/file"), "").unwrap();
        assert!(root.make_folder(&path("file")).is_err());
        assert!(root.make_folder(&path("file/b")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_taken_has_plain_names_only(bytes in "[a./\\\\\u{0}ü]{0,12}") {
            if let Ok(path) = SafePath::parse(bytes.as_bytes()) {
                for name in path.folders().chain([path.name()]) {
                    let plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
                    prop_assert!(plain, "{name:?}");
                }
            }
        }
    }
}
