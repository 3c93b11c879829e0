//! What a board tells of itself: records on a stream of this service, one after another.
//!
//! ```text
//! length u16, little-endian | postcard's Telemetry
//! ```
//!
//! The length counts the record behind it. The stream ends when the board does not want to tell
//! more; a reader that wants no more stops it.

use crate::id::LinkId;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The name of the service.
pub const SERVICE: &str = "telemetry";
/// No record is longer, its length included.
pub const RECORD_BYTES_MAX: usize = 2 + 40 + PATHS_MAX * 48;
/// Paths in one record: all that a connection has.
pub const PATHS_MAX: usize = 8;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Counts the records since the board started, from zero.
    pub count: u32,
    /// How often the board has started.
    pub boot: u32,
    /// Milliseconds since it did.
    pub uptime_ms: u64,
    /// The longest turn of its loop so far, in microseconds.
    pub turn_max_us: u32,
    /// The connection's paths as the board sees them.
    pub paths: Vec<PathTelemetry, PATHS_MAX>,
}

/// One path, as the board sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathTelemetry {
    /// The path's number.
    pub path: u32,
    /// The board's link.
    pub link: LinkId,
    /// Whether it carries data.
    pub active: bool,
    /// The smoothed round trip, in microseconds.
    pub rtt_us: u32,
    /// Bytes sent on it, headers of packets included.
    pub sent: u64,
    /// Bytes received on it.
    pub received: u64,
    /// Packets sent on it and lost.
    pub lost: u64,
}

impl Telemetry {
    /// Writes the record, its length in front; returns how long that is. [`RECORD_BYTES_MAX`] always
    /// suffices.
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        let (length, body) = into.split_first_chunk_mut::<2>()?;
        let len = postcard::to_slice(self, body).ok()?.len();
        *length = u16::try_from(len).ok()?.to_le_bytes();
        len.checked_add(length.len())
    }

    /// Reads the record behind its length.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_fits_and_is_read_back() {
        let path = PathTelemetry {
            path: u32::MAX,
            link: LinkId(255),
            active: true,
            rtt_us: u32::MAX,
            sent: u64::MAX,
            received: u64::MAX,
            lost: u64::MAX,
        };
        let longest = Telemetry {
            count: u32::MAX,
            boot: u32::MAX,
            uptime_ms: u64::MAX,
            turn_max_us: u32::MAX,
            paths: Vec::from_array([path; PATHS_MAX]),
        };
        let mut room = [0; RECORD_BYTES_MAX];
        let len = longest.encode(&mut room).unwrap();
        let (length, body) = room[..len].split_first_chunk::<2>().unwrap();
        assert_eq!(usize::from(u16::from_le_bytes(*length)), body.len());
        assert_eq!(Telemetry::decode(body), Some(longest.clone()));
        assert_eq!(Telemetry::decode(&body[..body.len() - 1]), None);
        assert_eq!(longest.encode(&mut room[..len - 1]), None);
    }
}
