//! Serving files and folders, read-only, to any number of clients at once: the service `get`.
//!
//! ```text
//!  Host ── accepts connections ──> Server ── pause, resume, close ──> every client's stream
//!   │ endpoint, ticket               │  shelf: what is offered           client: requests in, answers out
//!   └─ events: who came and went     │   └ changes: what is not what it was  answers: finds and reads ahead
//!                                    │  seats: who may be here at once
//!                                    │  throttle: how fast, together
//!                                    └─ status: who is here, what he got, and by which path
//! ```
//!
//! A client asks for pieces and hashes by root ([`protocol`]) and is given what was offered, as it was when it was offered,
//! or a reason. A server that closes tells its clients, which go elsewhere without waiting. Several servers
//! in one process share a shelf and a limit on the rate ([`Server::beside`]); each has a key, a port and a ticket of
//! its own ([`host`]).
//!
//! Nothing here decides who may come in ([`crate::admission`]), which piece is asked of whom (that is the client's) or what
//! a person sees.

pub mod client;
pub mod host;
pub mod meter;
pub mod protocol;
pub mod shelf;
pub mod status;

mod answers;
mod builds;
pub mod changes;
mod ledger;
pub mod seats;
pub(crate) mod throttle;
mod watched;

use crate::connection::Connection;
use crate::transfer::TransferError;
use client::{Phase, Serving};
use core::num::NonZeroU64;
use core::time::Duration;
use ledger::Ledger;
use meter::Meter;
use seats::{Full, Limits, Seat, Seats};
use shelf::Shelf;
use status::{ClientStatus, LinkStatus, Status};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use throttle::Throttle;
use tokio::sync::watch;

/// The code with which a server that goes away closes a connection.
pub const CLOSING: u32 = 0x103;
/// The code with which a server that has [`CLIENTS_MAX`] clients turns another one away, or lets go of one that is idle.
pub const BUSY: u32 = 0x104;
/// Most clients at once of all servers of a shelf: each has a thread that reads ahead for it.
pub const CLIENTS_MAX: usize = 400;
/// Most clients at once with one key at one server.
pub const CLIENTS_OF_KEY_MAX: usize = 8;
/// Who asked for nothing and got nothing for so long gives way when there is no seat left.
pub const IDLE_MIN: Duration = Duration::from_secs(60);
/// The same where a key has no seat left at the server: what was killed has no patience with its ghosts.
const IDLE_OF_KEY_MIN: Duration = Duration::from_secs(3);
const LIMITS: Limits = Limits {
    all: CLIENTS_MAX,
    each: CLIENTS_OF_KEY_MAX,
    idle: IDLE_MIN,
    idle_of_key: IDLE_OF_KEY_MIN,
};

/// A server, behind one endpoint or several.
#[derive(Debug)]
pub struct Server {
    /// Of those of the shelf, from zero.
    number: u32,
    shelf: Arc<Shelf>,
    throttle: Arc<Throttle>,
    seats: Arc<Seats>,
    phase: watch::Sender<Phase>,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    here: BTreeMap<u64, Here>,
    next: u64,
    /// What clients got that are gone.
    gone_bytes: u64,
    /// By which links.
    gone_links: BTreeMap<String, u64>,
}

struct Here {
    connection: Connection,
    since: Instant,
    bytes: Arc<Meter>,
    ledger: Ledger,
}

impl Server {
    /// A server of what is on the shelf, at so many bytes a second to all clients together if that is said.
    #[must_use]
    pub fn new(shelf: Arc<Shelf>, rate_max: Option<NonZeroU64>) -> Self {
        let seats = Arc::new(Seats::new(LIMITS));
        Self {
            number: seats.server(),
            shelf,
            throttle: Arc::new(Throttle::new(rate_max)),
            seats,
            phase: watch::Sender::default(),
            clients: Mutex::default(),
        }
    }

    /// Another server of the same shelf, whose clients count for the same limits.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            number: self.seats.server(),
            shelf: Arc::clone(&self.shelf),
            throttle: Arc::clone(&self.throttle),
            seats: Arc::clone(&self.seats),
            phase: watch::Sender::default(),
            clients: Mutex::default(),
        }
    }

    /// What it offers.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Lets a client in, if there is a seat for it.
    ///
    /// # Errors
    /// When there is none.
    pub fn enter(&self, connection: &Connection) -> Result<Visit<'_>, Full> {
        let seat = self.seats.enter((self.number, connection.peer()), Instant::now())?;
        let bytes = Arc::<Meter>::default();
        let mut clients = self.clients();
        let number = clients.next + 1;
        clients.next = number;
        let (connection, since) = (connection.clone(), Instant::now());
        let ledger = Ledger::default();
        clients.here.insert(number, Here { connection, since, bytes: bytes.clone(), ledger });
        Ok(Visit { server: self, number, bytes, seat })
    }

    /// Whether it answers.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether it answers, from now on.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
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

    /// Looks which paths there are and what they carried: one that vanishes keeps what it was last seen with.
    pub fn look(&self) {
        for here in self.clients().here.values_mut() {
            let paths = here.connection.paths_now();
            here.ledger.enter(&paths);
        }
    }

    /// Who is here, and what was given.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = Instant::now();
        let mut clients = self.clients();
        let mut links = clients.gone_links.clone();
        let mut bytes = clients.gone_bytes;
        let here: Vec<_> = clients.here.iter_mut().map(|(n, here)| here.status(*n, now)).collect();
        for client in &here {
            bytes += client.bytes;
            add_links(&mut links, &client.links);
        }
        let rate = here.iter().map(|client| client.rate).sum();
        let links = links.into_iter().map(|(link, bytes)| LinkStatus { link, bytes }).collect();
        Status { phase: self.phase(), clients: here, bytes, rate, links }
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

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Here {
    fn status(&mut self, number: u64, now: Instant) -> ClientStatus {
        let paths = self.connection.paths_now();
        self.ledger.enter(&paths);
        ClientStatus {
            number,
            peer: self.connection.peer(),
            time: now.saturating_duration_since(self.since),
            bytes: self.bytes.total(),
            rate: self.bytes.rate(now),
            links: self.ledger.links(),
            paths,
        }
    }
}

impl core::fmt::Debug for Here {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Here").field("since", &self.since).finish_non_exhaustive()
    }
}

/// Waits until the server closes.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    // A server that is gone closes nothing any more.
    if phase.wait_for(|phase| *phase == Phase::Closing).await.is_err() {
        core::future::pending().await
    }
}

fn add_links(to: &mut BTreeMap<String, u64>, links: &[LinkStatus]) {
    for LinkStatus { link, bytes } in links {
        *to.entry(link.clone()).or_default() += bytes;
    }
}

/// A client that is here until this is dropped.
#[derive(Debug)]
pub struct Visit<'s> {
    server: &'s Server,
    number: u64,
    bytes: Arc<Meter>,
    seat: Seat,
}

impl Visit<'_> {
    /// The server's number of this client, from one.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How it is at this moment.
    #[must_use]
    pub fn status(&self) -> Option<ClientStatus> {
        let mut clients = self.server.clients();
        clients.here.get_mut(&self.number).map(|here| here.status(self.number, Instant::now()))
    }

    /// Whether it had to give way to another client.
    #[must_use]
    pub fn was_let_go(&self) -> bool {
        self.seat.is_gone()
    }

    /// Serves it until one of both goes, or it has to give way to another client.
    ///
    /// # Errors
    /// When the client breaks the protocol; one that goes away is none.
    pub async fn serve(&self, connection: &Connection) -> Result<(), TransferError> {
        let mut phase = self.server.phase.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = connection.accept() => accepted,
                () = closing(&mut phase) => return Ok(()),
                () = self.seat.gone() => return Ok(()),
            };
            let Some((_, send, recv)) = accepted else { return Ok(()) };
            let served = tokio::select! {
                served = client::serve(recv, send, self.serving()) => served,
                () = self.seat.gone() => return Ok(()),
            };
            match served {
                Err(error @ TransferError::Protocol(_)) => return Err(error),
                // The next stream, or the connection's end, says more.
                Ok(()) | Err(TransferError::Lost(_)) => {}
            }
        }
    }

    fn serving(&self) -> Serving {
        Serving {
            shelf: self.server.shelf.clone(),
            phase: self.server.phase.subscribe(),
            throttle: self.server.throttle.clone(),
            bytes: self.bytes.clone(),
            active: self.seat.active().clone(),
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut clients = self.server.clients();
        if let Some(mut here) = clients.here.remove(&self.number) {
            let status = here.status(self.number, Instant::now());
            clients.gone_bytes += status.bytes;
            add_links(&mut clients.gone_links, &status.links);
        }
    }
}
