//! Stalls and black holes: what came before is not forgotten, and nothing waits for long.

use super::link::Link;
use super::world::World;
use crate::time::Duration;

const FROM: u64 = 3_000;

/// Runs with a freeze or a black hole from `FROM` on, and three seconds more.
fn run(mut link: Link, silence_ms: u64, freeze: bool) -> World {
    let silence = World::at(FROM)..World::at(FROM + silence_ms);
    if freeze {
        link.freezes.push(silence)
    } else {
        link.black_holes.push(silence)
    }
    let mut world = World::new(link);
    world.run(FROM + silence_ms + 3_000);
    world
}

/// Milliseconds from the end of the silence to the next arrival.
fn first_after(world: &World, silence_ms: u64) -> u64 {
    let end = World::at(FROM + silence_ms);
    let first = world.arrivals.iter().find(|at| **at >= end);
    first.map_or(u64::MAX, |at| at.since(end).as_millis())
}

#[test]
fn a_stall_of_a_radio_changes_nothing() {
    for stall in [50, 100, 200, 500, 900] {
        for link in [Link::new(100, 10, 256), Link::new(20, 35, 256)] {
            let name = std::format!("{stall} ms at {} B/s", link.bytes_per_second);
            let world = run(link, stall, true);
            let end = FROM + stall;
            assert_eq!(first_after(&world, stall), 0, "{name}");
            for (from, to) in [(0, 100), (100, 300), (300, 1_000), (1_000, 3_000)] {
                let share = world.utilisation(end + from, end + to);
                assert!(share >= 990, "{name}: {share} thousandths {from} ms after");
            }
            // Slow start's overshoot may have lost some; the stall did not.
            assert!(world.recovery.stats.lost_packets <= 250, "{name}");
        }
    }
}

#[test]
fn after_a_black_hole_the_link_is_full_again_at_once() {
    for (hole, first, full) in
        [(200, 60, 100), (500, 60, 100), (900, 60, 100), (4_000, 60, 200), (9_000, 60, 200)]
    {
        let world = run(Link::new(100, 10, 256), hole, false);
        let waited = first_after(&world, hole);
        assert!(waited <= first, "{hole} ms: first packet {waited} ms after");
        let share = world.utilisation(FROM + hole + full, FROM + hole + 3_000);
        assert!(share >= 990, "{hole} ms: {share} thousandths from {full} ms after");
    }
}

#[test]
fn a_long_path_finds_back_within_few_round_trips() {
    let world = run(Link::new(50, 20, 256), 5_000, false);
    assert!(first_after(&world, 5_000) <= 110);
    assert!(world.utilisation(8_300, 11_000) >= 980);
    let world = run(Link::new(2, 150, 256), 5_000, false);
    assert!(first_after(&world, 5_000) <= 600);
    assert!(world.utilisation(9_500, 11_000) >= 900);
}

#[test]
fn after_long_silence_probes_come_once_a_second() {
    let world = run(Link::new(100, 10, 256), 30_000, false);
    let probes = world.recovery.stats.probe_timeouts;
    assert!((140..=300).contains(&probes), "{probes} probes");
    assert!(first_after(&world, 30_000) <= 1_100);
    assert!(world.utilisation(FROM + 31_300, FROM + 33_000) >= 990);
}

#[test]
fn a_rate_that_falls_to_a_tenth_does_not_keep_a_queue() {
    let mut world = World::new(Link::new(100, 10, 2_000));
    world.run(3_000);
    world.forth.bytes_per_second /= 10;
    world.run(10_000);
    assert!(world.utilisation(5_000, 10_000) >= 980);
    assert!(world.queueing_usual(7_000) <= 105, "{}", world.queueing_usual(7_000));
}

#[test]
fn a_rate_that_rises_tenfold_is_found() {
    let mut world = World::new(Link::new(10, 10, 256));
    world.run(3_000);
    world.forth.bytes_per_second *= 10;
    world.run(10_000);
    let share = world.utilisation(4_000, 10_000);
    assert!(share >= 970, "{share}");
}

#[test]
fn a_trickle_is_not_taken_for_silence_nor_for_the_rate_of_the_path() {
    let mut world = World::new(Link::new(100, 10, 256));
    world.run(3_000);
    let (rate, probes) = (world.recovery.delivery_rate(), world.recovery.stats.probe_timeouts);
    let (lost, window) = (world.recovery.stats.lost_packets, world.recovery.window());
    world.trickle(Duration::from_millis(10));
    world.run(20_000);
    assert_eq!(world.recovery.stats.probe_timeouts, probes);
    assert_eq!(world.recovery.stats.lost_packets, lost);
    assert!(world.recovery.delivery_rate() >= rate * 9 / 10);
    assert!(world.recovery.window() <= window * 11 / 10);
    world.message_every = None;
    world.run(22_000);
    assert!(world.utilisation(20_100, 22_000) >= 980);
}
