//! Frames: what packets carry (`docs/protocol.md` section 6).
//!
//! A frame borrows its packet. A stream's bytes and an unreliable message come in two forms: with
//! their length, or, as the last frame, raw to the packet's end.

use super::OFFSET_MAX;
use super::ack::Ack;
use super::advertised::AddressList;
use super::choice::Choice;
use super::cursor::{Full, Malformed, Reader, Writer};
use super::varint::varint_len;
use crate::id::{CostClass, LinkId, Mode, PathId, StreamId};
use serde::{Deserialize, Serialize};

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'d> {
    /// Nothing; a run of it is read as one.
    Padding,
    /// Asks for an acknowledgement.
    Ping,
    /// Which packets of a path arrived.
    Ack(Ack<'d>),
    /// Bytes of a stream, raw to the packet's end.
    Stream {
        /// Which stream.
        stream: StreamId,
        /// Where the bytes begin.
        offset: u64,
        /// Whether the stream ends with them.
        fin: bool,
        /// The bytes.
        data: &'d [u8],
    },
    /// Bytes of a stream, with their length.
    StreamSized {
        /// Which stream.
        stream: StreamId,
        /// Where the bytes begin.
        offset: u64,
        /// Whether the stream ends with them.
        fin: bool,
        /// The bytes.
        data: &'d [u8],
    },
    /// The sender gives up a stream's sending half.
    Reset {
        /// Which stream.
        stream: StreamId,
        /// Why ([`crate::error::code`]).
        code: u32,
        /// How many bytes it had sent.
        final_offset: u64,
    },
    /// The sender wants no more bytes of a stream.
    Stop {
        /// Which stream.
        stream: StreamId,
        /// Why ([`crate::error::code`]).
        code: u32,
    },
    /// Credit over all streams together: the sum of their highest offsets may reach `bytes`.
    MaxData {
        /// In bytes.
        bytes: u64,
    },
    /// Credit of one stream: its offsets may reach `bytes`.
    MaxStreamData {
        /// Which stream.
        stream: StreamId,
        /// In bytes.
        bytes: u64,
    },
    /// How many streams the receiver of this may have opened in all.
    MaxStreams {
        /// Streams.
        count: u32,
    },
    /// An unreliable message, raw to the packet's end.
    Datagram {
        /// The message.
        data: &'d [u8],
    },
    /// An unreliable message, with its length.
    DatagramSized {
        /// The message.
        data: &'d [u8],
    },
    /// Validates a path: the token must come back on it.
    Challenge {
        /// Not to be guessed.
        token: u64,
        /// The sender's number for its link.
        link: LinkId,
        /// What that link costs.
        class: CostClass,
    },
    /// The answer to a challenge, on the path and to the address that it came from.
    Response {
        /// The challenge's.
        token: u64,
    },
    /// The sender's word on a path.
    PathStatus {
        /// Which path.
        path: PathId,
        /// Newer words have larger numbers.
        sequence: u32,
        /// The word.
        status: PathStatus,
    },
    /// All the addresses that the sender has now.
    Advertise {
        /// Newer lists have larger numbers.
        sequence: u32,
        /// The list.
        addresses: AddressList<'d>,
    },
    /// How paths are to be used from now on.
    Mode {
        /// Newer wishes have larger numbers.
        sequence: u32,
        /// The mode.
        mode: Mode,
    },
    /// The connection is over.
    Close {
        /// Why ([`crate::error::code`]).
        code: u32,
        /// Why, for people.
        reason: &'d str,
    },
    /// Frames that repair symbols protect, to the packet's end.
    Symbol {
        /// Symbols count up by one.
        number: u32,
        /// The frames, coded.
        contents: &'d [u8],
    },
    /// The same with their length, so that more may follow.
    SymbolSized {
        /// Symbols count up by one.
        number: u32,
        /// The frames, coded.
        contents: &'d [u8],
    },
    /// Sums of symbols, raw to the packet's end ([`crate::repair`]).
    Repair {
        /// The first symbol in it.
        first: u32,
        /// How many follow each other, that one included.
        count: u8,
        /// What the coefficients are drawn from; each further sum has the next.
        key: u16,
        /// How many sums.
        sums: u8,
        /// The sums, of one length.
        data: &'d [u8],
    },
    /// A symbol was computed, and what it contained was taken.
    Recovered {
        /// The symbol's number.
        number: u32,
    },
}

/// A node's word on one of its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PathStatus {
    /// Use it.
    Available,
    /// Use it only when nothing else is left.
    Backup,
    /// It is given up; its number is never used again.
    Gone,
}

impl<'d> Frame<'d> {
    /// Whether the receiver must acknowledge a packet with this frame (RFC 9002 section 2).
    #[must_use]
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Self::Padding | Self::Ack(_) | Self::Close { .. } | Self::Recovered { .. })
    }

    /// Whether it belongs to streams: their bytes, ends and credit.
    #[must_use]
    pub const fn is_about_streams(&self) -> bool {
        matches!(
            self,
            Self::Stream { .. }
                | Self::StreamSized { .. }
                | Self::Reset { .. }
                | Self::Stop { .. }
                | Self::MaxData { .. }
                | Self::MaxStreamData { .. }
                | Self::MaxStreams { .. }
        )
    }

    /// Writes the frame whole, or nothing. A raw frame must be the packet's last.
    ///
    /// # Errors
    /// [`Full`].
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.whole(|writer| match self {
            Self::Padding => writer.put_u32(PADDING),
            Self::Ping => writer.put_u32(PING),
            Self::Ack(ack) => {
                writer.put_u32(ACK)?;
                ack.encode(writer)
            }
            Self::Stream { stream, offset, fin, data } => {
                encode_stream_head(writer, STREAM, *stream, *offset, *fin)?;
                writer.put_bytes(data)
            }
            Self::StreamSized { stream, offset, fin, data } => {
                encode_stream_head(writer, STREAM_SIZED, *stream, *offset, *fin)?;
                writer.put_sized(data)
            }
            Self::Datagram { data } => {
                writer.put_u32(DATAGRAM)?;
                writer.put_bytes(data)
            }
            Self::DatagramSized { data } => {
                writer.put_u32(DATAGRAM_SIZED)?;
                writer.put_sized(data)
            }
            Self::Symbol { number, contents } => {
                put_all(writer, &[SYMBOL.into(), (*number).into()])?;
                writer.put_bytes(contents)
            }
            Self::SymbolSized { number, contents } => {
                put_all(writer, &[SYMBOL_SIZED.into(), (*number).into()])?;
                writer.put_sized(contents)
            }
            Self::Repair { first, count, key, sums, data } => {
                Self::encode_repair_head(writer, *first, *count, *key, *sums)?;
                writer.put_bytes(data)
            }
            rare => rare.encode_rare(writer),
        })
    }

    /// Writes a repair frame's head; the sums follow, to the packet's end.
    ///
    /// # Errors
    /// [`Full`].
    pub fn encode_repair_head(
        writer: &mut Writer<'_>,
        first: u32,
        count: u8,
        key: u16,
        sums: u8,
    ) -> Result<(), Full> {
        writer.whole(|writer| {
            put_all(writer, &[REPAIR.into(), first.into()])?;
            writer.put_u8(count)?;
            writer.put_u32(key.into())?;
            writer.put_u8(sums)
        })
    }

    /// Writes a stream frame's head and returns the place for its `len` bytes of data, to be copied
    /// there straight from where they lie.
    ///
    /// # Errors
    /// [`Full`].
    pub fn encode_stream_head<'w>(
        writer: &'w mut Writer<'_>,
        stream: StreamId,
        offset: u64,
        fin: bool,
        raw: bool,
        len: usize,
    ) -> Result<&'w mut [u8], Full> {
        writer.whole(|writer| {
            let kind = if raw { STREAM } else { STREAM_SIZED };
            encode_stream_head(writer, kind, stream, offset, fin)?;
            if !raw {
                writer.put_u64(len as u64)?;
            }
            if writer.remaining() < len { Err(Full) } else { Ok(()) }
        })?;
        writer.reserve(len)
    }

    fn encode_rare(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self {
            Self::Reset { stream, code, final_offset } => {
                put_all(writer, &[RESET.into(), stream.0.into(), (*code).into(), *final_offset])
            }
            Self::Stop { stream, code } => {
                put_all(writer, &[STOP.into(), stream.0.into(), (*code).into()])
            }
            Self::MaxData { bytes } => put_all(writer, &[MAX_DATA.into(), *bytes]),
            Self::MaxStreamData { stream, bytes } => {
                put_all(writer, &[MAX_STREAM_DATA.into(), stream.0.into(), *bytes])
            }
            Self::MaxStreams { count } => put_all(writer, &[MAX_STREAMS.into(), (*count).into()]),
            Self::Challenge { token, link, class } => {
                put_all(writer, &[CHALLENGE.into(), *token])?;
                writer.put_u8(link.0)?;
                class.encode(writer)
            }
            Self::Response { token } => put_all(writer, &[RESPONSE.into(), *token]),
            Self::PathStatus { path, sequence, status } => put_all(
                writer,
                &[PATH_STATUS.into(), path.0.into(), (*sequence).into(), status.number().into()],
            ),
            Self::Advertise { sequence, addresses } => {
                put_all(writer, &[ADVERTISE.into(), (*sequence).into()])?;
                addresses.encode(writer)
            }
            Self::Mode { sequence, mode } => {
                put_all(writer, &[MODE.into(), (*sequence).into(), mode.number().into()])
            }
            Self::Close { code, reason } => {
                put_all(writer, &[CLOSE.into(), (*code).into()])?;
                writer.put_sized(reason.as_bytes())
            }
            Self::Recovered { number } => put_all(writer, &[RECOVERED.into(), (*number).into()]),
            // The frequent ones are written by `encode`.
            _ => Ok(()),
        }
    }

    fn decode(reader: &mut Reader<'d>) -> Result<Self, Malformed> {
        match reader.u32()? {
            PADDING => {
                while reader.as_slice().first() == Some(&0) {
                    reader.u8()?;
                }
                Ok(Self::Padding)
            }
            PING => Ok(Self::Ping),
            ACK => Ack::decode(reader).map(Self::Ack),
            STREAM => {
                let (stream, offset, fin) = decode_stream_head(reader)?;
                let data = reader.take_rest();
                end_offset(offset, data.len())?;
                Ok(Self::Stream { stream, offset, fin, data })
            }
            STREAM_SIZED => {
                let (stream, offset, fin) = decode_stream_head(reader)?;
                let data = reader.sized()?;
                end_offset(offset, data.len())?;
                Ok(Self::StreamSized { stream, offset, fin, data })
            }
            DATAGRAM => Ok(Self::Datagram { data: reader.take_rest() }),
            DATAGRAM_SIZED => Ok(Self::DatagramSized { data: reader.sized()? }),
            SYMBOL => Ok(Self::Symbol { number: reader.u32()?, contents: reader.take_rest() }),
            SYMBOL_SIZED => {
                Ok(Self::SymbolSized { number: reader.u32()?, contents: reader.sized()? })
            }
            REPAIR => {
                let (first, count) = (reader.u32()?, reader.u8()?);
                let key = u16::try_from(reader.u32()?).map_err(|_| Malformed)?;
                let (sums, data) = (reader.u8()?, reader.take_rest());
                match data.len().checked_rem(sums.into()) {
                    Some(0) => Ok(Self::Repair { first, count, key, sums, data }),
                    _ => Err(Malformed),
                }
            }
            rare => Self::decode_rare(rare, reader),
        }
    }

    fn decode_rare(kind: u32, reader: &mut Reader<'d>) -> Result<Self, Malformed> {
        Ok(match kind {
            RESET => {
                let stream = StreamId(reader.u32()?);
                let code = reader.u32()?;
                let final_offset = reader.u64()?;
                end_offset(final_offset, 0)?;
                Self::Reset { stream, code, final_offset }
            }
            STOP => Self::Stop { stream: StreamId(reader.u32()?), code: reader.u32()? },
            MAX_DATA => Self::MaxData { bytes: reader.u64()? },
            MAX_STREAM_DATA => {
                Self::MaxStreamData { stream: StreamId(reader.u32()?), bytes: reader.u64()? }
            }
            MAX_STREAMS => Self::MaxStreams { count: reader.u32()? },
            CHALLENGE => Self::Challenge {
                token: reader.u64()?,
                link: LinkId(reader.u8()?),
                class: CostClass::decode(reader)?,
            },
            RESPONSE => Self::Response { token: reader.u64()? },
            PATH_STATUS => Self::PathStatus {
                path: PathId(reader.u32()?),
                sequence: reader.u32()?,
                status: PathStatus::decode(reader)?,
            },
            ADVERTISE => {
                Self::Advertise { sequence: reader.u32()?, addresses: AddressList::decode(reader)? }
            }
            MODE => Self::Mode { sequence: reader.u32()?, mode: Mode::decode(reader)? },
            CLOSE => {
                let code = reader.u32()?;
                let reason = core::str::from_utf8(reader.sized()?).map_err(|_| Malformed)?;
                Self::Close { code, reason }
            }
            RECOVERED => Self::Recovered { number: reader.u32()? },
            _ => return Err(Malformed),
        })
    }
}

/// The frames of one packet, in order. After a malformed one nothing more comes.
#[derive(Clone, Debug)]
pub struct Frames<'d> {
    reader: Reader<'d>,
}

impl<'d> Frames<'d> {
    /// The frames in an opened payload.
    #[must_use]
    pub const fn new(payload: &'d [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }
}

impl<'d> Iterator for Frames<'d> {
    type Item = Result<Frame<'d>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let frame = Frame::decode(&mut self.reader);
        if frame.is_err() {
            self.reader.take_rest();
        }
        Some(frame)
    }
}

/// Bytes before the data of a raw stream frame.
#[must_use]
pub const fn stream_head_len(stream: StreamId, offset: u64) -> usize {
    2 + varint_len(stream.0 as u64) + varint_len(offset)
}

fn encode_stream_head(
    writer: &mut Writer<'_>,
    kind: u32,
    stream: StreamId,
    offset: u64,
    fin: bool,
) -> Result<(), Full> {
    writer.put_u32(kind)?;
    writer.put_u32(stream.0)?;
    writer.put_u64(offset)?;
    writer.put_u8(fin.into())
}

fn decode_stream_head(reader: &mut Reader<'_>) -> Result<(StreamId, u64, bool), Malformed> {
    Ok((StreamId(reader.u32()?), reader.u64()?, reader.bool()?))
}

/// Offsets stay so small that sums of them cannot overflow.
fn end_offset(offset: u64, len: usize) -> Result<(), Malformed> {
    match offset.checked_add(len as u64) {
        Some(end) if end < OFFSET_MAX => Ok(()),
        _ => Err(Malformed),
    }
}

fn put_all(writer: &mut Writer<'_>, values: &[u64]) -> Result<(), Full> {
    for value in values {
        writer.put_u64(*value)?;
    }
    Ok(())
}

const PADDING: u32 = 0;
const PING: u32 = 1;
pub(super) const ACK: u32 = 2;
const STREAM: u32 = 3;
const STREAM_SIZED: u32 = 4;
const RESET: u32 = 5;
const STOP: u32 = 6;
const MAX_DATA: u32 = 7;
const MAX_STREAM_DATA: u32 = 8;
const MAX_STREAMS: u32 = 9;
/// Writes the head of a [`Frame::DatagramSized`] and lends the place of its bytes, for data that does
/// not lie in one piece.
///
/// # Errors
/// [`Full`]; then nothing was written.
pub fn place_datagram<'w>(writer: &'w mut Writer<'_>, len: usize) -> Result<&'w mut [u8], Full> {
    writer.whole(|writer| {
        writer.put_u32(DATAGRAM_SIZED)?;
        writer.put_u64(len as u64)?;
        if writer.remaining() < len { Err(Full) } else { Ok(()) }
    })?;
    writer.reserve(len)
}

const DATAGRAM: u32 = 10;
const DATAGRAM_SIZED: u32 = 11;
const CHALLENGE: u32 = 12;
const RESPONSE: u32 = 13;
const PATH_STATUS: u32 = 14;
const ADVERTISE: u32 = 15;
const MODE: u32 = 16;
const CLOSE: u32 = 17;
const SYMBOL: u32 = 18;
const REPAIR: u32 = 19;
const SYMBOL_SIZED: u32 = 20;
const RECOVERED: u32 = 21;
