//! Many connections to one server: whether each gets its part when all send at once, and what those
//! cost that are idle. One process holds them all; nothing shapes the link between.
//!
//! `ropewalk bench serve` measures one connection after the other; so both ends are the lab's own node.

use super::super::{Lab, Node};
use super::Stage;
use super::process::Process;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// 200 that send at once; 200 that dial at once; 1,000 that are idle.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for _ in 0..stage.options.runs {
        sending(stage)?;
        dialling(stage)?;
    }
    idle(stage)
}

fn sending(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::unshaped()?;
    let (server, client) = crowd(stage, &lab, [200, 8, 200, 4_000_000])?;
    let number = |field| client.number("crowd", field);
    stage.figure("seconds, mean", "200 send at once", "ropewalk", number("mean_s")?);
    stage.figure("seconds, fastest", "200 send at once", "ropewalk", number("min_s")?);
    stage.at_least("200 send at once: finished", number("finished")?, 200.0, "");
    let slowest = number("max_s")? / number("mean_s")?;
    stage.at_most("200 send at once: the slowest, of the mean", slowest, 2.0, "times");
    stage.figure("memory of the server, MiB", "200 send at once", "peak", server.memory_mib());
    Ok(())
}

fn dialling(stage: &mut Stage) -> io::Result<()> {
    let lab = Lab::unshaped()?;
    let (_server, client) = crowd(stage, &lab, [200, 200, 200, 100_000])?;
    let number = |field| client.number("crowd", field);
    stage.figure("seconds to connect", "200 dial at once", "ropewalk", number("connect_s")?);
    stage.figure("seconds to the last byte", "200 dial at once", "slowest", number("max_s")?);
    stage.at_least("200 dial at once: finished", number("finished")?, 200.0, "");
    Ok(())
}

fn idle(stage: &mut Stage) -> io::Result<()> {
    let mut held = Vec::new();
    for count in [1, 1_000] {
        let lab = Lab::unshaped()?;
        let (mut server, mut client) = crowd(stage, &lab, [count, 8, 20, 1_000_000])?;
        let finished = client.number("crowd", "finished")?;
        stage.at_least(&format!("{count}: finished"), finished, count as f64, "");
        let count = count.to_string();
        stage.figure(
            "memory of the server, MiB",
            &count,
            "after the last byte",
            server.resident_mib(),
        );
        sleep(SETTLED);
        server.has_ended()?;
        client.listen()?;
        stage.at_most(
            &format!("{count}: connections that were lost"),
            client.number("idle", "lost")?,
            0.0,
            "",
        );
        stage.figure("memory of the server, MiB", &count, "idle", server.resident_mib());
        stage.figure("memory of the server, MiB", &count, "peak", server.memory_mib());
        held.push(server.resident_mib());
    }
    let more = held.last().zip(held.first()).map_or(f64::NAN, |(many, one)| many - one);
    stage.at_most("1,000 idle: memory more than with one", more, 64.0, "MiB");
    Ok(())
}

/// Server and client, once all have sent what they had. The numbers: connections in all, those that
/// dial at once, those that send at once, and the bytes of each.
fn crowd(stage: &Stage, lab: &Lab, numbers: [u64; 4]) -> io::Result<(Process, Process)> {
    let (mut server, ticket) = stage.node_serves(lab)?;
    let numbers = numbers.map(|number| number.to_string());
    let mut words = vec!["crowd", &ticket];
    words.extend(numbers.iter().map(String::as_str));
    let mut client = stage.node(lab, Node::A, &words)?;
    client.wait_for("crowd", LIMIT)?;
    if let Some(why) = client.event("crowd").map(|line| &line["why"]).filter(|why| *why != "") {
        println!("      a connection failed: {why}");
    }
    server.has_ended()?;
    Ok((server, client))
}

/// What a connection gives back after a while has been given back by then.
const SETTLED: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(120);
