//! What there is to send: the files and folders that the user named, and all that is in them, each
//! folder's in the order of their names.
//!
//! A path on the wire begins with the last name of what the user named: `send /var/log` sends `log/…`.
//! A home of ropewalk inside a folder is left out, and said: whoever has its secret key is that node.
//! Symbolic links inside folders are not followed but left out, and said; one that the user named himself is followed.

use super::protocol::{Attributes, Modified};
use super::shown;
use crate::identity::Identity;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// One step of the walk. A folder's content stands between `Folder` and `FolderEnd`.
#[derive(Debug)]
pub enum Step {
    /// A folder begins.
    Folder {
        /// Its path on the wire.
        path: String,
    },
    /// The innermost folder ends.
    FolderEnd(Attributes),
    /// A regular file.
    File {
        /// Its path on the wire.
        path: String,
        /// Where it is.
        origin: PathBuf,
    },
    /// Something that is not sent.
    LeftOut {
        /// Its path, fit to be shown.
        path: String,
        /// Why.
        reason: String,
        /// Whether the user would expect it to be sent.
        failed: bool,
    },
}

/// Whether to go on.
pub type GoOn = bool;

/// Walks over `path` and all that is in it; `each` says whether to go on.
pub fn walk(path: &Path, each: &mut dyn FnMut(Step) -> GoOn) -> GoOn {
    let named = fs::metadata(path).and_then(|metadata| Ok((top_name(path)?, metadata)));
    match named {
        Ok((name, metadata)) => visit(name, path, &metadata, each),
        Err(error) => each(left_out(path, error.to_string(), true)),
    }
}

/// Files and bytes below `path`, for a progress bar: what cannot be read counts as nothing.
#[must_use]
pub fn measure(path: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    walk(path, &mut |step| {
        if let Step::File { origin, .. } = step {
            files += 1;
            bytes += fs::metadata(origin).map_or(0, |metadata| metadata.len());
        }
        true
    });
    (files, bytes)
}

/// The attributes to send along.
#[must_use]
pub fn attributes(metadata: &Metadata) -> Attributes {
    Attributes { mode: mode(metadata), modified: metadata.modified().ok().map(Modified::from) }
}

fn visit(
    wire: String,
    path: &Path,
    metadata: &Metadata,
    each: &mut dyn FnMut(Step) -> GoOn,
) -> GoOn {
    if metadata.is_file() {
        return each(Step::File { path: wire, origin: path.into() });
    }
    if !metadata.is_dir() {
        return each(left_out(path, "it is neither a file nor a folder".into(), false));
    }
    each(Step::Folder { path: wire.clone() })
        && content(&wire, path, each)
        && each(Step::FolderEnd(attributes(metadata)))
}

fn content(wire: &str, folder: &Path, each: &mut dyn FnMut(Step) -> GoOn) -> GoOn {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return each(left_out(folder, error.to_string(), true)),
    };
    entries.sort_by_key(DirEntry::file_name);
    entries.into_iter().all(|entry| member(wire, &entry, each))
}

fn member(wire: &str, entry: &DirEntry, each: &mut dyn FnMut(Step) -> GoOn) -> GoOn {
    let path = entry.path();
    let Ok(name) = entry.file_name().into_string() else {
        return each(left_out(&path, "its name is not UTF-8".into(), true));
    };
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => {
            each(left_out(&path, "it is a symbolic link".into(), false))
        }
        Ok(metadata) if metadata.is_dir() && Identity::is_kept_in(&path) => {
            each(left_out(&path, "a node's secret key is kept in it".into(), false))
        }
        Ok(metadata) => visit(format!("{wire}/{name}"), &path, &metadata, each),
        Err(error) => each(left_out(&path, error.to_string(), true)),
    }
}

/// The name by which `path` is known to others.
pub(crate) fn top_name(path: &Path) -> io::Result<String> {
    let absolute;
    let name = match path.file_name() {
        Some(name) => name,
        // `.`, `..` and the like: the name of the folder that is meant.
        None => {
            absolute = path.canonicalize()?;
            absolute
                .file_name()
                .ok_or_else(|| io::Error::other("the root folder has no name to send it by"))?
        }
    };
    name.to_str().map(str::to_owned).ok_or_else(|| io::Error::other("its name is not UTF-8"))
}

fn left_out(path: &Path, reason: String, failed: bool) -> Step {
    Step::LeftOut { path: shown(&path.to_string_lossy()), reason, failed }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777)
}

#[cfg(not(unix))]
fn mode(_metadata: &Metadata) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(path: &Path) -> Vec<String> {
        let mut steps = Vec::new();
        walk(path, &mut |step| {
            steps.push(match step {
                Step::Folder { path } => format!("+{path}"),
                Step::FolderEnd(_) => "-".into(),
                Step::File { path, .. } => path,
                Step::LeftOut { reason, failed, .. } => format!("!{failed} {reason}"),
            });
            true
        });
        steps
    }

    #[test]
    fn folders_enclose_what_is_in_them_in_order() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir_all(top.join("b/deep")).unwrap();
        for name in ["c", "a", "b/x", "b/deep/y"] {
            fs::write(top.join(name), name).unwrap();
        }
        let expected = [
            "+top",
            "top/a",
            "+top/b",
            "+top/b/deep",
            "top/b/deep/y",
            "-",
            "top/b/x",
            "-",
            "top/c",
            "-",
        ];
        assert_eq!(walked(&top), expected);
        assert_eq!(walked(&top.join("a")), ["a"]);
        assert_eq!(walked(&top.join("b").join("..").join("b")).len(), 6);
        assert_eq!(walked(&top.join("b").join(".."))[0], "+top");
        assert_eq!(measure(&top), (4, 1 + 1 + 3 + 8));
    }

    #[test]
    fn the_home_of_a_node_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir_all(top.join("docs")).unwrap();
        fs::write(top.join("docs/identity.key"), "what the word means").unwrap();
        #[cfg(unix)]
        {
            fs::create_dir(top.join("endless")).unwrap();
            std::os::unix::fs::symlink("/dev/zero", top.join("endless/identity.key")).unwrap();
            assert!(!Identity::is_kept_in(&top.join("endless")));
            fs::remove_dir_all(top.join("endless")).unwrap();
        }
        let home = crate::home::Home::at(top.join("home"));
        Identity::load_or_create(&home).unwrap();
        let steps = walked(&top);
        assert_eq!(steps[..4], ["+top", "+top/docs", "top/docs/identity.key", "-"]);
        assert!(steps[4].starts_with("!false") && steps.len() == 6, "{steps:?}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let root = tempfile::tempdir().unwrap();
        let steps = walked(&root.path().join("missing"));
        assert!(steps.len() == 1 && steps[0].starts_with("!true"), "{steps:?}");
    }

    #[cfg(unix)]
    #[test]
    fn links_inside_are_left_out_and_one_that_was_named_is_followed() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir(&top).unwrap();
        fs::write(top.join("file"), "").unwrap();
        symlink("file", top.join("link")).unwrap();
        symlink("top", root.path().join("alias")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap();
        let steps = walked(&root.path().join("alias"));
        assert_eq!(steps[..2], ["+alias", "alias/file"]);
        assert!(steps[2].starts_with("!false") && steps[3].starts_with("!false"), "{steps:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf8_is_said_and_the_rest_goes_on() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let steps = walked(root.path());
        assert!(steps[1].starts_with("!true") && steps[2].ends_with("/b"), "{steps:?}");
    }
}
