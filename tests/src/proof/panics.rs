//! Names the panics that are left in an image.
//!
//! Every call of a panic carries a `core::panic::Location`: the file's name, its length, a line
//! and a column. In an image from which all that cannot be reached was removed, the locations
//! among the constants are the panics that can be.

use super::image::Image;
use super::thumb;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Every location in the image, as `file:line:column`.
#[must_use]
pub fn locations(image: &Image) -> BTreeSet<String> {
    let (_, bytes) = &image.constants;
    bytes.windows(16).step_by(4).filter_map(|record| location(image, record)).collect()
}

/// The calls of the panic machinery: for each, what is called, and the lines that led there, from
/// the innermost of the functions that were merged into one to the outermost.
///
/// # Errors
/// If the file holds no debug information.
pub fn calls(image: &Image, file: &Path) -> io::Result<Vec<Call>> {
    let loader =
        addr2line::Loader::new(file).map_err(|error| io::Error::other(error.to_string()))?;
    let mut calls = Vec::new();
    for branch in thumb::branches(image) {
        let Some(target) = branch.target.and_then(|target| image.functions.get(&target)) else {
            continue;
        };
        let from = image.function_at(branch.from);
        if is_panic(&target.name) && !from.is_some_and(|from| is_panic(&from.name)) {
            let lines = lines(&loader, branch.from).unwrap_or_default();
            calls.push(Call { panic: target.name.clone(), lines });
        }
    }
    Ok(calls)
}

/// A call that ends in a panic.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub panic: String,
    /// From where, innermost first.
    pub lines: Vec<String>,
}

fn lines(loader: &addr2line::Loader, address: u32) -> Option<Vec<String>> {
    let mut frames = loader.find_frames(address.into()).ok()?;
    let mut lines = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        if let Some(place) = frame.location {
            let (file, line) = (place.file.unwrap_or("?"), place.line.unwrap_or(0));
            lines.push(format!("{file}:{line}"));
        }
    }
    Some(lines)
}

fn is_panic(name: &str) -> bool {
    name.contains("panicking::") || name.contains("rust_begin_unwind") || name.ends_with("_fail")
}

fn location(image: &Image, record: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u32::from_le_bytes(*record.get(at..)?.first_chunk()?));
    let (name, len, line, column) = (word(0)?, word(4)?, word(8)?, word(12)?);
    let (start, bytes) = &image.constants;
    let from = usize::try_from(name.checked_sub(*start)?).ok()?;
    let name = bytes.get(from..)?.get(..usize::try_from(len).ok()?)?;
    let name = core::str::from_utf8(name).ok().filter(|name| name.ends_with(".rs"))?;
    (line > 0 && line < 100_000 && column > 0).then(|| format!("{name}:{line}:{column}"))
}
