//! A board starts, is called, serves, and stops.

use crate::image::Board;
use crate::image_or_skip;
use crate::machine::{Machine, Plug};
use crate::peer::{Links, PATIENCE, Peer, address};
use crate::settings::{INVITATION, settings, write};
use ropewalk_core::id::Address;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A Cortex-M3 with a cable and a serial line, and our ends of both.
pub(crate) struct Mps2 {
    pub(crate) machine: Machine,
    pub(crate) folder: TempDir,
}

impl Mps2 {
    pub(crate) fn start(image: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&settings(1, 1), folder.path());
        let mut machine = Self::boot(image, folder, arguments);
        machine.machine.wait_for("boot", PATIENCE);
        machine
    }

    pub(crate) fn boot(image: &Path, folder: TempDir, arguments: &[&str]) -> Self {
        let at = |name: &str| folder.path().join(name);
        let plugs =
            [Plug::Frames { here: at("board"), there: at("test") }, Plug::Listens(at("line"))];
        let machine = Machine::start(Board::Mps2, image, folder.path(), &plugs, arguments);
        Self { machine, folder }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn both_links(&self) -> Links {
        let mut links = Links::default();
        links.cable(&self.at("test"), &self.at("board"));
        links.line(&self.at("line"));
        links
    }

    pub(crate) fn dial(&self, links: Links) -> Peer {
        let addresses = [address(1, 0), Address::Serial];
        Peer::dial(links, 1, 0, Some(INVITATION), &addresses)
    }
}

#[test]
fn a_board_serves_over_both_links_and_stops() {
    let image = image_or_skip!(Board::Mps2);
    let mut board = Mps2::start(&image, &[]);
    let mut peer = board.dial(board.both_links());
    peer.connect(2);
    let outcome = peer.bulk(1_000_000);
    assert_eq!(outcome.bytes, 1_000_000);
    let seen = peer.echo(300_000, |_, _| {});
    let messages = peer.messages(200, 100);
    assert_eq!((messages.count, messages.lost), (200, 0));
    eprintln!("bulk {outcome:?}; echo {seen:?}; messages {messages:?}");
    let (by_cable, by_line) = (peer.data_by(0), peer.data_by(1));
    assert!(by_cable.0 > 100_000 && by_line.0 > 0, "{by_cable:?} {by_line:?}");
    peer.hang_up();
    board.machine.wait_for("connection over", PATIENCE);
    assert_eq!(board.machine.stop(), 0);
}
