//! A mirror as a source: any web server that gives ranges, an object in an S3-compatible store, or a file of hashes on this machine.
//!
//! ```text
//! Asker ── requests ──> desk ──┬─ hashes ──> facts: the sidecar beside it, if there is one
//!                              └─ pieces ──> facts: where? ──> a GET with a range ──> body ──> events
//! ```
//!
//! Whoever drives it sees what he sees of a ropewalk server ([`super::peer`]), but for this: answers come in any order, since each piece
//! is a request of its own and [`CONNECTIONS`] are under way at once; and a mirror has no hashes of its own
//! ([`Asker::gives`](super::peer::Asker::gives)). With a sidecar beside it ([`crate::content::sidecar`]) it lists the item and gives the hashes too, so
//! that no ropewalk server is needed. Without one it gives pieces of what it is told of ([`Mirror::know`]), by hashes from elsewhere.
//!
//! | part | what it is |
//! |---|---|
//! | [`address`] | the text that a person gives, and the places that follow from it |
//! | `store` | the object stores behind it, and what their errors mean |
//! | `body` | the bytes of one answer, as many as were asked for, in time |
//! | [`facts`] | lengths, paths and hashes, without asking anybody |
//! | `look` | fetching the sidecar |
//! | `desk` | requests in, events out |
//!
//! Nothing a mirror sends is believed: pieces are proved by who takes them, and a sidecar by its root.

pub mod address;
pub mod facts;

mod body;
mod desk;
mod look;
mod store;

pub use desk::open;
pub use look::SIDECAR_BYTES_MAX;

use crate::content::sidecar::SidecarError;
use crate::fetch::schedule::Gives;
use crate::serve::protocol::Content;
use crate::transfer::TransferError;
use address::Address;
use facts::Facts;
use object_store::ObjectStore;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Stores;

/// Most requests to one mirror at once; fewer if it does not bear so many.
pub const CONNECTIONS: usize = 4;
/// Works that a mirror had better owe at once: each connection has its next one at hand.
pub const WORKS_MAX: usize = 2 * CONNECTIONS;

/// Whether a mirror that was lost for this does what no mirror should: gives whole files only, or other bytes
/// than those asked for. It will do so again, and is not worth a try every second.
#[must_use]
pub fn is_broken(error: &TransferError) -> bool {
    use std::io::ErrorKind::{InvalidData, Unsupported};
    match error {
        TransferError::Lost(error) => matches!(error.kind(), InvalidData | Unsupported),
        TransferError::Protocol(_) => true,
    }
}

/// A mirror, whatever connections lead to it now.
#[derive(Debug)]
pub struct Mirror {
    name: String,
    /// All of it, with what lets somebody in; none in a store that was given.
    address: Option<Address>,
    /// None for a file of hashes on this machine.
    stores: Option<Stores>,
    scratch: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the item's root.
    facts: HashMap<[u8; 32], Arc<Facts>>,
    /// Whether there is a sidecar beside it is known.
    looked: bool,
    trouble: Option<String>,
}

/// Why an address leads to no mirror.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be a source: {why}")]
pub struct MirrorError {
    name: String,
    why: object_store::Error,
}

impl Mirror {
    /// The one at `address`. Nobody is asked anything yet. A sidecar that is beside it goes into a nameless file in
    /// `scratch`. Settings of S3 come from the environment (`AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID` and so on).
    ///
    /// # Errors
    /// When the address or the settings make no sense.
    pub fn new(address: &Address, scratch: &Path) -> Result<Self, MirrorError> {
        let name = address.to_string();
        // What is no text is no setting.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        match Stores::of(address, variables) {
            Ok(stores) => {
                let address = Some(address.clone());
                Ok(Self { address, ..Self::at(name, Some(stores), scratch) })
            }
            Err(why) => Err(MirrorError { name, why }),
        }
    }

    /// The object, or the folder, at `key` of any store.
    ///
    /// # Errors
    /// When there can be no such key.
    pub fn in_store(
        store: Arc<dyn ObjectStore>,
        key: &str,
        scratch: &Path,
    ) -> Result<Self, MirrorError> {
        let name = format!("{store}/{key}");
        match Stores::within(store, key) {
            Ok(stores) => Ok(Self::at(name, Some(stores), scratch)),
            Err(why) => Err(MirrorError { name, why }),
        }
    }

    /// The sidecar at `path`, which gives hashes, and a folder's manifest, and nothing else. Blocks.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn hashes_alone(path: &Path) -> Result<Self, SidecarError> {
        let mirror = Self::at(path.display().to_string(), None, Path::new(""));
        mirror.know(Facts::sidecar(File::open(path)?)?);
        Ok(mirror)
    }

    fn at(name: String, stores: Option<Stores>, scratch: &Path) -> Self {
        let (name, scratch) = (crate::transfer::shown(&name), scratch.into());
        Self { name, address: None, stores, scratch, known: Mutex::default() }
    }

    /// What to call it, fit to be shown: its URL without what lets somebody in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both are the same place: two names that are shown alike may differ in what lets somebody in.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.address) == (&other.name, &other.address)
    }

    /// From now on it is asked for this item too. What a sidecar tells of an item is not forgotten for less.
    pub fn know(&self, facts: Facts) {
        let mut known = self.lock();
        let root = *facts.item().root().as_bytes();
        if !known.facts.get(&root).is_some_and(|old| old.has_hashes()) {
            known.facts.insert(root, Arc::new(facts));
        }
    }

    /// What it has of this content, as far as one knows.
    #[must_use]
    pub fn gives(&self, of: Content) -> Gives {
        let facts = self.facts(of);
        let hashes = facts.as_ref().is_some_and(|facts| facts.has_hashes());
        let is_manifest =
            matches!(of, Content::Item(_)) && facts.is_some_and(|facts| facts.is_folder());
        // A manifest is no file of the mirror's.
        let pieces = if is_manifest { hashes } else { self.stores.is_some() };
        Gives { hashes, pieces }
    }

    /// What is wrong with the sidecar beside it, if something is: then it is as if there were none.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    fn facts(&self, of: Content) -> Option<Arc<Facts>> {
        let (Content::Item(root) | Content::Entry { folder: root, .. }) = of;
        self.lock().facts.get(&root).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(in crate::get) mod tests;
