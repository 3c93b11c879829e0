//! A link dies in the middle of a transfer: nothing is lost, and what the other links carry goes on.

use crate::bars::{bar, hold};
use crate::image::Board;
use crate::image_or_skip;
use crate::machine::Machine;
use crate::peer::{Links, PATIENCE, Peer};
use crate::start::Rig;
use core::time::Duration;

/// No longer without progress, as the peer sees it.
const GAP_MAX: Duration = Duration::from_millis(300);

/// Sends bytes to the board and back; breaks the cable when `at` of them are back, and mends it
/// when `until` are.
fn broken(
    mut peer: Peer,
    machine: &mut Machine,
    (bytes, at, until): (usize, usize, usize),
    set: impl Fn(&mut Peer, &mut Machine, bool),
) -> Duration {
    let (mut broke, mut mended) = (false, false);
    let seen = peer.echo(bytes, |peer, back| {
        if back >= at && !broke {
            broke = true;
            set(peer, machine, false);
        }
        if back >= until && !mended {
            mended = true;
            set(peer, machine, true);
        }
    });
    assert!(broke && mended);
    // The cable is found again.
    peer.connect(2);
    peer.hang_up();
    eprintln!("{seen:?}");
    seen.gap_max
}

#[test]
fn a_pulled_cable_leaves_the_serial_line() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let mut board = Rig::mps2(&image, &[]);
        let mut peer = board.dial(board.links());
        peer.connect(2);
        let gap =
            broken(peer, &mut board.machine, (400_000, 150_000, 180_000), |_, machine, up| {
                machine.set_link(0, up);
            });
        assert_eq!(board.machine.stop(), 0);
        bar(gap < GAP_MAX, format_args!("{gap:?}"))
    });
}

#[test]
fn a_black_hole_leaves_the_serial_line() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let mut board = Rig::mps2(&image, &[]);
        let mut peer = board.dial(board.links());
        peer.connect(2);
        let gap = broken(peer, &mut board.machine, (400_000, 150_000, 180_000), |peer, _, up| {
            peer.links.knobs[0].borrow_mut().cut = !up;
        });
        assert_eq!(board.machine.stop(), 0);
        bar(gap < GAP_MAX, format_args!("{gap:?}"))
    });
}

#[test]
fn a_serial_line_that_dies_leaves_the_cable() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let mut board = Rig::mps2(&image, &[]);
        let mut peer = board.dial(board.links());
        peer.connect(2);
        let gap =
            broken(peer, &mut board.machine, (3_000_000, 500_000, 2_000_000), |peer, _, up| {
                peer.links.knobs[1].borrow_mut().cut = !up;
            });
        assert_eq!(board.machine.stop(), 0);
        bar(gap < GAP_MAX, format_args!("{gap:?}"))
    });
}

#[test]
fn the_serial_line_alone_is_enough() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let mut board = Rig::mps2(&image, &[]);
        let mut links = Links::default();
        board.line(&mut links);
        let mut peer = board.dial(links);
        peer.connect(1);
        let outcome = peer.bulk(60_000);
        let rate = outcome.bytes * 1_000 / outcome.time.as_millis() as u64;
        eprintln!("{rate} bytes a second by the line");
        // It carries 11,520, of which heads, frames and the beginning take a sixth.
        let fast = rate > 6_000;
        let seen = peer.echo(20_000, |_, _| {});
        eprintln!("{seen:?}");
        peer.hang_up();
        board.machine.wait_for("connection over", PATIENCE);
        assert_eq!(board.machine.stop(), 0);
        // 11.5 kB/s each way, less what frames and packets take.
        let fast = fast && seen.time < Duration::from_secs(5);
        bar(fast, format_args!("{rate} bytes a second, {seen:?}"))
    });
}

#[test]
fn a_cable_that_loses_flips_and_doubles_delivers_all_the_same() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    {
        let mut faults = peer.links.knobs[0].borrow_mut();
        (faults.lost, faults.flipped, faults.doubled) = (50, 20, 50);
        faults.delay = Duration::from_millis(5);
    }
    let seen = peer.echo(500_000, |_, _| {});
    eprintln!("{seen:?}");
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn either_of_two_cables_may_be_pulled() {
    let (image, _turn) = image_or_skip!(Board::Riscv);
    let mut board = Rig::riscv(&image, &[]);
    let mut pull = |link| {
        let mut peer = board.dial(board.links());
        for knob in &peer.links.knobs {
            knob.borrow_mut().rate = 8_000_000;
        }
        peer.connect(2);
        let bytes = (3_000_000, 700_000, 1_500_000);
        let gap = broken(peer, &mut board.machine, bytes, |_, machine, up| {
            machine.set_link(link, up);
        });
        for socket in ["test0", "test1"] {
            std::fs::remove_file(board.folder.path().join(socket)).unwrap();
        }
        bar(gap < GAP_MAX, format_args!("{gap:?}"))
    };
    for link in [0, 1] {
        hold(|| pull(link));
    }
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn full_windows_outlast_a_pulled_cable() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    let machine = &mut board.machine;
    // Both ends' windows, each way: then nothing moves, and the cable goes and comes.
    peer.echo_late(1_000_000, |peer| {
        machine.set_link(0, false);
        peer.idle(Duration::from_secs(1));
        machine.set_link(0, true);
        peer.connect(2);
    });
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}
