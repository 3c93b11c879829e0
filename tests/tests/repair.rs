//! Error correction where it pays: messages over long links that lose packets.

use ropewalk_core::config::Config;
use ropewalk_core::connection::Stats;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{Cadence, LinkSpec, Report, World};

const MESSAGES: u64 = 20_000;

/// A thousand messages a second over two links of 100 ms round trip. `uneven`: written by a process
/// that now and then wakes late.
fn messages(mode: Mode, loss: u32, seed: u64, uneven: bool) -> (Report, Stats, Stats) {
    let mut link = LinkSpec::new(20, 50, 256);
    link.loss = loss;
    let config = Config { mode, ..Config::default() };
    let mut world = World::new(seed, &[link, link], config);
    world.dial();
    assert!(world.run_until(Duration::from_secs(4), World::connected), "no connection");
    let cadence = Cadence::new(200, Duration::from_millis(1), MESSAGES, world.now);
    world.send_cadence("file", if uneven { cadence.uneven() } else { cadence });
    let report = world.run_to_completion(Duration::from_secs(30));
    assert_eq!(report.lateness.messages, MESSAGES, "{report:?}");
    let stats = |node: usize| world.nodes[node].connection.as_ref().map(|c| c.stats());
    (report, stats(0).unwrap_or_default(), stats(1).unwrap_or_default())
}

/// Bytes on the wire, with the heads of Ethernet, IPv4 and UDP.
fn wire_bytes(stats: &Stats) -> u64 {
    stats.sent_bytes + stats.sent_packets * (14 + 20 + 8)
}

/// What eight seeds together took, of what bulk took: in percent, p99 and bytes. A p99 is made of a
/// hundred messages that share a few losses, so that single seeds lie apart.
fn of_bulk(uneven: bool) -> (u64, u64) {
    let (mut slows, mut fasts) = (Duration::ZERO, Duration::ZERO);
    let (mut bulk_bytes, mut repair_bytes) = (0, 0);
    for seed in 1..=8 {
        let (bulk, bulk_sender, _) = messages(Mode::Bulk, 50, seed, uneven);
        let (repair, sender, receiver) = messages(Mode::Repair, 50, seed, uneven);
        let (slow, fast) = (bulk.lateness.per_mille(990), repair.lateness.per_mille(990));
        assert!(fast * 10 <= slow * 7, "seed {seed}: {fast:?} against {slow:?}");
        (slows, fasts) = (slows + slow, fasts + fast);
        assert!(receiver.recovered * 2 > MESSAGES / 20, "{receiver:?}");
        bulk_bytes += wire_bytes(&bulk_sender);
        repair_bytes += wire_bytes(&sender);
        // Of what was computed, the sender hears before it would send it again; mostly.
        let (again, bulk_again) = (sender.again_bytes, bulk_sender.again_bytes);
        assert!(again * 10 <= bulk_again * 7, "seed {seed}: {again}, {bulk_again} in bulk");
    }
    let percent = |share: u64, whole: u64| (share * 100).div_ceil(whole);
    (percent(fasts.as_micros(), slows.as_micros()), percent(repair_bytes, bulk_bytes))
}

#[test]
fn with_losses_messages_come_sooner_than_by_sending_again() {
    let (time, bytes) = of_bulk(false);
    assert!(time <= 57 && bytes <= 108, "{time} % of the time, {bytes} % of the bytes");
}

#[test]
fn they_do_when_they_are_written_unevenly_too() {
    let (time, bytes) = of_bulk(true);
    assert!(time <= 62 && bytes <= 109, "{time} % of the time, {bytes} % of the bytes");
}

#[test]
fn without_losses_it_costs_nothing() {
    let (_, sender, receiver) = messages(Mode::Repair, 0, 1, false);
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
