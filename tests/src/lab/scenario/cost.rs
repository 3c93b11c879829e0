//! What a gigabyte costs: processor time of both processes over a pair of virtual Ethernet
//! interfaces that nothing shapes, one path, and how fast it goes on this machine's processors.
//!
//! Kernel work that runs in softirqs of its own threads is nobody's process and is not counted,
//! for no transport.

use super::super::Lab;
use super::super::peer::{Peer, Workload, congestion_controls};
use super::Stage;
use core::time::Duration;
use std::io;

/// One transfer by each.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    let tcp = congestion_controls().into_iter().take(1).map(Peer::Tcp).collect::<Vec<_>>();
    let peers = stage.present(&[Peer::Ropewalk("bulk")], &[tcp, vec![Peer::Quinn]].concat());
    let bytes = if stage.options.quick { BYTES / 4 } else { BYTES };
    for _ in 0..stage.options.runs {
        let (mut ours, mut quinn) = (None, None);
        for peer in &peers {
            let lab = Lab::unshaped()?;
            let mut running = stage.measure(&lab, peer, Workload::Bulk { bytes })?;
            let outcome = match running.outcome(Duration::from_secs(120)) {
                Ok(outcome) => outcome,
                Err(error) if !peer.is_ours() => {
                    stage.skip(peer, &error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            stage.figure("CPU seconds a GB, both ends", "one path", peer, outcome.cpu_s_per_gb);
            stage.figure("goodput, Mbit/s", "one path", peer, outcome.mbit_s);
            match peer {
                Peer::Ropewalk(_) => ours = Some(outcome),
                Peer::Quinn => quinn = Some(outcome),
                _ => {}
            }
        }
        if let Some(ours) = ours {
            stage.at_most_exactly("CPU seconds a GB", ours.cpu_s_per_gb, 1.3, "s");
            if let Some(quinn) = quinn {
                let least = 2.0 * quinn.mbit_s;
                stage.at_least("goodput, twice quinn's", ours.mbit_s, least, "Mbit/s");
            }
        }
    }
    Ok(())
}

/// Long enough that start-up does not count.
const BYTES: u64 = 2_000_000_000;
