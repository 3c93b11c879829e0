//! Links that carry shorter packets than their interfaces say, and one that shrinks: nobody tells the
//! machines, as on the Internet of today.

use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::measure::Measurement;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// Three links of 576, 1,280 and 1,500 bytes; then one of 1,500 that becomes one of 1,280.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    mixed(stage)?;
    shrinking(stage)
}

fn mixed(stage: &mut Stage) -> io::Result<()> {
    let links = [(576, 20, 5), (1_280, 30, 15), (1_500, 50, 10)]
        .map(|(mtu, rate, delay)| LinkSpec::new(rate, delay, 256).with(|shape| shape.mtu = mtu));
    let lab = Lab::new(&links)?;
    let mut bulk = Measurement::bulk(stage, &lab, 60_000_000)?;
    let outcome = bulk.outcome(LIMIT)?;
    // What the heads of Ethernet, IP, UDP and our own leave of 20, 30 and 50 Mbit/s, less 6 %.
    let ideal = 20.0 * share(576) + 30.0 * share(1_280) + 50.0 * share(1_500);
    stage.at_least(
        "576 + 1,280 + 1,500 bytes: goodput",
        outcome.mbit_s,
        (0.94 * ideal).floor(),
        "Mbit/s",
    );
    for (index, link) in links.iter().enumerate() {
        let most = link.shapes[0].mtu - 28;
        let found = bulk.datagram_bytes(&super::super::interface(index))?;
        let what = format!("{most} bytes: the length found");
        stage.at_most(&what, found, most as f64, "bytes");
        // The machines may have chosen IPv6, whose header is 20 bytes longer.
        stage.at_least(&what, found, most as f64 - 36.0, "bytes");
    }
    Ok(())
}

fn shrinking(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1[..1])?;
    let mut bulk = Measurement::bulk(stage, &lab, 60_000_000)?;
    sleep(Duration::from_secs(2));
    lab.link(0).set(|shape| shape.mtu = 1_280);
    let outcome = bulk.outcome(LIMIT)?;
    let swallowed = lab.link(0).stats(Node::A).too_long;
    stage.at_least("1,500 to 1,280 bytes: packets swallowed", swallowed as f64, 3.0, "");
    stage.at_most("1,500 to 1,280 bytes: longest gap", outcome.max_gap_ms, 250.0, "ms");
    let found = bulk.datagram_bytes(&super::super::interface(0))?;
    // The machines may have chosen IPv6.
    stage.at_least("1,500 to 1,280 bytes: the length found", found, 1_232.0, "bytes");
    stage.at_most("1,500 to 1,280 bytes: the length found", found, 1_252.0, "bytes");
    Ok(())
}

/// The stream bytes in a full frame of IP packets of `mtu` bytes.
fn share(mtu: u32) -> f64 {
    f64::from(mtu - 28 - 36) / f64::from(mtu + 14)
}

const LIMIT: Duration = Duration::from_secs(60);
