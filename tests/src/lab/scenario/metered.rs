//! Links that cost money: `--metered` carries nothing while the other link keeps up, and takes over
//! when that fails; `--quota` is never exceeded, whatever happens, and the transfer ends all the same.
//!
//! Bytes are counted by the emulator, both ways, without the heads of Ethernet; with what the machines
//! say to each other on their own account (neighbour discovery).

use super::super::peer::Workload;
use super::super::{Lab, Node};
use super::Stage;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// Both words.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    metered(stage)?;
    quota(stage, false)?;
    quota(stage, true)
}

fn metered(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let workload = Workload::Messages { rate: 100, size: 1_000, seconds: 12 };
    let running = stage.measure_ours(&lab, "bulk", &["--metered", "link1"], workload)?;
    sleep(Duration::from_secs(8));
    let (paid, free) = (carried(&lab, 1), carried(&lab, 0));
    // 800 KB were due by then; probes and the search for the MTU are some packets.
    stage.at_least("the other link carried", free / 1e3, 800.0, "KB");
    stage.at_most("the metered link carried", paid / 1e3, 20.0, "KB");
    lab.link(0).cut();
    let lateness = running.lateness(LIMIT)?;
    stage.at_least("and once the other fails", carried(&lab, 1) / 1e3, 350.0, "KB");
    stage.at_most("lost", lateness.lost, 0.0, "messages");
    stage.at_most("latest message when the other fails", lateness.max_ms, 80.0, "ms");
    Ok(())
}

/// A transfer that the quota alone could not carry; with `cut`, the other link is away for a while.
fn quota(stage: &mut Stage, cut: bool) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let workload = Workload::Bulk { bytes: 60_000_000 };
    let mut running = stage.measure_ours(&lab, "bulk", &["--quota", "link1=5M"], workload)?;
    let name = if cut { "quota, the other link away 5 s" } else { "quota" };
    if cut {
        sleep(Duration::from_secs(1));
        lab.link(0).cut();
        sleep(Duration::from_secs(5));
        lab.link(0).restore();
    }
    let outcome = running.outcome(LIMIT)?;
    stage.figure("goodput, Mbit/s", name, "ropewalk", outcome.mbit_s);
    let most = f64::from(5 << 20) / 1e6;
    stage.at_most_exactly(&format!("{name}: carried"), carried(&lab, 1) / 1e6, most, "MB");
    stage.holds(&format!("{name}: the transfer ended"), true);
    Ok(())
}

/// Bytes of IP packets that came to a link from either side, delivered or lost for want of room.
fn carried(lab: &Lab, link: usize) -> f64 {
    let stats = [Node::A, Node::B].map(|node| lab.link(link).stats(node));
    let bytes = |stats: &super::super::Stats| {
        let dropped = stats.overflowed * 1_514;
        (stats.delivered_bytes + dropped).saturating_sub(14 * (stats.delivered + stats.overflowed))
    };
    stats.iter().map(bytes).sum::<u64>() as f64
}

const LIMIT: Duration = Duration::from_secs(60);
