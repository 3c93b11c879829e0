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
use ropewalk::chart::{Chart, Series};
use serde_json::Value;
use std::io;
use std::thread::sleep;

/// Ours beside each of the congestion controls that the bound speaks of; and these beside each other,
/// for comparison.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    let ours = Peer::Ropewalk("bulk");
    let mut present = Vec::new();
    for congestion in ["cubic", "bbr"] {
        let peer = Peer::Tcp(congestion.to_owned());
        if congestion_controls().iter().any(|known| known == congestion) {
            present.push(peer);
        } else {
            stage.skip(&peer, "this kernel has no such congestion control");
        }
    }
    for _ in 0..stage.options.runs {
        for peer in &present {
            let [mine, other] = beside(stage, [&ours, peer])?;
            let percent = 100.0 * mine / (mine + other);
            stage.at_least(&format!("beside {peer}: our share"), percent, 35.0, "%");
            stage.at_most(&format!("beside {peer}: our share"), percent, 65.0, "%");
            // Neither leaves the link idle out of courtesy.
            let both = mine + other;
            stage.at_least(&format!("beside {peer}: both together"), both, 36.0, "Mbit/s");
        }
    }
    if let [one, other] = present.as_slice() {
        beside(stage, [one, other])?;
    }
    Ok(())
}

/// The goodput of both, in Mbit/s.
fn beside(stage: &mut Stage, peers: [&Peer; 2]) -> io::Result<[f64; 2]> {
    let lab = Lab::new(&[LINK])?;
    let mut first = Flow::begin(stage, &lab, peers[0], PORT)?;
    let mut second = Flow::begin(stage, &lab, peers[1], PORT + 1)?;
    let row = format!("{} beside {}", peers[0], peers[1]);
    sleep(Duration::from_secs(SECONDS + 2));
    let so_far = [first.so_far()?, second.so_far()?];
    let after = |all: &[(f64, f64)]| {
        let point = all.iter().find(|(seconds, _)| *seconds >= SECONDS as f64);
        point
            .map(|(seconds, bytes)| bytes * 8e-6 / seconds)
            .ok_or_else(|| io::Error::other("a receiver said nothing after the measurement's time"))
    };
    let found = [after(&so_far[0])?, after(&so_far[1])?];
    for (peer, mbit_s) in peers.into_iter().zip(found) {
        stage.figure(GOODPUT, &row, peer, mbit_s);
    }
    stage.plot(Plot {
        name: format!("fair-{}", row.replace(' ', "-").to_lowercase()),
        chart: Chart {
            title: "two transfers on one link of 40 Mbit/s, what each receiver reads".to_owned(),
            x: "time, s",
            y: "Mbit/s",
            series: peers.into_iter().zip(&so_far).map(line).collect(),
            ..Chart::default()
        },
    });
    Ok(found)
}

/// A transfer that runs until this is dropped.
struct Flow {
    sink: Process,
    _source: Process,
}

impl Flow {
    fn begin(stage: &Stage, lab: &Lab, peer: &Peer, port: u16) -> io::Result<Self> {
        // More than the link carries in that time: nobody comes to an end.
        let bytes = 2 * LINK.shapes[0].rate / 8 * SECONDS;
        let Peer::Tcp(congestion) = peer else {
            let (sink, ticket) = stage.node_serves(lab)?;
            let words = ["bench", "bulk", &ticket, "--bytes", &bytes.to_string(), "--json"];
            return Ok(Self { sink, _source: stage.start(lab, Node::A, &words)? });
        };
        let play = |sink, node| {
            let at = SocketAddr::new(ipv4(0, Node::B), port);
            let (congestion, workload) = (Some(congestion.clone()), Workload::Bulk { bytes });
            let mut args = vec!["peer".to_owned()];
            args.extend(Job { sink, multipath: false, congestion, at, workload }.to_args());
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            stage.start_program(lab, node, &own_program(), &args)
        };
        let mut sink = play(true, Node::B)?;
        sink.wait_for("ticket", Duration::from_secs(10))?;
        Ok(Self { sink, _source: play(false, Node::A)? })
    }

    /// Seconds and bytes, as the receiver told them each second.
    fn so_far(&mut self) -> io::Result<Vec<(f64, f64)>> {
        self.sink.listen()?;
        let point = |line: &Value| Some((line["seconds"].as_f64()?, line["bytes"].as_f64()?));
        Ok(self.sink.events("so-far").filter_map(point).collect())
    }
}

fn line((peer, so_far): (&Peer, &Vec<(f64, f64)>)) -> Series {
    let pairs = so_far.windows(2).filter_map(|pair| pair.first().zip(pair.last()));
    let rate = |(from, to): (&(f64, f64), &(f64, f64))| {
        (to.0, (to.1 - from.1) * 8e-6 / (to.0 - from.0).max(1e-9))
    };
    Series { name: peer.to_string(), points: pairs.map(rate).collect() }
}

/// 500 KB are 100 ms at 40 Mbit/s.
const LINK: LinkSpec = LinkSpec::new(40, 10, 488);
const SECONDS: u64 = 30;
const GOODPUT: &str = "goodput over 30 s, Mbit/s";
