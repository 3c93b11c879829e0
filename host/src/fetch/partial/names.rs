//! The names of a file under way and of its journal, under which the next `get` finds them again: that of the target with a dot
//! before it and `.ropewalk-get` behind it.

use crate::fetch::reserved::{JOURNAL_TAIL, TAIL};
use crate::transfer::safe_path::NAME_BYTES_MAX;

/// The names of a target's file under way and of its journal.
pub(super) fn of(target: &str) -> [String; 2] {
    // What is cut off must still tell two names apart.
    let room = NAME_BYTES_MAX - 1 - JOURNAL_TAIL.len();
    let stem = if target.len() <= room {
        target.to_owned()
    } else {
        let hash = blake3::hash(target.as_bytes()).to_hex();
        let short = target.split_at(target.floor_char_boundary(room - 17)).0;
        format!("{short}-{}", hash.split_at(16).0)
    };
    [format!(".{stem}{TAIL}"), format!(".{stem}{JOURNAL_TAIL}")]
}
