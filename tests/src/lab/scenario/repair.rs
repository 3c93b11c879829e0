//! The mode `repair` beside `bulk`: small messages at a high rate over two long links that lose 5 %. What
//! is lost must be computed from repair symbols sooner than it could be sent again, for few bytes more;
//! and where nothing is lost, there must be none.

use super::super::peer::Workload;
use super::super::{Lab, Link, LinkSpec, Node};
use super::Stage;
use super::measure::Lateness;
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
    let (bulk, bulk_bytes) = messages(stage, "bulk", LOSS)?;
    let (repair, repair_bytes) = messages(stage, "repair", LOSS)?;
    let ratio = repair.p99_ms / bulk.p99_ms;
    stage.at_most("5 % loss: 99 of 100, of bulk's", 100.0 * ratio, 70.0, "%");
    stage.at_most("5 % loss: lost", bulk.lost + repair.lost, 0.0, "messages");
    let more = 100.0 * (repair_bytes / bulk_bytes - 1.0);
    stage.at_most("5 % loss: bytes more than bulk's", more, 200.0 * LOSS, "%");
    Ok(())
}

fn flawless(stage: &mut Stage) -> io::Result<()> {
    let (_, bulk_bytes) = messages(stage, "bulk", 0.0)?;
    let (_, repair_bytes) = messages(stage, "repair", 0.0)?;
    let more = 100.0 * (repair_bytes / bulk_bytes - 1.0);
    stage.at_most("no loss: bytes more than bulk's", more, 2.0, "%");
    let lab = lab(0.0)?;
    let (_server, ticket) = stage.node_serves(&lab)?;
    let words = ["messages", "repair", &ticket, "1000", "200", "5"];
    let mut client = stage.node(&lab, Node::A, &words)?;
    client.finish(Instant::now() + LIMIT)?;
    let symbols = client.number("counters", "repairs_sent")?;
    stage.at_most("no loss: repair symbols", symbols, 0.0, "");
    Ok(())
}

/// The lateness, and the bytes that both links delivered to B.
fn messages(stage: &mut Stage, mode: &'static str, loss: f64) -> io::Result<(Lateness, f64)> {
    let lab = lab(loss)?;
    let workload = Workload::Messages { rate: 1_000, size: 200, seconds: 20 };
    let lateness = stage.measure_ours(&lab, mode, &[], workload)?.lateness(LIMIT)?;
    let bytes = |link: &Link| link.stats(Node::A).delivered_bytes;
    let bytes = lab.links().map(bytes).sum::<u64>() as f64;
    let row = format!("{:.0} % loss", 100.0 * loss);
    stage.figure("half within, ms", &row, mode, lateness.p50_ms);
    stage.figure("99 of 100 within, ms", &row, mode, lateness.p99_ms);
    stage.figure("latest, ms", &row, mode, lateness.max_ms);
    stage.figure("megabytes on the wire", &row, mode, bytes / 1e6);
    Ok((lateness, bytes))
}

fn lab(loss: f64) -> io::Result<Lab> {
    // 1 MiB: 160 ms at 50 Mbit/s, more than a round trip.
    Lab::new(&[LinkSpec::new(50, 50, 1_024).with(|shape| shape.loss = loss); 2])
}

/// On both links, in both directions.
const LOSS: f64 = 0.05;
const LIMIT: Duration = Duration::from_secs(60);
