//! Bytes that are nearly right.

use ropewalk_core::wire::{Frames, Header, Hello, Reader, Reply, serial};

/// Whether `bytes`, taken for a thing of this kind, are refused.
pub(crate) fn is_refused(kind: &str, bytes: &[u8]) -> bool {
    match kind {
        "varint" => Reader::new(bytes).u64().is_err(),
        "varint_u32" => Reader::new(bytes).u32().is_err(),
        "header" => Header::decode(&mut Reader::new(bytes)).is_err(),
        "frames" => Frames::new(bytes).any(|frame| frame.is_err()),
        "hello" => Hello::decode(bytes).is_none(),
        "reply" => Reply::decode(bytes).is_none(),
        "serial" => {
            let mut buffer = [0; 64];
            let mut decoder = serial::Decoder::new(&mut buffer);
            bytes.iter().all(|byte| decoder.push(*byte).is_none()) && decoder.corrupt == 1
        }
        other => panic!("{other} is no kind of thing"),
    }
}

/// Kind, bytes, reason.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let refused: &[(&str, &[u8], &str)] = &[
        ("varint", &[0x80, 0], "0 in two bytes"),
        ("varint", &[0xff, 0], "127 in two bytes"),
        ("varint", &[0xff; 10], "no end after ten bytes"),
        ("varint", &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2], "65 bits"),
        ("varint", &[0x80], "cut short"),
        ("varint_u32", &[0x80, 0x80, 0x80, 0x80, 0x10], "33 bits"),
        ("header", &[0x44, 1, 2, 3, 4, 0, 0], "a reserved bit is set"),
        ("header", &[0xc0, 1, 2, 3, 4, 0, 0], "no kind of datagram"),
        ("header", &[0x40, 1, 2, 3, 4, 0x80, 0, 0], "the path id is longer than need be"),
        ("header", &[0x43, 1, 2, 3, 4, 0, 1, 2, 3], "the number is cut short"),
        ("frames", &[22], "no such type"),
        ("frames", &[0x81, 0], "the type is longer than need be"),
        ("frames", &[1, 2, 0], "the second frame is cut short"),
        ("frames", &[2, 0, 9, 0, 10, 0], "a range reaches below 0"),
        ("frames", &[2, 0, 9, 0, 1, 1, 7, 0], "the second range reaches below 0"),
        ("frames", &[2, 0, 9, 0, 0, 32], "33 ranges"),
        ("frames", &[3, 0, 0, 2, 1], "fin is 2"),
        (
            "frames",
            &[3, 0, 255, 255, 255, 255, 255, 255, 255, 255, 63, 0, 1],
            "the data reach 2^62",
        ),
        ("frames", &[4, 0, 0, 0, 4, 1, 2, 3], "the length reaches behind the payload's end"),
        ("frames", &[5, 0, 0, 128, 128, 128, 128, 128, 128, 128, 128, 64], "the end is at 2^62"),
        ("frames", &[12, 1, 0, 4], "no such class"),
        ("frames", &[14, 0, 0, 3], "no such status"),
        ("frames", &[15, 1, 17], "17 addresses"),
        ("frames", &[15, 1, 1, 0, 0, 0, 0, 192, 0, 2, 1, 0x80, 0x80, 4], "the port is 65,536"),
        ("frames", &[16, 1, 5], "no such mode"),
        ("frames", &[17, 0, 2, 0xc3, 0x28], "the reason is not UTF-8"),
        // spec: 6.11-1
        ("frames", &[19, 0, 3, 0, 0, 1, 2], "no sums"),
        ("frames", &[19, 0, 3, 0, 2, 1, 2, 3], "two sums in three bytes"),
        ("frames", &[20, 0, 3, 1, 2], "the symbol is cut short"),
        ("hello", &[1, 1, 1, 2, 0, 0, 0, 1, 2, 3, 0, 0], "goes on behind its end"),
        ("hello", &[1, 1, 1, 2, 0, 0, 0, 1, 2, 3], "cut short"),
        ("hello", &[1, 1, 1, 2, 0, 2, 0, 1, 2, 3, 0], "an option that is neither there nor not"),
        ("hello", &[1, 1, 5, 1, 2, 3, 4, 5, 0, 0, 0, 1, 2, 3, 0], "five suites"),
        ("reply", &[0, 1, 3, 7, 1, 2, 3, 0], "no such suite"),
        ("reply", &[1, 2], "no such refusal"),
        ("reply", &[2], "neither a welcome nor a refusal"),
        ("serial", &[3, 7, 7, 0], "too short for a CRC"),
        ("serial", &[5, 7, 0], "a zero inside a run"),
        ("serial", &[6, 7, 1, 2, 3, 4, 0], "the CRC is wrong"),
    ];
    let mut all: Vec<_> =
        refused.iter().map(|(kind, bytes, why)| (*kind, bytes.to_vec(), *why)).collect();
    // What is counted is there: only the count is wrong.
    for (_, bytes, why) in &mut all {
        if *why == "33 ranges" {
            bytes[2] = 0x80;
            bytes.insert(3, 1);
            bytes.extend([0; 64]);
        }
        if *why == "17 addresses" {
            bytes.extend([0, 0, 1].repeat(17));
        }
    }
    all
}
