//! The configuration folder: where this node's key, its known peers and its tickets' secret live.
//!
//! `ROPEWALK_HOME` moves it; otherwise it is where the system keeps such things:
//! `$XDG_CONFIG_HOME/ropewalk` or `~/.config/ropewalk`, `~/Library/Application Support/ropewalk` on
//! macOS, `%APPDATA%\ropewalk` on Windows. It is made on first use, for its owner alone.
//!
//! Files in it are written whole under a temporary name and renamed, so that two commands at once never read half a file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// No file here is longer; what is longer was not written by us.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The configuration folder.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

/// Why the configuration folder or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// No variable says where it is.
    #[error("there is no home folder to keep the key in; set ROPEWALK_HOME to a folder of yours")]
    Nowhere,
    /// The system refused.
    #[error("cannot {verb} {path}: {cause}{}", next_step(cause, path))]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Others may read a file that must be secret.
    #[error("{path} can be read by others (mode {mode:03o}); it must be yours alone: chmod 600 '{path}'", path = path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {what}; move it away, and a new one is made", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl Home {
    /// The folder that the environment names. It need not exist yet.
    ///
    /// # Errors
    /// When nothing in the environment says where it is.
    pub fn from_environment() -> Result<Self, HomeError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        locate(set, std::env::home_dir()).map(Self::at).ok_or(HomeError::Nowhere)
    }

    /// The folder `folder`. It need not exist yet.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The path of the file `name` in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of the hashes of files that are offered ([`crate::content::outboard::Trees`]).
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.path("trees")
    }

    /// The text of the file `name`; `None` if there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, HomeError> {
        self.read_checked(name, false)
    }

    /// The text of the file `name`, which must be its owner's alone; `None` if there is none.
    pub(crate) fn read_secret(&self, name: &str) -> Result<Option<String>, HomeError> {
        self.read_checked(name, true)
    }

    fn read_checked(&self, name: &str, secret: bool) -> Result<Option<String>, HomeError> {
        let path = self.path(name);
        let failed = |cause| HomeError::Io { verb: "read", path: path.clone(), cause };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        };
        if secret {
            check_mode(&file, &path)?;
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Ok(Some(text))
    }

    /// Makes the file `name` hold `text`, for its owner alone, at once or not at all.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), HomeError> {
        let (path, temporary) = self.write_temporary(name, text)?;
        fs::rename(&temporary, &path).map_err(|cause| {
            let _ = fs::remove_file(&temporary);
            HomeError::Io { verb: "write", path, cause }
        })
    }

    /// Makes the file `name` if it is not there yet, and says what it holds then: whoever makes it
    /// first wins, so that two commands started at once agree.
    pub(crate) fn create_secret(&self, name: &str, text: &str) -> Result<String, HomeError> {
        let (path, temporary) = self.write_temporary(name, text)?;
        let linked = fs::hard_link(&temporary, &path);
        if let Err(cause) = linked
            && cause.kind() != io::ErrorKind::AlreadyExists
        {
            // No hard links on this file system: the rename is as good, but for the race.
            let renamed = fs::rename(&temporary, &path);
            renamed.map_err(|cause| HomeError::Io { verb: "write", path, cause })?;
        } else {
            let _ = fs::remove_file(&temporary);
        }
        Ok(self.read_secret(name)?.unwrap_or_default())
    }

    fn write_temporary(&self, name: &str, text: &str) -> Result<(PathBuf, PathBuf), HomeError> {
        self.make()?;
        let path = self.path(name);
        let temporary = self.path(&format!(".{name}.{:08x}", crate::random::u32()));
        let failed = |cause| HomeError::Io { verb: "write", path: temporary.clone(), cause };
        write_new(&temporary, text).map_err(failed)?;
        Ok((path, temporary))
    }

    /// The file `name`, made if it is not there and locked until it is dropped or the process ends; `None` if
    /// another process has it.
    pub(crate) fn lock(&self, name: &str) -> Result<Option<File>, HomeError> {
        self.make()?;
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file =
            options.open(&path).map_err(|cause| HomeError::Io { verb: "open", path, cause })?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks is no reason to refuse.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
        }
    }

    fn make(&self) -> Result<(), HomeError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let path = self.folder.clone();
        builder.create(&path).map_err(|cause| HomeError::Io { verb: "make", path, cause })
    }
}

/// Makes the file at `path` hold `text`, for its owner alone whatever it was before, at once or not at all. What is no
/// regular file, as a pipe, is written into.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    if is_special {
        return OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
    }
    // Where a link leads to is written, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:08x}", crate::random::u32()));
    let renamed = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
        // One that is mounted, or lies in a folder that is not ours, can be written all the same.
        if path.is_file() {
            return write_over(&path, text);
        }
    }
    renamed
}

fn write_over(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.set_len(0)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}

fn locate(set: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    if let Some(folder) = set("ROPEWALK_HOME") {
        return Some(folder.into());
    }
    let base = if cfg!(windows) {
        set("APPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library").join("Application Support"))
    } else {
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let configured = set("XDG_CONFIG_HOME").map(PathBuf::from).and_then(absolute);
        configured.or_else(|| home.map(|home| home.join(".config")))
    };
    base.map(|base| base.join("ropewalk"))
}

#[cfg(unix)]
fn check_mode(file: &File, path: &Path) -> Result<(), HomeError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |cause| HomeError::Io { verb: "read", path: path.into(), cause };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(HomeError::TooOpen { path: path.into(), mode }) }
}

/// Elsewhere the folder's own access list keeps others out.
#[cfg(not(unix))]
fn check_mode(_file: &File, _path: &Path) -> Result<(), HomeError> {
    Ok(())
}

fn next_step(cause: &io::Error, path: &Path) -> String {
    let path = path.display();
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "; make it yours (chown \"$USER\" '{path}') or set ROPEWALK_HOME to another folder"
            )
        }
        io::ErrorKind::InvalidData => format!("; move '{path}' away, and a new one is made"),
        _ => "; set ROPEWALK_HOME to use another folder".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_private_is_so_whatever_was_there_before() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticket");
        fs::write(&path, "old and long").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("ticket", folder.path().join("link")).unwrap();
        write_private(&folder.path().join("link"), "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_over(&path, "over").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "over");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write_private(Path::new("/dev/null"), "new").unwrap();
        assert!(write_private(&folder.path().join("no/ticket"), "new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_lock_is_one_owners_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        let first = home.lock("lock").unwrap();
        assert!(first.is_some() && home.lock("lock").unwrap().is_none());
        drop(first);
        assert!(home.lock("lock").unwrap().is_some());
    }

    #[test]
    fn the_variable_moves_the_folder() {
        let set = |name: &str| (name == "ROPEWALK_HOME").then(|| OsString::from("/elsewhere"));
        assert_eq!(locate(set, Some("/home/me".into())), Some("/elsewhere".into()));
        assert_eq!(locate(|_| None, None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_it_the_folder_is_where_the_system_keeps_such() {
        let xdg = |name: &str| (name == "XDG_CONFIG_HOME").then(|| OsString::from("/xdg"));
        assert_eq!(locate(xdg, None), Some("/xdg/ropewalk".into()));
        let relative = |name: &str| (name == "XDG_CONFIG_HOME").then(|| OsString::from("xdg"));
        let usual = Some("/home/me/.config/ropewalk".into());
        assert_eq!(locate(relative, Some("/home/me".into())), usual, "the standard: absolute only");
        assert_eq!(locate(|_| None, Some("/home/me".into())), usual);
    }

    #[test]
    fn a_file_is_made_once_and_the_first_maker_wins() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("deep").join("er"));
        assert!(home.read("key").unwrap().is_none());
        assert_eq!(home.create_secret("key", "one").unwrap(), "one");
        assert_eq!(home.create_secret("key", "two").unwrap(), "one");
        home.write("key", "three").unwrap();
        assert_eq!(home.read_secret("key").unwrap().as_deref(), Some("three"));
        let names: Vec<_> = fs::read_dir(home.path("")).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file stays: {names:?}");
    }
}
