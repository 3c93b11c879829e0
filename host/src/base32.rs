//! Bytes as one word of text: lower-case base32 (RFC 4648 section 6, no padding).
//!
//! Keys and tickets are read aloud, pasted and double-clicked, so the alphabet has no signs that end
//! a word, and reading does not mind capitals. Exactly one text belongs to some bytes: bits that are left
//! over must be zero. Boards write it too, so the core holds the writing half.

use ropewalk_core::application::ticket as core_ticket;

/// Why a text is not base32. Positions count characters from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A sign that is not in the alphabet.
    #[error("{found:?} at character {} is not one of a-z and 2-7", at + 1)]
    Sign {
        /// What stands there.
        found: char,
        /// Where.
        at: usize,
    },
    /// No number of whole bytes has this length, or the bits left over are not zero.
    #[error("the text ends in the middle of a byte")]
    Ragged,
}

/// The text for `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    core_ticket::base32(bytes, &mut text).expect("a string takes all");
    text
}

/// The bytes that `text` stands for.
///
/// # Errors
/// When `text` is not what [`encode`] makes of some bytes, capitals aside.
pub fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for (at, found) in text.chars().enumerate() {
        let value = value(found).ok_or(DecodeError::Sign { found, at })?;
        held = held << 5 | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
            held &= (1 << bits) - 1;
        }
    }
    if bits >= 5 || held != 0 { Err(DecodeError::Ragged) } else { Ok(bytes) }
}

fn value(sign: char) -> Option<u32> {
    match sign.to_ascii_lowercase() {
        letter @ 'a'..='z' => Some(u32::from(letter) - u32::from('a')),
        digit @ '2'..='7' => Some(u32::from(digit) - u32::from('2') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_4648_section_10() {
        for (bytes, text) in [
            ("", ""),
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Ok(bytes.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_base32_is_named() {
        assert_eq!(decode("my1"), Err(DecodeError::Sign { found: '1', at: 2 }));
        assert_eq!(decode("a"), Err(DecodeError::Ragged));
        assert_eq!(decode("mz"), Err(DecodeError::Ragged), "bits left over");
    }

    proptest! {
        #[test]
        fn text_and_bytes_are_one_to_one(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(&text.to_uppercase()), Ok(bytes));
        }

        #[test]
        fn what_decodes_encodes_to_itself(text in "[a-z2-7]{0,40}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
