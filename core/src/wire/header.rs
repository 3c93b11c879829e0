//! The first bytes of every datagram: what kind it is, whom it is for, and, for packets, which
//! path and number it has (`docs/protocol.md` section 3).

use super::cursor::{Full, Malformed, Reader, Writer};
use super::varint::varint_len;
use crate::id::{ConnectionId, PathId};

/// Length of the seal behind each packet.
pub const TAG_BYTES: usize = 16;

/// Kinds of datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// A dialer's first message.
    Initiation,
    /// The answer to it.
    Response,
    /// A busy responder's wish to see that the dialer can hear it.
    CookieReply,
    /// A sealed packet of an established connection.
    Packet,
}

/// What kind of datagram this claims to be.
#[must_use]
pub const fn kind(datagram: &[u8]) -> Option<Kind> {
    match datagram.first() {
        Some(0x01) => Some(Kind::Initiation),
        Some(0x02) => Some(Kind::Response),
        Some(0x03) => Some(Kind::CookieReply),
        Some(first) if *first & FIXED_MASK == FIXED => Some(Kind::Packet),
        _ => None,
    }
}

/// Whose datagram this is: the connection id that its receiver chose. An initiation has none.
#[must_use]
pub fn destination(datagram: &[u8]) -> Option<ConnectionId> {
    match kind(datagram)? {
        Kind::Initiation => None,
        Kind::Response | Kind::CookieReply | Kind::Packet => {
            let (_, rest) = datagram.split_first()?;
            Some(ConnectionId(u32::from_le_bytes(*rest.first_chunk()?)))
        }
    }
}

/// A packet's header; all of it is associated data of the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// The receiver's connection id.
    pub destination: ConnectionId,
    /// The path that the packet was sent on.
    pub path: PathId,
    /// The low bytes of the packet's number.
    pub number: u32,
    /// How many bytes those are, 1 to 4.
    pub number_len: u8,
    /// The key that sealed it: flips with each key change.
    pub key_phase: bool,
}

impl Header {
    /// Bytes on the wire.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let number = if self.number_len > 4 { 4 } else { self.number_len as usize };
        5 + varint_len(self.path.0 as u64) + number
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Full`].
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let len = self.number_len.clamp(1, 4);
        let phase = if self.key_phase { PHASE } else { 0 };
        writer.whole(|writer| {
            writer.put_u8(FIXED | phase | (len - 1))?;
            writer.put_bytes(&self.destination.0.to_le_bytes())?;
            writer.put_u32(self.path.0)?;
            let number = self.number.to_le_bytes();
            writer.put_bytes(number.get(..usize::from(len)).unwrap_or(&number))
        })
    }

    /// Reads a packet's header.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let first = reader.u8()?;
        if first & FIXED_MASK != FIXED {
            return Err(Malformed);
        }
        let destination = ConnectionId(u32::from_le_bytes(reader.array()?));
        let path = PathId(reader.u32()?);
        let number_len = (first & 0b11) + 1;
        let mut number = [0; 4];
        for place in number.iter_mut().take(number_len.into()) {
            *place = reader.u8()?;
        }
        Ok(Self {
            destination,
            path,
            number: u32::from_le_bytes(number),
            number_len,
            key_phase: first & PHASE != 0,
        })
    }
}

/// `01k000nn`: k is the key phase, nn the number's length less one.
const FIXED: u8 = 0b0100_0000;
const FIXED_MASK: u8 = 0b1101_1100;
const PHASE: u8 = 0b0010_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive_the_wire(destination: u32, path: u32, number: u32, number_len in 1_u8..=4, key_phase: bool) {
            let mask = u32::MAX >> (32 - 8 * u32::from(number_len));
            let header = Header {
                destination: ConnectionId(destination), path: PathId(path), number: number & mask, number_len, key_phase,
            };
            let mut bytes = [0; 16];
            let mut writer = Writer::new(&mut bytes);
            header.encode(&mut writer).unwrap();
            prop_assert_eq!(writer.len(), header.encoded_len());
            let written = writer.as_slice();
            prop_assert_eq!(kind(written), Some(Kind::Packet));
            prop_assert_eq!(super::destination(written), Some(header.destination));
            let mut reader = Reader::new(written);
            prop_assert_eq!(Header::decode(&mut reader), Ok(header));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes: [u8; 14]) {
            let mut reader = Reader::new(&bytes);
            if let Ok(header) = Header::decode(&mut reader) {
                let read = bytes.len() - reader.remaining();
                let mut again = [0; 16];
                let mut writer = Writer::new(&mut again);
                header.encode(&mut writer).unwrap();
                prop_assert_eq!(writer.as_slice(), &bytes[..read]);
            }
        }
    }
}
