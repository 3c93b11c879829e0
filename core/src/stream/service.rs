//! The name of a service, with which each stream opens (`docs/protocol.md` section 7.2):
//! `[length 1..=32][UTF-8]` are the first bytes of the opener's direction.

use heapless::String;

/// 1 to 32 bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Service(String<SERVICE_BYTES_MAX, u8>);

/// Longest name, in bytes.
pub const SERVICE_BYTES_MAX: usize = 32;

impl Service {
    /// `None` for a name that is empty or too long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        let mut service = String::new();
        service.push_str(name).ok()?;
        Some(Self(service))
    }

    /// Reads the name that a stream begins with, from as much of it as has arrived.
    pub(super) fn parse(head: &[u8]) -> Parsed {
        let Some((len, name)) = head.split_first() else { return Parsed::More };
        let len = usize::from(*len);
        if len > SERVICE_BYTES_MAX {
            return Parsed::Wrong;
        }
        let Some(name) = name.get(..len) else { return Parsed::More };
        let service = core::str::from_utf8(name).ok().and_then(Self::new);
        service.map_or(Parsed::Wrong, |service| Parsed::Name(service, len.saturating_add(1)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the first bytes of a stream say.
pub(super) enum Parsed {
    /// This service, in so many bytes.
    Name(Service, usize),
    /// More of the name is under way.
    More,
    /// This is no name, whatever follows.
    Wrong,
}
