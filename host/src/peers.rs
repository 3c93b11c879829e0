//! Known peers: who may connect, and by which name we call them. A TOML file that a person may edit:
//!
//! ```toml
//! [peers.attic]
//! key = "…55 characters that `ropewalk id` printed there…"
//! addresses = ["192.168.1.20:4433", "attic.example:4433"]
//! ```

use crate::home::{Home, HomeError};
use crate::key_text::{self, KeyTextError};
use crate::place::{Place, PlaceError};
use ropewalk_core::id::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "peers.toml";
const NAME_BYTES_MAX: usize = 64;

/// A known peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: PublicKey,
    /// Where it was told to be; may be empty for a peer that only ever dials us.
    pub addresses: Vec<Place>,
}

/// The known peers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    by_name: BTreeMap<String, Peer>,
}

/// Why the list of peers could not be read or changed. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The file itself.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The file is not what we write.
    #[error("{file} cannot be understood: {cause}; correct it, or move it away")]
    Syntax {
        /// The file.
        file: String,
        /// What the reader says.
        cause: String,
    },
    /// No such name.
    #[error("no peer is called {0:?}; `ropewalk peers list` shows who is known")]
    UnknownName(String),
    /// The name is taken.
    #[error("a peer called {0:?} is known already; remove or rename it first")]
    NameTaken(String),
    /// The key is known by another name.
    #[error("this key is known already, as {0:?}")]
    KeyTaken(String),
    /// Not a name.
    #[error(
        "{0:?} cannot be a peer's name: up to {NAME_BYTES_MAX} letters, digits, '.', '_' and '-', a letter or digit first, and not like a ticket or a key"
    )]
    BadName(String),
    /// Not a key.
    #[error(transparent)]
    Key(#[from] KeyTextError),
    /// Not an address.
    #[error(transparent)]
    Address(#[from] PlaceError),
}

impl Peers {
    /// Where they are listed.
    #[must_use]
    pub fn path(home: &Home) -> std::path::PathBuf {
        home.path(FILE)
    }

    /// The peers listed in `home`; none, if there is no list.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn load(home: &Home) -> Result<Self, PeersError> {
        let Some(text) = home.read(FILE)? else { return Ok(Self::default()) };
        parse(&text).map_err(|cause| {
            let file = home.path(FILE).display().to_string();
            PeersError::Syntax { file, cause: cause.trim().replace('\n', " ") }
        })
    }

    /// Writes the list to `home`.
    ///
    /// # Errors
    /// When the file cannot be written; it is as it was then.
    pub fn save(&self, home: &Home) -> Result<(), PeersError> {
        Ok(home.write(FILE, &render(self))?)
    }

    /// Every peer, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Peer)> {
        self.by_name.iter().map(|(name, peer)| (name.as_str(), peer))
    }

    /// The peer called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Peer> {
        self.by_name.get(name)
    }

    /// What we call the node with this key.
    #[must_use]
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        self.iter().find(|(_, peer)| peer.key == *key).map(|(name, _)| name)
    }

    /// Lets `peer` connect, and calls it `name`. Said again for the same key, its addresses are
    /// those said last.
    ///
    /// # Errors
    /// When the name is no name or another peer's, or the key has another name.
    pub fn trust(&mut self, name: &str, peer: Peer) -> Result<(), PeersError> {
        check_name(name)?;
        if let Some(other) = self.name_of(&peer.key)
            && other != name
        {
            return Err(PeersError::KeyTaken(other.into()));
        }
        if self.find(name).is_some_and(|known| known.key != peer.key) {
            return Err(PeersError::NameTaken(name.into()));
        }
        self.by_name.insert(name.into(), peer);
        Ok(())
    }

    /// Calls the peer `from` by the name `to` from now on.
    ///
    /// # Errors
    /// When there is no `from`, or `to` is taken or no name.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), PeersError> {
        check_name(to)?;
        if self.by_name.contains_key(to) {
            return Err(PeersError::NameTaken(to.into()));
        }
        let peer = self.remove(from)?;
        self.by_name.insert(to.into(), peer);
        Ok(())
    }

    /// Forgets the peer `name`; it may not connect any more without a ticket.
    ///
    /// # Errors
    /// When there is no such peer.
    pub fn remove(&mut self, name: &str) -> Result<Peer, PeersError> {
        self.by_name.remove(name).ok_or_else(|| PeersError::UnknownName(name.into()))
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    peers: BTreeMap<String, PeerForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerForm {
    key: String,
    #[serde(default)]
    addresses: Vec<String>,
}

fn parse(text: &str) -> Result<Peers, String> {
    let form: FileForm = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut peers = Peers::default();
    for (name, form) in form.peers {
        let peer = form.understand().map_err(|error| format!("peer {name:?}: {error}"))?;
        peers.trust(&name, peer).map_err(|error| error.to_string())?;
    }
    Ok(peers)
}

fn render(peers: &Peers) -> String {
    let form = |peer: &Peer| PeerForm {
        key: key_text::format(&peer.key),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
    };
    let peers = peers.iter().map(|(name, peer)| (name.to_owned(), form(peer))).collect();
    toml::to_string(&FileForm { peers }).expect("names, keys and addresses are TOML strings")
}

impl PeerForm {
    fn understand(&self) -> Result<Peer, PeersError> {
        let addresses = self.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Peer { key: key_text::parse(&self.key)?, addresses })
    }
}

/// A name must not be taken for a ticket, a file or a key on the command line.
fn check_name(name: &str) -> Result<(), PeersError> {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '_' | '-');
    let good = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(plain)
        && !crate::ticket::looks_like_one(name)
        && key_text::parse(name).is_err();
    if good { Ok(()) } else { Err(PeersError::BadName(name.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> Peer {
        let addresses = vec!["10.0.0.1:7".parse().unwrap(), "[::1]:8".parse().unwrap()];
        Peer { key: PublicKey([number; 32]), addresses }
    }

    #[test]
    fn the_list_survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert_eq!(Peers::load(&home).unwrap(), Peers::default());
        let mut peers = Peers::default();
        peers.trust("attic", peer(1)).unwrap();
        peers.trust("boat-2.local", Peer { key: PublicKey([2; 32]), addresses: vec![] }).unwrap();
        peers.save(&home).unwrap();
        assert_eq!(Peers::load(&home).unwrap(), peers);
    }

    #[test]
    fn a_name_and_a_key_belong_to_one_peer() {
        let mut peers = Peers::default();
        peers.trust("attic", peer(1)).unwrap();
        assert!(matches!(peers.trust("attic", peer(2)), Err(PeersError::NameTaken(_))));
        assert!(matches!(peers.trust("cellar", peer(1)), Err(PeersError::KeyTaken(_))));
        peers.trust("attic", Peer { addresses: vec![], ..peer(1) }).unwrap();
        assert!(peers.find("attic").unwrap().addresses.is_empty(), "the word said last");
        peers.rename("attic", "cellar").unwrap();
        assert_eq!(peers.name_of(&PublicKey([1; 32])), Some("cellar"));
        assert!(matches!(peers.rename("attic", "roof"), Err(PeersError::UnknownName(_))));
        peers.remove("cellar").unwrap();
        assert!(matches!(peers.remove("cellar"), Err(PeersError::UnknownName(_))));
    }

    #[test]
    fn a_name_cannot_be_taken_for_something_else() {
        for bad in ["", "-x", "@file", "a b", "a@b", "a/b", "ü", "rope1abc", &"x".repeat(65)] {
            assert!(matches!(check_name(bad), Err(PeersError::BadName(_))), "{bad:?}");
        }
        assert!(check_name(&key_text::format(&PublicKey([7; 32]))).is_err());
        assert!(check_name("rope").is_ok());
    }

    #[test]
    fn a_damaged_list_is_named_with_its_peer() {
        let error = parse("[peers.attic]\nkey = 'abc'\n").unwrap_err();
        assert!(error.contains("attic") && error.contains("55 characters"), "{error}");
        assert!(parse("[peers.attic]\nkee = 'abc'\n").is_err());
        assert!(parse("nonsense").is_err());
    }
}
