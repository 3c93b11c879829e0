//! A board starts, is called, serves, and stops.

use crate::bars::{bar, hold};
use crate::image::Board;
use crate::image_or_skip;
use crate::machine::{Machine, Plug};
use crate::peer::{Links, PATIENCE, Peer, address};
use crate::settings::{INVITATION, knows, settings, write};
use core::time::Duration;
use ropewalk_core::id::Address;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A board with its cables and lines, and our ends of them.
pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) folder: TempDir,
    cables: usize,
    lines: usize,
}

impl Rig {
    /// A Cortex-M3 with a cable and a serial line.
    pub(crate) fn mps2(image: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&settings(1, 1), folder.path());
        let mut rig = Self::boot(Board::Mps2, image, folder, (1, 1), arguments);
        rig.machine.wait_for("boot", PATIENCE);
        rig
    }

    /// A RISC-V board with two cables.
    pub(crate) fn riscv(image: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&settings(1, 2), folder.path());
        let mut rig = Self::boot(Board::Riscv, image, folder, (2, 0), arguments);
        rig.machine.wait_for("boot", PATIENCE);
        rig
    }

    /// Whatever lies in `folder`.
    pub(crate) fn boot(
        board: Board,
        image: &Path,
        folder: TempDir,
        (cables, lines): (usize, usize),
        arguments: &[&str],
    ) -> Self {
        let at = |name: String| folder.path().join(name);
        let cable =
            |n| Plug::Frames { here: at(format!("board{n}")), there: at(format!("test{n}")) };
        let mut plugs: Vec<_> = (0..cables).map(cable).collect();
        plugs.extend((0..lines).map(|n| Plug::Listens(at(format!("line{n}")))));
        let machine = Machine::start(board, image, folder.path(), &plugs, arguments);
        Self { machine, folder, cables, lines }
    }

    fn at(&self, name: String) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Our ends of everything.
    pub(crate) fn links(&self) -> Links {
        let mut links = Links::default();
        for n in 0..self.cables {
            links.cable(&self.at(format!("test{n}")), &self.at(format!("board{n}")));
        }
        self.line(&mut links);
        links
    }

    /// Our end of its serial line.
    pub(crate) fn line(&self, links: &mut Links) {
        for n in 0..self.lines {
            links.line(&self.at(format!("line{n}")));
        }
    }

    pub(crate) fn dial(&self, links: Links) -> Peer {
        let cables = (0..self.cables).map(|n| address(1, n as u8));
        let addresses: Vec<_> = cables.chain([Address::Serial]).collect();
        Peer::dial(links, 1, 0, Some(INVITATION), &addresses)
    }
}

#[test]
fn a_board_serves_over_both_links_and_stops() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    let outcome = peer.bulk(1_000_000);
    assert_eq!(outcome.bytes, 1_000_000);
    let seen = peer.echo(300_000, |_, _| {});
    let messages = peer.messages(200, 100);
    assert_eq!((messages.count, messages.lost), (200, 0));
    eprintln!("bulk {outcome:?}; echo {seen:?}; messages {messages:?}");
    // The line is ready, and too slow to help with as little. A machine that was kept from running
    // suspects it for a moment.
    peer.connect(2);
    peer.hang_up();
    board.machine.wait_for("connection over", PATIENCE);
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn the_rates_of_two_cables_add_up() {
    let (image, _turn) = image_or_skip!(Board::Riscv);
    hold(|| {
        let mut board = Rig::riscv(&image, &[]);
        let mut peer = board.dial(board.links());
        for knob in &peer.links.knobs {
            let mut faults = knob.borrow_mut();
            (faults.rate, faults.delay) = (4_000_000, Duration::from_millis(2));
        }
        peer.connect(2);
        let outcome = peer.bulk(5_000_000);
        let there = outcome.bytes as f64 * 8.0 / outcome.time.as_secs_f64() / 1e6;
        let seen = peer.echo(2_500_000, |_, _| {});
        let back = 2_500_000.0 * 8.0 / seen.time.as_secs_f64() / 1e6;
        eprintln!("{there:.2} Mbit/s to the board, {back:.2} there and back; {outcome:?} {seen:?}");
        peer.hang_up();
        assert_eq!(board.machine.stop(), 0);
        // Both directions at once, and what each acknowledges of the other: still more than one carries.
        let add_up = there >= 7.0 && back >= 4.5;
        bar(
            add_up,
            format_args!("{there:.2} Mbit/s there, {back:.2} there and back, over two times 4"),
        )
    });
}

#[test]
fn two_boards_find_each_other_and_keep_in_touch_when_their_cable_is_pulled() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for (node, here, there) in [(1, &one, 2), (2, &two, 1)] {
        std::fs::create_dir(here).unwrap();
        let mut settings = settings(node, 1);
        let mut other = knows(there);
        if node == 1 {
            other.addresses = [address(2, 0), Address::Serial].into_iter().collect();
        }
        settings.peers.push(other).unwrap_or_else(|_| panic!("there is room for four"));
        write(&settings, here);
    }
    let cable = |here: &PathBuf, there: &PathBuf| Plug::Frames {
        here: here.join("card"),
        there: there.join("card"),
    };
    let line = two.join("line");
    let listens = [cable(&two, &one), Plug::Listens(line.clone())];
    let mut second = Machine::start(Board::Mps2, &image, &two, &listens, &[]);
    let calls = [cable(&one, &two), Plug::Calls(line)];
    let mut first = Machine::start(Board::Mps2, &image, &one, &calls, &[]);
    first.wait_for("connected to", PATIENCE);
    second.wait_for("connected to", PATIENCE);
    second.wait_for("record 2 ", PATIENCE);
    first.set_link(0, false);
    first.wait_for("eth0: Down", PATIENCE);
    second.forget_log();
    second.wait_for("record", PATIENCE);
    first.forget_log();
    first.set_link(0, true);
    first.wait_for("is Active", PATIENCE);
    assert_eq!((first.stop(), second.stop()), (0, 0));
}
