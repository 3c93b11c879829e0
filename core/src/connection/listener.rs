//! What comes before a connection exists: routes datagrams, and answers first messages.
//!
//! ```text
//!  first message -> keyed check -> (under load: cookie) -> open -> admit? -> half-open, answered
//!  first packet under the final keys -> Accept: only now does a connection come to be
//! ```
//!
//! Whatever fails on that way gets silence. The keyed check, and under load the cookie, come
//! before any multiplication. One half-open state for each ephemeral key, in a bounded table: all
//! copies of a first message, over whatever pair they come, get the same answer, which is never
//! longer than the message. A replayed first message costs one entry for a while and changes
//! nothing (`docs/protocol.md` section 4).

use super::links::{LinkChange, Links};
use super::scale::{Large, PlainLinksOf, Scale};
use crate::crypto::responder::{Request, ephemeral, read_initiation};
use crate::crypto::{
    CheckKey, CookieJar, Crypto, Identity, PacketKeys, Psk, Random, Secrets, Seed,
};
use crate::error::Discard;
use crate::id::{Arrival, ConnectionId, LinkId, PublicKey, Side};
use crate::packet_number::PacketNumber;
use crate::storage::copy;
use crate::storage::table::{Table, take_out};
use crate::time::{Duration, Instant};
use crate::wire::{
    Credit, Header, Hello, Kind, Reader, Suite, TAG_BYTES, TicketId, destination, kind,
};

/// What to do with a datagram.
pub enum Route<C: Crypto> {
    /// Hand it to this connection.
    Known(ConnectionId),
    /// Send the first `len` bytes of the scratch buffer back the way it came.
    Reply(usize),
    /// A new connection: [`super::Connection::accept`] it, report the links to it, then hand it
    /// this same datagram.
    Accept(Incoming<C>),
    /// Drop it; nobody hears of it.
    Discard(Discard),
}

/// A peer that proved who it is and that it may come in.
pub struct Incoming<C: Crypto> {
    pub(super) peer: PublicKey,
    pub(super) secrets: Secrets,
    pub(super) hello: Hello,
    pub(super) id: ConnectionId,
    pub(super) remote_id: ConnectionId,
    pub(super) offered: Credit,
    _crypto: core::marker::PhantomData<C>,
}

impl<C: Crypto> Incoming<C> {
    /// Its public key.
    pub const fn peer(&self) -> PublicKey {
        self.peer
    }

    /// The ticket it came with.
    pub const fn ticket(&self) -> Option<TicketId> {
        self.hello.ticket
    }

    /// The id that the new connection has.
    pub const fn connection_id(&self) -> ConnectionId {
        self.id
    }
}

/// Stands before all connections of an endpoint.
pub struct Listener<C: Crypto, Z: Scale = Large> {
    identity: Identity,
    check: CheckKey,
    offer: Credit,
    accepting: bool,
    random: Random<C>,
    cookies: CookieJar<C>,
    links: PlainLinksOf<Z>,
    half_open: Z::HalfOpen,
    /// First messages opened in this second, each of which cost multiplications.
    opened: u32,
    second: Instant,
}

/// A handshake that was answered and awaits its first packet.
pub struct HalfOpen<A> {
    ephemeral: [u8; 32],
    since: Instant,
    /// The connection came to be; kept so that late copies of the first message stay harmless.
    accepted: bool,
    peer: PublicKey,
    secrets: Secrets,
    hello: Hello,
    id: ConnectionId,
    remote_id: ConnectionId,
    answer: A,
}

impl<C: Crypto, Z: Scale> Listener<C, Z> {
    /// `offer`: the credit that each new connection's storage can honour
    /// ([`super::offered_credit`]). An endpoint that only dials passes `accepting: false`.
    pub fn new(
        identity: Identity,
        offer: Credit,
        accepting: bool,
        seed: Seed,
        now: Instant,
    ) -> Self {
        let mut random = Random::new(seed);
        let cookies = CookieJar::new(&mut random, now);
        Self {
            check: CheckKey::new::<C>(&identity.public),
            identity,
            offer,
            accepting,
            random,
            cookies,
            links: Links::default(),
            half_open: Z::HalfOpen::default(),
            opened: 0,
            second: now,
        }
    }

    /// Whether first messages are answered from now on.
    pub const fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Our links, whose addresses the answer enumerates.
    pub fn handle_link(&mut self, link: LinkId, change: &LinkChange) {
        match change {
            LinkChange::Up(info) => {
                self.links.up(link, info);
            }
            LinkChange::Down => self.links.down(link),
        }
    }

    /// Says what to do with a datagram.
    ///
    /// `known`: whether a connection with this id is here. `admit`: the secret of a peer that may
    /// come in (its ticket's, or zeros when its key is trusted); `None` is answered with silence.
    /// `scratch`: as long as the datagram and no shorter than 1,200 bytes; a reply lies in it.
    pub fn handle_datagram(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        known: &dyn Fn(ConnectionId) -> bool,
        admit: &mut dyn FnMut(PublicKey, Option<TicketId>) -> Option<Psk>,
        scratch: &mut [u8],
        now: Instant,
    ) -> Route<C> {
        let route = match kind(datagram) {
            Some(Kind::Initiation) => self.initiation(at, datagram, known, admit, scratch, now),
            Some(_) => match destination(datagram) {
                Some(id) if known(id) => return Route::Known(id),
                Some(id) => self.first_packet(id, datagram, scratch, now),
                None => Err(Discard::Malformed),
            },
            None => Err(Discard::Malformed),
        };
        route.unwrap_or_else(Route::Discard)
    }

    #[inline(never)] // What it has on the stack is not there when a packet is handled.
    fn initiation(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        known: &dyn Fn(ConnectionId) -> bool,
        admit: &mut dyn FnMut(PublicKey, Option<TicketId>) -> Option<Psk>,
        scratch: &mut [u8],
        now: Instant,
    ) -> Result<Route<C>, Discard> {
        if !self.accepting || !self.check.passes::<C>(datagram) {
            return Err(Discard::Stranger);
        }
        self.expire(now);
        let ephemeral = ephemeral(datagram).ok_or(Discard::Malformed)?;
        if let Some(open) = self.half_open.list().iter().find(|open| open.ephemeral == ephemeral) {
            if open.accepted {
                return Err(Discard::Replayed);
            }
            return reply(open.answer.list(), scratch);
        }
        if self.under_load(now) && !self.cookies.verify(datagram, &at.remote, at.link, now) {
            let public = self.identity.public;
            let len = self
                .cookies
                .reply(&public, datagram, &at.remote, at.link, scratch, now)
                .ok_or(Discard::Malformed)?;
            return Ok(Route::Reply(len));
        }
        self.opened = self.opened.saturating_add(1);
        let request = read_initiation::<C>(&self.identity, datagram)?;
        let psk = admit(request.peer, request.hello.ticket).ok_or(Discard::Stranger)?;
        if request.hello.replaces.is_some_and(|id| known(id) || self.awaits(id, request.peer, now))
        {
            // We still hold what it asks about: nothing was lost, so there is nothing to say.
            return Err(Discard::Unexpected);
        }
        if !self.make_room(now) {
            return Err(Discard::NoRoom);
        }
        let id = self.free_id(known);
        let room = Z::Answer::default().list().capacity();
        let place = scratch.get_mut(..room).ok_or(Discard::NoRoom)?;
        let (len, suite) = self.write(&request, id, place)?;
        let answer = place.get_mut(..len).ok_or(Discard::NoRoom)?;
        let [receive, send] = request.seal(&psk, &mut self.random, answer)?;
        if let Some(suite) = suite {
            let secrets = Secrets { side: Side::Responder, send, receive, suite };
            self.remember(&request, ephemeral, id, secrets, answer, now);
        } // A refusal leaves nothing behind.
        Ok(Route::Reply(len))
    }

    /// Writes the answer, with our addresses in it.
    #[inline(never)] // So that not all of a handshake is on the stack at once.
    fn write(
        &self,
        request: &Request<C>,
        id: ConnectionId,
        place: &mut [u8],
    ) -> Result<(usize, Option<Suite>), Discard> {
        request.write(id, self.offer, &self.links.advertised(), place)
    }

    #[inline(never)]
    fn remember(
        &mut self,
        request: &Request<C>,
        ephemeral: [u8; 32],
        id: ConnectionId,
        secrets: Secrets,
        bytes: &[u8],
        now: Instant,
    ) {
        let mut answer = Z::Answer::default();
        let _ = answer.list_mut().extend_from_slice(bytes);
        let _ = self.half_open.list_mut().push(HalfOpen {
            ephemeral,
            since: now,
            accepted: false,
            peer: request.peer,
            secrets,
            hello: request.hello.clone(),
            id,
            remote_id: request.connection,
            answer,
        });
    }

    /// The first packet under its final keys makes a half-open state a connection.
    #[inline(never)]
    fn first_packet(
        &mut self,
        id: ConnectionId,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
    ) -> Result<Route<C>, Discard> {
        self.expire(now);
        let open = self
            .half_open
            .list_mut()
            .iter_mut()
            .find(|open| open.id == id && !open.accepted)
            .ok_or(Discard::UnknownConnection)?;
        // The connection will open the same bytes once more, so this works on a copy.
        let twin = scratch.get_mut(..datagram.len()).ok_or(Discard::NoRoom)?;
        copy(datagram, twin);
        opens::<C>(&open.secrets, twin, now)?;
        open.accepted = true;
        Ok(Route::Accept(Incoming {
            peer: open.peer,
            secrets: open.secrets.clone(),
            hello: open.hello.clone(),
            id,
            remote_id: open.remote_id,
            offered: self.offer,
            _crypto: core::marker::PhantomData,
        }))
    }

    /// Whether we answered this peer with this id and wait for the first packet. Its links may have
    /// died in between; it asks, so it still has something to say, and the state waits on.
    fn awaits(&mut self, id: ConnectionId, peer: PublicKey, now: Instant) -> bool {
        let mut waiting = self.half_open.list_mut().iter_mut().filter(|open| !open.accepted);
        let open = waiting.find(|open| open.id == id && open.peer == peer);
        open.map(|open| open.since = now).is_some()
    }

    /// Whether there is room for another state: the oldest that became a connection gives its place,
    /// or the oldest of all if nobody has come back to it for long. Who was answered a moment ago
    /// believes to be connected, so nobody else may have that place; whoever finds none asks again.
    fn make_room(&mut self, now: Instant) -> bool {
        if !self.half_open.list().is_full() {
            return true;
        }
        let oldest = self.half_open.list().iter().enumerate();
        let oldest = oldest.min_by_key(|(_, open)| (!open.accepted, open.since));
        let Some((index, open)) = oldest else { return true };
        let may_go = open.accepted || now.since(open.since) >= HALF_OPEN_KEPT;
        if may_go {
            take_out(self.half_open.list_mut(), index);
        }
        may_go
    }

    fn expire(&mut self, now: Instant) {
        let over = |open: &HalfOpen<Z::Answer>| now.since(open.since) >= HALF_OPEN_LIFE;
        while let Some(index) = self.half_open.list().iter().position(over) {
            take_out(self.half_open.list_mut(), index);
        }
    }

    /// More first messages than people send: each must now show that it can hear our answer.
    fn under_load(&mut self, now: Instant) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.opened = 0;
        }
        let waiting = self.half_open.list().iter().filter(|open| !open.accepted).count();
        self.opened >= OPENED_PER_SECOND || waiting >= self.half_open.list().capacity()
    }

    fn free_id(&mut self, known: &dyn Fn(ConnectionId) -> bool) -> ConnectionId {
        let mut id = ConnectionId(self.random.u32());
        // Each try fails with a chance of one in billions: a few suffice.
        for _ in 0..8 {
            if !known(id) && !self.half_open.list().iter().any(|open| open.id == id) {
                break;
            }
            id = ConnectionId(self.random.u32());
        }
        id
    }
}

fn reply<C: Crypto>(answer: &[u8], scratch: &mut [u8]) -> Result<Route<C>, Discard> {
    let into = scratch.get_mut(..answer.len()).ok_or(Discard::NoRoom)?;
    copy(answer, into);
    Ok(Route::Reply(answer.len()))
}

/// Whether a packet opens under these keys. Ruins the packet.
fn opens<C: Crypto>(secrets: &Secrets, datagram: &mut [u8], now: Instant) -> Result<(), Discard> {
    let bytes = datagram.len();
    let mut reader = Reader::new(datagram);
    let header = Header::decode(&mut reader).map_err(|_| Discard::Malformed)?;
    let head_len = bytes.saturating_sub(reader.remaining());
    let (head, sealed) = datagram.split_at_mut_checked(head_len).ok_or(Discard::Malformed)?;
    let payload_len = sealed.len().checked_sub(TAG_BYTES).ok_or(Discard::Malformed)?;
    let (payload, tag) = sealed.split_at_mut_checked(payload_len).ok_or(Discard::Malformed)?;
    let tag = tag.first_chunk().ok_or(Discard::Malformed)?;
    let number = PacketNumber::expand(header.number, header.number_len.into(), PacketNumber(0));
    PacketKeys::<C>::new(secrets)
        .open(header.key_phase, header.path, number, true, head, payload, tag, now)
        .map(|_| ())
}

/// How long a half-open state waits for its first packet, and late copies find their answer.
const HALF_OPEN_LIFE: Duration = Duration::from_secs(10);
/// How long it keeps its place in any case: a first packet needs a round trip, and dialers are
/// patient for 4.5 s.
const HALF_OPEN_KEPT: Duration = Duration::from_secs(2);
/// First messages opened in a second before cookies are asked for.
const OPENED_PER_SECOND: u32 = 50;
