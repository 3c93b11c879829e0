//! Names of things that must not be mixed up: nodes, connections, links, paths, streams, addresses.

use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};

/// A node's X25519 public key: its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PublicKey(pub [u8; 32]);

/// Names a connection in the packets that its chooser receives (`docs/protocol.md` section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionId(pub u32);

/// A local way out: a network interface or a serial line. The caller numbers its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkId(pub u8);

/// A path of a connection. The dialer's are even, the responder's odd; never used twice, since it
/// is part of the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathId(pub u32);

/// A stream of a connection. The dialer's are even, the responder's odd; each side counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId(pub u32);

/// Who began the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// Sent the first handshake message.
    Dialer,
    /// Answered it.
    Responder,
}

impl Side {
    /// The parity of the path and stream numbers that this side gives out.
    #[must_use]
    pub const fn parity(self) -> u32 {
        match self {
            Self::Dialer => 0,
            Self::Responder => 1,
        }
    }

    /// Whether this side gave out `number`, a path's or a stream's.
    #[must_use]
    pub const fn owns(self, number: u32) -> bool {
        number & 1 == self.parity()
    }

    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Dialer => Self::Responder,
            Self::Responder => Self::Dialer,
        }
    }
}

/// Where datagrams go on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Address {
    /// Over IP and UDP.
    Ip(#[cfg_attr(feature = "defmt", defmt(Debug2Format))] SocketAddr),
    /// The other end of a serial line.
    Serial,
}

/// Which way a datagram came: the link, our address on it, and the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Arrival {
    /// The local link.
    pub link: LinkId,
    /// The local address it was sent to, where the system says so.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub local: Option<IpAddr>,
    /// The sender's address.
    pub remote: Address,
}

/// What a link costs to use; cheaper classes are used first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CostClass {
    /// Ethernet, serial lines: use freely.
    #[default]
    Wired,
    /// Wi-Fi: use freely, expect stalls.
    Wireless,
    /// LTE and the like: costs money.
    Metered,
    /// Only when nothing else is left; a VPN that runs over another link, for one.
    LastResort,
}

/// How a connection uses its paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Mode {
    /// Adds the rates of all paths.
    #[default]
    Bulk,
    /// A random path for each packet; for demonstration and tests.
    Spread,
    /// One active path and a hot spare.
    Backup,
    /// Every packet on every path, the first copy wins.
    Redundant,
    /// Bulk, plus forward error correction on another path.
    Repair,
}
