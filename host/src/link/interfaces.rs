//! Which network interfaces are links? All that can carry datagrams, found without being named.
//!
//! Left out, each with its reason: loopback unless named, what is down or has no carrier or no
//! address, bridges with nothing behind them, ports of bridges and bonds (their master is the
//! link), and what the user excluded. Naming an interface overrides every judgement of ours but the
//! one that nothing can be sent by it: it is down, or has no address. A VPN that runs over another
//! link counts, but as the last resort: its packets take the other link anyway.
//!
//! Everything here is pure; `system.rs` asks the system.

pub use super::system::interfaces;
use core::fmt;
use core::net::IpAddr;
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
    /// A port of a bridge or bond: what goes out by it is the master's business.
    Port,
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
            Self::Port => "port",
            Self::Loopback => "loopback",
            Self::Other => "other",
        })
    }
}

impl Kind {
    pub(super) const fn class(self) -> CostClass {
        match self {
            Self::Ethernet | Self::Bridge | Self::Port | Self::Loopback | Self::Other => {
                CostClass::Wired
            }
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
    /// A port of a bridge or bond.
    #[error(
        "it is a port of a bridge or bond, which is the link; `--link {0}` uses it all the same"
    )]
    Port(String),
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
    /// Whether every name that the filter mentions is one of these.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, names: &[String]) -> Result<(), UnknownLink> {
        let unknown = |name: &&String| !names.contains(name);
        let Some(name) = self.only.iter().chain(&self.not).find(unknown) else { return Ok(()) };
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
        } else if interface.kind == Kind::Port && !named {
            Some(Reason::Port(name.clone()))
        } else if interface.kind == Kind::Bridge && !interface.populated && !named {
            Some(Reason::EmptyBridge)
        } else if !interface.carrier && !named {
            Some(Reason::NoCarrier)
        } else if interface.addresses.is_empty() {
            Some(Reason::NoAddress)
        } else {
            None
        }
    }
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
        let eth = || interface("x", Kind::Ethernet);
        // What it is, the reason if it is not named, and the reason if it is.
        let table = [
            (eth(), None, None),
            (interface("x", Kind::Tunnel), None, None),
            (interface("x", Kind::Bridge), None, None),
            (interface("x", Kind::Loopback), Some(Reason::Loopback("x".into())), None),
            (interface("x", Kind::Port), Some(Reason::Port("x".into())), None),
            (
                Interface { populated: false, ..interface("x", Kind::Bridge) },
                Some(Reason::EmptyBridge),
                None,
            ),
            (Interface { carrier: false, ..eth() }, Some(Reason::NoCarrier), None),
            (Interface { up: false, ..eth() }, Some(Reason::Down), Some(Reason::Down)),
            (
                Interface { addresses: vec![], ..eth() },
                Some(Reason::NoAddress),
                Some(Reason::NoAddress),
            ),
        ];
        let named = Filter { only: vec!["x".into()], not: vec![] };
        for (interface, unnamed_reason, named_reason) in table {
            assert_eq!(Filter::default().reason(&interface), unnamed_reason, "{interface:?}");
            assert_eq!(named.reason(&interface), named_reason, "named: {interface:?}");
        }
    }

    #[test]
    fn names_choose_and_exclude() {
        let only = Filter { only: vec!["lo".into()], not: vec![] };
        assert_eq!(only.reason(&interface("eth0", Kind::Ethernet)), Some(Reason::NotNamed));
        let not = Filter { only: vec![], not: vec!["eth0".into()] };
        assert_eq!(not.reason(&interface("eth0", Kind::Ethernet)), Some(Reason::Excluded));
        let both = Filter { only: vec!["eth0".into()], not: vec!["eth0".into()] };
        assert_eq!(both.reason(&interface("eth0", Kind::Ethernet)), Some(Reason::Excluded));
    }

    #[test]
    fn a_survey_keeps_everything_once() {
        let not = Filter { only: vec![], not: vec!["b".into()] };
        let all = vec![
            interface("a", Kind::Ethernet),
            interface("b", Kind::Wifi),
            interface("c", Kind::Modem),
        ];
        let survey = not.survey(all.clone());
        assert_eq!(survey.used, [all[0].clone(), all[2].clone()]);
        assert_eq!(survey.left_out, [(all[1].clone(), Reason::Excluded)]);
    }

    #[test]
    fn an_unknown_name_is_named_with_those_that_are_known() {
        let eth0 = ["eth0".to_owned()];
        let filter = Filter { only: vec!["eht0".into()], not: vec![] };
        let error = filter.check(&eth0).unwrap_err();
        assert_eq!(error.to_string(), "there is no link \"eht0\" here; there are: eth0");
        let filter = Filter { only: vec!["eth0".into()], not: vec!["eht0".into()] };
        assert_eq!(filter.check(&eth0).unwrap_err().name, "eht0");
        assert_eq!(Filter::default().check(&[]), Ok(()));
    }

    #[test]
    fn classes_go_from_cheap_to_dear() {
        let kinds = [Kind::Ethernet, Kind::Wifi, Kind::Modem, Kind::Tunnel];
        assert!(kinds.is_sorted_by(|a, b| a.class() < b.class()));
        assert_eq!(Kind::Tunnel.class(), CostClass::LastResort);
    }
}
