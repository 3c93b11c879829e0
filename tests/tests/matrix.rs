//! The bounds that the scheduler is built for, on the virtual clock:
//!
//! | rows | what | bound |
//! |---|---|---|
//! | sweep | two links: round trips 1 to 60 times, rates 1 to 50 times apart | T* and a start-up; 98 % of the best link alone |
//! | count | one to eight links | the same |
//! | stall | one of two links freezes for 100 to 500 ms every few seconds | messages within 80 ms, 2 % sent twice |
//! | cut | one of two links becomes a black hole, in one direction or both | messages within 80 ms |
//! | outage | both links dead for 5 s | first byte within 50 ms of their return |
//!
//! All rows as a table, with the share of its bound that each one uses:
//! `cargo test --profile sim -p ropewalk-tests --test matrix -- --ignored --nocapture`

use ropewalk_core::config::Config;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{Act, LinkSpec, Report, World, completion_bound};

/// One measured figure and what it must stay under.
struct Row {
    name: String,
    figure: &'static str,
    measured: u64,
    bound: u64,
}

impl Row {
    fn new(name: &str, figure: &'static str, measured: u64, bound: u64) -> Self {
        Self { name: name.to_owned(), figure, measured, bound }
    }

    const fn holds(&self) -> bool {
        self.measured <= self.bound
    }
}

fn connected(seed: u64, links: &[LinkSpec]) -> World {
    let mut world = World::new(seed, links, Config::default());
    world.dial();
    assert!(world.run_until(ms(6_000), World::connected), "no connection");
    world
}

/// From opening the stream to its last byte.
fn transfer(seed: u64, bytes: u64, links: &[LinkSpec]) -> (Duration, Report) {
    let mut world = connected(seed, links);
    world.send(0, "file", bytes);
    let report = world.run_to_completion(ms(600_000));
    assert_eq!(report.delivered, bytes, "{report:?}");
    (report.completed.expect("all was delivered"), report)
}

/// T* for stream bytes, 5 % for what cannot be known in advance, and the start-up: three round
/// trips, and those in which slow start doubles from the first window to what the link holds.
fn limit(bytes: u64, links: &[LinkSpec]) -> Duration {
    let carries = |link: &LinkSpec| (link.rate / 8 * CARRIED_BYTES / FRAME_BYTES, link.delay);
    let best = completion_bound(bytes, &links.iter().map(carries).collect::<Vec<_>>());
    let start_up = |link: &LinkSpec| {
        let round_trip = link.delay * 2;
        let held = round_trip.bytes_at(link.rate / 8);
        let doublings = (held / INITIAL_WINDOW).max(1).ilog2();
        round_trip * (3 + u64::from(doublings))
    };
    best * 105 / 100 + links.iter().map(start_up).max().unwrap_or(Duration::ZERO)
}

/// A transfer's two rows: its bound, and the best of its links alone.
fn transfer_rows(name: &str, seed: u64, bytes: u64, links: &[LinkSpec]) -> Vec<Row> {
    let (took, report) = transfer(seed, bytes, links);
    let alone = links.iter().map(|link| transfer(seed, bytes, &[*link]).0).min().expect("links");
    let twice = bytes / 50;
    vec![
        Row::new(name, "us, T*", took.as_micros(), limit(bytes, links).as_micros()),
        Row::new(name, "us, alone", took.as_micros(), alone.as_micros() * 100 / 98),
        Row::new(name, "sent twice", report.again, twice),
    ]
}

/// Round trips 10 ms apart from 1 to 60 times, rates 10 Mbit/s from 1 to 50 times; the wide link
/// the short one, and the other way round.
fn sweep(seed: u64, bytes: u64, thin: impl Fn(usize) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut index = 0;
    for delays in [1, 2, 4, 8, 16, 60] {
        for rates in [1, 3, 10, 50] {
            for opposed in [false, true] {
                if opposed && (delays == 1 || rates == 1) {
                    continue;
                }
                index += 1;
                if !thin(index) {
                    continue;
                }
                let (near, far) = (ms(5), ms(5 * delays));
                let wide = link(10_000, if opposed { far } else { near });
                let narrow = link(10_000 / rates, if opposed { near } else { far });
                let order = if opposed { "narrow is near" } else { "wide is near" };
                let name = format!("sweep {delays} x {rates}, {order}, {bytes}");
                rows.extend(transfer_rows(&name, seed, bytes, &[wide, narrow]));
            }
        }
    }
    rows
}

/// One to eight links of 10 Mbit/s whose delays differ.
fn count(seed: u64, bytes: u64) -> Vec<Row> {
    let links: Vec<_> = (0..8).map(|index| link(10_000, ms(5 + 5 * index))).collect();
    let row = |many: usize| {
        let links = links.get(..many).expect("at most eight");
        transfer_rows(&format!("count {many}, {bytes}"), seed, bytes, links)
    };
    (1..=8).flat_map(row).collect()
}

/// Messages of 1,000 bytes at 100 Hz for so long while `acts` happen.
fn messages(seed: u64, seconds: u64, acts: &[(Duration, Act)]) -> Report {
    let mut world = connected(seed, &PAIR);
    world.run_until(ms(500), |_| false);
    for (after, act) in acts {
        world.schedule(*after, *act);
    }
    world.send_messages("file", 1_000, ms(10), seconds * 100);
    let report = world.run_to_completion(ms((seconds + 20) * 1_000));
    assert_eq!(report.lateness.messages, seconds * 100, "{report:?}");
    report
}

/// One link freezes for a while, every two seconds.
fn stalls(seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (link, which) in [(0, "fast"), (1, "slow")] {
        for length in [100, 200, 300, 500] {
            let acts: Vec<_> = (1..=6)
                .map(|turn| (ms(turn * 2_000 + turn * 3), Act::Stall(link, ms(length))))
                .collect();
            let name = format!("stall of {length} ms on the {which} link");
            let report = messages(seed, 14, &acts);
            rows.push(Row::new(&name, "us late", report.lateness.max.as_micros(), 80_000));
            rows.push(Row::new(&name, "sent twice", report.again, 14 * 100_000 / 50));
            // The same during a transfer, which both links carry.
            let mut world = connected(seed, &PAIR);
            for (after, act) in &acts {
                world.schedule(*after, *act);
            }
            let bytes = 100_000_000;
            world.send(0, "file", bytes);
            let report = world.run_to_completion(ms(60_000));
            let name = format!("{name}, transfer");
            rows.push(Row::new(&name, "us gap", report.longest_gap.as_micros(), 80_000));
            rows.push(Row::new(&name, "sent twice", report.again, bytes / 50));
        }
    }
    rows
}

/// One link swallows everything, or everything in one direction; the event may fall anywhere
/// between two messages.
fn cuts(seed: u64, phases: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (link, which) in [(0, "fast"), (1, "slow")] {
        let ways = [
            (Act::Cut(link), "both ways"),
            (Act::CutFrom(0, link), "out"),
            (Act::CutFrom(1, link), "back"),
        ];
        for (act, way) in ways {
            let name = format!("cut of the {which} link, {way}");
            let late = |phase: u64| {
                let begins = ms(2_000) + Duration::from_micros(10_000 * phase / phases);
                let acts = [(begins, act), (begins + ms(2_000), Act::Heal(link))];
                messages(seed + phase, 6, &acts).lateness.max
            };
            let worst = (0..phases).map(late).max().expect("some phase");
            rows.push(Row::new(&name, "us late", worst.as_micros(), 80_000));
        }
    }
    rows
}

/// Both links dead for five seconds in the middle of a transfer, and among messages.
fn outages(seed: u64, phases: u64) -> Vec<Row> {
    let first_byte = |phase: u64, streaming: bool| {
        let mut world = connected(seed + phase, &PAIR);
        if streaming {
            world.send(0, "file", 50_000_000);
        } else {
            world.send_messages("file", 1_000, ms(10), 800);
        }
        world.run_until(ms(1_000), |_| false);
        world.schedule(Duration::ZERO, Act::Cut(0));
        world.schedule(Duration::ZERO, Act::Cut(1));
        world.run_until(ms(5_000) + Duration::from_micros(40_000 * phase / phases), |_| false);
        world.schedule(Duration::ZERO, Act::Heal(0));
        world.schedule(Duration::ZERO, Act::Heal(1));
        let (returned, before) = (world.now, world.report().delivered);
        world.run_until(ms(5_000), |world| world.report().delivered > before);
        world.now.since(returned)
    };
    let row = |name, streaming| {
        let worst = (0..phases).map(|phase| first_byte(phase, streaming)).max();
        Row::new(name, "us to the first byte", worst.expect("some").as_micros(), 50_000)
    };
    vec![row("outage in a transfer", true), row("outage among messages", false)]
}

fn show(row: &Row) -> String {
    let share = row.measured * 100 / row.bound.max(1);
    let Row { name, figure, measured, bound } = row;
    let mark = if row.holds() { " " } else { "!" };
    format!("{mark} {share:>5} %  {name:<55} {measured:>10} of {bound:>10}  {figure}")
}

/// Everything, in many phases: for whoever changes the policy.
#[test]
#[ignore = "prints the whole table; minutes without optimisation"]
fn table() {
    let mut rows = Vec::new();
    for bytes in [100_000, 1_000_000, 4_000_000] {
        rows.extend(sweep(1, bytes, |_| true));
        rows.extend(count(1, bytes * 2));
    }
    rows.extend(stalls(1));
    rows.extend(cuts(1, 20));
    rows.extend(outages(1, 20));
    for row in &rows {
        println!("{}", show(row));
    }
    let held = rows.iter().filter(|row| row.holds()).count();
    println!("{held} of {} hold", rows.len());
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A clean link with a queue of 64 KiB.
const fn link(kbit: u64, delay: Duration) -> LinkSpec {
    let like = LinkSpec::new(1, 1, 64);
    LinkSpec { rate: kbit * 1_000, delay, ..like }
}

/// 100 Mbit/s at 10 ms and 50 Mbit/s at 20 ms, one way.
const PAIR: [LinkSpec; 2] = [LinkSpec::new(100, 10, 256), LinkSpec::new(50, 20, 256)];
/// Bytes of the line that a full packet takes, and the stream bytes in it: Ethernet, IPv4 and UDP
/// take 42, and header, tag and frame head at most 36 of ours.
const FRAME_BYTES: u64 = 1_472 + 42;
const CARRIED_BYTES: u64 = 1_472 - 36;
/// Ten full packets, as RFC 9002 section 7.2 has it.
const INITIAL_WINDOW: u64 = 12_000;
