//! Serving files and folders, read-only, to any number of clients at once: the service `get`.
//!
//! ```text
//!  Server ── pause, resume, close ──> every client's stream
//!    │  shelf: what is offered               client: requests in, answers out
//!    │  throttle: how fast, all together       answers: finds and reads, ahead of the wire
//!    └─ status: who is here, and what he got
//! ```
//!
//! A client asks for pieces and hashes by root ([`protocol`]) and is given what was offered, as it was when it was offered,
//! or a reason. A server that closes tells its clients, which go elsewhere without waiting.
//!
//! Nothing here decides who may come in ([`crate::admission`]), which piece is asked of whom (that is the client's) or what
//! a person sees.

pub mod client;
pub mod protocol;
pub mod shelf;

mod answers;
pub(crate) mod throttle;

use crate::connection::Connection;
use crate::transfer::TransferError;
use client::{Phase, Serving};
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use ropewalk_core::id::PublicKey;
use shelf::Shelf;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use throttle::Throttle;
use tokio::sync::watch;

/// The code with which a server that goes away closes a connection.
pub const CLOSING: u32 = 0x103;

/// A server, behind one endpoint or several.
#[derive(Debug)]
pub struct Server {
    shelf: Arc<Shelf>,
    throttle: Arc<Throttle>,
    phase: watch::Sender<Phase>,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    here: BTreeMap<u64, Here>,
    next: u64,
    /// What clients got that are gone.
    gone_bytes: u64,
}

#[derive(Debug)]
struct Here {
    peer: PublicKey,
    since: Instant,
    bytes: Arc<AtomicU64>,
}

/// A client at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    /// The server's number of this visit.
    pub number: u64,
    /// Who it is.
    pub peer: PublicKey,
    /// How long it has been here.
    pub time: Duration,
    /// Bytes of content and hashes that it got in this visit.
    pub bytes: u64,
}

/// A server at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it answers.
    pub phase: Phase,
    /// Who is here, in the order of their coming.
    pub clients: Vec<ClientStatus>,
    /// Bytes that all clients got, those too that are gone.
    pub bytes: u64,
}

impl Server {
    /// A server of what is on the shelf, at so many bytes a second to all clients together if that is said.
    #[must_use]
    pub fn new(shelf: Arc<Shelf>, rate_max: Option<NonZeroU64>) -> Self {
        Self {
            shelf,
            throttle: Arc::new(Throttle::new(rate_max)),
            phase: watch::Sender::default(),
            clients: Mutex::default(),
        }
    }

    /// What it offers.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Serves whoever came in, until one of both goes.
    ///
    /// # Errors
    /// When the client breaks the protocol; a client that goes away is none.
    pub async fn serve(&self, connection: &Connection) -> Result<(), TransferError> {
        let mut phase = self.phase.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = connection.accept() => accepted,
                () = closing(&mut phase) => return Ok(()),
            };
            let Some((_, send, recv)) = accepted else { return Ok(()) };
            let visit = self.enter(connection.peer());
            match client::serve(recv, send, visit.serving()).await {
                Err(error @ TransferError::Protocol(_)) => return Err(error),
                // The next stream, or the connection's end, says more.
                Ok(()) | Err(TransferError::Lost(_)) => {}
            }
        }
    }

    /// Whether it answers.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// No more answers for now. Says nothing to a server that closes already.
    pub fn pause(&self) {
        self.change(Phase::Serving, Phase::Paused);
    }

    /// Answers again.
    pub fn resume(&self) {
        self.change(Phase::Paused, Phase::Serving);
    }

    /// No more answers: every client is told, and goes elsewhere.
    pub fn close(&self) {
        self.phase.send_replace(Phase::Closing);
    }

    /// Who is here, and what was given.
    #[must_use]
    pub fn status(&self) -> Status {
        let clients = self.clients();
        let status = |(number, here): (&u64, &Here)| ClientStatus {
            number: *number,
            peer: here.peer,
            time: here.since.elapsed(),
            bytes: here.bytes.load(Ordering::Relaxed),
        };
        let here: Vec<_> = clients.here.iter().map(status).collect();
        let bytes = here.iter().map(|client| client.bytes).sum::<u64>() + clients.gone_bytes;
        Status { phase: self.phase(), clients: here, bytes }
    }

    fn change(&self, from: Phase, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_next = *phase == from;
            if is_next {
                *phase = to;
            }
            is_next
        });
    }

    fn enter(&self, peer: PublicKey) -> Visit<'_> {
        let bytes = Arc::<AtomicU64>::default();
        let mut clients = self.clients();
        let number = clients.next;
        clients.next += 1;
        clients.here.insert(number, Here { peer, since: Instant::now(), bytes: bytes.clone() });
        Visit { server: self, number, bytes }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the server closes.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    // A server that is gone closes nothing any more.
    if phase.wait_for(|phase| *phase == Phase::Closing).await.is_err() {
        core::future::pending().await
    }
}

/// A client that is here until this is dropped.
struct Visit<'s> {
    server: &'s Server,
    number: u64,
    bytes: Arc<AtomicU64>,
}

impl Visit<'_> {
    fn serving(&self) -> Serving {
        Serving {
            shelf: self.server.shelf.clone(),
            phase: self.server.phase.subscribe(),
            throttle: self.server.throttle.clone(),
            bytes: self.bytes.clone(),
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut clients = self.server.clients();
        clients.here.remove(&self.number);
        clients.gone_bytes += self.bytes.load(Ordering::Relaxed);
    }
}
