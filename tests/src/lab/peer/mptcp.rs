//! Kernel MPTCP on the lab's machines: B announces its address on every further link, A joins
//! whatever is announced.

use super::super::{Lab, Link, Node, interface, ipv4};
use super::socket;
use std::io;
use std::process::Command;

/// Why MPTCP cannot take part here, if so.
#[must_use]
pub fn missing() -> Option<String> {
    if let Err(error) = socket::has_mptcp() {
        return Some(format!("this kernel gives no MPTCP socket ({error}; net.mptcp.enabled?)"));
    }
    let help = Command::new("ip").args(["mptcp", "limits", "show"]).output();
    match help {
        Ok(output) if output.status.success() => None,
        _ => Some("this `ip` program does not know `ip mptcp` (iproute2 5.8 or newer does)".into()),
    }
}

/// Lets every link of the lab become a subflow of the connections from A to B.
///
/// # Errors
/// What `ip` says.
pub fn set_up(lab: &Lab) -> io::Result<()> {
    for node in [Node::A, Node::B] {
        lab.ip(node, &["mptcp", "endpoint", "flush"])?;
        let most = SUBFLOWS_MAX.to_string();
        lab.ip(node, &["mptcp", "limits", "set", "subflows", &most, "add_addr_accepted", &most])?;
    }
    for index in lab.links().map(Link::index).filter(|index| *index > 0) {
        let address = ipv4(index, Node::B).to_string();
        let device = interface(index);
        lab.ip(Node::B, &["mptcp", "endpoint", "add", &address, "dev", &device, "signal"])?;
    }
    Ok(())
}

/// The kernel's own limit.
const SUBFLOWS_MAX: usize = 8;
