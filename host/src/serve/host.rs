//! A server on a network: an endpoint, and whoever comes in by it is served.
//!
//! ```text
//!  endpoint ── accept ──> a task for each client ── Came ... Went | Broke ──> events
//!                           ^ Server: shelf, phase         phase changed ──>
//!            closed: clients are told, then the sockets go, then ── Ended ──>
//! ```
//!
//! Who may come in was said when the endpoint was bound. Dropped, it closes. To tell never delays it: what
//! finds no room among the events is counted, and told of when there is room again.

use super::client::Phase;
use super::seats::Full;
use super::status::{ClientStatus, HostStatus};
use super::{BUSY, CLOSING, Server};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::ticket::Ticket;
use crate::transfer::TransferError;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use ropewalk_core::id::PublicKey;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The code with which a server hangs up on a client that breaks the protocol; the words say how.
pub const BROKEN: u32 = 0x102;
/// How long clients have to hear on their streams that the server closes.
const TELL_TIME: Duration = Duration::from_secs(2);
/// How often it is looked what the paths carried.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a closing connection may take to tell its peer.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// A server that runs.
#[derive(Debug)]
pub struct Host {
    number: u32,
    port: u16,
    ticket: Ticket,
    server: Arc<Server>,
    endpoint: Weak<Endpoint>,
}

/// What happens at a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client came in.
    Came {
        /// The server's number of it.
        client: u64,
        /// Who it is.
        peer: PublicKey,
    },
    /// It went, or the server did; what it had got.
    Went(ClientStatus),
    /// It broke the protocol, and was hung up on.
    Broke {
        /// What it was and had got.
        client: ClientStatus,
        /// What it did.
        error: TransferError,
    },
    /// There are too many clients: this one was turned away.
    Busy {
        /// Who it is.
        peer: PublicKey,
        /// Of what there are too many.
        full: Full,
    },
    /// So many events found no room and were not told.
    Missed(u64),
    /// The server answers, pauses, or closes.
    Phase(Phase),
    /// It closed, or no link was left, and nothing more will happen here.
    Ended,
}

/// What happened, and at which server.
#[derive(Debug)]
pub struct Told {
    /// The server's number.
    pub server: u32,
    /// What happened.
    pub event: Event,
}

impl Host {
    /// Serves whoever comes in at `endpoint`, as server `number` of this process, and tells `events` about it. On a
    /// runtime. A receiver of events that does not keep up misses some, but never the last one; one that is gone
    /// is no matter.
    #[must_use]
    pub fn start(
        number: u32,
        endpoint: Endpoint,
        ticket: Ticket,
        server: Server,
        events: mpsc::Sender<Told>,
    ) -> Self {
        let (endpoint, server) = (Arc::new(endpoint), Arc::new(server));
        let (weak, port) = (Arc::downgrade(&endpoint), endpoint.port());
        let tell = Tell { server: number, events, missed: Arc::default() };
        // From here on no change is overlooked, however soon it comes.
        let phase = server.phases();
        tokio::spawn(run(endpoint, Arc::clone(&server), phase, tell));
        Self { number, port, ticket, server, endpoint: weak }
    }

    /// Which server of the process it is.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// What lets its bearer in.
    #[must_use]
    pub const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Its server, to be paused, resumed and closed.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its endpoint, until it has closed.
    #[must_use]
    pub fn endpoint(&self) -> Option<Arc<Endpoint>> {
        self.endpoint.upgrade()
    }

    /// How it is at this moment.
    #[must_use]
    pub fn status(&self) -> HostStatus {
        let endpoint = self.endpoint();
        let (closed, status) = (endpoint.is_none(), self.server.status());
        let addresses = endpoint.map(|endpoint| endpoint.addresses()).unwrap_or_default();
        HostStatus { server: self.number, port: self.port, addresses, closed, status }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.close();
    }
}

/// Tells of one server.
#[derive(Clone)]
struct Tell {
    server: u32,
    events: mpsc::Sender<Told>,
    /// Events that found no room and of which nobody knows yet.
    missed: Arc<AtomicU64>,
}

impl Tell {
    fn event(&self, event: Event) {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let has_room = missed == 0 || self.try_send(Event::Missed(missed));
        if !has_room || !self.try_send(event) {
            let before = if has_room { 0 } else { missed };
            self.missed.fetch_add(before + 1, Ordering::Relaxed);
        }
    }

    fn try_send(&self, event: Event) -> bool {
        let sent = self.events.try_send(Told { server: self.server, event });
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }

    /// The last event, for which whoever is told may take his time.
    async fn ended(self) {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let event = Event::Missed(missed);
            let _ = self.events.send(Told { server: self.server, event }).await;
        }
        let _ = self.events.send(Told { server: self.server, event: Event::Ended }).await;
    }
}

async fn run(
    endpoint: Arc<Endpoint>,
    server: Arc<Server>,
    mut phase: watch::Receiver<Phase>,
    tell: Tell,
) {
    let mut clients = JoinSet::new();
    let mut looking = tokio::time::interval(LOOK_EVERY);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One that closed before it was started is seen here.
    while server.phase() != Phase::Closing || phase.has_changed().unwrap_or_default() {
        tokio::select! {
            accepted = endpoint.accept() => {
                let Some(connection) = accepted else { break };
                let (server, tell) = (Arc::clone(&server), tell.clone());
                clients.spawn(async move { attend(&server, &connection, &tell).await });
            }
            Some(_) = clients.join_next() => {}
            _ = looking.tick() => server.look(),
            now = next(&mut phase) => {
                tell.event(Event::Phase(now));
                if now == Phase::Closing {
                    break;
                }
            }
        }
    }
    // Nobody comes in any more; who is here hears of it.
    server.close();
    let mut gone = async || while clients.join_next().await.is_some() {};
    if tokio::time::timeout(TELL_TIME, gone()).await.is_err() {
        endpoint.close(CLOSING, "");
        let _ = tokio::time::timeout(CLOSE_TIME, gone()).await;
    }
    drop((clients, endpoint));
    tell.ended().await;
}

async fn next(phase: &mut watch::Receiver<Phase>) -> Phase {
    match phase.changed().await {
        Ok(()) => *phase.borrow_and_update(),
        // The task that waits has the server itself.
        Err(_) => core::future::pending().await,
    }
}

async fn attend(server: &Server, connection: &Connection, tell: &Tell) {
    let peer = connection.peer();
    let visit = match server.enter(connection) {
        Ok(visit) => visit,
        Err(full) => {
            tell.event(Event::Busy { peer, full });
            return close(connection, BUSY, &full.to_string()).await;
        }
    };
    tell.event(Event::Came { client: visit.number(), peer });
    let ended = visit.serve(connection).await;
    let Some(client) = visit.status() else { return };
    let let_go = visit.was_let_go();
    // Whoever hears that it went does not find it here any more.
    drop(visit);
    match ended {
        Ok(()) => {
            if server.phase() == Phase::Closing {
                close(connection, CLOSING, "").await;
            } else if let_go {
                close(connection, BUSY, "it was idle, and another client needed its place").await;
            }
            tell.event(Event::Went(client));
        }
        Err(error) => {
            close(connection, BROKEN, &error.to_string()).await;
            tell.event(Event::Broke { client, error });
        }
    }
}

/// Closes, and gives the word time to leave.
async fn close(connection: &Connection, code: u32, reason: &str) {
    connection.close(code, reason);
    let _ = tokio::time::timeout(CLOSE_TIME, connection.closed()).await;
}

#[cfg(test)]
mod tests;
