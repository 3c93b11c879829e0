//! Packet numbers: 64 bits in memory, the low bits on the wire (RFC 9000 section 17.1 and A.2, A.3).

use crate::arithmetic::{difference, sum};

/// A packet's number on its path, counted from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacketNumber(pub u64);

impl PacketNumber {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(sum(self.0, 1))
    }

    /// How many bytes (1 to 4) of this number a receiver needs whose acknowledgements so far end
    /// with `largest_acked`: twice the span not yet acknowledged must fit.
    #[must_use]
    pub const fn encoded_len(self, largest_acked: Option<Self>) -> usize {
        let span = match largest_acked {
            Some(acked) => difference(self.0, acked.0),
            None => sum(self.0, 1),
        };
        match span {
            0..=0x7f => 1,
            0x80..=0x7fff => 2,
            0x8000..=0x7f_ffff => 3,
            _ => 4,
        }
    }

    /// The full number whose low `len` bytes are `truncated`, nearest to the one expected next.
    #[must_use]
    pub const fn expand(truncated: u32, len: usize, expected: Self) -> Self {
        let bits = if len >= 4 { 32 } else { 8 * len as u32 };
        let window = 1_u64 << bits;
        let half = window / 2;
        let candidate = (expected.0 & !(window - 1)) | (truncated as u64 & (window - 1));
        if sum(candidate, half) <= expected.0 && candidate < u64::MAX - window {
            Self(sum(candidate, window))
        } else if candidate > sum(expected.0, half) && candidate >= window {
            Self(difference(candidate, window))
        } else {
            Self(candidate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_9000_appendix_a3() {
        assert_eq!(
            PacketNumber::expand(0x9b32, 2, PacketNumber(0xa82f_30eb)),
            PacketNumber(0xa82f_9b32)
        );
    }

    proptest! {
        #[test]
        fn what_was_truncated_expands_to_itself(acked in 0_u64..1 << 50, ahead in 1_u64..1 << 22, behind in 0_u64..1 << 20) {
            let number = PacketNumber(acked + ahead);
            let len = number.encoded_len(Some(PacketNumber(acked)));
            let mask = (1_u64 << (8 * len)) - 1;
            let expected = PacketNumber(acked + 1 + behind.min(ahead - 1));
            prop_assert_eq!(PacketNumber::expand((number.0 & mask) as u32, len, expected), number);
        }
    }
}
