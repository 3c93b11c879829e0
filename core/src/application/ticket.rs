//! A ticket's text: one word that names a node and lets its bearer in.
//!
//! ```text
//! rope1 | base32( length | key 32 | id 8 | secret 32 | addresses | root, 32 or none | CRC-32, little-endian )
//!         length: bytes from key to root     addresses: postcard's list of socket addresses
//! ```
//!
//! The root is that of the one file or folder that the ticket is for, if it is for one. The length is a byte, so
//! that a ticket with a root holds an address less ([`addresses_max`]).
//!
//! Base32 is RFC 4648's, lower-case, without padding, so the word has no signs that end a word. The
//! secret never crosses the wire: it is the handshake's pre-shared key, and the id says which one.
//! The length tells a ticket that was cut short from one with a wrong character. The checksum
//! ([`checksum`]) finds every single wrong character and every two that were swapped.

use crate::id::PublicKey;
use crate::wire::TicketId;
use core::fmt::{self, Write};
use core::net::SocketAddr;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// What a ticket's bearer proves to hold: the handshake's pre-shared key.
pub type Secret = [u8; 32];

/// What every ticket begins with.
pub const PREFIX: &str = "rope1";
/// Most addresses that a ticket holds; the rest are told inside the connection.
pub const ADDRESSES_MAX: usize = 8;
/// Bytes of a root.
pub const ROOT_BYTES: usize = 32;
/// Key, id and secret.
pub const FIXED_BYTES: usize = 32 + 8 + 32;
/// The list of addresses, at most: their count, and each IPv6 address with its port.
const LIST_BYTES_MAX: usize = 1 + ADDRESSES_MAX * (1 + 16 + 3);
const BYTES_MAX: usize = 1 + FIXED_BYTES + LIST_BYTES_MAX + ROOT_BYTES + 4;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What a ticket says, to be shown as its text.
#[derive(Clone, Copy)]
pub struct TicketText<'t> {
    /// The node's name.
    pub key: &'t PublicKey,
    /// Which of its tickets this is.
    pub id: &'t TicketId,
    /// What the bearer must know.
    pub secret: &'t Secret,
    /// Where the node is; the first [`addresses_max`] are written.
    pub addresses: &'t [SocketAddr],
    /// The root of what it is for, if that is one file or folder.
    pub root: Option<&'t [u8; ROOT_BYTES]>,
}

/// Most addresses that a ticket with a root, or without, holds.
#[must_use]
pub const fn addresses_max(has_root: bool) -> usize {
    if has_root { ADDRESSES_MAX - 1 } else { ADDRESSES_MAX }
}

impl fmt::Display for TicketText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = heapless::Vec::<u8, BYTES_MAX>::new();
        let most = addresses_max(self.root.is_some());
        let addresses = self.addresses.get(..most).unwrap_or(self.addresses);
        let root = self.root.map_or(&[][..], |root| root);
        let mut room = [0; LIST_BYTES_MAX];
        let listed = postcard::to_slice(addresses, &mut room).map_err(|_| fmt::Error)?;
        let length =
            u8::try_from(FIXED_BYTES.saturating_add(listed.len()).saturating_add(root.len()));
        bytes.push(length.map_err(|_| fmt::Error)?).map_err(|_| fmt::Error)?;
        for part in [&self.key.0[..], self.id, self.secret, listed, root] {
            bytes.extend_from_slice(part).map_err(|_| fmt::Error)?;
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum).map_err(|_| fmt::Error)?;
        f.write_str(PREFIX)?;
        base32(&bytes, f)
    }
}

/// What ends a ticket: over all bytes from the length on.
#[must_use]
pub const fn checksum(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).to_le_bytes()
}

/// Writes `bytes` as base32.
///
/// # Errors
/// When `to` takes no more.
pub fn base32(bytes: &[u8], to: &mut dyn Write) -> fmt::Result {
    let sign = |five: u32| ALPHABET.get((five & 31) as usize).map_or('a', |sign| char::from(*sign));
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits = bits.saturating_add(8);
        while let Some(left) = bits.checked_sub(5) {
            bits = left;
            to.write_char(sign(held >> (bits & 31)))?;
        }
        held &= 0xff;
    }
    if bits > 0 {
        to.write_char(sign(held << (5_u32.saturating_sub(bits) & 31)))?;
    }
    Ok(())
}
