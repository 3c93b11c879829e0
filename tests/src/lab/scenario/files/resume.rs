//! `get` killed (`kill -9`) at random moments, 20 times: how much comes again when it is started once more.
//!
//! ```text
//!   came before the kill  =  frames on the interfaces, times the content of a frame
//!   fetched again         =  came before the kill - what the second one finds there
//! ```
//!
//! How much content a frame carries is learned from a fetch that nothing disturbs. So what lay in a socket's
//! buffer when the process died counts as well; not what was still on its way.

use super::super::Stage;
use super::{LIMIT, MIB, SERVERS, four, median};
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// Where the moments come from.
const SEED: u64 = 5;

/// Each time a file is begun, killed, and brought to its end.
pub(in super::super) fn killed(stage: &mut Stage) -> io::Result<()> {
    let kills = if stage.options.quick { 4 } else { 20 };
    let fleet = four()?;
    let file = stage.make_file(SIZE)?;
    let _servers = stage.serve_all(&fleet, SERVERS, &file)?;
    let out = stage.fresh("got")?;
    let before = fleet.received()?;
    let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
    get.finish_closely(LIMIT)?;
    let content = SIZE as f64 / (fleet.received()? - before) as f64;
    let whole = Duration::from_secs_f64(get.seconds());
    let mut dice = fastrand::Rng::with_seed(SEED);
    let (mut again, mut right) = (Vec::new(), 0.0);
    for _ in 0..kills {
        let out = stage.fresh("got")?;
        let before = fleet.received()?;
        let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
        let moment = whole.mul_f64(dice.f64() * 0.9);
        sleep(moment);
        get.strike()?;
        // All that has come now it is struck: more cannot have been fetched.
        let came = (fleet.received()? - before) as f64 * content;
        get.kill()?;
        stage.holds("it was killed, and had not ended", get.was_killed());
        sleep(DRAINED);
        let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
        get.finish_closely(LIMIT)?;
        let found = get.number("fetched", "found")?;
        let mib = (came - found) / MIB as f64;
        let row = format!("killed after {:.2} s", moment.as_secs_f64());
        stage.figure("fetched again, MiB", &row, "ropewalk", mib);
        again.push(mib);
        right += f64::from(u8::from(stage.is_right(&file, &out)?));
    }
    stage.at_least("files that are right in the end", right, f64::from(kills), "");
    let most = again.iter().copied().fold(0.0, f64::max);
    // A piece of each server is under way, and what lay unread while the process waited for the disk counts as well.
    stage.at_most("fetched again, at most", most, SERVERS as f64 + 1.0, "MiB");
    let over = again.iter().filter(|mib| **mib > SERVERS as f64).count();
    stage.at_most("times that it was more than 4 MiB", over as f64, 1.0, "");
    stage.figure("fetched again, MiB", "median", "ropewalk", median(&again));
    Ok(())
}

const SIZE: u64 = 256 * MIB;
/// What was on its way to the process has come, and the servers have noticed.
const DRAINED: Duration = Duration::from_millis(100);
