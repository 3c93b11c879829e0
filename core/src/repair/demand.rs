//! How many repair symbols the losses ask for: seven bytes of them for each four that get lost, and
//! none while nothing is lost. Bytes, since a sum is as long as the longest symbol in it.
//!
//! Each packet sent adds its share of its own bytes to what is owed, and a repair symbol takes its
//! bytes away. The loss rate is a mean over the last 1,024 packets, or over as many as there were:
//! over fewer, chance alone would halve it now and then, just when the next loss comes.

use crate::arithmetic::Wide;

/// What is owed, and for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    /// The share of packets that get lost, in 1/2^20.
    loss: u32,
    /// In 1/2^20 of a byte.
    owed: u64,
    /// Bytes of the last packet of repair symbols: the next will be like it.
    cost: u16,
    /// Packets sent, up to the length of the memory.
    seen: u32,
}

impl Demand {
    /// Nothing was lost yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of so many bytes, with data, was sent.
    pub fn on_sent(&mut self, bytes: usize) {
        self.count();
        if self.loss < NEGLIGIBLE {
            self.owed = 0;
            return;
        }
        let share = u64::from((self.loss * SHARE / 4).min(SHARE_MAX));
        let bytes = u64::from(u16::try_from(bytes).unwrap_or(u16::MAX));
        self.owed = (self.owed + share * bytes).min(2 * self.price());
    }

    /// One packet more, of whatever kind: any may get lost.
    fn count(&mut self) {
        self.seen = (self.seen + 1).min(1 << MEMORY_SHIFT);
        self.loss -= self.loss >> self.shift();
    }

    /// Packets were found to be lost.
    pub fn on_lost(&mut self, packets: u64) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX).min(LOST_MAX);
        self.loss = (self.loss + packets * (ONE >> self.shift())).min(ONE);
    }

    /// The weight of one packet, as a power of two below one.
    const fn shift(&self) -> u32 {
        let memory = 31 - (self.seen | 1 << MEMORY_SHIFT_FIRST).leading_zeros();
        if memory > MEMORY_SHIFT { MEMORY_SHIFT } else { memory }
    }

    /// What a packet of repair symbols takes.
    fn price(&self) -> u64 {
        u64::from(self.cost.max(1)) * u64::from(ONE)
    }

    /// Whether repair symbols should go out.
    #[must_use]
    pub fn due(&self) -> bool {
        self.owed >= self.price()
    }

    /// A packet of so many bytes went out with what is due.
    pub fn on_repair(&mut self, bytes: usize) {
        self.count();
        self.cost = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.owed = self.owed.minus(self.price());
    }

    /// The share of packets that get lost, in 1/2^20.
    #[must_use]
    pub const fn loss(&self) -> u32 {
        self.loss
    }
}

const ONE: u32 = 1 << 20;
/// A mean over the last 1,024 packets, and over 32 at first.
const MEMORY_SHIFT: u32 = 10;
const MEMORY_SHIFT_FIRST: u32 = 5;
/// One packet in 512: below that losses are too rare to be worth anything.
const NEGLIGIBLE: u32 = ONE / 512;
/// In quarters of what gets lost. One byte for each would fix the losses of an average moment only.
const SHARE: u32 = 7;
/// With half of all packets lost there are better answers than a repair symbol for each.
const SHARE_MAX: u32 = ONE / 2;
/// More at once is a link that died, not one that loses.
const LOST_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn repairs(demand: &mut Demand, packets: u32, lost_in: u32) -> u32 {
        (0..packets).fold(0, |sum, packet| {
            demand.on_sent(100);
            demand.on_lost(u64::from(lost_in > 0 && packet % lost_in == 0));
            let due = demand.due();
            if due {
                demand.on_repair(100);
            }
            sum + u32::from(due)
        })
    }

    #[test]
    fn no_loss_costs_nothing() {
        let mut demand = Demand::new();
        assert_eq!(repairs(&mut demand, 10_000, 0), 0);
    }

    #[test]
    fn five_percent_of_loss_ask_for_less_than_nine_percent_of_repair() {
        let mut demand = Demand::new();
        repairs(&mut demand, 1_000, 20);
        let sent = repairs(&mut demand, 10_000, 20);
        assert!((800..=875).contains(&sent), "{sent}");
    }

    #[test]
    fn long_sums_are_rarer() {
        let (mut demand, mut bytes) = (Demand::new(), 0);
        for packet in 0..20_000_u64 {
            demand.on_sent(100);
            demand.on_lost(u64::from(packet % 20 == 0));
            while demand.due() {
                demand.on_repair(300);
                bytes += u64::from(packet >= 10_000) * 300;
            }
        }
        assert!((80_000..=88_000).contains(&bytes), "{bytes} for 1,000,000");
    }

    #[test]
    fn when_the_losses_end_so_does_the_repair() {
        let mut demand = Demand::new();
        repairs(&mut demand, 2_000, 20);
        repairs(&mut demand, 4_000, 0);
        assert_eq!(repairs(&mut demand, 10_000, 0), 0);
    }
}
