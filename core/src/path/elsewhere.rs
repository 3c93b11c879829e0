//! Which path carries what should not share the fate of something sent before: a repair symbol
//! goes on another path than the packet it may have to replace, since losses come in bursts and a
//! dead path takes everything with it.

use super::schedule::Candidate;
use crate::time::Instant;

/// The path that delivers first among those that may send now, rather another than `avoid`.
#[must_use]
pub fn elsewhere(candidates: &[Candidate], avoid: Option<usize>, now: Instant) -> Option<usize> {
    let ready = candidates.iter().filter(|path| path.is_ready());
    ready.min_by_key(|path| (Some(path.index) == avoid, path.floor(now))).map(|path| path.index)
}
