//! A source as the person named it, and the way to it.
//!
//! ```text
//!            dial                  a stream of the service          it says, or is gone
//!   Waiting ──────▶ Dialling ────────────────────────────▶ Up ───────────────────────┐
//!     ▲  ▲             │ nobody answers                                              │
//!     │  └─────────────┘                                                             │
//!     └──────────────────────────────────────────────────────────────────────────────┘
//!   Gone: it serves nothing, speaks another version or does not know the ticket, until somebody names it once more.
//!   One that lied is gone for good.
//! ```
//!
//! A connection outlives the streams on it: a server that was restarted costs a stream, not a connection.

use super::mirror::{self, Mirror};
use super::peer::{self, Asker, Event, SharedOut};
use super::retry::{EAGER, EVERY, Retry};
use crate::connection::{CloseReason, Connection, PathReport};
use crate::endpoint::{ConnectError, Endpoint};
use crate::fetch::schedule::SourceId;
use crate::peer::PeerAddress;
use crate::serve::protocol::SERVICE;
use crate::transfer::TransferError;
use core::time::Duration;
use ropewalk_core::id::PathId;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A source as it was named.
#[derive(Clone, Debug)]
pub struct Source {
    /// What to call it.
    pub name: Arc<str>,
    /// How it is reached.
    pub way: Way,
}

/// How a source is reached.
#[derive(Clone, Debug)]
pub enum Way {
    /// A node to dial.
    Peer(PeerAddress),
    /// A mirror, which remembers what was learned of it.
    Mirror(Arc<Mirror>),
}

impl Way {
    /// Whether both lead to the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Peer(one), Self::Peer(other)) => one.key == other.key,
            (Self::Mirror(one), Self::Mirror(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// The root that it is for, if its ticket names one.
    pub(super) const fn root(&self) -> Option<blake3::Hash> {
        match self {
            Self::Peer(peer) => peer.root,
            Self::Mirror(_) => None,
        }
    }
}

/// Which stream of which source: what an earlier stream still has to say concerns nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The source.
    pub source: SourceId,
    /// Counts its streams.
    pub number: u32,
}

/// Whether a source can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is tried again when the time has come.
    Waiting,
    /// It is being dialled.
    Dialling,
    /// It answers.
    Up,
    /// It answers, but gives nothing for now.
    Paused,
    /// It is not tried any more.
    Gone,
}

/// What was reached.
pub(super) struct Reached {
    /// None to a mirror.
    pub(super) connection: Option<Connection>,
    pub(super) is_new: bool,
    pub(super) asker: Asker,
}

/// Why nothing was.
#[derive(Debug)]
pub(super) struct Unreached {
    pub(super) why: String,
    /// Trying again is of no use.
    pub(super) for_good: bool,
}

/// A source, and how it is reached.
pub(super) struct Contact {
    pub(super) source: Source,
    pub(super) standing: Standing,
    pub(super) retry: Retry,
    pub(super) connection: Option<Connection>,
    pub(super) visit: u32,
    /// What is told and not taken of this visit.
    pub(super) out: Option<SharedOut>,
    /// What was taken of it before that was known.
    pub(super) taken: usize,
    /// It lied: it is not tried again, whoever names it.
    pub(super) is_barred: bool,
    /// It was named once more while it was dialled.
    pub(super) is_renewed: bool,
    /// Why it is not up, if it was tried.
    pub(super) why: Option<String>,
    /// How often it was lost.
    pub(super) losses: u32,
    /// All streams of it together.
    pub(super) time_up: Duration,
    pub(super) up_since: Option<Duration>,
    /// What each link carried on connections that are no more.
    carried: BTreeMap<String, u64>,
    /// What each path of this connection had carried when it was last looked at; one that is gone stays.
    seen: BTreeMap<PathId, (String, u64)>,
}

impl Contact {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            standing: Standing::Waiting,
            retry: Retry::default(),
            connection: None,
            visit: 0,
            out: None,
            taken: 0,
            is_barred: false,
            is_renewed: false,
            why: None,
            losses: 0,
            time_up: Duration::ZERO,
            up_since: None,
            carried: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Whether an attempt is due.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.standing == Standing::Waiting && self.retry.next().is_none_or(|next| next <= now)
    }

    /// Whether it answers.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.standing, Standing::Up | Standing::Paused)
    }

    pub(super) fn go_up(&mut self, connection: Option<Connection>, is_new: bool, now: Duration) {
        if is_new {
            self.forget_connection();
        }
        self.standing = Standing::Up;
        (self.connection, self.why, self.up_since) = (connection, None, Some(now));
    }

    /// It cannot be asked; it is tried again unless that is of no use.
    pub(super) fn go_down(&mut self, down: Unreached, now: Duration, dice: u8) {
        let began = self.up_since.unwrap_or(now);
        self.end_visit(now);
        self.out = None;
        self.why = Some(down.why);
        if down.for_good {
            self.standing = Standing::Gone;
            self.forget_connection();
        } else {
            if self.standing != Standing::Dialling {
                self.losses += 1;
                // A server that is restarted may be back already; one that never gave anything, or goes as soon as it
                // comes, is not asked at once.
                let soonest = now.saturating_sub(EVERY);
                let at = if self.retry.is_fresh() { began.max(soonest) } else { now };
                self.retry.begin(at);
            }
            self.standing = Standing::Waiting;
            self.retry.fail(now, dice);
        }
    }

    /// It is tried at once, if it is not up.
    pub(super) fn try_now(&mut self, now: Duration) {
        match self.standing {
            Standing::Waiting => self.retry.hurry(now),
            Standing::Gone => (self.standing, self.retry) = (Standing::Waiting, Retry::default()),
            Standing::Dialling => self.is_renewed = true,
            Standing::Up | Standing::Paused => {}
        }
    }

    fn end_visit(&mut self, now: Duration) {
        if let Some(since) = self.up_since.take() {
            let lasted = now.saturating_sub(since);
            self.time_up += lasted;
            // It was there, whether anybody asked it for anything or not.
            if lasted >= EAGER {
                self.retry.succeed();
            }
        }
    }

    /// The paths to it, and what each link has carried from it, over all its connections.
    pub(super) fn look(&mut self) -> (Vec<PathReport>, BTreeMap<String, u64>) {
        let paths = self.connection.as_ref().map(Connection::paths_now).unwrap_or_default();
        for path in &paths {
            let now = (path.link_name.clone(), path.data_received);
            // After a restart of the server paths count from zero.
            if let Some((link, bytes)) = self.seen.insert(path.id, now)
                && (bytes > path.data_received || link != path.link_name)
            {
                *self.carried.entry(link).or_default() += bytes;
            }
        }
        (paths, self.links())
    }

    fn links(&self) -> BTreeMap<String, u64> {
        let mut links = self.carried.clone();
        for (link, bytes) in self.seen.values() {
            *links.entry(link.clone()).or_default() += bytes;
        }
        links
    }

    /// The connection is no more.
    fn forget_connection(&mut self) {
        self.look();
        self.carried = self.links();
        self.seen.clear();
        self.connection = None;
    }

    /// For how long it was up in all.
    pub(super) fn time_up(&self, now: Duration) -> Duration {
        self.time_up + self.up_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

/// A stream on the connection that there is, or on a new one. A mirror is asked when there is something to ask.
pub(super) async fn reach(
    endpoint: Arc<Endpoint>,
    way: Way,
    before: Option<Connection>,
    visit: Visit,
    told: mpsc::Sender<(Visit, Event)>,
) -> Result<Reached, Unreached> {
    let peer = match way {
        Way::Peer(peer) => peer,
        Way::Mirror(mirror) => {
            let asker = mirror::open(mirror, visit, told);
            return Ok(Reached { connection: None, is_new: true, asker });
        }
    };
    let (connection, is_new) = match before {
        Some(connection) if is_open(&connection).await => (connection, false),
        _ => (dial(&endpoint, &peer).await?, true),
    };
    match connection.open(SERVICE).await {
        Ok((send, recv)) => {
            let asker = peer::open(recv, send, visit, told);
            Ok(Reached { connection: Some(connection), is_new, asker })
        }
        Err(error) => Err(Unreached { why: error.to_string(), for_good: false }),
    }
}

async fn is_open(connection: &Connection) -> bool {
    tokio::time::timeout(Duration::ZERO, connection.closed()).await.is_err()
}

async fn dial(endpoint: &Endpoint, peer: &PeerAddress) -> Result<Connection, Unreached> {
    let addresses = peer
        .resolve()
        .await
        .map_err(|error| Unreached { why: error.to_string(), for_good: false })?;
    let dialled = endpoint.connect(peer.key, peer.ticket, &addresses).await;
    dialled.map_err(|ConnectError::Closed(reason)| match reason {
        CloseReason::Unreachable { undecipherable: true } => Unreached {
            why: "the ticket's secret is wrong; ask for a new ticket".into(),
            for_good: true,
        },
        CloseReason::Unreachable { .. } => {
            Unreached { why: "nobody answers".into(), for_good: false }
        }
        CloseReason::Refused => Unreached {
            why: "it shares no protocol version or cipher with this one".into(),
            for_good: true,
        },
        other => Unreached { why: other.to_string(), for_good: false },
    })
}

/// Why a stream ended, and whether it is of any use to open another one.
pub(super) fn lost(way: &Way, error: &TransferError) -> Unreached {
    match error {
        TransferError::Lost(cause) if matches!(way, Way::Mirror(_)) => {
            Unreached { why: cause.to_string(), for_good: mirror::is_broken(error) }
        }
        TransferError::Lost(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            Unreached {
                why: "it serves nothing; start `ropewalk serve` there".into(),
                for_good: true,
            }
        }
        TransferError::Lost(cause) if cause.kind() == io::ErrorKind::ConnectionReset => {
            Unreached { why: "it was restarted".into(), for_good: false }
        }
        TransferError::Lost(cause) => Unreached { why: cause.to_string(), for_good: false },
        TransferError::Protocol(_) => Unreached { why: error.to_string(), for_good: true },
    }
}
