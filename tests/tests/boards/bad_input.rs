//! What a board must survive: noise, strangers, floods, a clock that wraps. And what it must refuse.

use crate::bars::{bar, hold};
use crate::image::Board;
use crate::image_or_skip;
use crate::peer::{Links, PATIENCE, Peer, address};
use crate::settings::{INVITATION, settings, write};
use crate::start::Rig;
use core::time::Duration;
use ropewalk_core::connection::CloseReason;
use ropewalk_core::id::Address;
use std::time::Instant;

#[test]
fn noise_on_the_line_costs_nothing_but_the_line() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    // Every byte has a bit flipped, as at a wrong rate: frames, their ends and their checksums.
    peer.links.knobs[1].borrow_mut().flipped = 1_000;
    let noisy = Instant::now();
    while noisy.elapsed() < Duration::from_secs(5) {
        let _ = peer.echo(200_000, |_, _| {});
    }
    peer.links.knobs[1].borrow_mut().flipped = 0;
    peer.connect(2);
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn frames_of_any_length_and_content_are_taken() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    peer.links.knobs[0].borrow_mut().noise = true;
    let _ = peer.echo(300_000, |_, _| {});
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn a_stranger_hears_nothing_and_the_peer_is_served_while_he_knocks() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    hold(|| {
        let mut board = Rig::mps2(&image, &[]);
        let mut links = Links::default();
        links.cable(&board.folder.path().join("test0"), &board.folder.path().join("board0"));
        let mut peer = Peer::dial(links, 1, 0, Some(INVITATION), &[address(1, 0)]);
        peer.connect(1);
        let quiet = peer.echo(2_000_000, |_, _| {});
        // His key is not known, his ticket is none; each of his messages is a fresh one, so each costs
        // the board multiplications, as long as it opens them.
        let mut line = Links::default();
        board.line(&mut line);
        let mut stranger =
            Peer::dial(line, 1, 77, Some((*b"no such!", [1; 32])), &[Address::Serial]);
        let mut knocks = 0;
        let flooded = peer.echo(2_000_000, |_, _| {
            stranger.step();
            if stranger.knocked() {
                stranger.knock_again();
                knocks += 1;
            }
        });
        eprintln!("{quiet:?} in peace, {flooded:?} with {knocks} strangers");
        assert!(knocks > 5, "{knocks}");
        peer.hang_up();
        assert_eq!(board.machine.stop(), 0);
        let second = Duration::from_secs(1);
        let served = flooded.gap_max < second && flooded.time < quiet.time * 4 + second;
        bar(served, format_args!("{quiet:?} in peace, {flooded:?}"))
    });
}

#[test]
fn a_peer_whose_secret_is_wrong_is_not_let_in() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let (id, _) = INVITATION;
    let addresses = [address(1, 0)];
    let mut peer = Peer::dial(board.links(), 1, 0, Some((id, [9; 32])), &addresses);
    let until = Instant::now() + PATIENCE;
    while peer.closed().is_none() && Instant::now() < until {
        peer.step();
    }
    // The board answers whoever names its ticket, and the answer does not open without the secret.
    let refused = Some(CloseReason::Unreachable { undecipherable: true });
    assert_eq!(peer.closed().cloned(), refused);
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn a_clock_that_wraps_goes_on() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &["clock-wraps"]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    // The counter wraps a second after the start.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let seen = peer.echo(100_000, |_, _| {});
        assert!(seen.gap_max < Duration::from_secs(1), "{seen:?}");
    }
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}

#[test]
fn a_board_without_randomness_refuses_to_start_and_says_why() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let folder = tempfile::tempdir().unwrap();
    write(&settings(1, 1), folder.path());
    let mut rig = Rig::boot(Board::Mps2, &image, folder, (1, 1), &["no-entropy"]);
    rig.machine.wait_for("no working source of randomness", PATIENCE);
    assert_eq!(rig.machine.ended(PATIENCE), 2);
}

#[test]
fn damaged_settings_are_named_and_not_overwritten() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let folder = tempfile::tempdir().unwrap();
    write(&settings(1, 1), folder.path());
    let path = folder.path().join("settings.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut rig = Rig::boot(Board::Mps2, &image, folder, (1, 1), &[]);
    rig.machine.wait_for("the settings are damaged", PATIENCE);
    assert_eq!(rig.machine.ended(PATIENCE), 2);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_board_that_was_told_nothing_makes_its_own_settings_and_keeps_them() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::boot(Board::Mps2, &image, folder, (1, 1), &[]);
    let first = rig.machine.wait_for("ticket rope1", PATIENCE);
    assert_eq!(rig.machine.stop(), 0);
    std::fs::remove_file(rig.folder.path().join("stop")).unwrap();
    let mut again = Rig::boot(Board::Mps2, &image, rig.folder, (1, 1), &[]);
    again.machine.wait_for("boot 2", PATIENCE);
    assert_eq!(again.machine.wait_for("ticket rope1", PATIENCE), first);
    assert_eq!(again.machine.stop(), 0);
}

#[test]
fn a_board_that_starts_anew_is_found_again_and_remembers_nothing() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    let _ = peer.echo(50_000, |_, _| {});
    assert_eq!(board.machine.stop(), 0);
    std::fs::remove_file(board.folder.path().join("stop")).unwrap();
    let Rig { folder, .. } = board;
    let mut board = Rig::boot(Board::Mps2, &image, folder, (1, 1), &[]);
    board.machine.wait_for("boot 2", PATIENCE);
    // The cable is the same; the line's other end went away with the emulator.
    peer.until("the fresh connection", PATIENCE, |peer| peer.restarts() > 0);
    let _ = peer.echo(50_000, |_, _| {});
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}
