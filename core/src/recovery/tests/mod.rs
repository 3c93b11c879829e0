//! The parts of this room together, on a model of a link with a virtual clock.

use crate::recovery::{Acks, Recovery, SentSlot};

mod bbr;
mod hostile;
mod link;
mod sharing;
mod silence;
mod tcp;
mod utilisation;
mod world;

/// Two paths with sixteen packets in flight take half of a small board's eight kilobytes, no more.
#[test]
fn a_path_fits_a_board() {
    let path = size_of::<Recovery>() + size_of::<Acks>();
    assert!(2 * path + 16 * size_of::<SentSlot>() <= 5_500, "{path} bytes a path");
}
