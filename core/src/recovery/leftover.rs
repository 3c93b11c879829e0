//! What was in flight on a path when it was given up. Everything in it was sent again elsewhere at
//! once; but much of it had arrived, and the peer's last word on the path, which comes another way,
//! says what need not be.

use super::Recovery;
use super::sent::{Flight, Sent};
use crate::carried::Carried;
use crate::storage::slots::SlotIndex;
use crate::wire::Ack;

/// Packets whose path is no more.
#[derive(Debug)]
pub struct Leftover {
    flight: Flight,
    /// The first number that was never used.
    next: u64,
}

impl Recovery {
    /// Gives up everything in flight, without a word to congestion control: the path is gone. `each`
    /// hears of what must be sent elsewhere, oldest first, unless it was named before
    /// ([`Recovery::for_each_in_flight`]).
    #[must_use]
    pub fn leave(&mut self, sent: &mut Sent<'_>, each: &mut dyn FnMut(Carried)) -> Leftover {
        self.for_each_in_flight(sent, each);
        Leftover { flight: core::mem::take(&mut self.flight), next: self.next.0 }
    }
}

impl Leftover {
    /// Nothing is left in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.flight.first().is_none()
    }

    /// The peer's word on the path: `each` hears of what has arrived. False: it names a packet that
    /// was never sent.
    pub fn on_ack(
        &mut self,
        ack: &Ack<'_>,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Carried),
    ) -> bool {
        if ack.largest >= self.next {
            return false;
        }
        let mut at = self.flight.first();
        while let Some(here) = at {
            let number = sent.packet(here).map_or(u64::MAX, |packet| packet.number.0);
            if ack.iter().any(|range| range.contains(&number)) {
                at = self.take(here, sent, each);
            } else {
                at = Flight::next(here, sent);
            }
        }
        true
    }

    /// Nobody waits for the peer's word any more.
    pub fn clear(&mut self, sent: &mut Sent<'_>) {
        while let Some(at) = self.flight.first() {
            self.flight.remove(at, sent);
        }
    }

    fn take(
        &mut self,
        at: SlotIndex,
        sent: &mut Sent<'_>,
        each: &mut dyn FnMut(Carried),
    ) -> Option<SlotIndex> {
        let next = self.flight.remove(at, sent);
        if let Some(packet) = sent.packet(at) {
            packet.cargo.iter().for_each(|item| each(*item));
        }
        next
    }
}
