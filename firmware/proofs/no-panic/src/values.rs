//! Rank 0: arithmetic on times and numbers is total.

use crate::opaque::{any, now, see};
use ropewalk_core::id::Side;
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::time::Duration;

#[inline(never)]
pub(crate) fn all() {
    let span = Duration::from_micros(any(0));
    see((now() + span, now() - span, now().since(now()), span + span, span - span));
    see((span * any(0), span / any(0), Duration::of_bytes(any(0), any(0)), span.bytes_at(any(0))));
    see((Duration::from_secs(any(0)), Duration::from_millis(any(0)), span.as_millis()));
    let number = PacketNumber(any(0));
    see((number.next(), number.encoded_len(any(Some(number))), number.encoded_len(any(None))));
    see(PacketNumber::expand(any(0), any(0), any(number)));
    let side = any(Side::Dialer);
    see((side.owns(any(0)), side.peer(), side.parity()));
}
