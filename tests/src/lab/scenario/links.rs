//! Links that fail, return, appear and vanish under a transfer.

use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::measure::Measurement;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::thread::sleep;
use std::time::Instant;

/// Link `which` becomes a black hole in mid-transfer and is back after 4 s: once under `send`, for
/// the bytes, and once under `bench bulk`, which says how long nothing came.
pub(super) fn black_hole(stage: &mut Stage, which: usize) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let file = stage.make_file(BYTES)?;
    let mut transfer = stage.begin(&lab, &file)?;
    let back = swallow(&lab, which);
    stage.returned("`send` uses the link again after", back);
    transfer.finish(LIMIT)?;
    stage.intact(&transfer)?;

    let mut bulk = Measurement::bulk(stage, &lab, BYTES)?;
    let back = swallow(&lab, which);
    stage.returned("`bench` uses the link again after", back);
    let result = bulk.outcome(LIMIT)?;
    stage.at_most("longest gap", result.max_gap_ms, 300.0, "ms");
    Ok(())
}

/// Both links are dead for 5 s, and the transfer goes on by itself: once under `send`, for the bytes,
/// and once under `bench bulk`, whose longest gap says when the first byte in order came.
pub(super) fn outage(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::new(&S1)?;
    let file = stage.make_file(100_000_000)?;
    let mut transfer = stage.begin(&lab, &file)?;
    sleep(WARM_UP);
    lab.links().for_each(super::super::Link::cut);
    sleep(Duration::from_secs(5));
    lab.links().for_each(super::super::Link::restore);
    let back = (0..S1.len()).filter_map(|link| until_data(&lab, link, PATIENCE)).min();
    stage.returned("data flows again after", back);
    transfer.finish(LIMIT)?;
    stage.intact(&transfer)?;

    let lab = Lab::new(&S1)?;
    let mut bulk = Measurement::bulk(stage, &lab, BYTES)?;
    sleep(WARM_UP);
    let begin = Instant::now();
    lab.links().for_each(super::super::Link::cut);
    sleep(Duration::from_secs(5));
    lab.links().for_each(super::super::Link::restore);
    // From the last byte before it, which is at most some milliseconds off.
    let dead = begin.elapsed().as_secs_f64() * 1e3;
    let after = bulk.outcome(LIMIT)?.max_gap_ms - dead;
    stage.at_most("first byte after the return", after, 50.0, "ms");
    Ok(())
}

/// A link is added; then the first one is pulled out on A, and later the added one's is on B.
pub(super) fn come_and_go(stage: &mut Stage) -> io::Result<()> {
    let mut lab = Lab::new(&S1[..1])?;
    let file = stage.make_file(BYTES)?;
    let mut transfer = stage.begin(&lab, &file)?;
    sleep(WARM_UP);
    let added = lab.add_link(&LinkSpec::new(50, 20, 256))?;
    let used = until_data(&lab, added, PATIENCE);
    stage.returned("an added interface carries data after", used);
    sleep(WARM_UP);
    lab.unplug(0, Node::A)?;
    sleep(WARM_UP);
    let another = lab.add_link(&LinkSpec::new(100, 10, 256))?;
    let used = until_data(&lab, another, PATIENCE);
    stage.returned("a second one carries data after", used);
    lab.unplug(added, Node::B)?;
    transfer.finish(LIMIT)?;
    stage.intact(&transfer)
}

impl Stage {
    pub(super) fn returned(&mut self, what: &str, after: Option<Duration>) {
        let millis = after.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3);
        self.at_most(what, millis, PATIENCE.as_secs_f64() * 1e3, "ms");
    }
}

/// Lets the transfer warm up, cuts the link for 4 s, and gives how long after its return it
/// carried data again.
fn swallow(lab: &Lab, which: usize) -> Option<Duration> {
    sleep(WARM_UP);
    lab.link(which).cut();
    sleep(Duration::from_secs(4));
    lab.link(which).restore();
    until_data(lab, which, PATIENCE)
}

/// How long it takes from now until the link has carried some full frames to B.
pub(super) fn until_data(lab: &Lab, link: usize, limit: Duration) -> Option<Duration> {
    let begin = Instant::now();
    let before = lab.link(link).stats(Node::A).delivered_large;
    while begin.elapsed() <= limit {
        // Probes may be as long as data: a few long frames prove nothing.
        if lab.link(link).stats(Node::A).delivered_large >= before + 20 {
            return Some(begin.elapsed());
        }
        sleep(Duration::from_millis(5));
    }
    None
}

/// At 150 Mbit/s enough for 13 s: a cut of 4 s is over well before the end.
const BYTES: u64 = 250_000_000;
const WARM_UP: Duration = Duration::from_secs(3);
/// A link that came (back) must carry data within this.
const PATIENCE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(90);
