//! How an endpoint is set up, and why it cannot be.

use crate::connection::CloseReason;
use crate::identity::Identity;
use crate::link::interfaces::UnknownLink;
use crate::link::serial::{SerialConfig, SerialError};
use crate::link::wishes::{WishError, Wishes};
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::crypto::Psk;
use ropewalk_core::id::{Mode, PublicKey};
use ropewalk_core::wire::TicketId;
use std::io;
use std::sync::Arc;

/// Who may connect: the secret of the handshake, or `None` for silence.
pub type Admit = Arc<dyn Fn(PublicKey, Option<TicketId>) -> Option<Psk> + Send + Sync>;

/// How an endpoint is set up.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Who we are.
    pub identity: Identity,
    /// The services that we answer.
    pub services: &'static [&'static str],
    /// How paths are used by connections that we dial.
    pub mode: Mode,
    /// Only these links, if any are named.
    pub only: Vec<String>,
    /// Never these links.
    pub not: Vec<String>,
    /// What else is wanted of links.
    pub wishes: Wishes,
    /// The UDP port on every link; zero for a free one.
    pub port: u16,
    /// More addresses to tell peers: port forwardings and the like.
    pub advertise: Vec<SocketAddr>,
    /// Tell peers none of the links' addresses: they mean nothing to them.
    pub hidden: bool,
    /// Memory of a connection, in bytes. With less than 4 MiB the mode `repair` is `bulk`.
    pub window: Option<u64>,
    /// Serial lines that are links too.
    pub serial: Vec<SerialConfig>,
    /// These links instead of the machine's interfaces.
    pub fixed_links: Option<Vec<FixedLink>>,
    /// A connection on which nothing arrives for this long is closed; at most 71 minutes.
    pub idle_timeout: Duration,
    /// A path that has been quiet for this long is asked whether the peer is still there.
    pub keep_alive: Duration,
    /// Who may connect; `None` for an endpoint that only dials.
    pub admission: Option<Admit>,
}

impl EndpointConfig {
    /// The defaults, for this node.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            services: &[],
            mode: Mode::Bulk,
            only: Vec::new(),
            not: Vec::new(),
            wishes: Wishes { metered: Vec::new(), quotas: Vec::new(), spares: Vec::new() },
            port: 0,
            advertise: Vec::new(),
            hidden: false,
            window: None,
            serial: Vec::new(),
            fixed_links: None,
            idle_timeout: Duration::from_mins(1),
            keep_alive: Duration::from_secs(15),
            admission: None,
        }
    }
}

/// A link that is given, not found: a socket at this address.
#[derive(Clone, Debug)]
pub struct FixedLink {
    /// What to call it.
    pub name: String,
    /// Where its socket is.
    pub address: SocketAddr,
}

/// Why an endpoint cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody has the port.
    #[error("port {0} is taken on this machine; choose another with --port, or leave it out")]
    PortTaken(u16),
    /// A filter names something that is not there.
    #[error(transparent)]
    UnknownLink(#[from] UnknownLink),
    /// What is wanted of links cannot be had.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// A serial line.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// Nothing to send by.
    #[error("there is no usable link; `ropewalk links` shows what there is and why it is left out")]
    NoLink,
    /// The system refused.
    #[error("cannot open a socket: {0}")]
    Io(#[from] io::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It ended before it began.
    #[error("{0}")]
    Closed(CloseReason),
}
