//! The links' rates add up, and no link that joins makes the whole slower: measured against T*,
//! the earliest moment at which the bytes can have crossed (`completion_bound`).

use ropewalk_core::config::Config;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{LinkSpec, Report, World, completion_bound};

const MEGABYTES: u64 = 1_000_000;
/// Bytes of the line that a full packet takes, and the stream bytes in it: Ethernet, IPv4 and UDP
/// take 42, and header, tag and frame head at most 36 of ours.
const FRAME_BYTES: u64 = 1_472 + 42;
const CARRIED_BYTES: u64 = 1_472 - 36;

fn connected(seed: u64, links: &[LinkSpec]) -> World {
    let mut world = World::new(seed, links, Config::default());
    world.dial();
    assert!(world.run_until(Duration::from_secs(4), World::connected), "no connection");
    world
}

/// How long `bytes` take over these links, from opening the stream to its last byte.
fn measure(seed: u64, bytes: u64, links: &[LinkSpec]) -> (Duration, Report) {
    let mut world = connected(seed, links);
    world.send(0, "file", bytes);
    let report = world.run_to_completion(Duration::from_secs(120));
    let took = report.completed.unwrap_or_else(|| panic!("not delivered: {report:?}"));
    assert_eq!(report.delivered, bytes);
    (took, report)
}

/// T* for stream bytes: what a line carries less what the packets' heads take.
fn bound(bytes: u64, links: &[LinkSpec]) -> Duration {
    let carries = |link: &LinkSpec| {
        let rate = link.rate / 8 * CARRIED_BYTES / FRAME_BYTES;
        (rate * (1_000 - u64::from(link.loss)) / 1_000, link.delay)
    };
    completion_bound(bytes, &links.iter().map(carries).collect::<Vec<_>>())
}

/// Five round trips of the longest link: what finding the rates may cost.
fn start_up(links: &[LinkSpec]) -> Duration {
    links.iter().map(|link| link.delay).max().unwrap_or(Duration::ZERO) * 10
}

/// At least `percent` of the bound, once the rates are found.
fn reaches(percent: u64, bytes: u64, links: &[LinkSpec]) {
    for seed in 0..3 {
        let (took, report) = measure(seed, bytes, links);
        let limit = bound(bytes, links) * 100 / percent + start_up(links);
        assert!(took <= limit, "seed {seed}: {took:?} is over {limit:?}: {report:?}");
    }
}

#[test]
fn s1_two_links_of_different_rates() {
    let links = [LinkSpec::new(100, 10, 256), LinkSpec::new(50, 20, 256)];
    for seed in 0..3 {
        let (took, report) = measure(seed, 25 * MEGABYTES, &links);
        // 94 % of the sum, slow start included.
        let limit = bound(25 * MEGABYTES, &links) * 100 / 94;
        assert!(took <= limit, "seed {seed}: {took:?} is over {limit:?}: {report:?}");
        assert!(report.again * 100 <= 25 * MEGABYTES, "{report:?}");
    }
}

#[test]
fn s2_a_slow_long_link_costs_at_most_two_percent() {
    let links = [LinkSpec::new(100, 5, 256), LinkSpec::new(2, 150, 256)];
    for seed in 0..3 {
        let (alone, _) = measure(seed, 25 * MEGABYTES, &links[..1]);
        let (both, report) = measure(seed, 25 * MEGABYTES, &links);
        assert!(both <= alone * 100 / 98, "seed {seed}: {both:?} against {alone:?}: {report:?}");
    }
}

#[test]
fn s5_two_slow_links_with_short_queues() {
    reaches(95, 16_777_216, &[LinkSpec::new(15, 25, 64), LinkSpec::new(5, 1, 64)]);
}

#[test]
fn s6_four_equal_links() {
    reaches(95, 62_500_000, &[LinkSpec::new(25, 10, 128); 4]);
}

#[test]
fn s7_two_links_that_lose() {
    let links = [LinkSpec::new(40, 8, 128).lossy(10), LinkSpec::new(20, 35, 256).lossy(5)];
    reaches(95, 31 * MEGABYTES, &links);
}

#[test]
fn no_link_that_joins_makes_it_slower() {
    for delay_ratio in [1, 3, 10, 60] {
        for rate_ratio in [1, 5, 50] {
            let fast = LinkSpec::new(50, 2, 128);
            for slow in [
                LinkSpec::new(50 / rate_ratio, 2 * delay_ratio, 128),
                // The link of the low rate is the one with the short way.
                LinkSpec::new(50 / rate_ratio, 1, 128),
            ] {
                let fast = LinkSpec { delay: Duration::from_millis(2 * delay_ratio), ..fast };
                let fast = if slow.delay > Duration::from_millis(1) {
                    LinkSpec { delay: Duration::from_millis(2), ..fast }
                } else {
                    fast
                };
                let (alone, _) = measure(1, 6 * MEGABYTES, &[fast]);
                let (both, report) = measure(1, 6 * MEGABYTES, &[fast, slow]);
                let limit = alone * 100 / 98 + fast.delay * 2;
                assert!(
                    both <= limit,
                    "{fast:?} alone {alone:?}, with {slow:?} {both:?}: {report:?}"
                );
            }
        }
    }
}
