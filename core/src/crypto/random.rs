//! Randomness from one seed that the caller gives: the core has no other source.
//!
//! ```text
//! state ──hash "next"──> state ──hash "next"──> …      each state is replaced before its pool is used,
//!   └──hash "pool"──> 32 bytes                         and bytes given out are erased from the pool
//! ```
//!
//! So who reads the memory later learns nothing of what was drawn before: ephemeral secrets stay
//! secret. With equal seeds everything that the core does is equal, which is what the simulator
//! lives on. What comes out is not part of the protocol; any good source serves a peer as well.

use core::fmt;
use core::marker::PhantomData;

use super::Crypto;

/// The seed of a [`Random`]: 32 bytes from the best source that the machine has.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// A deterministic generator that erases its past.
pub struct Random<C> {
    state: [u8; 32],
    pool: [u8; 32],
    left: usize,
    crypto: PhantomData<fn() -> C>,
}

impl<C: Crypto> Random<C> {
    /// A generator that draws everything from `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { state: seed.0, pool: [0; 32], left: 0, crypto: PhantomData }
    }

    /// Another generator, independent of what this one yields from now on.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(Seed(self.bytes()))
    }

    /// Fills `into`.
    pub fn fill(&mut self, into: &mut [u8]) {
        for byte in into {
            *byte = self.byte();
        }
    }

    /// So many bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// A number of 64 bits.
    #[must_use]
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `limit`; zero if the limit is zero. Some numbers are likelier than others by at
    /// most `limit` in 2^32: fine for choosing, not for keys.
    #[must_use]
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.u32()) * u64::from(limit)) >> 32) as u32
    }

    fn byte(&mut self) -> u8 {
        if self.left == 0 {
            self.pool = C::hash(&[b"ropewalk random pool", &self.state]);
            self.state = C::hash(&[b"ropewalk random next", &self.state]);
            self.left = self.pool.len();
        }
        self.left -= 1;
        self.pool.get_mut(self.left).map_or(0, core::mem::take)
    }
}

impl<C> fmt::Debug for Random<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(all(test, feature = "software"))]
mod tests {
    use super::*;
    use crate::crypto::Software;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn random(seed: u8) -> Random<Software> {
        Random::new(Seed([seed; 32]))
    }

    #[test]
    fn equal_seeds_yield_equal_bytes_and_others_do_not() {
        assert_eq!(random(1).bytes::<100>(), random(1).bytes::<100>());
        assert_ne!(random(1).bytes::<100>(), random(2).bytes::<100>());
        let mut source = random(1);
        let mut fork = source.fork();
        assert_ne!(source.bytes::<32>(), fork.bytes::<32>());
    }

    #[test]
    fn nothing_that_was_given_out_stays_in_memory() {
        let mut source = random(3);
        let drawn = source.bytes::<32>();
        assert_eq!(source.pool, [0; 32]);
        assert_ne!(source.state, drawn);
        assert_ne!(source.state, [3; 32]);
    }

    #[test]
    fn numbers_do_not_repeat() {
        let mut source = random(4);
        let seen: HashSet<u64> = (0..10_000).map(|_| source.u64()).collect();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn every_number_below_the_limit_comes_up_about_as_often() {
        let mut source = random(5);
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[source.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1_150).contains(&count)), "{seen:?}");
        assert_eq!(source.below(0), 0);
        assert_eq!(source.below(1), 0);
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_asked_for_does_not_matter(cuts in prop::collection::vec(0_usize..50, 0..8)) {
            let mut pieces = random(6);
            let mut together = std::vec::Vec::new();
            for cut in cuts {
                let mut piece = std::vec![0; cut];
                pieces.fill(&mut piece);
                together.extend(piece);
            }
            let mut whole = std::vec![0; together.len()];
            random(6).fill(&mut whole);
            prop_assert_eq!(together, whole);
        }
    }
}
