//! The links that are up: their numbers, their sockets, and which socket a packet takes.

use crate::link::interfaces::Interface;
use crate::link::serial::Line;
use crate::link::socket::LinkSocket;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use ropewalk_core::connection::{LINK_ADDRESSES_MAX, LinkInfo};
use ropewalk_core::id::{Address, CostClass, LinkId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A link as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// The interface's name, the fixed link's, or the file name of the serial line's path.
    pub name: String,
    /// What it costs.
    pub class: CostClass,
    /// Largest datagram it carries, in bytes of UDP payload, or of a serial frame's contents.
    pub mtu: u16,
    /// Where peers can reach us on it.
    pub addresses: Vec<SocketAddr>,
    /// Runs of packets that the system would not send, or packets that a serial line had no time for.
    pub send_failures: u64,
    /// Frames that came damaged, if it is a serial line: noise, or another baud rate at its far end.
    pub corrupt_frames: Option<u64>,
    /// What it may carry and has carried, if it has a quota.
    pub quota: Option<QuotaReport>,
}

/// What became of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaReport {
    /// Bytes that the link may carry, both ways together.
    pub bytes: u64,
    /// Bytes that it has carried, IP and UDP headers included.
    pub used: u64,
}

/// All links that are up.
pub(super) struct Links {
    port: u16,
    up: BTreeMap<LinkId, Link>,
    names: Names,
}

/// One link that is up.
pub(super) struct Link {
    pub(super) name: String,
    /// The interface behind it, unless it was given.
    pub(super) interface: Option<Interface>,
    pub(super) info: LinkInfo,
    pub(super) sockets: Vec<Arc<LinkSocket>>,
    pub(super) receivers: Vec<JoinHandle<()>>,
    pub(super) failures: Arc<AtomicU64>,
    /// The serial line, if it is one.
    pub(super) line: Option<Arc<Line>>,
}

/// How a packet leaves by IP.
pub(super) struct Way {
    pub(super) socket: Arc<LinkSocket>,
    pub(super) remote: SocketAddr,
    /// The address to send from, where the system would have a choice.
    pub(super) local: Option<IpAddr>,
    pub(super) failures: Arc<AtomicU64>,
}

impl Links {
    /// No links; their sockets will be at `port`, or at a free one if that is zero.
    pub(super) fn new(port: u16) -> Self {
        Self { port, up: BTreeMap::new(), names: Names::default() }
    }

    /// The port on every link; zero until the first socket is open.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Enters a link under its number: the one it had before, if it was here. `None` when there are
    /// more links than numbers.
    pub(super) fn insert(&mut self, link: Link) -> Option<LinkId> {
        let id = self.names.number(&link.name, |id| self.up.contains_key(&id))?;
        self.up.insert(id, link);
        Some(id)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Link> {
        self.up.remove(&id)
    }

    pub(super) fn clear(&mut self) {
        self.up.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.up.is_empty()
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.up.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.up.get_mut(&id)
    }

    pub(super) fn find(&self, name: &str) -> Option<LinkId> {
        self.up.iter().find(|(_, link)| link.name == name).map(|(id, _)| *id)
    }

    /// The number that a link has or had.
    pub(super) fn number(&self, name: &str) -> Option<LinkId> {
        let index = self.names.names.iter().position(|known| known == name)?;
        u8::try_from(index).ok().map(LinkId)
    }

    /// A link's name, even if it is gone.
    pub(super) fn name(&self, id: LinkId) -> Option<String> {
        self.names.name(id).map(str::to_owned)
    }

    pub(super) fn infos(&self) -> Vec<(LinkId, LinkInfo)> {
        self.up.iter().map(|(id, link)| (*id, link.info.clone())).collect()
    }

    /// The interfaces that are links.
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        self.up.values().filter_map(|link| link.interface.clone()).collect()
    }

    /// The addresses of all links, cheapest first, each once.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut sorted: Vec<_> = self.up.values().collect();
        sorted.sort_by_key(|link| link.info.class);
        let mut addresses = Vec::new();
        for address in sorted.into_iter().flat_map(Link::addresses) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    pub(super) fn reports(&self) -> Vec<LinkReport> {
        let report = |link: &Link| LinkReport {
            name: link.name.clone(),
            class: link.info.class,
            mtu: link.info.mtu,
            addresses: link.addresses().collect(),
            send_failures: link
                .line
                .as_ref()
                .map_or_else(|| link.failures.load(Ordering::Relaxed), |line| line.dropped()),
            corrupt_frames: link.line.as_ref().map(|line| line.corrupt()),
            quota: None,
        };
        self.up.values().map(report).collect()
    }

    /// The serial line that a link is.
    pub(super) fn line(&self, id: LinkId) -> Option<Arc<Line>> {
        self.up.get(&id)?.line.clone()
    }

    /// How a packet leaves by a link, from `local` to `remote`.
    pub(super) fn way(
        &self,
        id: LinkId,
        local: Option<IpAddr>,
        mut remote: SocketAddr,
    ) -> Option<Way> {
        let link = self.up.get(&id)?;
        let socket = link.sockets.iter().find(|socket| socket.is_ipv6() == remote.is_ipv6())?;
        if let SocketAddr::V6(address) = &mut remote
            && address.ip().is_unicast_link_local()
        {
            address.set_scope_id(link.interface.as_ref().map_or(0, |interface| interface.index));
        }
        Some(Way {
            socket: socket.clone(),
            remote,
            local: local.filter(|local| link.must_name(local)),
            failures: link.failures.clone(),
        })
    }
}

impl Link {
    fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.info.addresses.iter().filter_map(|address| match address {
            Address::Ip(address) => Some(*address),
            Address::Serial => None,
        })
    }

    /// Whether packets from this address must say so: only where the interface has several of the
    /// family. An address that is not its own, such as an advertised one, cannot be sent from.
    fn must_name(&self, local: &IpAddr) -> bool {
        let Some(interface) = &self.interface else { return false };
        let same_family = |ip: &&IpAddr| ip.is_ipv6() == local.is_ipv6();
        interface.addresses.contains(local)
            && interface.addresses.iter().filter(same_family).count() > 1
    }

    /// Whether its sockets fit an interface with these addresses.
    pub(super) fn fits(&self, addresses: &[IpAddr]) -> bool {
        let has = |ipv6| self.sockets.iter().any(|socket| socket.is_ipv6() == ipv6);
        let wants = |ipv6| addresses.iter().any(|ip| ip.is_ipv6() == ipv6);
        let mut bound = self.sockets.iter().filter_map(|socket| socket.bound());
        has(false) == wants(false)
            && has(true) == wants(true)
            && bound.all(|ip| addresses.contains(&ip))
    }
}

/// The addresses that these sockets can be reached at: all of their family, or the one they need.
pub(super) fn served(sockets: &[Arc<LinkSocket>], addresses: &[IpAddr]) -> Vec<IpAddr> {
    let is_served = |ip: &&IpAddr| {
        let socket = sockets.iter().find(|socket| socket.is_ipv6() == ip.is_ipv6());
        socket.is_some_and(|socket| socket.bound().is_none_or(|bound| bound == **ip))
    };
    addresses.iter().filter(is_served).copied().collect()
}

impl Drop for Link {
    fn drop(&mut self) {
        for receiver in &self.receivers {
            receiver.abort();
        }
    }
}

/// Numbers stay with names, so that a link that returns has its number again.
#[derive(Default)]
struct Names {
    /// By number.
    names: Vec<String>,
}

impl Names {
    /// The number of `name`. When all were given out, one that is not in use is taken over.
    fn number(&mut self, name: &str, in_use: impl Fn(LinkId) -> bool) -> Option<LinkId> {
        let id = |index: usize| u8::try_from(index).ok().map(LinkId);
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return id(index);
        }
        if let Some(next) = id(self.names.len()) {
            self.names.push(name.into());
            return Some(next);
        }
        let (index, place) = self
            .names
            .iter_mut()
            .enumerate()
            .find(|(index, _)| id(*index).is_some_and(|id| !in_use(id)))?;
        *place = name.into();
        id(index)
    }

    fn name(&self, id: LinkId) -> Option<&str> {
        self.names.get(usize::from(id.0)).map(String::as_str)
    }
}

/// The addresses of an interface that are worth being told of, the families in turn. Link-local
/// IPv6 addresses look alike on every link, so they count only where there is nothing else.
pub(super) fn worth_telling(interface: &Interface) -> Vec<IpAddr> {
    let is_local = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let wide: Vec<_> = interface.addresses.iter().filter(|ip| !is_local(ip)).copied().collect();
    let all = if wide.is_empty() { interface.addresses.clone() } else { wide };
    let (mut six, mut four): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_ipv6);
    let mut mixed = Vec::new();
    while !four.is_empty() || !six.is_empty() {
        for family in [&mut four, &mut six] {
            if !family.is_empty() {
                mixed.push(family.remove(0));
            }
        }
    }
    mixed
}

/// What connections are told of a link. Where there are too many addresses, at least half the room
/// is the link's own.
pub(super) fn link_info(
    class: CostClass,
    mtu: u32,
    own: &[SocketAddr],
    advertise: &[SocketAddr],
    hidden: bool,
) -> LinkInfo {
    let mtu = mtu.saturating_sub(IP_UDP_HEADERS);
    let mut info = LinkInfo {
        rate: None,
        mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
        class,
        addresses: heapless::Vec::new(),
        hidden,
    };
    let room = LINK_ADDRESSES_MAX - advertise.len().min(LINK_ADDRESSES_MAX / 2);
    let (first, rest) = own.split_at(own.len().min(room));
    for address in first.iter().chain(advertise).chain(rest) {
        let _ = info.addresses.push(Address::Ip(*address));
    }
    info
}

/// The headers of IPv4 and UDP; the core knows that those of IPv6 are longer.
const IP_UDP_HEADERS: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::interfaces::Kind;

    fn interface(addresses: &[&str]) -> Interface {
        Interface {
            index: 3,
            name: "eth0".into(),
            kind: Kind::Ethernet,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            mtu: 1_500,
            class: CostClass::Wired,
            up: true,
            carrier: true,
            populated: true,
        }
    }

    fn link(name: &str, addresses: &[&str]) -> Link {
        let interface = interface(addresses);
        let own: Vec<_> = interface.addresses.iter().map(|ip| SocketAddr::new(*ip, 9)).collect();
        Link {
            name: name.into(),
            info: link_info(CostClass::Wired, 1_500, &own, &[], false),
            interface: Some(interface),
            sockets: Vec::new(),
            receivers: Vec::new(),
            failures: Arc::default(),
            line: None,
        }
    }

    #[test]
    fn a_link_that_returns_has_its_number_again() {
        let mut links = Links::new(0);
        let eth0 = links.insert(link("eth0", &[])).unwrap();
        let wlan0 = links.insert(link("wlan0", &[])).unwrap();
        assert_ne!(eth0, wlan0);
        assert!(links.remove(eth0).is_some());
        assert_eq!(links.name(eth0).as_deref(), Some("eth0"), "reports still name it");
        assert_eq!(links.insert(link("eth0", &[])), Some(eth0));
    }

    #[test]
    fn links_that_come_and_go_for_ever_never_share_a_number() {
        let mut links = Links::new(0);
        let stays = links.insert(link("eth0", &[])).unwrap();
        for n in 0..1_000 {
            let name = format!("veth{n}");
            let id = links.insert(link(&name, &[])).unwrap();
            assert_ne!(id, stays);
            assert_eq!(links.name(id), Some(name));
            links.remove(id);
        }
        assert_eq!(links.name(stays).as_deref(), Some("eth0"));
        for n in 0..255 {
            assert!(links.insert(link(&format!("tap{n}"), &[])).is_some());
        }
        assert_eq!(links.insert(link("one-too-many", &[])), None);
    }

    #[test]
    fn families_take_turns_and_link_local_addresses_are_the_last_resort() {
        let table: [(&[&str], &[&str]); 4] = [
            (&["fe80::1", "10.0.0.1"], &["10.0.0.1"]),
            (&["fe80::1"], &["fe80::1"]),
            (
                &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2"],
                &["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2", "10.0.0.3"],
            ),
            (&[], &[]),
        ];
        for (has, told) in table {
            let told: Vec<IpAddr> = told.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(worth_telling(&interface(has)), told);
        }
    }

    #[test]
    fn advertised_addresses_find_room_among_many() {
        let at = |n: u16| SocketAddr::new([10, 0, 0, 1].into(), n);
        let own: Vec<_> = (1..=9).map(at).collect();
        let ports = |advertise: &[SocketAddr]| -> Vec<u16> {
            let info = link_info(CostClass::Wired, 1_500, &own, advertise, false);
            let port = |address: &Address| match address {
                Address::Ip(address) => address.port(),
                Address::Serial => 0,
            };
            info.addresses.iter().map(port).collect()
        };
        assert_eq!(ports(&[]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(ports(&[at(70)]), [1, 2, 3, 4, 5, 70]);
        assert_eq!(ports(&[at(70), at(71), at(72), at(73)]), [1, 2, 3, 70, 71, 72]);
    }

    #[test]
    fn an_address_told_on_several_links_is_listed_once() {
        let mut links = Links::new(9);
        links.insert(link("eth0", &["10.0.0.1", "192.0.2.1"]));
        links.insert(link("eth1", &["10.1.0.1", "192.0.2.1"]));
        let expected: Vec<SocketAddr> =
            ["10.0.0.1:9", "192.0.2.1:9", "10.1.0.1:9"].map(|text| text.parse().unwrap()).into();
        assert_eq!(links.addresses(), expected);
    }

    #[test]
    fn the_source_is_named_only_where_there_is_a_choice() {
        let several = link("eth0", &["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert!(several.must_name(&"10.0.0.2".parse().unwrap()));
        assert!(!several.must_name(&"fd00::1".parse().unwrap()), "the only one");
        assert!(!several.must_name(&"203.0.113.1".parse().unwrap()), "not ours");
    }

    #[test]
    fn an_mtu_leaves_room_for_headers_and_fits_its_type() {
        let mtu = |mtu| link_info(CostClass::Wired, mtu, &[], &[], false).mtu;
        assert_eq!([mtu(1_500), mtu(65_536), mtu(1 << 20), mtu(10)], [1_472, 65_508, u16::MAX, 0]);
    }
}
