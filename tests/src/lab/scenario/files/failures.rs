//! What goes wrong under a fetch: one server is killed, all are and come back, an interface of the
//! client is unplugged, a server lies.

use super::super::super::fleet::{Fleet, Sample};
use super::super::super::peer;
use super::super::Stage;
use super::super::process::Process;
use super::{LIMIT, LINK, MIB, SERVERS, START, four, gap, median};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Instant;

/// What a link carries in a second, in bytes of frames.
const FULL: f64 = LINK as f64 / 8.0;

/// One of four is killed after 3 s: what is left is a quarter less.
pub(in super::super) fn one_dies(stage: &mut Stage) -> io::Result<()> {
    let (size, after) = if stage.options.quick { (384, 1.0) } else { (1024, 3.0) };
    // Four links to that moment, then three.
    let ideal = after + (size as f64 / 32.0 - 4.0 * after) / 3.0;
    let file = stage.make_file(size * MIB)?;
    let (mut gaps, mut times) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let fleet = four()?;
        let mut servers = stage.serve_all(&fleet, SERVERS, &file)?;
        let out = stage.fresh("got")?;
        let (get, samples) = fleet.watch(|| {
            let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
            sleep(Duration::from_secs_f64(after));
            servers.first_mut().map_or(Ok(()), Process::kill)?;
            get.finish_closely(LIMIT)?;
            io::Result::Ok(get)
        })?;
        let get = get?;
        // The three that are left carry three quarters; half of that counts as a gap.
        let gap = gap(&samples, 1.5 * FULL);
        stage.figure("longest gap, s", "one of four is killed", "ropewalk", gap);
        stage.figure("seconds", "one of four is killed", "ropewalk", get.seconds());
        stage.figure("seconds", "one of four is killed", "ideal", ideal);
        let wasted = get.number("fetched", "wasted")? / MIB as f64;
        stage.figure("for nothing, MiB", "one of four is killed", "ropewalk", wasted);
        stage.right(&file, &out)?;
        gaps.push(gap);
        times.push(get.seconds());
    }
    stage.at_most_exactly("median: longest gap", median(&gaps), 1.0, "s");
    stage.at_most_exactly("median: done after", median(&times), ideal * 10.2 / 9.67, "s");
    Ok(())
}

/// All are killed after 3 s, and started again 10 s later.
pub(in super::super) fn all_die(stage: &mut Stage) -> io::Result<()> {
    let (size, after, away) = if stage.options.quick { (256, 1, 3) } else { (1024, 3, 10) };
    let file = stage.make_file(size * MIB)?;
    let (mut returns, mut again) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let fleet = four()?;
        let mut servers = stage.serve_all(&fleet, SERVERS, &file)?;
        let out = stage.fresh("got")?;
        let (get, samples) = fleet.watch(|| {
            let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
            sleep(Duration::from_secs(after));
            servers.iter_mut().try_for_each(Process::kill)?;
            sleep(Duration::from_secs(away));
            servers = stage.serve_all(&fleet, SERVERS, &file)?;
            get.finish_closely(LIMIT)?;
            io::Result::Ok(get)
        })?;
        let get = get?;
        let up = servers.iter().filter_map(|server| server.when(|line| line["event"] == "ticket"));
        let up = up.min().ok_or_else(|| io::Error::other("no server came back"))?;
        let flows = flows_after(&samples, up).map_or(f64::NAN, |time| time.as_secs_f64());
        let fetched = get.number("fetched", "fetched")? - get.number("fetched", "bytes")?;
        stage.figure("from the first's return to bytes, s", ALL, "ropewalk", flows);
        stage.figure("fetched twice, MiB", ALL, "ropewalk", fetched / MIB as f64);
        stage.figure("seconds", ALL, "ropewalk", get.seconds());
        stage.right(&file, &out)?;
        returns.push(flows);
        again.push(fetched / MIB as f64);
    }
    stage.at_most_exactly("median: from the return to bytes", median(&returns), 1.0, "s");
    // What is in flight: a piece that is half there from each, and what stands in the queues.
    stage.at_most("median: fetched twice", median(&again), SERVERS as f64, "MiB");
    Ok(())
}

/// How long after `from` more had come than handshakes take.
fn flows_after(samples: &[Sample], from: Instant) -> Option<Duration> {
    let before = samples.iter().take_while(|sample| sample.at <= from).last()?.bytes;
    let first = samples.iter().find(|sample| sample.at > from && sample.bytes > before + MUCH)?;
    Some(first.at.duration_since(from))
}

/// One server, two links to it; one of the client's interfaces goes down at half time.
pub(in super::super) fn unplugged(stage: &mut Stage) -> io::Result<()> {
    let size = if stage.options.quick { 128 } else { 256 };
    let file = stage.make_file(size * MIB)?;
    let mut gaps = Vec::new();
    for _ in 0..stage.options.runs {
        let fleet = Fleet::new(&[&[LINK, LINK]])?;
        let _server = stage.serve(&fleet, 0, &file)?;
        let out = stage.fresh("got")?;
        let fetch = || {
            let mut get = stage.get(&fleet, 0..1, &out, &[])?;
            sleep(Duration::from_secs_f64(size as f64 / 64.0 / 2.0));
            fleet.unplug(1)?;
            get.finish_closely(LIMIT)?;
            io::Result::Ok(get)
        };
        let (fetched, samples) = fleet.watch(|| longest_without_a_piece(&out, fetch))?;
        let (get, without) = fetched;
        let get = get?;
        let rate = gap(&samples, 0.5 * FULL);
        stage.figure("longest gap in the rate, s", "one of two interfaces", "ropewalk", rate);
        let gap = without.map_or(f64::NAN, |without| without.as_secs_f64());
        stage.figure("longest without a piece, s", "one of two interfaces", "ropewalk", gap);
        stage.figure("seconds", "one of two interfaces", "ropewalk", get.seconds());
        stage.right(&file, &out)?;
        gaps.push(gap);
    }
    stage.at_most_exactly("median: longest without a piece", median(&gaps), 0.3, "s");
    Ok(())
}

/// The longest time in which no piece was proved and written while `work` ran, between the first and the last; `None`
/// if not two were seen.
fn longest_without_a_piece<T>(out: &Path, work: impl FnOnce() -> T) -> (T, Option<Duration>) {
    let done = AtomicBool::new(false);
    let written = || {
        let there = std::fs::metadata(out.join(UNDER_WAY));
        there.map_or(0, |there| there.blocks())
    };
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut longest, mut last, mut since) = (None, 0, None);
            while !done.load(Ordering::Relaxed) {
                let blocks = written();
                if blocks > last {
                    let now = Instant::now();
                    if let Some(before) = since.replace(now) {
                        longest = longest.max(Some(now.duration_since(before)));
                    }
                    last = blocks;
                }
                sleep(Duration::from_millis(5));
            }
            longest
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        (outcome, watcher.join().ok().flatten())
    })
}

/// One of four lies about the 30th piece that it is asked for, of about 250 that would be its own.
pub(in super::super) fn liar(stage: &mut Stage) -> io::Result<()> {
    let size = if stage.options.quick { 256 } else { 1024 };
    let file = stage.make_file(size * MIB)?;
    let (mut delays, mut all_wasted) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let fleet = four()?;
        let _servers = stage.serve_all(&fleet, SERVERS - 1, &file)?;
        let mut liar = stage.start_liar(&fleet, SERVERS - 1, &file)?;
        let out = stage.fresh("got")?;
        let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
        get.finish_closely(LIMIT)?;
        liar.listen()?;
        let lie = liar.when(|line| line["event"] == "lie");
        let found = get.when(|line| line["state"] == "lied");
        let delay = lie.zip(found).map(|(lie, found)| found.saturating_duration_since(lie));
        let delay = delay.map_or(f64::NAN, |delay| delay.as_secs_f64());
        stage.figure("from the lie to its discovery, s", "one of four lies", "ropewalk", delay);
        let named = get.events("source").filter(|line| line["state"] == "lied");
        let named: Vec<_> = named.filter_map(|line| line["source"].as_str()).collect();
        let address = fleet.address(SERVERS - 1).to_string();
        let liar_alone = named.len() == 1 && named.iter().all(|name| name.starts_with(&address));
        stage.holds("the liar is found and named, and nobody else", liar_alone);
        // What it had sent when the piece was complete: no more than it was asked for ahead.
        let wasted = get.number("fetched", "wasted")? / MIB as f64;
        stage.figure("for nothing, MiB", "one of four lies", "ropewalk", wasted);
        stage.right(&file, &out)?;
        delays.push(delay);
        all_wasted.push(wasted);
    }
    stage.at_most_exactly("median: from the lie to its discovery", median(&delays), 1.0, "s");
    stage.at_most("median: for nothing", median(&all_wasted), LIAR_AHEAD_MIB, "MiB");
    Ok(())
}

impl Stage {
    /// Starts the lab's own server, which lies once.
    fn start_liar(&self, fleet: &Fleet, index: usize, path: &Path) -> io::Result<Process> {
        let command = fleet.server(index).command(&peer::own_program().to_string_lossy());
        let path = path.to_string_lossy();
        let args = ["peer", "node", "liar", &path, NTH];
        let mut liar = self.launch(command, &format!("server{index}"), &args)?;
        liar.wait_for("ticket", START)?;
        let ticket = liar.event("ticket").and_then(|line| line["ticket"].as_str());
        std::fs::write(self.ticket(index), ticket.unwrap_or_default())?;
        Ok(liar)
    }
}

/// What the liar is asked for ahead, at most: the window of one of four sources, and the piece itself.
const LIAR_AHEAD_MIB: f64 = 5.0;
/// Where `get` writes what `make_file` made.
const UNDER_WAY: &str = ".source.bin.ropewalk-get";
const NTH: &str = "30";
const ALL: &str = "all are killed and come back";
/// More than all handshakes and greetings.
const MUCH: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_seen_is_no_short_time() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(longest_without_a_piece(folder.path(), || ()).1, None);
        let grown = longest_without_a_piece(folder.path(), || {
            for mib in 1..=2 {
                let content = vec![7; mib << 20];
                std::fs::write(folder.path().join(UNDER_WAY), content).unwrap();
                sleep(Duration::from_millis(100));
            }
        });
        assert!(grown.1 >= Some(Duration::from_millis(50)), "{grown:?}");
    }
}
