//! A third machine, beside the two of the lab: it shares a link of its own with one of them, and
//! sends from as many addresses as it likes.
//!
//! ```text
//!   stranger: 10.78.0.1, and all of 10.79.0.0/16  <- veth, unshaped ->  10.78.0.2: a node
//! ```
//!
//! The kernel takes a whole network for its own (a `local` route), so that a socket may be bound to
//! any address in it, and answers come back.

use super::namespace::Namespace;
use super::{Lab, Node};
use core::net::{Ipv4Addr, SocketAddr};
use std::io;
use std::net::UdpSocket;

/// The third machine.
#[derive(Debug)]
pub struct Stranger {
    namespace: Namespace,
}

impl Stranger {
    /// Joins a new machine with `node` by a link that neither delays nor loses.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn join(lab: &Lab, node: Node) -> io::Result<Self> {
        let namespace = Namespace::create(lab.number, 's')?;
        let other = &lab.namespaces[node.index()];
        let (name, peer) = (INTERFACE, other.name());
        namespace
            .ip(&["link", "add", name, "type", "veth", "peer", "name", name, "netns", peer])?;
        let network = format!("{FROM}.0.0/16");
        for (machine, address) in [(&namespace, gateway()), (other, node_address())] {
            machine.ip(&["address", "add", &format!("{address}/24"), "dev", name])?;
            machine.ip(&["link", "set", "dev", name, "up"])?;
        }
        namespace.ip(&["route", "add", "local", &network, "dev", "lo"])?;
        other.ip(&["route", "add", &network, "via", &gateway().to_string()])?;
        Ok(Self { namespace })
    }

    /// Sockets at so many different addresses, all connected to the node's `port`.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn sockets(&self, count: u16, port: u16) -> io::Result<Vec<UdpSocket>> {
        let open = |number: u16| {
            let [high, low] = number.to_be_bytes();
            let socket = UdpSocket::bind((Ipv4Addr::new(10, 79, high, low), 0))?;
            socket.connect(SocketAddr::new(node_address().into(), port))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        self.namespace.inside(|| (1..=count).map(open).collect())?
    }
}

/// The node's address on the stranger's link.
const fn node_address() -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, 2)
}

const fn gateway() -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, 1)
}

/// The link's name on both machines.
pub const INTERFACE: &str = "stranger";
/// The addresses that the stranger sends from begin so.
const FROM: &str = "10.79";
