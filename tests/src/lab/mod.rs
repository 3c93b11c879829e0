//! The lab: two machines in network namespaces, joined by links that we can bend while they run.
//!
//! ```text
//!   namespace A                    this process                     namespace B
//!   link0 10.77.0.1 <- TAP -> [ rate delay queue loss ... ] <- TAP -> link0 10.77.0.2
//!   link1 10.77.1.1 <- TAP -> [ rate delay queue loss ... ] <- TAP -> link1 10.77.1.2
//! ```
//!
//! Whole processes run in there ([`Lab::spawn`]), or closures ([`Lab::inside`]). Each link is a
//! thread that moves Ethernet frames between two TAP devices ([`emulator`]); what it does to
//! them is a [`Pipe`](pipe::Pipe) in each direction, which is plain state and has its own tests.
//! Needs Linux and root. Whatever happens, dropping the lab takes everything down again, and a
//! lab whose process was killed is swept by the next one.

pub mod damage;
pub mod emulator;
pub mod fleet;
pub mod link;
pub mod namespace;
pub mod peer;
pub mod pipe;
pub mod plot;
pub mod results;
pub mod scenario;
pub mod stranger;
pub mod tap;

pub use link::{Link, LinkSpec, Shape, Stats};

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicU32, Ordering};
use namespace::Namespace;
use std::io;
use std::process::{Child, Command};

/// One of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Where by convention the dialer runs.
    A,
    /// Where by convention the answerer runs.
    B,
}

impl Node {
    /// The machine at the other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1, for tables that hold one thing per node.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// Two namespaces and the links between them. See the module.
#[derive(Debug)]
pub struct Lab {
    // Declared first, dropped first: the emulators let go of their devices before the
    // namespaces that hold these go away.
    links: Vec<Option<Link>>,
    number: u32,
    namespaces: [Namespace; 2],
}

impl Lab {
    /// Builds both namespaces and joins them by `links`, numbered from 0 in their order.
    ///
    /// # Errors
    /// Without root, without `/dev/net/tun` or without the `ip` program, with a text that says so.
    pub fn new(links: &[LinkSpec]) -> io::Result<Self> {
        let mut lab = Self::empty()?;
        for spec in links {
            lab.add_link(spec)?;
        }
        Ok(lab)
    }

    /// Builds both namespaces and joins them by one pair of the kernel's own virtual Ethernet
    /// interfaces, which nothing shapes: what the machine's processors allow.
    ///
    /// # Errors
    /// Without root, or if the kernel refuses.
    pub fn unshaped() -> io::Result<Self> {
        let lab = Self::empty()?;
        let name = interface(0);
        let [a, b] = &lab.namespaces;
        let ends = ["link", "add", &name, "type", "veth", "peer", "name", &name, "netns", b.name()];
        a.ip(&ends)?;
        for node in [Node::A, Node::B] {
            link::bring_up(0, node, &lab.namespaces[node.index()])?;
        }
        Ok(lab)
    }

    fn empty() -> io::Result<Self> {
        check_requirements()?;
        namespace::sweep()?;
        let number = next_number();
        let namespaces = [Namespace::create(number, 'a')?, Namespace::create(number, 'b')?];
        Ok(Self { links: Vec::new(), number, namespaces })
    }

    /// Gives the links the shapes that they were built with.
    pub fn restore(&self, links: &[LinkSpec]) {
        for (link, spec) in self.links().zip(links) {
            for node in [Node::A, Node::B] {
                link.set_from(node, |shape| *shape = spec.shapes[node.index()]);
            }
        }
    }

    /// Link number `index`.
    ///
    /// # Panics
    /// If there never was such a link, or it was removed.
    #[must_use]
    pub fn link(&self, index: usize) -> &Link {
        self.links.get(index).and_then(Option::as_ref).expect("the link exists")
    }

    /// Every link that is there now.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten()
    }

    /// Joins the machines by one more link, while all else goes on. Gives its number.
    ///
    /// # Errors
    /// If a device cannot be made.
    pub fn add_link(&mut self, spec: &LinkSpec) -> io::Result<usize> {
        let index = self.links.len();
        let link = Link::start(index, spec, &self.namespaces)?;
        self.links.push(Some(link));
        Ok(index)
    }

    /// Takes the link's interface out of `node`, as if its adapter were pulled; the other machine
    /// keeps its interface, behind which nobody answers any more.
    ///
    /// # Errors
    /// If the interface is not there.
    pub fn unplug(&self, index: usize, node: Node) -> io::Result<()> {
        let name = interface(index);
        self.namespaces[node.index()].ip(&["link", "delete", "dev", &name])
    }

    /// Runs `ip` with these arguments on a machine.
    ///
    /// # Errors
    /// If it fails; its words are in the error.
    pub fn ip(&self, node: Node, args: &[&str]) -> io::Result<()> {
        self.namespaces[node.index()].ip(args)
    }

    /// Takes the link away altogether, on both machines.
    pub fn remove_link(&mut self, index: usize) {
        if let Some(link) = self.links.get_mut(index) {
            *link = None;
        }
    }

    /// Starts a program on a machine; `/sys` shows that machine's interfaces.
    ///
    /// The child is the caller's to wait for. What still runs in the namespaces when the lab is
    /// dropped is killed.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, node: Node, program: &str, args: &[&str]) -> io::Result<Child> {
        self.command(node, program).args(args).spawn()
    }

    /// The same as a [`Command`], for those who need its pipes or environment. Its process id is
    /// the program's own.
    #[must_use]
    pub fn command(&self, node: Node, program: &str) -> Command {
        self.namespaces[node.index()].command(program)
    }

    /// Runs `work` on a thread of this process that sees the network of `node`. Sockets that it
    /// makes stay there, wherever they go.
    ///
    /// # Errors
    /// If the thread cannot enter the namespace.
    pub fn inside<T: Send>(&self, node: Node, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.namespaces[node.index()].inside(work)
    }

    /// The name of a machine's namespace, for `ip netns exec` by hand.
    #[must_use]
    pub fn namespace(&self, node: Node) -> &str {
        self.namespaces[node.index()].name()
    }
}

/// A number that no other lab of this process has.
fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether a lab can be built here; if not, why.
///
/// # Errors
/// What is missing.
pub fn check_requirements() -> io::Result<()> {
    let missing = |what: &str| Err(io::Error::new(io::ErrorKind::Unsupported, what));
    if !rustix::process::geteuid().is_root() {
        return missing("the lab needs root (network namespaces and TAP devices)");
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        return missing("the lab needs /dev/net/tun (modprobe tun; a container must be given it)");
    }
    if Command::new("ip").arg("-Version").output().is_err() {
        return missing("the lab needs the `ip` program (Debian: iproute2)");
    }
    Ok(())
}

/// The name of link `index`'s interface, the same on both machines.
#[must_use]
pub fn interface(index: usize) -> String {
    format!("link{index}")
}

/// The IPv4 address of `node` on link `index`.
#[must_use]
pub fn ipv4(index: usize, node: Node) -> IpAddr {
    let third = u8::try_from(index).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(10, 77, third, host_number(node)))
}

/// The IPv6 address of `node` on link `index`.
#[must_use]
pub fn ipv6(index: usize, node: Node) -> IpAddr {
    let second = u16::try_from(index).unwrap_or(u16::MAX);
    IpAddr::V6(Ipv6Addr::new(0xfd77, second, 0, 0, 0, 0, 0, u16::from(host_number(node))))
}

const fn host_number(node: Node) -> u8 {
    match node {
        Node::A => 1,
        Node::B => 2,
    }
}
