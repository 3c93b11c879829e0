//! A ticket: one word of text that names a node and lets its bearer in.
//!
//! Its text is written by [`ropewalk_core::application::ticket`], which boards share; it is read here.
//! The length in it tells a ticket that was cut short from one with a wrong character, so that the
//! error says what to do.

pub use ropewalk_core::application::ticket::{ADDRESSES_MAX, Secret};
pub use ropewalk_core::wire::TicketId;

use crate::base32;
use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use ropewalk_core::application::ticket::{FIXED_BYTES, PREFIX, TicketText, checksum};
use ropewalk_core::id::PublicKey;

const CHECK_BYTES: usize = 4;
/// Longer texts are not looked at: a ticket with eight IPv6 addresses has half of this.
const CHARACTERS_MAX: usize = 1024;

/// A node, the way to it and the right to enter.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The node's name.
    pub key: PublicKey,
    /// Which of its tickets this is.
    pub id: TicketId,
    /// What the bearer must know.
    pub secret: Secret,
    /// Where the node is.
    pub addresses: Vec<SocketAddr>,
}

/// Why a text is not a ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It does not begin like one.
    #[error("this is not a ticket: a ticket begins with {PREFIX:?}")]
    Prefix,
    /// Characters are missing at its end.
    #[error(
        "this ticket was cut short: it should have {wanted} characters and has {found}; copy all of it"
    )]
    Truncated {
        /// How many it should have.
        wanted: usize,
        /// How many it has.
        found: usize,
    },
    /// There is more behind its end.
    #[error(
        "something follows this ticket: it should have {wanted} characters and has {found}; copy the ticket alone"
    )]
    TooLong {
        /// How many it should have.
        wanted: usize,
        /// How many it has.
        found: usize,
    },
    /// A sign that no ticket has.
    #[error("this ticket has a wrong character: {0}; copy it again")]
    Text(#[from] base32::DecodeError),
    /// Some character is wrong.
    #[error("a character of this ticket is wrong (its checksum does not match); copy it again")]
    Checksum,
    /// Its checksum is right and its content is not: it comes from another version.
    #[error("this ticket comes from a version of ropewalk that this one does not know")]
    Content,
}

/// Whether `text` is meant to be a ticket, be it a good one or not.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, id, secret, addresses } = self;
        TicketText { key, id, secret, addresses }.fmt(f)
    }
}

/// The secret stays out of logs.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, id, addresses, .. } = self;
        let mut debug = f.debug_struct("Ticket");
        debug.field("key", key).field("id", id).field("addresses", addresses);
        debug.finish_non_exhaustive()
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if !looks_like_one(text) || text.len() > CHARACTERS_MAX {
            return Err(TicketError::Prefix);
        }
        let word = &text[PREFIX.len()..];
        let found = text.chars().count();
        let wanted = wanted_characters(word)?.unwrap_or(found + 1);
        match found {
            _ if found < wanted => return Err(TicketError::Truncated { wanted, found }),
            _ if found > wanted => return Err(TicketError::TooLong { wanted, found }),
            _ => {}
        }
        let bytes = base32::decode(word)?;
        let (head, sum) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(TicketError::Content)?;
        if *sum != checksum(head) {
            return Err(TicketError::Checksum);
        }
        parse_body(&head[1..]).ok_or(TicketError::Content)
    }
}

/// How many characters the whole ticket has by its own word; `None` if not even that word is there.
fn wanted_characters(word: &str) -> Result<Option<usize>, TicketError> {
    // Two characters hold the length and two bits of the key.
    let Some(start) = word.get(..2) else { return Ok(None) };
    let Some(length) = base32::decode(&format!("{start}aaa"))?.first().copied() else {
        return Ok(None);
    };
    let bytes = 1 + usize::from(length) + CHECK_BYTES;
    Ok(Some(PREFIX.len() + (bytes * 8).div_ceil(5)))
}

fn parse_body(body: &[u8]) -> Option<Ticket> {
    let (fixed, listed) = body.split_first_chunk::<FIXED_BYTES>()?;
    let (key, rest) = fixed.split_first_chunk::<32>()?;
    let (id, secret) = rest.split_first_chunk::<8>()?;
    let (addresses, rest) = postcard::take_from_bytes::<Vec<SocketAddr>>(listed).ok()?;
    let whole = rest.is_empty() && addresses.len() <= ADDRESSES_MAX;
    let secret = secret.try_into().ok()?;
    whole.then_some(Ticket { key: PublicKey(*key), id: *id, secret, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket() -> Ticket {
        Ticket {
            key: PublicKey(core::array::from_fn(|i| i as u8)),
            id: *b"12345678",
            secret: core::array::from_fn(|i| 200 - i as u8),
            addresses: vec![
                "192.168.1.20:4433".parse().unwrap(),
                "[2001:db8::7]:4433".parse().unwrap(),
            ],
        }
    }

    #[test]
    fn a_ticket_is_one_word_and_is_read_back() {
        let text = ticket().to_string();
        assert!(text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{text}");
        assert_eq!(text.parse(), Ok(ticket()));
        assert_eq!(format!("  {}\n", text.to_uppercase()).parse(), Ok(ticket()));
    }

    #[test]
    fn a_wrong_character_anywhere_is_an_error() {
        let text = ticket().to_string();
        for at in 0..text.len() {
            for wrong in "abcdefghijklmnopqrstuvwxyz234567190-_ ü".chars() {
                if text[at..].starts_with(wrong) {
                    continue;
                }
                let mutated = format!("{}{wrong}{}", &text[..at], &text[at + 1..]);
                let Err(error) = mutated.parse::<Ticket>() else {
                    panic!("{wrong} at {at} is read")
                };
                let fits = match at {
                    0..5 => error == TicketError::Prefix,
                    5..7 => true,
                    // A blank at the end is no character of it.
                    _ if wrong == ' ' && at == text.len() - 1 => {
                        matches!(error, TicketError::Truncated { .. })
                    }
                    _ => matches!(error, TicketError::Checksum | TicketError::Text(_)),
                };
                assert!(fits, "{wrong} at {at}: {error}");
            }
        }
    }

    #[test]
    fn a_ticket_cut_short_anywhere_is_called_so() {
        let text = ticket().to_string();
        for end in PREFIX.len()..text.len() {
            let error = text[..end].parse::<Ticket>().unwrap_err();
            assert!(matches!(error, TicketError::Truncated { .. }), "{end}: {error}");
        }
        for end in 0..PREFIX.len() {
            assert_eq!(text[..end].parse::<Ticket>(), Err(TicketError::Prefix));
        }
        let longer = format!("{text}a");
        assert!(matches!(longer.parse::<Ticket>(), Err(TicketError::TooLong { .. })));
    }

    #[test]
    fn two_neighbours_swapped_are_noticed() {
        let text = ticket().to_string().into_bytes();
        for at in PREFIX.len()..text.len() - 1 {
            let mut swapped = text.clone();
            swapped.swap(at, at + 1);
            if swapped != text {
                assert!(String::from_utf8(swapped).unwrap().parse::<Ticket>().is_err(), "{at}");
            }
        }
    }

    #[test]
    fn no_more_than_eight_addresses_are_written() {
        let many =
            Ticket { addresses: vec!["[2001:db8::7]:4433".parse().unwrap(); 20], ..ticket() };
        let read: Ticket = many.to_string().parse().unwrap();
        assert_eq!(read.addresses.len(), ADDRESSES_MAX);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(rope1)?[a-z2-7ü ]{0,200}") {
            let _ = text.parse::<Ticket>();
        }
    }
}
