//! What an endpoint's tasks share: its links, its listener and its connections.
//!
//! Locks are taken in this order: `news`, then the listener's or a connection's, then `links` or
//! `connections`. Each is held for a moment; none across an `await`.

use super::config::EndpointConfig;
use super::links::Links;
use super::quotas::Quotas;
use crate::clock::Clock;
use crate::connection::{Connection, Core, Shared};
use crate::crypto::HostCrypto;
use crate::driver::{Buffers, drive};
use crate::link::interfaces::Filter;
use crate::storage::{HostStorage, WINDOW_DEFAULT};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use ropewalk_core::config::Config;
use ropewalk_core::connection::{LinkChange, Listener, Peer, Transmit, offered_credit};
use ropewalk_core::crypto::{Identity, Psk, Seed};
use ropewalk_core::id::{Address, ConnectionId, LinkId, PublicKey};
use ropewalk_core::time::Duration;
use ropewalk_core::wire::TicketId;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

pub(crate) struct Inner {
    pub(super) config: EndpointConfig,
    pub(super) clock: Clock,
    /// Asks for a look at the interfaces.
    pub(super) rescan: Notify,
    pub(super) incoming: mpsc::Sender<Connection>,
    pub(crate) buffers: Buffers,
    links: RwLock<Links>,
    pub(super) quotas: Quotas,
    listener: Mutex<Listener<HostCrypto>>,
    connections: RwLock<HashMap<ConnectionId, Arc<Shared>>>,
    /// Held while somebody is told of links, so that nobody hears old news after new.
    news: Mutex<()>,
    /// Tasks that live as long as the links do.
    watchers: Mutex<Vec<AbortHandle>>,
    /// Nobody is let in any more.
    retired: watch::Sender<bool>,
    seeds: Seeds,
}

impl Inner {
    pub(super) fn new(
        config: EndpointConfig,
        incoming: mpsc::Sender<Connection>,
    ) -> io::Result<Self> {
        let clock = Clock::new();
        let seeds = Seeds::new()?;
        let offer = offered_credit(&mut storage(&config));
        let accepting = config.admission.is_some();
        let listener =
            Listener::new(identity(&config), offer, accepting, seeds.next(), clock.now());
        Ok(Self {
            links: RwLock::new(Links::new(config.port)),
            quotas: Quotas::new(&config.wishes.quotas),
            config,
            clock,
            rescan: Notify::new(),
            buffers: Buffers::default(),
            incoming,
            listener: Mutex::new(listener),
            connections: RwLock::default(),
            news: Mutex::default(),
            watchers: Mutex::default(),
            retired: watch::Sender::new(false),
            seeds,
        })
    }

    /// Sends a run of packets the way that the core says. What cannot be sent is lost and counted:
    /// the core's probes decide about the path.
    pub(crate) async fn send(&self, transmit: &Transmit, run: &[u8]) {
        let Address::Ip(remote) = transmit.remote else {
            if let Some(line) = self.links().line(transmit.link) {
                line.send(run, transmit.segment_size);
            }
            return;
        };
        let way = self.links().way(transmit.link, transmit.local, remote);
        let Some(way) = way else { return };
        let sent = way.socket.send(run, transmit.segment_size, way.remote, way.local).await;
        if let Err(error) = sent {
            way.failures.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(link = transmit.link.0, %remote, %error, "cannot send");
            if means_change(&error) {
                self.rescan.notify_one();
            }
        }
    }

    pub(super) fn public_key(&self) -> PublicKey {
        self.config.identity.public()
    }

    pub(super) fn filter(&self) -> Filter {
        Filter { only: self.config.only.clone(), not: self.config.not.clone() }
    }

    pub(super) fn dial(
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
        // Whoever named a serial line may mean that the peer is at its other end.
        if !self.config.serial.is_empty() {
            let _ = peer.addresses.push(Address::Serial);
        }
        for address in addresses {
            let _ = peer.addresses.push(Address::Ip(unscoped(*address)));
        }
        let core = Core::connect(
            self.core_config(),
            identity(&self.config),
            peer,
            self.seeds.next(),
            storage(&self.config),
            self.clock.now(),
        );
        self.begin(core, None)
    }

    /// Somebody came in whom the listener let in.
    pub(super) fn welcome(
        self: &Arc<Self>,
        incoming: ropewalk_core::connection::Incoming<HostCrypto>,
    ) -> Option<Arc<Shared>> {
        let ticket = incoming.ticket();
        let (seed, memory) = (self.seeds.next(), storage(&self.config));
        let core = Core::accept(incoming, self.core_config(), seed, memory, self.clock.now());
        match core {
            Ok(core) => Some(self.begin(core, ticket)),
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                None
            }
        }
    }

    /// Enters a connection, tells it of the links, and sets its driver going.
    fn begin(self: &Arc<Self>, core: Core, ticket: Option<TicketId>) -> Arc<Shared> {
        let id = core.id();
        let names = Arc::downgrade(self);
        let name = move |link| {
            let name = names.upgrade().and_then(|inner| inner.links().name(link));
            name.unwrap_or_else(|| "gone".into())
        };
        let shared = Arc::new(Shared::new(core, self.clock, ticket, Box::new(name)));
        {
            let _news = lock(&self.news);
            self.connections_mut().insert(id, shared.clone());
            let infos = self.links().infos();
            let now = self.clock.now();
            let mut state = shared.lock();
            for (link, info) in infos {
                self.tell_wishes(&mut state.core, link);
                state.core.handle_link(link, LinkChange::Up(info), now);
            }
        }
        self.deal_quotas();
        tokio::spawn(drive(shared.clone(), self.clone(), id));
        shared
    }

    /// A connection is over.
    pub(crate) fn forget(&self, id: ConnectionId) {
        let (idle, over) = {
            let mut connections = self.connections_mut();
            let over = connections.remove(&id);
            (connections.is_empty(), over)
        };
        if let Some(shared) = over {
            self.settle_quotas(&shared);
            self.deal_quotas();
        }
        if idle && *self.retired.borrow() {
            self.shut();
        }
    }

    /// The listener and every connection hear of a link.
    pub(super) fn tell(&self, id: LinkId, change: &LinkChange) {
        let _news = lock(&self.news);
        self.listener().handle_link(id, change);
        for shared in self.all_connections() {
            let mut state = shared.lock();
            if matches!(change, LinkChange::Up(_)) {
                self.tell_wishes(&mut state.core, id);
            }
            state.core.handle_link(id, change.clone(), self.clock.now());
            drop(state);
            shared.wake();
        }
        self.deal_quotas();
    }

    /// Nobody is let in any more; with the last connection the sockets go.
    pub(super) fn retire(&self) {
        self.listener().set_accepting(false);
        self.retired.send_replace(true);
        let idle = self.connections_ref().is_empty();
        if idle {
            self.shut();
        }
    }

    /// Waits for [`Self::retire`].
    pub(super) async fn closed(&self) {
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    fn shut(&self) {
        for watcher in lock(&self.watchers).drain(..) {
            watcher.abort();
        }
        self.links_mut().clear();
    }

    pub(super) fn add_watcher(&self, watcher: AbortHandle) {
        lock(&self.watchers).push(watcher);
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<Arc<Shared>> {
        self.connections_ref().get(&id).cloned()
    }

    pub(super) fn is_connection(&self, id: ConnectionId) -> bool {
        self.connections_ref().contains_key(&id)
    }

    pub(super) fn all_connections(&self) -> Vec<Arc<Shared>> {
        self.connections_ref().values().cloned().collect()
    }

    pub(super) fn listener(&self) -> MutexGuard<'_, Listener<HostCrypto>> {
        lock(&self.listener)
    }

    pub(super) fn links(&self) -> RwLockReadGuard<'_, Links> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn links_mut(&self) -> RwLockWriteGuard<'_, Links> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections_ref(&self) -> RwLockReadGuard<'_, HashMap<ConnectionId, Arc<Shared>>> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections_mut(&self) -> RwLockWriteGuard<'_, HashMap<ConnectionId, Arc<Shared>>> {
        self.connections.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn core_config(&self) -> Config {
        Config {
            mode: self.config.mode,
            services: self.config.services,
            idle_timeout: span(self.config.idle_timeout),
            keep_alive: span(self.config.keep_alive),
            ..Config::default()
        }
    }
}

/// Randomness for connections, all from one draw: it fails at the start or never.
struct Seeds {
    secret: [u8; 32],
    given: AtomicU64,
}

impl Seeds {
    fn new() -> io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(Self { secret, given: AtomicU64::new(0) })
    }

    fn next(&self) -> Seed {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Seed(blake3::keyed_hash(&self.secret, &number.to_le_bytes()).into())
    }
}

fn identity(config: &EndpointConfig) -> Identity {
    Identity::new::<HostCrypto>(*config.identity.secret())
}

fn span(time: core::time::Duration) -> Duration {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn storage(config: &EndpointConfig) -> HostStorage {
    HostStorage::new(config.window.unwrap_or(WINDOW_DEFAULT))
}

/// The scope and the flow label of an IPv6 address are this machine's business: a link-local address
/// is tried on every link, and each adds its own scope when it sends.
pub(super) fn unscoped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error of sending says that the interface or its address went away, or that its MTU is
/// smaller than we think. Others, such as an unreachable host or a full queue, say nothing of the link.
pub(super) fn means_change(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput, NetworkDown};
    matches!(error.kind(), NetworkDown | AddrNotAvailable | InvalidInput)
        || cfg!(unix) && matches!(error.raw_os_error(), Some(ENXIO | ENODEV | EMSGSIZE))
}

/// No such device or address, by POSIX.
const ENXIO: i32 = 6;
/// No such device, by POSIX.
const ENODEV: i32 = 19;
/// Longer than the interface carries. Packets are never cut on their way: quinn-udp sees to that.
const EMSGSIZE: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 90 } else { 40 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_seed_is_given_twice() {
        let [a, b] = [Seeds::new().unwrap(), Seeds::new().unwrap()];
        let seeds = [a.next().0, a.next().0, b.next().0, b.next().0];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
    }

    #[test]
    fn only_errors_of_the_link_ask_for_a_look_at_it() {
        use io::ErrorKind::{
            ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable, WouldBlock,
        };
        assert!(means_change(&NetworkDown.into()));
        for number in [ENODEV, EMSGSIZE] {
            assert!(!cfg!(unix) || means_change(&io::Error::from_raw_os_error(number)));
        }
        for kind in [ConnectionRefused, HostUnreachable, NetworkUnreachable, WouldBlock] {
            assert!(!means_change(&kind.into()), "{kind}");
        }
    }
}
