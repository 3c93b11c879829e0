//! What the tests of whole processes share: nodes with folders of their own, commands on the loopback
//! interface, and what they said.
#![allow(dead_code, reason = "each test binary uses its part")]

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// A node: a configuration folder, and a folder for its files.
pub(crate) struct Node {
    pub(crate) home: TempDir,
    pub(crate) files: TempDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), files: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
        command.env("ROPEWALK_HOME", self.home.path()).current_dir(self.files.path());
        command.args(arguments).stdin(Stdio::null());
        // What it leaves there would stay.
        command.env_remove("XDG_RUNTIME_DIR");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that connects, over the loopback interface.
    pub(crate) fn dial(&self, arguments: &[&str]) -> Output {
        self.run(&[arguments, &["--link", &loopback()]].concat())
    }

    /// Starts a command that waits, and reads the ticket that it prints.
    pub(crate) fn wait_for_peers(&self, arguments: &[&str]) -> Waiting {
        Waiting::start(self.command(&[arguments, &["--json", "--link", &loopback()]].concat()))
    }

    /// The same, below another program that bends the ground under it.
    pub(crate) fn wait_below(&self, wrapper: &[&str], arguments: &[&str]) -> Waiting {
        let loopback = loopback();
        let all = [arguments, &["--json", "--link", &loopback]].concat();
        Waiting::start(self.below(wrapper, &all))
    }

    /// A command that another program starts.
    pub(crate) fn below(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let (program, first) = wrapper.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(first).arg(env!("CARGO_BIN_EXE_ropewalk")).args(arguments);
        command.env("ROPEWALK_HOME", self.home.path()).current_dir(self.files.path());
        command.env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
        command
    }

    /// This node's public key.
    pub(crate) fn key(&self) -> String {
        String::from_utf8(self.run(&["id"]).stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.files.path().join(name)).ok()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.files.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// A command that waits for peers. Both of its outputs are read all the time: it never has to wait
/// for us.
pub(crate) struct Waiting {
    pub(crate) child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    pub(crate) ticket: String,
}

impl Waiting {
    /// Starts it, and reads the ticket that it prints.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).all(|text| line.send(text).is_ok())
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut waiting = Self { child, lines, errors: Some(errors), ticket: String::new() };
        let first = waiting.line().expect("a ticket comes first");
        assert_eq!(first["event"], "ticket");
        waiting.ticket = first["ticket"].as_str().unwrap().to_owned();
        waiting
    }

    /// The next line that it prints; `None` when there will be none.
    fn line(&self) -> Option<serde_json::Value> {
        let line = self.lines.recv_timeout(Duration::from_secs(40));
        line.ok().map(|line| serde_json::from_str(&line).expect("one JSON object a line"))
    }

    /// Waits until it has printed a line of this kind.
    pub(crate) fn until(&self, event: &str) -> serde_json::Value {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("it printed no line {event}"));
            if line["event"] == event {
                return line;
            }
        }
    }

    /// The next line, whatever it is.
    pub(crate) fn next(&self) -> serde_json::Value {
        self.line().expect("it prints another line")
    }

    /// Its exit code and the lines that it printed and nobody has read yet.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<serde_json::Value>, String) {
        let lines = core::iter::from_fn(|| self.line()).collect();
        let code = self.child.wait().unwrap().code();
        let said = self.errors.take().unwrap().join().unwrap();
        (code, lines, said)
    }

    /// Ends it by Ctrl-C, if it has not ended; what it said.
    pub(crate) fn interrupted(mut self) -> String {
        signal(&self.child, "INT");
        self.child.wait().unwrap();
        self.errors.take().unwrap().join().unwrap()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds, forty seconds at most: much on a machine that does other things besides.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(40), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// Whether this program can be run this way here.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The name of this machine's loopback interface.
pub(crate) fn loopback() -> String {
    use ropewalk::link::interfaces::{Kind, interfaces};
    let found = interfaces().into_iter().find(|found| found.kind == Kind::Loopback);
    found.expect("every machine has one").name
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

pub(crate) fn events<'l>(
    lines: &'l [serde_json::Value],
    event: &str,
) -> Vec<&'l serde_json::Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}
