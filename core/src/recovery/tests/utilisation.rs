//! What a path must reach: full links soon after the start, short queues, whatever the link is like.

use super::link::Link;
use super::world::World;
use crate::time::Duration;

/// A link and what is asked of it.
struct Case {
    name: &'static str,
    link: fn() -> Link,
    /// How much of the link's time may be lost before it is full, counted from the first packet
    /// sent, in milliseconds. It includes the one-way delay.
    start_ms: u64,
    /// In thousandths of the link's rate, after the first two seconds. What the link itself loses
    /// does not count as carried.
    share: u64,
}

const CASES: &[Case] = &[
    Case { name: "100 Mbit/s, 10 ms", link: || Link::new(100, 10, 256), start_ms: 55, share: 995 },
    Case { name: "50 Mbit/s, 20 ms", link: || Link::new(50, 20, 256), start_ms: 110, share: 995 },
    Case { name: "2 Mbit/s, 150 ms", link: || Link::new(2, 150, 256), start_ms: 320, share: 990 },
    Case { name: "15 Mbit/s, 25 ms", link: || Link::new(15, 25, 64), start_ms: 75, share: 995 },
    Case { name: "5 Mbit/s, 1 ms", link: || Link::new(5, 1, 64), start_ms: 6, share: 995 },
    Case { name: "25 Mbit/s, 10 ms", link: || Link::new(25, 10, 128), start_ms: 25, share: 995 },
    Case { name: "1 % lost", link: || Link::new(40, 8, 128).loss(10), start_ms: 40, share: 980 },
    Case { name: "0.5 % lost", link: || Link::new(20, 35, 256).loss(5), start_ms: 160, share: 985 },
    Case { name: "10 % lost", link: || Link::new(40, 8, 128).loss(100), start_ms: 250, share: 880 },
    Case {
        name: "10 % reordered by up to 5 ms",
        link: || Link::new(100, 10, 256).reorder(100, 5),
        start_ms: 60,
        share: 990,
    },
    Case {
        name: "5 % lost, 10 % reordered by up to 5 ms",
        link: || Link::new(100, 10, 256).loss(50).reorder(100, 5),
        start_ms: 260,
        share: 920,
    },
    Case {
        name: "5 % lost, 10 % reordered by up to a round trip",
        link: || Link::new(100, 10, 256).loss(50).reorder(100, 20),
        start_ms: 350,
        share: 800,
    },
    Case {
        name: "a queue of 13 packets",
        link: || Link::new(100, 10, 16),
        start_ms: 120,
        share: 970,
    },
    Case {
        name: "a queue of 160 ms",
        link: || Link::new(100, 10, 2_000),
        start_ms: 55,
        share: 990,
    },
    Case {
        name: "round trips that vary by 8 ms",
        link: || Link::new(20, 5, 256).jitter(8),
        start_ms: 25,
        share: 970,
    },
    Case { name: "a local network", link: || Link::new(300, 0, 256), start_ms: 5, share: 995 },
];

fn run(case: &Case, seed: u64, timer_grain: Duration, seconds: u64) -> World {
    let mut world = World::new((case.link)().seed(seed));
    world.timer_grain = timer_grain;
    world.run(seconds * 1_000);
    world
}

fn check(case: &Case, seed: u64, timer_grain: Duration, seconds: u64) {
    let world = run(case, seed, timer_grain, seconds);
    let name = std::format!("{} (seed {seed}, timers {} us)", case.name, timer_grain.as_micros());
    let carried = world.utilisation(0, 1_000);
    let possible = 1_000 - world.forth.loss;
    let lost_ms = possible.saturating_sub(carried);
    assert!(lost_ms <= case.start_ms, "{name}: {lost_ms} ms lost at the start");
    let share = world.utilisation(2_000, seconds * 1_000);
    assert!(share >= case.share, "{name}: {share} thousandths");
    for second in 2..seconds {
        // A second may hold the draining of the queue, which is to cost little.
        let share = world.utilisation(second * 1_000, second * 1_000 + 1_000);
        assert!(share >= case.share - 45, "{name}: {share} thousandths in second {second}");
    }
    let standing = world.queueing_usual(2_000);
    assert!(standing <= 103, "{name}: a standing queue of {standing} ms");
}

#[test]
fn links_are_filled_soon_and_queues_stay_short() {
    for case in CASES {
        check(case, 1, Duration::from_micros(1), 5);
    }
}

#[test]
fn coarse_timers_cost_nothing() {
    for case in CASES {
        check(case, 2, Duration::from_millis(2), 4);
    }
}

/// The long version: `cargo test --profile sim -p ropewalk-core -- --ignored`.
#[test]
#[ignore = "takes a minute unless optimised"]
fn whatever_the_seed() {
    for case in CASES {
        for seed in 0..12 {
            check(case, seed, Duration::from_millis(seed % 3).max(Duration::from_micros(1)), 30);
        }
    }
}

/// Prints what the table above is made from.
#[test]
#[ignore = "for the eye"]
fn print() {
    for case in CASES {
        let world = run(case, 1, Duration::from_micros(1), 30);
        let stats = world.recovery.stats;
        std::println!(
            "{:48} lost at start {:3} ms, worst second {:4}, queue usual {:3} ms most {:4} ms, lost {:3} late {:4} of {}",
            case.name,
            (1_000 - world.forth.loss).saturating_sub(world.utilisation(0, 1_000)),
            (2..30).map(|s| world.utilisation(s * 1_000, s * 1_000 + 1_000)).min().unwrap_or(0),
            world.queueing_usual(2_000),
            world.queueing_max(0),
            stats.lost_packets * 1_000 / stats.sent_packets,
            stats.late_packets,
            stats.sent_packets,
        );
    }
}
