//! `get` killed at random moments, and started again each time, until the file is there: how much came
//! that had come before.
//!
//! What came is counted on the interfaces, as frames; how much content a frame carries is learned from a
//! fetch that nothing disturbs. So what lay in a socket's buffer when the process died counts as well.

use super::super::Stage;
use super::{LIMIT, MIB, SERVERS, four};
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// So often it is killed.
const KILLS: u32 = 20;
/// Where the moments come from.
const SEED: u64 = 5;

/// 20 kills; each fetch that comes to its end is followed by a new one.
pub(in super::super) fn killed(stage: &mut Stage) -> io::Result<()> {
    let size = if stage.options.quick { 256 * MIB } else { 1024 * MIB };
    let fleet = four()?;
    let file = stage.make_file(size)?;
    let _servers = stage.serve_all(&fleet, SERVERS, &file)?;
    let mut out = stage.fresh("got")?;
    let before = fleet.received()?;
    stage.get(&fleet, 0..SERVERS, &out, &[])?.finish_closely(LIMIT)?;
    let content_of_frames = size as f64 / (fleet.received()? - before) as f64;
    stage.figure("content of what comes", "undisturbed", "ropewalk", content_of_frames);
    out = stage.fresh("got")?;
    let mut dice = fastrand::Rng::with_seed(SEED);
    let (mut kills, mut again) = (0, Vec::new());
    // What had come in the round before, and what was found at its beginning.
    let mut last: Option<(f64, f64)> = None;
    while kills < KILLS || last.is_some() {
        let before = fleet.received()?;
        let mut get = stage.get(&fleet, 0..SERVERS, &out, &["--report", "0.05"])?;
        if kills < KILLS {
            sleep(Duration::from_millis(dice.u64(20..1_200)));
            // It may have come to its end by itself.
            if !get.has_ended()? {
                get.kill()?;
                kills += 1;
            }
        } else {
            get.finish_closely(LIMIT)?;
        }
        get.listen()?;
        sleep(DRAINED);
        let came = (fleet.received()? - before) as f64 * content_of_frames;
        let is_over = get.event("fetched").is_some();
        let stands = get.event("fetched").or_else(|| get.event("progress"));
        let found = stands.and_then(|line| line["found"].as_f64()).filter(|found| *found > 0.0);
        match (last.take(), found) {
            (Some((had, came_before)), Some(found)) => {
                again.push((had + came_before - found) / MIB as f64);
                last = Some((found, came));
            }
            // It was killed before it knew what was there: the next one tells.
            (Some((had, came_before)), None) => last = Some((had, came_before + came)),
            (None, _) => last = Some((0.0, came)),
        }
        if is_over {
            last = None;
            stage.right(&file, &out)?;
            out = stage.fresh("got")?;
        }
    }
    for again in &again {
        stage.figure("fetched again, MiB", "killed at a random moment", "ropewalk", *again);
    }
    let most = again.iter().copied().fold(0.0, f64::max);
    stage.at_most("fetched again after a kill, at most", most, SERVERS as f64, "MiB");
    let mean = again.iter().sum::<f64>() / again.len().max(1) as f64;
    stage.figure("fetched again, MiB", "mean", "ropewalk", mean);
    Ok(())
}

/// Servers have noticed that nobody takes what they send, and the queues are empty.
const DRAINED: Duration = Duration::from_millis(50);
