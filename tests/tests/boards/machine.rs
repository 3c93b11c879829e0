//! One emulated board: its process, its log, its monitor. It ends with the test, whatever happens.

use crate::image::Board;
use core::time::Duration;
use defmt_decoder::{DecodeError, Table};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// Where one link of a machine ends.
#[derive(Clone, Debug)]
pub(crate) enum Plug {
    /// Ethernet: frames are datagrams between these two unix sockets.
    Frames {
        /// The machine's.
        here: PathBuf,
        /// The other end's.
        there: PathBuf,
    },
    /// A serial line that the machine listens for.
    Listens(PathBuf),
    /// A serial line to one that listens.
    Calls(PathBuf),
    /// A serial line that is a pseudo-terminal: [`Machine::terminal`] says which.
    Terminal,
}

/// Among the arguments of a board: its clock counts instructions, one a nanosecond.
pub(crate) const COUNTED: &str = "counted";

/// A running board.
pub(crate) struct Machine {
    board: Board,
    folder: PathBuf,
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    reader: Option<JoinHandle<()>>,
    monitor: Option<Monitor>,
}

impl Machine {
    /// Starts a board in `folder`, where its files are, with these links and arguments.
    pub(crate) fn start(
        board: Board,
        image: &Path,
        folder: &Path,
        plugs: &[Plug],
        arguments: &[&str],
    ) -> Self {
        let monitor = folder.join("monitor");
        let mut command = Command::new(board.emulator());
        command.args(machine(board)).args(["-display", "none", "-monitor", "none"]);
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", monitor.display()));
        if arguments.contains(&COUNTED) {
            command.args(["-icount", "shift=0"]);
        }
        let mut semihosting = "enable=on,target=native".to_owned();
        for argument in core::iter::once(&board.name()).chain(arguments) {
            semihosting += &format!(",arg={argument}");
        }
        command.arg("-semihosting-config").arg(semihosting);
        command.args(options(board, plugs)).arg("-kernel").arg(image);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the emulator was found before");
        let output = process.stdout.take().expect("it is piped");
        let (tell, lines) = channel();
        let elf = std::fs::read(image).expect("it was built before");
        let name = board.name();
        let reader = std::thread::spawn(move || {
            decode(name, &elf, output, |line| drop(tell.send(line)));
        });
        let folder = folder.to_owned();
        let mut machine = Self {
            board,
            folder,
            process,
            lines,
            seen: Vec::new(),
            reader: Some(reader),
            monitor: None,
        };
        machine.monitor = Monitor::attach(&monitor, &mut machine.process);
        machine
    }

    /// Waits for a line of the log that contains `word`.
    pub(crate) fn wait_for(&mut self, word: &str, patience: Duration) -> String {
        self.wait_for_nth(1, word, patience)
    }

    /// Waits for the n-th such line.
    pub(crate) fn wait_for_nth(&mut self, n: usize, word: &str, patience: Duration) -> String {
        let mut left = n;
        for line in self.seen.iter().filter(|line| line.contains(word)) {
            left -= 1;
            if left == 0 {
                return line.clone();
            }
        }
        let until = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    left -= usize::from(line.contains(word));
                    if left == 0 {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} did not say {word:?}, but {:#?}", self.board.name(), self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!(
                        "{} ended without saying {word:?}, but {:#?}",
                        self.board.name(),
                        self.seen
                    )
                }
            }
        }
    }

    /// What was said so far does not count any more.
    pub(crate) fn forget_log(&mut self) {
        while self.lines.try_recv().is_ok() {}
        self.seen.clear();
    }

    /// Cuts or mends a cable so that both ends see it.
    pub(crate) fn set_link(&mut self, link: usize, up: bool) {
        let monitor = self.monitor.as_mut().expect("the board ended before its monitor was there");
        monitor.call(&format!(
            r#"{{"execute":"set_link","arguments":{{"name":"n{link}","up":{up}}}}}"#
        ));
    }

    /// The pseudo-terminal of this serial line.
    pub(crate) fn terminal(&mut self, number: usize) -> PathBuf {
        let monitor = self.monitor.as_mut().expect("the board ended before its monitor was there");
        let answer = monitor.call(r#"{"execute":"query-chardev"}"#);
        let answer: Value = serde_json::from_str(&answer).expect("the emulator speaks JSON");
        let label = format!("serial{number}");
        let mut devices = answer["return"].as_array().expect("a list").iter();
        let device = devices.find(|device| device["label"] == *label);
        let name = device.and_then(|device| device["filename"].as_str()).unwrap_or_default();
        PathBuf::from(name.strip_prefix("pty:").expect("it was asked to be one"))
    }

    /// Asks the board to stop, and returns its exit code: 0 if nothing went wrong.
    pub(crate) fn stop(&mut self) -> i32 {
        std::fs::write(self.folder.join("stop"), b"").expect("the folder is ours");
        self.ended(Duration::from_secs(30))
    }

    /// Waits for the board to end by itself.
    pub(crate) fn ended(&mut self, patience: Duration) -> i32 {
        let until = Instant::now() + patience;
        // The log ends with the process.
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} runs on: {:#?}", self.board.name(), self.seen)
                }
            }
        }
        let status = self.process.wait().expect("it was started");
        status.code().expect("it was not killed")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn machine(board: Board) -> &'static [&'static str] {
    match board {
        Board::Mps2 => &["-M", "mps2-an385"],
        Board::Riscv => &[
            "-M",
            "virt",
            "-bios",
            "none",
            "-global",
            "virtio-mmio.force-legacy=false",
            "-device",
            "virtio-rng-device",
        ],
    }
}

fn options(board: Board, plugs: &[Plug]) -> Vec<String> {
    let mut options = Vec::new();
    // UART0 is nobody's.
    let mut serials = vec!["null".to_owned()];
    for (number, plug) in plugs.iter().enumerate() {
        match plug {
            Plug::Frames { here, there } => {
                options.push("-netdev".into());
                options.push(format!(
                    "dgram,id=n{number},local.type=unix,local.path={},remote.type=unix,remote.path={}",
                    here.display(),
                    there.display()
                ));
                options.extend(card(board, number));
            }
            Plug::Listens(path) => {
                serials.push(format!("unix:{},server=on,wait=off", path.display()));
            }
            Plug::Calls(path) => serials.push(format!("unix:{}", path.display())),
            Plug::Terminal => serials.push("pty".into()),
        }
    }
    for serial in serials {
        options.extend(["-serial".into(), serial]);
    }
    options
}

fn card(board: Board, number: usize) -> [String; 2] {
    match board {
        Board::Mps2 => ["-net".into(), format!("nic,model=lan9118,netdev=n{number}")],
        Board::Riscv => {
            let mac = format!("52:54:00:00:00:{number:02x}");
            ["-device".into(), format!("virtio-net-device,netdev=n{number},mac={mac}")]
        }
    }
}

/// Reads the board's log as it comes, and repeats it here with the test's output.
fn decode(name: &str, elf: &[u8], mut from: ChildStdout, mut each: impl FnMut(String)) {
    let table = Table::parse(elf).expect("the image is whole").expect("it logs by defmt");
    let mut decoder = table.new_stream_decoder();
    let mut room = [0; 4_096];
    while let Ok(len @ 1..) = from.read(&mut room) {
        decoder.received(&room[..len]);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let line = frame.display_message().to_string();
                    eprintln!("{name}: {line}");
                    each(line);
                }
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) => each("a malformed line of the log".into()),
            }
        }
    }
}

/// The emulator's monitor (QMP).
struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// `None`: the board has ended already, as one does that refuses to start.
    fn attach(path: &Path, emulator: &mut Child) -> Option<Self> {
        // The emulator makes the socket a moment after its start; there is no event to wait for.
        let until = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(_) if emulator.try_wait().expect("it was started").is_some() => return None,
                Err(error) if Instant::now() > until => panic!("no monitor: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.line()?;
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#)?;
        Some(monitor)
    }

    fn call(&mut self, command: &str) -> String {
        self.ask(command).expect("the emulator runs")
    }

    /// `None`: the emulator has ended.
    fn ask(&mut self, command: &str) -> Option<String> {
        self.stream.get_mut().write_all(command.as_bytes()).ok()?;
        loop {
            let line = self.line()?;
            assert!(!line.contains("\"error\""), "{command}: {line}");
            // Events come between.
            if line.contains("\"return\"") {
                return Some(line);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the monitor is silent: {error}"),
        }
    }
}

#[test]
fn a_monitor_that_is_gone_before_it_spoke_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("monitor");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut emulator = Command::new("true").spawn().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(listener.accept().unwrap()));
        assert!(Monitor::attach(&path, &mut emulator).is_none());
    });
    emulator.wait().unwrap();
    assert!(Monitor::attach(&folder.path().join("none"), &mut emulator).is_none());
}
