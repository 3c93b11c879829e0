//! The cubic window curve of RFC 9438 section 4.2, in integers.
//!
//! W(t) = 0.4 (t - K)^3 + Wmax in packets and seconds, where K is the time at which the curve is
//! back at the window of the last loss. Beside it runs what Reno would do, and the larger holds.

use crate::time::{Duration, Instant};

/// The curve since the last cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    datagram: u64,
    start: Instant,
    /// Bytes: the window at the cut, and after it.
    max: u64,
    begin: u64,
    /// Milliseconds.
    k: u64,
}

impl Cubic {
    pub(super) const fn new(datagram: u64) -> Self {
        Self { datagram, start: Instant::ZERO, max: 0, begin: 0, k: 0 }
    }

    pub(super) const fn set_datagram_bytes(&mut self, datagram: u64) {
        self.datagram = datagram;
    }

    /// The window was cut from `max` to `begin`.
    pub(super) fn start(&mut self, max: u64, begin: u64, now: Instant) {
        self.start = now;
        self.max = max;
        self.begin = begin;
        let missing = max.saturating_sub(begin).checked_div(self.datagram).unwrap_or(0);
        // K^3 = missing / 0.4 in seconds, so 2.5 missing x 10^9 in milliseconds.
        self.k = cube_root(missing.saturating_mul(2_500_000_000));
    }

    /// The window grew beyond the curve by other means: the curve goes on from there.
    pub(super) const fn restart(&mut self, window: u64, now: Instant) {
        self.start = now;
        self.max = window;
        self.begin = window;
        self.k = 0;
    }

    /// Where the window should be one round trip from now, in bytes.
    pub(super) fn target(&self, rtt: Duration, now: Instant) -> u64 {
        let elapsed = (now.since(self.start) + rtt).as_millis();
        let apart = elapsed.abs_diff(self.k).min(100_000);
        // 0.4 packets x (ms / 1000)^3.
        let cubed = apart.saturating_mul(apart).saturating_mul(apart);
        let packets_milli = cubed / 2_500_000;
        let bytes = packets_milli.saturating_mul(self.datagram) / 1_000;
        let cubic = if elapsed >= self.k {
            self.max.saturating_add(bytes)
        } else {
            self.max.saturating_sub(bytes)
        };
        cubic.max(self.reno(rtt, now))
    }

    /// Reno with the same cut gains 0.53 packets a round trip (RFC 9438 section 4.3).
    fn reno(&self, rtt: Duration, now: Instant) -> u64 {
        let micros = now.since(self.start).as_micros();
        let rounds_percent = micros.saturating_mul(53).checked_div(rtt.as_micros()).unwrap_or(0);
        self.begin.saturating_add(rounds_percent.saturating_mul(self.datagram) / 100)
    }
}

/// The largest integer whose cube is at most `value`, found bit by bit.
fn cube_root(value: u64) -> u64 {
    let mut root = 0_u64;
    for bit in (0..21).rev() {
        let candidate = root | 1 << bit;
        let cubed = candidate.saturating_mul(candidate).saturating_mul(candidate);
        if cubed <= value {
            root = candidate;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_curve_is_back_at_the_old_window_after_k() {
        let mut cubic = Cubic::new(1_000);
        let start = Instant::from_micros(0);
        cubic.start(100_000, 70_000, start);
        // 30 packets are missing: K = (30 / 0.4)^(1/3) s = 4.217 s.
        assert_eq!(cubic.k, 4_217);
        let at_k = start + Duration::from_millis(4_217);
        assert_eq!(cubic.target(Duration::ZERO, at_k), 100_000);
        let later = at_k + Duration::from_secs(5);
        assert_eq!(cubic.target(Duration::ZERO, later), 150_000);
    }

    proptest! {
        #[test]
        fn cube_roots_are_exact(value: u64) {
            let value = value >> 2;
            let root = cube_root(value);
            prop_assert!(u128::from(root).pow(3) <= u128::from(value));
            prop_assert!(u128::from(root + 1).pow(3) > u128::from(value) || root == (1 << 21) - 1);
        }
    }
}
