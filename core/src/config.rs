//! Every limit that a caller may set, with its unit in its name and the reason for its default.

use crate::id::Mode;
use crate::time::Duration;

/// The limits and habits of one connection. Values, never Cargo features.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How the paths are used. What the dialer says binds both directions.
    pub mode: Mode,
    /// The services that this side answers; a stream for any other is refused by name.
    pub services: &'static [&'static str],
    /// A connection on which nothing arrives for this long is closed; at most 71 minutes.
    pub idle_timeout: Duration,
    /// When a path without traffic asks for a sign of life; keeps NAT mappings open.
    pub keep_alive: Duration,
    /// The same while a stream is open: somebody waits, and wants to hear soon that a path or the
    /// peer is gone.
    pub keep_alive_in_use: Duration,
    /// How long a dialer tries before it reports that nobody answered.
    pub handshake_timeout: Duration,
    /// Longest packet sent, on a path that has shown that it carries as much (`path/mtu.rs`); a jumbo
    /// frame's contents. It takes as long a buffer; in a shorter one packets are as long as the buffer.
    pub datagram_bytes_max: u16,
    /// How long an acknowledgement may wait for company.
    pub acknowledgement_delay: Duration,
    /// With all paths down for this long, the dialer asks whether the peer was restarted.
    pub restart_check: Duration,
    /// A key seals this many packets, over all paths, before it is changed; below 2^23
    /// (RFC 9001 section 6.6).
    pub packets_per_key: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Bulk,
            services: &[],
            idle_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            keep_alive_in_use: Duration::from_millis(400),
            handshake_timeout: Duration::from_millis(4_500),
            datagram_bytes_max: 9_000,
            acknowledgement_delay: Duration::from_millis(5),
            restart_check: Duration::from_secs(1),
            packets_per_key: 1 << 22,
        }
    }
}
