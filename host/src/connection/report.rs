//! What a program hears of a connection: why it ended, and how its paths are.

use core::fmt;
use core::time::Duration;
use ropewalk_core::connection as core_connection;
use ropewalk_core::id::{Address, PathId};
pub use ropewalk_core::path::PathState;

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// We closed it.
    Local {
        /// Our code.
        code: u32,
    },
    /// The peer closed it.
    Peer {
        /// The peer's code.
        code: u32,
        /// The peer's words.
        reason: String,
    },
    /// Nothing arrived for the idle timeout.
    Idle,
    /// Nobody answered in time.
    Unreachable {
        /// Somebody did, but not with the right key or secret.
        undecipherable: bool,
    },
    /// The peer's version or ciphers do not fit ours.
    Refused,
    /// The peer broke the protocol.
    Protocol,
}

/// A path as it is at one moment.
#[derive(Clone, Debug)]
pub struct PathReport {
    /// The path's number.
    pub id: PathId,
    /// The local link's name.
    pub link_name: String,
    /// Our address on it.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// What the path can be used for.
    pub state: PathState,
    /// The smoothed round trip.
    pub smoothed_rtt: Duration,
    /// What it delivers, bytes a second.
    pub rate: u64,
    /// Bytes of a full packet, header and tag included: the longest that is known to pass.
    pub datagram_bytes: u16,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Stream bytes sent.
    pub data_sent: u64,
    /// Stream bytes received.
    pub data_received: u64,
    /// Times that the state changed.
    pub state_changes: u32,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { code } => write!(f, "it was closed here (code {code})"),
            Self::Peer { code, reason } if reason.is_empty() => {
                write!(f, "the peer closed it (code {code})")
            }
            Self::Peer { code, reason } => write!(f, "the peer closed it (code {code}): {reason}"),
            Self::Idle => f.write_str("the peer went away: nothing came from it on any link"),
            Self::Unreachable { undecipherable: false } => f.write_str(
                "nobody answered; is the peer running, and does it know this node or its ticket?",
            ),
            Self::Unreachable { undecipherable: true } => f.write_str(
                "an answer came that cannot be opened; is the key right, and the ticket's secret?",
            ),
            Self::Refused => f.write_str(
                "the peer shares no protocol version or cipher with this one; bring both up to date",
            ),
            Self::Protocol => f.write_str("the peer broke the protocol; bring both up to date"),
        }
    }
}

impl core::error::Error for CloseReason {}

impl From<core_connection::CloseReason> for CloseReason {
    fn from(reason: core_connection::CloseReason) -> Self {
        use core_connection::CloseReason as Theirs;
        match reason {
            Theirs::Local { code } => Self::Local { code },
            Theirs::Peer { code, reason } => Self::Peer { code, reason: reason.as_str().into() },
            Theirs::Idle => Self::Idle,
            Theirs::Unreachable { undecipherable } => Self::Unreachable { undecipherable },
            Theirs::Refused => Self::Refused,
            _ => Self::Protocol,
        }
    }
}

impl PathReport {
    pub(super) fn new(report: &ropewalk_core::path::PathReport, link_name: String) -> Self {
        Self {
            id: report.id,
            link_name,
            local: match (report.local, report.remote) {
                (Some(ip), _) => ip.to_string(),
                (None, Address::Serial) => "serial".into(),
                (None, Address::Ip(_)) => String::new(),
            },
            remote: match report.remote {
                Address::Ip(address) => address.to_string(),
                Address::Serial => "serial".into(),
            },
            state: report.state,
            smoothed_rtt: Duration::from_micros(report.smoothed_rtt.as_micros()),
            rate: report.rate,
            datagram_bytes: report.datagram_bytes,
            sent_packets: report.counters.sent_packets,
            lost_packets: report.counters.lost_packets,
            data_sent: report.counters.data_sent,
            data_received: report.counters.data_received,
            state_changes: report.counters.state_changes,
        }
    }

    /// A path that is no more.
    pub(super) fn gone(id: PathId) -> Self {
        Self {
            id,
            link_name: "gone".into(),
            local: String::new(),
            remote: String::new(),
            state: PathState::Down,
            smoothed_rtt: Duration::ZERO,
            rate: 0,
            datagram_bytes: 0,
            sent_packets: 0,
            lost_packets: 0,
            data_sent: 0,
            data_received: 0,
            state_changes: 0,
        }
    }
}
