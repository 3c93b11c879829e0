//! What a board is told before its first boot: who it is, how its links get their addresses, and
//! whom it knows.
//!
//! ```text
//! "rope" | version 1 | length u16 | postcard's Settings | CRC-32 over all before it
//! ```
//!
//! Numbers are little-endian. `ropewalk provision` writes the file; a board reads it from its flash
//! or from its emulator. What follows the checksum, such as erased flash, is not looked at.

use super::ticket::Secret;
use crate::id::{Address, PublicKey};
use crate::wire::TicketId;
use core::fmt;
use core::net::IpAddr;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Links that settings speak of.
pub const LINKS_MAX: usize = 8;
/// Peers that a board knows.
pub const PEERS_MAX: usize = 4;
/// Addresses of a peer.
pub const PEER_ADDRESSES_MAX: usize = 4;
/// Tickets that a board honours.
pub const INVITATIONS_MAX: usize = 4;
/// No settings are longer as a file.
pub const FILE_BYTES_MAX: usize = 1_280;

const MAGIC: &[u8; 4] = b"rope";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 7;
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// A board's settings.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The node's secret key.
    pub secret: [u8; 32],
    /// Hashed into every random seed, beside what the board gathers itself.
    pub entropy: [u8; 32],
    /// The UDP port on every link.
    pub port: u16,
    /// How the links get their addresses, in the board's order; a link that is not named uses
    /// [`Addressing::LinkLocal`]. Serial lines need none.
    pub links: Vec<Addressing, LINKS_MAX>,
    /// Peers that may come in without a ticket, and those to dial.
    pub peers: Vec<PeerSettings, PEERS_MAX>,
    /// Tickets that let their bearers in.
    pub invitations: Vec<(TicketId, Secret), INVITATIONS_MAX>,
}

/// How a link gets its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Addressing {
    /// It is not used.
    Off,
    /// IPv6 within the link alone; always there beside the others.
    LinkLocal,
    /// IPv4 from a DHCP server.
    Dhcp,
    /// This address.
    Static {
        /// The address.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: IpAddr,
        /// How many of its bits all on the link share.
        prefix: u8,
        /// Where packets for others go.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        gateway: Option<IpAddr>,
    },
}

/// A peer that the board knows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSettings {
    /// Its name.
    pub key: PublicKey,
    /// The ticket that lets the board in there, if it takes one.
    pub ticket: Option<(TicketId, Secret)>,
    /// Where it is; empty: the board waits for it. A serial line is an address too.
    pub addresses: Vec<Address, PEER_ADDRESSES_MAX>,
}

/// Why bytes are no settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SettingsError {
    /// They do not begin like settings: nothing was written here.
    Absent,
    /// Another version wrote them.
    Version(u8),
    /// They were cut short, or changed.
    Damaged,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => {
                f.write_str("there are no settings; write some with `ropewalk provision`")
            }
            Self::Version(found) => {
                write!(
                    f,
                    "the settings have version {found}, this firmware reads {VERSION}; write them again with a `ropewalk` of its version"
                )
            }
            Self::Damaged => f.write_str(
                "the settings are damaged (their checksum does not match); write them again",
            ),
        }
    }
}

impl core::error::Error for SettingsError {}

impl Settings {
    /// Writes the file; returns its length. [`FILE_BYTES_MAX`] always suffices.
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        let body = postcard::to_slice(self, into.get_mut(HEAD_BYTES..)?).ok()?.len();
        let [low, high] = u16::try_from(body).ok()?.to_le_bytes();
        let [a, b, c, d] = *MAGIC;
        *into.first_chunk_mut()? = [a, b, c, d, VERSION, low, high];
        let end = HEAD_BYTES.checked_add(body)?;
        let sum = CRC.checksum(into.get(..end)?).to_le_bytes();
        *into.get_mut(end..)?.first_chunk_mut()? = sum;
        end.checked_add(sum.len())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, or it cannot be trusted.
    pub fn decode(bytes: &[u8]) -> Result<Self, SettingsError> {
        let head = bytes.first_chunk::<HEAD_BYTES>().ok_or(SettingsError::Absent)?;
        let [a, b, c, d, version, low, high] = *head;
        if [a, b, c, d] != *MAGIC {
            return Err(SettingsError::Absent);
        }
        if version != VERSION {
            return Err(SettingsError::Version(version));
        }
        let end = HEAD_BYTES.saturating_add(usize::from(u16::from_le_bytes([low, high])));
        let (covered, rest) = bytes.split_at_checked(end).ok_or(SettingsError::Damaged)?;
        let sum = rest.first_chunk::<4>().ok_or(SettingsError::Damaged)?;
        if CRC.checksum(covered).to_le_bytes() != *sum {
            return Err(SettingsError::Damaged);
        }
        let body = covered.get(HEAD_BYTES..).unwrap_or_default();
        postcard::from_bytes(body).map_err(|_| SettingsError::Damaged)
    }

    /// How the link gets its addresses.
    #[must_use]
    pub fn addressing(&self, link: usize) -> Addressing {
        self.links.get(link).copied().unwrap_or(Addressing::LinkLocal)
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("port", &self.port)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    fn longest() -> Settings {
        let v6: IpAddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        let at = Address::Ip(SocketAddr::new(v6, u16::MAX));
        let peer = PeerSettings {
            key: PublicKey([0xff; 32]),
            ticket: Some(([0xff; 8], [0xff; 32])),
            addresses: Vec::from_array([at; PEER_ADDRESSES_MAX]),
        };
        let link = Addressing::Static { address: v6, prefix: 128, gateway: Some(v6) };
        Settings {
            secret: [0xff; 32],
            entropy: [0xff; 32],
            port: u16::MAX,
            links: Vec::from_array([link; LINKS_MAX]),
            peers: core::array::from_fn::<_, PEERS_MAX, _>(|_| peer.clone()).into_iter().collect(),
            invitations: Vec::from_array([([0xff; 8], [0xff; 32]); INVITATIONS_MAX]),
        }
    }

    fn file(settings: &Settings) -> std::vec::Vec<u8> {
        let mut room = [0; FILE_BYTES_MAX];
        let len = settings.encode(&mut room).unwrap();
        room[..len].to_vec()
    }

    #[test]
    fn the_longest_settings_fit_and_are_read_back_before_erased_flash() {
        let mut file = file(&longest());
        file.resize(4_096, 0xff);
        assert!(Settings::decode(&file).unwrap() == longest());
    }

    #[test]
    fn what_is_missing_or_damaged_is_called_so() {
        assert_eq!(Settings::decode(&[0xff; 512]).err(), Some(SettingsError::Absent));
        assert_eq!(Settings::decode(&[]).err(), Some(SettingsError::Absent));
        let whole = file(&longest());
        for len in HEAD_BYTES..whole.len() {
            assert_eq!(Settings::decode(&whole[..len]).err(), Some(SettingsError::Damaged));
        }
        let mut newer = whole.clone();
        newer[4] = 9;
        assert_eq!(Settings::decode(&newer).err(), Some(SettingsError::Version(9)));
        for at in 5..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            assert_eq!(Settings::decode(&wrong).err(), Some(SettingsError::Damaged), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Settings::decode(&bytes);
            let mut alike = file(&longest());
            alike.truncate(7);
            alike.extend(bytes);
            let _ = Settings::decode(&alike);
        }
    }
}
