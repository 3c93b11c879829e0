//! A node on this machine: its links, its sockets, and the connections over them.
//!
//! ```text
//!  interfaces --watched--> links --a socket each family--> receive tasks --Listener--> connections
//!                                         ^                                               |
//!                                         +--------------- drivers, one each -------------+
//! ```
//!
//! All interfaces are found without being named, and watched: one that appears is used by every
//! connection, one that goes away is dropped at once, and a change of address is taken in.

use crate::clock::Clock;
use crate::connection::{CloseReason, Connection, Core, Shared};
use crate::crypto::HostCrypto;
use crate::driver::drive;
use crate::identity::Identity;
use crate::link::interfaces::{Filter, Interface, UnknownLink, interfaces};
use crate::link::socket::{LinkSocket, Pin};
use crate::storage::{HostStorage, WINDOW_DEFAULT};
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::config::Config;
use ropewalk_core::connection::{
    LinkChange, LinkInfo, Listener, Peer, Route, Transmit, offered_credit,
};
use ropewalk_core::crypto::{Psk, Seed};
use ropewalk_core::id::{Address, Arrival, ConnectionId, CostClass, LinkId, Mode, PublicKey};
use ropewalk_core::wire::TicketId;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Who may connect: the secret of the handshake, or `None` for silence.
pub type Admit = Arc<dyn Fn(PublicKey, Option<TicketId>) -> Option<Psk> + Send + Sync>;

/// How an endpoint is set up.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Who we are.
    pub identity: Identity,
    /// The services that we answer.
    pub services: &'static [&'static str],
    /// How paths are used by connections that we dial.
    pub mode: Mode,
    /// Only these links, if any are named.
    pub only: Vec<String>,
    /// Never these links.
    pub not: Vec<String>,
    /// The UDP port on every link; zero for a free one.
    pub port: u16,
    /// More addresses to tell peers: port forwardings and the like.
    pub advertise: Vec<SocketAddr>,
    /// Tell peers only the addresses in `advertise`: ours mean nothing to them.
    pub hidden: bool,
    /// Memory of a connection, in bytes.
    pub window: Option<u64>,
    /// These links instead of the machine's interfaces.
    pub fixed_links: Option<Vec<FixedLink>>,
    /// Who may connect; `None` for an endpoint that only dials.
    pub admission: Option<Admit>,
}

impl EndpointConfig {
    /// The defaults, for this node.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            services: &[],
            mode: Mode::Bulk,
            only: Vec::new(),
            not: Vec::new(),
            port: 0,
            advertise: Vec::new(),
            hidden: false,
            window: None,
            fixed_links: None,
            admission: None,
        }
    }
}

/// A link that is given, not found: a socket at this address.
#[derive(Clone, Debug)]
pub struct FixedLink {
    /// What to call it.
    pub name: String,
    /// Where its socket is.
    pub address: SocketAddr,
}

/// Why an endpoint cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody has the port.
    #[error("port {0} is taken on this machine; choose another with --port, or leave it out")]
    PortTaken(u16),
    /// A filter names something that is not there.
    #[error(transparent)]
    UnknownLink(#[from] UnknownLink),
    /// Nothing to send by.
    #[error("there is no usable link; `ropewalk links` shows what there is and why it is left out")]
    NoLink,
    /// The system refused.
    #[error("cannot open a socket: {0}")]
    Io(#[from] io::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It ended before it began.
    #[error("{0:?}")]
    Closed(CloseReason),
}

/// A node on this machine. Dropped, it neither receives nor watches any more.
pub struct Endpoint {
    inner: Arc<Inner>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Connection>>,
    watcher: Option<JoinHandle<()>>,
}

/// What the endpoint's tasks share.
pub(crate) struct Inner {
    config: EndpointConfig,
    clock: Clock,
    links: RwLock<Links>,
    listener: Mutex<Listener<HostCrypto>>,
    connections: RwLock<HashMap<ConnectionId, Arc<Shared>>>,
    incoming: mpsc::Sender<Connection>,
    rescan: Notify,
}

#[derive(Default)]
struct Links {
    port: u16,
    up: HashMap<LinkId, Link>,
    /// Numbers stay with names, so that a link that returns has its number again.
    numbers: HashMap<String, LinkId>,
}

struct Link {
    name: String,
    index: u32,
    info: LinkInfo,
    sockets: Vec<Arc<LinkSocket>>,
    receivers: Vec<JoinHandle<()>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        for receiver in &self.receivers {
            receiver.abort();
        }
    }
}

impl Endpoint {
    /// Opens sockets on all links and begins to watch them.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        let clock = Clock::new();
        let identity =
            ropewalk_core::crypto::Identity::new::<HostCrypto>(*config.identity.secret());
        let offer = offered_credit(&mut HostStorage::new(config.window.unwrap_or(WINDOW_DEFAULT)));
        let accepting = config.admission.is_some();
        let listener = Listener::new(identity, offer, accepting, seed()?, clock.now());
        let (sender, incoming) = mpsc::channel(INCOMING_MAX);
        let inner = Arc::new(Inner {
            links: RwLock::new(Links { port: config.port, ..Links::default() }),
            config,
            clock,
            listener: Mutex::new(listener),
            connections: RwLock::default(),
            incoming: sender,
            rescan: Notify::new(),
        });
        let watcher = match inner.config.fixed_links.clone() {
            Some(fixed) => {
                for link in &fixed {
                    inner.add_fixed(link)?;
                }
                None
            }
            None => {
                inner.filter().check(&interfaces())?;
                inner.first_scan()?;
                Some(tokio::spawn(watch(inner.clone())))
            }
        };
        if inner.read_links().up.is_empty() {
            return Err(BindError::NoLink);
        }
        Ok(Self { inner, incoming: tokio::sync::Mutex::new(incoming), watcher })
    }

    /// The UDP port on every link.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.read_links().port
    }

    /// This node's public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.config.identity.public()
    }

    /// Where peers can reach us, cheapest links first.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let links = self.inner.read_links();
        let mut sorted: Vec<_> = links.up.iter().collect();
        sorted.sort_by_key(|(id, link)| (link.info.class, **id));
        let of_links = sorted.into_iter().flat_map(|(_, link)| &link.info.addresses);
        let ip = |address: &Address| match address {
            Address::Ip(address) => Some(*address),
            Address::Serial => None,
        };
        let mut addresses: Vec<_> = of_links.filter_map(ip).collect();
        addresses.dedup();
        addresses
    }

    /// Dials a peer, over all links at once.
    ///
    /// # Errors
    /// When nobody answers as that peer would.
    pub async fn connect(
        &self,
        key: PublicKey,
        ticket: Option<(TicketId, Psk)>,
        addresses: &[SocketAddr],
    ) -> Result<Connection, ConnectError> {
        let shared = self.inner.dial(key, ticket, addresses);
        let mut connected = shared.connected.subscribe();
        let mut closed = shared.closed.subscribe();
        let reason = tokio::select! {
            _ = connected.wait_for(|connected| *connected) => None,
            reason = closed.wait_for(Option::is_some) => Some(reason.ok().and_then(|r| r.clone())),
        };
        match reason {
            None => Ok(Connection::new(shared)),
            Some(reason) => Err(ConnectError::Closed(reason.unwrap_or(CloseReason::Idle))),
        }
    }

    /// The next peer that came in; `None` when no link is left.
    pub async fn accept(&self) -> Option<Connection> {
        self.incoming.lock().await.recv().await
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
        let connections: Vec<_> = self.inner.read_connections().values().cloned().collect();
        // A connection that is still used keeps its links; else they go now.
        if connections.is_empty() {
            self.inner.links.write().unwrap_or_else(PoisonError::into_inner).up.clear();
        }
    }
}

impl Inner {
    /// Sends a run of packets the way that the core says.
    pub(crate) async fn send(&self, transmit: &Transmit, run: &[u8]) {
        let Address::Ip(mut remote) = transmit.remote else { return };
        let socket = {
            let links = self.read_links();
            let Some(link) = links.up.get(&transmit.link) else { return };
            if let SocketAddr::V6(address) = &mut remote
                && address.ip().is_unicast_link_local()
            {
                address.set_scope_id(link.index);
            }
            link.sockets.iter().find(|socket| socket.is_ipv6() == remote.is_ipv6()).cloned()
        };
        let Some(socket) = socket else { return };
        let sent = socket.send(run, transmit.segment_size, remote, transmit.local).await;
        if let Err(error) = sent {
            tracing::debug!(link = transmit.link.0, %remote, %error, "cannot send");
            // Whatever the reason, the link may have changed; probing decides about the path.
            self.rescan.notify_one();
            if transmit.local.is_some() {
                let _ = socket.send(run, transmit.segment_size, remote, None).await;
            }
        }
    }

    /// A connection is over.
    pub(crate) fn forget(&self, id: ConnectionId) {
        self.connections.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn dial(
        self: &Arc<Self>,
        key: PublicKey,
        ticket: Option<(TicketId, Psk)>,
        addresses: &[SocketAddr],
    ) -> Arc<Shared> {
        let mut peer = Peer {
            key,
            psk: ticket.map_or([0; 32], |(_, psk)| psk),
            ticket: ticket.map(|(id, _)| id),
            addresses: heapless::Vec::new(),
        };
        for address in addresses {
            let _ = peer.addresses.push(Address::Ip(*address));
        }
        let identity =
            ropewalk_core::crypto::Identity::new::<HostCrypto>(*self.config.identity.secret());
        let storage = self.storage();
        let seed = seed().unwrap_or_else(|_| Seed(blake3::hash(&key.0).into()));
        let core =
            Core::connect(self.core_config(), identity, peer, seed, storage, self.clock.now());
        self.begin(core, None)
    }

    /// Enters a connection, tells it of the links, and sets its driver going.
    fn begin(self: &Arc<Self>, core: Core, ticket: Option<TicketId>) -> Arc<Shared> {
        let id = core.id();
        let names = Arc::downgrade(self);
        let name = move |link| {
            let inner = names.upgrade();
            let name = inner.and_then(|inner| inner.read_links().name(link));
            name.unwrap_or_else(|| "gone".into())
        };
        let shared = Arc::new(Shared::new(core, self.clock, ticket, Arc::new(name)));
        self.connections.write().unwrap_or_else(PoisonError::into_inner).insert(id, shared.clone());
        let infos: Vec<_> =
            self.read_links().up.iter().map(|(id, link)| (*id, link.info.clone())).collect();
        for (link, info) in infos {
            let now = self.clock.now();
            shared.lock().core.handle_link(link, LinkChange::Up(info), now);
        }
        tokio::spawn(drive(shared.clone(), self.clone(), id));
        shared
    }

    fn storage(&self) -> HostStorage {
        HostStorage::new(self.config.window.unwrap_or(WINDOW_DEFAULT))
    }

    fn core_config(&self) -> Config {
        Config { mode: self.config.mode, services: self.config.services, ..Config::default() }
    }

    fn filter(&self) -> Filter {
        Filter { only: self.config.only.clone(), not: self.config.not.clone() }
    }

    /// A datagram arrived: to its connection, or to the listener.
    fn receive(
        self: &Arc<Self>,
        at: Arrival,
        datagram: &mut [u8],
        woken: &mut Vec<Arc<Shared>>,
        scratch: &mut [u8],
    ) -> Option<usize> {
        let known = ropewalk_core::wire::destination(datagram)
            .and_then(|id| self.read_connections().get(&id).cloned());
        if let Some(shared) = known {
            self.deliver(&shared, at, datagram, woken);
            return None;
        }
        let is_known = |id: ConnectionId| self.read_connections().contains_key(&id);
        let mut admit = |peer, ticket| self.config.admission.as_ref()?(peer, ticket);
        let route = self.lock_listener().handle_datagram(
            at,
            datagram,
            &is_known,
            &mut admit,
            scratch,
            self.clock.now(),
        );
        match route {
            Route::Known(_) => None,
            Route::Reply(len) => Some(len),
            Route::Accept(incoming) => {
                let ticket = incoming.ticket();
                let (config, now) = (self.core_config(), self.clock.now());
                let core =
                    Core::accept(incoming, config, seed().ok()?, self.storage(), now).ok()?;
                let shared = self.begin(core, ticket);
                self.deliver(&shared, at, datagram, woken);
                // With nobody to accept it, it is closed by its idle timeout.
                let _ = self.incoming.try_send(Connection::new(shared));
                None
            }
            Route::Discard(discard) => {
                tracing::trace!(%discard, "datagram dropped");
                None
            }
        }
    }

    fn deliver(
        &self,
        shared: &Arc<Shared>,
        at: Arrival,
        datagram: &mut [u8],
        woken: &mut Vec<Arc<Shared>>,
    ) {
        let result = shared.lock().core.handle_datagram(at, datagram, self.clock.now());
        if let Err(discard) = result {
            tracing::trace!(%discard, "datagram dropped");
        }
        if !woken.last().is_some_and(|last| Arc::ptr_eq(last, shared)) {
            woken.push(shared.clone());
        }
    }

    fn add_fixed(self: &Arc<Self>, fixed: &FixedLink) -> Result<(), BindError> {
        let address = fixed.address;
        let pin = Pin::Address(address.ip());
        let socket = LinkSocket::open(&pin, address.is_ipv6(), address.port())?;
        let address = SocketAddr::new(address.ip(), socket.port());
        let mut info = LinkInfo {
            mtu: FIXED_MTU,
            class: CostClass::Wired,
            addresses: heapless::Vec::new(),
            hidden: self.config.hidden,
        };
        let _ = info.addresses.push(Address::Ip(address));
        self.write_links().port = address.port();
        self.add(&fixed.name, 0, info, vec![socket]);
        Ok(())
    }

    /// Opens sockets on all links that there are now. With no port asked for, the first link's
    /// decides; where another link has that one taken, the search begins anew.
    fn first_scan(self: &Arc<Self>) -> Result<(), BindError> {
        let asked = self.config.port;
        for _ in 0..PORT_TRIES {
            let result = self.scan();
            match result {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if asked != 0 {
                        return Err(BindError::PortTaken(asked));
                    }
                    let mut links = self.write_links();
                    links.up.clear();
                    links.port = 0;
                }
                result => return Ok(result?),
            }
        }
        Err(BindError::Io(io::ErrorKind::AddrInUse.into()))
    }

    /// Compares the links with the system's interfaces, and takes in what changed.
    fn scan(self: &Arc<Self>) -> io::Result<()> {
        let survey = self.filter().survey(interfaces());
        let gone: Vec<_> = {
            let links = self.read_links();
            let present = |link: &Link| {
                survey.used.iter().any(|i| i.name == link.name && i.index == link.index)
            };
            links.up.iter().filter(|(_, link)| !present(link)).map(|(id, _)| *id).collect()
        };
        for link in gone {
            self.remove(link);
        }
        let mut first_error = None;
        for interface in &survey.used {
            let result = self.take_in(interface);
            if let Err(error) = result {
                tracing::warn!(link = interface.name, %error, "cannot use the link");
                first_error.get_or_insert(error);
            }
        }
        match first_error {
            Some(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Some(error) if self.read_links().up.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// An interface that is there: new, changed, or as before.
    fn take_in(self: &Arc<Self>, interface: &Interface) -> io::Result<()> {
        let port = self.read_links().port;
        let known = self.read_links().find(&interface.name);
        let addresses = usable(interface, port);
        if let Some(id) = known {
            let families = self.read_links().families(id);
            let same = families == families_of(&addresses);
            if same {
                self.update(id, interface, &addresses);
                return Ok(());
            }
            self.remove(id); // An address family came or went: other sockets.
        }
        let mut sockets = Vec::new();
        let [ipv4, ipv6] = families_of(&addresses);
        for ipv6 in [ipv4.then_some(false), ipv6.then_some(true)].into_iter().flatten() {
            let fallback = addresses.iter().find(|a| a.is_ipv6() == ipv6).map(SocketAddr::ip);
            let Some(fallback) = fallback else { continue };
            let pin =
                Pin::Interface { name: interface.name.clone(), index: interface.index, fallback };
            let port = self.read_links().port;
            let socket = LinkSocket::open(&pin, ipv6, port)?;
            self.write_links().port = socket.port();
            sockets.push(socket);
        }
        let port = self.read_links().port;
        let info = self.info(interface, &usable(interface, port));
        self.add(&interface.name, interface.index, info, sockets);
        Ok(())
    }

    fn info(&self, interface: &Interface, addresses: &[SocketAddr]) -> LinkInfo {
        let mtu = interface.mtu.saturating_sub(IP_UDP_HEADERS).min(u32::from(u16::MAX));
        let mut info = LinkInfo {
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            class: interface.class,
            addresses: heapless::Vec::new(),
            hidden: self.config.hidden,
        };
        for address in addresses.iter().chain(&self.config.advertise) {
            let _ = info.addresses.push(Address::Ip(*address));
        }
        info
    }

    /// The interface is as before, but for its addresses perhaps.
    fn update(self: &Arc<Self>, id: LinkId, interface: &Interface, addresses: &[SocketAddr]) {
        let info = self.info(interface, addresses);
        {
            let mut links = self.write_links();
            let Some(link) = links.up.get_mut(&id) else { return };
            if link.info == info {
                return;
            }
            link.info = info.clone();
        }
        tracing::info!(link = interface.name, "addresses changed");
        self.tell(id, &LinkChange::Up(info));
    }

    fn add(self: &Arc<Self>, name: &str, index: u32, info: LinkInfo, sockets: Vec<LinkSocket>) {
        let sockets: Vec<_> = sockets.into_iter().map(Arc::new).collect();
        let id = self.write_links().number(name);
        let receivers =
            sockets.iter().map(|socket| tokio::spawn(receive(self.clone(), id, socket.clone())));
        let receivers = receivers.collect();
        let link = Link {
            name: name.into(),
            index,
            info: info.clone(),
            sockets: sockets.clone(),
            receivers,
        };
        self.write_links().up.insert(id, link);
        tracing::info!(link = name, "link up");
        self.tell(id, &LinkChange::Up(info));
    }

    fn remove(&self, id: LinkId) {
        let removed = self.write_links().up.remove(&id);
        if let Some(link) = removed {
            tracing::info!(link = link.name, "link gone");
            self.tell(id, &LinkChange::Down);
        }
    }

    /// The listener and every connection hear of a link.
    fn tell(&self, id: LinkId, change: &LinkChange) {
        self.lock_listener().handle_link(id, change);
        let connections: Vec<_> = self.read_connections().values().cloned().collect();
        for shared in connections {
            let now = self.clock.now();
            shared.lock().core.handle_link(id, change.clone(), now);
            shared.wake();
        }
    }

    fn read_links(&self) -> std::sync::RwLockReadGuard<'_, Links> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_links(&self) -> std::sync::RwLockWriteGuard<'_, Links> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_connections(
        &self,
    ) -> std::sync::RwLockReadGuard<'_, HashMap<ConnectionId, Arc<Shared>>> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_listener(&self) -> MutexGuard<'_, Listener<HostCrypto>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn find(&self, name: &str) -> Option<LinkId> {
        self.up.iter().find(|(_, link)| link.name == name).map(|(id, _)| *id)
    }

    fn name(&self, id: LinkId) -> Option<String> {
        self.up.get(&id).map(|link| link.name.clone()).or_else(|| {
            self.numbers.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
        })
    }

    fn families(&self, id: LinkId) -> [bool; 2] {
        let sockets = self.up.get(&id).map(|link| link.sockets.as_slice()).unwrap_or_default();
        [sockets.iter().any(|s| !s.is_ipv6()), sockets.iter().any(|s| s.is_ipv6())]
    }

    fn number(&mut self, name: &str) -> LinkId {
        let next = LinkId(u8::try_from(self.numbers.len()).unwrap_or(u8::MAX));
        *self.numbers.entry(name.into()).or_insert(next)
    }
}

/// Whether there are IPv4 and IPv6 addresses.
fn families_of(addresses: &[SocketAddr]) -> [bool; 2] {
    [addresses.iter().any(SocketAddr::is_ipv4), addresses.iter().any(SocketAddr::is_ipv6)]
}

/// Where we can be reached on an interface. Link-local IPv6 addresses look alike on every link, so
/// they count only where there is nothing else.
fn usable(interface: &Interface, port: u16) -> Vec<SocketAddr> {
    let all = interface.socket_addresses(port);
    let wide = |address: &&SocketAddr| match address {
        SocketAddr::V6(address) => !address.ip().is_unicast_link_local(),
        SocketAddr::V4(_) => true,
    };
    let chosen: Vec<_> = all.iter().filter(wide).copied().collect();
    if chosen.is_empty() { all } else { chosen }
}

/// Receives on one socket for as long as its link is up.
async fn receive(inner: Arc<Inner>, link: LinkId, socket: Arc<LinkSocket>) {
    let mut inbox = socket.inbox();
    let mut scratch = vec![0; SCRATCH_BYTES];
    loop {
        let mut woken = Vec::new();
        let mut replies = Vec::new();
        let received = socket
            .receive(&mut inbox, |run| {
                let (from, to) = (run.from, run.to);
                let at = Arrival { link, local: to, remote: Address::Ip(unscoped(from)) };
                for datagram in run.datagrams() {
                    if let Some(len) = inner.receive(at, datagram, &mut woken, &mut scratch) {
                        replies.push((scratch[..len].to_vec(), from, to));
                    }
                }
            })
            .await;
        for shared in woken {
            shared.wake();
        }
        for (reply, to, from) in replies {
            let _ = socket.send(&reply, reply.len(), to, from).await;
        }
        if let Err(error) = received {
            tracing::debug!(link = link.0, %error, "cannot receive");
            inner.rescan.notify_one();
            // An error that repeats must not keep a core busy.
            tokio::time::sleep(RECEIVE_PAUSE).await;
        }
    }
}

/// The scope and the flow label of an IPv6 address are this machine's business.
fn unscoped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// Takes in every change of the machine's interfaces; carrier alone makes no event, so it is
/// looked at once a second.
async fn watch(inner: Arc<Inner>) {
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    let handle = netwatcher::watch_interfaces_with_callback(move |_| notify.notify_one());
    if let Err(error) = &handle {
        tracing::warn!(%error, "cannot watch the interfaces; looking once a second");
    }
    loop {
        tokio::select! {
            () = changed.notified() => {}
            () = inner.rescan.notified() => {}
            () = tokio::time::sleep(CARRIER_INTERVAL) => {}
        }
        if let Err(error) = inner.scan() {
            tracing::debug!(%error, "cannot use a link");
        }
        // Events come in swarms; and what keeps failing must not keep a core busy.
        tokio::time::sleep(SCAN_PAUSE).await;
    }
}

fn seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(Seed(bytes))
}

/// Peers that came in and that nobody has accepted yet.
const INCOMING_MAX: usize = 64;
const PORT_TRIES: usize = 8;
/// The longest headers of IP (v6) and UDP.
const IP_UDP_HEADERS: u32 = 48;
const FIXED_MTU: u16 = 1_452;
const SCRATCH_BYTES: usize = 2_048;
const RECEIVE_PAUSE: Duration = Duration::from_millis(20);
const CARRIER_INTERVAL: Duration = Duration::from_secs(1);
const SCAN_PAUSE: Duration = Duration::from_millis(20);
