//! How many repair symbols the losses ask for: twice as many as packets get lost, less a little,
//! and none while nothing is lost.
//!
//! A sum of fractions: each packet sent adds its share, and each whole is one repair symbol. The
//! loss rate is a mean over the last 512 packets, or over as many as there were: over fewer, chance
//! alone would halve it now and then, just when the next loss comes.

/// Fractions of a repair symbol, in 1/2^20.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    /// The share of packets that get lost, in 1/2^20.
    loss: u32,
    owed: u32,
    /// Packets sent, up to the length of the memory.
    seen: u32,
}

impl Demand {
    /// Nothing was lost yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet with data was sent.
    pub fn on_sent(&mut self) {
        self.seen = (self.seen + 1).min(1 << MEMORY_SHIFT);
        self.loss -= self.loss >> self.shift();
        if self.loss < NEGLIGIBLE {
            self.owed = 0;
            return;
        }
        let share = (self.loss * 2 - self.loss / 32).min(SHARE_MAX);
        self.owed = (self.owed + share).min(OWED_MAX);
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

    /// Whether a repair symbol should go out.
    #[must_use]
    pub const fn due(&self) -> bool {
        self.owed >= ONE
    }

    /// It went out.
    pub const fn on_repair(&mut self) {
        self.owed = self.owed.saturating_sub(ONE);
    }

    /// The share of packets that get lost, in 1/2^20.
    #[must_use]
    pub const fn loss(&self) -> u32 {
        self.loss
    }
}

const ONE: u32 = 1 << 20;
/// A mean over the last 512 packets, and over 32 at first.
const MEMORY_SHIFT: u32 = 9;
const MEMORY_SHIFT_FIRST: u32 = 5;
/// One packet in 512: below that losses are too rare to be worth anything.
const NEGLIGIBLE: u32 = ONE / 512;
/// With half of all packets lost there are better answers than a repair symbol for each.
const SHARE_MAX: u32 = ONE / 2;
const OWED_MAX: u32 = 2 * ONE;
/// More at once is a link that died, not one that loses.
const LOST_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn repairs(demand: &mut Demand, packets: u32, lost_in: u32) -> u32 {
        (0..packets).fold(0, |sum, packet| {
            demand.on_sent();
            demand.on_lost(u64::from(lost_in > 0 && packet % lost_in == 0));
            let due = demand.due();
            if due {
                demand.on_repair();
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
    fn five_percent_of_loss_ask_for_at_most_ten_percent_of_repair() {
        let mut demand = Demand::new();
        repairs(&mut demand, 1_000, 20);
        let sent = repairs(&mut demand, 10_000, 20);
        assert!((800..=1_000).contains(&sent), "{sent}");
    }

    #[test]
    fn when_the_losses_end_so_does_the_repair() {
        let mut demand = Demand::new();
        repairs(&mut demand, 2_000, 20);
        repairs(&mut demand, 3_000, 0);
        assert_eq!(repairs(&mut demand, 10_000, 0), 0);
    }
}
