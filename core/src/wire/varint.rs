//! Varints as postcard has them: seven bits a byte, lowest first, the top bit says that more
//! follow. Only the shortest form is read (`docs/protocol.md` section 1.2).

/// Longest varint, in bytes.
pub const VARINT_MAX: usize = 10;

/// How many bytes `value` takes.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        0x20_0000..=0x0fff_ffff => 4,
        0x1000_0000..=0x07_ffff_ffff => 5,
        0x08_0000_0000..=0x03ff_ffff_ffff => 6,
        0x0400_0000_0000..=0x01_ffff_ffff_ffff => 7,
        0x02_0000_0000_0000..=0xff_ffff_ffff_ffff => 8,
        0x0100_0000_0000_0000..=0x7fff_ffff_ffff_ffff => 9,
        _ => 10,
    }
}

/// Writes `value` to the front of `into`; returns its length, or `None` if it does not fit.
pub(super) fn encode(mut value: u64, into: &mut [u8]) -> Option<usize> {
    let len = varint_len(value);
    for place in into.get_mut(..len)? {
        *place = value as u8 | 0x80;
        value >>= 7;
    }
    // The last byte says that nothing follows.
    *into.get_mut(..len)?.last_mut()? &= 0x7f;
    Some(len)
}

/// Reads a varint; returns it and the bytes behind it.
pub(super) fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((u64::from(*first), rest));
    }
    let mut value = u64::from(*first & 0x7f);
    for place in 1..VARINT_MAX as u32 {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        value |= u64::from(*byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            // A zero at the end would be overlong; the tenth byte holds one bit only.
            let fits = *byte != 0 && (place < 9 || *byte == 1);
            return fits.then_some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overlong_and_oversized_forms_are_refused() {
        assert_eq!(decode(&[0x80, 0x00]), None);
        assert_eq!(decode(&[0xff, 0xff, 0x00]), None);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
        assert_eq!(decode(&[0xff; 11]), None);
        assert_eq!(decode(&[0x80]), None);
        assert_eq!(decode(&[]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_is_postcards(shift in 0_u32..64, value: u64) {
            let value = value >> shift;
            let mut bytes = [0; 16];
            let len = encode(value, &mut bytes).unwrap();
            prop_assert_eq!(len, varint_len(value));
            prop_assert_eq!(decode(&bytes[..len]), Some((value, &[][..])));
            let mut theirs = [0; 16];
            prop_assert_eq!(&bytes[..len], &*postcard::to_slice(&value, &mut theirs).unwrap());
        }
    }
}
