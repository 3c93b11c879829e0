//! Links die, stall, come back and half-die; nothing is lost and hardly anyone notices.

use ropewalk_core::config::Config;
use ropewalk_core::path::PathState;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{Act, LinkSpec, Report, World, completion_bound};

/// The links of S1: 100 Mbit/s at 10 ms and 50 Mbit/s at 20 ms, one way.
const S1: [LinkSpec; 2] = [LinkSpec::new(100, 10, 256), LinkSpec::new(50, 20, 256)];
const MEGABYTES: u64 = 1_000_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A connected world on these links.
fn connected(seed: u64, links: &[LinkSpec]) -> World {
    let mut world = World::new(seed, links, Config::default());
    world.dial();
    assert!(world.run_until(ms(3_000), World::connected), "no connection");
    world
}

fn bound(bytes: u64, links: &[LinkSpec]) -> Duration {
    let links: Vec<_> = links.iter().map(|link| (link.rate / 8, link.delay)).collect();
    completion_bound(bytes, &links)
}

/// Sends `bytes` while `acts` happen; the whole must take at most `budget`.
fn transfer(world: &mut World, bytes: u64, acts: &[(u64, Act)], budget: Duration) -> Report {
    for (after, act) in acts {
        world.schedule(ms(*after), *act);
    }
    world.send(0, "file", bytes);
    let report = world.run_to_completion(budget * 4);
    let completed = report.completed.unwrap_or_else(|| panic!("not delivered: {report:?}"));
    assert!(completed <= budget, "{completed:?} is over {budget:?}: {report:?}");
    assert_eq!(report.delivered, bytes);
    report
}

#[test]
fn two_clean_links_add_up() {
    let mut world = connected(1, &S1);
    let budget = bound(20 * MEGABYTES, &S1) * 112 / 100 + ms(150);
    let report = transfer(&mut world, 20 * MEGABYTES, &[], budget);
    assert!(report.again * 50 <= 20 * MEGABYTES, "{report:?}");
}

#[test]
fn a_slow_long_link_does_not_slow_the_fast_one() {
    let links = [LinkSpec::new(100, 5, 256), LinkSpec::new(2, 150, 256)];
    let mut world = connected(2, &links);
    // Alone, the fast link would take this long; 2 % on top, and the start-up.
    let budget = bound(20 * MEGABYTES, &links[..1]) * 110 / 100 + ms(200);
    transfer(&mut world, 20 * MEGABYTES, &[], budget);
}

#[test]
fn a_black_hole_on_the_fast_link_costs_a_short_gap() {
    for seed in 10..15 {
        let mut world = connected(seed, &S1);
        let acts = [(500, Act::Cut(0)), (4_500, Act::Heal(0))];
        let budget = bound(30 * MEGABYTES, &S1[1..]) + ms(1_000);
        let report = transfer(&mut world, 30 * MEGABYTES, &acts, budget);
        assert!(report.longest_gap <= ms(300), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_black_hole_on_the_slow_link_costs_a_short_gap() {
    for seed in 20..25 {
        let mut world = connected(seed, &S1);
        let acts = [(500, Act::Cut(1)), (4_500, Act::Heal(1))];
        let budget = bound(30 * MEGABYTES, &S1[..1]) + ms(1_000);
        let report = transfer(&mut world, 30 * MEGABYTES, &acts, budget);
        assert!(report.longest_gap <= ms(300), "seed {seed}: {report:?}");
    }
}

#[test]
fn acknowledgements_find_another_way_when_their_own_is_dead() {
    for (seed, link) in [(30, 0), (31, 1)] {
        let mut world = connected(seed, &S1);
        // What node 1 sends on this link, its acknowledgements, vanishes.
        let acts = [(500, Act::CutFrom(1, link)), (4_500, Act::Heal(link))];
        let budget = bound(30 * MEGABYTES, &S1[1..]) + ms(1_000);
        let report = transfer(&mut world, 30 * MEGABYTES, &acts, budget);
        assert!(report.longest_gap <= ms(300), "link {link}: {report:?}");
    }
}

#[test]
fn a_transfer_survives_the_death_of_all_links_for_five_seconds() {
    let mut world = connected(40, &S1);
    let acts =
        [(300, Act::Cut(0)), (300, Act::Cut(1)), (5_300, Act::Heal(0)), (5_300, Act::Heal(1))];
    let budget = bound(20 * MEGABYTES, &S1) + ms(6_500);
    let report = transfer(&mut world, 20 * MEGABYTES, &acts, budget);
    assert!(report.longest_gap <= ms(5_300), "{report:?}");
}

#[test]
fn a_restored_link_carries_data_again_within_two_seconds() {
    let mut world = connected(41, &S1);
    world.schedule(ms(500), Act::Cut(0));
    world.schedule(ms(2_500), Act::Heal(0));
    world.send(0, "file", 60 * MEGABYTES);
    world.run_until(ms(2_600), |_| false);
    let sent_before = carried(&world, 0);
    assert!(world.run_until(ms(2_000), |world| carried(world, 0) > sent_before + 200_000));
}

#[test]
fn an_interface_that_appears_is_used_and_one_that_goes_away_costs_nothing() {
    let mut world = connected(42, &S1[..1]);
    let added = world.add_link(S1[1]);
    for node in 0..2 {
        world.schedule(ms(500), Act::LinkUp(node, added));
    }
    world.schedule(ms(3_000), Act::LinkDown(0, 0));
    world.send(0, "file", 30 * MEGABYTES);
    assert!(world.run_until(ms(2_500), |world| carried(world, added) > 200_000), "not used");
    let report = world.run_to_completion(ms(20_000));
    assert!(world.all_done(), "{report:?}");
    assert!(report.longest_gap <= ms(300), "{report:?}");
}

#[test]
fn stalls_on_one_link_do_not_stall_the_stream() {
    let mut world = connected(43, &S1);
    let acts =
        [(500, Act::Cut(0)), (700, Act::Heal(0)), (1_200, Act::Cut(0)), (1_500, Act::Heal(0))];
    let budget = bound(30 * MEGABYTES, &S1) * 130 / 100 + ms(800);
    let report = transfer(&mut world, 30 * MEGABYTES, &acts, budget);
    assert!(report.longest_gap <= ms(200), "{report:?}");
}

#[test]
fn a_peer_that_lost_its_state_is_noticed_and_a_fresh_connection_stands_within_two_seconds() {
    // spec: 12-2
    for seed in 50..55 {
        let mut world = connected(seed, &S1);
        world.send(0, "file", 5 * MEGABYTES);
        world.schedule(ms(200), Act::Restart);
        world.run_until(ms(200), |_| false);
        let fresh = world.run_until(ms(2_000), |world| world.report().restarts == 1);
        assert!(fresh, "seed {seed}: the restart was not noticed");
        assert!(world.run_until(ms(200), World::connected), "seed {seed}");
        world.send(0, "file", MEGABYTES);
        world.run_to_completion(ms(3_000));
        assert!(world.all_done(), "seed {seed}");
    }
}

#[test]
fn an_outage_without_a_restart_keeps_the_connection() {
    // spec: 12-1
    // spec: 12-3
    let mut world = connected(56, &S1);
    let acts =
        [(300, Act::Cut(0)), (300, Act::Cut(1)), (8_300, Act::Heal(0)), (8_300, Act::Heal(1))];
    transfer(&mut world, 5 * MEGABYTES, &acts, ms(11_000));
    assert_eq!(world.report().restarts, 0);
    let connection = world.nodes[0].connection.as_ref().expect("still there");
    assert!(connection.paths().any(|path| path.state == PathState::Active));
}

/// Bytes of datagrams that link `link` has carried away from node 0.
fn carried(world: &World, link: usize) -> u64 {
    world.wires[link][0].carried * 1_472
}

// spec: 12-1
#[test]
fn links_that_die_right_after_the_handshake_cost_no_connection() {
    // The answer is under way; what the dialer says next is lost for longer than it takes to ask
    // whether the peer was restarted. Sometimes that question is the first to get through.
    for healed_after in (2_000..5_000).step_by(97) {
        let mut world = World::new(healed_after, &S1, Config::default());
        world.dial();
        for link in 0..2 {
            world.schedule(ms(15), Act::CutFrom(0, link));
            world.schedule(ms(healed_after), Act::Heal(link));
        }
        let dialled =
            |world: &World| world.nodes[0].connection.as_ref().is_some_and(|c| c.is_connected());
        assert!(world.run_until(ms(1_000), dialled), "no answer");
        let report = transfer(&mut world, 100_000, &[], ms(healed_after + 500));
        assert_eq!(report.restarts, 0, "healed after {healed_after} ms: {report:?}");
    }
}

/// Most of what was under way on the fast link had arrived. A slow one that sent all of it once more
/// would take a second before the first byte that is missing.
#[test]
fn an_unplugged_fast_link_leaves_a_slow_one_only_what_is_missing() {
    let links = [LinkSpec::new(100, 10, 256), LinkSpec::new(1, 10, 64)];
    for (seed, unplugged) in [(60, 0), (61, 1), (62, 0), (63, 1)] {
        let mut world = connected(seed, &links);
        world.schedule(ms(1_000), Act::Sever(0));
        world.schedule(ms(1_000), Act::LinkDown(unplugged, 0));
        world.send(0, "file", 100 * MEGABYTES);
        world.run_until(ms(3_000), |_| false);
        let report = world.report();
        assert!(report.longest_gap <= ms(200), "node {unplugged}: {report:?}");
    }
}
