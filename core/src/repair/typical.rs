//! How long packets are, typically: where the bytes of a sum would be wasted, long ones are cut.
//!
//! A sum is as long as the longest symbol in it. Messages that are mostly sent one by one, and four
//! at once now and then, would make all sums four times as long as the most symbols; so no symbol is
//! much longer than half of all packets' contents are.

/// A running median of lengths, good to a few per cent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typical {
    /// In bytes; 0 before the first.
    length: u16,
}

impl Typical {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet's contents were so long.
    pub fn on_sent(&mut self, bytes: usize) {
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        let step = self.length / 64 + 1;
        self.length = match self.length {
            0 => bytes,
            length if length < bytes => length.saturating_add(step).min(bytes),
            length => length.saturating_sub(step).max(bytes),
        };
    }

    /// The longest that a symbol should be.
    #[must_use]
    pub fn longest(&self) -> usize {
        match self.length {
            0 => usize::MAX,
            length => (usize::from(length) + usize::from(length) / 32).max(LONGEST_MIN),
        }
    }
}

/// Below that frame heads would take more than they save.
const LONGEST_MIN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_long_ones_do_not_count() {
        let mut typical = Typical::new();
        assert_eq!(typical.longest(), usize::MAX);
        for packet in 0..1_000 {
            typical.on_sent(if packet % 5 == 0 { 830 } else { 209 });
        }
        assert!((209..=235).contains(&typical.longest()), "{}", typical.longest());
        (0..300).for_each(|_| typical.on_sent(1_198));
        assert!(typical.longest() >= 1_198, "{}", typical.longest());
        (0..300).for_each(|_| typical.on_sent(1));
        assert_eq!(typical.longest(), LONGEST_MIN);
    }
}
