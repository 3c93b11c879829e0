//! The mode `repair` beside `bulk`: small messages at a high rate over two long links that lose 5 %. What
//! is lost must be computed from repair symbols sooner than it could be sent again, for few bytes more;
//! and where nothing is lost, there must be none.
//!
//! The sender is the lab's own node, which tells how many symbols it sent.

use super::super::peer::Workload;
use super::super::{Lab, LinkSpec, Node, interface};
use super::Stage;
use core::time::Duration;
use std::io;
use std::time::Instant;

/// With loss and without.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for _ in 0..stage.options.runs {
        lossy(stage)?;
    }
    flawless(stage)
}

fn lossy(stage: &mut Stage) -> io::Result<()> {
    let bulk = Found::by(stage, "bulk", LOSS)?;
    let repair = Found::by(stage, "repair", LOSS)?;
    let ratio = 100.0 * repair.p99_ms / bulk.p99_ms;
    stage.at_most("5 % loss: 99 of 100, of bulk's", ratio, 70.0, "%");
    stage.at_most("5 % loss: lost", bulk.lost + repair.lost, 0.0, "messages");
    let more = 100.0 * (repair.wire_bytes / bulk.wire_bytes - 1.0);
    stage.at_most("5 % loss: bytes more than bulk's", more, 200.0 * LOSS, "%");
    Ok(())
}

fn flawless(stage: &mut Stage) -> io::Result<()> {
    for mode in ["bulk", "repair"] {
        let symbols = Found::by(stage, mode, 0.0)?.symbols;
        stage.at_most(&format!("no loss: repair symbols in {mode}"), symbols, 0.0, "");
    }
    // How many messages share a packet is the scheduler's mood. Packets of bulk are full.
    let bulk = bulk_bytes(stage, "bulk")?;
    let more = 100.0 * (bulk_bytes(stage, "repair")? / bulk - 1.0);
    stage.at_most("no loss: bytes of a transfer more than bulk's", more, 2.0, "%");
    Ok(())
}

fn bulk_bytes(stage: &mut Stage, mode: &'static str) -> io::Result<f64> {
    let lab = lab(0.0)?;
    let workload = Workload::Bulk { bytes: 40_000_000 };
    let outcome = stage.measure_ours(&lab, mode, &[], workload)?.outcome(LIMIT)?;
    stage.figure("goodput, Mbit/s", "0 % loss", mode, outcome.mbit_s);
    let bytes = wire_bytes(&lab);
    stage.figure("megabytes of a transfer that arrived", "0 % loss", mode, bytes / 1e6);
    Ok(bytes)
}

/// Of all frames that A sent and B got.
fn wire_bytes(lab: &Lab) -> f64 {
    lab.links().map(|link| link.stats(Node::A).delivered_bytes).sum::<u64>() as f64
}

/// What one run found.
struct Found {
    lost: f64,
    p99_ms: f64,
    /// Of frames that A sent and B got.
    wire_bytes: f64,
    symbols: f64,
}

impl Found {
    fn by(stage: &mut Stage, mode: &'static str, loss: f64) -> io::Result<Self> {
        let lab = lab(loss)?;
        let (mut server, ticket) = stage.node_serves(&lab)?;
        let words = ["messages", mode, &ticket, "1000", "200", "20"];
        let mut client = stage.node(&lab, Node::A, &words)?;
        client.finish(Instant::now() + LIMIT)?;
        server.listen()?;
        let row = format!("{:.0} % loss", 100.0 * loss);
        for (what, field) in [(P50, "p50_ms"), (P99, "p99_ms"), (MAX, "max_ms")] {
            stage.figure(what, &row, mode, server.number("messages", field)?);
        }
        let wire_bytes = wire_bytes(&lab);
        stage.figure("megabytes that arrived", &row, mode, wire_bytes / 1e6);
        let frames: u64 = lab.links().map(|link| link.stats(Node::A).delivered).sum();
        stage.figure("frames that arrived", &row, mode, frames as f64);
        let symbols = client.number("counters", "repairs_sent")?;
        stage.figure("repair symbols", &row, mode, symbols);
        let again = client.number("counters", "again_bytes")?;
        stage.figure("kilobytes sent again", &row, mode, again / 1e3);
        let number = |field| server.number("messages", field);
        Ok(Self { lost: number("lost")?, p99_ms: number("p99_ms")?, wire_bytes, symbols })
    }
}

fn lab(loss: f64) -> io::Result<Lab> {
    // 1 MiB: 160 ms at 50 Mbit/s, more than a round trip.
    let lab = Lab::new(&[LinkSpec::new(50, 50, 1_024).with(|shape| shape.loss = loss); 2])?;
    // Its heads are 20 bytes longer, a twelfth of a packet here: all runs must choose the same.
    for (link, node) in [(0, Node::A), (0, Node::B), (1, Node::A), (1, Node::B)] {
        lab.ip(node, &["-6", "address", "flush", "dev", &interface(link)])?;
    }
    Ok(lab)
}

/// On both links, in both directions.
const LOSS: f64 = 0.05;
const LIMIT: Duration = Duration::from_secs(60);
const P50: &str = "half within, ms";
const P99: &str = "99 of 100 within, ms";
const MAX: &str = "latest, ms";
