//! One file from four servers: the time that it takes over links of 32 MiB/s, and what it costs over
//! a loopback interface that nothing limits.

use super::super::super::fleet::{Fleet, Sample};
use super::super::Stage;
use super::{LIMIT, MIB, Process, SERVERS, four, median, rival, settle};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The time from the start of the command to its end, beside aria2's.
pub(in super::super) fn speed(stage: &mut Stage) -> io::Result<()> {
    let fleet = four()?;
    let file = stage.make_file(if stage.options.quick { 128 * MIB } else { 1024 * MIB })?;
    let _servers = stage.serve_all(&fleet, SERVERS, &file)?;
    let rivals = rivals(stage, &fleet, &file)?;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let out = stage.warm(&file)?;
        let (get, samples) = fleet.watch(|| {
            let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
            get.finish_closely(LIMIT)?;
            io::Result::Ok(get)
        })?;
        ours.push(note_speed(stage, "ropewalk", &get?, &samples));
        stage.right(&file, &out)?;
        if rivals.is_some() {
            let out = stage.warm(&file)?;
            let fetch = || stage.aria2(&fleet, SERVERS, &file, &out, &[]);
            let (aria2, samples) = fleet.watch(fetch)?;
            others.push(note_speed(stage, "aria2", &aria2?, &samples));
        }
    }
    if !others.is_empty() {
        let times = median(&ours) / median(&others);
        stage.at_most_exactly("medians: of aria2's time", times, 1.01, "times");
    }
    Ok(())
}

/// How long it took, and of that: until bytes flowed, and after they had.
fn note_speed(stage: &mut Stage, who: &str, process: &Process, samples: &[Sample]) -> f64 {
    stage.figure("seconds", FOUR, who, process.seconds());
    let total = samples.last().map_or(0, |last| last.bytes);
    let before = samples.first().map_or(0, |first| first.bytes);
    let since = |sample: &Sample| sample.at.saturating_duration_since(process.begun());
    let first = samples.iter().find(|sample| sample.bytes > before + MIB).map(since);
    let last = samples.iter().find(|sample| sample.bytes + MIB > total).map(since);
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    stage.figure("from the start to the first MiB, s", FOUR, who, first.as_secs_f64());
    let rest = process.seconds() - last.as_secs_f64();
    stage.figure("from the last MiB to the end, s", FOUR, who, rest);
    let frames = (total - before) as f64 / MIB as f64;
    stage.figure("frames, MiB", FOUR, who, frames);
    process.seconds()
}

/// Processor time and memory of whoever fetches.
pub(in super::super) fn cost(stage: &mut Stage) -> io::Result<()> {
    let fleet = Fleet::loopback()?;
    let gib = if stage.options.quick { 0.125 } else { 1.0 };
    let file = stage.make_file((gib * 1024.0) as u64 * MIB)?;
    let _servers = stage.serve_all(&fleet, SERVERS, &file)?;
    let rivals = rivals(stage, &fleet, &file)?;
    let checksum = format!("--checksum=sha-256={}", sha256(&file)?);
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..stage.options.runs {
        let out = stage.warm(&file)?;
        let mut get = stage.get(&fleet, 0..SERVERS, &out, &[])?;
        get.finish_closely(LIMIT)?;
        stage.right(&file, &out)?;
        cpu.push(get.cpu_seconds() / gib);
        memory.push(get.memory_mib());
        note(stage, "ropewalk", [get.cpu_seconds() / gib, get.memory_mib(), get.seconds()]);
        let (_, copying) = stage.copy(&file)?;
        stage.figure("CPU seconds a GiB, the client", FOUR, "cp", copying / gib);
        for (column, more) in [("aria2", &[][..]), ("aria2, SHA-256", &[checksum.as_str()])] {
            if rivals.is_none() {
                continue;
            }
            let out = stage.warm(&file)?;
            let aria2 = stage.aria2(&fleet, SERVERS, &file, &out, more)?;
            let figures = [aria2.cpu_seconds() / gib, aria2.memory_mib(), aria2.seconds()];
            note(stage, column, figures);
        }
    }
    stage.at_most_exactly("median: CPU seconds a GiB", median(&cpu), 1.8, "s");
    stage.at_most("median: peak memory", median(&memory), 64.0, "MiB");
    Ok(())
}

impl Stage {
    /// A fresh folder, and memory for the file's pages that the machine has already. On a virtual machine the first
    /// touch of a page costs whoever touches it many times what writing it does: no program's own cost.
    fn warm(&self, file: &Path) -> io::Result<PathBuf> {
        let out = self.fresh("got")?;
        let (copy, _) = self.copy(file)?;
        settle();
        std::fs::remove_file(copy)?;
        Ok(out)
    }

    /// Copies the file, and says how many processor seconds `cp` used.
    fn copy(&self, file: &Path) -> io::Result<(PathBuf, f64)> {
        let copy = self.folder.join("copy");
        let mut cp = Command::new("cp");
        let args = ["--reflink=never", &file.to_string_lossy(), &copy.to_string_lossy()];
        cp.args(args);
        let mut copying = self.launch(cp, "copy", &[])?;
        copying.finish_closely(LIMIT)?;
        Ok((copy, copying.cpu_seconds()))
    }
}

fn note(stage: &mut Stage, column: &str, [cpu, memory, seconds]: [f64; 3]) {
    stage.figure("CPU seconds a GiB, the client", FOUR, column, cpu);
    stage.figure("peak memory of the client, MiB", FOUR, column, memory);
    stage.figure("seconds", FOUR, column, seconds);
}

/// nginx on every server, if it and aria2 are here and wanted.
fn rivals(stage: &mut Stage, fleet: &Fleet, file: &Path) -> io::Result<Option<Vec<Process>>> {
    if !stage.options.peers {
        return Ok(None);
    }
    if let Some(why) = rival::missing() {
        stage.skip(&"aria2", &why);
        return Ok(None);
    }
    let servers = (0..SERVERS).map(|index| stage.nginx(fleet, index, file));
    servers.collect::<io::Result<Vec<_>>>().map(Some)
}

fn sha256(file: &Path) -> io::Result<String> {
    let output = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

const FOUR: &str = "1 GiB from four servers";
