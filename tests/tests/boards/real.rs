//! The real program and a board: `ropewalk` in a network namespace whose interfaces are TAP devices, joined to
//! the board's cards by the lab's emulator, and the board's serial line as a pseudo-terminal. Needs
//! root, and says so where it has none.

use crate::bars::{bar, hold};
use crate::image::Board;
use crate::image_or_skip;
use crate::machine::{Machine, Plug};
use crate::peer::PATIENCE;
use crate::settings::{INVITATION, PORT, key, knows, settings, write};
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::application::settings::Settings;
use ropewalk_core::application::ticket::TicketText;
use ropewalk_tests::lab::emulator::{self, Control};
use ropewalk_tests::lab::namespace::{Namespace, sweep};
use ropewalk_tests::lab::{Node, Shape, tap};
use rustix::fd::OwnedFd;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// No longer without progress, as the PC sees it.
const GAP_MAX_MS: f64 = 300.0;

/// A board, and a PC that shares cables and a line with it.
struct Desk {
    machine: Machine,
    cables: Vec<Cable>,
    namespace: Namespace,
    folder: TempDir,
    program: PathBuf,
}

/// A TAP device of the PC, a card of the board, and what happens between them.
struct Cable {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    /// Joins the PC's interface `eth{number}` to the board's card.
    fn new(namespace: &Namespace, folder: &Path, number: usize, shape: Shape) -> Self {
        let name = format!("eth{number}");
        let card = UnixDatagram::bind(folder.join(format!("test{number}"))).unwrap();
        card.connect(folder.join(format!("board{number}"))).unwrap();
        card.set_nonblocking(true).unwrap();
        let device = namespace.inside(|| tap::open(&name)).unwrap().unwrap();
        namespace.ip(&["addr", "add", &format!("10.0.{number}.1/24"), "dev", &name]).unwrap();
        namespace.ip(&["link", "set", &name, "up"]).unwrap();
        let control = Arc::new(Control::new([shape; 2]).unwrap());
        let shared = Arc::clone(&control);
        let devices = [device, OwnedFd::from(card)];
        let thread = std::thread::spawn(move || emulator::run(&devices, &shared, number as u64));
        Self { control, thread: Some(thread) }
    }

    fn set_cut(&self, cut: bool) {
        self.control.change(|shapes| shapes.iter_mut().for_each(|shape| shape.cut = cut));
    }

    /// Frames that the board has sent so far.
    fn board_frames(&self) -> u64 {
        self.control.stats(Node::B).entered
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// `None`, and a word on standard error, without root or the program.
    fn new(
        board: Board,
        image: &Path,
        shapes: &[Shape],
        board_settings: &Settings,
    ) -> Option<Self> {
        let skip = |why: &str| eprintln!("SKIPPED {}: {why}", module_path!());
        if !rustix::process::geteuid().is_root() {
            skip("it makes network namespaces and needs root");
            return None;
        }
        // Beside the test's own folder, where a build of the whole workspace puts it.
        let own = std::env::current_exe().unwrap();
        let program = own.ancestors().nth(2).unwrap().join("ropewalk");
        if !program.exists() {
            skip("the program is not built; run `cargo build -p ropewalk` first");
            return None;
        }
        sweep().unwrap();
        let namespace = Namespace::create(90, 'A').unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(board_settings, folder.path());
        let at = |name: String| folder.path().join(name);
        let cable =
            |n| Plug::Frames { here: at(format!("board{n}")), there: at(format!("test{n}")) };
        let mut plugs: Vec<_> = (0..shapes.len()).map(cable).collect();
        if board == Board::Mps2 {
            plugs.push(Plug::Terminal);
        }
        let mut machine = Machine::start(board, image, folder.path(), &plugs, &[]);
        machine.wait_for("boot", PATIENCE);
        let joined = shapes.iter().enumerate();
        let cables =
            joined.map(|(n, shape)| Cable::new(&namespace, folder.path(), n, *shape)).collect();
        Some(Self { machine, cables, namespace, folder, program })
    }

    /// Runs `ropewalk` on the PC.
    fn ropewalk(&self, arguments: &[&str]) -> Child {
        let mut command = self.namespace.command(self.program.to_str().unwrap());
        command.args(arguments).env("ROPEWALK_HOME", self.folder.path().join("home"));
        command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
    }

    /// The board's ticket, as `ropewalk provision` prints it.
    fn ticket(&self) -> String {
        let (id, secret) = INVITATION;
        let at = |n: usize| SocketAddr::new([10, 0, n as u8, 2].into(), PORT);
        let addresses: Vec<_> = (0..self.cables.len()).map(at).collect();
        let (key, addresses) = (&key(1), &addresses);
        TicketText { key, id: &id, secret: &secret, addresses, root: None }.to_string()
    }

    /// Waits until the board has sent so many more frames over the first cable.
    fn frames(&self, more: u64) {
        let (target, until) = (self.cables[0].board_frames() + more, Instant::now() + PATIENCE);
        while self.cables[0].board_frames() < target {
            assert!(Instant::now() < until, "the board sends nothing");
            // The emulator has no event for it.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The lines of a program that ended well.
fn lines(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}", output.status);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn event<'l>(lines: &'l [Value], name: &str) -> &'l Value {
    let found = lines.iter().rfind(|line| line["event"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

/// Sends bytes to the board and back over cable and line, and breaks the cable in between.
fn echo_while(desk: &mut Desk, mut set: impl FnMut(&mut Desk, bool)) -> Result<(), String> {
    let (ticket, line) = (desk.ticket(), desk.machine.terminal(1));
    let line = line.to_str().unwrap().to_owned();
    let arguments = ["bench", "echo", &ticket, "--bytes", "12000000", "--serial", &line, "--json"];
    let child = desk.ropewalk(&arguments);
    // The emulator looks once a second whether somebody has opened its terminal.
    desk.machine.wait_for_nth(2, "is Active", PATIENCE);
    desk.frames(300);
    set(desk, false);
    std::thread::sleep(Duration::from_secs(1));
    set(desk, true);
    let lines = lines(child);
    let outcome = event(&lines, "echo");
    eprintln!("{outcome}");
    assert_eq!(outcome["bytes"], 12_000_000);
    let gap = outcome["max_gap_ms"].as_f64().unwrap();
    bar(gap < GAP_MAX_MS, format_args!("{gap} ms: {outcome}"))
}

/// What an Ethernet of 10 Mbit/s is.
fn ethernet() -> Shape {
    Shape::new(10, 1, 64)
}

#[test]
fn a_pulled_cable_is_hardly_noticed_on_the_pc() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let Some(mut desk) = Desk::new(Board::Mps2, &image, &[ethernet()], &settings(1, 1)) else {
            return Ok(());
        };
        let held = echo_while(&mut desk, |desk, up| desk.machine.set_link(0, up));
        assert_eq!(desk.machine.stop(), 0);
        held
    });
}

#[test]
fn a_black_hole_is_hardly_noticed_on_the_pc() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let Some(mut desk) = Desk::new(Board::Mps2, &image, &[ethernet()], &settings(1, 1)) else {
            return Ok(());
        };
        let held = echo_while(&mut desk, |desk, up| desk.cables[0].set_cut(!up));
        assert_eq!(desk.machine.stop(), 0);
        held
    });
}

#[test]
fn both_cards_of_a_board_carry_data_and_their_rates_add_up() {
    let (image, _turn) = image_or_skip!(Board::Riscv);
    let four = Shape::new(4, 2, 64);
    hold(|| {
        let Some(mut desk) = Desk::new(Board::Riscv, &image, &[four, four], &settings(1, 2)) else {
            return Ok(());
        };
        let ticket = desk.ticket();
        let lines =
            lines(desk.ropewalk(&["bench", "bulk", &ticket, "--bytes", "5000000", "--json"]));
        let outcome = event(&lines, "bulk");
        eprintln!("{outcome}");
        let goodput = outcome["mbit_s"].as_f64().unwrap();
        assert_eq!(desk.machine.stop(), 0);
        bar(goodput >= 7.0, format_args!("{goodput} Mbit/s: {outcome}"))
    });
}

#[test]
fn a_board_calls_and_its_telemetry_is_printed() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    // The PC's key is known beforehand, as the settings must name it.
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(1, 1);
    let mut pc = knows(0);
    let address = SocketAddr::new([10, 0, 0, 1].into(), 5_000);
    pc.addresses.push(ropewalk_core::id::Address::Ip(address)).unwrap();
    let Some(key) = pc_key(home.path()) else {
        eprintln!("SKIPPED {}: the program is not built", module_path!());
        return;
    };
    pc.key = key;
    settings.peers.push(pc).unwrap_or_else(|_| panic!("there is room for four"));
    let Some(mut desk) = Desk::new(Board::Mps2, &image, &[ethernet()], &settings) else { return };
    let board = ropewalk::key_text::format(&crate::settings::key(1));
    let home = home.path().to_str().unwrap().to_owned();
    let with_home = |arguments: &[&str]| {
        let mut command = desk.namespace.command(desk.program.to_str().unwrap());
        command.args(arguments).env("ROPEWALK_HOME", &home);
        command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
    };
    let trusted = with_home(&["peers", "trust", "board", &board]).wait().unwrap();
    assert!(trusted.success());
    let out = desk.folder.path().to_str().unwrap().to_owned();
    let arguments = ["recv", "--trusted", "--port", "5000", "--out", &out, "--json"];
    let mut recv = with_home(&arguments);
    let mut records = Vec::new();
    for line in BufReader::new(recv.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["event"] == "telemetry" {
            records.push((Instant::now(), line));
        }
        if records.len() == 6 {
            break;
        }
    }
    recv.kill().unwrap();
    recv.wait().unwrap();
    let (first, last) = (&records[0], &records[5]);
    eprintln!("{}", last.1);
    let number = |record: &Value, of: &str| record[of].as_u64().unwrap();
    let counts: Vec<_> = records.iter().map(|(_, record)| number(record, "count")).collect();
    assert_eq!(counts, (counts[0]..counts[0] + 6).collect::<Vec<_>>());
    // A second of the board's is one of the PC's: its clock once ran a quarter too fast.
    let theirs = number(&last.1, "uptime_ms") - number(&first.1, "uptime_ms");
    let rate = theirs as f64 / 1_000.0 / (last.0 - first.0).as_secs_f64();
    assert!((0.85..1.15).contains(&rate), "{rate} of the board's seconds in each of ours");
    assert_eq!(desk.machine.stop(), 0);
}

/// The public key of the program with this home.
fn pc_key(home: &Path) -> Option<ropewalk_core::id::PublicKey> {
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2)?.join("ropewalk");
    let output = Command::new(program).arg("id").env("ROPEWALK_HOME", home).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let word =
        text.split_whitespace().find(|word| word.len() == ropewalk::key_text::KEY_CHARACTERS)?;
    ropewalk::key_text::parse(word).ok()
}
