//! Links that flap at random, or that nobody uses, for as long as one likes: `ROPEWALK_SOAK_SECONDS`, a minute
//! without it. The seed is printed; `ROPEWALK_SEED` repeats it.

use crate::image::Board;
use crate::image_or_skip;
use crate::peer::Peer;
use crate::start::Rig;
use core::time::Duration;
use std::time::Instant;

/// How long.
fn length() -> Duration {
    Duration::from_secs(number("ROPEWALK_SOAK_SECONDS").unwrap_or(60))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What happens next, and when.
struct Flaps {
    random: fastrand::Rng,
    next: Instant,
    cable: bool,
    carrier: bool,
    line: bool,
}

impl Flaps {
    /// At most one of the links is broken for long: nothing would be seen of a connection that
    /// has none.
    fn turn(&mut self, peer: &Peer, board: &mut Rig) {
        if Instant::now() < self.next {
            return;
        }
        match self.random.u8(..3) {
            0 => {
                self.cable = !self.cable;
                peer.links.knobs[0].borrow_mut().cut = !self.cable;
            }
            1 => {
                self.carrier = !self.carrier;
                board.machine.set_link(0, self.carrier);
            }
            _ => {
                self.line = !self.line;
                peer.links.knobs[1].borrow_mut().cut = !self.line;
            }
        }
        let working = (self.cable && self.carrier) || self.line;
        let span = if working { 100..3_000 } else { 10..500 };
        self.next = Instant::now() + Duration::from_millis(self.random.u64(span));
    }
}

#[test]
#[ignore = "a minute or as long as one likes: ./ci.sh soak"]
fn links_flap_and_not_a_byte_is_lost() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let seed = number("ROPEWALK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let length = length();
    eprintln!("seed {seed}, {length:?}");
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    let random = fastrand::Rng::with_seed(seed);
    let now = Instant::now();
    let mut flaps = Flaps { random, next: now, cable: true, carrier: true, line: true };
    let (mut echoed, mut rounds) = (0, 0);
    while now.elapsed() < length {
        let bytes = flaps.random.usize(1..40_000);
        let _ = peer.echo_turning(bytes, |peer| flaps.turn(peer, &mut board));
        (echoed, rounds) = (echoed + bytes, rounds + 1);
    }
    for knob in &peer.links.knobs {
        knob.borrow_mut().cut = false;
    }
    board.machine.set_link(0, true);
    peer.connect(2);
    eprintln!("{echoed} bytes there and back in {rounds} streams");
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}

#[test]
#[ignore = "as long as one likes: ROPEWALK_SOAK_SECONDS=3600 cargo test ... --ignored an_idle"]
fn an_idle_connection_lasts() {
    let (image, _turn) = image_or_skip!(Board::Mps2);
    let mut board = Rig::mps2(&image, &[]);
    let mut peer = board.dial(board.links());
    peer.connect(2);
    let _ = peer.echo(20_000, |_, _| {});
    let (before, length) = (peer.rope.id(), length());
    peer.idle(length);
    peer.connect(2);
    let seen = peer.echo(20_000, |_, _| {});
    eprintln!("after {length:?}: {seen:?}, {} packets in all", peer.rope.stats().sent_packets);
    assert_eq!((peer.rope.id(), peer.restarts()), (before, 0), "the same connection");
    peer.hang_up();
    assert_eq!(board.machine.stop(), 0);
}
