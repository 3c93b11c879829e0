//! Rank 1: bytes to values and back; no state, no time.
//!
//! ```text
//!  packet:  first byte | destination 4 | path 1..5 | number 1..4 || frames ... || tag 16
//!           \------------- associated data -------------------/  \-- sealed --/
//! ```
//!
//! The encoding is postcard's published wire format: unsigned integers are little-endian base-128
//! varints, an enum is its variant's number and then its fields. Only the packet header has a form
//! of its own. Hot frames are coded by hand; a property proves their bytes identical to postcard's.
//! Decoding is strict: whatever decodes is encoded to the same bytes again, and nothing panics,
//! whatever the bytes are (`docs/protocol.md` sections 1, 3 and 6).

mod ack;
mod advertised;
mod choice;
mod cursor;
mod frame;
mod header;
mod hello;
pub mod serial;
mod varint;

pub use ack::{ACK_RANGES_MAX, Ack, encode_ack};
pub use advertised::{ADVERTISED_MAX, AddressList, Advertised};
pub use cursor::{Full, Malformed, Reader, Writer};
pub use frame::{Frame, Frames, PathStatus, place_datagram, stream_head_len};
pub use header::{Header, Kind, TAG_BYTES, destination, kind};
pub use hello::{
    Credit, HELLO_ADDRESSES_MAX, Hello, Refusal, Reply, Suite, Suites, TicketId, Welcome,
};
pub use varint::{VARINT_MAX, varint_len};

/// The newest version of the protocol that this code speaks.
pub const VERSION: u8 = 1;
/// The oldest.
pub const VERSION_MIN: u8 = 1;
/// Stream offsets stay below this, so that sums cannot overflow.
pub const OFFSET_MAX: u64 = 1 << 62;
