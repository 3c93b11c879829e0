//! Content that nobody can compress or guess, made as fast as it is sent.

use crate::random;
use crate::transfer::send::Input;
use std::io::{self, Read};

/// `bytes` of noise as a file to send.
pub(super) fn input(bytes: u64) -> Input {
    let seed = u64::from_le_bytes(random::bytes()) | 1;
    Input::Stream { name: "noise".into(), reader: Box::new(Noise { state: seed }.take(bytes)) }
}

/// Xorshift (Marsaglia 2003): no secret, only noise.
struct Noise {
    state: u64,
}

impl Read for Noise {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for piece in into.chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let bytes = self.state.to_le_bytes();
            piece.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        Ok(into.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_length_and_does_not_repeat() {
        let Input::Stream { mut reader, .. } = input(1_000_003) else { panic!("no stream") };
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        assert_eq!(content.len(), 1_000_003);
        let mut words: Vec<&[u8]> = content.chunks_exact(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 125_000);
    }
}
