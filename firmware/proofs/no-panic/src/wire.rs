//! Rank 1: every decoder on any bytes, every encoder into any room.

use crate::opaque::{Bytes, any, see};
use core::ops::RangeInclusive;
use ropewalk_core::id::{ConnectionId, PathId, StreamId};
use ropewalk_core::time::Duration;
use ropewalk_core::wire::{
    Frame, Frames, Header, Hello, Reader, Reply, Suite, Suites, Writer, destination, encode_ack,
    kind, serial, stream_head_len, varint_len,
};

#[inline(never)]
pub(crate) fn all() {
    cursors();
    headers();
    frames();
    handshake();
    serial_lines();
}

fn cursors() {
    let mut bytes = Bytes::<64>::new();
    let mut reader = any(Reader::new(bytes.any()));
    see((reader.u8(), reader.bool(), reader.u64(), reader.u32(), reader.bytes(any(0))));
    see((any(&mut reader).array::<8>(), reader.sized(), reader.remaining(), reader.is_empty()));
    see((reader.as_slice(), reader.take_rest()));
    let mut writer = any(Writer::new(bytes.any()));
    see((writer.put_u8(any(0)), writer.put_u64(any(0)), writer.put_u32(any(0))));
    see(any(&mut writer).put_bytes(any(&[])));
    see(any(&mut writer).put_sized(any(&[])));
    see(any(&mut writer).reserve(any(0)).is_ok());
    any(&mut writer).rollback(any(0));
    see((writer.len(), writer.is_empty(), writer.remaining(), writer.as_slice()));
    see(varint_len(any(0)));
}

fn headers() {
    let mut bytes = Bytes::<64>::new();
    see((kind(bytes.any()), destination(bytes.any())));
    see(Header::decode(&mut Reader::new(bytes.any())).is_ok());
    let header = any(Header {
        destination: ConnectionId(0),
        path: PathId(0),
        number: 0,
        number_len: 0,
        key_phase: false,
    });
    see(header.encoded_len());
    see(header.encode(&mut Writer::new(bytes.any())).is_ok());
}

fn frames() {
    let mut bytes = Bytes::<64>::new();
    let mut room = Bytes::<64>::new();
    for frame in Frames::new(bytes.any()) {
        let Ok(frame) = any(frame) else { break };
        see(frame.is_ack_eliciting());
        see(frame.encode(&mut any(Writer::new(room.any()))).is_ok());
        if let Frame::Ack(ack) = any(frame) {
            see(ack.delay());
            ack.iter().for_each(|range| see(range));
        }
    }
    let ranges = any([RangeInclusive::new(0, 0), RangeInclusive::new(0, 0)]);
    let delay = Duration::from_micros(any(0));
    let mut writer = any(Writer::new(room.any()));
    see(encode_ack(&mut writer, PathId(any(0)), delay, any(&ranges[..]).iter().cloned()).is_ok());
    let stream = StreamId(any(0));
    see(stream_head_len(stream, any(0)));
    let head = Frame::encode_stream_head(&mut writer, stream, any(0), any(true), any(true), any(0));
    see(head.is_ok());
}

fn handshake() {
    let mut bytes = Bytes::<64>::new();
    let mut room = Bytes::<64>::new();
    if let Some(hello) = any(Hello::decode(bytes.any())) {
        see(hello.encode(room.any()));
        see((hello.suites.contains(any(Suite::Aes256Gcm)), hello.suites.choose(any(&[]))));
    }
    if let Some(reply) = any(Reply::decode(bytes.any())) {
        see(reply.encode(room.any()));
    }
    see(Suites::new(any(&[Suite::Aes256Gcm])));
    see((Suite::from_number(any(0)), any(Suite::Aes256Gcm).number()));
}

fn serial_lines() {
    let mut bytes = Bytes::<64>::new();
    let mut room = Bytes::<64>::new();
    see(serial::encoded_max(any(0)));
    see(serial::encode(bytes.any(), room.any()));
    let mut decoder = any(serial::Decoder::new(bytes.any()));
    if let Some(len) = decoder.push(any(0)) {
        see(any(&mut decoder).datagram(any(len)));
    }
}
