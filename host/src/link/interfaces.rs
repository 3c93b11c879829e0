//! Which network interfaces are links? All that can carry datagrams, found without being named.
//!
//! Left out, each with its reason: loopback unless named, what is down or has no carrier or no
//! address, bridges with nothing behind them, and what the user excluded. A VPN that runs over
//! another link counts, but as the last resort: its packets take the other link anyway.

use core::fmt;
use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use netdev::interface::types::InterfaceType;
use ropewalk_core::id::CostClass;

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ethernet, real or virtual, and TAP.
    Ethernet,
    /// Wi-Fi.
    Wifi,
    /// A modem: LTE and the like.
    Modem,
    /// TUN and other tunnels: a VPN.
    Tunnel,
    /// A bridge or bond over other interfaces.
    Bridge,
    /// The machine itself.
    Loopback,
    /// Anything else.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ethernet => "ethernet",
            Self::Wifi => "wifi",
            Self::Modem => "modem",
            Self::Tunnel => "tunnel",
            Self::Bridge => "bridge",
            Self::Loopback => "loopback",
            Self::Other => "other",
        })
    }
}

impl Kind {
    const fn class(self) -> CostClass {
        match self {
            Self::Ethernet | Self::Bridge | Self::Loopback | Self::Other => CostClass::Wired,
            Self::Wifi => CostClass::Wireless,
            Self::Modem => CostClass::Metered,
            Self::Tunnel => CostClass::LastResort,
        }
    }
}

/// One interface, as the system describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The system's number for it.
    pub index: u32,
    /// The system's name for it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its addresses; link-local IPv6 ones only work with the index.
    pub addresses: Vec<IpAddr>,
    /// Largest IP packet.
    pub mtu: u32,
    /// What it costs to use.
    pub class: CostClass,
    /// Whether it is up.
    pub up: bool,
    /// Whether something is plugged in.
    pub carrier: bool,
    /// For bridges: whether there is anything behind it.
    pub populated: bool,
}

impl Interface {
    /// Where a socket of ours on it can be reached.
    #[must_use]
    pub fn socket_addresses(&self, port: u16) -> Vec<SocketAddr> {
        let scoped = |ip: &IpAddr| match ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(*ip, port, 0, self.index).into()
            }
            ip => SocketAddr::new(*ip, port),
        };
        self.addresses.iter().map(scoped).collect()
    }
}

/// Why an interface is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Loopback, unnamed.
    #[error("it is the machine itself; `--link {0}` uses it all the same")]
    Loopback(String),
    /// Administratively down.
    #[error("it is down")]
    Down,
    /// Nothing plugged in.
    #[error("nothing is plugged in (no carrier)")]
    NoCarrier,
    /// No IP address.
    #[error("it has no address")]
    NoAddress,
    /// An empty bridge.
    #[error("it is a bridge with nothing behind it")]
    EmptyBridge,
    /// `--not-link`.
    #[error("excluded by --not-link")]
    Excluded,
    /// `--link` named others.
    #[error("--link names others")]
    NotNamed,
}

/// `--link` and `--not-link`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these, if any are named.
    pub only: Vec<String>,
    /// Never these.
    pub not: Vec<String>,
}

/// A name that no interface has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no link {name:?} here; there are: {known}")]
pub struct UnknownLink {
    /// The name.
    pub name: String,
    /// The names that there are.
    pub known: String,
}

/// What is used, and what is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The links.
    pub used: Vec<Interface>,
    /// The others.
    pub left_out: Vec<(Interface, Reason)>,
}

impl Filter {
    /// Whether every name that the filter mentions exists.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, interfaces: &[Interface]) -> Result<(), UnknownLink> {
        let unknown = |name: &&String| !interfaces.iter().any(|known| known.name == **name);
        let Some(name) = self.only.iter().chain(&self.not).find(unknown) else { return Ok(()) };
        let names: Vec<_> = interfaces.iter().map(|known| known.name.as_str()).collect();
        Err(UnknownLink { name: name.clone(), known: names.join(", ") })
    }

    /// Sorts interfaces into links and others.
    #[must_use]
    pub fn survey(&self, interfaces: Vec<Interface>) -> Survey {
        let mut survey = Survey::default();
        for interface in interfaces {
            match self.reason(&interface) {
                None => survey.used.push(interface),
                Some(reason) => survey.left_out.push((interface, reason)),
            }
        }
        survey
    }

    fn reason(&self, interface: &Interface) -> Option<Reason> {
        let name = &interface.name;
        let named = self.only.contains(name);
        if self.not.contains(name) {
            Some(Reason::Excluded)
        } else if !self.only.is_empty() && !named {
            Some(Reason::NotNamed)
        } else if !interface.up {
            Some(Reason::Down)
        } else if interface.kind == Kind::Loopback && !named {
            Some(Reason::Loopback(name.clone()))
        } else if !interface.carrier {
            Some(Reason::NoCarrier)
        } else if interface.kind == Kind::Bridge && !interface.populated && !named {
            Some(Reason::EmptyBridge)
        } else if interface.addresses.is_empty() {
            Some(Reason::NoAddress)
        } else {
            None
        }
    }
}

/// All interfaces of this machine, as they are now.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    let mut list: Vec<_> = netdev::get_interfaces().into_iter().map(describe).collect();
    list.sort_by_key(|interface| interface.index);
    list
}

fn describe(found: netdev::Interface) -> Interface {
    let kind = kind(&found);
    let addresses = found.ip_addrs();
    // A running interface whose state is unknown (tunnels, loopback) is taken at its word.
    let down = matches!(
        found.oper_state,
        netdev::interface::state::OperState::Down
            | netdev::interface::state::OperState::LowerLayerDown
            | netdev::interface::state::OperState::NotPresent
    );
    Interface {
        index: found.index,
        kind,
        addresses,
        mtu: found.mtu.unwrap_or(1_500),
        class: kind.class(),
        up: found.is_up(),
        carrier: !down,
        populated: kind != Kind::Bridge || bridge_is_populated(&found.name),
        name: found.name,
    }
}

fn kind(found: &netdev::Interface) -> Kind {
    if found.is_loopback() {
        return Kind::Loopback;
    }
    if let Some(kind) = kind_by_system(&found.name) {
        return kind;
    }
    match found.if_type {
        InterfaceType::Wireless80211 => Kind::Wifi,
        InterfaceType::Wwanpp | InterfaceType::Wwanpp2 | InterfaceType::Wman => Kind::Modem,
        InterfaceType::Tunnel | InterfaceType::Ppp | InterfaceType::ProprietaryVirtual => {
            Kind::Tunnel
        }
        InterfaceType::Bridge => Kind::Bridge,
        _ if found.is_tun() => Kind::Tunnel,
        InterfaceType::Ethernet
        | InterfaceType::Ethernet3Megabit
        | InterfaceType::FastEthernetT
        | InterfaceType::FastEthernetFx
        | InterfaceType::GigabitEthernet => Kind::Ethernet,
        _ => Kind::Other,
    }
}

/// What Linux says in `/sys/class/net`, which no library tells.
#[cfg(target_os = "linux")]
fn kind_by_system(name: &str) -> Option<Kind> {
    let folder = std::path::Path::new("/sys/class/net").join(name);
    let has = |entry: &str| folder.join(entry).exists();
    let read = |entry: &str| std::fs::read_to_string(folder.join(entry)).unwrap_or_default();
    if has("bridge") {
        return Some(Kind::Bridge);
    }
    if has("wireless") || has("phy80211") {
        return Some(Kind::Wifi);
    }
    if read("uevent").contains("DEVTYPE=wwan") || name.starts_with("wwan") {
        return Some(Kind::Modem);
    }
    // 1 is Ethernet's hardware type, and TAP's; 65534 is none: TUN, WireGuard.
    match read("type").trim() {
        "1" => Some(Kind::Ethernet),
        "65534" | "512" | "768" | "776" | "778" => Some(Kind::Tunnel),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn kind_by_system(_name: &str) -> Option<Kind> {
    None
}

#[cfg(target_os = "linux")]
fn bridge_is_populated(name: &str) -> bool {
    let ports = std::path::Path::new("/sys/class/net").join(name).join("brif");
    std::fs::read_dir(ports).is_ok_and(|mut ports| ports.next().is_some())
}

#[cfg(not(target_os = "linux"))]
fn bridge_is_populated(_name: &str) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, kind: Kind) -> Interface {
        Interface {
            index: 1,
            name: name.into(),
            kind,
            addresses: vec!["10.0.0.1".parse().unwrap()],
            mtu: 1_500,
            class: kind.class(),
            up: true,
            carrier: true,
            populated: true,
        }
    }

    #[test]
    fn each_interface_is_used_or_left_out_for_a_reason() {
        let all = Filter::default();
        let table = [
            (interface("eth0", Kind::Ethernet), None),
            (interface("tap0", Kind::Ethernet), None),
            (interface("wg0", Kind::Tunnel), None),
            (interface("lo", Kind::Loopback), Some(Reason::Loopback("lo".into()))),
            (Interface { up: false, ..interface("eth1", Kind::Ethernet) }, Some(Reason::Down)),
            (
                Interface { carrier: false, ..interface("eth2", Kind::Ethernet) },
                Some(Reason::NoCarrier),
            ),
            (
                Interface { addresses: vec![], ..interface("eth3", Kind::Ethernet) },
                Some(Reason::NoAddress),
            ),
            (
                Interface { populated: false, ..interface("docker0", Kind::Bridge) },
                Some(Reason::EmptyBridge),
            ),
        ];
        for (interface, reason) in table {
            assert_eq!(all.reason(&interface), reason, "{}", interface.name);
        }
    }

    #[test]
    fn names_choose_and_exclude() {
        let only = Filter { only: vec!["lo".into()], not: vec![] };
        assert_eq!(only.reason(&interface("lo", Kind::Loopback)), None);
        assert_eq!(only.reason(&interface("eth0", Kind::Ethernet)), Some(Reason::NotNamed));
        let not = Filter { only: vec![], not: vec!["eth0".into()] };
        assert_eq!(not.reason(&interface("eth0", Kind::Ethernet)), Some(Reason::Excluded));
    }

    #[test]
    fn an_unknown_name_is_named_with_those_that_are_known() {
        let filter = Filter { only: vec!["eht0".into()], not: vec![] };
        let error = filter.check(&[interface("eth0", Kind::Ethernet)]).unwrap_err();
        assert_eq!(error.to_string(), "there is no link \"eht0\" here; there are: eth0");
    }

    #[test]
    fn a_vpn_is_the_last_resort() {
        assert_eq!(Kind::Tunnel.class(), CostClass::LastResort);
        assert!(Kind::Ethernet.class() < Kind::Modem.class());
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        assert!(interfaces().iter().any(|found| found.kind == Kind::Loopback));
    }
}
