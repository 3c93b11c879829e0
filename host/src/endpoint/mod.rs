//! A node on this machine: its links, its sockets, and the connections over them.
//!
//! ```text
//!  interfaces --watched--> links --a socket each family--> receive tasks --Listener--> connections
//!                                         ^                                               |
//!                                         +--------------- drivers, one each -------------+
//! ```
//!
//! All interfaces are found without being named, and watched: one that appears is used by every
//! connection, one that goes away is dropped at once, and a change of address is taken in. `scan`
//! turns interfaces into `links`, `lines` serial lines, `receive` routes what arrives, `inner` holds
//! what all tasks share.

mod config;
mod inner;
mod lines;
mod links;
mod quotas;
mod receive;
mod scan;

pub use config::{Admit, BindError, ConnectError, EndpointConfig, FixedLink};
pub(crate) use inner::Inner;
pub use links::{LinkReport, QuotaReport};

use crate::connection::{CloseReason, Connection};
use crate::link::interfaces::interfaces;
use core::net::SocketAddr;
use ropewalk_core::crypto::Psk;
use ropewalk_core::id::PublicKey;
use ropewalk_core::wire::TicketId;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A node on this machine.
///
/// Dropped, it lets nobody in any more; connections that are still used keep the links until the
/// last one is over.
pub struct Endpoint {
    inner: Arc<Inner>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Connection>>,
}

impl Endpoint {
    /// Opens sockets on all links and begins to watch them.
    ///
    /// # Errors
    /// [`BindError`]; nothing is left behind.
    pub async fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        let fixed = config.fixed_links.clone();
        let (sender, incoming) = mpsc::channel(INCOMING_MAX);
        let inner = Arc::new(Inner::new(config, sender)?);
        // From here on, whatever fails takes the sockets and tasks with it.
        let endpoint = Self { inner: inner.clone(), incoming: tokio::sync::Mutex::new(incoming) };
        let found = if fixed.is_some() { Vec::new() } else { interfaces() };
        let mut names: Vec<String> = found.iter().map(|link| link.name.clone()).collect();
        names.extend(fixed.iter().flatten().map(|link| link.name.clone()));
        inner.name_lines(&mut names)?;
        inner.config.wishes.check(names.iter().map(String::as_str))?;
        match fixed {
            Some(fixed) => fixed.iter().try_for_each(|link| inner.add_fixed(link))?,
            None => {
                inner.filter().check(&names)?;
                inner.first_scan(&found)?;
                inner.watch();
            }
        }
        inner.open_lines()?;
        if endpoint.links().is_empty() {
            return Err(BindError::NoLink);
        }
        Ok(endpoint)
    }

    /// The UDP port on every link.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.links().port()
    }

    /// This node's public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.inner.public_key()
    }

    /// Where peers can reach us, cheapest links first, each address once.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.inner.links().addresses()
    }

    /// The links that are in use now.
    #[must_use]
    pub fn links(&self) -> Vec<LinkReport> {
        self.inner.link_reports()
    }

    /// Dials a peer, over all links at once. Given up half-way, nothing is left behind.
    ///
    /// # Errors
    /// When nobody answers as that peer would.
    pub async fn connect(
        &self,
        key: PublicKey,
        ticket: Option<(TicketId, Psk)>,
        addresses: &[SocketAddr],
    ) -> Result<Connection, ConnectError> {
        let connection = Connection::new(self.inner.dial(key, ticket, addresses));
        let mut connected = connection.shared().connected.subscribe();
        let mut closed = connection.shared().closed.subscribe();
        let reason = tokio::select! {
            _ = connected.wait_for(|connected| *connected) => None,
            reason = closed.wait_for(Option::is_some) => Some(reason.ok().and_then(|r| r.clone())),
        };
        match reason {
            None => Ok(connection),
            Some(reason) => Err(ConnectError::Closed(reason.unwrap_or(CloseReason::Idle))),
        }
    }

    /// The next peer that came in; `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Connection> {
        let mut incoming = self.incoming.lock().await;
        tokio::select! {
            biased;
            () = self.inner.closed() => None,
            connection = incoming.recv() => connection,
        }
    }

    /// Lets nobody in any more and closes every connection. [`Connection::closed`] tells when the
    /// peer of each has heard of it.
    pub fn close(&self, code: u32, reason: &str) {
        self.inner.retire();
        for shared in self.inner.all_connections() {
            shared.close(code, reason);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.inner.retire();
    }
}

/// Peers that came in and that nobody has accepted yet; more are turned away.
const INCOMING_MAX: usize = 64;
