//! What a demonstration showed, and the table that says so.

use super::emulator::Shape;
use crate::human;
use core::time::Duration;

/// The longest gap with which a demonstration passes.
pub const GAP_MAX: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What arrived.
    pub bytes: u64,
    /// From accepting the connection to the last byte.
    pub time: Duration,
    /// The longest time without new bytes, after the first.
    pub gap_max: Duration,
    /// Whether the BLAKE3 hash at the receiver is the sender's.
    pub verified: bool,
    /// Each link.
    pub links: Vec<LinkOutcome>,
}

/// What one link did.
#[derive(Clone, Debug)]
pub struct LinkOutcome {
    /// Its name.
    pub name: String,
    /// How it was made.
    pub shape: Shape,
    /// Content that it carried.
    pub bytes: u64,
    /// The round trip, smoothed, at the end.
    pub round_trip: Duration,
    /// Packets lost, of those sent.
    pub lost: u64,
    /// Packets sent.
    pub sent: u64,
    /// Its states, with the time since the start at which each began.
    pub states: Vec<(Duration, &'static str)>,
}

impl Outcome {
    /// Whether every byte is right and no gap was too long.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verified && self.gap_max < GAP_MAX
    }

    /// Megabits of content a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        human::mbit_s(self.bytes, self.time)
    }

    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["link", "made as", "carried", "share", "round trip", "lost", "states"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.links.iter().map(|link| self.row(link)));
        human::table(&rows) + &self.summary()
    }

    fn row(&self, link: &LinkOutcome) -> [String; 7] {
        let percent = |part: u64, whole: u64| match whole {
            0 => "-".into(),
            _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
        };
        let all: u64 = self.links.iter().map(|link| link.bytes).sum();
        let states =
            link.states.iter().map(|(at, state)| format!("{state} {:.2} s", at.as_secs_f64()));
        [
            link.name.clone(),
            format!("{} Mbit/s, {} ms", link.shape.rate / 1_000_000, link.shape.delay.as_millis()),
            human::bytes(link.bytes),
            percent(link.bytes, all),
            format!("{:.1} ms", human::millis(link.round_trip)),
            percent(link.lost, link.sent),
            states.collect::<Vec<_>>().join(", "),
        ]
    }

    fn summary(&self) -> String {
        let best = self.links.iter().map(|link| link.shape.rate).max().unwrap_or(0) as f64 / 1e6;
        let right =
            if self.verified { "every byte is right (BLAKE3)" } else { "WRONG BYTES ARRIVED" };
        let gap = human::time(self.gap_max);
        let verdict = if self.gap_max < GAP_MAX { "" } else { " (too long: the limit is 1 s)" };
        format!(
            "\ntotal        {} in {}: {:.0} Mbit/s, {:.2} times the best single link's {best:.0}\n\
             longest gap  {gap}{verdict}\nverified     {right}",
            human::bytes(self.bytes),
            human::time(self.time),
            self.rate(),
            self.rate() / best.max(1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let shape =
            |rate, delay| Shape { rate, delay: Duration::from_millis(delay), queue_bytes: 1 };
        let link = |name: &str, shape, bytes, states: &[(u64, &'static str)]| LinkOutcome {
            name: name.into(),
            shape,
            bytes,
            round_trip: Duration::from_micros(10_600),
            lost: 3,
            sent: 1_000,
            states: states.iter().map(|(at, state)| (Duration::from_millis(*at), *state)).collect(),
        };
        Outcome {
            bytes: 100_000_000,
            time: Duration::from_secs(2),
            gap_max: Duration::from_millis(42),
            verified: true,
            links: vec![
                link("fast", shape(300_000_000, 5), 75_000_000, &[(10, "active")]),
                link(
                    "slow",
                    shape(100_000_000, 30),
                    25_000_000,
                    &[(40, "active"), (900, "suspect")],
                ),
            ],
        }
    }

    #[test]
    fn the_table_has_a_row_a_link_and_the_whole_below() {
        let table = outcome().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[1],
            "fast  300 Mbit/s, 5 ms   75 MB    75.0 %  10.6 ms     0.3 %  active 0.01 s"
        );
        assert!(lines[2].ends_with("active 0.04 s, suspect 0.90 s"), "{table}");
        assert!(table.contains("400 Mbit/s, 1.33 times the best single link's 300"), "{table}");
        assert!(table.contains("42 ms") && table.contains("every byte is right"), "{table}");
    }

    #[test]
    fn wrong_bytes_or_a_long_gap_do_not_pass() {
        assert!(outcome().passed());
        assert!(!Outcome { verified: false, ..outcome() }.passed());
        assert!(!Outcome { gap_max: GAP_MAX, ..outcome() }.passed());
        assert!(Outcome { verified: false, ..outcome() }.table().contains("WRONG"));
    }
}
