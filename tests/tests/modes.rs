//! The modes `backup` and `redundant`, metered links and quotas, on the virtual clock.
//!
//! | what | bound |
//! |---|---|
//! | `backup`, the active link dies | a gap of 80 ms, nothing lost, back on it once it was good for a second |
//! | `backup`, both links live | the spare carries probes and nothing else |
//! | `redundant`, either link dies | no message later than 25 ms |
//! | `redundant`, one link or a much slower second one | 98 % of `bulk` on the fast link |
//! | a metered link | carries nothing while the others keep up |
//! | a quota | is never exceeded, whoever sends, and nine tenths of it are used |

use ropewalk_core::config::Config;
use ropewalk_core::connection::LinkPolicy;
use ropewalk_core::id::{CostClass, LinkId, Mode};
use ropewalk_core::path::PathReport;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{Act, LinkSpec, Report, World};

/// The links of S1: 100 Mbit/s at 10 ms and 50 Mbit/s at 20 ms, one way.
const S1: [LinkSpec; 2] = [LinkSpec::new(100, 10, 256), LinkSpec::new(50, 20, 256)];
const MEGABYTES: u64 = 1_000_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn world(seed: u64, links: &[LinkSpec], mode: Mode) -> World {
    World::new(seed, links, Config { mode, ..Config::default() })
}

/// Dials, and waits until all links have been joined and measured.
fn settle(world: &mut World) {
    world.dial();
    assert!(world.run_until(ms(3_000), World::connected), "no connection");
    world.run_until(ms(1_000), |_| false);
}

fn settled(seed: u64, links: &[LinkSpec], mode: Mode) -> World {
    let mut world = world(seed, links, mode);
    settle(&mut world);
    world
}

/// The path of node `node` on link `link`.
fn path(world: &World, node: usize, link: u8) -> PathReport {
    let connection = world.nodes[node].connection.as_ref().expect("connected");
    let found = connection.paths().find(|path| path.link == LinkId(link));
    found.unwrap_or_else(|| panic!("node {node} has no path on link {link}"))
}

fn data_sent(world: &World, node: usize, link: u8) -> u64 {
    path(world, node, link).counters.data_sent
}

fn transfer(world: &mut World, bytes: u64, limit: Duration) -> Report {
    world.send(0, "file", bytes);
    let report = world.run_to_completion(limit);
    assert_eq!(report.delivered, bytes, "{report:?}");
    report
}

fn completed(seed: u64, links: &[LinkSpec], mode: Mode, bytes: u64) -> Duration {
    let mut world = settled(seed, links, mode);
    transfer(&mut world, bytes, ms(60_000)).completed.expect("all was delivered")
}

/// 1,000 bytes every 10 ms for `seconds`; all must come.
fn messages(world: &mut World, seconds: u64, acts: &[(u64, Act)]) -> Report {
    for (after, act) in acts {
        world.schedule(ms(*after), *act);
    }
    world.send_messages("file", 1_000, ms(10), seconds * 100);
    let report = world.run_to_completion(ms(seconds * 1_000 + 2_000));
    assert_eq!(report.lateness.messages, seconds * 100, "{report:?}");
    report
}

// ---- backup ----

#[test]
fn the_spare_carries_probes_and_nothing_else() {
    // spec: 9.11-1
    for (named, spare) in [(None, 1), (Some((0, 0)), 0), (Some((1, 0)), 0), (Some((1, 1)), 1)] {
        let mut world = world(60, &S1, Mode::Backup);
        if let Some((node, link)) = named {
            let policy = LinkPolicy { spare: true, quota: None };
            world.nodes[node].set_policy(link, policy, world.now);
        }
        settle(&mut world);
        let before: Vec<_> = (0..2).map(|node| path(&world, node, spare).counters).collect();
        world.send(1, "file", 2 * MEGABYTES);
        transfer(&mut world, 5 * MEGABYTES, ms(20_000));
        for (node, before) in before.iter().enumerate() {
            let counters = path(&world, node, spare).counters;
            assert_eq!(counters.data_sent, before.data_sent, "{named:?}, node {node}");
            let packets = counters.sent_packets - before.sent_packets;
            assert!(packets <= 20, "{named:?}: node {node} sent {packets} packets on the spare");
        }
    }
}

#[test]
fn the_dearer_link_is_the_spare_however_short_it_is() {
    // spec: 9.11-2
    for node in 0..2 {
        let mut world = world(61, &S1, Mode::Backup);
        world.nodes[node].set_class(0, CostClass::Metered, world.now);
        settle(&mut world);
        world.send(1, "file", MEGABYTES);
        transfer(&mut world, MEGABYTES, ms(20_000));
        for sender in 0..2 {
            assert!(data_sent(&world, sender, 1) >= MEGABYTES, "node {sender}");
        }
        assert_eq!(data_sent(&world, 1, 0), 0);
    }
}

#[test]
fn the_spare_takes_over_within_80_ms_and_gives_back_after_a_second() {
    // spec: 9.11-3
    for seed in 100..110 {
        let mut world = settled(seed, &S1, Mode::Backup);
        let acts = [(2_000 + seed, Act::Cut(0)), (5_000, Act::Heal(0))];
        for (after, act) in acts {
            world.schedule(ms(after), act);
        }
        world.send_messages("file", 1_000, ms(10), 1_000);
        world.run_until(ms(4_990), |_| false);
        let spare = data_sent(&world, 0, 1);
        assert!(spare > 200_000, "seed {seed}: the spare has taken over: {spare}");
        // Good again, but not for a second.
        world.run_until(ms(900), |_| false);
        assert!(data_sent(&world, 0, 1) > spare + 80_000, "seed {seed}: too early");
        world.run_until(ms(500), |_| false);
        let spare = data_sent(&world, 0, 1);
        let report = world.run_to_completion(ms(8_000));
        assert_eq!(report.lateness.messages, 1_000, "seed {seed}: {report:?}");
        assert_eq!(data_sent(&world, 0, 1), spare, "seed {seed}: not given back");
        assert!(report.longest_gap <= ms(80), "seed {seed}: {report:?}");
    }
}

/// The longest gap of a transfer whose link dies so many microseconds after its beginning.
fn gap(seed: u64, links: &[LinkSpec], act: Act, after: u64) -> Duration {
    let mut world = settled(seed, links, Mode::Backup);
    world.schedule(Duration::from_micros(after), act);
    world.send(0, "file", 40 * MEGABYTES);
    world.run_until(Duration::from_micros(after) + ms(500), |_| false);
    world.report().longest_gap
}

#[test]
fn a_transfer_goes_on_within_80_ms_when_its_link_dies() {
    let acts = [Act::Sever(0), Act::Cut(0), Act::CutFrom(0, 0), Act::CutFrom(1, 0)];
    for seed in 140..152 {
        for act in acts {
            // The queue of the link is anything between empty and full then.
            let after = 1_000_000 + seed * 7_919_003 % 1_000_000;
            let gap = gap(seed, &S1, act, after);
            assert!(gap <= ms(80), "seed {seed}, {act:?} after {after} us: {gap:?}");
        }
    }
}

#[test]
fn a_transfer_loses_nothing_to_the_spare_and_back() {
    for (seed, act) in [(120, Act::Cut(0)), (121, Act::CutFrom(0, 0)), (122, Act::CutFrom(1, 0))] {
        let mut world = settled(seed, &S1, Mode::Backup);
        world.schedule(ms(700), act);
        world.schedule(ms(1_500), Act::Heal(0));
        let report = transfer(&mut world, 60 * MEGABYTES, ms(30_000));
        assert!(report.longest_gap <= ms(300), "{act:?}: {report:?}");
        assert!(data_sent(&world, 0, 1) > MEGABYTES, "{act:?}: the spare was used");
        let first = data_sent(&world, 0, 0);
        assert!(first > 20 * MEGABYTES, "{act:?}: the first link was used again: {first}");
    }
}

#[test]
fn a_spare_that_was_only_asked_is_as_quick_as_a_new_link() {
    // Probes are small and rare; they must not be taken for the most that the link can carry.
    let mut world = settled(131, &S1, Mode::Backup);
    world.run_until(ms(20_000), |_| false);
    world.schedule(ms(10), Act::LinkDown(0, 0));
    let spare = transfer(&mut world, 10 * MEGABYTES, ms(20_000)).completed;
    let fresh = completed(131, &S1[1..], Mode::Bulk, 10 * MEGABYTES);
    assert!(spare.is_some_and(|spare| spare <= fresh * 110 / 100 + ms(50)), "{spare:?}, {fresh:?}");
}

#[test]
fn a_link_that_goes_away_gives_way_to_the_spare_at_once() {
    let mut world = settled(130, &S1, Mode::Backup);
    let report = messages(&mut world, 3, &[(1_000, Act::LinkDown(0, 0))]);
    assert!(report.longest_gap <= ms(60), "{report:?}");
}

// ---- redundant ----

#[test]
fn either_link_may_die_and_no_message_is_late() {
    // spec: 9.12-1
    for seed in 200..205 {
        for link in 0..2 {
            for act in [Act::Cut(link), Act::CutFrom(0, link), Act::CutFrom(1, link)] {
                let mut world = settled(seed, &S1, Mode::Redundant);
                let acts = [(1_000 + seed % 10, act), (3_000, Act::Heal(link))];
                let report = messages(&mut world, 5, &acts);
                let late = report.lateness.max;
                assert!(late <= ms(25), "seed {seed}, {act:?}: {report:?}");
                assert!(report.longest_gap <= ms(25), "seed {seed}, {act:?}: {report:?}");
            }
        }
    }
}

#[test]
fn the_first_copy_wins() {
    // spec: 9.12-1
    let mut world = settled(210, &S1, Mode::Redundant);
    let report = messages(&mut world, 5, &[]);
    assert!(report.lateness.max <= ms(12), "{report:?}");
    for link in 0..2 {
        let sent = data_sent(&world, 0, link);
        assert!(sent >= 500_000, "every byte on link {link}: {sent}");
    }
}

#[test]
fn losses_on_both_links_are_rarely_noticed() {
    let lossy = [S1[0].lossy(20), S1[1].lossy(20)];
    let mut world = settled(211, &lossy, Mode::Redundant);
    let report = messages(&mut world, 10, &[]);
    // Lost on both: one in 2,500.
    assert!(report.lateness.max <= ms(120), "{report:?}");
}

#[test]
fn one_link_is_as_fast_as_in_bulk() {
    for link in S1 {
        let bulk = completed(220, &[link], Mode::Bulk, 20 * MEGABYTES);
        let redundant = completed(220, &[link], Mode::Redundant, 20 * MEGABYTES);
        assert!(redundant * 98 <= bulk * 100, "{redundant:?} against {bulk:?}");
    }
}

#[test]
fn a_slow_link_does_not_hold_back_the_fast_one() {
    // spec: 9.12-2
    for (seed, slow) in [(230, S1[1]), (231, LinkSpec::new(2, 150, 256)), (232, S1[1].lossy(50))] {
        let alone = completed(seed, &S1[..1], Mode::Bulk, 30 * MEGABYTES);
        let both = completed(seed, &[S1[0], slow], Mode::Redundant, 30 * MEGABYTES);
        assert!(both * 98 <= alone * 100, "{slow:?}: {both:?} against {alone:?} alone");
    }
}

#[test]
fn a_transfer_goes_on_where_a_link_dies() {
    for link in 0..2 {
        let mut world = settled(240, &S1, Mode::Redundant);
        world.schedule(ms(700), Act::Cut(link));
        world.schedule(ms(2_500), Act::Heal(link));
        let report = transfer(&mut world, 30 * MEGABYTES, ms(30_000));
        // The slow lane is behind by what the fast one had under way: 20 ms of round trip and 20 ms
        // of queue, which it sends at half the rate, behind 10 ms of its own queue.
        assert!(report.longest_gap <= ms(100), "link {link}: {report:?}");
    }
}

// ---- metered links and quotas ----

#[test]
fn a_metered_link_is_left_alone_until_it_is_needed() {
    let mut world = world(300, &S1, Mode::Bulk);
    world.nodes[0].set_class(1, CostClass::Metered, world.now);
    settle(&mut world);
    messages(&mut world, 3, &[]);
    for node in 0..2 {
        assert_eq!(data_sent(&world, node, 1), 0, "node {node}: the other keeps up");
    }
    world.schedule(ms(10), Act::Change(0, LinkSpec::new(2, 10, 64)));
    world.send(0, "file", 4 * MEGABYTES);
    world.run_until(ms(8_000), |_| false);
    assert!(data_sent(&world, 0, 1) > MEGABYTES, "the other cannot keep up");
}

#[test]
fn a_quota_is_never_exceeded_and_all_arrives_all_the_same() {
    // spec: 9.13-1
    // Who sends, and at whose end the quota is.
    for (sender, owner) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for quota in [50_000, MEGABYTES, 3 * MEGABYTES, 12 * MEGABYTES] {
            let mut world = world(310, &S1, Mode::Bulk);
            let policy = LinkPolicy { spare: false, quota: Some(quota) };
            world.nodes[owner].set_policy(0, policy, world.now);
            settle(&mut world);
            world.send(sender, "file", 20 * MEGABYTES);
            world.run_to_completion(ms(20_000));
            assert!(world.all_done(), "{sender} {owner} {quota}");
            let used: u64 = world.wires[0].iter().map(|wire| wire.bytes).sum();
            assert!(used <= quota, "{sender} {owner}: {used} of {quota}");
            // What is kept in reserve in the end is what may come at once.
            let worth = if quota < MEGABYTES { 0 } else { quota / 10 * 9 };
            assert!(used >= worth, "{sender} {owner}: only {used} of {quota}");
        }
    }
}

#[test]
fn a_quota_is_never_exceeded_where_packets_get_lost_and_both_sides_send() {
    // spec: 9.13-1
    for seed in [331, 332, 340] {
        for (owner, loss) in [(0, 0), (1, 0), (0, 20), (1, 20)] {
            let quota = (1 + seed % 4) * MEGABYTES;
            let links = [S1[0].lossy(loss), S1[1]];
            let mut world = world(seed, &links, Mode::Bulk);
            let policy = LinkPolicy { spare: false, quota: Some(quota) };
            world.nodes[owner].set_policy(0, policy, world.now);
            settle(&mut world);
            world.send(0, "file", 10 * MEGABYTES);
            world.run_until(ms(seed % 7 * 20), |_| false);
            world.send(1, "file", 10 * MEGABYTES);
            world.run_to_completion(ms(20_000));
            assert!(world.all_done(), "{seed} {owner} {loss}");
            let used: u64 = world.wires[0].iter().map(|wire| wire.bytes).sum();
            assert!(used <= quota, "seed {seed}, {owner}, {loss}: {used} of {quota}");
            // What never came counts as full packets, which not all of it were.
            let worth = quota / 100 * if loss == 0 { 90 } else { 85 };
            assert!(used >= worth, "seed {seed}, {owner}, {loss}: only {used} of {quota}");
        }
    }
}

#[test]
fn a_quota_holds_on_the_only_link_too() {
    for (sender, owner) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let quota = 5 * MEGABYTES;
        let mut world = world(320, &S1[..1], Mode::Bulk);
        let policy = LinkPolicy { spare: false, quota: Some(quota) };
        world.nodes[owner].set_policy(0, policy, world.now);
        settle(&mut world);
        world.may_stall = true;
        world.send(sender, "file", 20 * MEGABYTES);
        world.run_until(ms(120_000), |_| false);
        let used: u64 = world.wires[0].iter().map(|wire| wire.bytes).sum();
        assert!(used <= quota, "{sender} {owner}: {used} of {quota}");
        assert!(used >= quota / 10 * 9, "{sender} {owner}: only {used} of {quota}");
    }
}
