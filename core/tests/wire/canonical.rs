//! Bytes that nobody meant to send: they are taken or refused, and what is taken is what the same
//! values are written as. So there is one way to write each thing, and nothing hides in another.

use super::any::{self, Owned};
use super::{decoded, encoded};
use proptest::collection::vec;
use proptest::prelude::*;
use ropewalk_core::wire::{Frame, Header, Hello, Reader, Reply, Writer, destination, kind};

/// The property itself, for any decoder of the wire: never panics, and only takes bytes that its
/// encoder would have written.
fn check(bytes: &[u8]) {
    check_frames(bytes);
    check_header(bytes);
    let mut again = vec![0; bytes.len()];
    if let Some(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode(&mut again), Some(bytes.len()));
        assert_eq!(again, bytes);
    }
    if let Some(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode(&mut again), Some(bytes.len()));
        assert_eq!(again, bytes);
    }
}

fn check_frames(bytes: &[u8]) {
    let Ok(frames) = decoded(bytes) else { return };
    let mut rest = bytes;
    for frame in frames {
        if frame == Frame::Padding {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            assert!(zeros > 0);
            rest = &rest[zeros..];
        } else {
            rest = rest.strip_prefix(&encoded(&frame)[..]).expect("the same bytes");
        }
    }
    assert!(rest.is_empty());
}

fn check_header(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = Header::decode(&mut reader) else { return };
    assert_eq!(destination(bytes), Some(header.destination));
    assert!(kind(bytes).is_some());
    let mut again = [0; 16];
    let mut writer = Writer::new(&mut again);
    header.encode(&mut writer).unwrap();
    assert_eq!(writer.as_slice(), &bytes[..bytes.len() - reader.remaining()]);
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    /// Small numbers are frame types, flags and counts: far more of these bytes parse.
    #[test]
    fn small_bytes(bytes in vec(0_u8..20, 0..40)) {
        check(&bytes);
    }

    // spec: 1.2-2
    #[test]
    fn frames_with_damage(
        frames in vec(any::frame(true), 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes: Vec<u8> = frames.iter().map(Owned::frame).flat_map(|f| encoded(&f)).collect();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
    }

    #[test]
    fn payloads_with_damage(
        (hello, _) in any::hello(),
        reply in any::reply(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut room = [0; 1_024];
        for len in [hello.encode(&mut room), reply.encode(&mut room)] {
            let mut bytes = room[..len.unwrap()].to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check(&bytes);
        }
    }

    // spec: 1.2-2
    #[test]
    fn a_varint_that_is_longer_than_need_be_is_refused(owned in any::frame(false)) {
        // The first byte is the type, which is below 128: the same number in two bytes.
        let bytes = encoded(&owned.frame());
        let overlong = [&[bytes[0] | 0x80, 0], &bytes[1..]].concat();
        prop_assert!(decoded(&overlong).is_err());
    }
}
