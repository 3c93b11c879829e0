//! What a board is told before its first boot, as this side makes it: a key, addresses, whom it knows,
//! and an invitation whose ticket lets whoever provisioned it in.

use crate::identity::Identity;
use crate::random;
use crate::ticket::{ADDRESSES_MAX, Ticket};
use core::net::SocketAddr;
use ropewalk_core::application::settings::{
    Addressing, FILE_BYTES_MAX, LINKS_MAX, PEER_ADDRESSES_MAX, PEERS_MAX, PeerSettings, Settings,
};
use ropewalk_core::id::{Address, PublicKey};
use ropewalk_core::wire::TicketId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A board to be.
#[derive(Clone, Debug)]
pub struct Board {
    /// Who it will be.
    pub identity: Identity,
    /// Its UDP port on every link.
    pub port: u16,
    /// How its links get their addresses, in its order.
    pub links: Vec<Addressing>,
    /// Whom it knows.
    pub peers: Vec<Known>,
}

/// A peer that a board knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub key: PublicKey,
    /// The ticket that lets the board in there.
    pub ticket: Option<(TicketId, crate::ticket::Secret)>,
    /// Where it is; empty for one that only dials.
    pub addresses: Vec<Address>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// More links than settings have room for.
    #[error("a board's settings have room for {LINKS_MAX} links; these are {0}")]
    Links(usize),
    /// More peers than settings have room for.
    #[error("a board knows at most {PEERS_MAX} peers; these are {0}")]
    Peers(usize),
    /// Two entries for one peer.
    #[error("one peer is named twice; name it once")]
    PeerTwice,
    /// The file is there.
    #[error(
        "{path} is there already, and with it a board's key; name another file, or replace it with --force",
        path = .0.display()
    )]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot write the settings to {path}: {cause}; name another file with --out", path = path.display())]
    Io {
        /// Where to.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl Board {
    /// Its settings, and the ticket that lets its bearer in. Each call makes another ticket.
    ///
    /// # Errors
    /// When there is more than settings hold.
    pub fn settings(&self) -> Result<(Settings, Ticket), ProvisionError> {
        let (id, secret) = (random::bytes(), random::bytes());
        let mut peers = heapless::Vec::new();
        for (place, peer) in self.peers.iter().enumerate() {
            if self.peers.iter().skip(place + 1).any(|other| other.key == peer.key) {
                return Err(ProvisionError::PeerTwice);
            }
            let addresses = peer.addresses.iter().take(PEER_ADDRESSES_MAX).copied().collect();
            let known = PeerSettings { key: peer.key, ticket: peer.ticket, addresses };
            peers.push(known).map_err(|_| ProvisionError::Peers(self.peers.len()))?;
        }
        let settings = Settings {
            secret: *self.identity.secret(),
            entropy: random::bytes(),
            port: self.port,
            links: heapless::Vec::from_slice(&self.links)
                .map_err(|_| ProvisionError::Links(self.links.len()))?,
            peers,
            invitations: heapless::Vec::from_iter([(id, secret)]),
        };
        let (key, addresses) = (self.identity.public(), self.addresses());
        Ok((settings, Ticket { key, id, secret, addresses, root: None }))
    }

    /// Where it will be, as far as that is known now.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let known = self.links.iter().filter_map(|link| match link {
            Addressing::Static { address, .. } => Some(SocketAddr::new(*address, self.port)),
            _ => None,
        });
        known.take(ADDRESSES_MAX).collect()
    }
}

/// Writes settings for their owner alone, whole or not at all.
///
/// # Errors
/// When the file is there and `force` does not say to replace it, or it cannot be written.
pub fn write(settings: &Settings, path: &Path, force: bool) -> Result<(), ProvisionError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => ProvisionError::Exists(path.into()),
        _ => ProvisionError::Io { path: path.into(), cause },
    };
    let mut room = [0; FILE_BYTES_MAX];
    let len = settings.encode(&mut room).unwrap_or(0);
    let bytes = room.get(..len).unwrap_or_default();
    if !force {
        let file = create(path).map_err(failed)?;
        return fill(file, bytes).map_err(|cause| {
            let _ = fs::remove_file(path);
            failed(cause)
        });
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{:08x}", random::u32()));
    let temporary = PathBuf::from(name);
    let replaced = create(&temporary)
        .and_then(|file| fill(file, bytes))
        .and_then(|()| fs::rename(&temporary, path));
    replaced.map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        failed(cause)
    })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        let address = |text: &str, prefix| Addressing::Static {
            address: text.parse().unwrap(),
            prefix,
            gateway: None,
        };
        let at = Address::Ip("10.0.0.1:7".parse().unwrap());
        Board {
            identity: Identity::ephemeral(),
            port: 4_433,
            links: vec![Addressing::Dhcp, address("10.0.0.5", 24), address("fd00::5", 64)],
            peers: vec![Known {
                key: PublicKey([7; 32]),
                ticket: Some(([1; 8], [2; 32])),
                addresses: [vec![Address::Serial], vec![at; 5]].concat(),
            }],
        }
    }

    #[test]
    fn the_ticket_belongs_to_the_settings() {
        let board = board();
        let (settings, ticket) = board.settings().unwrap();
        assert_eq!(settings.secret, *board.identity.secret());
        assert_eq!(settings.invitations.as_slice(), [(ticket.id, ticket.secret)]);
        assert_eq!(ticket.key, board.identity.public());
        let expected: [SocketAddr; 2] =
            ["10.0.0.5:4433", "[fd00::5]:4433"].map(|text| text.parse().unwrap());
        assert_eq!(ticket.addresses, expected);
        let peer = &settings.peers[0];
        assert_eq!((peer.addresses.len(), peer.addresses[0]), (4, Address::Serial));
        let (other, again) = board.settings().unwrap();
        assert!(other.entropy != settings.entropy && again.secret != ticket.secret);
    }

    #[test]
    fn more_than_there_is_room_for_is_named() {
        let mut many = board();
        many.links = vec![Addressing::Dhcp; 9];
        assert!(matches!(many.settings(), Err(ProvisionError::Links(9))));
        let mut many = board();
        let known = |n| Known { key: PublicKey([n; 32]), ticket: None, addresses: vec![] };
        many.peers = (0..5).map(known).collect();
        assert!(matches!(many.settings(), Err(ProvisionError::Peers(5))));
        many.peers = vec![known(1), known(1)];
        assert!(matches!(many.settings(), Err(ProvisionError::PeerTwice)));
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let (first, _) = board().settings().unwrap();
        write(&first, &path, false).unwrap();
        let (second, _) = board().settings().unwrap();
        let error = write(&second, &path, false).unwrap_err();
        assert!(matches!(error, ProvisionError::Exists(_)), "{error}");
        let read = || Settings::decode(&fs::read(&path).unwrap()).unwrap();
        assert!(read() == first);
        write(&second, &path, true).unwrap();
        assert!(read() == second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
        let error = write(&first, Path::new("/no/such/folder/board"), true).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder/board"), "{error}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
