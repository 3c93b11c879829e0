//! `--mode`, `--backup-link`, `--metered` and `--quota`: what the library does with them, and what the
//! command line says of those that make no sense.

mod common;

use common::{Node, loopback, noise, said};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use ropewalk::connection::{Connection, PathReport, PathState};
use ropewalk::endpoint::{BindError, Endpoint, EndpointConfig, FixedLink};
use ropewalk::identity::Identity;
use ropewalk::link::wishes::Wishes;
use ropewalk_core::id::{CostClass, Mode};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// Two loopback links; `group` keeps tests apart.
fn config(group: u8, side: u8, wishes: Wishes) -> EndpointConfig {
    let link = |n: u8| FixedLink {
        name: format!("link{n}"),
        address: SocketAddr::new(Ipv4Addr::new(127, group, n + 1, side).into(), 0),
    };
    EndpointConfig {
        services: &["sink"],
        fixed_links: Some(vec![link(0), link(1)]),
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        wishes,
        ..EndpointConfig::new(Identity::ephemeral())
    }
}

async fn connect(left: &Endpoint, right: &Endpoint) -> (Connection, Connection) {
    let addresses = right.addresses();
    let both =
        async { tokio::join!(left.connect(right.public_key(), None, &addresses), right.accept()) };
    let (dialled, accepted) = timeout(PATIENCE, both).await.unwrap();
    (dialled.unwrap(), accepted.unwrap())
}

/// Sends `bytes`, and waits until the other side has read them all.
async fn transfer((from, to): &(Connection, Connection), bytes: u64) {
    let sending = async {
        let (mut send, _receive) = from.open("sink").await.unwrap();
        send.write_all(&vec![7; usize::try_from(bytes).unwrap()]).await.unwrap();
        send.finish().await.unwrap();
    };
    let receiving = async {
        let (_, _send, mut receive) = to.accept().await.unwrap();
        let mut read = Vec::new();
        receive.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len() as u64, bytes);
    };
    timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.unwrap();
}

/// Waits until both links carry data.
async fn both_active(connection: &Connection) {
    let mut paths = connection.paths();
    let is_active = |paths: &Vec<PathReport>, link: &str| {
        paths.iter().any(|path| path.link_name == link && path.state == PathState::Active)
    };
    let active = paths.wait_for(|now| ["link0", "link1"].iter().all(|link| is_active(now, link)));
    timeout(PATIENCE, active).await.unwrap().unwrap();
}

/// Whether a path was ever suspect: the first is active from the beginning, the second changes once.
fn was_doubted(connection: &Connection) -> bool {
    connection.paths_now().iter().map(|path| path.state_changes).sum::<u32>() > 1
}

fn data_by(connection: &Connection, link: &str) -> u64 {
    let paths = connection.paths_now();
    paths.iter().filter(|path| path.link_name == link).map(|path| path.data_sent).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_holds_for_all_connections_together() {
    for (group, owner) in [(60, 0), (61, 1)] {
        let quotas = vec![("link0".to_owned(), 3 * MIB)];
        let wishes = |side| match side == owner {
            true => Wishes { quotas: quotas.clone(), ..Wishes::default() },
            false => Wishes::default(),
        };
        let left = Endpoint::bind(config(group, 1, wishes(0))).await.unwrap();
        let right = Endpoint::bind(config(group, 2, wishes(1))).await.unwrap();
        let owns = if owner == 0 { &left } else { &right };
        let quota = || {
            let links = owns.links();
            let link = links.iter().find(|link| link.name == "link0").unwrap();
            assert_eq!(link.class, CostClass::Metered, "what has a quota costs money");
            link.quota.unwrap()
        };
        let pairs = [connect(&left, &right).await, connect(&left, &right).await];
        // So much that the other link alone does not keep up in the eyes of the policy.
        let (first, second) = (transfer(&pairs[0], 40 * MIB), transfer(&pairs[1], 40 * MIB));
        tokio::join!(first, second);
        assert!(quota().used <= quota().bytes, "{:?}", quota());
        drop(pairs);
        let late = connect(&left, &right).await;
        transfer(&late, 40 * MIB).await;
        let quota = quota();
        assert_eq!(quota.bytes, 3 * MIB);
        assert!(0 < quota.used && quota.used <= quota.bytes, "{quota:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_named_spare_carries_nothing() {
    let spares = |name: &str| Wishes { spares: vec![name.into()], ..Wishes::default() };
    for (group, name, used) in [(62, "link0", "link1"), (63, "link1", "link0")] {
        let left = EndpointConfig { mode: Mode::Backup, ..config(group, 1, spares(name)) };
        let left = Endpoint::bind(left).await.unwrap();
        let right = Endpoint::bind(config(group, 2, Wishes::default())).await.unwrap();
        // Where this process waits for a processor for long, the link in use is suspect, then on
        // trial for seconds, and the spare does what it is there for. Such a connection says nothing.
        let mut undisturbed = false;
        for _ in 0..20 {
            let pair = connect(&left, &right).await;
            // Before the other is proved the spare is all there is.
            both_active(&pair.0).await;
            let before = data_by(&pair.0, name);
            transfer(&pair, MIB).await;
            if !was_doubted(&pair.0) {
                assert_eq!(data_by(&pair.0, name), before);
                assert!(data_by(&pair.0, used) >= MIB / 2);
                undisturbed = true;
                break;
            }
        }
        assert!(undisturbed, "the link was suspect in each of twenty connections");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redundant_sends_the_same_bytes_on_both() {
    let left = EndpointConfig { mode: Mode::Redundant, ..config(64, 1, Wishes::default()) };
    let left = Endpoint::bind(left).await.unwrap();
    let right = Endpoint::bind(config(64, 2, Wishes::default())).await.unwrap();
    let pair = connect(&left, &right).await;
    both_active(&pair.0).await;
    // What one link has delivered the other need not carry, and on loopback the first can be done
    // before the second has begun. In twenty transfers the second is in time for some.
    let mut copied = 0;
    for sent in 1..=20 {
        transfer(&pair, MIB).await;
        let carried = data_by(&pair.0, "link0") + data_by(&pair.0, "link1");
        copied = carried.saturating_sub(sent * MIB);
        if copied > MIB / 2 {
            return;
        }
    }
    panic!("{copied} bytes of 20 MiB were sent a second time");
}

#[tokio::test]
async fn a_wish_for_a_link_that_is_not_there_is_refused() {
    let wishes = Wishes { metered: vec!["wan0".into()], ..Wishes::default() };
    let refused = Endpoint::bind(config(65, 1, wishes)).await.map(drop);
    assert!(matches!(refused, Err(BindError::Wish(_))), "{refused:?}");
}

#[test]
fn wishes_that_make_no_sense_end_with_2_and_say_why() {
    let (node, other) = (Node::new(), Node::new());
    let lo = loopback();
    let ticket = other.wait_for_peers(&["recv"]).ticket.clone();
    node.file("a", b"a");
    let (small, twice) = (format!("{lo}=1K"), format!("{lo}=5M"));
    let table: [(&[&str], &str); 7] = [
        (&["--metered", "wan0"], "there is no link \"wan0\""),
        (&["--quota", "wan0=5M"], "there is no link \"wan0\""),
        (&["--mode", "backup", "--backup-link", "wan0"], "there is no link \"wan0\""),
        (&["--backup-link", &lo], "--mode backup"),
        (&["--quota", &small], "too small"),
        (&["--quota", &twice, "--quota", &twice], "given twice"),
        (&["--quota", &lo], "wwan0=500M"),
    ];
    for (options, expected) in table {
        let output = node.dial(&[&["send", &ticket, "a"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{options:?}: {}", said(&output));
    }
}

#[test]
fn every_mode_delivers() {
    for options in [
        &["--mode", "backup"][..],
        &["--mode", "backup", "--backup-link", &loopback()],
        &["--mode", "redundant", "--metered", &loopback()],
    ] {
        let (from, to) = (Node::new(), Node::new());
        let content = noise(2_000_000);
        let path = from.file("big.bin", &content);
        let waiting = to.wait_for_peers(&["recv", "--once"]);
        let sent = [&["send", &waiting.ticket, path.to_str().unwrap()], options].concat();
        let output = from.dial(&sent);
        assert_eq!(output.status.code(), Some(0), "{options:?}: {}", said(&output));
        assert_eq!(waiting.ended().0, Some(0));
        assert!(to.read("big.bin").unwrap() == content, "{options:?}");
    }
}
