//! Whether our own bulk makes our own messages late: an otherwise idle link of 20 Mbit/s whose queue
//! holds a whole second. One connection carries bulk and, on another stream, messages.
//!
//! The command line sends one thing a connection; so both ends are the lab's own node.

use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use core::time::Duration;
use std::io;
use std::time::Instant;

/// Messages beside the first 30 s of bulk, and then on a stream that is opened after them.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for _ in 0..stage.options.runs {
        let lab = Lab::new(&[LINK])?;
        let (mut server, ticket) = stage.node_serves(&lab)?;
        let numbers = ["20", "200", "30", "5"];
        let words = [&["both", "bulk", &ticket], numbers.as_slice()].concat();
        let mut client = stage.node(&lab, Node::A, &words)?;
        client.finish(Instant::now() + LIMIT)?;
        server.listen()?;
        stage.at_least("goodput of bulk", server.number("bulk", "mbit_s")?, 18.0, "Mbit/s");
        let names = ["messages beside the first 30 s of bulk", "messages after 30 s of bulk"];
        let latest: Vec<_> = server.events("messages").map(|line| line["max_ms"].clone()).collect();
        for (what, latest) in names.iter().zip(&latest) {
            stage.at_most(
                &format!("{what}: latest"),
                latest.as_f64().unwrap_or(f64::INFINITY),
                250.0,
                "ms",
            );
        }
        stage.holds("both streams of messages ended", latest.len() == names.len());
        let stats = lab.link(0).stats(Node::A);
        stage.figure(
            "frames that the queue had no room for",
            "20 Mbit/s",
            "ropewalk",
            stats.overflowed as f64,
        );
    }
    Ok(())
}

/// 2.5 MB are a second at 20 Mbit/s.
const LINK: LinkSpec = LinkSpec::new(20, 10, 2_441);
const LIMIT: Duration = Duration::from_secs(90);
