//! Properties whose one body serves three: `cargo test` (random bytes and the committed corpora),
//! the fuzzer (guided bytes), and whoever replays a failure.
//!
//! Each `check` takes bytes and reads its decisions from them; it panics when something does not
//! hold, and never for any other reason.

pub mod codec;
pub mod datagram;
pub mod handshake;
pub mod pair;
pub mod reassembly;

/// A property's body.
pub type Check = fn(&[u8]);

/// All of them, by the names of their fuzz targets and corpora.
pub const ALL: [(&str, Check); 5] = [
    ("codec", codec::check),
    ("datagram", datagram::check),
    ("handshake", handshake::check),
    ("pair", pair::check),
    ("reassembly", reassembly::check),
];

/// Decisions read off bytes; when they run out, every decision is zero.
pub struct Choices<'d> {
    bytes: &'d [u8],
}

impl<'d> Choices<'d> {
    /// Decisions from the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'d [u8]) -> Self {
        Self { bytes }
    }

    /// Whether none are left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.short()) % limit.max(1)
    }

    /// The next bytes as they are, at most `len`.
    pub fn take(&mut self, len: usize) -> &'d [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}
