//! From interfaces to links: what is new gets sockets, what is gone is dropped at once, what changed
//! is told to every connection.

use super::config::{BindError, FixedLink};
use super::inner::Inner;
use super::links::{Link, link_info, served, worth_telling};
use super::receive::receive;
use crate::link::changes::{Change, changes};
use crate::link::interfaces::{Interface, interfaces};
use crate::link::socket::{LinkSocket, Pin};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use ropewalk_core::connection::{LinkChange, LinkInfo};
use ropewalk_core::id::{CostClass, LinkId};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

impl Inner {
    /// Enters a link that is given, not found.
    pub(super) fn add_fixed(self: &Arc<Self>, fixed: &FixedLink) -> Result<(), BindError> {
        let (ip, port) = (fixed.address.ip(), fixed.address.port());
        let socket = LinkSocket::open(&Pin::Address(ip), ip.is_ipv6(), port);
        let socket = socket.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::PortTaken(port),
            _ => BindError::Io(error),
        })?;
        let own = [SocketAddr::new(ip, socket.port())];
        let (advertise, hidden) = (&self.config.advertise, self.config.hidden);
        let class = self.config.wishes.class(&fixed.name, CostClass::Wired);
        let info = link_info(class, FIXED_MTU, &own, advertise, hidden);
        self.links_mut().set_port(socket.port());
        self.add(&fixed.name, None, info, vec![Arc::new(socket)]);
        Ok(())
    }

    /// Opens sockets on all links that there are now. With no port asked for, the first link's
    /// decides; where another link has that one taken, the search begins anew.
    pub(super) fn first_scan(self: &Arc<Self>, found: &[Interface]) -> Result<(), BindError> {
        let asked = self.config.port;
        for _ in 0..PORT_TRIES {
            match self.scan(found) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if asked != 0 {
                        return Err(BindError::PortTaken(asked));
                    }
                    let mut links = self.links_mut();
                    links.clear();
                    links.set_port(0);
                }
                result => return Ok(result?),
            }
        }
        Err(BindError::Io(io::ErrorKind::AddrInUse.into()))
    }

    /// Takes in what changed since the last look. A link that cannot be used is left out and tried
    /// again at the next; that is an error only if the port is taken, or no link is left.
    fn scan(self: &Arc<Self>, found: &[Interface]) -> io::Result<()> {
        let survey = self.filter().survey(found.to_vec());
        let before = self.links().interfaces();
        let mut failed: Option<io::Error> = None;
        for change in changes(&before, &survey.used) {
            let (name, result) = match &change {
                Change::Removed(interface) => {
                    self.remove(&interface.name);
                    continue;
                }
                Change::Added(interface) => (&interface.name, self.open(interface)),
                Change::Changed(interface) => (&interface.name, self.update(interface)),
            };
            if let Err(error) = result {
                tracing::warn!(link = name, %error, "cannot use the link");
                if error.kind() == io::ErrorKind::AddrInUse || failed.is_none() {
                    failed = Some(error);
                }
            }
        }
        let none_left = self.links().is_empty();
        match failed {
            Some(error) if error.kind() == io::ErrorKind::AddrInUse || none_left => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens a socket for each family that the interface has addresses of.
    fn open(self: &Arc<Self>, interface: &Interface) -> io::Result<()> {
        let addresses = worth_telling(interface);
        let (mut sockets, mut failed) = (Vec::new(), None);
        for ipv6 in [false, true] {
            let Some(fallback) = addresses.iter().find(|ip| ip.is_ipv6() == ipv6) else { continue };
            let (name, index) = (interface.name.clone(), interface.index);
            let pin = Pin::Interface { name, index, fallback: *fallback };
            let port = self.links().port();
            match LinkSocket::open(&pin, ipv6, port) {
                Ok(socket) => {
                    self.links_mut().set_port(socket.port());
                    sockets.push(Arc::new(socket));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if sockets.is_empty() => return Err(error),
            Some(error) => {
                tracing::warn!(link = interface.name, %error, "cannot use one address family");
            }
            None => {}
        }
        let info = self.info(interface, &served(&sockets, &addresses));
        self.add(&interface.name, Some(interface.clone()), info, sockets);
        Ok(())
    }

    fn info(&self, interface: &Interface, addresses: &[IpAddr]) -> LinkInfo {
        let port = self.links().port();
        let own: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let (advertise, hidden) = (&self.config.advertise, self.config.hidden);
        let class = self.config.wishes.class(&interface.name, interface.class);
        link_info(class, interface.mtu, &own, advertise, hidden)
    }

    /// The interface is the same, but what is known of it changed. Its sockets stay, and with them
    /// the paths that do not depend on what changed, unless they serve it no more.
    fn update(self: &Arc<Self>, interface: &Interface) -> io::Result<()> {
        let addresses = worth_telling(interface);
        let known = self.links().find(&interface.name);
        let Some(id) = known else { return self.open(interface) };
        let sockets = self
            .links()
            .get(id)
            .filter(|link| link.fits(&addresses))
            .map(|link| link.sockets.clone());
        let Some(sockets) = sockets else {
            self.remove(&interface.name);
            return self.open(interface);
        };
        let info = self.info(interface, &served(&sockets, &addresses));
        if let Some(link) = self.links_mut().get_mut(id) {
            link.interface = Some(interface.clone());
            link.info = info.clone();
        }
        tracing::info!(link = interface.name, "link changed");
        self.tell(id, &LinkChange::Up(info));
        Ok(())
    }

    fn add(
        self: &Arc<Self>,
        name: &str,
        interface: Option<Interface>,
        info: LinkInfo,
        sockets: Vec<Arc<LinkSocket>>,
    ) {
        let link = Link {
            name: name.into(),
            interface,
            info: info.clone(),
            sockets: sockets.clone(),
            receivers: Vec::new(),
            failures: Arc::default(),
            line: None,
        };
        let Some(id) = self.enter(link) else { return };
        let receivers: Vec<_> =
            sockets.into_iter().map(|s| tokio::spawn(receive(self.clone(), id, s))).collect();
        if let Some(link) = self.links_mut().get_mut(id) {
            link.receivers = receivers;
        }
        tracing::info!(link = name, "link up");
        self.tell(id, &LinkChange::Up(info));
    }

    /// Gives a link its number. Nobody has heard of it yet.
    pub(super) fn enter(&self, link: Link) -> Option<LinkId> {
        let name = link.name.clone();
        let entered = self.links_mut().insert(link);
        if entered.is_none() {
            tracing::warn!(link = name, "more links than numbers; this one is left out");
        }
        entered
    }

    pub(super) fn remove(&self, name: &str) {
        let known = self.links().find(name);
        let Some(id) = known else { return };
        let removed = self.links_mut().remove(id);
        if removed.is_some() {
            tracing::info!(link = name, "link gone");
            self.tell(id, &LinkChange::Down);
        }
    }

    /// Begins to watch the interfaces, until the endpoint is done.
    pub(super) fn watch(self: &Arc<Self>) {
        self.add_watcher(tokio::spawn(watch(self.clone())).abort_handle());
    }
}

/// Takes in every change of the machine's interfaces. Carrier alone makes no event, so it is
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
        let found = tokio::task::spawn_blocking(interfaces).await.unwrap_or_default();
        // A machine without any interface, not even loopback, is one that did not answer.
        if !found.is_empty()
            && let Err(error) = inner.scan(&found)
        {
            tracing::debug!(%error, "cannot use a link");
        }
        // Events come in swarms; and what keeps failing must not keep a core busy.
        tokio::time::sleep(SCAN_PAUSE).await;
    }
}

const PORT_TRIES: usize = 8;
/// What a given link is taken for: Ethernet.
const FIXED_MTU: u32 = 1_500;
const CARRIER_INTERVAL: Duration = Duration::from_secs(1);
const SCAN_PAUSE: Duration = Duration::from_millis(20);
