//! Pacing: packets leave spread over the round trip, not in bursts (RFC 9002 section 7.7).
//!
//! ```text
//!    past            paid_until        now
//!   ---|------------------|=============|------> time
//!                          credit: may be sent at once, at most BURST long
//! ```
//!
//! Every byte sent takes its time at the pacing rate; `paid_until` is the moment up to which time
//! was spent. Being behind it means to wait, being ahead is credit. That moment is kept in
//! 1/1024 microseconds and the rate as its inverse, so that sending a packet costs a product and
//! no division. Where the link's own rate is known, packets leave one by one and a little slower
//! than it: what would queue before a slow line can still go another way. A run of packets is worth waiting for: once there is no credit, the next moment to
//! send is when a quantum has gathered.

use crate::arithmetic::{Wide, product, sum};
use crate::time::{Duration, Instant};

/// The pacer of one path.
#[derive(Debug)]
pub(super) struct Pacer {
    paid_until: u64,
    rate: u64,
    line: Option<u64>,
    /// Ticks a byte, times 2^16.
    inverse: u64,
    datagram: u64,
    quantum: u64,
    burst: u64,
}

impl Pacer {
    /// A pacer that lets a burst go at once.
    pub(super) fn new(rate: u64, datagram: u64, now: Instant) -> Self {
        let mut pacer =
            Self { paid_until: 0, rate: 0, line: None, inverse: 0, datagram, quantum: 0, burst: 0 };
        pacer.set_rate(rate, datagram);
        pacer.paid_until = ticks(now).minus(pacer.burst);
        pacer
    }

    /// Changes the rate, in bytes a second, and the size of a packet.
    pub(super) fn set_rate(&mut self, rate: u64, datagram: u64) {
        let line = self.line.map_or(u64::MAX, |line| line - line / LINE_HEADROOM);
        let rate = rate.min(line).max(RATE_MIN);
        if (rate, datagram) == (self.rate, self.datagram) {
            return;
        }
        (self.rate, self.datagram) = (rate, datagram);
        self.inverse = (TICKS_PER_SECOND << 16).checked_div(rate).unwrap_or(u64::MAX);
        self.quantum =
            self.cost(datagram).max(QUANTUM.min(self.cost(datagram * QUANTUM_DATAGRAMS)));
        self.burst = self.cost(datagram * BURST_DATAGRAMS).max(BURST);
        if self.line.is_some() {
            (self.quantum, self.burst) = (self.cost(datagram), self.cost(datagram));
        }
    }

    /// The link carries so many bytes a second, if that is known.
    pub(super) fn set_line_rate(&mut self, line: Option<u64>) {
        if line == self.line {
            return;
        }
        self.line = line;
        let (rate, datagram) = (self.rate, self.datagram);
        self.rate = 0;
        self.set_rate(rate, datagram);
    }

    /// What the link carries, if that is known.
    pub(super) const fn line_rate(&self) -> Option<u64> {
        self.line
    }

    /// How many bytes may leave now, or when some may.
    pub(super) fn allowance(&self, now: Instant) -> Result<u64, Instant> {
        let now = ticks(now);
        let credit = now.minus(self.paid_until).min(self.burst);
        if credit >= self.quantum {
            return Ok((credit.times(self.rate) / TICKS_PER_SECOND).max(self.datagram));
        }
        let ready = self.paid_until.plus(self.quantum);
        Err(Instant::from_micros(ready.div_ceil(TICKS)) - BEFORE)
    }

    /// Spends the time that `bytes` take.
    pub(super) fn on_sent(&mut self, bytes: u64, now: Instant) {
        let oldest = ticks(now).minus(self.burst);
        self.paid_until = self.paid_until.max(oldest).plus(self.cost(bytes));
    }

    const fn cost(&self, bytes: u64) -> u64 {
        product(bytes, self.inverse) >> 16
    }
}

const fn ticks(at: Instant) -> u64 {
    product(sum(at.as_micros(), BEFORE.as_micros()), TICKS)
}

/// There was time before the first moment, so that there can be credit at it: a burst's worth at
/// the slowest rate.
const BEFORE: Duration = Duration::from_secs(4_000);
/// Ticks in a microsecond and in a second.
const TICKS: u64 = 1 << 10;
const TICKS_PER_SECOND: u64 = TICKS * 1_000_000;
/// Bytes a second; slower than any line.
const RATE_MIN: u64 = 100;
/// One part in so many of a line's rate is left for acknowledgements and for the frames around
/// packets.
const LINE_HEADROOM: u64 = 16;
/// What is worth waiting for: half a millisecond, but no more than a run of packets.
const QUANTUM: u64 = TICKS * 500;
const QUANTUM_DATAGRAMS: u64 = 16;
/// What may gather while the sender sleeps: timers of common systems wake late by one or two
/// milliseconds, and ten packets are RFC 9002's own limit for a burst.
const BURST: u64 = TICKS * Duration::from_millis(2).as_micros();
const BURST_DATAGRAMS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn us(us: u64) -> Instant {
        Instant::from_micros(us)
    }

    /// Sends whatever is allowed until `end`, woken late by up to `late` microseconds.
    fn sent_by(rate: u64, end: u64, late: u64) -> u64 {
        let mut pacer = Pacer::new(rate, 1_200, us(0));
        let (mut now, mut sent) = (0, 0);
        while now < end {
            match pacer.allowance(us(now)) {
                Ok(_) => {
                    pacer.on_sent(1_200, us(now));
                    sent += 1_200;
                }
                Err(at) => {
                    assert!(at > us(now));
                    now = at.as_micros() + late;
                }
            }
        }
        sent
    }

    proptest! {
        #[test]
        fn the_rate_is_kept(rate in 5_000_u64..500_000_000, late in 0_u64..1_500) {
            let end = 100_000_000_000 / rate.max(50_000);
            let sent = sent_by(rate, end, late);
            let due = rate * end / 1_000_000;
            let burst = 12_000.max(rate / 500) + 1_200;
            prop_assert!(sent <= due + due / 1_000 + burst, "{sent} of {due}");
            prop_assert!(sent + due / 1_000 + burst >= due, "{sent} of {due}");
        }
    }

    #[test]
    fn runs_gather_at_high_rates_and_single_packets_go_at_low_ones() {
        let mut fast = Pacer::new(1_250_000_000, 1_200, us(0));
        while fast.allowance(us(0)).is_ok() {
            fast.on_sent(1_200, us(0));
        }
        let wake = fast.allowance(us(0)).unwrap_err();
        assert!(fast.allowance(wake).unwrap() >= 16 * 1_200);
        let mut slow = Pacer::new(250_000, 1_200, us(0));
        while slow.allowance(us(0)).is_ok() {
            slow.on_sent(1_200, us(0));
        }
        assert!(slow.allowance(us(4_801)).is_ok());
    }

    #[test]
    fn no_rate_and_no_time_break_it() {
        for rate in [0, 1, u64::MAX] {
            for now in [us(0), Instant::FAR_FUTURE] {
                let mut pacer = Pacer::new(rate, u64::from(u16::MAX), now);
                pacer.on_sent(u64::MAX, now);
                let _ = pacer.allowance(now);
            }
        }
    }
}
