//! Whether a transfer shares one link with a TCP connection: 40 Mbit/s, 10 ms, and a queue of 100 ms.
//! Both send all the time, and what counts is what each receiver's program had read after 30 s.
//!
//! Ours is sent by `ropewalk bench bulk` and read by the lab's own node, which tells how far it is each
//! second: what a sender still has in its memory at the end would count for it otherwise.

use super::super::peer::{Job, PORT, Peer, Workload, congestion_controls, own_program};
use super::super::plot::Plot;
use super::super::{Lab, LinkSpec, Node, ipv4};
use super::Stage;
use super::process::Process;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// Against each of the machine's congestion controls that the bound speaks of.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for congestion in ["cubic", "bbr"] {
        let peer = Peer::Tcp(congestion.to_owned());
        if !congestion_controls().iter().any(|known| known == congestion) {
            stage.skip(&peer, "this kernel has no such congestion control");
            continue;
        }
        for _ in 0..stage.options.runs {
            share(stage, &peer, congestion)?;
        }
    }
    Ok(())
}

fn share(stage: &mut Stage, peer: &Peer, congestion: &str) -> io::Result<()> {
    let lab = Lab::new(&[LINK])?;
    // More than the link carries in that time: nobody comes to an end.
    let bytes = 2 * LINK.shapes[0].rate / 8 * SECONDS;
    let (mut ours_in, ticket) = stage.node_serves(&lab)?;
    let tcp = |sink| {
        let at = SocketAddr::new(ipv4(0, Node::B), PORT);
        let (congestion, workload) = (Some(congestion.to_owned()), Workload::Bulk { bytes });
        let mut args = vec!["peer".to_owned()];
        args.extend(Job { sink, multipath: false, congestion, at, workload }.to_args());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let node = if sink { Node::B } else { Node::A };
        stage.start_program(&lab, node, &own_program(), &args)
    };
    let mut theirs_in = tcp(true)?;
    theirs_in.wait_for("ticket", Duration::from_secs(10))?;
    let words = ["bench", "bulk", &ticket, "--bytes", &bytes.to_string(), "--json"];
    let _ours_out = stage.start(&lab, Node::A, &words)?;
    let _theirs_out = tcp(false)?;
    sleep(Duration::from_secs(SECONDS + 2));
    let ours = so_far(&mut ours_in)?;
    let theirs = so_far(&mut theirs_in)?;
    let after = |all: &[(f64, f64)]| {
        let point = all.iter().find(|(seconds, _)| *seconds >= SECONDS as f64);
        point
            .map(|(seconds, bytes)| bytes * 8e-6 / seconds)
            .ok_or_else(|| io::Error::other("a receiver said nothing after the measurement's time"))
    };
    let (mine, other) = (after(&ours)?, after(&theirs)?);
    stage.figure(GOODPUT, &peer.to_string(), "ropewalk", mine);
    stage.figure(GOODPUT, &peer.to_string(), peer, other);
    let percent = 100.0 * mine / (mine + other);
    stage.at_least(&format!("beside {peer}: our share"), percent, 35.0, "%");
    stage.at_most(&format!("beside {peer}: our share"), percent, 65.0, "%");
    // Neither leaves the link idle out of courtesy.
    stage.at_least(&format!("beside {peer}: both together"), mine + other, 36.0, "Mbit/s");
    stage.plot(Plot {
        name: format!("fair-{congestion}"),
        title: "two transfers on one link of 40 Mbit/s, what each receiver reads".to_owned(),
        x: "time, s",
        y: "Mbit/s",
        x_log: false,
        event: None,
        series: vec![("ropewalk".to_owned(), rates(&ours)), (peer.to_string(), rates(&theirs))],
    });
    Ok(())
}

/// Seconds and bytes, as the receiver told them each second.
fn so_far(process: &mut Process) -> io::Result<Vec<(f64, f64)>> {
    process.listen()?;
    let point =
        |line: &serde_json::Value| Some((line["seconds"].as_f64()?, line["bytes"].as_f64()?));
    Ok(process.events("so-far").filter_map(point).collect())
}

fn rates(so_far: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let pairs = so_far.windows(2).filter_map(|pair| pair.first().zip(pair.last()));
    pairs.map(|(from, to)| (to.0, (to.1 - from.1) * 8e-6 / (to.0 - from.0).max(1e-9))).collect()
}

/// 500 KB are 100 ms at 40 Mbit/s.
const LINK: LinkSpec = LinkSpec::new(40, 10, 488);
const SECONDS: u64 = 30;
const GOODPUT: &str = "goodput over 30 s, Mbit/s";
