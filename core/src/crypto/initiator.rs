//! The handshake's initiator (`docs/protocol.md` section 4).
//!
//! ```text
//! new ──> write ──> Initiation, the same on every (link, address) pair but for its cookie
//!              <── read_cookie     then write again with the cookie
//!              <── read_response   Established | Refused
//! ```
//!
//! All multiplications for the first message are done once. Nothing that arrives changes the state:
//! a response that does not open is forgotten, and the next may be the right one. Retries and the
//! deadline are the connection's.

use crate::storage::copy;
use core::fmt;
use core::ops::RangeInclusive;

use super::message::{
    CheckKey, CookieReply, HELLO_AT, INITIATION_BYTES_MAX, Initiation, Response, TAG, TRAILER,
};
use super::noise::Symmetric;
use super::{Crypto, Identity, Psk, Random, Secrets};
use crate::error::Discard;
use crate::id::{ConnectionId, PublicKey, Side};
use crate::wire::{Hello, Refusal, Reply, Suite, Suites, Welcome};

/// A handshake begun by us.
pub struct Initiator<C> {
    noise: Symmetric<C>,
    secret: [u8; 32],
    ephemeral: [u8; 32],
    psk: Psk,
    peer: PublicKey,
    connection: ConnectionId,
    versions: RangeInclusive<u8>,
    suites: Suites,
    message: [u8; INITIATION_BYTES_MAX],
    /// Zero if there is no message, because the peer's key is not one.
    len: usize,
}

/// What an authentic response said.
#[derive(Debug)]
pub enum Outcome {
    /// The keys are there.
    Established {
        /// The traffic secrets.
        secrets: Secrets,
        /// The responder's choices.
        welcome: Welcome,
    },
    /// The responder knows us but will not have the connection.
    Refused(Refusal),
}

impl<C: Crypto> Initiator<C> {
    /// Begins a handshake with `peer`. `connection` is our id for what comes back; `datagram_max`
    /// bounds the initiation, as does [`INITIATION_BYTES_MAX`], and addresses of the Hello that do
    /// not fit are left out.
    ///
    /// If `peer` is no usable key (a point of low order), or `datagram_max` leaves no room for a
    /// Hello without addresses, there is nothing to send: [`write`](Self::write) gives `None`.
    #[must_use]
    pub fn new(
        identity: &Identity,
        peer: PublicKey,
        psk: &Psk,
        connection: ConnectionId,
        hello: &Hello,
        datagram_max: usize,
        random: &mut Random<C>,
    ) -> Self {
        let mut initiator = Self {
            noise: Symmetric::new(&[], &peer),
            secret: identity.secret,
            ephemeral: random.bytes(),
            psk: *psk,
            peer,
            connection,
            versions: hello.version_min..=hello.version_max,
            suites: hello.suites.clone(),
            message: [0; INITIATION_BYTES_MAX],
            len: 0,
        };
        initiator.len = initiator.begin(identity.public, hello, datagram_max).unwrap_or(0);
        initiator
    }

    /// Length of the initiation; zero if there is nothing to send.
    #[must_use]
    pub const fn message_len(&self) -> usize {
        self.len
    }

    /// Writes the initiation, with its cookie if the responder gave one, and returns its length;
    /// `None` if `into` is too short.
    #[must_use]
    pub fn write(&self, cookie: Option<&[u8; 16]>, into: &mut [u8]) -> Option<usize> {
        let message = self.message.get(..self.len).filter(|message| !message.is_empty())?;
        let into = into.get_mut(..self.len)?;
        copy(message, into);
        if let Some(cookie) = cookie {
            let (before, place) = into.split_last_chunk_mut()?;
            *place = C::mac(cookie, &[before]);
        }
        Some(self.len)
    }

    /// The cookie in a responder's cookie reply; `None` if it is not one, or not authentic.
    #[must_use]
    pub fn read_cookie(&self, datagram: &[u8]) -> Option<[u8; 16]> {
        let CookieReply { nonce, mut cookie, tag } = CookieReply::read(datagram, self.connection)?;
        let (before, _cookie) = self.message.get(..self.len)?.split_last_chunk::<16>()?;
        let (_, check) = before.split_last_chunk::<16>()?;
        let key = C::key(Suite::ChaCha20Poly1305, &CookieReply::key::<C>(&self.peer));
        C::open(&key, &nonce, check, &mut cookie, &tag).then_some(cookie)
    }

    /// Reads a response. Whatever comes out, the initiator is as before: one that is
    /// [`Discard::Forged`], by a stranger or with another pre-shared key, may be followed by the
    /// right one.
    pub fn read_response(&self, datagram: &mut [u8]) -> Result<Outcome, Discard> {
        let message = Response::read(datagram, self.connection).ok_or(Discard::Malformed)?;
        let mut noise = self.noise.clone();
        noise.mix_ephemeral(message.ephemeral);
        for secret in [&self.ephemeral, &self.secret] {
            noise.mix_key(&C::dh(secret, message.ephemeral).ok_or(Discard::Forged)?);
        }
        noise.mix_psk(&self.psk);
        if !noise.open(message.reply, message.reply_tag) {
            return Err(Discard::Forged);
        }
        match Reply::decode(message.reply).ok_or(Discard::Malformed)? {
            Reply::Welcome(welcome) if self.offered(&welcome) => {
                let [send, receive] = noise.split();
                let secrets = Secrets { side: Side::Dialer, send, receive, suite: welcome.suite };
                Ok(Outcome::Established { secrets, welcome })
            }
            Reply::Welcome(_) => Err(Discard::Malformed),
            Reply::Refused(reason) => Ok(Outcome::Refused(reason)),
        }
    }

    /// Makes the message: `e, es, s, ss`, the Hello, the check. Gives its length.
    fn begin(&mut self, public: PublicKey, hello: &Hello, datagram_max: usize) -> Option<usize> {
        let room = self.message.get_mut(..datagram_max.min(INITIATION_BYTES_MAX))?;
        let hello_end = room.len().checked_sub(TAG + TRAILER)?;
        let sealed = HELLO_AT + hello.encode(room.get_mut(HELLO_AT..hello_end)?)? + TAG;
        let len = sealed + TRAILER;
        let message = Initiation::write(room.get_mut(..len)?, self.connection)?;

        let mut noise = Symmetric::new(message.head, &self.peer);
        *message.ephemeral = C::public(&self.ephemeral);
        noise.mix_ephemeral(message.ephemeral);
        noise.mix_key(&C::dh(&self.ephemeral, &self.peer.0)?);
        *message.identity = public.0;
        *message.identity_tag = noise.seal(message.identity);
        noise.mix_key(&C::dh(&self.secret, &self.peer.0)?);
        *message.hello_tag = noise.seal(message.hello);
        self.noise = noise;
        let (before, trailer) = room.split_at_mut_checked(sealed)?;
        *trailer.first_chunk_mut()? = CheckKey::new::<C>(&self.peer).make::<C>(before);
        Some(len)
    }

    /// Whether the responder chose from what we offered.
    fn offered(&self, welcome: &Welcome) -> bool {
        self.versions.contains(&welcome.version) && self.suites.contains(welcome.suite)
    }
}

impl<C> fmt::Debug for Initiator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator")
            .field("peer", &self.peer)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
