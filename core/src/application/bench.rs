//! Measurements over one stream each. The receiver's clock counts, so at the end of the stream the
//! receiver says what it saw, in postcard's form, and both ends tell the same.
//!
//! ```text
//! bench            sender    noise ... end of stream
//!                  receiver                          BulkOutcome, end of stream
//! bench-messages   sender    size u32, count u64 | number u64, due u64, filler | ... end of stream
//!                  receiver                                              MessagesOutcome, end of stream
//! ```
//!
//! Numbers are little-endian. A message has `size` bytes in all; `due` counts nanoseconds of the
//! sender's clock. A receiver that shares the clock counts latencies from `due`; one that does not,
//! such as a board, counts them from the fastest message.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The name of the service that counts bytes.
pub const BULK: &str = "bench";
/// The name of the service that times messages.
pub const MESSAGES: &str = "bench-messages";

/// What precedes all messages: their size and their count.
pub const ANNOUNCEMENT_BYTES: usize = 12;
/// What precedes the filler of each message: its number, and when it was due.
pub const MESSAGE_HEAD_BYTES: usize = 16;
/// No outcome is longer.
pub const OUTCOME_BYTES_MAX: usize = 64;

/// What the receiver of `bench` saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkOutcome {
    /// Bytes that arrived in order.
    pub bytes: u64,
    /// From accepting the connection to the last byte.
    pub time: Duration,
    /// The longest time without new bytes in order, after the first.
    pub gap_max: Duration,
}

/// What the receiver of `bench-messages` saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagesOutcome {
    /// Messages that arrived.
    pub count: u64,
    /// Messages that were announced and did not.
    pub lost: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of a hundred took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}
