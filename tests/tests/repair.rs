//! Error correction where it pays: messages over long links that lose packets.

use ropewalk_core::config::Config;
use ropewalk_core::connection::Stats;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{LinkSpec, Report, World};

const MESSAGES: u64 = 20_000;

/// A thousand messages a second over two links of 100 ms round trip.
fn messages(mode: Mode, loss: u32, seed: u64) -> (Report, Stats, Stats) {
    let mut link = LinkSpec::new(20, 50, 256);
    link.loss = loss;
    let config = Config { mode, ..Config::default() };
    let mut world = World::new(seed, &[link, link], config);
    world.dial();
    assert!(world.run_until(Duration::from_secs(4), World::connected), "no connection");
    world.send_messages("file", 200, Duration::from_millis(1), MESSAGES);
    let report = world.run_to_completion(Duration::from_secs(30));
    assert_eq!(report.lateness.messages, MESSAGES, "{report:?}");
    let stats = |node: usize| world.nodes[node].connection.as_ref().map(|c| c.stats());
    (report, stats(0).unwrap_or_default(), stats(1).unwrap_or_default())
}

/// Bytes on the wire, with the heads of Ethernet, IPv4 and UDP.
fn wire_bytes(stats: &Stats) -> u64 {
    stats.sent_bytes + stats.sent_packets * (14 + 20 + 8)
}

#[test]
fn with_losses_messages_come_sooner_than_by_sending_again() {
    // A p99 is made of a hundred messages that share a few losses, so that one seed in twenty lies
    // above the bound and the mean well below it: the seeds together must hold it.
    let (mut slows, mut fasts) = (Duration::ZERO, Duration::ZERO);
    let (mut bulk_bytes, mut repair_bytes) = (0, 0);
    for seed in 1..=8 {
        let (bulk, bulk_sender, _) = messages(Mode::Bulk, 50, seed);
        let (repair, sender, receiver) = messages(Mode::Repair, 50, seed);
        let (slow, fast) = (bulk.lateness.per_mille(990), repair.lateness.per_mille(990));
        (slows, fasts) = (slows + slow, fasts + fast);
        assert!(receiver.recovered * 2 > MESSAGES / 20, "{receiver:?}");
        bulk_bytes += wire_bytes(&bulk_sender);
        repair_bytes += wire_bytes(&sender);
        // Of what was computed, the sender hears before it would send it again; mostly.
        let (again, bulk_again) = (sender.again_bytes, bulk_sender.again_bytes);
        assert!(again * 10 <= bulk_again * 7, "seed {seed}: {again}, {bulk_again} in bulk");
    }
    // Twice the loss rate, of what is sent.
    assert!(repair_bytes * 100 <= bulk_bytes * 110, "{repair_bytes} against {bulk_bytes}");
    assert!(fasts * 10 <= slows * 7, "{fasts:?} against {slows:?}");
}

#[test]
fn without_losses_it_costs_nothing() {
    let (_, sender, receiver) = messages(Mode::Repair, 0, 1);
    assert_eq!((sender.repairs_sent, receiver.recovered), (0, 0));
}

#[test]
fn bytes_arrive_whole_whatever_is_lost() {
    for (seed, loss) in (1..).zip([0, 10, 50, 100, 200]) {
        let mut link = LinkSpec::new(20, 10, 128);
        link.loss = loss;
        link.burst = 3;
        link.reorder = loss;
        link.duplicate = loss;
        let config = Config { mode: Mode::Repair, ..Config::default() };
        let mut world = World::new(seed, &[link, link], config);
        world.dial();
        assert!(world.run_until(Duration::from_secs(9), World::connected), "no connection");
        world.send(0, "file", 3_000_000);
        let report = world.run_to_completion(Duration::from_secs(60));
        assert!(world.all_done() && report.delivered == 3_000_000, "loss {loss}: {report:?}");
    }
}
