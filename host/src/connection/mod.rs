//! One connection, over all paths between two nodes.
//!
//! [`Connection`] is a handle, like [`SendStream`] and [`RecvStream`]. Behind them stands `shared`:
//! the core's connection under a lock, and who waits for what. The driver moves it on.

mod report;
mod shared;

pub use crate::stream::{RecvStream, SendStream};
pub use report::{CloseReason, PathReport, PathState};
pub use ropewalk_core::connection::Stats;
pub(crate) use shared::{Core, Shared, State, StreamKey};
use shared::{Left, restarted};

use core::ops::Deref;
use core::time::Duration;
use ropewalk_core::error::{OpenError, SendError, code};
use ropewalk_core::id::PublicKey;
use ropewalk_core::stream::Service;
use ropewalk_core::wire::TicketId;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// A connection. Clones are the same connection. It is closed when [`Connection::close`] says so,
/// or when the last handle on it and on its streams is dropped.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Handle(shared)) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle
    }

    /// The peer's public key.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.handle.peer
    }

    /// The ticket that the peer came with.
    #[must_use]
    pub fn ticket(&self) -> Option<TicketId> {
        self.handle.ticket
    }

    /// Every path, again and again: the receiver always holds the newest.
    #[must_use]
    pub fn paths(&self) -> watch::Receiver<Vec<PathReport>> {
        self.handle.reports.subscribe()
    }

    /// Every path as it is at this moment.
    #[must_use]
    pub fn paths_now(&self) -> Vec<PathReport> {
        self.handle.reports_now(&self.handle.lock())
    }

    /// For how long nothing has come from the peer, on any path.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.handle.silence()
    }

    /// The links that carry nothing more on this connection, since their quota is spent.
    #[must_use]
    pub fn spent_links(&self) -> Vec<String> {
        self.handle.spent_links()
    }

    /// Counters of the connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.lock().core.stats()
    }

    /// Opens a stream for one of the peer's services; waits while there are too many.
    ///
    /// # Errors
    /// When the connection is over, or the service has no proper name.
    pub async fn open(&self, service: &str) -> io::Result<(SendStream, RecvStream)> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, "a service's name has 1 to 32 bytes");
        let service = Service::new(service).ok_or_else(invalid)?;
        let opener = self.handle.count_opener();
        loop {
            let changed = self.handle.changed.notified();
            let opened = self.handle.lock().open(&service);
            match opened {
                Ok(key) => {
                    drop(opener);
                    self.handle.wake();
                    return Ok(self.streams(key));
                }
                Err(OpenError::TooMany) => changed.await,
                Err(error) => {
                    let error = self.handle.lock().over().map_or_else(
                        || io::Error::new(io::ErrorKind::NotConnected, error),
                        |reason| io::Error::new(io::ErrorKind::NotConnected, reason.clone()),
                    );
                    return Err(error);
                }
            }
        }
    }

    /// The next stream that the peer opened, with its service; `None` when the connection is over.
    pub async fn accept(&self) -> Option<(String, SendStream, RecvStream)> {
        loop {
            let changed = self.handle.changed.notified();
            {
                let mut state = self.handle.lock();
                if let Some((key, service)) = state.take_opened() {
                    drop(state);
                    let (send, receive) = self.streams(key);
                    return Some((service, send, receive));
                }
                if state.ended() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Sends an unreliable message; returns the path that it took.
    ///
    /// # Errors
    /// When it is too long, or the connection is over.
    pub async fn send_datagram(&self, bytes: &[u8]) -> io::Result<PathReport> {
        let mut message = None;
        loop {
            let changed = self.handle.changed.notified();
            {
                let mut state = self.handle.lock();
                let too_long = || io::Error::new(io::ErrorKind::InvalidInput, SendError::TooLong);
                match message {
                    Some(message) => match state.take_left(message) {
                        Some(Left::By(path)) => {
                            return Ok(self.handle.report_of(&state, Some(path)));
                        }
                        Some(Left::Forgotten) => return Ok(self.handle.report_of(&state, None)),
                        Some(Left::Dropped) => return Err(too_long()),
                        Some(Left::Restarted) => return Err(restarted()),
                        None => {}
                    },
                    None => match state.send_datagram(bytes) {
                        Ok(given) => message = Some(given),
                        Err(SendError::Full) => {}
                        Err(SendError::TooLong) => return Err(too_long()),
                        Err(_) => return Err(state.error(None)),
                    },
                }
                if state.ended() {
                    return Err(state.error(None));
                }
            }
            self.handle.wake();
            changed.await;
        }
    }

    /// The next unreliable message, and the path that it came by.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn recv_datagram(&self) -> io::Result<(Vec<u8>, PathReport)> {
        let mut bytes = vec![0; DATAGRAM_MAX];
        loop {
            let changed = self.handle.changed.notified();
            {
                let mut state = self.handle.lock();
                if let Some((len, path)) = state.core.recv_datagram(&mut bytes) {
                    bytes.truncate(len);
                    return Ok((bytes, self.handle.report_of(&state, Some(path))));
                }
                if state.ended() {
                    return Err(state.error(None));
                }
            }
            changed.await;
        }
    }

    /// Ends the connection. What has not arrived yet is lost: finish the streams first.
    pub fn close(&self, code: u32, reason: &str) {
        self.handle.close(code, reason);
    }

    /// Waits until the connection is over and the peer has been told.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.handle.closed.subscribe();
        let reason = closed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or(CloseReason::Idle)
    }

    fn streams(&self, key: StreamKey) -> (SendStream, RecvStream) {
        (SendStream::new(self.handle.clone(), key), RecvStream::new(self.handle.clone(), key))
    }
}

/// What keeps a connection open: all of its handles and streams hold this one. Nobody could use a
/// connection without it, so with the last of them it is closed.
pub(crate) struct Handle(Arc<Shared>);

impl Deref for Handle {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.lock().ended() {
            self.0.close(code::DONE, "");
        }
    }
}

/// No message is longer than a packet.
const DATAGRAM_MAX: usize = 2_048;
