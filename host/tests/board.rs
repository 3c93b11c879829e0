//! From a bare board to telemetry, as a person would: the commands in the order of the manual. The board
//! is played by this process, from nothing but its settings, at the other end of a serial line.
#![cfg(target_os = "linux")]

mod common;
mod pump;

use common::{Node, Waiting, events, json_lines, said};
use core::time::Duration;
use pump::Wire;
use ropewalk::bench::{bulk, echo};
use ropewalk::endpoint::{Endpoint, EndpointConfig};
use ropewalk::identity::Identity;
use ropewalk::key_text;
use ropewalk::link::serial::SerialConfig;
use ropewalk::ticket::Ticket;
use ropewalk_core::application::settings::{Addressing, Settings};
use ropewalk_core::application::telemetry::{RECORD_BYTES_MAX, Telemetry};
use ropewalk_core::id::Address;
use std::process::Output;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;

fn settings(node: &Node, name: &str) -> Settings {
    Settings::decode(&node.read(name).unwrap()).unwrap()
}

/// Provisions a board; the ticket, and the line about what was written.
fn provisioned(node: &Node, arguments: &[&str]) -> (String, serde_json::Value) {
    let output = node.run(&[&["provision", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = json_lines(&output);
    let ticket = events(&lines, "ticket")[0]["ticket"].as_str().unwrap().to_owned();
    (ticket, events(&lines, "provisioned")[0].clone())
}

/// A board's node on a wire.
async fn board(settings: &Settings, wire: &Wire) -> Endpoint {
    let (known, invited) = (settings.peers.clone(), settings.invitations.clone());
    let admit = move |peer, ticket| match ticket {
        Some(id) => invited.iter().find(|(known, _)| *known == id).map(|(_, secret)| *secret),
        None => known.iter().any(|known| known.key == peer).then_some([0; 32]),
    };
    let config = EndpointConfig {
        services: &[bulk::SERVICE, echo::SERVICE],
        fixed_links: Some(vec![]),
        serial: vec![SerialConfig { path: wire.path(1), baud: 115_200 }],
        admission: Some(Arc::new(admit)),
        ..EndpointConfig::new(Identity::from_secret(settings.secret))
    };
    Endpoint::bind(config).await.unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn record(count: u32) -> Vec<u8> {
    let record = Telemetry {
        count,
        boot: 7,
        uptime_ms: 1_500 * u64::from(count),
        turn_max_us: 850,
        paths: heapless::Vec::new(),
    };
    let mut room = vec![0; RECORD_BYTES_MAX];
    let len = record.encode(&mut room).unwrap();
    room.truncate(len);
    room
}

#[test]
fn a_board_is_dialled_by_its_ticket_over_a_serial_line_alone() {
    let (wire, pc) = (Wire::new(), Node::new());
    let (ticket, told) = provisioned(&pc, &["--out", "board", "--link", "off"]);
    assert_eq!(told["addresses"], serde_json::json!([]));
    let runtime = runtime();
    let _inside = runtime.enter();
    let endpoint = runtime.block_on(board(&settings(&pc, "board"), &wire));
    runtime.spawn(async move {
        while let Some(connection) = endpoint.accept().await {
            tokio::spawn(async move {
                while let Some((service, send, recv)) = connection.accept().await {
                    match service.as_str() {
                        echo::SERVICE => drop(echo::serve(recv, send).await),
                        _ => drop(bulk::serve(recv, send, Instant::now()).await),
                    }
                }
            });
        }
    });
    let serial = wire.option(0);
    let over_the_line = ["--json", "--serial", &serial, "--link", "line0"];
    let dial = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let output = pc.run(&[arguments, &over_the_line].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        json_lines(&output)
    };
    let lines = dial(&["bench", "bulk", &ticket, "--bytes", "10K"]);
    assert_eq!(events(&lines, "bulk")[0]["bytes"], 10 << 10);
    let lines = dial(&["bench", "echo", &ticket, "--bytes", "10K"]);
    let echo = events(&lines, "echo")[0];
    assert_eq!(echo["bytes"], 10 << 10);
    assert_eq!(echo["paths"][0]["link"], "line0");
    let number = |name: &str| echo[name].as_f64().unwrap();
    // 10 KiB take a second each way at this pace.
    assert!(number("seconds") > 0.8 && number("round_trip_ms") > 1.0, "{echo}");
    assert!((0.01..0.1).contains(&number("back_mbit_s")), "{echo}");
    // Without a ticket nobody gets in.
    let stranger = format!("{}@serial", told["key"].as_str().unwrap());
    let output = pc.run(&[&["bench", "echo", &stranger][..], &over_the_line].concat());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

/// Dials the first peer of the settings and sends these bytes as telemetry.
fn tell(settings: &Settings, wire: &Wire, bytes: Vec<u8>) {
    let runtime = runtime();
    runtime.block_on(async {
        let endpoint = board(settings, wire).await;
        let peer = &settings.peers[0];
        assert_eq!(peer.addresses.as_slice(), [Address::Serial]);
        let connection = endpoint.connect(peer.key, peer.ticket, &[]).await.unwrap();
        let (mut send, _receive) = connection.open("telemetry").await.unwrap();
        send.write_all(&bytes).await.unwrap();
        let _ = send.finish().await;
        connection.close(0, "");
        connection.closed().await;
    });
}

#[test]
fn a_board_that_dials_by_a_ticket_is_heard() {
    let (wire, pc) = (Wire::new(), Node::new());
    let serial = wire.option(0);
    let recv = ["recv", "--json", "--serial", &serial, "--link", "line0"];
    let waiting = Waiting::start(pc.command(&[&recv[..], &["--ticket-file", "pc"]].concat()));
    waiting.interrupted();
    let (_, told) = provisioned(&pc, &["--out", "board", "--peer", "@pc"]);
    assert_eq!(told["must_trust"], serde_json::json!([]));
    let waiting = Waiting::start(pc.command(&[&recv[..], &["--once"]].concat()));
    tell(&settings(&pc, "board"), &wire, (0..3).flat_map(record).collect());
    let (code, lines, words) = waiting.ended();
    assert_eq!(code, Some(0), "{words}");
    let records = events(&lines, "telemetry");
    assert_eq!(records.len(), 3, "{lines:?}");
    assert_eq!((&records[2]["count"], &records[2]["boot"]), (&2.into(), &7.into()));
    assert_eq!((&records[2]["uptime_ms"], &records[2]["peer"]), (&3_000.into(), &told["key"]));
    assert!(words.contains("record 2, boot 7"), "{words}");
}

#[test]
fn a_board_that_is_trusted_is_heard_and_its_nonsense_is_not() {
    let (wire, pc) = (Wire::new(), Node::new());
    let there = format!("{}@serial", pc.key());
    let (_, told) = provisioned(&pc, &["--out", "board", "--peer", &there]);
    assert_eq!(told["must_trust"], serde_json::json!([pc.key()]));
    let key = told["key"].as_str().unwrap();
    assert!(pc.run(&["peers", "trust", "board", key, "serial"]).status.success());
    let serial = wire.option(0);
    let recv = ["recv", "--trusted", "--once", "--json", "--serial", &serial, "--link", "line0"];
    for (bytes, expected) in [(record(0), 0), ([record(0), vec![0xff; 9]].concat(), 1)] {
        let start = Instant::now();
        let child = pc.command(&recv).output_while(|| {
            tell(&settings(&pc, "board"), &wire, bytes);
        });
        // A peer that is given up is told: it does not wait for a minute.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(child.status.code(), Some(expected), "{}", said(&child));
        let lines = json_lines(&child);
        let records = events(&lines, "telemetry");
        assert_eq!((records.len(), &records[0]["name"]), (1, &"board".into()));
    }
}

trait OutputWhile {
    fn output_while(&mut self, meanwhile: impl FnOnce()) -> Output;
}

impl OutputWhile for std::process::Command {
    /// Runs a command while something else happens.
    fn output_while(&mut self, meanwhile: impl FnOnce()) -> Output {
        use std::process::Stdio;
        let child = self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        meanwhile();
        child.wait_with_output().unwrap()
    }
}

#[test]
fn settings_hold_what_was_said_and_are_not_overwritten() {
    let pc = Node::new();
    let static_link = "10.9.0.5/24,via=10.9.0.1";
    let ticket = pc.run(&["provision", "--out", "board", "--link", "dhcp", "--link", static_link]);
    assert_eq!(ticket.status.code(), Some(0), "{}", said(&ticket));
    let text = String::from_utf8(ticket.stdout).unwrap();
    let ticket: Ticket = text.parse().expect("standard output holds the ticket alone");
    assert_eq!(ticket.addresses, ["10.9.0.5:4433".parse().unwrap()]);
    let first = settings(&pc, "board");
    assert_eq!(Identity::from_secret(first.secret).public(), ticket.key);
    assert_eq!(first.invitations.as_slice(), [(ticket.id, ticket.secret)]);
    assert_eq!((first.addressing(0), first.port), (Addressing::Dhcp, 4_433));
    assert!(matches!(first.addressing(1), Addressing::Static { prefix: 24, gateway: Some(_), .. }));

    let again = pc.run(&["provision", "--out", "board"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("--force"), "{}", said(&again));
    assert!(settings(&pc, "board") == first);
    let forced = |arguments: &[&str]| {
        provisioned(&pc, &[&["--out", "board", "--force"], arguments].concat()).1
    };
    assert_ne!(forced(&[])["key"], key_text::format(&ticket.key));
    let kept = forced(&["--key-file", "board.key", "--port", "9"]);
    assert_eq!(
        (&kept["key"], &kept["port"]),
        (&forced(&["--key-file", "board.key"])["key"], &9.into())
    );
}

#[test]
fn slips_are_named_and_leave_no_file() {
    let pc = Node::new();
    let key = pc.key();
    let peers: Vec<String> = (1..=5).map(|n| format!("{key}@10.0.0.{n}:7")).collect();
    let twice = ["--peer", &peers[0], "--peer", &peers[1]];
    for (arguments, code, named) in [
        (&["--peer", "attic"][..], 1, "attic"),
        (&["--peer", "rope1abc"], 2, "cut short"),
        (&["--serial-peer", "nokey@serial"], 2, "55 characters"),
        (&["--link", "10.0.0.5/24,via=10.1.0.1"], 2, "neighbour"),
        (&["--link", "10.0.0.5"], 2, "ADDRESS/PREFIX"),
        (&twice, 2, "twice"),
    ] {
        let output = pc.run(&[&["provision", "--out", "board"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(named), "{}", said(&output));
        assert!(pc.names().is_empty(), "{arguments:?}");
    }
}
