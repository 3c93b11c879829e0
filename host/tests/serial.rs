//! Serial lines: two endpoints joined by a pair of pseudo-terminals, with a pump between them that
//! carries what a UART at 115,200 baud carries, and no more.
#![cfg(target_os = "linux")]

mod common;
mod pump;

use common::{Node, Waiting};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use pump::Wire;
use ropewalk::bench;
use ropewalk::connection::{Connection, PathReport, PathState};
use ropewalk::demo::emulator::{Emulator, Shape};
use ropewalk::endpoint::{BindError, Endpoint, EndpointConfig, FixedLink, LinkReport};
use ropewalk::identity::Identity;
use ropewalk::link::serial::{SerialConfig, SerialError};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Long enough for a loaded machine and a slow line.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVICES: &[&str] = &["echo"];

fn config(wire: &Wire, side: usize, links: Vec<FixedLink>) -> EndpointConfig {
    EndpointConfig {
        services: SERVICES,
        fixed_links: Some(links),
        serial: vec![SerialConfig { path: wire.path(side), baud: 115_200 }],
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        ..EndpointConfig::new(Identity::ephemeral())
    }
}

struct Pair {
    dialer: Connection,
    responder: Connection,
    endpoints: [Endpoint; 2],
}

/// Two endpoints on a wire, with UDP links beside it if there are any.
async fn pair(wire: &Wire, links: [Vec<FixedLink>; 2]) -> Pair {
    let [left, right] = links;
    let left = Endpoint::bind(config(wire, 0, left)).await.unwrap();
    let right = Endpoint::bind(config(wire, 1, right)).await.unwrap();
    let addresses = right.addresses();
    let both =
        async { tokio::join!(left.connect(right.public_key(), None, &addresses), right.accept()) };
    let (dialled, accepted) = timeout(PATIENCE, both).await.expect("a connection in time");
    let (dialer, responder) = (dialled.unwrap(), accepted.unwrap());
    Pair { dialer, responder, endpoints: [left, right] }
}

fn loopback(group: u8, side: u8) -> Vec<FixedLink> {
    let address = format!("127.{group}.1.{side}:0").parse().unwrap();
    vec![FixedLink { name: "ethernet".into(), address }]
}

/// Sends back what comes on every stream.
fn echo(connection: Connection) {
    tokio::spawn(async move {
        while let Some((_, mut send, mut receive)) = connection.accept().await {
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut receive, &mut send).await;
                let _ = send.finish().await;
            });
        }
    });
}

/// Sends bytes to the other end and back, and sees that they are the same.
async fn there_and_back(connection: &Connection, bytes: usize) {
    let sent = common::noise(bytes);
    let (mut send, mut receive) = connection.open("echo").await.unwrap();
    let mut received = Vec::new();
    let both = async {
        let writing = async {
            send.write_all(&sent).await.unwrap();
            send.finish().await.unwrap();
        };
        tokio::join!(writing, receive.read_to_end(&mut received)).1.unwrap();
    };
    timeout(PATIENCE, both).await.expect("all bytes in time");
    assert!(received == sent, "{} of {bytes} bytes", received.len());
}

/// Waits until the connection has a path over the link in this state; `None`: no path at all.
async fn until(connection: &Connection, link: &str, state: Option<PathState>) {
    let mut paths = connection.paths();
    let holds = paths.wait_for(|paths| {
        let mut here = paths.iter().filter(|path| path.link_name == link);
        match state {
            Some(state) => here.any(|path| path.state == state),
            None => here.all(|path| path.state == PathState::Down),
        }
    });
    timeout(PATIENCE, holds).await.expect("in time").unwrap();
}

/// What one link of an endpoint reports.
fn report(endpoint: &Endpoint, name: &str) -> LinkReport {
    endpoint.links().into_iter().find(|link| link.name == name).expect("the link is up")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_over_a_serial_line_alone_and_none_waits_long() {
    let wire = Wire::new();
    let pair = pair(&wire, [vec![], vec![]]).await;
    echo(pair.responder.clone());
    let start = Instant::now();
    there_and_back(&pair.dialer, 40_000).await;
    // 256 bytes a packet leave 220 to the data, and a frame has 263: 3.5 s if nothing were lost.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let paths = pair.dialer.paths_now();
    assert_eq!(paths.len(), 1);
    let PathReport { link_name, local, remote, .. } = &paths[0];
    assert_eq!([link_name, local, remote], ["line0", "serial", "serial"]);
    // 50 ms and a frame of 263 bytes at 115,200 baud, and what the pump's steps blur.
    let waited = wire.waited_most();
    assert!(waited < Duration::from_millis(50 + 23 + 10), "{waited:?}");
    assert_eq!(report(&pair.endpoints[0], "line0").corrupt_frames, Some(0));
    assert!(pair.endpoints[0].addresses().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_beside_ethernet_takes_over_when_it_is_all_there_is() {
    let wire = Wire::new();
    let pair = pair(&wire, [loopback(40, 1), loopback(40, 2)]).await;
    echo(pair.responder.clone());
    for link in ["line0", "ethernet"] {
        until(&pair.dialer, link, Some(PathState::Active)).await;
    }
    there_and_back(&pair.dialer, 2_000_000).await;
    wire.unplug();
    until(&pair.dialer, "line0", None).await;
    // The far end may have noticed first, and told us over Ethernet.
    let is_up = |endpoint: &Endpoint| endpoint.links().len() == 2;
    common::until("the links are gone", || !pair.endpoints.iter().any(is_up));
    there_and_back(&pair.dialer, 2_000_000).await;
    wire.plug();
    until(&pair.dialer, "line0", Some(PathState::Active)).await;
    there_and_back(&pair.dialer, 100_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_unplugged_and_plugged_in_again_loses_nothing() {
    let wire = Wire::new();
    let pair = pair(&wire, [vec![], vec![]]).await;
    echo(pair.responder.clone());
    let unplugging = async {
        for _ in 0..2 {
            let carried = wire.carried();
            while wire.carried() < carried + 15_000 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            wire.unplug();
            until(&pair.dialer, "line0", None).await;
            wire.plug();
            until(&pair.dialer, "line0", Some(PathState::Active)).await;
        }
    };
    tokio::join!(unplugging, there_and_back(&pair.dialer, 30_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_is_counted_and_costs_what_it_hit() {
    let wire = Wire::new();
    let pair = pair(&wire, [vec![], vec![]]).await;
    echo(pair.responder.clone());
    let noise = common::noise(1_000);
    let disturbing = async {
        for burst in noise.chunks(50) {
            let carried = wire.carried();
            while wire.carried() < carried + 500 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            wire.noise(burst);
        }
    };
    tokio::join!(disturbing, there_and_back(&pair.dialer, 10_000));
    for (side, endpoint) in pair.endpoints.iter().enumerate() {
        assert!(report(endpoint, &format!("line{side}")).corrupt_frames >= Some(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_takes_nothing_holds_up_nothing() {
    let wire = Wire::new();
    let pair = pair(&wire, [loopback(41, 1), loopback(41, 2)]).await;
    echo(pair.responder.clone());
    until(&pair.dialer, "line0", Some(PathState::Active)).await;
    wire.deafen(true);
    let start = Instant::now();
    there_and_back(&pair.dialer, 5_000_000).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    wire.deafen(false);
    until(&pair.dialer, "line0", Some(PathState::Active)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_not_there_is_an_error_alone_and_waited_for_beside_others() {
    let wire = Wire::unplugged();
    let error = Endpoint::bind(config(&wire, 0, vec![])).await.err().expect("nothing to send by");
    assert!(matches!(error, BindError::Serial(SerialError::Absent(_))), "{error}");
    let pair = pair(&wire, [loopback(42, 1), loopback(42, 2)]).await;
    echo(pair.responder.clone());
    wire.plug();
    until(&pair.dialer, "line0", Some(PathState::Active)).await;
    there_and_back(&pair.dialer, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_has_one_user_and_a_name_of_its_own() {
    let wire = Wire::new();
    let first = Endpoint::bind(config(&wire, 0, vec![])).await.unwrap();
    let error = Endpoint::bind(config(&wire, 0, vec![])).await.err().expect("it is taken");
    assert!(matches!(error, BindError::Serial(SerialError::Busy(_))), "{error}");
    drop(first);
    let mut twice = config(&wire, 0, vec![]);
    twice.serial.push(twice.serial[0].clone());
    let error = Endpoint::bind(twice).await.err().expect("one name for two");
    assert!(matches!(error, BindError::Serial(SerialError::SameName(_))), "{error}");
}

/// As a person would: a ticket that names no address, over the line alone.
#[test]
fn a_file_goes_over_a_line_by_the_command_line() {
    let wire = Wire::new();
    let (from, to) = (Node::new(), Node::new());
    let content = common::noise(10_000);
    from.file("file", &content);
    let [here, there] = [0, 1].map(|side| wire.option(side));
    let arguments = ["recv", "--once", "--json", "--serial", &there, "--link", "line1"];
    let waiting = Waiting::start(to.command(&arguments));
    let sent = from.run(&["send", &waiting.ticket, "file"]);
    assert_eq!(sent.status.code(), Some(1), "{}", common::said(&sent));
    assert!(common::said(&sent).contains("--serial PATH"), "{}", common::said(&sent));
    let sent = from.run(&[
        "send",
        &waiting.ticket,
        "file",
        "--json",
        "--serial",
        &here,
        "--link",
        "line0",
    ]);
    let (code, lines, words) = waiting.ended();
    assert_eq!((sent.status.code(), code), (Some(0), Some(0)), "{} {words}", common::said(&sent));
    assert!(to.read("file").unwrap() == content);
    let file = common::events(&lines, "file")[0];
    assert_eq!(
        (&file["paths"][0]["link"], &file["paths"][0]["remote"]),
        (&"line1".into(), &"serial".into())
    );
    let line = &common::json_lines(&sent);
    assert_eq!(common::events(line, "serial_line")[0]["corrupt_frames"], 0);
}

#[test]
fn a_line_that_is_not_there_is_told() {
    let node = Node::new();
    let absent = Wire::unplugged().option(0);
    let alone = node.run(&["recv", "--serial", &absent, "--link", "line0"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(common::said(&alone).contains(&absent), "{}", common::said(&alone));
    let beside = node.wait_for_peers(&["recv", "--serial", &absent]).interrupted();
    assert!(beside.contains(&absent) && beside.contains("as soon as"), "{beside}");
    let named_twice = node.run(&["recv", "--serial", &absent, "--serial", &absent]);
    assert_eq!(named_twice.status.code(), Some(2), "{}", common::said(&named_twice));
}

#[test]
fn links_tells_whether_a_line_can_be_used() {
    let (wire, node) = (Wire::new(), Node::new());
    let option = wire.option(0);
    let told = || {
        let output = node.run(&["links", "--json", "--serial", &option]);
        let lines = common::json_lines(&output);
        lines.into_iter().find(|line| line["kind"] == "serial").unwrap()
    };
    let line = told();
    assert_eq!(
        (&line["name"], &line["used"], &line["mtu"]),
        (&"line0".into(), &true.into(), &256.into())
    );
    wire.unplug();
    let line = told();
    assert_eq!(line["used"], false);
    assert!(line["reason"].as_str().unwrap().contains(&option), "{line}");
}
/// A silent black hole on Ethernet: the line carries on, and Ethernet does when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethernet_that_swallows_everything_is_survived_by_the_line() {
    let wire = Wire::new();
    let end =
        |side| EndpointConfig { hidden: true, ..config(&wire, side, loopback(43, side as u8 + 1)) };
    let [left, right] =
        [Endpoint::bind(end(0)).await.unwrap(), Endpoint::bind(end(1)).await.unwrap()];
    let ends = [left.addresses()[0], right.addresses()[0]];
    let shape = Shape { rate: 4_000_000, delay: Duration::from_millis(1), queue_bytes: 32 << 10 };
    let ethernet = Emulator::start("127.43.1.3:0".parse().unwrap(), ends, shape).await.unwrap();
    let at = [ethernet.address()];
    let both = async { tokio::join!(left.connect(right.public_key(), None, &at), right.accept()) };
    let (dialled, accepted) = timeout(PATIENCE, both).await.expect("a connection in time");
    let (dialer, responder) = (dialled.unwrap(), accepted.unwrap());
    echo(responder);
    for link in ["line0", "ethernet"] {
        until(&dialer, link, Some(PathState::Active)).await;
    }
    let back = AtomicU64::new(0);
    let moved = |bytes| {
        back.fetch_add(bytes, Ordering::Relaxed);
    };
    let (send, receive) = dialer.open("echo").await.unwrap();
    let cutting = async {
        while back.load(Ordering::Relaxed) < 400_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ethernet.set_cut(true);
        let before = back.load(Ordering::Relaxed);
        // What comes now came over the line.
        while back.load(Ordering::Relaxed) < before + 20_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ethernet.set_cut(false);
    };
    let running = bench::echo::run(receive, send, 800_000, &moved);
    let (outcome, ()) = timeout(PATIENCE, async { tokio::join!(running, cutting) }).await.unwrap();
    let outcome = outcome.unwrap();
    assert!(outcome.gap_max < Duration::from_secs(1), "{outcome:?}");
}

/// Frames come, and none is whole: whoever dials is told where to look.
#[test]
fn a_wrong_rate_is_hinted_at() {
    let (wire, node) = (Wire::new(), Node::new());
    let (key, serial) = (Node::new().key(), wire.option(0));
    let noise = common::noise(2_000);
    let peer = format!("{key}@serial");
    let mut dialling =
        node.command(&["bench", "echo", &peer, "--serial", &serial, "--link", "line0"]);
    let dialling = dialling.stderr(std::process::Stdio::piped()).spawn().unwrap();
    common::until("it dials", || wire.carried() > 0);
    wire.noise(&noise);
    let output = dialling.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = common::said(&output);
    assert!(said.contains("line0 was damaged") && said.contains("baud"), "{said}");
}
