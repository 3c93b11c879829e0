//! A folder of 10,000 files of 1 to 8 KiB, from one server over a link of 32 MiB/s, beside `cp -r` and one `sync` on the
//! same disk, in turns. Both write into folders that are new, and nothing is deleted in between: deleting a tree
//! makes the disk slow for what comes next.

use super::super::super::fleet::Fleet;
use super::super::Stage;
use super::{LIMIT, LINK, MIB, median, settle};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How long `get` takes, of twice what the disk and the link need.
pub(in super::super) fn small(stage: &mut Stage) -> io::Result<()> {
    let count = if stage.options.quick { 1_000 } else { 10_000 };
    let (folder, bytes) = make_folder(&stage.folder, count)?;
    let fleet = Fleet::new(&[&[LINK]])?;
    let _server = stage.serve(&fleet, 0, &folder)?;
    let link = bytes as f64 / (32.0 * MIB as f64);
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    for run in 0..stage.options.runs {
        let mut turns = [true, false];
        turns.rotate_left(run % 2);
        for copies_now in turns {
            let out = stage.fresh(&format!("{run}-{copies_now}"))?;
            if copies_now {
                let begin = Instant::now();
                let copied = Command::new("cp").arg("-r").arg(&folder).arg(&out).status()?;
                settle();
                let seconds = begin.elapsed().as_secs_f64();
                if !copied.success() {
                    return Err(io::Error::other("cp failed"));
                }
                stage.figure("seconds", MANY, "cp -r and sync", seconds);
                copies.push(seconds);
            } else {
                let mut get = stage.get(&fleet, 0..1, &out, &[])?;
                get.finish_closely(LIMIT)?;
                stage.figure("seconds", MANY, "ropewalk", get.seconds());
                stage.holds("every file is right", same_tree(&folder, &out.join(FOLDER))?);
                ours.push(get.seconds());
            }
        }
    }
    stage.figure("seconds", MANY, "the bytes on the link", link);
    let most = 2.0 * median(&copies) + link;
    stage.at_most_exactly("median: wall time", median(&ours), most, "s");
    Ok(())
}

/// Files in a hundred folders, and their bytes in all.
fn make_folder(below: &Path, count: u64) -> io::Result<(PathBuf, u64)> {
    let (top, mut dice, mut bytes) = (below.join(FOLDER), fastrand::Rng::with_seed(9), 0);
    for nth in 0..count {
        let folder = top.join(format!("{:02}", nth % 100));
        if nth < 100 {
            std::fs::create_dir_all(&folder)?;
        }
        let mut content = vec![0; dice.usize(1_024..=8_192)];
        dice.fill(&mut content);
        std::fs::write(folder.join(format!("{nth}")), &content)?;
        bytes += content.len() as u64;
    }
    Ok((top, bytes))
}

fn same_tree(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(Command::new("diff").arg("-rq").args([one, other]).output()?.status.success())
}

const FOLDER: &str = "many";
const MANY: &str = "10,000 files of 1 to 8 KiB";
