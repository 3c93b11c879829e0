//! The handshake's responder (`docs/protocol.md` section 4).
//!
//! ```text
//! datagram ── check ──> (cookie, under load) ── read_initiation ──> Request
//!                                                                     │ the caller looks up who it is
//!                                                       respond <─────┘ and with which secret; strangers
//!                                                          │            get silence
//!                                         Response, and Accepted | Refused
//! ```
//!
//! The order is that of cost: a hash, a look into a jar, then four multiplications. Nothing is kept
//! here; the caller keeps at most one answer for each [`ephemeral`], and no connection exists before
//! the first packet under its keys has opened, so a replayed initiation changes nothing.

use core::fmt;

use heapless::Vec;

use super::message::{self, Initiation, REPLY_AT, Response, TAG};
use super::noise::Symmetric;
use super::{Crypto, Identity, Psk, Random, Secrets};
use crate::error::Discard;
use crate::id::{ConnectionId, PublicKey, Side};
use crate::wire::{
    Advertised, Credit, Hello, Refusal, Reply, Suite, VERSION, VERSION_MIN, Welcome,
};

/// An authentic initiation, not answered yet.
pub struct Request<C> {
    /// Who asks: whoever sent this holds that key's secret, or replays one who does.
    pub peer: PublicKey,
    /// What it asks for.
    pub hello: Hello,
    /// Its id for the connection.
    pub connection: ConnectionId,
    noise: Symmetric<C>,
    ephemeral: [u8; 32],
    /// The answer must not be longer than the question.
    len: usize,
}

/// What was answered.
#[derive(Debug)]
pub enum Answer {
    /// The initiator is welcome, and these are the keys once it uses them.
    Accepted {
        /// The traffic secrets.
        secrets: Secrets,
        /// What was chosen.
        welcome: Welcome,
    },
    /// We have nothing in common; it was told so.
    Refused(Refusal),
}

/// Whether an initiation carries the keyed check, which takes our public key to make. To be asked
/// before anything else.
#[must_use]
pub fn check<C: Crypto>(our: &PublicKey, datagram: &[u8]) -> bool {
    message::CheckKey::new::<C>(our).passes::<C>(datagram)
}

/// The ephemeral key of an initiation, which all its copies have in common.
#[must_use]
pub fn ephemeral(datagram: &[u8]) -> Option<[u8; 32]> {
    let (_, rest) = datagram.split_first_chunk::<5>()?;
    rest.first_chunk().copied()
}

/// Opens an initiation: [`Discard::Forged`] if the check or a seal is wrong, [`Discard::Malformed`]
/// if its Hello cannot be read. The check comes first here too, whoever made it before.
#[inline(never)] // So that not all of a handshake is on the stack at once.
pub fn read_initiation<C: Crypto>(
    identity: &Identity,
    datagram: &mut [u8],
) -> Result<Request<C>, Discard> {
    let len = datagram.len();
    let our = identity.public;
    if !check::<C>(&our, datagram) {
        return Err(Discard::Forged);
    }
    let message = Initiation::read(datagram).ok_or(Discard::Malformed)?;
    let shared = |public: &[u8; 32]| C::dh(&identity.secret, public).ok_or(Discard::Forged);
    let mut noise = Symmetric::<C>::new(message.head, &our);
    noise.mix_ephemeral(message.ephemeral);
    noise.mix_key(&shared(message.ephemeral)?);
    if !noise.open(message.identity, message.identity_tag) {
        return Err(Discard::Forged);
    }
    noise.mix_key(&shared(message.identity)?);
    if !noise.open(message.hello, message.hello_tag) {
        return Err(Discard::Forged);
    }
    Ok(Request {
        peer: PublicKey(*message.identity),
        hello: Hello::decode(message.hello).ok_or(Discard::Malformed)?,
        connection: message::connection(message.head),
        noise,
        ephemeral: *message.ephemeral,
        len,
    })
}

impl<C: Crypto> Request<C> {
    /// Writes the response and returns what it says and its length: [`Request::write`] and
    /// [`Request::seal`] in one.
    pub fn respond(
        &self,
        psk: &Psk,
        connection: ConnectionId,
        credit: Credit,
        addresses: &[Advertised],
        random: &mut Random<C>,
        into: &mut [u8],
    ) -> Result<(Answer, usize), Discard> {
        let (len, _) = self.write(connection, credit, addresses, into)?;
        let into = into.get_mut(..len).ok_or(Discard::NoRoom)?;
        let [receive, send] = self.seal(psk, random, into)?;
        let answer = match self.choose(connection, credit, addresses) {
            Reply::Welcome(welcome) => {
                let suite = welcome.suite;
                let secrets = Secrets { side: Side::Responder, send, receive, suite };
                Answer::Accepted { secrets, welcome }
            }
            Reply::Refused(reason) => Answer::Refused(reason),
        };
        Ok((answer, len))
    }

    /// Writes what is answered, and returns the response's length and the suite, unless it is a
    /// refusal. `connection` is our id, `credit` what we lend; addresses that do not fit into `into`,
    /// or would make the response longer than the initiation, are left out. [`Discard::NoRoom`] if it
    /// does not fit without any.
    #[inline(never)] // So that not all of a handshake is on the stack at once.
    pub fn write(
        &self,
        connection: ConnectionId,
        credit: Credit,
        addresses: &[Advertised],
        into: &mut [u8],
    ) -> Result<(usize, Option<Suite>), Discard> {
        let reply = self.choose(connection, credit, addresses);
        let room = into.len().min(self.len);
        let end = room.saturating_sub(TAG);
        let place = into.get_mut(REPLY_AT..end).ok_or(Discard::NoRoom)?;
        let len = REPLY_AT + reply.encode(place).ok_or(Discard::NoRoom)? + TAG;
        let suite = match reply {
            Reply::Welcome(welcome) => Some(welcome.suite),
            Reply::Refused(_) => None,
        };
        Ok((len, suite))
    }

    /// Seals what [`Request::write`] wrote into these bytes, and returns the keys for receiving and
    /// for sending. `psk` belongs to the ticket that the Hello names, or is
    /// [`NO_PSK`](super::NO_PSK).
    #[inline(never)] // So that not all of a handshake is on the stack at once.
    pub fn seal(
        &self,
        psk: &Psk,
        random: &mut Random<C>,
        response: &mut [u8],
    ) -> Result<[[u8; 32]; 2], Discard> {
        let message = Response::write(response, self.connection).ok_or(Discard::NoRoom)?;
        let mut noise = self.noise.clone();
        let secret = random.bytes();
        *message.ephemeral = C::public(&secret);
        noise.mix_ephemeral(message.ephemeral);
        for public in [&self.ephemeral, &self.peer.0] {
            noise.mix_key(&C::dh(&secret, public).ok_or(Discard::Forged)?);
        }
        noise.mix_psk(psk);
        *message.reply_tag = noise.seal(message.reply);
        Ok(noise.split())
    }

    /// The newest version and the first of our suites that the initiator has too.
    fn choose(&self, connection: ConnectionId, credit: Credit, addresses: &[Advertised]) -> Reply {
        let version = self.hello.version_max.min(VERSION);
        if version < self.hello.version_min.max(VERSION_MIN) {
            return Reply::Refused(Refusal::NoCommonVersion { min: VERSION_MIN, max: VERSION });
        }
        let Some(suite) = self.hello.suites.choose(C::suites()) else {
            return Reply::Refused(Refusal::NoCommonSuite);
        };
        let mut welcome = Welcome { version, suite, connection, credit, addresses: Vec::new() };
        for address in addresses {
            // Those beyond the list's end come by Advertise, as do those that do not fit on the wire.
            let _ = welcome.addresses.push(*address);
        }
        Reply::Welcome(welcome)
    }
}

impl<C> fmt::Debug for Request<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("peer", &self.peer)
            .field("hello", &self.hello)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
