//! The wire room as its users see it: every frame and handshake payload against postcard, which
//! stands for the published encoding, and against bytes that nobody meant to send.

mod any;
mod canonical;
mod frames;
mod handshake;
mod header;
mod mirror;

use ropewalk_core::wire::{Frame, Frames, Malformed, Writer};

/// The frame's bytes, as the core writes them.
fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4_096];
    let mut writer = Writer::new(&mut bytes);
    frame.encode(&mut writer).unwrap();
    let len = writer.len();
    bytes.truncate(len);
    bytes
}

/// The frames in a payload, or that it is malformed.
fn decoded(payload: &[u8]) -> Result<Vec<Frame<'_>>, Malformed> {
    Frames::new(payload).collect()
}
