//! A ticket: one word of text that names a node and lets its bearer in.
//!
//! Its text is written by [`ropewalk_core::application::ticket`], which boards share; it is read here.
//! The length in it tells a ticket that was cut short from one with a wrong character, so that the
//! error says what to do.

pub use ropewalk_core::application::ticket::{ADDRESSES_MAX, Secret, addresses_max};
pub use ropewalk_core::wire::TicketId;

use crate::base32;
use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use ropewalk_core::application::ticket::{FIXED_BYTES, PREFIX, ROOT_BYTES, TicketText, checksum};
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
    /// Where the node is; its text names the first [`addresses_max`].
    pub addresses: Vec<SocketAddr>,
    /// What it is for, if that is one file or folder: the hash of the file, or of the folder's manifest.
    pub root: Option<blake3::Hash>,
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
        let Self { key, id, secret, addresses, root } = self;
        let root = root.as_ref().map(blake3::Hash::as_bytes);
        TicketText { key, id, secret, addresses, root }.fmt(f)
    }
}

/// The secret stays out of logs.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, id, addresses, root, .. } = self;
        let mut debug = f.debug_struct("Ticket");
        debug.field("key", key).field("id", id).field("addresses", addresses).field("root", root);
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
    let root = match rest {
        [] => None,
        root => Some(blake3::Hash::from(<[u8; ROOT_BYTES]>::try_from(root).ok()?)),
    };
    let fits = addresses.len() <= addresses_max(root.is_some());
    let secret = secret.try_into().ok()?;
    fits.then_some(Ticket { key: PublicKey(*key), id: *id, secret, addresses, root })
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
            root: None,
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
    fn no_more_than_eight_addresses_are_written_and_one_less_with_a_root() {
        let addresses = vec!["[2001:db8::7]:65535".parse().unwrap(); 20];
        for (root, most) in [(None, 8), (Some([7; 32].into()), 7)] {
            let many = Ticket { addresses: addresses.clone(), root, ..ticket() };
            let read: Ticket = many.to_string().parse().unwrap();
            assert_eq!((read.addresses.len(), read.root), (most, root));
        }
    }

    #[test]
    fn a_root_of_another_length_is_none() {
        for extra in [1, 31, 33, 64] {
            let text = Ticket { addresses: vec![], ..ticket() }.to_string();
            let mut bytes = base32::decode(&text[PREFIX.len()..]).unwrap();
            bytes.truncate(bytes.len() - CHECK_BYTES);
            bytes.extend(core::iter::repeat_n(7, extra));
            bytes[0] += extra as u8;
            bytes.extend(checksum(&bytes));
            let text = format!("{PREFIX}{}", base32::encode(&bytes));
            assert_eq!(text.parse::<Ticket>(), Err(TicketError::Content), "{extra}");
        }
    }

    prop_compose! {
        fn any_ticket()(
            key in any::<[u8; 32]>(),
            id in any::<[u8; 8]>(),
            secret in any::<[u8; 32]>(),
            addresses in prop::collection::vec(any::<SocketAddr>(), 0..12),
            root in any::<Option<[u8; 32]>>(),
        ) -> Ticket {
            // The text has no room for an IPv6 flow and scope.
            let addresses = addresses.iter().map(|at| SocketAddr::new(at.ip(), at.port())).collect();
            Ticket { key: PublicKey(key), id, secret, addresses, root: root.map(Into::into) }
        }
    }

    proptest! {
        #[test]
        fn every_ticket_is_read_back_with_the_addresses_that_fit(ticket in any_ticket()) {
            let read: Ticket = ticket.to_string().parse().unwrap();
            let mut expected = ticket;
            expected.addresses.truncate(addresses_max(expected.root.is_some()));
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(rope1)?[a-z2-7ü ]{0,200}") {
            let _ = text.parse::<Ticket>();
        }
    }
}
