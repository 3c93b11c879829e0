//! The names of known peers, for whoever draws them many times a second: the list is read when it has changed.

use crate::home::Home;
use crate::peers::Peers;
use ropewalk_core::id::PublicKey;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The list as it was last read.
struct Read {
    path: PathBuf,
    stamp: Stamp,
    peers: Peers,
}

/// When the file changed, and its length; nothing, if there is none.
type Stamp = Option<(SystemTime, u64)>;

static READ: Mutex<Option<Read>> = Mutex::new(None);

/// The name that a peer is known by in `home`.
pub(super) fn of(home: &Home, peer: &PublicKey) -> Option<String> {
    let path = Peers::path(home);
    let stamp = stamp(&path);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if read.as_ref().is_none_or(|read| read.path != path || read.stamp != stamp) {
        *read = Some(Read { path, stamp, peers: Peers::load(home).unwrap_or_default() });
    }
    read.as_ref().and_then(|read| read.peers.name_of(peer).map(str::to_owned))
}

fn stamp(path: &Path) -> Stamp {
    let there = std::fs::metadata(path).ok()?;
    Some((there.modified().ok()?, there.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_text;

    #[test]
    fn a_name_that_changes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let peer = PublicKey([7; 32]);
        assert_eq!(of(&home, &peer), None);
        let key = key_text::format(&peer);
        for name in ["attic", "cellar"] {
            let text = format!("[peers.{name}]\nkey = \"{key}\"\naddresses = []\n");
            std::fs::write(Peers::path(&home), text).unwrap();
            assert_eq!(of(&home, &peer).as_deref(), Some(name));
            assert_eq!(of(&home, &peer).as_deref(), Some(name), "as it was read");
        }
        assert_eq!(of(&Home::at(folder.path().join("other")), &peer), None);
    }
}
