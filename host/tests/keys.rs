//! `ropewalk serve` on a terminal: what it draws, the keys it obeys, and the terminal afterwards.
#![cfg(unix)]

mod common;

use common::{Node, loopback, signal, until};
use core::time::Duration;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Instant;

/// A terminal: its keyboard and screen, and what a process takes for it.
fn terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options.read(true).write(true),
        OpenptFlags::NOCTTY.bits() as i32,
    );
    (keyboard.into(), options.open(name).unwrap())
}

/// How the terminal is set, in the words of `stty`.
fn settings(terminal: &File) -> String {
    let mut stty = Command::new("stty");
    let output = stty.arg("-a").stdin(terminal.try_clone().unwrap()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// `ropewalk serve` with two servers on a terminal of its own.
struct OnTerminal {
    _node: Node,
    child: Child,
    keyboard: File,
    slave: File,
    /// How the terminal was set before.
    before: String,
    shown: Receiver<String>,
    seen: String,
}

impl OnTerminal {
    /// Once it draws. `None` where there is no way to give it a terminal.
    fn begin() -> Option<Self> {
        if !common::works("setsid", &["--version"]) || !common::works("stty", &["--version"]) {
            return None;
        }
        let node = Node::new();
        node.file("a", b"a");
        let (keyboard, slave) = terminal();
        let before = settings(&slave);
        assert!(before.contains(" icanon") && before.contains(" echo "), "{before}");
        let mut command = node
            .below(&["setsid", "--ctty"], &["serve", "a", "--servers", "2", "--link", &loopback()]);
        command.stdin(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut screen = keyboard.try_clone().unwrap();
        let (show, shown) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                if show.send(text).is_err() {
                    return;
                }
            }
        });
        let seen = String::new();
        let mut it = Self { _node: node, child, keyboard, slave, before, shown, seen };
        it.until_seen("> server 2: serving, port ");
        assert!(settings(&it.slave).contains(" -icanon"));
        Some(it)
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this was drawn after what was waited for before.
    fn until_seen(&mut self, what: &str) {
        let end = Instant::now() + Duration::from_secs(40);
        while !self.seen.contains(what) {
            // It draws all the time.
            let next = self.shown.recv_timeout(end.saturating_duration_since(Instant::now()));
            self.seen += &next.unwrap_or_else(|_| panic!("no {what:?} in {:?}", self.seen));
        }
        self.seen.clear();
    }

    /// Its exit code, once the terminal is what it was.
    fn ended(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        assert_eq!(settings(&self.slave), self.before);
        code
    }
}

#[test]
fn it_draws_and_keys_are_obeyed_and_the_terminal_stays_as_it_was() {
    for (key, code) in [("q", 0), ("\u{3}", 130)] {
        let Some(mut it) = OnTerminal::begin() else { return };
        it.press("2p");
        it.until_seen("> server 2: paused, port ");
        it.press(key);
        assert_eq!(it.ended(), Some(code));
    }
}

#[test]
fn to_close_all_is_asked_for_twice() {
    let Some(mut it) = OnTerminal::begin() else { return };
    it.press("c");
    it.until_seen("c once more closes all");
    it.press("s");
    it.until_seen("1-9 selects a server");
    assert!(it.child.try_wait().unwrap().is_none());
    it.press("cc");
    assert_eq!(it.ended(), Some(0));
}

#[test]
fn whoever_goes_on_or_quits_leaves_no_terminal_behind() {
    let Some(it) = OnTerminal::begin() else { return };
    // As a shell does with a command that was stopped.
    let mut stty = Command::new("stty");
    let stdin = it.slave.try_clone().unwrap();
    assert!(stty.args(["icanon", "echo"]).stdin(stdin).status().unwrap().success());
    assert!(settings(&it.slave).contains(" icanon"));
    signal(&it.child, "CONT");
    until("keys are heard again", || settings(&it.slave).contains(" -icanon"));
    signal(&it.child, "QUIT");
    assert_eq!(it.ended(), Some(131));
}
