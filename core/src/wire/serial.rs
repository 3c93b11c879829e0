//! Datagrams on a line of bytes: COBS frames with a CRC (`docs/protocol.md` section 13).
//!
//! ```text
//!  datagram | CRC-32/ISO-HDLC, little endian  --COBS-->  no zero byte inside | 0
//! ```
//!
//! A zero byte ends a frame and occurs nowhere else, so a receiver that joins late, or loses
//! bytes, is back in step at the next zero. The CRC counts corruption on the line where it
//! happens; it protects nothing against people.

use crate::arithmetic::Wide;
use cobs::{CobsEncoder, DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Bytes that a datagram of `len` bytes takes on the line, at most.
#[must_use]
pub const fn encoded_max(len: usize) -> usize {
    let body = len.saturating_add(CRC_BYTES);
    // One code byte in front, one more for each 254 bytes, and the zero at the end.
    body.saturating_add(body / 254).saturating_add(2)
}

/// Writes `datagram` as one frame; returns its length, or `None` when `into` is too short
/// ([`encoded_max`] always suffices).
pub fn encode(datagram: &[u8], into: &mut [u8]) -> Option<usize> {
    let checksum = CRC.checksum(datagram).to_le_bytes();
    let mut encoder = CobsEncoder::new(into);
    encoder.push(datagram).ok()?;
    encoder.push(&checksum).ok()?;
    let len = encoder.finalize();
    *into.get_mut(len)? = 0;
    len.checked_add(1)
}

/// Takes bytes as they come and hands out the datagrams among them.
#[derive(Debug)]
pub struct Decoder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    state: DecoderState,
    /// The frame is longer than the buffer; its bytes are dropped up to its end.
    overlong: bool,
    /// Frames that were cut short, too long, or failed their CRC.
    pub corrupt: u64,
}

impl<'b> Decoder<'b> {
    /// A decoder for datagrams of at most `buffer.len() - 4` bytes.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0, state: DecoderState::Idle, overlong: false, corrupt: 0 }
    }

    /// Takes one byte; returns a datagram's length when the byte completes one. Its bytes are at
    /// the front of [`Decoder::datagram`] until the next call.
    pub fn push(&mut self, byte: u8) -> Option<usize> {
        let complete = match self.state.feed(byte) {
            Ok(DecodeResult::NoData) => return None,
            Ok(DecodeResult::DataStart) => {
                self.len = 0;
                self.overlong = false;
                return None;
            }
            Ok(DecodeResult::DataContinue(byte)) => {
                self.keep(byte);
                return None;
            }
            Ok(DecodeResult::DataComplete) => self.verify(),
            // A zero came where none can be: the next byte begins a frame.
            Err(_) => None,
        };
        if complete.is_none() {
            self.corrupt = self.corrupt.plus(1);
        }
        complete
    }

    /// The datagram of this length that was completed last.
    #[must_use]
    pub fn datagram(&mut self, len: usize) -> &mut [u8] {
        self.buffer.get_mut(..len).unwrap_or_default()
    }

    fn keep(&mut self, byte: u8) {
        match self.buffer.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len = self.len.saturating_add(1);
            }
            None => self.overlong = true,
        }
    }

    /// The length of the datagram in a frame that came whole, if it is what was sent.
    fn verify(&self) -> Option<usize> {
        let body = self.buffer.get(..self.len).filter(|_| !self.overlong)?;
        let (datagram, checksum) = body.split_last_chunk::<CRC_BYTES>()?;
        (CRC.checksum(datagram).to_le_bytes() == *checksum).then_some(datagram.len())
    }
}

const CRC_BYTES: usize = 4;
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn line(datagram: &[u8]) -> Vec<u8> {
        let mut line = vec![0; encoded_max(datagram.len())];
        let len = encode(datagram, &mut line).unwrap();
        line.truncate(len);
        line
    }

    fn decode(bytes: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let mut buffer = [0; 2_100];
        let mut decoder = Decoder::new(&mut buffer);
        let mut datagrams = Vec::new();
        for byte in bytes {
            if let Some(len) = decoder.push(*byte) {
                datagrams.push(decoder.datagram(len).to_vec());
            }
        }
        (datagrams, decoder.corrupt)
    }

    /// COBS as its paper has it (Cheshire and Baker, 1999): the bytes and a zero, cut behind each
    /// zero and after 254 bytes without one; each piece has its length in front, its zero left out.
    fn by_the_paper(body: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        let mut rest = body;
        loop {
            let run = rest.iter().take(254).take_while(|byte| **byte != 0).count();
            line.push(run as u8 + 1);
            line.extend(&rest[..run]);
            if run == rest.len() {
                break;
            }
            // A full piece stands for no zero.
            rest = &rest[if run == 254 { run } else { run + 1 }..];
        }
        line.push(0);
        line
    }

    fn with_checksum(datagram: &[u8]) -> Vec<u8> {
        let mut body = datagram.to_vec();
        body.extend(CRC.checksum(datagram).to_le_bytes());
        body
    }

    #[test]
    fn the_crc_is_the_catalogues() {
        // The check value that the catalogue of CRC algorithms gives for CRC-32/ISO-HDLC.
        assert_eq!(CRC.checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn lengths_around_a_full_run_survive() {
        // spec: 13.1-1
        for len in 245..=260 {
            for datagram in [vec![7; len], vec![0; len], [vec![7; len], vec![0]].concat()] {
                let line = line(&datagram);
                assert_eq!(line, by_the_paper(&with_checksum(&datagram)));
                assert!(line.len() <= encoded_max(datagram.len()));
                assert_eq!(decode(&line), (vec![datagram], 0));
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_buffer_is_corrupt_and_costs_itself_only() {
        // spec: 13.2-1
        let (long, short) = (line(&[5; 40]), line(&[6; 12]));
        let mut buffer = [0; 16];
        let mut decoder = Decoder::new(&mut buffer);
        assert!(long.iter().all(|byte| decoder.push(*byte).is_none()));
        assert_eq!(decoder.corrupt, 1);
        let lens: Vec<_> = short.iter().filter_map(|byte| decoder.push(*byte)).collect();
        assert_eq!(lens, [12]);
        assert_eq!(decoder.datagram(12), [6; 12]);
    }

    proptest! {
        // spec: 13.1-1
        #[test]
        fn frames_survive_the_line(datagram in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..2_000)) {
            let line = line(&datagram);
            prop_assert_eq!(line.iter().position(|byte| *byte == 0), Some(line.len() - 1));
            prop_assert_eq!(&line, &by_the_paper(&with_checksum(&datagram)));
            prop_assert_eq!(decode(&line), (vec![datagram], 0));
        }

        #[test]
        fn a_line_too_short_is_refused(datagram in prop::collection::vec(prop_oneof![Just(0_u8), 1_u8..], 0..600), cut: prop::sample::Index) {
            let whole = line(&datagram);
            let mut room = vec![0xaa; cut.index(whole.len())];
            prop_assert_eq!(encode(&datagram, &mut room), None);
        }

        // spec: 13.2-1
        #[test]
        fn a_damaged_frame_costs_itself_only(datagram in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, flip in 1_u8..) {
            let line = line(&datagram);
            let mut damaged = line.clone();
            let at = at.index(line.len());
            damaged[at] ^= flip;
            // The line idles with zeros between frames, so the next one starts clean.
            damaged.extend([0]);
            damaged.extend(&line);
            let (datagrams, corrupt) = decode(&damaged);
            prop_assert_eq!(datagrams, vec![datagram]);
            prop_assert!(corrupt >= 1);
        }

        // spec: 13.2-1
        #[test]
        fn any_bytes_are_taken_and_a_zero_ends_them(bytes in prop::collection::vec(any::<u8>(), 0..3_000), datagram in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut noise = bytes;
            noise.push(0);
            noise.extend(line(&datagram));
            let (datagrams, _) = decode(&noise);
            prop_assert_eq!(datagrams.last(), Some(&datagram));
        }
    }
}
