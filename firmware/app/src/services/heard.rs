//! Another board's telemetry: put together from its stream, and logged.

use crate::log::say;
use heapless::Vec;
use ropewalk_core::application::telemetry::{RECORD_BYTES_MAX, Telemetry};

/// What came of the record that is being read, its length included.
pub(super) struct Heard {
    part: Vec<u8, RECORD_BYTES_MAX>,
}

impl Heard {
    pub(super) const fn new() -> Self {
        Self { part: Vec::new() }
    }

    /// Takes more of the stream. False: this is no telemetry.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            if self.part.push(*first).is_err() {
                return false;
            }
            rest = after;
            let Some((length, body)) = self.part.split_first_chunk::<2>() else { continue };
            let length = usize::from(u16::from_le_bytes(*length));
            if body.len() < length {
                continue;
            }
            let Some(record) = Telemetry::decode(body) else { return false };
            say!(info, "record {=u32} of boot {=u32}", record.count, record.boot);
            self.part.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u32) -> std::vec::Vec<u8> {
        let record = Telemetry { count, boot: 1, uptime_ms: 2, turn_max_us: 3, paths: Vec::new() };
        let mut room = [0; RECORD_BYTES_MAX];
        let len = record.encode(&mut room).unwrap();
        room[..len].to_vec()
    }

    #[test]
    fn records_in_pieces_of_any_length_are_read() {
        let stream = [record(1), record(2_000_000), record(3)].concat();
        for piece in 1..=stream.len() {
            let mut heard = Heard::new();
            assert!(stream.chunks(piece).all(|bytes| heard.take(bytes)));
            assert!(heard.part.is_empty(), "nothing is left over");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut long = std::vec![0xff, 0xff];
        long.resize(RECORD_BYTES_MAX + 1, 0);
        assert!(!Heard::new().take(&long));
        assert!(!Heard::new().take(&[3, 0, 0x80, 0x80, 0x80]));
    }
}
