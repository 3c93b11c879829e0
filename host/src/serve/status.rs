//! What a server is at one moment: values, to be drawn, printed or scraped.

use super::client::Phase;
use crate::connection::PathReport;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::id::PublicKey;

/// A server at this moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether it answers.
    pub phase: Phase,
    /// Who is here, in the order of their coming.
    pub clients: Vec<ClientStatus>,
    /// Bytes of content and hashes that all clients got, those too that are gone.
    pub bytes: u64,
    /// Bytes a second that all clients get now.
    pub rate: u64,
    /// What each link carried to all clients, those too that are gone.
    pub links: Vec<LinkStatus>,
}

/// A client at this moment.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// The server's number of this visit, from one.
    pub number: u64,
    /// Who it is.
    pub peer: PublicKey,
    /// How long it has been here.
    pub time: Duration,
    /// Bytes of content and hashes that it got in this visit.
    pub bytes: u64,
    /// Bytes a second that it gets now.
    pub rate: u64,
    /// Each path of its connection.
    pub paths: Vec<PathReport>,
    /// What each link carried to it, by paths too that are gone.
    pub links: Vec<LinkStatus>,
}

/// What went by a link: content, hashes and the words around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Its name.
    pub link: String,
    /// Bytes of streams, each as often as it was sent.
    pub bytes: u64,
}

/// A host at this moment.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// Which server of the process, from one.
    pub server: u32,
    /// The UDP port on every link; zero where there are serial lines alone.
    pub port: u16,
    /// Where it can be reached now; nowhere once it has closed.
    pub addresses: Vec<SocketAddr>,
    /// Whether its sockets are gone, too.
    pub closed: bool,
    /// How its server is.
    pub status: Status,
}

/// As it is written in reports: `serving`, `paused`, `closing`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Paused => "paused",
            Self::Closing => "closing",
        })
    }
}
