//! Servers behind links of 1, 10 and 100 Mbit/s: together they give what each gives alone.

use super::super::super::fleet::Fleet;
use super::super::Stage;
use super::{LIMIT, MIB, median};
use std::io;
use std::path::Path;

/// Each link's rate, and MiB that take it about ten seconds; then all of them.
const LINKS: [(u64, u64, &str); 3] =
    [(1, 1, "1 Mbit/s"), (10, 12, "10 Mbit/s"), (100, 120, "100 Mbit/s")];
const TOGETHER: u64 = 256;

/// Each alone, then the three.
pub(in super::super) fn uneven(stage: &mut Stage) -> io::Result<()> {
    let shorter = if stage.options.quick { 4 } else { 1 };
    let rates = LINKS.map(|(rate, ..)| [rate * 1_000_000]);
    let rates: Vec<&[u64]> = rates.iter().map(|rate| &rate[..]).collect();
    let fleet = Fleet::new(&rates)?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let mut sum = 0.0;
        for (index, (_, size, row)) in LINKS.into_iter().enumerate() {
            let size = (size * MIB / shorter).max(MIB / 2);
            let file = stage.make_file(size)?;
            let mut server = stage.serve(&fleet, index, &file)?;
            let mbit_s = rate(stage, &fleet, index..index + 1, &file)?;
            stage.figure("content, Mbit/s", row, "ropewalk", mbit_s);
            sum += mbit_s;
            server.kill()?;
        }
        let file = stage.make_file(TOGETHER * MIB / shorter)?;
        let _servers = stage.serve_all(&fleet, LINKS.len(), &file)?;
        let all = rate(stage, &fleet, 0..LINKS.len(), &file)?;
        stage.figure("content, Mbit/s", "all three", "ropewalk", all);
        alone.push(sum);
        together.push(all);
    }
    let share = 100.0 * median(&together) / median(&alone);
    stage.at_least("medians: of the sum of each alone", share, 95.0, "%");
    Ok(())
}

/// Content over the time from the command's start to its end.
fn rate(
    stage: &mut Stage,
    fleet: &Fleet,
    servers: core::ops::Range<usize>,
    file: &Path,
) -> io::Result<f64> {
    let out = stage.fresh("got")?;
    let mut get = stage.get(fleet, servers, &out, &[])?;
    get.finish_closely(LIMIT)?;
    stage.right(file, &out)?;
    Ok(std::fs::metadata(file)?.len() as f64 * 8e-6 / get.seconds())
}
