//! The mode `backup`: the 100 Mbit/s link of S1 carries everything and the other stands by. The one in
//! use becomes a black hole for 4 s, and is used again once it has been good for a while.

use super::super::peer::Workload;
use super::super::{Lab, Node};
use super::Stage;
use super::links::until_data;
use super::measure::Lateness;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// Messages, for their lateness; then bulk, for the gap and for every byte.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for _ in 0..stage.options.runs {
        let normal = undisturbed(stage)?;
        messages(stage, &normal)?;
        bulk(stage)?;
    }
    Ok(())
}

fn undisturbed(stage: &mut Stage) -> io::Result<Lateness> {
    let lab = Lab::new(&S1)?;
    let running = stage.measure_ours(&lab, "backup", &spare(), messages_for(5))?;
    let normal = running.lateness(LIMIT)?;
    stage.figure("latest, ms", "nothing happens", "backup", normal.max_ms);
    Ok(normal)
}

fn messages(stage: &mut Stage, normal: &Lateness) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let running = stage.measure_ours(&lab, "backup", &spare(), messages_for(25))?;
    sleep(Duration::from_secs(5));
    stage.at_most("before the cut: the spare's part", spare_percent(&lab, [0; 2]), 3.0, "%");
    lab.link(0).cut();
    sleep(CUT);
    lab.link(0).restore();
    let back = until_data(&lab, 0, FAILBACK).map_or(f64::INFINITY, |after| after.as_secs_f64());
    stage.at_most("the better link is used again after", back, FAILBACK.as_secs_f64(), "s");
    sleep(Duration::from_secs(1));
    let before = bytes(&lab);
    sleep(Duration::from_secs(2));
    stage.at_most("and the spare's part then", spare_percent(&lab, before), 3.0, "%");
    let lateness = running.lateness(LIMIT)?;
    stage.figure("99 of 100 within, ms", "black hole", "backup", lateness.p99_ms);
    stage.at_most("black hole: latest message", lateness.max_ms, 80.0 + normal.max_ms, "ms");
    stage.at_most("black hole: lost", lateness.lost, 0.0, "messages");
    Ok(())
}

/// The measurement itself fails if not every byte arrives.
fn bulk(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let workload = Workload::Bulk { bytes: 120_000_000 };
    let mut running = stage.measure_ours(&lab, "backup", &spare(), workload)?;
    sleep(Duration::from_secs(2));
    stage.at_most("bulk, before the cut: the spare's part", spare_percent(&lab, [0; 2]), 1.0, "%");
    lab.link(0).cut();
    sleep(CUT);
    lab.link(0).restore();
    let back = until_data(&lab, 0, FAILBACK).map_or(f64::INFINITY, |after| after.as_secs_f64());
    stage.at_most("bulk: the better link is used again after", back, FAILBACK.as_secs_f64(), "s");
    let outcome = running.outcome(LIMIT)?;
    stage.at_most("bulk: longest gap", outcome.max_gap_ms, 80.0, "ms");
    stage.figure("goodput, Mbit/s", "black hole", "backup", outcome.mbit_s);
    Ok(())
}

/// Of the bytes that A sent since `before`, those that went by the spare.
fn spare_percent(lab: &Lab, before: [u64; 2]) -> f64 {
    let now = bytes(lab);
    let [used, spare] = [now[0] - before[0], now[1] - before[1]].map(|bytes| bytes as f64);
    println!("      {used:.0} bytes by the link in use, {spare:.0} by the spare");
    100.0 * spare / (used + spare).max(1.0)
}

fn bytes(lab: &Lab) -> [u64; 2] {
    [0, 1].map(|link| lab.link(link).stats(Node::A).delivered_bytes)
}

fn spare() -> [&'static str; 2] {
    ["--backup-link", "link1"]
}

const fn messages_for(seconds: u64) -> Workload {
    Workload::Messages { rate: 100, size: 1_000, seconds }
}

const CUT: Duration = Duration::from_secs(4);
/// The link is used again within this.
const FAILBACK: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);
