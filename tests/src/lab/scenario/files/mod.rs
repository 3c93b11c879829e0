//! One file from several servers, or many files from one: `ropewalk serve` and `get`, and aria2 with
//! nginx beside them in the same run.
//!
//! ```text
//!   rates     1 GiB from four servers: how fast, and at what cost    (aria2 too)
//!   failures  servers that die, an interface that is unplugged, a server that lies
//!   resume    `get` killed, again and again
//!   uneven    servers a hundred times apart
//!   small     10,000 files
//! ```
//!
//! "32 MiB/s" is what a link carries of a TCP connection's payload: aria2's own measure.

mod failures;
mod rates;
mod resume;
mod rival;
mod small;
mod uneven;

pub(super) use failures::{all_die, liar, one_dies, unplugged};
pub(super) use rates::{cost, speed};
pub(super) use resume::killed;
pub(super) use small::small;
pub(super) use uneven::uneven;

use super::super::fleet::{Fleet, Sample};
use super::Stage;
use super::process::Process;
use super::transfer::equal;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// A link that carries 32 MiB/s of TCP payload: 1,448 bytes of each frame's 1,514.
const LINK: u64 = 32 * MIB * 8 * 1_514 / 1_448;
/// Servers of most cases.
const SERVERS: usize = 4;
/// A server has read its file by then.
const START: Duration = Duration::from_secs(60);
/// No fetch takes longer.
const LIMIT: Duration = Duration::from_secs(150);

/// Four servers, each behind a link of its own.
fn four() -> io::Result<Fleet> {
    let link: &[u64] = &[LINK];
    Fleet::new(&[link; SERVERS])
}

impl Stage {
    /// Starts server number `index` of what is at `path`, and waits for its ticket.
    fn serve(&self, fleet: &Fleet, index: usize, path: &Path) -> io::Result<Process> {
        let mut server = self.begin_serve(fleet, index, path)?;
        server.wait_for("ticket", START)?;
        Ok(server)
    }

    /// The same without waiting. The ticket will be in a file of the server's own.
    fn begin_serve(&self, fleet: &Fleet, index: usize, path: &Path) -> io::Result<Process> {
        let (path, ticket) = (path.to_string_lossy(), self.ticket(index));
        let mut args = vec!["serve", &path, "--json", "--ticket-file", &ticket];
        if fleet.is_loopback() {
            args.extend(["--link", "lo"]);
        }
        let command = fleet.server(index).command(&self.options.program.to_string_lossy());
        self.launch(command, &format!("server{index}"), &args)
    }

    /// As many servers as the fleet has, or so many.
    fn serve_all(&self, fleet: &Fleet, count: usize, path: &Path) -> io::Result<Vec<Process>> {
        let servers = (0..count).map(|index| self.begin_serve(fleet, index, path));
        let mut servers = servers.collect::<io::Result<Vec<_>>>()?;
        servers.iter_mut().try_for_each(|server| server.wait_for("ticket", START))?;
        Ok(servers)
    }

    fn ticket(&self, index: usize) -> String {
        self.folder.join(format!("ticket{index}")).to_string_lossy().into_owned()
    }

    /// Begins to fetch from these servers into `out`.
    fn get(
        &self,
        fleet: &Fleet,
        servers: core::ops::Range<usize>,
        out: &Path,
        more: &[&str],
    ) -> io::Result<Process> {
        let tickets: Vec<String> =
            servers.map(|index| format!("@{}", self.ticket(index))).collect();
        let out = out.to_string_lossy();
        let mut args = vec!["get"];
        args.extend(tickets.iter().map(String::as_str));
        args.extend(["--out", &out, "--json"]);
        args.extend(more);
        if fleet.is_loopback() {
            args.extend(["--link", "lo"]);
        }
        let command = fleet.client().command(&self.options.program.to_string_lossy());
        self.launch(command, "client", &args)
    }

    /// An empty folder for what is fetched; what was there before goes, and nothing is on its way to
    /// the disk any more.
    fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let out = self.folder.join(name);
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir_all(&out)?;
        settle();
        Ok(out)
    }

    /// Notes whether what was fetched is the file, and that nothing lies beside it.
    fn right(&mut self, file: &Path, out: &Path) -> io::Result<()> {
        let is_right = self.is_right(file, out)?;
        self.holds("the file is right, and nothing lies beside it", is_right);
        Ok(())
    }

    fn is_right(&self, file: &Path, out: &Path) -> io::Result<bool> {
        let copy = out.join(file.file_name().unwrap_or_default());
        let alone = std::fs::read_dir(out)?.count() == 1;
        Ok(alone && equal(file, &copy).unwrap_or(false))
    }
}

/// What others wrote before is on the disk.
fn settle() {
    rustix::fs::sync();
}

/// The longest time in which the rate was below `least`, in bytes a second, after it had once been above
/// and before it was for the last time, in seconds. Not a number if it never was: no limit is kept by that.
fn gap(samples: &[Sample], least: f64) -> f64 {
    let window = |two: &[Sample]| {
        let [from, .., to] = two else { return false };
        let bytes = to.bytes.saturating_sub(from.bytes) as f64;
        bytes >= least * to.at.duration_since(from.at).as_secs_f64()
    };
    // A window of 50 ms begins with each sample; a gap is the time between the end of one that is full and
    // the beginning of the next.
    let full = samples.windows(WINDOW + 1).filter(|two| window(two));
    let full: Vec<_> = full.filter_map(|two| Some((two.first()?.at, two.last()?.at))).collect();
    if full.is_empty() {
        return f64::NAN;
    }
    let gaps = full.iter().zip(full.iter().skip(1));
    let longest = gaps.map(|(one, next)| next.0.saturating_duration_since(one.1)).max();
    longest.unwrap_or_default().as_secs_f64()
}

/// Samples in a window.
const WINDOW: usize = 5;

/// The middle one, or the lower of both; nothing of nothing, or where one was not measured.
fn median(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_gap_is_the_time_between_two_full_windows() {
        let begin = Instant::now();
        let at = |milliseconds: u64| begin + Duration::from_millis(milliseconds);
        // 1 MB/s, but nothing from 500 to 900 ms, and nothing at the end.
        let bytes = |time: u64| time.min(500) + time.clamp(900, 1_500) - 900;
        let samples: Vec<_> =
            (0..200).map(|n| Sample { at: at(10 * n), bytes: 1_000 * bytes(10 * n) }).collect();
        let gap = gap(&samples, 900_000.0);
        assert!((gap - 0.4).abs() < 1e-9, "{gap}");
        assert!(super::gap(&samples, 2e6).is_nan(), "it was never so fast");
        assert!(super::gap(&[], 1.0).is_nan(), "nothing was measured");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan() && median(&[1.0, f64::NAN, 2.0]).is_nan());
    }
}
