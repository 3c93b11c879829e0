//! Anything that a stranger sends changes nothing but a counter.

use super::Choices;
use super::pair::Pair;

/// Throws the datagrams in `data` at both nodes of a connected pair, which stays as it was.
///
/// # Panics
/// When a node says something to the stranger, or the connection changes.
pub fn check(data: &[u8]) {
    // spec: 8.5-1
    let mut choices = Choices::new(data);
    let mut pair = Pair::new(7);
    pair.dial();
    pair.connect();
    // Let the pair fall silent, so that every datagram from now on would be an answer.
    for _ in 0..50 {
        pair.advance();
    }
    while !choices.is_empty() {
        let to = usize::from(choices.byte()) % 2;
        let aimed = choices.byte().is_multiple_of(2);
        let len = choices.below(1_500);
        let mut bytes = choices.take(len).to_vec();
        let connection = pair.nodes[to].connection.as_ref().expect("connected");
        let (id, before) = (connection.id(), connection.stats());
        if aimed && bytes.len() >= 5 {
            // A stranger may know the connection id: it is sent in the clear.
            bytes[0] = 0x40 | bytes[0] & 0x23;
            bytes[1..5].copy_from_slice(&id.0.to_le_bytes());
        }
        let under_way = pair.under_way.len();
        pair.deliver(to, 0, bytes);
        assert_eq!(pair.under_way.len(), under_way, "a stranger was answered");
        let connection = pair.nodes[to].connection.as_ref().expect("still there");
        assert_eq!(connection.id(), id, "another connection took its place");
        assert!(connection.is_connected());
        let after = connection.stats();
        assert_eq!(after.received_packets, before.received_packets, "something opened");
        let dropped =
            |s: ropewalk_core::connection::Stats| s.forged + s.replayed + s.malformed + s.discarded;
        assert!(dropped(after) >= dropped(before));
    }
}
