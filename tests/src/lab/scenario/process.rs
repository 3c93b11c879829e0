//! A running `ropewalk`: started on a machine of the lab, read line by line, waited for with a
//! deadline, its memory watched.

use super::super::{Lab, Node, peer};
use super::Stage;
use core::time::Duration;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// One process and what it said.
pub(super) struct Process {
    child: Child,
    begun: Instant,
    ended: Option<ExitStatus>,
    seconds: f64,
    cpu: f64,
    about: String,
    errors: PathBuf,
    incoming: Receiver<(Instant, String)>,
    lines: Vec<Value>,
    /// When each line came.
    times: Vec<Instant>,
    memory_kib: u64,
}

impl Stage {
    /// Starts `ropewalk ARGS` on `node`, with a configuration folder of that machine's own.
    pub(super) fn start(&self, lab: &Lab, node: Node, args: &[&str]) -> io::Result<Process> {
        self.start_program(lab, node, &self.options.program, args)
    }

    /// Starts the lab's own node: see [`peer::node`].
    pub(super) fn node(&self, lab: &Lab, node: Node, args: &[&str]) -> io::Result<Process> {
        self.start_program(lab, node, &peer::own_program(), &[&["peer", "node"], args].concat())
    }

    /// The lab's own node on B, which lets in everybody, and its ticket.
    pub(super) fn node_serves(&self, lab: &Lab) -> io::Result<(Process, String)> {
        let mut server = self.node(lab, Node::B, &["serve"])?;
        server.wait_for("ticket", Duration::from_secs(10))?;
        let ticket = server.event("ticket").and_then(|line| line["ticket"].as_str());
        let ticket = ticket.unwrap_or_default().to_owned();
        Ok((server, ticket))
    }

    /// Starts any program that prints JSON lines.
    pub(super) fn start_program(
        &self,
        lab: &Lab,
        node: Node,
        program: &Path,
        args: &[&str],
    ) -> io::Result<Process> {
        self.launch(lab.command(node, &program.to_string_lossy()), &format!("{node:?}"), args)
    }

    /// The same on a machine that has this name here, and to which the command leads.
    pub(super) fn launch(
        &self,
        mut command: Command,
        machine: &str,
        args: &[&str],
    ) -> io::Result<Process> {
        let home = self.folder.join(format!("home-{machine}"));
        std::fs::create_dir_all(&home)?;
        let errors = self.folder.join(format!("{machine}-{}.stderr", args.first().unwrap_or(&"")));
        let begun = Instant::now();
        let mut child = command
            .args(args)
            .env("ROPEWALK_HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let (sender, incoming) = channel();
        let stdout = child.stdout.take().expect("it was asked for");
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map(|line| sender.send((Instant::now(), line))).take_while(Result::is_ok).count()
        });
        let about = format!("{} on {machine}", args.join(" "));
        Ok(Process {
            child,
            begun,
            ended: None,
            seconds: 0.0,
            cpu: 0.0,
            about,
            errors,
            incoming,
            lines: Vec::new(),
            times: Vec::new(),
            memory_kib: 0,
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
        if self.ended.is_some() {
            return Ok(true);
        }
        let status = self.proc("status");
        self.memory_kib = self.memory_kib.max(kib(&status, "VmHWM:").unwrap_or(0));
        // Before it is reaped: its times are gone with it.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(pid), look)?.is_some();
        self.cpu = cpu_seconds(&self.proc("stat")).unwrap_or(self.cpu);
        if ended {
            self.seconds = self.begun.elapsed().as_secs_f64();
            self.ended = Some(self.child.wait()?);
        }
        Ok(self.ended.is_some())
    }

    /// The processor time that it used, in seconds, as far as it was looked at.
    pub(super) const fn cpu_seconds(&self) -> f64 {
        self.cpu
    }

    /// How long it ran, in seconds, as closely as it was looked at.
    pub(super) const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// When it was started.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Kills it, as with `kill -9`, and waits until it is gone. Its memory may take it a while.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.strike()?;
        self.ended = Some(self.child.wait()?);
        self.read_lines()
    }

    /// Kills it without waiting for its end: it does nothing more of its own.
    pub(super) fn strike(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Whether it was killed, and had not ended before.
    pub(super) fn was_killed(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.ended.is_some_and(|ended| ended.signal().is_some())
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }

    /// Waits until it ends well.
    pub(super) fn finish(&mut self, deadline: Instant) -> io::Result<()> {
        self.finish_looking(deadline, TURN)
    }

    /// The same for whom a few milliseconds of its time matter.
    pub(super) fn finish_closely(&mut self, limit: Duration) -> io::Result<()> {
        self.finish_looking(Instant::now() + limit, Duration::from_millis(2))
    }

    fn finish_looking(&mut self, deadline: Instant, turn: Duration) -> io::Result<()> {
        while !self.has_ended()? {
            if Instant::now() > deadline {
                self.child.kill()?;
                return Err(self.complaint("did not end in time"));
            }
            std::thread::sleep(turn);
        }
        self.read_lines()?;
        match self.ended {
            Some(status) if !status.success() => {
                Err(self.complaint(&format!("ended with {status}")))
            }
            _ => Ok(()),
        }
    }

    /// The last line with this event.
    pub(super) fn event(&self, event: &str) -> Option<&Value> {
        self.lines.iter().rev().find(|line| line["event"] == event)
    }

    /// All lines with this event so far, in their order.
    pub(super) fn events(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["event"] == event)
    }

    /// When it printed the last line that is such.
    pub(super) fn when(&self, is: impl Fn(&Value) -> bool) -> Option<Instant> {
        let lines = self.lines.iter().zip(&self.times).rev();
        lines.into_iter().find(|(line, _)| is(line)).map(|(_, time)| *time)
    }

    /// Takes in what it has said, without waiting for more.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        self.read_lines()
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

    /// The memory that it holds now (`VmRSS`).
    pub(super) fn resident_mib(&self) -> f64 {
        kib(&self.proc("status"), "VmRSS:").unwrap_or(0) as f64 / 1024.0
    }

    fn read_lines(&mut self) -> io::Result<()> {
        // After the process's end the reader may need a moment to drain the pipe.
        while let Ok((time, line)) = self.incoming.recv_timeout(TURN) {
            let value = serde_json::from_str(&line)
                .map_err(|_| self.complaint(&format!("printed a line that is not JSON: {line}")))?;
            self.lines.push(value);
            self.times.push(time);
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
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// User and system time of a line of `/proc/PID/stat` (proc(5): fields 14 and 15, in ticks).
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name, in which anything may stand.
    let rest = stat.rsplit_once(") ")?.1;
    let ticks = |field: usize| rest.split(' ').nth(field - 3)?.parse::<f64>().ok();
    Some((ticks(14)? + ticks(15)?) / rustix::param::clock_ticks_per_second() as f64)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn last_line(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()?.lines().last().map(str::to_owned)
}

/// How often a process is looked at.
const TURN: Duration = Duration::from_millis(20);
