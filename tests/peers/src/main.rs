//! QUIC (quinn) and multipath QUIC (noq) as programs of the lab: a sink that counts and a source
//! that sends, in their default configuration.
//!
//! ```text
//! peers noq|quinn sink|source ADDRESS:PORT[,ADDRESS:PORT...] bulk BYTES
//! peers noq|quinn sink|source ADDRESS:PORT[,...]             messages RATE BYTES SECONDS
//! ```
//!
//! They print the JSON lines of `ropewalk bench`: `ticket` when the sink waits, `connected`, and
//! at the sink's end `bulk` or `messages`. The addresses are the sink's, one for each link; the
//! source opens a path to each.

mod certificate;
mod noq_peer;
mod quinn_peer;
mod stream;
#[path = "../../src/lab/peer/tally.rs"]
mod tally;

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;

/// What both sides of a measurement know.
pub(crate) struct Job {
    pub(crate) sink: bool,
    pub(crate) at: Vec<SocketAddr>,
    pub(crate) workload: Workload,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) enum Workload {
    Bulk { bytes: u64 },
    Messages { rate: u64, size: usize, seconds: u64 },
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [peer, side @ ("sink" | "source"), at, rest @ ..] = args.as_slice() else {
        bail!("usage: peers noq|quinn sink|source ADDRESS:PORT,... bulk N | messages N N N");
    };
    let workload = match rest {
        ["bulk", bytes] => Workload::Bulk { bytes: bytes.parse()? },
        ["messages", rate, size, seconds] => Workload::Messages {
            rate: rate.parse()?,
            size: size.parse()?,
            seconds: seconds.parse()?,
        },
        _ => bail!("no such workload: {rest:?}"),
    };
    let at = at.split(',').map(str::parse).collect::<Result<_, _>>().context("an address")?;
    let job = Job { sink: *side == "sink", at, workload };
    match *peer {
        "noq" => noq_peer::play(&job).await,
        "quinn" => quinn_peer::play(&job).await,
        other => bail!("no such peer: {other}"),
    }
}

/// Prints the line that says that the sink waits.
pub(crate) fn waiting(job: &Job) {
    println!("{}", serde_json::json!({ "event": "ticket", "ticket": job.at[0].to_string() }));
}

/// Prints the line that says that a connection stands.
pub(crate) fn connected() {
    println!("{}", serde_json::json!({ "event": "connected" }));
}
