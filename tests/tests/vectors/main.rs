//! `tests/vectors/*.txt`: the wire's values and their bytes, for whoever writes a second
//! implementation (`docs/protocol.md` section 15). The handshake has a test of its own.
//!
//! Each file is checked both ways: its lines are what the code makes of the values here, and a
//! reader who knows only the file finds in each line's bytes what the line says. To write the files
//! anew after the protocol has changed: `ROPEWALK_WRITE_VECTORS=1 cargo test -p ropewalk-tests
//! --test vectors`.

mod describe;
mod refused;
mod values;

use core::fmt::Write as _;
use ropewalk_core::wire::{
    Frame, Frames, Header, Hello, Reader, Reply, VARINT_MAX, Writer, serial,
};
use std::path::PathBuf;

/// A line of a file.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    meaning: String,
}

#[test]
fn varints() {
    // spec: 1.2-1
    let vectors = values::varints().map(|number| {
        let bytes = written(|writer| writer.put_u64(number).unwrap());
        assert!(bytes.len() <= VARINT_MAX);
        Vector { name: format!("varint_{number}"), bytes, meaning: number.to_string() }
    });
    agree("varints", "Numbers and their varints (docs/protocol.md, 1.2).", vectors, |bytes| {
        let mut reader = Reader::new(bytes);
        let number = reader.u64().unwrap();
        assert!(reader.is_empty());
        number.to_string()
    });
}

#[test]
fn headers() {
    let vectors = values::headers().map(|(name, header)| Vector {
        name: name.into(),
        bytes: written(|writer| header.encode(writer).unwrap()),
        meaning: describe::header(&header),
    });
    agree("headers", "Packet headers (docs/protocol.md, 3.2).", vectors, |bytes| {
        let mut reader = Reader::new(bytes);
        let header = Header::decode(&mut reader).unwrap();
        assert!(reader.is_empty());
        describe::header(&header)
    });
}

#[test]
fn frames() {
    // spec: 6.1-1
    let vectors = values::frames().into_iter().map(|(name, frame)| Vector {
        name: name.into(),
        bytes: written(|writer| frame.encode(writer).unwrap()),
        meaning: describe::frame(&frame),
    });
    agree("frames", "Every frame (docs/protocol.md, 6).", vectors, |bytes| {
        let frames: Vec<Frame<'_>> = Frames::new(bytes).collect::<Result<_, _>>().unwrap();
        let [frame] = &frames[..] else { panic!("not one frame") };
        describe::frame(frame)
    });
}

#[test]
fn payloads() {
    // spec: 4.4-1
    let mut room = [0; 512];
    let hellos = values::hellos().into_iter().map(|(name, hello)| {
        let len = hello.encode(&mut room).unwrap();
        let (bytes, meaning) = (room[..len].to_vec(), describe::hello(&hello));
        Vector { name: name.into(), bytes, meaning }
    });
    let mut vectors: Vec<_> = hellos.collect();
    for (name, reply) in values::replies() {
        let len = reply.encode(&mut room).unwrap();
        let (bytes, meaning) = (room[..len].to_vec(), describe::reply(&reply));
        vectors.push(Vector { name: name.into(), bytes, meaning });
    }
    let title = "What the handshake's messages carry (docs/protocol.md, 4.4).";
    // A Hello begins with a version, 1 here; a Reply with 0 or 1 and then a version or a reason.
    let read = |bytes: &[u8]| match Hello::decode(bytes) {
        Some(hello) => describe::hello(&hello),
        None => describe::reply(&Reply::decode(bytes).unwrap()),
    };
    agree("payloads", title, vectors.into_iter(), read);
}

#[test]
fn serial_frames() {
    // spec: 13.1-1
    let vectors = values::datagrams().into_iter().map(|(name, datagram)| {
        let mut line = vec![0; serial::encoded_max(datagram.len())];
        let len = serial::encode(&datagram, &mut line).unwrap();
        line.truncate(len);
        let meaning = format!("datagram={}", describe::hex(&datagram));
        Vector { name: name.into(), bytes: line, meaning }
    });
    let title = "Datagrams and their frames on a serial line (docs/protocol.md, 13).";
    agree("serial", title, vectors, |line| {
        let mut buffer = [0; 1_024];
        let mut decoder = serial::Decoder::new(&mut buffer);
        let (last, before) = line.split_last().unwrap();
        assert!(before.iter().all(|byte| decoder.push(*byte).is_none()));
        let len = decoder.push(*last).unwrap();
        format!("datagram={}", describe::hex(decoder.datagram(len)))
    });
}

#[test]
fn refusals() {
    // spec: 1.2-2
    // spec: 1.2-3
    // spec: 3.2-1
    let vectors = refused::all().into_iter().map(|(kind, bytes, why)| {
        let (name, meaning) = (kind.into(), why.into());
        Vector { name, bytes, meaning }
    });
    let vectors: Vec<_> = vectors.collect();
    let title = "Bytes that a receiver refuses, and why: what they are taken for comes first.";
    check_file("refused", title, &vectors);
    for Vector { name, bytes, meaning } in parsed("refused") {
        assert!(refused::is_refused(&name, &bytes), "{name}: {meaning}");
    }
}

/// The file says what the code makes, and its bytes read as what it says.
fn agree(
    file: &str,
    title: &str,
    vectors: impl Iterator<Item = Vector>,
    read: impl Fn(&[u8]) -> String,
) {
    check_file(file, title, &vectors.collect::<Vec<_>>());
    for Vector { name, bytes, meaning } in parsed(file) {
        assert_eq!(read(&bytes), meaning, "{name}");
    }
}

fn check_file(file: &str, title: &str, vectors: &[Vector]) {
    let mut text = format!("# {title}\n\n");
    for Vector { name, bytes, meaning } in vectors {
        writeln!(text, "{name} | {} | {meaning}", describe::hex(bytes)).unwrap();
    }
    if std::env::var_os("ROPEWALK_WRITE_VECTORS").is_some() {
        std::fs::write(path(file), &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path(file)).unwrap(), text);
}

/// The file as a stranger reads it.
fn parsed(file: &str) -> Vec<Vector> {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let vectors: Vec<_> = lines
        .map(|line| {
            let mut columns = line.splitn(3, " | ").map(String::from);
            let mut column = || columns.next().expect("three columns");
            let (name, hex, meaning) = (column(), column(), column());
            let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes = (0..hex.len()).step_by(2).map(digits).collect();
            Vector { name, bytes, meaning }
        })
        .collect();
    assert!(!vectors.is_empty());
    vectors
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file).with_extension("txt")
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut room = [0; 1_024];
    let mut writer = Writer::new(&mut room);
    write(&mut writer);
    writer.as_slice().to_vec()
}
