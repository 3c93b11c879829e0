//! One network namespace: a machine's interfaces, addresses and routes, made with `ip netns`.
//!
//! Its name holds the process that owns it (`ropewalk-PID-NUMBER-SIDE`). Dropping it kills what
//! still runs in it and deletes it, also while a panic unwinds; what a killed process could not
//! take down is found by [`sweep`] by the id of a process that is gone.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Output};

/// A namespace and the right to enter it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// Makes the namespace of this process's lab `number`, side `side`, with loopback up.
    ///
    /// # Errors
    /// Without root, or if `ip` fails; its words are in the error.
    pub fn create(number: u32, side: char) -> io::Result<Self> {
        let name = format!("{PREFIX}{}-{number}-{side}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let handle = File::open(format!("{FOLDER}/{name}"))?;
        let namespace = Self { name, handle };
        namespace.ip(&["link", "set", "lo", "up"])?;
        namespace.inside(answer_strictly)??;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these arguments in it.
    ///
    /// # Errors
    /// If it fails; its words are in the error.
    pub fn ip(&self, args: &[&str]) -> io::Result<()> {
        run(Command::new("ip").args(["-netns", &self.name]).args(args)).map(drop)
    }

    /// Runs `tc` with these arguments in it.
    ///
    /// # Errors
    /// If it fails; its words are in the error.
    pub fn tc(&self, args: &[&str]) -> io::Result<()> {
        run(Command::new("tc").args(["-netns", &self.name]).args(args)).map(drop)
    }

    /// A command that will run in it. `ip netns exec` mounts the right `/sys` and becomes the
    /// program, so the process id is the program's.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `work` on a thread that has entered it.
    ///
    /// # Errors
    /// If the thread may not enter.
    ///
    /// # Panics
    /// If `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        take_down(&self.name);
    }
}

/// Takes down the namespaces of labs whose process is gone.
///
/// # Errors
/// If `ip` cannot be run.
pub fn sweep() -> io::Result<()> {
    let listed = run(Command::new("ip").args(["netns", "list"]))?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            take_down(name);
        }
    }
    Ok(())
}

/// Kills whatever runs in the namespace, by process id, and deletes it. Errors are not reported:
/// this runs in `drop`, and what is left over is swept by the next lab.
fn take_down(name: &str) {
    if let Ok(pids) = run(Command::new("ip").args(["netns", "pids", name])) {
        for pid in String::from_utf8_lossy(&pids.stdout).lines() {
            let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            // A closure that runs inside belongs to this very process, which must live on.
            if let Some(pid) = pid.filter(|pid| *pid != rustix::process::getpid()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
    let _ = run(Command::new("ip").args(["netns", "delete", name]));
}

/// Makes the kernel treat each link as a wire of its own, on which only the link's own address
/// answers, and never drop a packet because another link would have been the shorter way back.
fn answer_strictly() -> io::Result<()> {
    for scope in ["all", "default"] {
        for (setting, value) in [("rp_filter", "0"), ("arp_ignore", "1"), ("arp_announce", "2")] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/{setting}"), value)?;
        }
        // A machine without IPv6 still has a lab.
        let ipv6 = format!("/proc/sys/net/ipv6/conf/{scope}");
        for (setting, value) in [("accept_ra", "0"), ("accept_dad", "0")] {
            let _ = std::fs::write(format!("{ipv6}/{setting}"), value);
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> io::Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", words.trim())))
}

const PREFIX: &str = "ropewalk-";
const FOLDER: &str = "/run/netns";
