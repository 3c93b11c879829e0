//! Loss, reordering, duplication and corruption: everything arrives, once and in order.

use ropewalk_core::config::Config;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;
use ropewalk_tests::sim::{LinkSpec, World};

fn impaired(link: LinkSpec) -> LinkSpec {
    LinkSpec { loss: 50, reorder: 100, duplicate: 50, corrupt: 10, ..link }
}

fn deliver(seed: u64, links: &[LinkSpec], config: Config, streams: &[u64]) -> World {
    let mut world = World::new(seed, links, config);
    world.dial();
    assert!(world.run_until(Duration::from_secs(4), World::connected), "no connection");
    for bytes in streams {
        world.send(0, "file", *bytes);
    }
    let report = world.run_to_completion(Duration::from_secs(120));
    assert!(world.all_done(), "seed {seed}: {report:?}");
    assert_eq!(report.delivered, streams.iter().sum::<u64>());
    world
}

#[test]
fn everything_at_once_goes_wrong_and_the_bytes_are_right() {
    let links = [impaired(LinkSpec::new(100, 10, 256)), impaired(LinkSpec::new(50, 20, 256))];
    for seed in 0..4 {
        let world = deliver(seed, &links, Config::default(), &[3_000_000, 0, 1, 200_000]);
        let stats = world.nodes[1].connection.as_ref().expect("there").stats();
        assert!(stats.forged > 0, "flipped bits are counted: {stats:?}");
        assert!(stats.replayed > 0, "copies are counted: {stats:?}");
    }
}

#[test]
fn bursts_of_loss_are_survived() {
    let link = LinkSpec { loss: 100, burst: 8, ..LinkSpec::new(20, 15, 128) };
    for seed in 0..4 {
        deliver(seed, &[link, link], Config::default(), &[1_000_000]);
    }
}

#[test]
fn half_of_everything_lost_is_slow_but_right() {
    deliver(7, &[LinkSpec::new(20, 10, 128).lossy(500)], Config::default(), &[100_000]);
}

#[test]
fn spread_uses_every_path_and_keeps_the_order() {
    let links = [LinkSpec::new(20, 5, 128), LinkSpec::new(20, 30, 128), LinkSpec::new(20, 60, 128)];
    let config = Config { mode: Mode::Spread, ..Config::default() };
    let world = deliver(3, &links, config, &[4_000_000]);
    let answering = world.nodes[1].connection.as_ref().expect("there");
    assert_eq!(answering.mode(), Mode::Spread, "the dialer's word binds both");
    for wire in &world.wires {
        assert!(wire[0].carried > 100, "every link carries its share");
    }
}

#[test]
fn keys_change_under_load_without_a_lost_byte() {
    let links = [impaired(LinkSpec::new(50, 10, 256)), impaired(LinkSpec::new(50, 40, 256))];
    let config = Config { packets_per_key: 500, ..Config::default() };
    let world = deliver(11, &links, config, &[20_000_000]);
    let stats = world.nodes[0].connection.as_ref().expect("there").stats();
    assert!(stats.key_changes >= 3, "{stats:?}");
}
