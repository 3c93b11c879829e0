//! Datagrams on a line of bytes: COBS frames with a CRC (`docs/protocol.md` section 13).
//!
//! ```text
//!  datagram | CRC-32/ISO-HDLC, little endian  --COBS-->  no zero byte inside | 0
//! ```
//!
//! A zero byte ends a frame and occurs nowhere else, so a receiver that joins late, or loses
//! bytes, is back in step at the next zero. The CRC counts corruption on the line where it
//! happens; it protects nothing against people.

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
    let mut place = Place { into, code_at: 0, next: 1, run: 1 };
    for byte in datagram.iter().chain(&checksum) {
        place.push(*byte)?;
    }
    place.finish()
}

/// COBS in one pass: the byte before each run says where the next zero would be.
struct Place<'b> {
    into: &'b mut [u8],
    code_at: usize,
    next: usize,
    run: u8,
}

impl Place<'_> {
    fn push(&mut self, byte: u8) -> Option<()> {
        if byte != 0 {
            *self.into.get_mut(self.next)? = byte;
            self.next = self.next.saturating_add(1);
            self.run = self.run.saturating_add(1);
        }
        if byte == 0 || self.run == u8::MAX {
            self.close_run()?;
        }
        Some(())
    }

    fn close_run(&mut self) -> Option<()> {
        *self.into.get_mut(self.code_at)? = self.run;
        self.code_at = self.next;
        self.next = self.next.saturating_add(1);
        self.run = 1;
        Some(())
    }

    fn finish(mut self) -> Option<usize> {
        self.close_run()?;
        *self.into.get_mut(self.code_at)? = 0;
        Some(self.next)
    }
}

/// Takes bytes as they come and hands out the datagrams among them.
#[derive(Debug)]
pub struct Decoder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// Bytes left of the present run, and whether a zero follows it.
    run: u8,
    zero_follows: bool,
    /// The frame is already known to be bad; bytes are skipped up to its end.
    skipping: bool,
    /// Frames that were cut short, too long, or failed their CRC.
    pub corrupt: u64,
}

impl<'b> Decoder<'b> {
    /// A decoder for datagrams of at most `buffer.len() - 4` bytes.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0, run: 0, zero_follows: false, skipping: false, corrupt: 0 }
    }

    /// Takes one byte; returns a datagram's length when the byte completes one. Its bytes are at
    /// the front of [`Decoder::datagram`] until the next call.
    pub fn push(&mut self, byte: u8) -> Option<usize> {
        if byte == 0 {
            return self.end();
        }
        if self.skipping {
            return None;
        }
        if self.run == 0 {
            // A code byte. The run before it, unless it was full, stood for a zero.
            if self.zero_follows {
                self.keep(0);
            }
            self.run = byte.saturating_sub(1);
            self.zero_follows = byte != u8::MAX;
        } else {
            self.keep(byte);
            self.run = self.run.saturating_sub(1);
        }
        None
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
            None => self.skipping = true,
        }
    }

    fn end(&mut self) -> Option<usize> {
        let (len, whole) = (self.len, self.run == 0 && !self.skipping);
        let empty = len == 0 && whole && !self.zero_follows;
        self.len = 0;
        self.run = 0;
        self.zero_follows = false;
        self.skipping = false;
        if empty {
            return None; // Zeros in a row are idle line.
        }
        let datagram_len = self.verify(len).filter(|_| whole);
        if datagram_len.is_none() {
            self.corrupt = self.corrupt.saturating_add(1);
        }
        datagram_len
    }

    fn verify(&self, len: usize) -> Option<usize> {
        let body = self.buffer.get(..len)?;
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

    proptest! {
        #[test]
        fn frames_survive_the_line_and_are_the_cobs_crates(datagram in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..2_000)) {
            let mut line = vec![0; encoded_max(datagram.len())];
            let len = encode(&datagram, &mut line).unwrap();
            prop_assert_eq!(decode(&line[..len]), (vec![datagram.clone()], 0));
            let mut body = datagram.clone();
            body.extend(CRC.checksum(&datagram).to_le_bytes());
            let mut theirs = vec![0; cobs::max_encoding_length(body.len())];
            let their_len = cobs::encode(&body, &mut theirs);
            prop_assert_eq!(&line[..len - 1], &theirs[..their_len]);
        }

        #[test]
        fn a_damaged_frame_costs_itself_only(datagram in prop::collection::vec(any::<u8>(), 1..300), at: prop::sample::Index, flip in 1_u8..) {
            let mut line = vec![0; encoded_max(datagram.len())];
            let len = encode(&datagram, &mut line).unwrap();
            let mut damaged = line[..len].to_vec();
            damaged[at.index(len)] ^= flip;
            // The line idles with zeros between frames, so the next one starts clean.
            damaged.extend([0]);
            damaged.extend(&line[..len]);
            let (datagrams, corrupt) = decode(&damaged);
            prop_assert_eq!(datagrams.last(), Some(&datagram));
            prop_assert!(corrupt >= 1);
            prop_assert!(datagrams[..datagrams.len() - 1].iter().all(|d| d != &datagram));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
            decode(&bytes);
        }
    }
}
