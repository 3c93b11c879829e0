//! Packets become as long as each path carries, and no longer: the length is found while data flows,
//! costs no rate, and a path that shrinks is noticed.

use ropewalk_core::config::Config;
use ropewalk_core::id::LinkId;
use ropewalk_core::path::{PathReport, PathState};
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{Act, LinkSpec, MessagePlan, Report, World, completion_bound};

const MEGABYTES: u64 = 1_000_000;
/// Of a full packet: Ethernet beside the IP packet, and beside the stream bytes IPv4, UDP, header,
/// tag and frame head.
const ETHERNET: u64 = 14;
const HEADS: u64 = 28 + 36;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connected(seed: u64, links: &[LinkSpec]) -> World {
    let mut world = World::new(seed, links, Config::default());
    world.dial();
    assert!(world.run_until(ms(4_000), World::connected), "no connection");
    world
}

/// T* for stream bytes, in packets as long as each link carries.
fn bound(bytes: u64, links: &[LinkSpec]) -> Duration {
    let carries = |link: &LinkSpec| {
        let packet = link.mtu.min(9_000) as u64 + 28;
        (link.rate / 8 * (packet - HEADS) / (packet + ETHERNET), link.delay)
    };
    completion_bound(bytes, &links.iter().map(carries).collect::<Vec<_>>())
}

fn path(world: &World, node: usize, link: u8) -> PathReport {
    let connection = world.nodes[node].connection.as_ref().expect("connected");
    connection.paths().find(|path| path.link == LinkId(link)).expect("a path")
}

fn length(world: &World, link: u8) -> usize {
    path(world, 0, link).datagram_bytes.into()
}

fn black_holes(world: &World) -> u64 {
    world.nodes[0].connection.as_ref().expect("connected").stats().black_holes
}

/// Sends `bytes` and returns what came of it; they arrive, and the promise of T* holds.
fn transfer(world: &mut World, bytes: u64, links: &[LinkSpec], spare: Duration) -> Report {
    world.send(0, "file", bytes);
    let limit = bound(bytes, links) * 100 / 94 + spare;
    let report = world.run_to_completion(limit * 4);
    let took = report.completed.unwrap_or_else(|| panic!("not delivered: {report:?}"));
    assert_eq!(report.delivered, bytes);
    assert!(took <= limit, "{took:?} is over {limit:?}: {report:?}");
    report
}

/// The length is found: never more than passes, and hardly less.
fn found(world: &World, link: u8, spec: &LinkSpec) {
    let found = length(world, link);
    let most = spec.mtu.min(9_000);
    assert!(found <= most && found + 16 > most, "{found} of {most} on link {link}");
}

#[test]
fn every_length_is_found_and_costs_no_rate() {
    // spec: 9.10-1
    for mtu in [576, 1_280, 1_400, 1_500, 9_000] {
        for seed in 0..3 {
            let link = LinkSpec::new(50, 10, 256).with_mtu(mtu);
            let mut world = connected(seed, &[link]);
            transfer(&mut world, 12 * MEGABYTES, &[link], ms(100));
            found(&world, 0, &link);
            assert_eq!(black_holes(&world), 0);
        }
    }
}

#[test]
fn links_of_different_lengths_add_up() {
    let links = [(576, 20, 5), (1_280, 30, 15), (1_500, 50, 10)]
        .map(|(mtu, rate, delay)| LinkSpec::new(rate, delay, 256).with_mtu(mtu));
    for seed in 0..5 {
        let mut world = connected(seed, &links);
        transfer(&mut world, 25 * MEGABYTES, &links, ms(150));
        for (index, link) in links.iter().enumerate() {
            found(&world, index as u8, link);
        }
        assert_eq!(black_holes(&world), 0);
    }
}

#[test]
fn a_link_that_loses_is_not_taken_for_a_short_one() {
    for seed in 0..5 {
        let link = LinkSpec { burst: 8, ..LinkSpec::new(40, 8, 256).lossy(30) };
        let mut world = connected(seed, &[link]);
        world.send(0, "file", 20 * MEGABYTES);
        let mut short = Duration::ZERO;
        let mut before = world.now;
        let done = world.run_until(ms(60_000), |world| {
            if length(world, 0) < 1_472 {
                short = short + world.now.since(before);
            }
            before = world.now;
            world.all_done()
        });
        assert!(done);
        assert!(short <= ms(1_000), "seed {seed}: short for {short:?}");
    }
}

#[test]
fn a_lost_probe_is_no_sign_of_congestion() {
    // spec: 9.10-2
    let link = LinkSpec::new(100, 20, 1_024).with_mtu(576);
    let mut world = connected(1, &[link]);
    let before = path(&world, 0, 0);
    trickle(&mut world);
    found(&world, 0, &link);
    let after = path(&world, 0, 0);
    assert!(world.wires[0][0].dropped >= 20, "the probes were lost");
    assert_eq!(after.counters.lost_packets, 0);
    assert_eq!(after.counters.state_changes, before.counters.state_changes);
    // The same without any probes.
    let config = Config { datagram_bytes_max: 548, ..Config::default() };
    let mut world = World::new(1, &[link], config);
    world.dial();
    assert!(world.run_until(ms(4_000), World::connected), "no connection");
    trickle(&mut world);
    let without = path(&world, 0, 0);
    assert_eq!(world.wires[0][0].dropped, 0);
    assert!(after.window * 10 >= without.window * 9, "{} of {}", after.window, without.window);
}

/// So little that no window is ever full, and no queue either.
fn trickle(world: &mut World) {
    for _ in 0..60 {
        world.send(0, "file", 1_000);
        world.run_until(ms(100), |_| false);
    }
}

#[test]
fn a_path_that_shrinks_is_noticed_at_once() {
    // spec: 9.10-4
    for seed in 0..5 {
        let long = LinkSpec::new(50, 10, 256);
        let short = long.with_mtu(1_280);
        let mut world = connected(seed, &[long]);
        world.schedule(ms(1_000), Act::Change(0, short));
        let report = transfer(&mut world, 15 * MEGABYTES, &[short], ms(300));
        found(&world, 0, &short);
        assert_eq!(black_holes(&world), 1, "seed {seed}");
        assert!(report.longest_gap <= ms(150), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_path_that_shrinks_twice_beside_one_that_does_not() {
    let long = LinkSpec::new(50, 10, 256);
    for seed in 0..5 {
        let mut world = connected(seed, &[long, long]);
        world.schedule(ms(600), Act::Change(0, long.with_mtu(1_280)));
        world.schedule(ms(1_200), Act::Change(0, long.with_mtu(576)));
        let links = [long.with_mtu(576), long];
        let report = transfer(&mut world, 25 * MEGABYTES, &links, ms(200));
        found(&world, 0, &links[0]);
        found(&world, 1, &long);
        assert_eq!(black_holes(&world), 2, "seed {seed}");
        assert!(report.longest_gap <= ms(120), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_stall_says_nothing_of_lengths() {
    let link = LinkSpec::new(50, 10, 256);
    let mut world = connected(1, &[link]);
    for stall in [150, 300, 500] {
        world.send(0, "file", 4 * MEGABYTES);
        world.schedule(ms(200), Act::Cut(0));
        world.schedule(ms(200 + stall), Act::Heal(0));
        assert!(world.run_until(ms(5_000), World::all_done));
        assert_eq!((black_holes(&world), length(&world, 0)), (0, 1_472), "{stall} ms");
    }
}

#[test]
fn a_path_that_grows_is_found_out_while_data_flows() {
    let short = LinkSpec::new(2, 10, 64).with_mtu(1_280);
    let mut world = connected(1, &[short]);
    world.schedule(ms(2_000), Act::Change(0, short.with_mtu(1_500)));
    world.send(0, "file", 16 * MEGABYTES);
    world.run_until(ms(50_000), |_| false);
    assert_eq!(length(&world, 0), 1_252);
    world.run_until(ms(20_000), |_| false);
    assert_eq!(length(&world, 0), 1_472);
}

#[test]
fn messages_that_are_too_long_by_now_are_dropped_and_counted() {
    // spec: 9.10-5
    let link = LinkSpec::new(50, 10, 256);
    let mut world = connected(1, &[link]);
    world.schedule(ms(1_000), Act::Change(0, link.with_mtu(1_280)));
    world.send(0, "file", 10 * MEGABYTES);
    let suspect = |world: &World| path(world, 0, 0).state == PathState::Suspect;
    assert!(world.run_until(ms(3_000), suspect), "all packets are long, so nothing passes");
    let connection = world.nodes[0].connection.as_mut().expect("connected");
    let longest = connection.datagram_max();
    assert!((1_400..1_472).contains(&longest), "{longest}");
    assert!(connection.send_datagram(&vec![7; longest + 1]).is_err(), "fits no packet");
    connection.send_datagram(&vec![7; longest]).expect("fitted a moment ago");
    assert!(world.run_until(ms(10_000), World::all_done));
    found(&world, 0, &link.with_mtu(1_280));
    let connection = world.nodes[0].connection.as_ref().expect("connected");
    assert_eq!(connection.stats().messages_dropped, 1);
    assert!(connection.datagram_max() < 1_252);
    // As long as fits, that is.
    world.plan_messages(MessagePlan { node: 0, bytes: 5_000, count: 3, every: ms(10) });
    world.send(0, "file", 100);
    world.run_until(ms(500), |_| false);
    assert_eq!(world.report().messages, (3, 3));
}
