//! How late messages come while a link misbehaves: 1,000 reliable bytes a hundred times a second
//! over the links S1, and the lateness of each from the moment it was due.

use super::super::peer::{Peer, Workload};
use super::super::plot::Plot;
use super::super::{Lab, Node};
use super::measure::Lateness;
use super::transfer::S1;
use super::{Stage, rates};
use core::time::Duration;
use ropewalk::chart::{Chart, Series};
use std::io;
use std::thread::sleep;

/// Something that happens to the links, and how late messages may be for it.
struct Event {
    /// In the table and in file names.
    name: &'static str,
    about: &'static str,
    begin: fn(&Lab),
    /// Milliseconds: no message later, in `bulk` and in `redundant`.
    most_ms: [f64; 2],
}

const EVENTS: [Event; 5] = [
    Event { name: "none", about: "", begin: |_| {}, most_ms: [25.0, 20.0] },
    Event {
        name: "cut-fast",
        about: "the 100 link is a black hole",
        begin: |lab| lab.link(0).cut(),
        most_ms: [80.0, 25.0],
    },
    Event {
        name: "cut-slow",
        about: "the 50 link is a black hole",
        begin: |lab| lab.link(1).cut(),
        most_ms: [80.0, 20.0],
    },
    Event {
        name: "loss-fast",
        about: "30 % loss on the 100 link",
        begin: |lab| lab.link(0).set(|shape| shape.loss = 0.3),
        most_ms: [120.0, 30.0],
    },
    Event {
        name: "one-way-fast",
        about: "the 100 link swallows acknowledgements",
        begin: |lab| lab.link(0).cut_one_way(Node::B),
        most_ms: [80.0, 25.0],
    },
];

/// Every event, every transport.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    if !stage.program_says(&["bench", "messages", "--help"], "--rate") {
        return Err(io::Error::other("this ropewalk has no `bench messages`"));
    }
    let mut ours = vec![Peer::Ropewalk("bulk")];
    if stage.program_says(&["bench", "bulk", "--help"], "redundant") {
        ours.push(Peer::Ropewalk("redundant"));
    } else {
        stage.skip(&Peer::Ropewalk("redundant"), "this ropewalk has no such mode");
    }
    let peers = stage.present(&ours, &[Peer::mptcp(), vec![Peer::Noq]].concat());
    events(stage, &peers)
}

/// The same in the mode `redundant` alone; and what that costs on a single link, where there is nobody
/// to send a copy by.
pub(super) fn redundant(stage: &mut Stage) -> io::Result<()> {
    events(stage, &[Peer::Ropewalk("redundant")])?;
    for _ in 0..stage.options.runs {
        let mut goodput = |mode| -> io::Result<f64> {
            let peer = Peer::Ropewalk(mode);
            let mbit_s = rates::measure(stage, &S1[..1], &peer, 62_500_000)?.mbit_s;
            stage.figure("goodput, Mbit/s", "one link of 100", mode, mbit_s);
            Ok(mbit_s)
        };
        let (bulk, redundant) = (goodput("bulk")?, goodput("redundant")?);
        stage.at_least("goodput on one link, of bulk's", 100.0 * redundant / bulk, 98.0, "%");
    }
    Ok(())
}

fn events(stage: &mut Stage, peers: &[Peer]) -> io::Result<()> {
    let quick = stage.options.quick;
    for event in EVENTS.iter().filter(|event| !quick || event.name == "cut-fast") {
        let mut seen = Vec::new();
        for _ in 0..stage.options.runs {
            for peer in peers {
                match play(stage, event, peer) {
                    Ok(lateness) => {
                        judge(stage, event, peer, &lateness);
                        seen.push((peer.to_string(), lateness));
                    }
                    Err(error) if !peer.is_ours() => {
                        stage.skip(peer, &format!("{}: {error}", event.name));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        draw(stage, event, &seen);
    }
    Ok(())
}

fn play(stage: &Stage, event: &Event, peer: &Peer) -> io::Result<Lateness> {
    let lab = Lab::new(&S1)?;
    let seconds = phases(stage.options.quick).into_iter().sum();
    let workload = Workload::Messages { rate: 100, size: 1_000, seconds };
    let running = stage.measure(&lab, peer, workload)?;
    let [before, during, _] = phases(stage.options.quick).map(Duration::from_secs);
    sleep(before);
    (event.begin)(&lab);
    sleep(during);
    lab.restore(&S1);
    running.lateness(Duration::from_secs(60))
}

fn judge(stage: &mut Stage, event: &Event, peer: &Peer, lateness: &Lateness) {
    let Lateness { lost, p50_ms, p99_ms, max_ms, .. } = *lateness;
    for (what, value) in [(P50, p50_ms), (P99, p99_ms), (MAX, max_ms), (LOST, lost)] {
        stage.figure(what, event.name, peer, value);
    }
    let most = match peer {
        Peer::Ropewalk("bulk") => event.most_ms[0],
        Peer::Ropewalk(_) => event.most_ms[1],
        _ => return,
    };
    stage.at_most(&format!("{}: {peer}, latest", event.name), max_ms, most, "ms");
    stage.at_most(&format!("{}: {peer}, lost", event.name), lost, 0.0, "messages");
    if *peer == Peer::Ropewalk("redundant") && event.name == "none" {
        stage.at_most("none: ropewalk redundant, 99 of 100", p99_ms, 12.0, "ms");
    }
}

/// A picture of lateness over time and one of its distribution.
fn draw(stage: &mut Stage, event: &Event, seen: &[(String, Lateness)]) {
    let about = if event.about.is_empty() { "nothing happens" } else { event.about };
    let points = |lateness: &Lateness| match lateness.samples.as_slice() {
        // The receiver told no more than these.
        [] => vec![lateness.p50_ms, lateness.p99_ms, lateness.max_ms],
        samples => samples.iter().map(|sample| sample.1).collect(),
    };
    let every = seen.iter().filter(|(_, lateness)| !lateness.samples.is_empty());
    let values = every.clone().map(|(peer, lateness)| (peer.clone(), points(lateness))).collect();
    let title = format!("1,000-byte messages, 100 a second over 100 + 50 Mbit/s: {about}");
    let name = format!("failover-{}-distribution", event.name);
    let mut distribution = Plot::distribution(name, title.clone(), values);
    for (peer, lateness) in seen.iter().filter(|(_, lateness)| lateness.samples.is_empty()) {
        let Lateness { p50_ms, p99_ms, max_ms, .. } = *lateness;
        let quantiles = vec![(p50_ms, 50.0), (p99_ms, 99.0), (max_ms, 100.0)];
        let name = format!("{peer} (3 points)");
        distribution.chart.series.insert(0, Series { name, points: quantiles });
    }
    stage.plot(distribution);
    let in_seconds = |(peer, lateness): &(String, Lateness)| {
        let points = lateness.samples.iter().map(|(due, late)| (due / 1e3, *late)).collect();
        Series { name: peer.clone(), points }
    };
    let [before, during, _] = phases(stage.options.quick).map(|seconds| seconds as f64);
    stage.plot(Plot {
        name: format!("failover-{}-latency", event.name),
        chart: Chart {
            title,
            x: "due at, s",
            y: "latency, ms",
            x_log: false,
            event: (!event.about.is_empty()).then_some((before, before + during, event.about)),
            series: every.map(in_seconds).collect(),
        },
    });
}

/// Seconds before the event, of the event, and after it.
const fn phases(quick: bool) -> [u64; 3] {
    if quick { [2, 2, 2] } else { [5, 4, 5] }
}

const P50: &str = "half within, ms";
const P99: &str = "99 of 100 within, ms";
const MAX: &str = "latest, ms";
const LOST: &str = "lost messages";
