//! Trees that nobody needs any more: their file is gone, and they were not used for a month.
//!
//! A tree ends with the full path of its file, so that it can be looked whether that is there. That a tree is used is noted in the
//! time of its last change. Nothing depends on either: a tree that is removed too early is built again.

use super::{HEAD_BYTES, Head, Shape};
use crate::content::piece::Pieces;
use crate::content::position::{read_exact_at, write_all_at};
use core::time::Duration;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Ends the names of trees.
pub(super) const ENDING: &str = "tree";
/// For how long the tree of a file that is gone is kept.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How often it is noted that a tree is used.
const NOTE_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// No system has longer paths.
const PATH_BYTES_MAX: u64 = 64 << 10;

/// Writes the path behind the hashes. One that is not UTF-8 is left out: then the file counts as gone.
pub(super) fn write_path(tree: &File, shape: Shape, full: &Path) -> io::Result<()> {
    let path = full.to_str().unwrap_or_default();
    write_all_at(tree, path_at(shape), path.as_bytes())
}

/// The tree is used.
pub(super) fn note_use(tree: &File) {
    if tree.metadata().is_ok_and(|there| is_older(&there, NOTE_EVERY)) {
        // Where that is not allowed, it is built again once a month.
        let _ = tree.set_modified(SystemTime::now());
    }
}

/// Removes what nobody needs any more.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_tree = path.extension().is_some_and(|ending| ending == ENDING);
        let is_old = || entry.metadata().is_ok_and(|there| is_older(&there, AGE_MAX));
        if is_tree && is_old() && !is_needed(&path) {
            // Another process may have been faster.
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

fn is_older(there: &Metadata, age: Duration) -> bool {
    let since = there.modified().ok().and_then(|changed| changed.elapsed().ok());
    since.is_some_and(|since| since > age)
}

/// Whether the file of the tree is there, or that cannot be said.
fn is_needed(tree: &Path) -> bool {
    let path = File::open(tree).and_then(|tree| read_path(&tree));
    path.ok().flatten().is_some_and(|path| fs::exists(path).unwrap_or(true))
}

fn read_path(tree: &File) -> io::Result<Option<PathBuf>> {
    let Some(head) = Head::read(tree)? else { return Ok(None) };
    let Some(pieces) = Pieces::of(head.stamp.length) else { return Ok(None) };
    let at = path_at(Shape::new(pieces));
    let length = tree.metadata()?.len().saturating_sub(at);
    if length == 0 || length > PATH_BYTES_MAX {
        return Ok(None);
    }
    let mut path = vec![0; length as usize];
    read_exact_at(tree, at, &mut path)?;
    Ok(String::from_utf8(path).ok().map(PathBuf::from))
}

fn path_at(shape: Shape) -> u64 {
    HEAD_BYTES as u64 + shape.tree_bytes()
}
