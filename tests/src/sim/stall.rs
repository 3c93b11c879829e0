//! The oracle against stalls: while one link has been well in both directions for long enough and
//! bytes wait, some must have arrived in order. And a dialer whose peer was restarted has a fresh
//! connection by then.

use super::net::LinkSpec;
use super::node::Node;
use ropewalk_core::id::Mode;
use ropewalk_core::time::{Duration, Instant};

/// How each link fares, and how the two directions of traffic get on.
#[derive(Debug)]
pub(super) struct Watch {
    /// Since when each link has been well, and how long its answers take.
    links: Vec<(Option<Instant>, Duration)>,
    /// By the sender: since when bytes wait, and when some were last read.
    waiting: [Option<Instant>; 2],
    progress: [Instant; 2],
    /// Bytes of streams that arrived, in whatever order.
    arrived: [u64; 2],
    next: Instant,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            links: Vec::new(),
            waiting: [None; 2],
            progress: [now; 2],
            arrived: [0; 2],
            next: now,
        }
    }

    /// What is known of a link has changed: whether it is well, and what it is like.
    pub(super) fn on_link(&mut self, link: usize, well: bool, spec: &LinkSpec, now: Instant) {
        if self.links.len() <= link {
            self.links.resize(link + 1, (None, Duration::ZERO));
        }
        let round_trip = spec.delay * 2 + QUEUE;
        let since = self.links[link].0.filter(|_| well && round_trip == self.links[link].1);
        self.links[link] = (if well { since.or(Some(now)) } else { None }, round_trip);
    }

    /// Bytes of `node` were read on the other side.
    pub(super) fn on_progress(&mut self, node: u8, now: Instant) {
        self.progress[usize::from(node)] = now;
    }

    /// Whether it is time to look again.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + LOOK_EVERY;
        }
        due
    }

    /// `waits`: whether bytes of `node` wait for `other`.
    ///
    /// # Panics
    /// When they have waited for too long.
    pub(super) fn check(&mut self, node: u8, waits: bool, other: &Node, now: Instant) {
        let connection = other.connection.as_ref();
        if connection.is_some_and(|connection| connection.mode() == Mode::Redundant) {
            // A slow link may have much to repeat of what a fast one took along: it does get on.
            let arrived = connection.into_iter().flat_map(|connection| connection.paths());
            let arrived = arrived.map(|path| path.counters.data_received).sum();
            if core::mem::replace(&mut self.arrived[usize::from(node)], arrived) < arrived {
                self.on_progress(node, now);
            }
        }
        let since = &mut self.waiting[usize::from(node)];
        if !waits {
            *since = None;
            return;
        }
        let since = (*since.get_or_insert(now)).max(self.progress[usize::from(node)]);
        if let Some(link) = self.well_since(since, Duration::ZERO, now) {
            panic!(
                "a stall: bytes of node {node} wait since {since:?}, link {link} is well, {self:?}"
            );
        }
    }

    /// Of all links: a restart is noticed when the last path is Down.
    pub(super) fn longest_round_trip(&self) -> Duration {
        self.links.iter().map(|(_, round_trip)| *round_trip).max().unwrap_or(Duration::ZERO)
    }

    /// A link that has been well since `since` and for long enough since: 2 s, four round trips
    /// and `grace`.
    pub(super) fn well_since(
        &self,
        since: Instant,
        grace: Duration,
        now: Instant,
    ) -> Option<usize> {
        self.links.iter().position(|(well, round_trip)| {
            well.is_some_and(|well| now > well.max(since) + PATIENCE + *round_trip * 4 + grace)
        })
    }
}

/// A link that loses more than this is not well, in 1/1,000.
pub(super) const LOSS_WELL: u32 = 50;
/// What may stand in a queue of ours, beside the peer's and our own delays.
const QUEUE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
