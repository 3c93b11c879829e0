//! The main job on one machine: two nodes in this process, three emulated links between them, a file
//! that goes over all of them at once, and one link that fails half-way and comes back.
//!
//! ```text
//! sender   127.0.1.1 <- emulator 127.0.1.3 -> 127.0.1.2   receiver
//!          127.0.2.1 <- emulator 127.0.2.3 -> 127.0.2.2
//!          127.0.3.1 <- emulator 127.0.3.3 -> 127.0.3.2
//! ```
//!
//! Everything but the links is what a real transfer uses: sockets, handshake, scheduler, file protocol.

pub mod emulator;
pub mod outcome;

mod noise;

use crate::bench::bulk::Gaps;
use crate::connection::{Connection, PathReport};
use crate::endpoint::{Endpoint, EndpointConfig, FixedLink};
use crate::identity::Identity;
use crate::transfer::receive::{Receiving, Target, receive};
use crate::transfer::send::{Input, send};
use crate::transfer::{self, Event, Observer, Summary, TransferError};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use emulator::{Emulator, Shape};
use outcome::{LinkOutcome, Outcome};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How much is sent if no file is named.
pub const NOISE_BYTES: u64 = 256 << 20;

/// The link that is cut: the middle one, so that a faster and a slower one are left.
const CUT: usize = 1;
/// For how long at most.
const CUT_TIME: Duration = Duration::from_secs(1);

const SHAPES: [Shape; 3] = [shape(200, 5), shape(100, 15), shape(50, 30)];

/// A queue of 50 ms, as routers have.
const fn shape(mbit: u64, delay_ms: u64) -> Shape {
    let rate = mbit * 1_000_000;
    Shape { rate, delay: Duration::from_millis(delay_ms), queue_bytes: rate / 8 / 20 }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The loopback sockets.
    #[error("cannot set up the demonstration's links: {0}")]
    Setup(io::Error),
    /// The endpoints.
    #[error("cannot set up the demonstration's nodes: {0}")]
    Node(String),
    /// The transfer broke.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The file was not sent.
    #[error("the file was not sent: {0}")]
    NotSent(String),
}

/// The two nodes, and what is between them.
pub struct Demo {
    links: Vec<Emulator>,
    sender: Connection,
    receiver: Connection,
    accepted_at: Instant,
    /// Keep the sockets.
    _nodes: [Endpoint; 2],
}

impl Demo {
    /// Two nodes that are connected over all links.
    ///
    /// # Errors
    /// When the sockets or the connection cannot be made.
    pub async fn set_up() -> Result<Self, DemoError> {
        let node = |error: &dyn core::fmt::Display| DemoError::Node(error.to_string());
        let (left, right) = (Identity::ephemeral(), Identity::ephemeral());
        let (known, peer) = (left.public(), right.public());
        let mut config = config(right, 2);
        config.admission = Some(Arc::new(move |key, _| (key == known).then_some([0; 32])));
        let receiver = Endpoint::bind(config).await.map_err(|error| node(&error))?;
        let sender = Endpoint::bind(self::config(left, 1)).await.map_err(|error| node(&error))?;
        let mut links = Vec::new();
        for (index, ends) in sender.addresses().into_iter().zip(receiver.addresses()).enumerate() {
            let at = SocketAddr::new(host(index, 3), 0);
            let link = Emulator::start(at, [ends.0, ends.1], SHAPES[index]).await;
            links.push(link.map_err(DemoError::Setup)?);
        }
        let addresses: Vec<SocketAddr> = links.iter().map(Emulator::address).collect();
        let (dialled, accepted) =
            tokio::join!(sender.connect(peer, None, &addresses), receiver.accept());
        let accepted_at = Instant::now();
        let receiving = accepted.ok_or_else(|| node(&"nobody was accepted"))?;
        let sending = dialled.map_err(|error| node(&error))?;
        Ok(Self {
            links,
            sender: sending,
            receiver: receiving,
            accepted_at,
            _nodes: [receiver, sender],
        })
    }

    /// The connection at the sending end.
    #[must_use]
    pub const fn sender(&self) -> &Connection {
        &self.sender
    }

    /// Sends `file`, or noise, and cuts a link half-way. `observer` is told what the sender is told.
    ///
    /// # Errors
    /// When the file cannot be read, or the connection breaks.
    pub async fn run(
        &self,
        file: Option<PathBuf>,
        observer: &dyn Observer,
    ) -> Result<Outcome, DemoError> {
        let (input, total) = match file {
            None => (noise::input(NOISE_BYTES), NOISE_BYTES),
            Some(path) => {
                let total = transfer::walk::measure(&path).1;
                (Input::Path(path), total)
            }
        };
        let arrivals = Arc::new(Arrivals { bytes: AtomicU64::new(0), gaps: Mutex::default() });
        let states = Mutex::new(vec![Vec::new(); SHAPES.len()]);
        let transfer = async {
            tokio::try_join!(self.send(input, observer), self.receive(Arc::clone(&arrivals)))
        };
        let (_, received) = tokio::select! {
            ended = transfer => ended?,
            never = self.meddle(total, &arrivals) => never,
            never = self.watch(&states) => never,
        };
        let last = *arrivals.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        let states = states.into_inner().unwrap_or_else(PoisonError::into_inner);
        let bytes = arrivals.bytes.load(Ordering::Relaxed);
        Ok(Outcome {
            bytes,
            time: last.1.unwrap_or(self.accepted_at) - self.accepted_at,
            gap_max: last.0.longest(),
            verified: received.stored == 1 && bytes == total,
            links: self.links_outcome(states),
        })
    }

    async fn send(&self, input: Input, observer: &dyn Observer) -> Result<Summary, TransferError> {
        let (send_half, recv_half) =
            self.sender.open(transfer::SERVICE).await.map_err(TransferError::Lost)?;
        send(recv_half, send_half, vec![input], observer).await
    }

    /// Into nothing: what counts is the hash.
    async fn receive(&self, arrivals: Arc<Arrivals>) -> Result<Summary, TransferError> {
        let stream = self.receiver.accept().await;
        let (_, send_half, recv_half) =
            stream.ok_or_else(|| TransferError::Lost(io::ErrorKind::NotConnected.into()))?;
        let target = Arc::new(Target::Pipe(Mutex::new(Some(Box::new(io::sink())))));
        let how = Receiving {
            target,
            overwrite: false,
            since: self.accepted_at,
            observer: arrivals,
            sender: [0; 32],
        };
        receive(recv_half, send_half, how).await
    }

    /// Cuts a link when half has arrived, and brings it back.
    async fn meddle<T>(&self, total: u64, arrivals: &Arrivals) -> T {
        let link = &self.links[CUT];
        arrivals.reach(total / 2).await;
        link.set_cut(true);
        let _ = tokio::time::timeout(CUT_TIME, arrivals.reach(total / 4 * 3)).await;
        link.set_cut(false);
        core::future::pending().await
    }

    /// Keeps the times at which the sender's paths change their states.
    async fn watch<T>(&self, states: &Mutex<Vec<Vec<(Duration, &'static str)>>>) -> T {
        let mut paths = self.sender.paths();
        loop {
            let now = self.accepted_at.elapsed();
            for path in paths.borrow_and_update().iter() {
                let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                let of_link = self.link_of(path).and_then(|index| states.get_mut(index));
                let name = crate::cli::session::state_name(path.state);
                if let Some(seen) = of_link
                    && seen.last().is_none_or(|(_, last)| *last != name)
                {
                    seen.push((now, name));
                }
            }
            if paths.changed().await.is_err() {
                return core::future::pending().await;
            }
        }
    }

    fn link_of(&self, path: &PathReport) -> Option<usize> {
        self.links.iter().position(|link| link.address().to_string() == path.remote)
    }

    fn links_outcome(&self, states: Vec<Vec<(Duration, &'static str)>>) -> Vec<LinkOutcome> {
        let paths = self.sender.paths();
        let paths = paths.borrow();
        let link = |(index, states): (usize, Vec<_>)| {
            let own = || paths.iter().filter(|path| self.link_of(path) == Some(index));
            let sum = |count: fn(&PathReport) -> u64| own().map(count).sum();
            LinkOutcome {
                name: link_name(index),
                shape: SHAPES[index],
                bytes: sum(|path| path.data_sent),
                round_trip: own().map(|path| path.smoothed_rtt).next().unwrap_or_default(),
                lost: sum(|path| path.lost_packets),
                sent: sum(|path| path.sent_packets),
                states,
            }
        };
        states.into_iter().enumerate().map(link).collect()
    }
}

/// What the receiver sees arrive.
struct Arrivals {
    bytes: AtomicU64,
    gaps: Mutex<(Gaps, Option<Instant>)>,
}

impl Arrivals {
    async fn reach(&self, bytes: u64) {
        while self.bytes.load(Ordering::Relaxed) < bytes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Observer for Arrivals {
    fn event(&self, event: Event<'_>) {
        if let Event::Moved(bytes) = event {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            let now = Instant::now();
            let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
            gaps.0.arrived(now);
            gaps.1 = Some(now);
        }
    }
}

fn config(identity: Identity, side: u8) -> EndpointConfig {
    let link = |index| FixedLink {
        name: link_name(index),
        address: SocketAddr::new(host(index, side), 0),
    };
    EndpointConfig {
        services: &[transfer::SERVICE],
        // Only the emulators' addresses lead through the emulators.
        hidden: true,
        fixed_links: Some((0..SHAPES.len()).map(link).collect()),
        ..EndpointConfig::new(identity)
    }
}

fn link_name(index: usize) -> String {
    format!("link {}", index + 1)
}

/// 127.0.(1 + index).side. macOS has only one loopback address unless told otherwise; there the ports differ alone.
fn host(index: usize, side: u8) -> IpAddr {
    let one = Ipv4Addr::LOCALHOST;
    let own = Ipv4Addr::new(127, 0, 1 + index as u8, side);
    if cfg!(any(target_os = "linux", target_os = "android", windows)) {
        own.into()
    } else {
        one.into()
    }
}
