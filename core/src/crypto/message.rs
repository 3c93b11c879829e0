//! The three handshake datagrams, cut into their fields in place (`docs/protocol.md` section 4.2).
//!
//! ```text
//! Initiation   01 | id 4 | ephemeral 32 | static 32 + tag 16 | Hello + tag 16 | check 16 | cookie 16
//! Response     02 | id 4 | ephemeral 32 | Reply + tag 16
//! CookieReply  03 | id 4 | nonce 12 | cookie 16 + tag 16
//! ```
//!
//! The id is the initiator's and little endian. A datagram is cut the same way to be written and to
//! be read; what is too short, or begins with another byte, is not cut at all. The check and the
//! cookie are no part of Noise: they let a responder drop what strangers send for the price of a hash.

use super::{Crypto, same};
use crate::id::{ConnectionId, PublicKey};

/// The longest initiation: it fits into an IPv6 packet of 596 bytes, and so nearly everywhere.
pub const INITIATION_BYTES_MAX: usize = 548;
/// What an initiation needs besides its Hello.
pub const INITIATION_OVERHEAD: usize = HELLO_AT + TAG + TRAILER;
/// What a response needs besides its Reply.
pub const RESPONSE_OVERHEAD: usize = REPLY_AT + TAG;
/// The length of a cookie reply.
pub(crate) const COOKIE_REPLY_BYTES: usize = HEAD + 12 + 16 + TAG;
/// Where the Hello begins.
pub(crate) const HELLO_AT: usize = HEAD + 32 + 32 + TAG;
/// Where the Reply begins.
pub(crate) const REPLY_AT: usize = HEAD + 32;
/// What follows the Hello's tag: the check and the cookie.
pub(crate) const TRAILER: usize = 16 + 16;
pub(crate) const TAG: usize = crate::wire::TAG_BYTES;

const HEAD: usize = 5;
const INITIATION: u8 = 0x01;
const RESPONSE: u8 = 0x02;
const COOKIE_REPLY: u8 = 0x03;

/// The fields of an initiation.
pub(crate) struct Initiation<'d> {
    pub(crate) head: &'d mut [u8; HEAD],
    pub(crate) ephemeral: &'d mut [u8; 32],
    pub(crate) identity: &'d mut [u8; 32],
    pub(crate) identity_tag: &'d mut [u8; TAG],
    pub(crate) hello: &'d mut [u8],
    pub(crate) hello_tag: &'d mut [u8; TAG],
}

impl<'d> Initiation<'d> {
    /// Cuts space of the right length for writing, and writes the head.
    pub(crate) fn write(datagram: &'d mut [u8], connection: ConnectionId) -> Option<Self> {
        let message = Self::cut(datagram)?;
        *message.head = head(INITIATION, connection);
        Some(message)
    }

    /// Cuts a datagram that arrived.
    pub(crate) fn read(datagram: &'d mut [u8]) -> Option<Self> {
        Self::cut(datagram).filter(|message| message.head.first() == Some(&INITIATION))
    }

    fn cut(datagram: &'d mut [u8]) -> Option<Self> {
        let (head, rest) = datagram.split_first_chunk_mut()?;
        let (ephemeral, rest) = rest.split_first_chunk_mut()?;
        let (identity, rest) = rest.split_first_chunk_mut()?;
        let (identity_tag, rest) = rest.split_first_chunk_mut()?;
        let (rest, _trailer) = rest.split_last_chunk_mut::<TRAILER>()?;
        let (hello, hello_tag) = rest.split_last_chunk_mut()?;
        Some(Self { head, ephemeral, identity, identity_tag, hello, hello_tag })
    }
}

/// What the keyed checks of a responder's initiations are made with. Under a flood it is asked for
/// every datagram, so a responder derives it once.
#[derive(Clone)]
pub struct CheckKey([u8; 32]);

impl CheckKey {
    /// The key of those who know this public key.
    #[must_use]
    pub fn new<C: Crypto>(responder: &PublicKey) -> Self {
        Self(C::hash(&[b"ropewalk check", &responder.0]))
    }

    /// Whether this may be an initiation: it carries the keyed check, over everything before it,
    /// which only who knows the responder's public key can make.
    #[must_use]
    pub fn passes<C: Crypto>(&self, datagram: &[u8]) -> bool {
        let Some((rest, _cookie)) = datagram.split_last_chunk::<16>() else { return false };
        let Some((before, check)) = rest.split_last_chunk() else { return false };
        datagram.len() >= INITIATION_OVERHEAD
            && datagram.first() == Some(&INITIATION)
            && same(check, &self.make::<C>(before))
    }

    /// The check of an initiation that so far consists of `before`.
    pub(crate) fn make<C: Crypto>(&self, before: &[u8]) -> [u8; 16] {
        C::mac(&self.0, &[before])
    }
}

impl core::fmt::Debug for CheckKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CheckKey")
    }
}

/// The fields of a response.
pub(crate) struct Response<'d> {
    pub(crate) head: &'d mut [u8; HEAD],
    pub(crate) ephemeral: &'d mut [u8; 32],
    pub(crate) reply: &'d mut [u8],
    pub(crate) reply_tag: &'d mut [u8; TAG],
}

impl<'d> Response<'d> {
    /// Cuts space of the right length for writing, and writes the head.
    pub(crate) fn write(datagram: &'d mut [u8], connection: ConnectionId) -> Option<Self> {
        let message = Self::cut(datagram)?;
        *message.head = head(RESPONSE, connection);
        Some(message)
    }

    /// Cuts a datagram that arrived for `connection`.
    pub(crate) fn read(datagram: &'d mut [u8], connection: ConnectionId) -> Option<Self> {
        Self::cut(datagram).filter(|message| *message.head == head(RESPONSE, connection))
    }

    fn cut(datagram: &'d mut [u8]) -> Option<Self> {
        let (head, rest) = datagram.split_first_chunk_mut()?;
        let (ephemeral, rest) = rest.split_first_chunk_mut()?;
        let (reply, reply_tag) = rest.split_last_chunk_mut()?;
        Some(Self { head, ephemeral, reply, reply_tag })
    }
}

/// The fields of a cookie reply.
pub(crate) struct CookieReply {
    pub(crate) nonce: [u8; 12],
    pub(crate) cookie: [u8; 16],
    pub(crate) tag: [u8; TAG],
}

impl CookieReply {
    /// Writes the reply; `None` if `into` is too short.
    pub(crate) fn write(&self, connection: ConnectionId, into: &mut [u8]) -> Option<usize> {
        let (head_at, rest) = into.split_first_chunk_mut()?;
        let (nonce, rest) = rest.split_first_chunk_mut()?;
        let (cookie, rest) = rest.split_first_chunk_mut()?;
        let (tag, _) = rest.split_first_chunk_mut()?;
        *head_at = head(COOKIE_REPLY, connection);
        (*nonce, *cookie, *tag) = (self.nonce, self.cookie, self.tag);
        Some(COOKIE_REPLY_BYTES)
    }

    /// Reads a datagram that arrived for `connection`.
    pub(crate) fn read(datagram: &[u8], connection: ConnectionId) -> Option<Self> {
        let (head_at, rest) = datagram.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let tag = rest.try_into().ok()?;
        (*head_at == head(COOKIE_REPLY, connection)).then_some(Self {
            nonce: *nonce,
            cookie: *cookie,
            tag,
        })
    }

    /// The key that seals cookies for a responder. It is no secret among those who know the
    /// responder's public key; that the initiation's check is bound in keeps others from forging.
    pub(crate) fn key<C: Crypto>(responder: &PublicKey) -> [u8; 32] {
        C::hash(&[b"ropewalk cookie", &responder.0])
    }
}

/// The initiator's connection id in a handshake datagram's head.
pub(crate) fn connection(head: &[u8; HEAD]) -> ConnectionId {
    let [_, a, b, c, d] = *head;
    ConnectionId(u32::from_le_bytes([a, b, c, d]))
}

fn head(kind: u8, connection: ConnectionId) -> [u8; HEAD] {
    let [a, b, c, d] = connection.0.to_le_bytes();
    [kind, a, b, c, d]
}
