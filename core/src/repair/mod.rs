//! Rank 2: forward error correction. Symbols that were lost are computed from those that arrived
//! and from *repair symbols*, so that a loss costs milliseconds, not a round trip.
//!
//! ```text
//!  sender    packets' contents --push--> Encoder --repair--> one symbol that mixes the last 240
//!  receiver  packets' contents --+
//!            repair symbols -----+-----> Decoder --recovered--> contents of packets that were lost
//! ```
//!
//! A random linear code over GF(256) with a sliding window (as RFC 8681): each repair symbol is a
//! sum of the window's symbols, each multiplied by a coefficient that both sides draw from the
//! symbol's key. Any `n` repair symbols that cover `n` lost ones almost surely give them back. The
//! memory is lent with each call ([`ENCODER_BYTES`], [`DECODER_BYTES`]); the work of a call is
//! bounded by the window.
//!
//! It knows bytes and numbers only: what a symbol contains, when a repair symbol is worth its
//! bytes and which path carries it is decided elsewhere ([`Demand`] counts what losses ask for).

mod decoder;
mod demand;
mod encoder;
mod gf256;
mod places;
mod typical;

pub use decoder::Decoder;
pub use demand::Demand;
pub use encoder::{Encoder, Mixture};
pub use typical::Typical;

/// Symbols that are remembered. At a thousand a second over 100 ms a loss is noticed after some 130,
/// and what is then sent again arrives when 60 more have.
pub const WINDOW: usize = 256;
/// Symbols that a repair symbol may cover: fewer, so that it is of use behind later symbols too.
pub const COVER_MAX: u8 = 240;
/// The longest contents of a packet that can be protected.
pub const CONTENTS_BYTES_MAX: usize = SYMBOL_BYTES - LENGTH_BYTES;
/// Memory that an [`Encoder`] works in.
pub const ENCODER_BYTES: usize = WINDOW * SYMBOL_BYTES;
/// Memory that a [`Decoder`] works in.
pub const DECODER_BYTES: usize = WINDOW * SYMBOL_BYTES + EQUATIONS * ROW_BYTES;

/// Both.
pub const MEMORY_BYTES: usize = ENCODER_BYTES + DECODER_BYTES;

/// A symbol in memory: the contents' length, the contents, zeros.
const SYMBOL_BYTES: usize = 1_200;
const LENGTH_BYTES: usize = 2;
/// An equation in memory: a coefficient for each place, and the sum.
const ROW_BYTES: usize = WINDOW + SYMBOL_BYTES;
/// Repair symbols that wait for others, at the receiver.
const EQUATIONS: usize = 16;

/// What a symbol is multiplied by in the repair symbol of this key; never zero.
const fn coefficient(key: u16, number: u32) -> u8 {
    let mut mixed = (key as u32).wrapping_mul(0x9e37_79b1) ^ number.wrapping_mul(0x85eb_ca6b);
    mixed ^= mixed >> 15;
    mixed = mixed.wrapping_mul(0x2c1b_3c6d);
    mixed ^= mixed >> 12;
    mixed = mixed.wrapping_mul(0x297a_2d39);
    mixed ^= mixed >> 15;
    match mixed as u8 {
        0 => 1,
        some => some,
    }
}

/// The place of a symbol, or of an equation behind them, in lent memory.
fn place(memory: &[u8], index: usize) -> Option<&[u8]> {
    let start = index.checked_mul(SYMBOL_BYTES)?;
    memory.get(start..)?.get(..SYMBOL_BYTES)
}

fn place_mut(memory: &mut [u8], index: usize) -> Option<&mut [u8]> {
    let start = index.checked_mul(SYMBOL_BYTES)?;
    memory.get_mut(start..)?.get_mut(..SYMBOL_BYTES)
}

/// Where the symbol of this number lies.
const fn index(number: u32) -> usize {
    number as usize % WINDOW
}

/// Writes contents as a symbol: length, bytes, zeros. False when they are too long.
fn write_symbol(contents: &[u8], symbol: &mut [u8]) -> bool {
    let Ok(len) = u16::try_from(contents.len()) else { return false };
    let Some((head, body)) = symbol.split_first_chunk_mut::<LENGTH_BYTES>() else { return false };
    let Some((bytes, rest)) = body.split_at_mut_checked(contents.len()) else { return false };
    *head = len.to_le_bytes();
    crate::storage::copy(contents, bytes);
    rest.fill(0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    struct Pair {
        encoder: Encoder,
        decoder: Decoder,
        lent: (Vec<u8>, Vec<u8>),
        sent: BTreeMap<u32, Vec<u8>>,
        here: BTreeMap<u32, Vec<u8>>,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                encoder: Encoder::new(),
                decoder: Decoder::new(),
                lent: (vec![0; ENCODER_BYTES], vec![0; DECODER_BYTES]),
                sent: BTreeMap::new(),
                here: BTreeMap::new(),
            }
        }

        fn source(&mut self, contents: &[u8], arrives: bool) {
            let number = self.encoder.push(contents, &mut self.lent.0).unwrap();
            self.sent.insert(number, contents.to_vec());
            if arrives {
                self.decoder.on_source(number, contents, &mut self.lent.1);
                self.here.insert(number, contents.to_vec());
                self.collect();
            }
        }

        fn repair(&mut self, arrives: bool) {
            let mut data = [0; SYMBOL_BYTES];
            let Some(mixture) = self.encoder.mixture(&self.lent.0) else { return };
            self.encoder.mix(&mixture, &mut data[..mixture.len], &self.lent.0);
            if arrives {
                self.decoder.on_repair(&mixture, &data[..mixture.len], &mut self.lent.1);
                self.collect();
            }
        }

        fn collect(&mut self) {
            while let Some((number, contents)) = self.decoder.recovered(&mut self.lent.1) {
                assert_eq!(contents, self.sent[&number], "symbol {number}");
                assert_eq!(self.here.insert(number, contents.to_vec()), None, "once");
            }
        }
    }

    #[test]
    fn as_many_repair_symbols_as_losses_bring_them_back() {
        for lost in 1..=8_u32 {
            let mut pair = Pair::new();
            for number in 0..20 {
                pair.source(
                    &vec![number as u8; 100 + number as usize],
                    number < 12 || number >= 12 + lost,
                );
            }
            for _ in 0..lost {
                assert!(pair.here.len() < 20 || lost == 0);
                pair.repair(true);
            }
            assert_eq!(pair.here.len(), 20, "{lost} lost");
        }
    }

    /// What another implementation must make of these: section 9.9 of `docs/protocol.md`.
    #[test]
    fn sums_are_as_documented() {
        // spec: 9.9-1
        let drawn = |key, from: u32| core::array::from_fn(|at| coefficient(key, from + at as u32));
        assert_eq!(drawn(0, 0), COEFFICIENTS_0);
        assert_eq!(drawn(513, 290), COEFFICIENTS_513);
        let mut pair = Pair::new();
        for contents in [&b"one"[..], b"three", b""] {
            pair.source(contents, false);
        }
        let mut sums = [[0; 7]; 2];
        for sum in &mut sums {
            let mixture = pair.encoder.mixture(&pair.lent.0).unwrap();
            assert_eq!((mixture.first, mixture.count, mixture.len), (0, 3, 7));
            pair.encoder.mix(&mixture, sum, &pair.lent.0);
        }
        assert_eq!(sums, SUMS, "each by a key of its own");
    }
    const COEFFICIENTS_0: [u8; 4] = [1, 198, 230, 234];
    const COEFFICIENTS_513: [u8; 4] = [178, 212, 19, 129];
    const SUMS: [[u8; 7]; 2] = [[250, 0, 158, 34, 58, 203, 203], [225, 0, 18, 200, 25, 127, 127]];

    #[test]
    fn what_is_settled_is_covered_no_more() {
        let mut pair = Pair::new();
        for contents in [&b"a"[..], b"b", b"c", b"d"] {
            pair.source(contents, false);
        }
        for (number, first) in [(9, 0), (1, 0), (0, 2), (0, 2), (2, 3)] {
            pair.encoder.on_settled(number);
            assert_eq!(
                pair.encoder.mixture(&pair.lent.0).map(|m| (m.first, m.count)),
                Some((first, 4 - first as u8))
            );
        }
        pair.encoder.on_settled(3);
        assert_eq!(pair.encoder.mixture(&pair.lent.0), None);
    }

    /// A thousand symbols a second, 100 ms: the loss is noticed after 130, the copy takes 60 more.
    #[test]
    fn a_symbol_that_comes_late_makes_the_sums_speak() {
        let mut pair = Pair::new();
        for number in 0..20 {
            pair.source(&[number; 100], number != 3 && number != 7);
        }
        pair.repair(true);
        (20..200).for_each(|number| pair.source(&[number; 100], true));
        assert!(
            !pair.here.contains_key(&3) && !pair.here.contains_key(&7),
            "one sum, two unknowns"
        );
        let again = pair.encoder.contents(7, &pair.lent.0).unwrap().to_vec();
        assert!(pair.decoder.on_source(7, &again, &mut pair.lent.1));
        pair.collect();
        assert_eq!(pair.here.get(&3), Some(&vec![3; 100]));
    }

    #[test]
    fn what_got_lost_is_asked_for_once_each_time() {
        let mut pair = Pair::new();
        let lost = |pair: &Pair| pair.encoder.lost();
        (0..10).for_each(|number| pair.source(&[number], true));
        pair.encoder.on_lost(4, 0b101);
        assert_eq!(lost(&pair), Some(4));
        pair.encoder.on_settled(4);
        assert_eq!(lost(&pair), Some(6));
        pair.encoder.on_acked(6, 1);
        assert_eq!(lost(&pair), None, "it had arrived");
        pair.encoder.on_lost(4, 1);
        assert_eq!(lost(&pair), Some(4), "its copy got lost too");
        pair.encoder.on_lost(9, 0b11);
        for number in 0..WINDOW - 10 {
            pair.source(&[number as u8], true);
        }
        assert_eq!(lost(&pair), Some(4));
        (0..5).for_each(|number| pair.source(&[number], true));
        assert_eq!(lost(&pair), Some(9), "the other is forgotten");
        (0..5).for_each(|number| pair.source(&[number], true));
        assert_eq!(lost(&pair), None);
    }

    #[test]
    fn nothing_to_mix_gives_no_symbol() {
        let mut pair = Pair::new();
        assert!(pair.encoder.mixture(&pair.lent.0).is_none());
        assert!(pair.encoder.push(&[0; CONTENTS_BYTES_MAX + 1], &mut pair.lent.0).is_none());
        assert!(Encoder::new().push(&[1], &mut []).is_none(), "without memory");
    }

    proptest! {
        /// Whatever is lost, what comes back is right, comes once, and comes when enough arrived.
        #[test]
        fn what_comes_back_is_what_was_lost(
            steps in prop::collection::vec((0_u8..10, any::<bool>(), 0_usize..60, any::<u8>()), 1..300)
        ) {
            let mut pair = Pair::new();
            for (kind, arrives, len, fill) in steps {
                match kind {
                    0..=6 => pair.source(&vec![fill; len], arrives || kind > 2),
                    _ => pair.repair(arrives),
                }
            }
        }

        /// A peer may send any equation.
        #[test]
        fn any_equation_is_taken(
            steps in prop::collection::vec((any::<bool>(), any::<u32>(), any::<u8>(), any::<u16>(), 0_usize..1_300), 1..60)
        ) {
            let mut decoder = Decoder::new();
            let mut lent = vec![0; DECODER_BYTES];
            for (source, number, count, key, len) in steps {
                // Near each other, mostly, so that they meet.
                let number = if number % 4 == 0 { number } else { number % 64 };
                let bytes = vec![key as u8; len];
                if source {
                    decoder.on_source(number, &bytes, &mut lent);
                } else {
                    decoder.on_repair(&Mixture { first: number, count: count % 40, key, len }, &bytes, &mut lent);
                }
                for _ in 0..WINDOW {
                    if decoder.recovered(&mut lent).is_none() {
                        break;
                    }
                }
            }
        }
    }
}
