//! A transfer over the links S1, of which the fast one becomes a black hole for 4 s: what the links
//! deliver over time, by each transport. The picture is the point; the budget is on ours alone.

use super::super::Lab;
use super::super::peer::{Peer, Workload};
use super::super::plot::Plot;
use super::Stage;
use super::measure::watch;
use super::transfer::S1;
use core::time::Duration;
use ropewalk::chart::{Chart, Series};
use std::io;
use std::thread::sleep;

/// One transfer by each.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    let peers = [Peer::mptcp(), vec![Peer::Noq]].concat();
    let peers = stage.present(&[Peer::Ropewalk("bulk")], &peers);
    let mut series = Vec::new();
    for peer in &peers {
        let lab = Lab::new(&S1)?;
        let mut running = stage.measure(&lab, peer, Workload::Bulk { bytes: BYTES })?;
        let (outcome, points) = watch(&lab, || {
            sleep(BEFORE);
            lab.link(0).cut();
            sleep(DURING);
            lab.link(0).restore();
            running.outcome(Duration::from_secs(90))
        });
        series.push(Series { name: peer.to_string(), points });
        match outcome {
            Ok(outcome) => {
                stage.figure("longest gap in order, ms", "cut-fast", peer, outcome.max_gap_ms);
                stage.figure("goodput, Mbit/s", "cut-fast", peer, outcome.mbit_s);
                if peer.is_ours() {
                    stage.at_most("longest gap", outcome.max_gap_ms, 300.0, "ms");
                }
            }
            Err(error) if !peer.is_ours() => stage.skip(peer, &error.to_string()),
            Err(error) => return Err(error),
        }
    }
    let (from, to) = (BEFORE.as_secs_f64(), (BEFORE + DURING).as_secs_f64());
    stage.plot(Plot {
        name: "gap".to_owned(),
        chart: Chart {
            title: "a transfer over 100 + 50 Mbit/s, what the links deliver".to_owned(),
            x: "time, s",
            y: "Mbit/s",
            x_log: false,
            event: Some((from, to, "the 100 link is a black hole")),
            series,
        },
    });
    Ok(())
}

const BYTES: u64 = 200_000_000;
const BEFORE: Duration = Duration::from_secs(3);
const DURING: Duration = Duration::from_secs(4);
