//! CUBIC's window over time (RFC 9438) in whole numbers.
//!
//! ```text
//!  window   W_max ........________/      W(t) = W_max + C (t - K)^3
//!                    .-'                 K: when the window is back at W_max
//!                  /                     C = 0.4 datagrams per second cubed
//!   beta W_max  __/
//!               0      K          t
//! ```
//!
//! Windows are bytes, times milliseconds. It decides how the window grows between losses; how far
//! a loss may cut it is `congestion.rs`'s business.

use crate::arithmetic::{Wide, product};
use crate::time::{Duration, Instant};

/// The state between two cuts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    /// The window at the last cut, lowered if that was below the one before (fast convergence).
    w_max: u64,
    /// The window that Reno would have by now (RFC 9438 section 4.3).
    w_reno: u64,
    k_ms: u64,
    epoch: Option<Instant>,
}

impl Cubic {
    pub(super) const fn new() -> Self {
        Self { w_max: 0, w_reno: 0, k_ms: 0, epoch: None }
    }

    /// The window after a loss at `window`.
    pub(super) fn cut(&mut self, window: u64) -> u64 {
        let reduced = beta(window);
        self.w_max = if window < self.w_max { window.midpoint(reduced) } else { window };
        self.epoch = None;
        reduced
    }

    /// Makes the next growth start level from wherever the window then is: after slow start, and
    /// while something else holds the window down.
    pub(super) fn restart(&mut self) {
        self.w_max = 0;
        self.epoch = None;
    }

    /// The clock of growth stands still while the window was not what limited the path.
    pub(super) fn pause(&mut self, idle: Duration) {
        if let Some(epoch) = &mut self.epoch {
            *epoch += idle;
        }
    }

    /// The window after `acked` more bytes were acknowledged.
    pub(super) fn grow(
        &mut self,
        window: u64,
        acked: u64,
        datagram: u64,
        rtt: Duration,
        now: Instant,
    ) -> u64 {
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.begin(window, datagram, now),
        };
        let target = self.window_at((now + rtt).since(epoch), datagram);
        let target = target.min(window.plus(window / 2)).max(window);
        let share = |bytes: u64| bytes.times(acked).checked_div(window).unwrap_or(0);
        // Reno's slope is 3 (1 - beta) / (1 + beta) datagrams a window: 0.53 of one.
        let slope = if self.w_reno < self.w_max { datagram / 2 + datagram / 32 } else { datagram };
        self.w_reno = self.w_reno.plus(share(slope));
        let grown = window.plus(share(target - window)).max(self.w_reno);
        // After something else held the window down, it returns no faster than it starts.
        grown.min(window.plus(acked))
    }

    fn begin(&mut self, window: u64, datagram: u64, now: Instant) -> Instant {
        self.epoch = Some(now);
        self.w_reno = window;
        self.w_max = self.w_max.max(window);
        // K^3 = (W_max - W) / C, with C = 0.4 datagrams / s^3, in cubic milliseconds.
        let missing = self.w_max - window;
        let cubed = missing.times(2_500_000_000).checked_div(datagram).unwrap_or(0);
        self.k_ms = cube_root(cubed);
        now
    }

    /// `W(t)`, never below zero.
    fn window_at(&self, t: Duration, datagram: u64) -> u64 {
        let t_ms = t.as_millis();
        let distance = t_ms.abs_diff(self.k_ms).min(DISTANCE_MAX_MS);
        let cubed = distance.times(distance).times(distance) / 2_500;
        let change = cubed.times(datagram) / 1_000_000;
        if t_ms < self.k_ms { self.w_max.minus(change) } else { self.w_max.plus(change) }
    }
}

/// `window` times CUBIC's 0.7.
pub(super) const fn beta(window: u64) -> u64 {
    product(window, 717) / 1_024
}

/// Further from K than this, the curve is cut off; its cube still fits.
const DISTANCE_MAX_MS: u64 = 600_000;

/// The whole part of the cube root, a bit at a time from the top.
const fn cube_root(n: u64) -> u64 {
    let mut root: u64 = 0;
    let mut bit: u64 = 1 << 21;
    while bit > 0 {
        let candidate = root | bit;
        // The square of 22 bits fits; the cube may not, and is then too large.
        if let Some(cube) = (candidate * candidate).checked_mul(candidate)
            && cube <= n
        {
            root = candidate;
        }
        bit >>= 1;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATAGRAM: u64 = 1_200;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// A cut at `w_max` packets, then full windows acknowledged each `rtt` until `until`.
    fn run(packets: u64, rtt_ms: u64, until_ms: u64) -> u64 {
        let mut cubic = Cubic::new();
        let mut window = cubic.cut(packets * DATAGRAM);
        let rtt = Duration::from_millis(rtt_ms);
        for now in (0..until_ms).step_by(rtt_ms as usize) {
            window = cubic.grow(window, window, DATAGRAM, rtt, at(now));
        }
        window / DATAGRAM
    }

    #[test]
    fn it_is_back_at_its_maximum_after_k() {
        // K = cbrt(1000 * 0.3 / 0.4) = 9.09 s.
        assert!((690..=710).contains(&run(1_000, 100, 100)));
        assert!((960..1_000).contains(&run(1_000, 100, 6_000)));
        assert!((990..=1_010).contains(&run(1_000, 100, 9_100)));
        assert!((1_020..1_080).contains(&run(1_000, 100, 14_000)));
    }

    #[test]
    fn on_short_paths_it_is_never_slower_than_reno() {
        // 20 packets, 10 ms: Reno needs 6 / 0.53 round trips to return, CUBIC alone 2.5 s.
        assert!(run(20, 10, 150) >= 20);
    }

    #[test]
    fn a_cut_below_the_last_maximum_makes_room_for_others() {
        let mut cubic = Cubic::new();
        assert_eq!(cubic.cut(100_000), 70_019);
        assert_eq!(cubic.w_max, 100_000);
        cubic.cut(90_000);
        assert!(cubic.w_max < 90_000);
    }

    proptest! {
        #[test]
        fn the_cube_root_is_exact(n in any::<u64>()) {
            let root = u128::from(cube_root(n));
            prop_assert!(root.pow(3) <= u128::from(n) || root == 0);
            prop_assert!((root + 1).pow(3) > u128::from(n));
        }

        #[test]
        fn the_window_never_shrinks_and_at_most_half_as_much_again_each_round(
            start in 2_400_u64..1 << 34, acked in 0_u64..1 << 20, rtt in 1_u64..10_000_000, times in prop::collection::vec(0_u64..1 << 40, 1..20)) {
            let mut cubic = Cubic::new();
            let mut window = cubic.cut(start);
            let mut now = Instant::ZERO;
            for step in times {
                now += Duration::from_micros(step);
                let acked = acked.min(window);
                let grown = cubic.grow(window, acked, DATAGRAM, Duration::from_micros(rtt), now);
                prop_assert!(grown >= window && grown <= window + window / 2 + DATAGRAM);
                window = grown;
            }
        }
    }
}
