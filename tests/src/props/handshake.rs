//! A handshake whose messages are damaged on the way: both sides end with the same keys, or
//! neither has any.

use super::Choices;
use super::pair::Pair;

/// Damages the first datagrams as `data` says; undamaged copies must still connect the pair.
///
/// # Panics
/// When the pair does not connect in the end, or connects to something else.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut pair = Pair::new(u64::from(choices.byte()));
    pair.dial();
    while !choices.is_empty() {
        let place = choices.below(pair.under_way.len().max(1));
        let Some((to, link, mut bytes)) = pair.under_way.get(place).cloned() else {
            pair.advance();
            continue;
        };
        match choices.byte() % 4 {
            0 => bytes.truncate(choices.below(bytes.len() + 1)),
            1 => {
                let at = choices.below(bytes.len());
                bytes[at] ^= choices.byte() | 1;
            }
            2 => bytes.extend(choices.take(16)),
            _ => {
                let at = choices.below(bytes.len());
                let patch = choices.take(8);
                for (place, byte) in bytes[at..].iter_mut().zip(patch) {
                    *place = *byte;
                }
            }
        }
        pair.deliver(to, link, bytes);
        if choices.byte().is_multiple_of(4) {
            pair.advance();
        }
    }
    pair.connect();
    let [dialer, responder] = &pair.nodes;
    let peer_of = |node: &crate::sim::node::Node| node.connection.as_ref().map(|c| c.peer());
    assert_eq!(peer_of(dialer), Some(responder.identity.public));
    assert_eq!(peer_of(responder), Some(dialer.identity.public));
}
