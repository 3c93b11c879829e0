//! A client and servers, each in a network namespace of its own, joined by the kernel's own links.
//!
//! ```text
//!             namespace of the client                namespaces of the servers
//!   link0  10.77.0.1  tbf <------- veth -------> tbf  10.77.0.2  server 0
//!   link1  10.77.1.1  tbf <------- veth -------> tbf  10.77.1.2  server 1
//!   ...                                                          (a server may have several)
//! ```
//!
//! These links carry gigabits at little cost, which an emulator in user space does not; but all they
//! can do is to limit the rate (`tbf`, a token bucket at each end), and to be taken down. Or there is one
//! machine, and servers are reached over its loopback interface.

use super::namespace::Namespace;
use super::{Node, check_requirements, interface, ipv4, link, namespace, next_number};
use core::net::{IpAddr, Ipv4Addr};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::time::Instant;

/// The client, the servers, and what joins them. See the module.
#[derive(Debug)]
pub struct Fleet {
    client: Namespace,
    /// None: all are on the client's machine.
    servers: Vec<Namespace>,
    /// Whose each link is.
    links: Vec<usize>,
}

/// What had come in by a moment, on all links of the client together.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The moment.
    pub at: Instant,
    /// Bytes of frames since the links were made.
    pub bytes: u64,
}

impl Fleet {
    /// A server for each list of links, which are given by their rates in bits a second of Ethernet frames.
    ///
    /// # Errors
    /// Without root, or if the kernel refuses.
    pub fn new(servers: &[&[u64]]) -> io::Result<Self> {
        let mut fleet = Self::loopback()?;
        let number = next_number();
        for (index, rates) in servers.iter().enumerate() {
            let side = char::from_digit(u32::try_from(index).unwrap_or(0), 36).unwrap_or('z');
            let server = Namespace::create(number, side)?;
            for rate in *rates {
                fleet.join(&server, *rate)?;
                fleet.links.push(index);
            }
            fleet.servers.push(server);
        }
        Ok(fleet)
    }

    /// One machine, with no link but loopback.
    ///
    /// # Errors
    /// Without root.
    pub fn loopback() -> io::Result<Self> {
        check_requirements()?;
        namespace::sweep()?;
        let client = Namespace::create(next_number(), 'c')?;
        Ok(Self { client, servers: Vec::new(), links: Vec::new() })
    }

    fn join(&self, server: &Namespace, rate: u64) -> io::Result<()> {
        let index = self.links.len();
        let name = interface(index);
        let peer = ["type", "veth", "peer", "name", &name, "netns", server.name()];
        self.client.ip(&[&["link", "add", &name], &peer[..]].concat())?;
        for (node, namespace) in [(Node::A, &self.client), (Node::B, server)] {
            link::bring_up(index, node, namespace)?;
            shape(namespace, &name, rate)?;
        }
        Ok(())
    }

    /// The client's machine.
    #[must_use]
    pub const fn client(&self) -> &Namespace {
        &self.client
    }

    /// Server `index`'s machine.
    #[must_use]
    pub fn server(&self, index: usize) -> &Namespace {
        self.servers.get(index).unwrap_or(&self.client)
    }

    /// Where server `index` is reached, on its first link.
    #[must_use]
    pub fn address(&self, index: usize) -> IpAddr {
        match self.links.iter().position(|server| *server == index) {
            Some(link) => ipv4(link, Node::B),
            // One of its own all the same: other programs count connections by address.
            None => Ipv4Addr::new(127, 0, 0, u8::try_from(index + 1).unwrap_or(u8::MAX)).into(),
        }
    }

    /// Whether the machines are joined by loopback alone.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.links.is_empty()
    }

    /// Takes the client's end of a link down, as if its cable were pulled.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn unplug(&self, link: usize) -> io::Result<()> {
        self.client.ip(&["link", "set", "dev", &interface(link), "down"])
    }

    /// What came in while `work` ran, every 10 ms.
    ///
    /// # Errors
    /// If the counters cannot be read.
    pub fn watch<T>(&self, work: impl FnOnce() -> T) -> io::Result<(T, Vec<Sample>)> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| self.client.inside(|| sample_until(&done)));
            let outcome = work();
            done.store(true, Ordering::Relaxed);
            let samples = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((outcome, samples??))
        })
    }

    /// What came in so far.
    ///
    /// # Errors
    /// If the counters cannot be read.
    pub fn received(&self) -> io::Result<u64> {
        self.client.inside(received)?
    }
}

fn sample_until(done: &AtomicBool) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    while !done.load(Ordering::Relaxed) {
        samples.push(Sample { at: Instant::now(), bytes: received()? });
        std::thread::sleep(EVERY);
    }
    Ok(samples)
}

/// All interfaces but loopback, of the namespace that this thread is in.
fn received() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    let count = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        if name.trim() == "lo" {
            return None;
        }
        numbers.split_whitespace().next()?.parse::<u64>().ok()
    };
    Ok(text.lines().filter_map(count).sum())
}

/// A token bucket of 4 ms behind a queue of 16 ms, and room for a few packets in each.
fn shape(namespace: &Namespace, name: &str, rate: u64) -> io::Result<()> {
    let bytes = |milliseconds: u64, least: u64| (rate / 8_000 * milliseconds).max(least);
    let (burst, limit) = (bytes(4, 3_028).to_string(), bytes(16, 32 << 10).to_string());
    let rate = format!("{rate}bit");
    let bucket = ["root", "tbf", "rate", &rate, "burst", &burst, "limit", &limit];
    namespace.tc(&[&["qdisc", "add", "dev", name], &bucket[..]].concat())
}

const EVERY: Duration = Duration::from_millis(10);
