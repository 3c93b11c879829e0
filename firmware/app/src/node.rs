//! One turn of the loop: what came in, what is due, what goes out.
//!
//! ```text
//!  links ── datagrams ──> Listener ──┬─ known ────> its seat
//!                                    ├─ let in ───> a free seat, or one that nobody misses
//!                                    ├─ answer ───> back the way it came
//!                                    └─ neither ──> dropped, counted
//!  seats ── timers, events, services ── datagrams ──> links
//! ```
//!
//! Every list here has an end, so a turn does: [`DATAGRAMS_PER_LINK`] come in from each link and
//! [`DATAGRAMS_PER_SEAT`] go out from each seat, however many wait. A flood of first messages costs
//! its link's share of each turn and no more, and the cookie keeps it from the multiplications.

use crate::dials::Dials;
use crate::link::Link;
use crate::log::say;
use crate::seat::{Call, Over, Place, Seat};
use crate::services::{NAMES, Vitals};
use crate::start::{Seeds, Started};
use core::net::SocketAddr;
use heapless::Vec;
use ropewalk_core::application::settings::Settings;
use ropewalk_core::application::ticket::TicketText;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{Incoming, LinkChange, Listener, Peer, Route, Storage};
use ropewalk_core::crypto::{Identity, NO_PSK, Psk, Software};
use ropewalk_core::id::{Address, Arrival, ConnectionId, LinkId, PublicKey};
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::{Credit, TicketId};

/// Connections at once.
pub const SEATS_MAX: usize = 4;
/// Links.
pub const LINKS_MAX: usize = 8;
/// Datagrams taken from each link in one turn.
pub const DATAGRAMS_PER_LINK: usize = 8;
/// Datagrams sent for each seat in one turn.
pub const DATAGRAMS_PER_SEAT: usize = 8;
/// The longest datagram of an Ethernet link.
const DATAGRAM_BYTES: usize = 1_472;

/// Everything between the links.
pub struct Node<M: Storage + 'static> {
    settings: Settings,
    identity: Identity,
    seeds: Seeds,
    listener: Listener<Software, M::Scale>,
    seats: Vec<Seat<M>, SEATS_MAX>,
    /// Bit `i`: link `i` is up.
    up: u8,
    dials: Dials,
    vitals: Vitals,
    counters: Counters,
    datagram: [u8; DATAGRAM_BYTES],
    scratch: [u8; DATAGRAM_BYTES],
}

/// What happened so far, and what did not find its way.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Connections begun: dialled, or let in.
    pub begun: u32,
    /// Datagrams that no connection wanted: strangers, noise, replays.
    pub discarded: u32,
    /// Datagrams that a link had no room for, or no way.
    pub unsent: u32,
    /// Peers turned away for want of a seat.
    pub turned_away: u32,
}

impl<M: Storage + 'static> Node<M> {
    /// A node with a seat for each place; at least one, four at most.
    pub fn new(
        started: Started,
        places: impl IntoIterator<Item = &'static mut Place<M>>,
        now: Instant,
    ) -> Self {
        let identity = started.identity();
        let Started { settings, mut seeds, boot, .. } = started;
        let mut places = places.into_iter().take(SEATS_MAX).peekable();
        let offer = places.peek_mut().map_or(Credit::NONE, |place| place.offer());
        let seats = places.map(|place| Seat::new(place, config())).collect();
        let listener = Listener::new(identity.clone(), offer, true, seeds.seed(), now);
        let dials = Dials::new(&settings, now);
        Self {
            settings,
            identity,
            seeds,
            listener,
            seats,
            up: 0,
            dials,
            vitals: Vitals { boot, turn_max: Duration::ZERO },
            counters: Counters::default(),
            datagram: [0; DATAGRAM_BYTES],
            scratch: [0; DATAGRAM_BYTES],
        }
    }

    /// The node's name.
    pub const fn key(&self) -> PublicKey {
        self.identity.public
    }

    /// What happened so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The last turn took so long.
    pub fn on_turn(&mut self, took: Duration) {
        self.vitals.turn_max = self.vitals.turn_max.max(took);
    }

    /// The longest turn so far.
    pub const fn turn_max(&self) -> Duration {
        self.vitals.turn_max
    }

    /// Connections that have a path which carries data.
    pub fn alive(&self) -> usize {
        self.seats.iter().filter(|seat| seat.lives()).count()
    }

    /// One turn. The links are always the same, in the same order. Returns when the next turn is
    /// due if nothing comes before.
    pub fn turn(&mut self, links: &mut [&mut dyn Link], now: Instant) -> Option<Instant> {
        let mut news = false;
        for (number, link) in links.iter_mut().enumerate().take(LINKS_MAX) {
            let id = LinkId(number as u8);
            if link.poll(now) {
                self.tell(id, *link, now);
                news = true;
            }
            self.take_in(id, *link, now);
        }
        if news {
            self.show_ticket(links);
        }
        for number in 0..self.seats.len() {
            self.advance(number, links, now);
        }
        self.call(now);
        let calls = self.dials.deadline().filter(|_| self.up != 0);
        self.seats.iter().filter_map(Seat::deadline).chain(calls).min()
    }

    /// A link changed: everybody hears of it, and free seats for those to come.
    fn tell(&mut self, id: LinkId, link: &dyn Link, now: Instant) {
        let change = link.report().map_or(LinkChange::Down, LinkChange::Up);
        say!(info, "{}: {}", link.name(), change);
        self.listener.handle_link(id, &change);
        let bit = 1_u8.checked_shl(id.0.into()).unwrap_or(0);
        match change {
            LinkChange::Up(_) => self.up |= bit,
            LinkChange::Down => self.up &= !bit,
        }
        for seat in &mut self.seats {
            seat.rope().handle_link(id, change.clone(), now);
        }
    }

    /// Whoever reads the board's log may enter.
    fn show_ticket(&self, links: &[&mut dyn Link]) {
        let Some((id, secret)) = self.settings.invitations.first() else { return };
        let mut addresses = Vec::<SocketAddr, 8>::new();
        for info in links.iter().filter_map(|link| link.report()) {
            for address in &info.addresses {
                if let Address::Ip(address) = address {
                    let _ = addresses.push(*address);
                }
            }
        }
        let key = &self.identity.public;
        let ticket = TicketText { key, id, secret, addresses: &addresses, root: None };
        #[cfg(feature = "defmt")]
        defmt::info!("ticket {}", defmt::Display2Format(&ticket));
        #[cfg(not(feature = "defmt"))]
        let _ = ticket;
    }

    fn take_in(&mut self, id: LinkId, link: &mut dyn Link, now: Instant) {
        for _ in 0..DATAGRAMS_PER_LINK {
            let Some(came) = link.receive(&mut self.datagram) else { return };
            let at = Arrival { link: id, local: came.local, remote: came.remote };
            self.route(at, came.len, link, now);
        }
    }

    fn route(&mut self, at: Arrival, len: usize, link: &mut dyn Link, now: Instant) {
        let Self { datagram, scratch, listener, seats, settings, .. } = self;
        let Some(bytes) = datagram.get_mut(..len) else { return };
        let known = |id| {
            let mut ropes = seats.iter().filter_map(Seat::taken);
            ropes.any(|rope| rope.id() == id)
        };
        let admit = &mut |peer, ticket: Option<TicketId>| admit(settings, &peer, ticket.as_ref());
        let route = listener.handle_datagram(at, bytes, &known, admit, scratch, now);
        match route {
            Route::Known(id) => self.hand_to(id, at, len, now),
            Route::Reply(len) => {
                let answer = self.scratch.get(..len).unwrap_or_default();
                if link.send(answer, at.local, &at.remote).is_err() {
                    count(&mut self.counters.unsent);
                }
            }
            Route::Accept(incoming) => {
                let id = incoming.connection_id();
                self.welcome(&incoming, now);
                self.hand_to(id, at, len, now);
            }
            Route::Discard(discard) => {
                say!(trace, "dropped: {}", discard);
                count(&mut self.counters.discarded);
            }
        }
    }

    fn hand_to(&mut self, id: ConnectionId, at: Arrival, len: usize, now: Instant) {
        let Some(bytes) = self.datagram.get_mut(..len) else { return };
        let is_its = |seat: &&mut Seat<M>| seat.taken().is_some_and(|rope| rope.id() == id);
        let Some(seat) = self.seats.iter_mut().find(is_its) else { return };
        if seat.rope().handle_datagram(at, bytes, now).is_err() {
            count(&mut self.counters.discarded);
        }
    }

    /// Gives a peer that proved itself a seat: a free one, or that of a connection which it has
    /// itself replaced, or one whose peer cannot be reached.
    fn welcome(&mut self, incoming: &Incoming<Software>, now: Instant) {
        let peer = incoming.peer();
        let free = self.seats.iter().position(Seat::is_free);
        let seat = free.or_else(|| self.expendable(&peer));
        let Some(seat) = seat.and_then(|number| self.seats.get_mut(number)) else {
            say!(warn, "no seat for another connection; a peer was turned away");
            return count(&mut self.counters.turned_away);
        };
        if let Some(over) = seat.clear() {
            on_over(&mut self.dials, &over, now);
        }
        if seat.accept(incoming, self.seeds.seed(), now) {
            count(&mut self.counters.begun);
        }
    }

    /// A seat whose connection has no path that lives; that of the same peer first.
    fn expendable(&self, peer: &PublicKey) -> Option<usize> {
        let dead = |seat: &Seat<M>| !seat.is_free() && !seat.lives();
        let same = |seat: &Seat<M>| {
            !seat.is_dialled() && seat.taken().is_some_and(|rope| rope.peer() == *peer)
        };
        let mut seats = self.seats.iter();
        seats.position(|seat| same(seat) && dead(seat)).or_else(|| {
            let dead = self.seats.iter().position(dead);
            dead.or_else(|| self.seats.iter().position(same))
        })
    }

    /// Moves a connection on and sends what it has.
    fn advance(&mut self, number: usize, links: &mut [&mut dyn Link], now: Instant) {
        let Self { seats, vitals, scratch, counters, dials, .. } = self;
        let Some(seat) = seats.get_mut(number) else { return };
        if seat.is_free() {
            return;
        }
        seat.advance(vitals, now);
        for _ in 0..DATAGRAMS_PER_SEAT {
            let Some(transmit) = seat.rope().poll_transmit(scratch, now) else { break };
            let link = links.get_mut(usize::from(transmit.link.0));
            let bytes = scratch.get(..transmit.len).unwrap_or_default();
            let sent = link.map(|link| link.send(bytes, transmit.local, &transmit.remote));
            if sent != Some(Ok(())) {
                count(&mut counters.unsent);
            }
        }
        if let Some(over) = seat.clear_if_over() {
            on_over(dials, &over, now);
        }
    }

    /// Calls whom it is time to call. One seat stays free for those who call us.
    fn call(&mut self, now: Instant) {
        if self.up == 0 {
            return;
        }
        let Some(number) = self.dials.next(now) else { return };
        let free = self.seats.iter().filter(|seat| seat.is_free()).count();
        let Some(known) = self.settings.peers.get(number).filter(|_| free > 1) else {
            return self.dials.postpone(number, now);
        };
        let peer = Peer {
            key: known.key,
            psk: known.ticket.map_or(NO_PSK, |(_, psk)| psk),
            ticket: known.ticket.map(|(id, _)| id),
            addresses: known.addresses.iter().copied().collect(),
        };
        let call = Call { identity: self.identity.clone(), peer, seed: self.seeds.seed(), now };
        let seat = self.seats.iter_mut().find(|seat| seat.is_free());
        if seat.is_some_and(|seat| seat.dial(number, call)) {
            count(&mut self.counters.begun);
        }
    }
}

fn on_over(dials: &mut Dials, over: &Over, now: Instant) {
    if let Some(number) = over.dialled {
        dials.on_over(number, over.stood, now);
    }
}

/// The secret of a peer that may come in.
fn admit(settings: &Settings, peer: &PublicKey, ticket: Option<&TicketId>) -> Option<Psk> {
    match ticket {
        Some(ticket) => {
            let invitation = settings.invitations.iter().find(|(id, _)| id == ticket)?;
            Some(invitation.1)
        }
        None => settings.peers.iter().any(|known| known.key == *peer).then_some(NO_PSK),
    }
}

fn config() -> Config {
    Config { services: NAMES, datagram_bytes_max: DATAGRAM_BYTES as u16, ..Config::default() }
}

fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
