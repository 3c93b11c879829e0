//! What the two handshake messages carry under seal (`docs/protocol.md` section 4.4).

use super::advertised::{Advertised, decode_list, encode_list};
use super::choice::Choice;
use super::cursor::{Full, Malformed, Reader, Writer};
use crate::id::{ConnectionId, Mode};
use heapless::Vec;

/// Names a ticket; the secret that belongs to it is never sent.
pub type TicketId = [u8; 8];

/// Addresses that a handshake message enumerates, at most; the others come by Advertise.
pub const HELLO_ADDRESSES_MAX: usize = 8;

/// A data cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Suite {
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl Suite {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    /// The suite with this number, if we know it.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }
}

/// The suites that a node can use, best first. Numbers that we do not know are kept, and skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Suites(Vec<u8, 4>);

impl Suites {
    /// A list of at most four.
    #[must_use]
    pub fn new(suites: &[Suite]) -> Self {
        let mut numbers = Vec::new();
        for suite in suites {
            let _ = numbers.push(suite.number());
        }
        Self(numbers)
    }

    /// Whether `suite` is among them.
    #[must_use]
    pub fn contains(&self, suite: Suite) -> bool {
        self.0.contains(&suite.number())
    }

    /// The first of `ours` that is among them: the responder's order decides.
    #[must_use]
    pub fn choose(&self, ours: &[Suite]) -> Option<Suite> {
        ours.iter().copied().find(|suite| self.contains(*suite))
    }
}

/// Credit that holds from the first packet on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Credit {
    /// Bytes over all streams.
    pub data: u64,
    /// Bytes on each stream.
    pub stream_data: u64,
    /// Streams that the peer may open.
    pub streams: u32,
}

impl Credit {
    /// Nothing may be sent.
    pub const NONE: Self = Self { data: 0, stream_data: 0, streams: 0 };
}

/// What the dialer says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello {
    /// The oldest version that it speaks.
    pub version_min: u8,
    /// The newest.
    pub version_max: u8,
    /// Its data ciphers.
    pub suites: Suites,
    /// How paths are to be used, by both sides.
    pub mode: Mode,
    /// The ticket that lets it in.
    pub ticket: Option<TicketId>,
    /// The responder's id of a connection that went silent and that this one replaces.
    pub replaces: Option<ConnectionId>,
    /// What it can take.
    pub credit: Credit,
    /// Where it can be reached.
    pub addresses: Vec<Advertised, HELLO_ADDRESSES_MAX>,
}

/// What the responder says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Welcome {
    /// The version that both speak from now on.
    pub version: u8,
    /// The data cipher.
    pub suite: Suite,
    /// The responder's connection id.
    pub connection: ConnectionId,
    /// What it can take.
    pub credit: Credit,
    /// Where it can be reached.
    pub addresses: Vec<Advertised, HELLO_ADDRESSES_MAX>,
}

/// Why a responder that lets the dialer in still cannot speak with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// It speaks these versions only.
    NoCommonVersion {
        /// The oldest.
        min: u8,
        /// The newest.
        max: u8,
    },
    /// No data cipher is common.
    NoCommonSuite,
}

/// The second message's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub enum Reply {
    /// Come in.
    Welcome(Welcome),
    /// Nothing in common.
    Refused(Refusal),
}

impl Hello {
    /// Writes as many of the addresses as fit; returns the length, or `None` when not even the
    /// rest fits.
    #[must_use]
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        encode_with_addresses(into, &self.addresses, |writer| {
            writer.put_u8(self.version_min)?;
            writer.put_u8(self.version_max)?;
            writer.put_sized(&self.suites.0)?;
            self.mode.encode(writer)?;
            match &self.ticket {
                None => writer.put_u8(0)?,
                Some(ticket) => {
                    writer.put_u8(1)?;
                    writer.put_bytes(ticket)?;
                }
            }
            match self.replaces {
                None => writer.put_u8(0)?,
                Some(id) => {
                    writer.put_u8(1)?;
                    writer.put_u32(id.0)?;
                }
            }
            self.credit.encode(writer)
        })
    }

    /// Reads all of `bytes`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let hello = Self::read(&mut reader).ok()?;
        reader.is_empty().then_some(hello)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            version_min: reader.u8()?,
            version_max: reader.u8()?,
            suites: Suites(Vec::from_slice(reader.sized()?).map_err(|_| Malformed)?),
            mode: Mode::decode(reader)?,
            ticket: if reader.bool()? { Some(reader.array()?) } else { None },
            replaces: if reader.bool()? { Some(ConnectionId(reader.u32()?)) } else { None },
            credit: Credit::read(reader)?,
            addresses: decode_list(reader)?,
        })
    }
}

impl Reply {
    /// As [`Hello::encode`].
    #[must_use]
    pub fn encode(&self, into: &mut [u8]) -> Option<usize> {
        match self {
            Self::Welcome(welcome) => encode_with_addresses(into, &welcome.addresses, |writer| {
                writer.put_u32(0)?;
                writer.put_u8(welcome.version)?;
                writer.put_u8(welcome.suite.number())?;
                writer.put_u32(welcome.connection.0)?;
                welcome.credit.encode(writer)
            }),
            Self::Refused(refusal) => {
                let mut writer = Writer::new(into);
                encode_refusal(*refusal, &mut writer).ok()?;
                Some(writer.len())
            }
        }
    }

    /// Reads all of `bytes`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let reply = Self::read(&mut reader).ok()?;
        reader.is_empty().then_some(reply)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u32()? {
            0 => Ok(Self::Welcome(Welcome {
                version: reader.u8()?,
                suite: Suite::from_number(reader.u8()?).ok_or(Malformed)?,
                connection: ConnectionId(reader.u32()?),
                credit: Credit::read(reader)?,
                addresses: decode_list(reader)?,
            })),
            1 => match reader.u32()? {
                0 => Ok(Self::Refused(Refusal::NoCommonVersion {
                    min: reader.u8()?,
                    max: reader.u8()?,
                })),
                1 => Ok(Self::Refused(Refusal::NoCommonSuite)),
                _ => Err(Malformed),
            },
            _ => Err(Malformed),
        }
    }
}

impl Credit {
    fn encode(self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put_u64(self.data)?;
        writer.put_u64(self.stream_data)?;
        writer.put_u32(self.streams)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { data: reader.u64()?, stream_data: reader.u64()?, streams: reader.u32()? })
    }
}

fn encode_refusal(refusal: Refusal, writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.put_u32(1)?;
    match refusal {
        Refusal::NoCommonVersion { min, max } => {
            writer.put_u32(0)?;
            writer.put_u8(min)?;
            writer.put_u8(max)
        }
        Refusal::NoCommonSuite => writer.put_u32(1),
    }
}

/// Writes a head and then the longest front part of the list that fits.
fn encode_with_addresses(
    into: &mut [u8],
    addresses: &[Advertised],
    head: impl Fn(&mut Writer<'_>) -> Result<(), Full>,
) -> Option<usize> {
    let mut writer = Writer::new(into);
    head(&mut writer).ok()?;
    (0..=addresses.len()).rev().find_map(|count| {
        let front = addresses.get(..count)?;
        writer.whole(|writer| encode_list(front, writer)).ok()?;
        Some(writer.len())
    })
}
