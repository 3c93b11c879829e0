//! One emulated link: what it is like, and the handle that changes it while it runs.
//!
//! A [`Shape`] describes one direction; a link has two, which may differ. Chances are fractions of
//! 1. What a link did to its frames is counted ([`Stats`]).

use super::emulator::{self, Control};
use super::namespace::Namespace;
use super::{Node, interface, ipv4, ipv6, tap};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Bits a second of Ethernet frames (1,514 bytes for a full one; no preamble).
    pub rate: u64,
    /// From the last bit's departure to its arrival.
    pub delay: Duration,
    /// The longest IP packet that passes. The machines do not know: their interfaces say 1,500.
    pub mtu: usize,
    /// A frame that would make the queue before the sender longer than this is dropped.
    pub queue_bytes: usize,
    /// The chance that a frame is lost.
    pub loss: f64,
    /// Losses that come in bursts.
    pub burst: Option<Burst>,
    /// The chance that a frame is held back by [`Shape::reorder_by`], so that others overtake it.
    pub reorder: f64,
    /// How long such a frame is held back.
    pub reorder_by: Duration,
    /// The chance that a frame arrives twice.
    pub duplicate: f64,
    /// The chance that a bit of a frame's UDP payload is flipped unnoticed by any checksum.
    pub corrupt: f64,
    /// Nothing gets through.
    pub cut: bool,
    /// Time stands still on it: what is underway, and what comes, arrives that much later.
    pub frozen: bool,
}

/// Gilbert's model: now and then the link turns bad for some frames, of which none arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The chance of each good frame that a burst begins with it.
    pub begins: f64,
    /// Mean length of a burst in frames, at least 1.
    pub frames: f64,
}

impl Shape {
    /// A flawless direction of `mbit_s` Mbit/s, `delay_ms` one way and a queue of `queue_kib`.
    #[must_use]
    pub const fn new(mbit_s: u64, delay_ms: u64, queue_kib: usize) -> Self {
        Self {
            rate: mbit_s * 1_000_000,
            delay: Duration::from_millis(delay_ms),
            mtu: 1_500,
            queue_bytes: queue_kib * 1024,
            loss: 0.0,
            burst: None,
            reorder: 0.0,
            reorder_by: Duration::from_millis(3),
            duplicate: 0.0,
            corrupt: 0.0,
            cut: false,
            frozen: false,
        }
    }
}

/// A link to build: both directions, from A and from B.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSpec {
    /// From A to B, and from B to A.
    pub shapes: [Shape; 2],
}

impl LinkSpec {
    /// The same both ways: see [`Shape::new`].
    #[must_use]
    pub const fn new(mbit_s: u64, delay_ms: u64, queue_kib: usize) -> Self {
        Self { shapes: [Shape::new(mbit_s, delay_ms, queue_kib); 2] }
    }

    /// Changes both directions in the same way.
    #[must_use]
    pub fn with(mut self, change: impl Fn(&mut Shape)) -> Self {
        self.shapes.iter_mut().for_each(change);
        self
    }
}

/// What one direction did to its frames since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that the sender gave us.
    pub entered: u64,
    /// Frames that the receiver got, copies included.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Frames of at least 1,000 bytes among those: payload, not acknowledgements.
    pub delivered_large: u64,
    /// Frames that were longer than the link's MTU.
    pub too_long: u64,
    /// Frames for which the queue had no room.
    pub overflowed: u64,
    /// Frames that chance took.
    pub lost: u64,
    /// Frames that were underway or came when the link was cut.
    pub cut: u64,
    /// Frames that were held back.
    pub reordered: u64,
    /// Frames that were sent twice.
    pub duplicated: u64,
    /// Frames with a bit flipped.
    pub corrupted: u64,
}

/// A running link. All methods may be called at any time.
#[derive(Debug)]
pub struct Link {
    index: usize,
    control: Arc<Control>,
    emulator: Option<JoinHandle<()>>,
}

impl Link {
    /// Makes both interfaces, gives them addresses, and starts the thread between them.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn start(index: usize, spec: &LinkSpec, ends: &[Namespace; 2]) -> io::Result<Self> {
        let open = |node: Node| ends[node.index()].inside(|| tap::open(&interface(index)))?;
        let devices = [open(Node::A)?, open(Node::B)?];
        let control = Arc::new(Control::new(spec.shapes)?);
        let name = format!("lab-link{index}");
        let emulator = {
            let control = Arc::clone(&control);
            std::thread::Builder::new()
                .name(name)
                .spawn(move || emulator::run(&devices, &control, index as u64))?
        };
        let link = Self { index, control, emulator: Some(emulator) };
        for node in [Node::A, Node::B] {
            bring_up(index, node, &ends[node.index()])?;
        }
        Ok(link)
    }

    /// Its number, which its interfaces and addresses carry.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Changes both directions; frames that are underway keep their time of arrival.
    pub fn set(&self, change: impl Fn(&mut Shape)) {
        self.control.change(|shapes| shapes.iter_mut().for_each(&change));
    }

    /// Changes the direction that leaves `from`.
    pub fn set_from(&self, from: Node, change: impl Fn(&mut Shape)) {
        self.control.change(|shapes| change(&mut shapes[from.index()]));
    }

    /// Makes it a black hole: carriers stay up, nothing gets through, and what is underway is lost.
    pub fn cut(&self) {
        self.set(|shape| shape.cut = true);
    }

    /// The same for what leaves `from` only.
    pub fn cut_one_way(&self, from: Node) {
        self.set_from(from, |shape| shape.cut = true);
    }

    /// Stalls it both ways, as a radio does that changes its channel: nothing is lost, but all that
    /// does not fit into the queue.
    pub fn freeze(&self) {
        self.set(|shape| shape.frozen = true);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.set(|shape| shape.frozen = false);
    }

    /// Ends every cut.
    pub fn restore(&self) {
        self.set(|shape| shape.cut = false);
    }

    /// What happened to the frames that left `from`.
    #[must_use]
    pub fn stats(&self, from: Node) -> Stats {
        self.control.stats(from)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(emulator) = self.emulator.take() {
            let _ = emulator.join();
        }
    }
}

pub(super) fn bring_up(index: usize, node: Node, namespace: &Namespace) -> io::Result<()> {
    let name = interface(index);
    namespace.ip(&["link", "set", "dev", &name, "mtu", "1500", "txqueuelen", "1000", "up"])?;
    namespace.ip(&["address", "add", &format!("{}/24", ipv4(index, node)), "dev", &name])?;
    if std::path::Path::new("/proc/net/if_inet6").exists() {
        let address = format!("{}/64", ipv6(index, node));
        namespace.ip(&["-6", "address", "add", &address, "dev", &name, "nodad"])?;
    }
    Ok(())
}
