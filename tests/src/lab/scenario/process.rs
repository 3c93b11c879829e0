//! A running `ropewalk`: started on a machine of the lab, read line by line, waited for with a
//! deadline, its memory watched.

use super::super::{Lab, Node};
use super::Stage;
use core::time::Duration;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// One process and what it said.
pub(super) struct Process {
    child: Child,
    about: String,
    errors: PathBuf,
    incoming: Receiver<String>,
    lines: Vec<Value>,
    memory_kib: u64,
    cpu_ticks: u64,
}

impl Stage {
    /// Starts `ropewalk ARGS` on `node`, with a configuration folder of that machine's own.
    pub(super) fn start(&self, lab: &Lab, node: Node, args: &[&str]) -> io::Result<Process> {
        let home = self.folder.join(format!("home-{node:?}"));
        std::fs::create_dir_all(&home)?;
        let errors = self.folder.join(format!("{node:?}-{}.stderr", args.first().unwrap_or(&"")));
        let mut child = lab
            .command(node, &self.program.to_string_lossy())
            .args(args)
            .env("ROPEWALK_HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let (sender, incoming) = channel();
        let stdout = child.stdout.take().expect("it was asked for");
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            lines.map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).count()
        });
        let about = format!("{} on {node:?}", args.join(" "));
        Ok(Process {
            child,
            about,
            errors,
            incoming,
            lines: Vec::new(),
            memory_kib: 0,
            cpu_ticks: 0,
        })
    }

    /// Starts the answering side on B and waits for its ticket, which lies in the file that the
    /// second value names for the command line (`@FILE`).
    pub(super) fn answer(&self, lab: &Lab, args: &[&str]) -> io::Result<(Process, String)> {
        let ticket = self.folder.join("ticket");
        let _ = std::fs::remove_file(&ticket);
        let path = ticket.to_string_lossy().into_owned();
        let common = ["--once", "--json", "--ticket-file", path.as_str()];
        let mut process = self.start(lab, Node::B, &[args, &common].concat())?;
        process.wait_for("ticket", Duration::from_secs(10))?;
        Ok((process, format!("@{path}")))
    }
}

impl Process {
    /// Waits for the first line whose event is `event`.
    pub(super) fn wait_for(&mut self, event: &str, limit: Duration) -> io::Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.has_ended()? {
            self.read_lines()?;
            if self.event(event).is_some() {
                return Ok(());
            }
            std::thread::sleep(TURN);
        }
        Err(self.complaint(&format!("printed no \"{event}\" line")))
    }

    /// Whether it has ended. Also looks at its memory, so call it often.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        self.memory_kib = self.memory_kib.max(status.ok().and_then(|s| peak(&s)).unwrap_or(0));
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        self.cpu_ticks = self.cpu_ticks.max(stat.ok().and_then(|s| ticks(&s)).unwrap_or(0));
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it ends well.
    pub(super) fn finish(&mut self, deadline: Instant) -> io::Result<()> {
        while !self.has_ended()? {
            if Instant::now() > deadline {
                self.child.kill()?;
                return Err(self.complaint("did not end in time"));
            }
            std::thread::sleep(TURN);
        }
        let status = self.child.wait()?;
        self.read_lines()?;
        if status.success() { Ok(()) } else { Err(self.complaint(&format!("ended with {status}"))) }
    }

    /// The last line with this event.
    pub(super) fn event(&self, event: &str) -> Option<&Value> {
        self.lines.iter().rev().find(|line| line["event"] == event)
    }

    /// A number from the last line with this event.
    pub(super) fn number(&self, event: &str, field: &str) -> io::Result<f64> {
        let value = self.event(event).and_then(|line| line[field].as_f64());
        value.ok_or_else(|| self.complaint(&format!("printed no {field} in a \"{event}\" line")))
    }

    /// The most memory it ever held (`VmHWM`), as far as it was looked at.
    pub(super) fn memory_mib(&self) -> f64 {
        self.memory_kib as f64 / 1024.0
    }

    /// Seconds of processor that it used, as far as it was looked at.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.cpu_ticks as f64 / TICKS_PER_SECOND
    }

    fn read_lines(&mut self) -> io::Result<()> {
        // After the process's end the reader may need a moment to drain the pipe.
        while let Ok(line) = self.incoming.recv_timeout(TURN) {
            let value = serde_json::from_str(&line)
                .map_err(|_| self.complaint(&format!("printed a line that is not JSON: {line}")))?;
            self.lines.push(value);
        }
        Ok(())
    }

    fn complaint(&self, what: &str) -> io::Error {
        let said = last_line(&self.errors).unwrap_or_default();
        io::Error::other(format!("{} {what}; it said: {said}", self.about))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Time in user and kernel mode: the fourteenth and fifteenth field; the second, a name in brackets,
/// may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok()).sum()
}

fn last_line(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()?.lines().last().map(str::to_owned)
}

/// What Linux counts processor time in, everywhere.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often a process is looked at.
const TURN: Duration = Duration::from_millis(20);
