//! Names the panics that are left in an image.
//!
//! Every call of a panic carries a `core::panic::Location`: the file's name, its length, a line
//! and a column. In an image from which all that cannot be reached was removed, the locations
//! among the constants are the panics that can be.

use super::image::Image;
use super::thumb;
use std::collections::{BTreeMap, BTreeSet};

/// Every location in the image, as `file:line:column`.
#[must_use]
pub fn locations(image: &Image) -> BTreeSet<String> {
    let (_, bytes) = &image.constants;
    bytes.windows(16).step_by(4).filter_map(|record| location(image, record)).collect()
}

/// The functions that call the panic machinery, and what of it they call.
#[must_use]
pub fn callers(image: &Image) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut callers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for branch in thumb::branches(image) {
        let Some(target) = branch.target.and_then(|target| image.functions.get(&target)) else {
            continue;
        };
        let Some(from) = image.function_at(branch.from) else { continue };
        if is_panic(&target.name) && !is_panic(&from.name) {
            callers.entry(&from.name).or_default().insert(&target.name);
        }
    }
    callers
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
