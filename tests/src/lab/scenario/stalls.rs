//! Links that stall, as Wi-Fi does when it looks at other channels: for 100 to 500 ms nothing comes, and
//! then everything. Nothing is lost, so all that was sent again meanwhile was sent in vain; but who
//! does not send again is late.
//!
//! The sender is the lab's own node, which tells how many bytes it sent twice.

use super::super::{Lab, Node};
use super::Stage;
use super::process::Process;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::thread::sleep;
use std::time::Instant;

/// Messages, then bulk, over the links S1, of which one stalls every few seconds.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for (link, name) in [(0, "the 100 link"), (1, "the 50 link")] {
        for _ in 0..stage.options.runs {
            messages(stage, link, name)?;
            bulk(stage, link, name)?;
        }
    }
    Ok(())
}

fn messages(stage: &mut Stage, link: usize, name: &str) -> io::Result<()> {
    let numbers = ["100", "1000", &SECONDS.to_string()];
    let (server, client) = play(stage, link, "messages", &numbers)?;
    let number = |field| server.number("messages", field);
    let (lost, latest) = (number("lost")?, number("max_ms")?);
    stage.figure("99 of 100 within, ms", name, "ropewalk", number("p99_ms")?);
    stage.at_most(&format!("{name} stalls: latest message"), latest, 80.0, "ms");
    stage.at_most(&format!("{name} stalls: lost"), lost, 0.0, "messages");
    let again = client.number("counters", "again_bytes")?;
    let twice = 100.0 * again / (number("count")? * 1_000.0);
    stage.at_most(&format!("{name} stalls: of messages sent twice"), twice, 2.0, "%");
    Ok(())
}

fn bulk(stage: &mut Stage, link: usize, name: &str) -> io::Result<()> {
    let (server, client) = play(stage, link, "bulk", &[&SECONDS.to_string()])?;
    let number = |field| server.number("bulk", field);
    stage.figure("goodput, Mbit/s", name, "ropewalk", number("mbit_s")?);
    stage.figure("longest gap in order, ms", name, "ropewalk", number("max_gap_ms")?);
    let again = client.number("counters", "again_bytes")?;
    let twice = 100.0 * again / number("bytes")?;
    stage.at_most(&format!("{name} stalls: of bulk sent twice"), twice, 2.0, "%");
    Ok(())
}

/// Server and client, both ended, after a run with stalls.
fn play(
    stage: &Stage,
    link: usize,
    what: &str,
    numbers: &[&str],
) -> io::Result<(Process, Process)> {
    let lab = Lab::new(&S1)?;
    let (mut server, ticket) = stage.node_serves(&lab)?;
    let words = [&[what, "bulk", ticket.as_str()], numbers].concat();
    let mut client = stage.node(&lab, Node::A, &words)?;
    client.wait_for("connected", Duration::from_secs(10))?;
    for millis in STALLS_MS {
        sleep(EVERY - Duration::from_millis(millis));
        lab.link(link).freeze();
        sleep(Duration::from_millis(millis));
        lab.link(link).thaw();
    }
    client.finish(Instant::now() + LIMIT)?;
    server.listen()?;
    Ok((server, client))
}

const STALLS_MS: [u64; 6] = [100, 200, 300, 500, 400, 500];
const EVERY: Duration = Duration::from_secs(3);
/// The stalls, and a little more.
const SECONDS: u64 = 20;
const LIMIT: Duration = Duration::from_secs(60);
