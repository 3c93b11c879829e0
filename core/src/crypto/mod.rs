//! Keys: the handshake that agrees on them, and the seal that they put on every packet
//! (`docs/protocol.md` sections 4 and 5).
//!
//! ```text
//!             initiator  ── Initiation ──>  responder        cookie: what a responder under load
//!                 │      <── Response ───       │                    asks for before it multiplies
//!                 └────────> Secrets <──────────┘
//!                               │
//!                          PacketKeys (seal)   one per connection, key changes inside
//!                          ReplayWindow        one per path
//! ```
//!
//! The construction is WireGuard's, Noise `IKpsk2` over X25519, ChaCha20-Poly1305 and BLAKE2s; the
//! packets' own cipher is agreed on inside it. What computes is behind one seam, [`Crypto`]. Nothing
//! here knows time, except to say when an old key or cookie is to be forgotten, or reads randomness
//! from anywhere but its [`Random`].

use core::fmt;

use crate::id::{PublicKey, Side};
use crate::wire::Suite;

pub mod cookie;
pub mod initiator;
mod message;
mod noise;
pub mod random;
pub mod replay;
pub mod responder;
pub mod seal;
#[cfg(feature = "software")]
pub mod software;

pub use cookie::CookieJar;
pub use initiator::{Initiator, Outcome};
pub use message::{CheckKey, INITIATION_BYTES_MAX, INITIATION_OVERHEAD, RESPONSE_OVERHEAD};
pub use random::{Random, Seed};
pub use replay::ReplayWindow;
pub use responder::{Answer, Request};
pub use seal::{Opened, PacketKeys};
#[cfg(feature = "software")]
pub use software::Software;

/// The primitives: all that the protocol asks of a cryptographic library.
///
/// The functions belong to the type, since none keeps state: an implementation is a name, and what
/// was negotiated is inside its `Key`. ChaCha20-Poly1305 must be there even where it is not offered
/// for packets, because the handshake is sealed with it.
pub trait Crypto {
    /// A key that seals or opens: one direction, one epoch, one suite.
    type Key;

    /// The suites for packets, best first. A suite that is not here is never negotiated.
    fn suites() -> &'static [Suite];

    /// Makes a key of 32 bytes ready for use.
    fn key(suite: Suite, key: &[u8; 32]) -> Self::Key;

    /// Encrypts `buffer` in place and returns the tag over it and `aad`. A nonce serves once a key.
    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16];

    /// Decrypts `buffer` in place if the tag is right. If not, the result is false and the buffer's
    /// content means nothing any more.
    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> bool;

    /// X25519 with the base point (RFC 7748): the public key of a secret.
    fn public(secret: &[u8; 32]) -> [u8; 32];

    /// X25519; `None` when the result is zero, that is for a point of low order.
    fn dh(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]>;

    /// BLAKE2s-256 of the parts, one after the other (RFC 7693).
    fn hash(parts: &[&[u8]]) -> [u8; 32];

    /// Keyed BLAKE2s of the parts with 16 bytes of output; the key has 1 to 32 bytes.
    fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16];
}

/// A node's static key pair.
#[derive(Clone)]
pub struct Identity {
    /// The X25519 secret.
    pub secret: [u8; 32],
    /// Its public key, the node's name.
    pub public: PublicKey,
}

impl Identity {
    /// The identity with this X25519 secret.
    #[must_use]
    pub fn new<C: Crypto>(secret: [u8; 32]) -> Self {
        Self { secret, public: PublicKey(C::public(&secret)) }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The secret that a ticket's bearer shares with its maker; mixed into the second message.
pub type Psk = [u8; 32];

/// The pre-shared key between nodes that know each other by their public keys.
pub const NO_PSK: Psk = [0; 32];

/// What a handshake yields: a traffic secret for each direction, and what they are used with.
#[derive(Clone)]
pub struct Secrets {
    /// Whose view this is. Only the dialer begins key changes.
    pub side: Side,
    /// Seals what we send.
    pub send: [u8; 32],
    /// Opens what we receive.
    pub receive: [u8; 32],
    /// The packets' cipher.
    pub suite: Suite,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("side", &self.side)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Compares in a time that does not depend on where the difference is.
fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    let difference = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    core::hint::black_box(difference) == 0
}
