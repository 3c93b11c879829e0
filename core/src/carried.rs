//! What a sent packet carried, in a form small enough to keep until the packet is acknowledged or
//! lost. It names things, never bytes: what is sent again is written from the state of that moment.

use crate::id::{PathId, StreamId};

/// One item that a packet carried and that must arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Carried {
    /// Bytes of a stream; with `fin`, its end too.
    Stream {
        /// Whose bytes.
        stream: StreamId,
        /// Where they begin.
        offset: u64,
        /// How many.
        len: u16,
        /// Whether the stream ends after them.
        fin: bool,
    },
    /// The reset of a stream's sending half.
    Reset(StreamId),
    /// The wish that the peer stop sending on a stream.
    Stop(StreamId),
    /// Credit of one stream.
    MaxStreamData(StreamId),
    /// Credit of the connection.
    MaxData,
    /// How many streams the peer may open.
    MaxStreams,
    /// The list of our addresses with this sequence number.
    Advertise(u32),
    /// The word on a path's status with this sequence number.
    PathStatus(u32),
    /// The mode with this sequence number.
    Mode(u32),
    /// Padding to this length, to find out whether it passes.
    LengthProbe(u16),
    /// Symbols that repair symbols may replace, with all items behind this one.
    Symbols {
        /// The number of the first.
        first: u32,
        /// Bit `i`: the peer has not said that it has computed the `i`th.
        missing: u8,
    },
    /// An acknowledgement on `path` up to `largest`: once it arrived, older ranges need not be repeated.
    Acknowledgement {
        /// Whose packets were acknowledged.
        path: PathId,
        /// The largest number acknowledged.
        largest: u64,
    },
}

/// How many items a packet may carry. More than a packet needs, less than memory minds.
pub const CARRIED_MAX: usize = 4;

/// The items of one packet.
pub type Cargo = heapless::Vec<Carried, CARRIED_MAX, u8>;

/// Notes bytes of a stream, together with those before them if they follow on.
pub fn note(cargo: &mut Cargo, item: Carried) {
    if let Some(Carried::Stream { stream: before, offset: start, len: held, fin: false }) =
        cargo.last().copied()
        && let Carried::Stream { stream, offset, len, fin } = item
        && stream == before
        && start.checked_add(held.into()) == Some(offset)
        && let Some(len) = held.checked_add(len)
    {
        cargo.pop();
        let _ = cargo.push(Carried::Stream { stream, offset: start, len, fin });
        return;
    }
    let _ = cargo.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(stream: u32, offset: u64, len: u16, fin: bool) -> Carried {
        Carried::Stream { stream: StreamId(stream), offset, len, fin }
    }

    #[test]
    fn what_follows_on_is_one_item() {
        let mut cargo = Cargo::new();
        note(&mut cargo, bytes(4, 0, 200, false));
        note(&mut cargo, bytes(4, 200, 100, true));
        assert_eq!(cargo[..], [bytes(4, 0, 300, true)]);
        for other in [bytes(4, 300, 1, false), bytes(8, 301, 1, false), bytes(8, 303, 1, false)] {
            let before = cargo.len();
            note(&mut cargo, other);
            assert_eq!(cargo.len(), before + 1, "{other:?}");
        }
    }

    #[test]
    fn a_length_that_is_too_much_for_one_item_takes_two() {
        let mut cargo = Cargo::new();
        note(&mut cargo, bytes(4, 0, u16::MAX, false));
        note(&mut cargo, bytes(4, u16::MAX.into(), 1, false));
        assert_eq!(cargo.len(), 2);
    }
}
