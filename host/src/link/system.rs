//! What the system says of its interfaces, put into our words.
//!
//! `netdev` lists them on every system; what it does not tell (bridges and their ports, modems, what
//! a wireless card is) Linux says in `/sys/class/net`. Elsewhere its word is all there is.

use super::interfaces::{Interface, Kind};
use netdev::interface::state::OperState;
use netdev::interface::types::InterfaceType;

/// All interfaces of this machine, as they are now. Takes a millisecond or two, and blocks.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    let mut list: Vec<_> = netdev::get_interfaces().into_iter().map(describe).collect();
    list.sort_by_key(|interface| interface.index);
    list
}

fn describe(found: netdev::Interface) -> Interface {
    let kind = kind(&found);
    // A running interface whose state is unknown (tunnels, loopback) is taken at its word.
    let dead = matches!(
        found.oper_state,
        OperState::Down | OperState::LowerLayerDown | OperState::NotPresent | OperState::Dormant
    );
    // The first is dialled first, and where both answer IPv4's shorter header is the better bargain.
    let mut addresses = found.ip_addrs();
    addresses.sort_by_key(core::net::IpAddr::is_ipv6);
    Interface {
        index: found.index,
        kind,
        addresses,
        mtu: found.mtu.unwrap_or(MTU_UNKNOWN),
        class: kind.class(),
        up: found.is_up(),
        carrier: carrier_by_system(&found.name).unwrap_or(!dead),
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

#[cfg(any(target_os = "linux", target_os = "android"))]
fn kind_by_system(name: &str) -> Option<Kind> {
    kind_in(&std::path::Path::new(SYS_CLASS_NET).join(name), name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn kind_by_system(_name: &str) -> Option<Kind> {
    None
}

/// What an interface's folder under `/sys/class/net` says.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kind_in(folder: &std::path::Path, name: &str) -> Option<Kind> {
    let has = |entry: &str| folder.join(entry).exists();
    let read = |entry: &str| std::fs::read_to_string(folder.join(entry)).unwrap_or_default();
    if has("brport") || has("bonding_slave") {
        return Some(Kind::Port);
    }
    if has("bridge") {
        return Some(Kind::Bridge);
    }
    if has("wireless") || has("phy80211") {
        return Some(Kind::Wifi);
    }
    if read("uevent").contains("DEVTYPE=wwan")
        || name.starts_with("wwan")
        || name.starts_with("rmnet")
    {
        return Some(Kind::Modem);
    }
    // Numbers of <linux/if_arp.h>: Ethernet, and TAP; then PPP, IP in IP, IPv6 in IP, GRE and
    // "none": TUN, WireGuard.
    match read("type").trim() {
        "1" => Some(Kind::Ethernet),
        "512" | "768" | "769" | "776" | "778" | "65534" => Some(Kind::Tunnel),
        _ => None,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bridge_is_populated(name: &str) -> bool {
    let ports = std::path::Path::new(SYS_CLASS_NET).join(name).join("brif");
    std::fs::read_dir(ports).is_ok_and(|mut ports| ports.next().is_some())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn bridge_is_populated(_name: &str) -> bool {
    true
}

/// Whether something is plugged in. The state that `netdev` reads lags behind this by up to a second.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn carrier_by_system(name: &str) -> Option<bool> {
    let file = std::path::Path::new(SYS_CLASS_NET).join(name).join("carrier");
    match std::fs::read_to_string(file).ok()?.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None, // What is down does not say.
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn carrier_by_system(_name: &str) -> Option<bool> {
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const SYS_CLASS_NET: &str = "/sys/class/net";
/// Where the system does not say: Ethernet's.
const MTU_UNKNOWN: u32 = 1_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let found = interfaces();
        let loopback = found.iter().find(|found| found.kind == Kind::Loopback).unwrap();
        assert!(loopback.index > 0 && loopback.mtu > 0, "{loopback:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_linux_says_is_understood() {
        // Entries of the folder, with their contents, and what that is.
        type Row = (&'static str, &'static [(&'static str, &'static str)], Option<Kind>);
        let table: [Row; 9] = [
            ("eth0", &[("type", "1\n")], Some(Kind::Ethernet)),
            ("tap0", &[("type", "1\n"), ("tun_flags", "0x1002")], Some(Kind::Ethernet)),
            ("wlan0", &[("type", "1\n"), ("wireless", "")], Some(Kind::Wifi)),
            ("docker0", &[("type", "1\n"), ("bridge", "")], Some(Kind::Bridge)),
            ("veth1", &[("type", "1\n"), ("brport", "")], Some(Kind::Port)),
            ("wwp0", &[("type", "1\n"), ("uevent", "DEVTYPE=wwan\n")], Some(Kind::Modem)),
            ("rmnet_data0", &[("type", "519\n")], Some(Kind::Modem)),
            ("wg0", &[("type", "65534\n")], Some(Kind::Tunnel)),
            ("can0", &[("type", "280\n")], None),
        ];
        for (name, entries, kind) in table {
            let folder = tempfile::tempdir().unwrap();
            for (entry, contents) in entries {
                std::fs::write(folder.path().join(entry), contents).unwrap();
            }
            assert_eq!(kind_in(folder.path(), name), kind, "{name}");
        }
    }
}
