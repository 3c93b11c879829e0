//! Interfaces of other kinds and with other addresses than the usual ones, and addresses that change
//! under a transfer.

use super::super::{Lab, Node, interface, ipv4, ipv6};
use super::Stage;
use super::links::until_data;
use super::transfer::{S1, Transfer};
use core::time::Duration;
use std::io;
use std::thread::sleep;
use std::time::Instant;

/// One link, whose only address changes: first on A, then on B.
pub(super) fn changed(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1[..1])?;
    for node in [Node::A, Node::B] {
        lab.ip(node, &["-6", "address", "flush", "dev", &interface(0)])?;
    }
    let file = stage.make_file(BYTES)?;
    let mut transfer = stage.begin(&lab, &file)?;
    for node in [Node::A, Node::B] {
        sleep(WARM_UP);
        let (old, new) = (ipv4(0, node), ipv4(10 + node.index(), node));
        lab.ip(node, &["address", "add", &format!("{new}/16"), "dev", &interface(0)])?;
        // The other end reaches the new network too, as a router would make it do.
        let there = ipv4(10 + node.index(), node.other());
        lab.ip(node.other(), &["route", "add", &format!("{new}/32"), "dev", &interface(0)])?;
        lab.ip(node, &["route", "replace", &format!("{there}/32"), "dev", &interface(0)])?;
        lab.ip(node, &["address", "delete", &format!("{old}/24"), "dev", &interface(0)])?;
        let back = until_data(&lab, 0, PATIENCE);
        stage.returned(&format!("data flows after {node:?}'s address changed"), back);
    }
    transfer.finish(LIMIT)?;
    stage.intact(&transfer)
}

/// No IPv4 on either machine.
pub(super) fn ipv6_only(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    flush_ipv4(&lab)?;
    over_both(stage, &lab, "fd77:")
}

/// Nothing but the addresses that IPv6 gives itself.
pub(super) fn link_local(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    flush_ipv4(&lab)?;
    for index in 0..S1.len() {
        for node in [Node::A, Node::B] {
            let address = format!("{}/64", ipv6(index, node));
            lab.ip(node, &["-6", "address", "delete", &address, "dev", &interface(index)])?;
        }
    }
    over_both(stage, &lab, "fe80:")
}

fn flush_ipv4(lab: &Lab) -> io::Result<()> {
    for index in 0..S1.len() {
        for node in [Node::A, Node::B] {
            lab.ip(node, &["-4", "address", "flush", "dev", &interface(index)])?;
        }
    }
    Ok(())
}

/// A transfer that must use both links, by addresses that begin with `prefix` and no others.
fn over_both(stage: &mut Stage, lab: &Lab, prefix: &str) -> io::Result<()> {
    let file = stage.make_file(50_000_000)?;
    let mut transfer = stage.begin(lab, &file)?;
    transfer.finish(LIMIT)?;
    let mbit_s = transfer.receiver.number("file", "mbit_s")?;
    stage.at_least("goodput", mbit_s, 110.0, "Mbit/s");
    let remotes = remotes(&transfer);
    let fits = |remote: &String| remote.trim_start_matches('[').starts_with(prefix);
    stage.holds(
        "over both links, by these addresses",
        remotes.len() >= 2 && remotes.iter().all(fits),
    );
    stage.intact(&transfer)
}

/// The peer's addresses on the paths that carried something.
fn remotes(transfer: &Transfer) -> Vec<String> {
    let Some(file) = transfer.receiver.event("file") else { return Vec::new() };
    let paths = file["paths"].as_array().into_iter().flatten();
    let carried = paths.filter(|path| path["bytes"].as_u64() > Some(0));
    carried.filter_map(|path| path["remote"].as_str().map(str::to_owned)).collect()
}

/// A virtual Ethernet cable is plugged in during a transfer, carries most of it, and is pulled out.
pub(super) fn cable(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1[1..])?;
    let file = stage.make_file(1_000_000_000)?;
    let mut transfer = stage.begin(&lab, &file)?;
    sleep(WARM_UP);
    let peer = lab.namespace(Node::B);
    let pair = ["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", peer];
    lab.ip(Node::A, &pair)?;
    for (node, address) in [(Node::A, "10.78.0.1/24"), (Node::B, "10.78.0.2/24")] {
        lab.ip(node, &["address", "add", address, "dev", "cable"])?;
        lab.ip(node, &["link", "set", "dev", "cable", "up"])?;
    }
    let used = until_bytes(&lab, "cable", 1_000_000)?;
    stage.returned("the cable carries data after", used);
    lab.ip(Node::B, &["link", "delete", "dev", "cable"])?;
    let back = until_data(&lab, 0, PATIENCE);
    stage.returned("without it the link carries data after", back);
    // What is left would take minutes on the link alone: a second cable is used as the first.
    lab.ip(Node::A, &pair)?;
    for (node, address) in [(Node::A, "10.78.0.1/24"), (Node::B, "10.78.0.2/24")] {
        lab.ip(node, &["address", "add", address, "dev", "cable"])?;
        lab.ip(node, &["link", "set", "dev", "cable", "up"])?;
    }
    let used = until_bytes(&lab, "cable", 1_000_000)?;
    stage.returned("a second cable of that name does after", used);
    transfer.finish(LIMIT)?;
    stage.intact(&transfer)
}

/// How long it takes until A has sent so many bytes by an interface.
fn until_bytes(lab: &Lab, name: &str, bytes: u64) -> io::Result<Option<Duration>> {
    let begin = Instant::now();
    while begin.elapsed() <= PATIENCE {
        let mut cat = lab.command(Node::A, "cat");
        let count = cat.arg(format!("/sys/class/net/{name}/statistics/tx_bytes")).output()?;
        let sent = String::from_utf8_lossy(&count.stdout).trim().parse().unwrap_or(0_u64);
        if sent >= bytes {
            return Ok(Some(begin.elapsed()));
        }
        sleep(Duration::from_millis(10));
    }
    Ok(None)
}

const BYTES: u64 = 150_000_000;
const WARM_UP: Duration = Duration::from_secs(3);
/// What changed must be used within this.
const PATIENCE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(90);
