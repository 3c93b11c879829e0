//! Goodput on links for which the other transports' figures are known, with these beside it.
//!
//! The bars lie above the better of kernel MPTCP's two congestion controls on the same links
//! (README, "Measured"). S3 and S4 are two sets from the first research: equal links of which one
//! is long, and the pair on which picoquic measures itself.

use super::super::peer::{Peer, Workload};
use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::measure::{Measurement, Outcome};
use super::transfer::S1;
use core::time::Duration;
use std::io;

/// Links, how much goes over them, and what must come out.
struct Case {
    name: &'static str,
    links: Vec<LinkSpec>,
    bytes: u64,
    /// Mbit/s, where there is a bar.
    least: Option<f64>,
}

/// What is measured on each set of links, and the bar.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    let ours = [Peer::Ropewalk("bulk")];
    let others = [Peer::tcp(), Peer::mptcp(), vec![Peer::Noq]].concat();
    let peers = stage.present(&ours, &others);
    let quick = stage.options.quick;
    for case in cases().into_iter().filter(|case| !quick || case.name.starts_with("S5")) {
        for _ in 0..stage.options.runs {
            compare(stage, &case, &peers)?;
        }
    }
    Ok(())
}

fn compare(stage: &mut Stage, case: &Case, peers: &[Peer]) -> io::Result<()> {
    let (mut best, mut ours) = (0.0_f64, 0.0);
    for peer in peers {
        let outcome = match measure(stage, &case.links, peer, case.bytes) {
            Ok(outcome) => outcome,
            // A peer's failure is its own figure, not ours.
            Err(error) if !peer.is_ours() => {
                stage.skip(peer, &format!("{}: {error}", case.name));
                continue;
            }
            Err(error) => return Err(error),
        };
        stage.figure(GOODPUT, case.name, peer, outcome.mbit_s);
        if peer.is_ours() {
            ours = outcome.mbit_s;
        } else if peer.is_multipath() {
            // One TCP connection is the best link alone; its heads are shorter than encrypted ones.
            best = best.max(outcome.mbit_s);
        }
    }
    let mut least = case.least.unwrap_or(0.0);
    if case.name.starts_with("S2") {
        // Never slower than the best link alone.
        let alone = measure(stage, &case.links[..1], &Peer::Ropewalk("bulk"), case.bytes)?.mbit_s;
        stage.figure(GOODPUT, case.name, "best link alone", alone);
        least = least.max(0.98 * alone);
    }
    if case.least.is_some() {
        stage.at_least(case.name, ours, least, "Mbit/s");
    }
    if best > 0.0 {
        stage.at_least(
            &format!("{}: and the best multipath peer", case.name),
            ours,
            best,
            "Mbit/s",
        );
    }
    Ok(())
}

/// One transfer over a lab of its own.
pub(super) fn measure(
    stage: &Stage,
    links: &[LinkSpec],
    peer: &Peer,
    bytes: u64,
) -> io::Result<Outcome> {
    let lab = Lab::new(links)?;
    let mut running = stage.measure(&lab, peer, Workload::Bulk { bytes })?;
    let outcome = running.outcome(Duration::from_secs(90))?;
    let idle = lab.links().filter(|link| link.stats(Node::A).delivered_large == 0).count();
    if peer.is_multipath() && idle > 0 {
        // It may be wise, but it may also be a peer that was set up wrongly.
        println!("      {peer} sent no data over {idle} of {} links", links.len());
    }
    Ok(outcome)
}

impl Measurement {
    /// Starts to send `bytes` from A to B by ropewalk.
    pub(super) fn bulk(stage: &Stage, lab: &Lab, bytes: u64) -> io::Result<Self> {
        stage.measure(lab, &Peer::Ropewalk("bulk"), Workload::Bulk { bytes })
    }

    /// Bytes of a full packet on the path over this interface, as the sender said at its end.
    pub(super) fn datagram_bytes(&self, link: &str) -> io::Result<f64> {
        let paths = self.source.event("bulk").and_then(|line| line["paths"].as_array());
        let path = paths.into_iter().flatten().find(|path| path["link"] == link);
        let bytes = path.and_then(|path| path["datagram_bytes"].as_f64());
        bytes.ok_or_else(|| io::Error::other(format!("the sender named no path on {link}")))
    }
}

fn cases() -> Vec<Case> {
    let lossy = |link: LinkSpec, loss: f64| link.with(|shape| shape.loss = loss);
    let case = |name, links: &[LinkSpec], bytes, least| {
        let links = links.to_vec();
        Case { name, links, bytes, least }
    };
    vec![
        case("S1: 100 + 50", &S1, 125_000_000, Some(138.5)),
        case(
            "S2: 100 + 2 with 150 ms",
            &[LinkSpec::new(100, 5, 256), LinkSpec::new(2, 150, 256)],
            62_500_000,
            Some(94.5),
        ),
        case(
            "S3: 10 with 1 ms + 10 with 25 ms",
            &[LinkSpec::new(10, 1, 64), LinkSpec::new(10, 25, 64)],
            16_777_216,
            None,
        ),
        case(
            "S4: 50 with 15 ms + 40 with 30 ms",
            &[LinkSpec::new(50, 15, 128), LinkSpec::new(40, 30, 128)],
            31_000_000,
            None,
        ),
        case(
            "S5: 15 with 25 ms + 5 with 1 ms",
            &[LinkSpec::new(15, 25, 64), LinkSpec::new(5, 1, 64)],
            16_777_216,
            Some(8.0 * 16.777_216 / 7.22),
        ),
        case("S6: four times 25", &[LinkSpec::new(25, 10, 128); 4], 62_500_000, Some(92.5)),
        case(
            "S7: 40 and 20, lossy",
            &[lossy(LinkSpec::new(40, 8, 128), 0.01), lossy(LinkSpec::new(20, 35, 256), 0.005)],
            31_000_000,
            Some(54.5),
        ),
    ]
}

const GOODPUT: &str = "goodput, Mbit/s";
