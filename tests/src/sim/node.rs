//! A node: a listener, a connection, and the loop that drives them. The order of the polls is
//! shuffled on purpose: the contract says that it does not matter.

use super::storage::VecStorage;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    Connection, Event, LinkChange, LinkInfo, LinkPolicy, Listener, Peer, Route, offered_credit,
};
use ropewalk_core::crypto::{Identity, Psk, Seed, Software};
use ropewalk_core::id::{Address, Arrival, ConnectionId, CostClass, LinkId};
use ropewalk_core::time::Instant;
use ropewalk_core::wire::TicketId;
use std::collections::BTreeMap;

/// The kind of connection that simulated nodes have.
pub type SimConnection = Connection<VecStorage, Software>;

/// What a node wants put on the wire.
pub struct Outgoing {
    /// By which of its links.
    pub link: usize,
    /// To which address.
    pub remote: Address,
    /// One datagram.
    pub datagram: Vec<u8>,
}

/// One side of the world.
pub struct Node {
    /// 0 dials, 1 answers.
    pub index: u8,
    /// Its key.
    pub identity: Identity,
    /// The secret of the one ticket that it honours.
    pub ticket: Option<(TicketId, Psk)>,
    /// Its connection, once there is one: the one that the peer last spoke on.
    pub connection: Option<SimConnection>,
    /// Connections that a fresh one replaced and that nobody has ended yet.
    others: Vec<SimConnection>,
    /// Which of its links are up.
    pub links: BTreeMap<u8, LinkInfo>,
    /// What its user wants of them.
    policies: BTreeMap<u8, LinkPolicy>,
    /// How often each link's address has changed.
    moves: BTreeMap<u8, u8>,
    listener: Listener<Software>,
    config: Config,
    rng: Rng,
    /// What happened, in order, for whoever drives the node.
    pub events: Vec<Event>,
    /// How the memory of the next connection is made.
    pub storage: fn() -> VecStorage,
}

impl Node {
    /// A node without links.
    #[must_use]
    pub fn new(
        index: u8,
        config: Config,
        storage: fn() -> VecStorage,
        rng: &mut Rng,
        now: Instant,
    ) -> Self {
        let identity = Identity::new::<Software>(bytes(rng));
        let listener = new_listener(&identity, storage, index == 1, rng, now);
        Self {
            index,
            identity,
            ticket: None,
            connection: None,
            others: Vec::new(),
            links: BTreeMap::new(),
            policies: BTreeMap::new(),
            moves: BTreeMap::new(),
            listener,
            config,
            rng: rng.fork(),
            events: Vec::new(),
            storage,
        }
    }

    /// The first address of link `link` of node `node`.
    #[must_use]
    pub fn address(node: u8, link: u8) -> Address {
        Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, link, node + 1)), 7_000))
    }

    /// The address that this node's link has now.
    #[must_use]
    pub fn local(&self, link: u8) -> Address {
        let moves = self.moves.get(&link).copied().unwrap_or(0);
        let host = Ipv4Addr::new(10, moves, link, self.index + 1);
        Address::Ip(SocketAddr::new(IpAddr::V4(host), 7_000))
    }

    /// The link gets another address. One that is down has it when it comes up.
    pub fn readdress(&mut self, link: u8, now: Instant) {
        let moves = self.moves.entry(link).or_default();
        *moves = moves.wrapping_add(1);
        if let Some(info) = self.links.get(&link) {
            self.link_up(link, info.mtu, now);
        }
    }

    /// Begins to dial; whoever came before is forgotten.
    pub fn dial(&mut self, peer: Peer, now: Instant) {
        let seed = Seed(bytes(&mut self.rng));
        let mut connection = Connection::connect(
            self.config,
            self.identity.clone(),
            peer,
            seed,
            (self.storage)(),
            now,
        );
        for (link, info) in &self.links {
            connection.handle_link(LinkId(*link), LinkChange::Up(info.clone()), now);
        }
        apply(&self.policies, &mut connection, now);
        self.connection = Some(connection);
    }

    /// The user's word on a link.
    pub fn set_policy(&mut self, link: u8, policy: LinkPolicy, now: Instant) {
        self.policies.insert(link, policy);
        if let Some(connection) = &mut self.connection {
            apply(&self.policies, connection, now);
        }
    }

    /// What a link costs.
    pub fn set_class(&mut self, link: u8, class: CostClass, now: Instant) {
        let Some(info) = self.links.get_mut(&link) else { return };
        info.class = class;
        let info = info.clone();
        self.change(link, LinkChange::Up(info), now);
    }

    /// Loses all state but the key, as a restart does.
    pub fn restart(&mut self, now: Instant) {
        self.connection = None;
        self.others.clear();
        let mut rng = self.rng.fork();
        self.listener = new_listener(&self.identity, self.storage, self.index == 1, &mut rng, now);
        for (link, info) in &self.links {
            self.listener.handle_link(LinkId(*link), &LinkChange::Up(info.clone()));
        }
    }

    /// A link comes up.
    pub fn link_up(&mut self, link: u8, mtu: u16, now: Instant) {
        let mut addresses = heapless::Vec::new();
        addresses.push(self.local(link)).expect("one address fits");
        let info = LinkInfo { mtu, rate: None, class: CostClass::Wired, addresses, hidden: false };
        self.links.insert(link, info.clone());
        self.change(link, LinkChange::Up(info), now);
    }

    /// A link goes away.
    pub fn link_down(&mut self, link: u8, now: Instant) {
        self.links.remove(&link);
        self.change(link, LinkChange::Down, now);
    }

    fn change(&mut self, link: u8, change: LinkChange, now: Instant) {
        self.listener.handle_link(LinkId(link), &change);
        for connection in self.connection.iter_mut().chain(&mut self.others) {
            connection.handle_link(LinkId(link), change.clone(), now);
        }
    }

    /// A datagram arrives; a reply of the listener's, if any, is returned.
    pub fn receive(
        &mut self,
        link: u8,
        from: Address,
        mut datagram: Vec<u8>,
        now: Instant,
    ) -> Option<Outgoing> {
        let local = match self.local(link) {
            Address::Ip(address) => Some(address.ip()),
            Address::Serial => None,
        };
        let at = Arrival { link: LinkId(link), local, remote: from };
        let known: Vec<_> =
            self.connection.iter().chain(&self.others).map(Connection::id).collect();
        let is_known = |id: ConnectionId| known.contains(&id);
        let ticket = self.ticket;
        let mut admit = |_, shown: Option<TicketId>| match (ticket, shown) {
            (Some((id, psk)), Some(shown)) if id == shown => Some(psk),
            (None, None) => Some([0; 32]),
            _ => None,
        };
        let mut scratch = [0; 9_216];
        let route = self.listener.handle_datagram(
            at,
            &mut datagram,
            &is_known,
            &mut admit,
            &mut scratch,
            now,
        );
        match route {
            Route::Known(id) => {
                self.hand_over(id, at, &mut datagram, now);
                None
            }
            Route::Reply(len) => {
                let link = usize::from(link);
                Some(Outgoing { link, remote: from, datagram: scratch[..len].to_vec() })
            }
            Route::Accept(incoming) => {
                let seed = Seed(bytes(&mut self.rng));
                let mut connection =
                    Connection::accept(incoming, self.config, seed, (self.storage)(), now)
                        .expect("the storage holds what the listener offered");
                for (link, info) in &self.links {
                    connection.handle_link(LinkId(*link), LinkChange::Up(info.clone()), now);
                }
                apply(&self.policies, &mut connection, now);
                let _ = connection.handle_datagram(at, &mut datagram, now);
                self.others.extend(self.connection.replace(connection));
                None
            }
            Route::Discard(_) => None,
        }
    }

    /// A datagram for one connection. Whichever the peer last spoke on is the current one: a late
    /// packet may bring an older first message to life after a newer one.
    fn hand_over(&mut self, id: ConnectionId, at: Arrival, datagram: &mut [u8], now: Instant) {
        if let Some(connection) = self.connection.as_mut().filter(|current| current.id() == id) {
            let _ = connection.handle_datagram(at, datagram, now);
            return;
        }
        let Some(place) = self.others.iter().position(|other| other.id() == id) else { return };
        if self.others[place].handle_datagram(at, datagram, now).is_ok()
            && let Some(current) = &mut self.connection
        {
            core::mem::swap(current, &mut self.others[place]);
        }
    }

    /// Polls until every poll says that there is nothing, in a shuffled order.
    pub fn poll(&mut self, now: Instant) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        let longest = self.links.values().map(|link| link.mtu).max().unwrap_or(1_200);
        let longest = usize::from(longest.min(9_000));
        if let Some(connection) = &mut self.connection {
            drain(connection, &mut self.events, &mut outgoing, &mut self.rng, longest, now);
        }
        for other in &mut self.others {
            // Nobody is left to hear what happens on it.
            drain(other, &mut Vec::new(), &mut outgoing, &mut self.rng, longest, now);
        }
        self.others.retain(|other| !other.is_drained());
        outgoing
    }

    /// When the node wants to be woken.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.connection.iter().chain(&self.others).filter_map(Connection::poll_timeout).min()
    }
}

/// Calls every poll of one connection until all say that there is nothing.
fn drain(
    connection: &mut SimConnection,
    events: &mut Vec<Event>,
    outgoing: &mut Vec<Outgoing>,
    rng: &mut Rng,
    longest: usize,
    now: Instant,
) {
    if connection.poll_timeout().is_some_and(|moment| moment <= now) {
        connection.handle_timeout(now);
    }
    // As a host may when a connection rests, but at every opportunity.
    if connection.forget_memory() {
        connection.storage_mut().renew();
    }
    // From one Ethernet packet on; at least one jumbo frame where links carry such.
    let mut buffer = vec![0; longest * rng.usize(1..=16)];
    let mut idle = [false; 2];
    while idle != [true; 2] {
        let which = rng.usize(..2);
        let busy = if which == 0 {
            connection.poll_event().map(|event| events.push(event)).is_some()
        } else if let Some(transmit) = connection.poll_transmit(&mut buffer, now) {
            assert!(transmit.len > 0 && transmit.segment_size > 0, "an empty transmit");
            for datagram in buffer[..transmit.len].chunks(transmit.segment_size) {
                outgoing.push(Outgoing {
                    link: usize::from(transmit.link.0),
                    remote: transmit.remote,
                    datagram: datagram.to_vec(),
                });
            }
            true
        } else {
            false
        };
        // Sending may raise an event and the other way round.
        idle = if busy { [false; 2] } else { idle };
        idle[which] = !busy;
    }
}

fn apply(policies: &BTreeMap<u8, LinkPolicy>, connection: &mut SimConnection, now: Instant) {
    for (link, policy) in policies {
        assert!(connection.set_link_policy(LinkId(*link), *policy, now), "few links");
    }
}

fn new_listener(
    identity: &Identity,
    storage: fn() -> VecStorage,
    accepting: bool,
    rng: &mut Rng,
    now: Instant,
) -> Listener<Software> {
    Listener::new(
        identity.clone(),
        offered_credit(&mut storage()),
        accepting,
        Seed(bytes(rng)),
        now,
    )
}

fn bytes(rng: &mut Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    bytes
}
