//! The dialer's handshake: one first message races over every pair of local link and remote
//! address, and whichever answer comes back first wins (`docs/protocol.md` section 4).
//!
//! ```text
//!   Waiting --link up--> Racing --answer opens--> won: keys, and the first path's pair
//!                        |  ^ |
//!             next round +--+ +--deadline--> lost
//! ```
//!
//! The same race asks, with `replaces` in its message, whether a peer that went silent was
//! restarted (section 12). The message's Noise bytes are the same in every copy; only the cookie
//! behind them differs.

use super::links::{Link, Links, Policy};
use super::transmit::Transmit;
use crate::crypto::{Crypto, Identity, Initiator, Outcome, Psk, Random};
use crate::error::Discard;
use crate::id::{Address, Arrival, ConnectionId, LinkId, Mode, PublicKey};
use crate::storage::table::{Table, keep};
use crate::time::{Duration, Instant};
use crate::wire::{Credit, Hello, Kind, Suites, TicketId, VERSION, VERSION_MIN, kind};
use heapless::Vec;

/// Whom to dial.
#[derive(Clone)]
pub struct Peer {
    /// Its public key.
    pub key: PublicKey,
    /// The secret that lets us in: a ticket's, or 32 zero bytes for a peer that knows our key.
    pub psk: Psk,
    /// The ticket that the secret belongs to.
    pub ticket: Option<TicketId>,
    /// Where it may be found.
    pub addresses: Vec<Address, PEER_ADDRESSES_MAX>,
}

/// What the dialer says about itself in each first message.
pub(super) struct Introduction {
    pub(super) connection: ConnectionId,
    pub(super) mode: Mode,
    pub(super) credit: Credit,
    pub(super) replaces: Option<ConnectionId>,
}

/// The dialer's side of the handshake.
pub(super) struct Dial<C: Crypto, T> {
    identity: Identity,
    peer: PublicKey,
    psk: Psk,
    ticket: Option<TicketId>,
    pub(super) addresses: T,
    race: Option<Race<C>>,
    /// The credit that the race's message offers.
    pub(super) offered: Credit,
    /// Replies came that did not open.
    pub(super) undecipherable: bool,
}

struct Race<C: Crypto> {
    initiator: Initiator<C>,
    /// The next pair of this round: links times addresses, in list order.
    cursor: usize,
    next_round: Instant,
    interval: Duration,
    cookies: Vec<(LinkId, Address, [u8; 16]), 4>,
}

impl<C: Crypto, T: Table<Address>> Dial<C, T> {
    pub(super) fn new(identity: Identity, peer: Peer) -> Self {
        let Peer { key: peer, psk, ticket, addresses: all } = peer;
        let mut addresses = T::default();
        for address in &all {
            let _ = addresses.list_mut().push(*address);
        }
        let offered = Credit::NONE;
        Self { identity, peer, psk, ticket, addresses, race: None, offered, undecipherable: false }
    }

    pub(super) fn racing(&self) -> bool {
        self.race.is_some()
    }

    /// Begins a race, unless one is on.
    pub(super) fn start<A: Table<Address>>(
        &mut self,
        me: Introduction,
        links: &Links<A, impl Table<Link<A>>, impl Table<Policy>>,
        random: &mut Random<C>,
        now: Instant,
    ) {
        if self.race.is_some() {
            return;
        }
        self.offered = me.credit;
        let mut hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION,
            suites: Suites::new(C::suites()),
            mode: me.mode,
            ticket: self.ticket,
            replaces: me.replaces,
            credit: me.credit,
            addresses: Vec::new(),
        };
        for advertised in &links.advertised() {
            let _ = hello.addresses.push(*advertised);
        }
        let limits = links.iter().map(|link| usize::from(link.mtu));
        let smallest = limits.filter(|limit| *limit >= INITIATION_MIN).min();
        let datagram_max = smallest.unwrap_or(INITIATION_MAX).min(INITIATION_MAX);
        let initiator = Initiator::new(
            &self.identity,
            self.peer,
            &self.psk,
            me.connection,
            &hello,
            datagram_max,
            random,
        );
        self.race = Some(Race {
            initiator,
            cursor: 0,
            next_round: now + ROUND_FIRST,
            interval: ROUND_FIRST,
            cookies: Vec::new(),
        });
    }

    /// The race is over or not needed.
    pub(super) fn stop(&mut self) {
        self.race = None;
    }

    /// Whether the first message may stay as it is when there is a link of this limit.
    pub(super) fn fits(&self, mtu: u16) -> bool {
        let mtu = usize::from(mtu);
        mtu < INITIATION_MIN
            || self.race.as_ref().is_none_or(|race| race.initiator.message_len() <= mtu)
    }

    /// Another link came up: it joins the race at once.
    pub(super) fn again(&mut self) {
        if let Some(race) = &mut self.race {
            race.cursor = 0;
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.race.as_ref().map(|race| race.next_round)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(race) = &mut self.race
            && now >= race.next_round
        {
            race.cursor = 0;
            race.interval = (race.interval * 2).min(ROUND_MAX);
            race.next_round = now + race.interval;
        }
    }

    /// The next copy of the first message.
    pub(super) fn poll_transmit<A: Table<Address>>(
        &mut self,
        links: &Links<A, impl Table<Link<A>>, impl Table<Policy>>,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let race = self.race.as_mut()?;
        let addresses = self.addresses.list().len();
        loop {
            let link = race.cursor.checked_div(addresses)?;
            let link = links.iter().nth(link)?;
            let remote = *self.addresses.list().get(race.cursor.checked_rem(addresses)?)?;
            race.cursor = race.cursor.saturating_add(1);
            let fits = race.initiator.message_len() <= usize::from(link.mtu);
            if !fits || !link.addresses.list().iter().any(|local| suits(local, &remote)) {
                continue;
            }
            let cookie = race
                .cookies
                .iter()
                .find(|(at, address, _)| *at == link.id && *address == remote)
                .map(|(_, _, cookie)| cookie);
            let len = race.initiator.write(cookie, buffer)?;
            return Some(Transmit { link: link.id, local: None, remote, len, segment_size: len });
        }
    }

    /// An answer. Whatever does not open leaves the race as it was.
    pub(super) fn handle_datagram(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
    ) -> Result<Option<Outcome>, Discard> {
        let race = self.race.as_mut().ok_or(Discard::Unexpected)?;
        match kind(datagram) {
            Some(Kind::CookieReply) => {
                let cookie = race.initiator.read_cookie(datagram).ok_or(Discard::Forged)?;
                keep(&mut race.cookies, &mut |(link, address, _)| {
                    (*link, *address) != (at.link, at.remote)
                });
                if race.cookies.is_full() {
                    race.cookies.pop();
                }
                let _ = race.cookies.push((at.link, at.remote, cookie));
                race.cursor = 0;
                Ok(None)
            }
            Some(Kind::Response) => match race.initiator.read_response(datagram) {
                Ok(outcome) => {
                    self.race = None;
                    Ok(Some(outcome))
                }
                Err(discard) => {
                    self.undecipherable = true;
                    Err(discard)
                }
            },
            _ => Err(Discard::Unexpected),
        }
    }
}

/// Whether a datagram from `local` can reach `remote` at all.
fn suits(local: &Address, remote: &Address) -> bool {
    match (local, remote) {
        (Address::Serial, Address::Serial) => true,
        (Address::Ip(local), Address::Ip(remote)) => {
            local.is_ipv4() == remote.is_ipv4()
                && local.ip().is_loopback() == remote.ip().is_loopback()
        }
        _ => false,
    }
}

/// Addresses that a peer may be looked for at.
pub const PEER_ADDRESSES_MAX: usize = 16;
/// Fits the smallest IP packet that every host takes: 576 less the IP and UDP headers.
const INITIATION_MAX: usize = 548;
/// A link that carries less is not dialled on.
const INITIATION_MIN: usize = 256;
const ROUND_FIRST: Duration = Duration::from_millis(100);
/// Copies are short, and a half-open state answers them all: at half of everything lost, eighteen
/// tries in four seconds get through where ten often do not.
const ROUND_MAX: Duration = Duration::from_millis(250);
