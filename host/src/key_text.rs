//! A node's public key as text: 32 bytes and a two-byte checksum in base32, 55 characters.
//!
//! `ropewalk id` prints it and `peers trust` takes it. The checksum tells a slip of the hand from an
//! unknown node: without it, a mistyped key is a node that never answers.

use crate::base32;
use ropewalk_core::id::PublicKey;

/// The length of every key's text.
pub const KEY_CHARACTERS: usize = 55;

const CHECK_BYTES: usize = 2;

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Too short or too long.
    #[error(
        "a key has {KEY_CHARACTERS} characters, this has {0}; copy the whole line that `ropewalk id` prints"
    )]
    Length(usize),
    /// Not base32.
    #[error("this is not a key: {0}")]
    Text(#[from] base32::DecodeError),
    /// Some character is wrong.
    #[error("a character of this key is wrong (its checksum does not match); copy it again")]
    Checksum,
}

/// The text of `key`.
#[must_use]
pub fn format(key: &PublicKey) -> String {
    let mut bytes = key.0.to_vec();
    bytes.extend(check(&key.0));
    base32::encode(&bytes)
}

/// The first characters of a key's text: enough for a person to tell nodes apart.
#[must_use]
pub fn short(key: &PublicKey) -> String {
    format(key).chars().take(8).collect()
}

/// The key that `text` stands for.
///
/// # Errors
/// When it is not what [`format()`] makes of a key.
pub fn parse(text: &str) -> Result<PublicKey, KeyTextError> {
    let characters = text.chars().count();
    if characters != KEY_CHARACTERS {
        return Err(KeyTextError::Length(characters));
    }
    let bytes = base32::decode(text)?;
    let (key, checksum) = bytes.split_first_chunk::<32>().ok_or(KeyTextError::Checksum)?;
    if checksum == check(key) { Ok(PublicKey(*key)) } else { Err(KeyTextError::Checksum) }
}

fn check(key: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let mut checksum = [0; CHECK_BYTES];
    blake3::Hasher::new_derive_key("ropewalk 1 key text")
        .update(key)
        .finalize_xof()
        .fill(&mut checksum);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_a_wrong_character_is_noticed() {
        let key = PublicKey(core::array::from_fn(|i| i as u8 * 7));
        let text = format(&key);
        assert_eq!(text.len(), KEY_CHARACTERS);
        assert_eq!(parse(&text), Ok(key));
        assert_eq!(parse(&text.to_uppercase()), Ok(key));
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(parse(core::str::from_utf8(&wrong).unwrap()).is_err(), "character {at}");
        }
    }

    #[test]
    fn half_a_key_is_called_too_short() {
        assert_eq!(parse("abc"), Err(KeyTextError::Length(3)));
    }
}
