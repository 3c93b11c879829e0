//! Counters that a caller may read at any time. They only grow.

use crate::arithmetic::Wide;
use crate::error::Discard;

/// What one connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Packets that opened.
    pub received_packets: u64,
    /// Their bytes, header and tag included.
    pub received_bytes: u64,
    /// Packets handed out to be sent.
    pub sent_packets: u64,
    /// Their bytes, header and tag included.
    pub sent_bytes: u64,
    /// Stream bytes sent a second time or more: losses, reinjection, tails.
    pub again_bytes: u64,
    /// Those of them that were queued to shorten the end of a transfer.
    pub tail_bytes: u64,
    /// Datagrams whose seal did not open.
    pub forged: u64,
    /// Datagrams received before.
    pub replayed: u64,
    /// Datagrams that break the protocol's rules.
    pub malformed: u64,
    /// Datagrams dropped for any other reason.
    pub discarded: u64,
    /// Times that a path had shrunk: it swallowed long packets and let short ones pass.
    pub black_holes: u64,
    /// Unreliable messages dropped: no room for them on arrival, or too long for what the path they
    /// were to go on carries by then.
    pub messages_dropped: u64,
    /// Repair symbols sent.
    pub repairs_sent: u64,
    /// Packets that were lost and computed from repair symbols.
    pub recovered: u64,
    /// Times that a path was suspected.
    pub suspicions: u64,
    /// Key changes, by either side.
    pub key_changes: u64,
}

impl Stats {
    pub(crate) fn count(&mut self, discard: Discard) {
        let counter = match discard {
            Discard::Forged => &mut self.forged,
            Discard::Replayed => &mut self.replayed,
            Discard::Malformed => &mut self.malformed,
            _ => &mut self.discarded,
        };
        *counter = counter.plus(1);
    }
}
