//! SOURCE on the command line: a peer, a mirror, a file of hashes, or a file with more of them.

use crate::cli::exit::{Code, Failure};
use crate::content::sidecar::SUFFIX;
use crate::get::mirror::Mirror;
use crate::get::mirror::address::Address;
use crate::get::source::{Source, Way};
use crate::home::Home;
use crate::key_text;
use crate::peer::{PeerAddress, PeerError};
use crate::peers::Peers;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A file with sources in it is not longer.
const SOURCES_BYTES_MAX: u64 = 1 << 20;

/// What the command line names, each source once, and no two called alike: of peers the key says which is which.
pub(super) fn sources(words: &[String], home: &Home) -> Result<Vec<Source>, Failure> {
    let peers = Peers::load(home).unwrap_or_default();
    let mut sources = Vec::new();
    for word in words {
        match word.strip_prefix('@') {
            None => sources.push(source(word, home, &peers)?),
            Some(file) => {
                for line in lines_of(Path::new(file))? {
                    let named = source(&line, home, &peers);
                    let named = named.map_err(|failure| {
                        Failure::new(failure.code, format!("{file}: {}", failure.message))
                    });
                    sources.push(named?);
                }
            }
        }
    }
    tell_apart(&mut sources);
    Ok(sources)
}

/// Servers on one machine are at one address, say, before anything is known of their ports.
fn tell_apart(sources: &mut [Source]) {
    let mut first = BTreeMap::<Arc<str>, usize>::new();
    let mut clashes = BTreeSet::new();
    for (at, source) in sources.iter().enumerate() {
        let before = *first.entry(Arc::clone(&source.name)).or_insert(at);
        if before != at && !is_same(&sources[before].way, &source.way) {
            clashes.insert(Arc::clone(&source.name));
        }
    }
    for source in sources.iter_mut().filter(|source| clashes.contains(&source.name)) {
        if let Way::Peer(peer) = &source.way {
            source.name = format!("{} ({}…)", source.name, key_text::short(&peer.key)).into();
        }
    }
}

/// Whether both are one source, named twice.
fn is_same(one: &Way, other: &Way) -> bool {
    matches!((one, other), (Way::Peer(one), Way::Peer(other)) if one.key == other.key)
}

fn lines_of(file: &Path) -> Result<Vec<String>, Failure> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|file| file.take(SOURCES_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|cause| Failure::from(PeerError::File { path: file.into(), cause }))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Failure::usage(format!("{} names no source", file.display())));
    }
    Ok(lines)
}

pub(super) fn source(word: &str, home: &Home, peers: &Peers) -> Result<Source, Failure> {
    if Address::is_one(word) {
        let address = Address::parse(word).map_err(Failure::usage)?;
        let mirror = Mirror::new(&address, &home.trees()).map_err(Failure::usage)?;
        return Ok(of_mirror(mirror));
    }
    if word.ends_with(SUFFIX) && Path::new(word).is_file() {
        let mirror = Mirror::hashes_alone(Path::new(word));
        let why = |cause| Failure::new(Code::Failed, format!("{word}: {cause}"));
        return Ok(of_mirror(mirror.map_err(why)?));
    }
    let peer = PeerAddress::parse(word, home)?;
    let name = match (peers.name_of(&peer.key), peer.places.first()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(place)) => place.to_string(),
        (None, None) => format!("{}…", key_text::short(&peer.key)),
    };
    Ok(Source { name: name.into(), way: Way::Peer(peer) })
}

fn of_mirror(mirror: Mirror) -> Source {
    Source { name: mirror.name().into(), way: Way::Mirror(Arc::new(mirror)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_at_one_address_are_called_by_their_keys_too() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let key = |nth: u8| key_text::format(&ropewalk_core::id::PublicKey([nth; 32]));
        let words = [1, 1, 2, 3].map(|nth| {
            let port = if nth == 3 { 8 } else { 7 };
            format!("{}@10.0.0.1:{port}", key(nth))
        });
        let names: Vec<_> = sources(&words, &home).unwrap().into_iter().map(|it| it.name).collect();
        assert_eq!(names[0], names[1], "one source, twice");
        assert!(names[0] != names[2] && names[0].starts_with("10.0.0.1:7 ("), "{names:?}");
        assert_eq!(&*names[3], "10.0.0.1:8");
    }
}
