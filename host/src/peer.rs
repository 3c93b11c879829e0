//! PEER on a command line: a known name, a ticket, `@FILE` holding a ticket, `KEY@HOST:PORT`, or
//! `KEY@serial` for one at the other end of a serial line.

use crate::home::Home;
use crate::key_text::{self, KeyTextError};
use crate::peers::{Peers, PeersError};
use crate::place::{Place, PlaceError};
use crate::ticket::{self, Secret, Ticket, TicketError, TicketId};
use core::net::SocketAddr;
use ropewalk_core::id::PublicKey;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// A file that holds a ticket is not longer.
const TICKET_FILE_BYTES_MAX: u64 = 16 << 10;

/// A node to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its key.
    pub key: PublicKey,
    /// Where it may be.
    pub places: Vec<Place>,
    /// The ticket that lets us in, if it does not know us.
    pub ticket: Option<(TicketId, Secret)>,
    /// What its ticket is for, if that is one file or folder.
    pub root: Option<blake3::Hash>,
}

/// Why PEER cannot be dialled.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A ticket that is none.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The file with the ticket.
    #[error("cannot read the ticket in {path}: {cause}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file holds no ticket.
    #[error("{path}: {cause}", path = path.display())]
    FileTicket {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: TicketError,
    },
    /// The key before the `@`.
    #[error(transparent)]
    Key(#[from] KeyTextError),
    /// The place after it.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The list of peers.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// A host that cannot be found.
    #[error("{0}; check the name, or give an address")]
    Lookup(io::Error),
}

impl PeerAddress {
    /// What `text` names.
    ///
    /// # Errors
    /// When it is none of these forms, or names nobody known.
    pub fn parse(text: &str, home: &Home) -> Result<Self, PeerError> {
        if let Some(path) = text.strip_prefix('@') {
            return from_file(path.into());
        }
        if ticket::looks_like_one(text) {
            return Ok(text.parse::<Ticket>()?.into());
        }
        if let Some((key, place)) = text.split_once('@') {
            let (key, place) = (key_text::parse(key)?, place.parse()?);
            return Ok(Self { key, places: vec![place], ticket: None, root: None });
        }
        let peers = Peers::load(home)?;
        let peer = peers.find(text).ok_or_else(|| PeersError::UnknownName(text.into()))?;
        Ok(Self { key: peer.key, places: peer.addresses.clone(), ticket: None, root: None })
    }

    /// The addresses to dial. A name that cannot be found is an error only if nothing else is left.
    ///
    /// # Errors
    /// When no address is found at all.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, PeerError> {
        let mut addresses = Vec::new();
        let mut failed = None;
        for place in &self.places {
            match place.resolve().await {
                Ok(found) => addresses.extend(found),
                Err(cause) => failed = Some(cause),
            }
        }
        match failed {
            Some(cause) if addresses.is_empty() => Err(PeerError::Lookup(cause)),
            _ => Ok(addresses),
        }
    }
}

impl From<Ticket> for PeerAddress {
    fn from(ticket: Ticket) -> Self {
        Self {
            key: ticket.key,
            places: ticket.addresses.into_iter().map(Place::from).collect(),
            ticket: Some((ticket.id, ticket.secret)),
            root: ticket.root,
        }
    }
}

fn from_file(path: PathBuf) -> Result<PeerAddress, PeerError> {
    let mut text = String::new();
    let read = File::open(&path)
        .and_then(|file| file.take(TICKET_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Err(cause) => Err(PeerError::File { path, cause }),
        Ok(_) => match text.parse::<Ticket>() {
            Ok(ticket) => Ok(ticket.into()),
            Err(cause) => Err(PeerError::FileTicket { path, cause }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peer;

    fn ticket() -> Ticket {
        let addresses = vec!["10.0.0.1:7".parse().unwrap()];
        Ticket {
            key: PublicKey([1; 32]),
            id: [2; 8],
            secret: [3; 32],
            addresses,
            root: Some([4; 32].into()),
        }
    }

    #[tokio::test]
    async fn every_form() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let text = ticket().to_string();
        let by_ticket = PeerAddress::parse(&text, &home).unwrap();
        assert_eq!(by_ticket.ticket, Some(([2; 8], [3; 32])));
        assert_eq!(by_ticket.root, Some([4; 32].into()));
        assert_eq!(by_ticket.resolve().await.unwrap(), ["10.0.0.1:7".parse().unwrap()]);

        let file = folder.path().join("ticket");
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let by_file = PeerAddress::parse(&format!("@{}", file.display()), &home).unwrap();
        assert_eq!(by_file, by_ticket);

        let key = key_text::format(&PublicKey([1; 32]));
        let by_key = PeerAddress::parse(&format!("{key}@[::1]:9"), &home).unwrap();
        assert_eq!((by_key.key, by_key.ticket), (PublicKey([1; 32]), None));

        let by_line = PeerAddress::parse(&format!("{key}@serial"), &home).unwrap();
        assert_eq!(by_line.places, [Place::Serial]);
        assert!(by_line.resolve().await.unwrap().is_empty());

        let text = Ticket { addresses: vec![], ..ticket() }.to_string();
        let on_a_line = PeerAddress::parse(&text, &home).unwrap();
        assert!(on_a_line.places.is_empty() && on_a_line.ticket.is_some());

        let mut peers = Peers::default();
        let addresses = vec!["10.0.0.2:8".parse().unwrap()];
        peers.trust("attic", Peer { key: PublicKey([4; 32]), addresses }).unwrap();
        peers.trust("silent", Peer { key: PublicKey([5; 32]), addresses: vec![] }).unwrap();
        peers.save(&home).unwrap();
        assert_eq!(PeerAddress::parse("attic", &home).unwrap().key, PublicKey([4; 32]));
        assert!(PeerAddress::parse("silent", &home).unwrap().places.is_empty());
    }

    #[test]
    fn what_is_none_of_them_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let error = |text: &str| PeerAddress::parse(text, &home).unwrap_err();
        assert!(matches!(error("nobody"), PeerError::Peers(PeersError::UnknownName(_))));
        assert!(matches!(error("rope1abc"), PeerError::Ticket(_)));
        assert!(matches!(error("abc@host:1"), PeerError::Key(_)));
        let key = key_text::format(&PublicKey([1; 32]));
        assert!(matches!(error(&format!("{key}@host")), PeerError::Place(_)));
        assert!(matches!(error("@/no/such/file"), PeerError::File { .. }));
        let file = folder.path().join("ticket");
        std::fs::write(&file, "rope1").unwrap();
        assert!(matches!(error(&format!("@{}", file.display())), PeerError::FileTicket { .. }));
    }
}
