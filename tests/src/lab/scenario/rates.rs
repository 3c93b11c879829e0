//! Goodput by `bench bulk`, on links for which other transports' figures are known.
//!
//! The bars lie above the better of kernel MPTCP's two congestion controls on the same links
//! (README, "Measured").

use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::process::Process;
use super::transfer::S1;
use core::time::Duration;
use std::io;
use std::time::Instant;

/// What is measured on each set of links, and the bar.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    let lossy = |mut link: LinkSpec, loss: f64| {
        link.shapes.iter_mut().for_each(|shape| shape.loss = loss);
        link
    };
    let alone = measure(stage, &S2[..1], 62_500_000)?.mbit_s;
    let cases: [(&str, &[LinkSpec], u64, f64); 5] = [
        ("S1: 100 + 50", &S1, 125_000_000, 138.5),
        ("S2: 100 + 2 with 150 ms", &S2, 62_500_000, (0.98 * alone).max(94.5)),
        ("S5: 15 + 5", &S5, 16_777_216, 8.0 * 16.777_216 / 7.22),
        ("S6: four times 25", &[LinkSpec::new(25, 10, 128); 4], 62_500_000, 92.5),
        (
            "S7: 40 and 20, lossy",
            &[lossy(LinkSpec::new(40, 8, 128), 0.01), lossy(LinkSpec::new(20, 35, 256), 0.005)],
            31_000_000,
            54.5,
        ),
    ];
    for (name, links, bytes, least) in cases {
        let mbit_s = measure(stage, links, bytes)?.mbit_s;
        stage.at_least(name, mbit_s, least, "Mbit/s");
    }
    Ok(())
}

fn measure(stage: &Stage, links: &[LinkSpec], bytes: u64) -> io::Result<Outcome> {
    let lab = Lab::new(links)?;
    Bulk::begin(stage, &lab, bytes)?.finish(Duration::from_secs(60))
}

/// A measurement that runs.
pub(super) struct Bulk {
    server: Process,
    client: Process,
}

/// What the receiver said at its end.
pub(super) struct Outcome {
    /// Goodput.
    pub(super) mbit_s: f64,
    /// The longest time without new bytes in order.
    pub(super) max_gap_ms: f64,
}

impl Bulk {
    /// Starts to send `bytes` from A to B.
    pub(super) fn begin(stage: &Stage, lab: &Lab, bytes: u64) -> io::Result<Self> {
        let (server, ticket) = stage.answer(lab, &["bench", "serve"])?;
        let bytes = bytes.to_string();
        let args = ["bench", "bulk", &ticket, "--bytes", &bytes, "--json"];
        Ok(Self { client: stage.start(lab, Node::A, &args)?, server })
    }

    /// Bytes of a full packet on the path over this interface, as the sender said at its end.
    pub(super) fn datagram_bytes(&self, link: &str) -> io::Result<f64> {
        let paths = self.client.event("bulk").and_then(|line| line["paths"].as_array());
        let path = paths.into_iter().flatten().find(|path| path["link"] == link);
        let bytes = path.and_then(|path| path["datagram_bytes"].as_f64());
        bytes.ok_or_else(|| io::Error::other(format!("the sender named no path on {link}")))
    }

    /// Waits until both sides end well.
    pub(super) fn finish(&mut self, limit: Duration) -> io::Result<Outcome> {
        let deadline = Instant::now() + limit;
        self.client.finish(deadline)?;
        self.server.finish(deadline)?;
        Ok(Outcome {
            mbit_s: self.server.number("bulk", "mbit_s")?,
            max_gap_ms: self.server.number("bulk", "max_gap_ms")?,
        })
    }
}

const S2: [LinkSpec; 2] = [LinkSpec::new(100, 5, 256), LinkSpec::new(2, 150, 256)];
const S5: [LinkSpec; 2] = [LinkSpec::new(15, 25, 64), LinkSpec::new(5, 1, 64)];
