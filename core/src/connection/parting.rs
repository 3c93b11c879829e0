//! A path that was given up a moment ago: what it carried may have arrived all the same.
//!
//! ```text
//!   give_up ──> its cargo is queued on the other paths, its last acknowledgement written there
//!       │
//!       └─ Parted ──┬─ the peer's last word on it: what has arrived is not sent again
//!                   └─ nothing for three probe timeouts, or another path departs: forgotten
//! ```
//!
//! Without this, a cable that is pulled would have a slow link send once more all that was under way
//! to us and from us, of which the other side had received most.

use super::ledger::Books;
use super::timeout::ROOM_TIGHT;
use super::{Connection, Storage};
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::id::PathId;
use crate::recovery::{Acks, Fate, Leftover};
use crate::stream::Violation;
use crate::time::{Duration, Instant};
use crate::wire::{Ack, Writer};

/// What is left of a path.
pub(super) struct Parted {
    id: PathId,
    leftover: Leftover,
    acks: Acks,
    /// Our last word on it is to be written.
    ack_due: bool,
    until: Instant,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// The path in this slot is no more. What it carried goes out by others.
    #[inline(never)]
    pub(super) fn depart(&mut self, slot: usize, now: Instant) {
        self.forget_parted();
        let held = self.config.acknowledgement_delay;
        let Books { paths, mut sent, mut ledger } = self.books();
        let Some(place) = paths.get_mut(slot) else { return };
        let Some(path) = place else { return };
        let until = now + (path.recovery.probe_timeout() * 3).clamp(PATIENCE_MIN, PATIENCE_MAX);
        let mut leftover = path.recovery.leave(&mut sent, &mut |carried| ledger.lost(carried));
        let acks = core::mem::replace(&mut path.acks, Acks::new(held));
        let id = path.id;
        *place = None;
        let ack_due = acks.has_ranges();
        let matters = ack_due || !leftover.is_empty();
        if sent.room() <= ROOM_TIGHT {
            // In a small table it must not take the place of what goes on.
            leftover.clear(&mut sent);
        }
        if matters {
            self.parted = Some(Parted { id, leftover, acks, ack_due, until });
        }
    }

    /// Whether our last word on a path is to be written.
    pub(super) fn parting_word_due(&self) -> bool {
        self.parted.as_ref().is_some_and(|parted| parted.ack_due)
    }

    /// Writes it. If it is lost, the peer sends more than it had to.
    pub(super) fn write_parting_word(
        &mut self,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        now: Instant,
    ) {
        let Some(parted) = self.parted.as_mut().filter(|parted| parted.ack_due) else {
            return;
        };
        if let Some(largest) = parted.acks.write(parted.id, writer, now) {
            parted.ack_due = false;
            let _ = cargo.push(Carried::Acknowledgement { path: parted.id, largest });
        }
    }

    /// The peer's word on a path that is no more. Rare, and no part of the stack of every packet.
    #[inline(never)]
    pub(super) fn on_parting_word(&mut self, ack: &Ack<'_>) -> Result<(), Violation> {
        let Some(mut parted) = self.parted.take_if(|parted| parted.id == ack.path) else {
            return Ok(()); // It went long ago.
        };
        let Books { mut sent, mut ledger, .. } = self.books();
        let each = &mut |carried| ledger.settle(Fate::Acked, carried);
        let valid = parted.leftover.on_ack(ack, &mut sent, each);
        self.parted = Some(parted);
        if valid { Ok(()) } else { Err(Violation::Protocol) }
    }

    /// When it is forgotten.
    pub(super) fn parted_until(&self) -> Option<Instant> {
        self.parted.as_ref().map(|parted| parted.until)
    }

    pub(super) fn parting_timeout(&mut self, now: Instant) {
        if self.parted_until().is_some_and(|until| until <= now) {
            self.forget_parted();
        }
    }

    fn forget_parted(&mut self) {
        let Some(mut parted) = self.parted.take() else { return };
        parted.leftover.clear(&mut self.books().sent);
    }
}

const PATIENCE_MIN: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(1);
