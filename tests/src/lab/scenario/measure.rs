//! One workload by one transport over the links of one lab, whoever it is.

use super::super::peer::{self, Job, PORT, Peer, Workload, built, mptcp};
use super::super::{Lab, Link, Node, ipv4};
use super::Stage;
use super::process::Process;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::path::Path;
use std::time::Instant;

/// A measurement that runs.
pub(super) struct Measurement {
    pub(super) sink: Process,
    pub(super) source: Process,
    workload: Workload,
}

/// What the receiver saw of bulk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Goodput, from accepting the connection to the last byte.
    pub(super) mbit_s: f64,
    /// The longest time without new bytes in order.
    pub(super) max_gap_ms: f64,
    /// Processor seconds of both processes for each 10^9 bytes.
    pub(super) cpu_s_per_gb: f64,
}

/// What the receiver saw of messages.
#[derive(Clone, Debug)]
pub(super) struct Lateness {
    /// How many did not come.
    pub(super) lost: f64,
    /// Half of them came within this.
    pub(super) p50_ms: f64,
    /// 99 of 100 came within this.
    pub(super) p99_ms: f64,
    /// All that came, came within this.
    pub(super) max_ms: f64,
    /// When each was due and how late it came, in milliseconds, if the receiver told.
    pub(super) samples: Vec<(f64, f64)>,
}

impl Stage {
    /// Starts `workload` from A to B, and returns once both are connected.
    pub(super) fn measure(
        &self,
        lab: &Lab,
        peer: &Peer,
        workload: Workload,
    ) -> io::Result<Measurement> {
        let own = peer::own_program();
        match peer {
            Peer::Ropewalk(mode) => self.measure_ours(lab, mode, &[], workload),
            Peer::Tcp(congestion) | Peer::Mptcp(congestion) => {
                let multipath = matches!(peer, Peer::Mptcp(_));
                if multipath {
                    mptcp::set_up(lab)?;
                }
                let args = |sink| {
                    let congestion = Some(congestion.clone());
                    let at = SocketAddr::new(ipv4(0, Node::B), PORT);
                    let mut args = vec!["peer".to_owned()];
                    args.extend(Job { sink, multipath, congestion, at, workload }.to_args());
                    args
                };
                self.measure_program(lab, &own, [args(true), args(false)], workload)
            }
            Peer::Noq | Peer::Quinn => {
                let program = built::program().map_err(io::Error::other)?;
                let links = if *peer == Peer::Noq { lab.links().count().max(1) } else { 1 };
                let args = |side: &str| {
                    let mut args = vec![peer.to_string(), side.to_owned()];
                    let at = |link| SocketAddr::new(ipv4(link, Node::B), PORT).to_string();
                    args.push((0..links).map(at).collect::<Vec<_>>().join(","));
                    args.extend(workload.to_args());
                    args
                };
                self.measure_program(lab, &program, [args("sink"), args("source")], workload)
            }
        }
    }

    fn measure_program(
        &self,
        lab: &Lab,
        program: &Path,
        args: [Vec<String>; 2],
        workload: Workload,
    ) -> io::Result<Measurement> {
        let start = |node, words: &[String]| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.start_program(lab, node, program, &words)
        };
        let mut sink = start(Node::B, &args[0])?;
        sink.wait_for("ticket", START)?;
        let mut source = start(Node::A, &args[1])?;
        source.wait_for("connected", START)?;
        Ok(Measurement { sink, source, workload })
    }

    /// The same by ropewalk, with more words for the command of A.
    pub(super) fn measure_ours(
        &self,
        lab: &Lab,
        mode: &str,
        more: &[&str],
        workload: Workload,
    ) -> io::Result<Measurement> {
        let (sink, ticket) = self.answer(lab, &["bench", "serve", "--mode", mode])?;
        let args: Vec<String> = match workload {
            Workload::Bulk { bytes } => {
                ["bulk", &ticket, "--bytes", &bytes.to_string()].map(str::to_owned).to_vec()
            }
            Workload::Messages { rate, size, seconds } => {
                let [rate, size, seconds] = [rate, size as u64, seconds].map(|n| n.to_string());
                ["messages", &ticket, "--rate", &rate, "--size", &size, "--seconds", &seconds]
                    .map(str::to_owned)
                    .to_vec()
            }
        };
        let mut words = vec!["bench"];
        words.extend(args.iter().map(String::as_str));
        words.extend(["--mode", mode, "--json"]);
        words.extend(more);
        let mut source = self.start(lab, Node::A, &words)?;
        source.wait_for("connected", START)?;
        Ok(Measurement { sink, source, workload })
    }
}

impl Measurement {
    /// Waits until both sides end, well or late; a peer that cannot end by itself has failed.
    fn finish(&mut self, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        self.sink.finish(deadline)?;
        self.source.finish(deadline)
    }

    /// Waits for the outcome of bulk.
    pub(super) fn outcome(&mut self, limit: Duration) -> io::Result<Outcome> {
        self.finish(limit)?;
        let bytes = self.sink.number("bulk", "bytes")?;
        if !matches!(self.workload, Workload::Bulk { bytes: sent } if sent as f64 == bytes) {
            return Err(io::Error::other(format!("only {bytes} bytes arrived")));
        }
        Ok(Outcome {
            mbit_s: self.sink.number("bulk", "mbit_s")?,
            max_gap_ms: self.sink.number("bulk", "max_gap_ms")?,
            cpu_s_per_gb: (self.sink.cpu_seconds() + self.source.cpu_seconds()) / (bytes / 1e9),
        })
    }

    /// Waits for the outcome of messages.
    pub(super) fn lateness(mut self, limit: Duration) -> io::Result<Lateness> {
        self.finish(limit)?;
        let number = |field| self.sink.number("messages", field);
        let samples = self.sink.event("messages").and_then(|line| line["samples"].as_array());
        let pair = |pair: &serde_json::Value| Some((pair[0].as_f64()?, pair[1].as_f64()?));
        Ok(Lateness {
            lost: number("lost")?,
            p50_ms: number("p50_ms")?,
            p99_ms: number("p99_ms")?,
            max_ms: number("max_ms")?,
            samples: samples.map(|all| all.iter().filter_map(pair).collect()).unwrap_or_default(),
        })
    }
}

/// What the links delivered to B in each turn, in Mbit/s of frames, while `work` runs: goodput,
/// heads and repetitions together, and so the same measure for every transport.
pub(super) fn watch<T>(lab: &Lab, work: impl FnOnce() -> T) -> (T, Vec<(f64, f64)>) {
    let done = core::sync::atomic::AtomicBool::new(false);
    let total = || lab.links().map(|link: &Link| link.stats(Node::A).delivered_bytes).sum::<u64>();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (begin, mut last, mut seen, mut points) = (Instant::now(), 0.0, total(), vec![]);
            while !done.load(core::sync::atomic::Ordering::Relaxed) {
                std::thread::sleep(WATCH);
                let (now, bytes) = (begin.elapsed().as_secs_f64(), total());
                points.push((now, (bytes - seen) as f64 * 8e-6 / (now - last)));
                (last, seen) = (now, bytes);
            }
            points
        });
        let outcome = work();
        done.store(true, core::sync::atomic::Ordering::Relaxed);
        (outcome, watcher.join().unwrap_or_default())
    })
}

/// Both sides are connected within this.
const START: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_millis(100);
