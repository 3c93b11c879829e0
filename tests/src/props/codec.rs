//! Whatever decodes encodes to the same bytes, and nothing panics, whatever the bytes are.

use super::Choices;
use ropewalk_core::wire::{
    Frame, Frames, Header, Hello, Reader, Reply, Writer, destination, kind, serial,
};

/// Reads `data` as everything that the wire knows.
///
/// # Panics
/// When something reads but does not write the same.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let which = choices.byte();
    let bytes = choices.take(usize::MAX);
    match which % 5 {
        0 => frames(bytes),
        1 => header(bytes),
        2 => handshake(bytes),
        3 => serial_line(bytes),
        _ => {
            // Any bytes may be asked what they are.
            let claims = kind(bytes).is_some();
            assert!(claims || destination(bytes).is_none(), "addressed, but of no kind");
        }
    }
}

fn frames(bytes: &[u8]) {
    let mut written = vec![0; bytes.len()];
    let mut writer = Writer::new(&mut written);
    let mut padded = false;
    for frame in Frames::new(bytes) {
        let Ok(frame) = frame else { return };
        padded |= frame == Frame::Padding;
        frame.encode(&mut writer).expect("it fitted before");
        if let Frame::Ack(ack) = &frame {
            let mut below = None;
            for range in ack.iter() {
                assert!(range.start() <= range.end());
                assert!(below.is_none_or(|below| *range.end() + 1 < below), "ranges touch");
                below = Some(*range.start());
            }
        }
    }
    // A run of padding is read as one frame, so only its length is lost.
    assert!(padded || writer.as_slice() == bytes, "written otherwise");
}

fn header(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(header) = Header::decode(&mut reader) else { return };
    let mut written = [0; 16];
    let mut writer = Writer::new(&mut written);
    header.encode(&mut writer).expect("a header fits");
    assert_eq!(writer.as_slice(), &bytes[..bytes.len() - reader.remaining()]);
}

fn handshake(bytes: &[u8]) {
    let mut written = vec![0; bytes.len()];
    if let Some(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode(&mut written), Some(bytes.len()));
        assert_eq!(written, bytes);
    }
    if let Some(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode(&mut written), Some(bytes.len()));
        assert_eq!(written, bytes);
    }
}

fn serial_line(bytes: &[u8]) {
    let mut buffer = [0; 1_504];
    let mut decoder = serial::Decoder::new(&mut buffer);
    for byte in bytes {
        let Some(len) = decoder.push(*byte) else { continue };
        let datagram = decoder.datagram(len).to_vec();
        let mut line = vec![0; serial::encoded_max(len)];
        let encoded = serial::encode(&datagram, &mut line).expect("the bound holds");
        let mut again = [0; 1_504];
        let mut second = serial::Decoder::new(&mut again);
        let read = line[..encoded].iter().find_map(|byte| second.push(*byte));
        assert_eq!(read.map(|len| second.datagram(len).to_vec()), Some(datagram));
    }
}
