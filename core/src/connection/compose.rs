//! What a packet is made of: each part of a connection writes what it has to say, in the order in
//! which it must not wait.
//!
//! ```text
//!  challenges, answers | acknowledgements | control | messages, streams
//! ```
//!
//! Which packet goes where, and when, is decided in [`super::transmit`].

use super::transmit::{Plan, bit};
use super::{Connection, Storage};
use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::id::Mode;
use crate::path::PathState;
use crate::stream::{Departed, StreamMemory};
use crate::time::Instant;
use crate::wire::{Frame, Writer};

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Our challenge when its time has come, and the answer to the peer's.
    pub(super) fn write_challenges(
        &mut self,
        slot: usize,
        writer: &mut Writer<'_>,
        now: Instant,
    ) -> bool {
        let Some(path) = self.path_mut(slot) else { return false };
        let mut wrote = false;
        if let Some(token) = path.validation.owed()
            && (Frame::Response { token }).encode(writer).is_ok()
        {
            path.validation.on_response_sent();
            wrote = true;
        }
        if let Some(token) = path.validation.token_due(now) {
            let frame = Frame::Challenge { token, link: path.link, class: path.class };
            if frame.encode(writer).is_ok() {
                path.on_challenge_sent(now);
                wrote = true;
            }
        }
        wrote
    }

    /// Acknowledgements return on their own path, and are copied to the best other one when the
    /// flow on their own breaks off, and while that is in doubt: each direction can fail alone.
    /// While all are, whichever has an acknowledgement to send takes the others along: the first
    /// path that returns tells it all.
    pub(super) fn write_acks(
        &mut self,
        plan: Plan,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        now: Instant,
    ) {
        let copies = self.routing.copies_due;
        let best = self.best_path(copies);
        let answers = self.path_mut(plan.slot).is_some_and(|path| path.acks.pending());
        let carries_copies = match best {
            Some(best) => copies != 0 && best == plan.slot,
            None => copies != 0 && answers,
        };
        let parts = self.storage.parts();
        for (slot, path) in parts.paths.iter_mut().enumerate() {
            let Some(path) = path else { continue };
            let own = slot == plan.slot;
            // What is still owed on its own path goes there first.
            let copy = carries_copies && copies & bit(slot) != 0 && !path.acks.owes();
            let wanted = if own {
                path.acks.due(now) || !plan.what.is_data() && path.acks.pending()
            } else {
                copy
            };
            if !wanted {
                continue;
            }
            let Some(largest) = path.acks.write(path.id, writer, now) else {
                if !path.acks.pending() {
                    self.routing.copies_due &= !bit(slot); // The peer knows it all by now.
                }
                continue;
            };
            let _ = cargo.push(Carried::Acknowledgement { path: path.id, largest });
            if own && matches!(path.state(), PathState::Suspect | PathState::Down) {
                self.routing.copies_due |= bit(slot);
            } else if own || copy && best.is_some() {
                self.routing.copies_due &= !bit(slot);
            }
        }
        if best == Some(plan.slot) {
            self.write_parting_word(writer, cargo, now);
        }
    }

    /// Unreliable messages first, since they do not wait for anything; then the streams.
    /// `again`: what was lost may be among it. `alone`: nothing else is in the packet.
    pub(super) fn write_data(
        &mut self,
        slot: usize,
        again: bool,
        alone: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        let before = writer.len();
        let Some(path) = self.path(slot).map(|p| p.id) else {
            return false;
        };
        let parts = self.storage.parts();
        let mut alone = alone;
        while let Some(message) = self.datagrams.write(writer, alone, parts.datagrams_out) {
            let number = match message {
                Departed::Sent(number) => number,
                Departed::Dropped(number) => {
                    self.notices.datagram_left(number, None);
                    continue;
                }
            };
            alone = false;
            self.notices.datagram_left(number, Some(path));
            if self.mode.mode == Mode::Spread {
                break; // One message a packet, so that each takes a path of its own.
            }
        }
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let written = match self.mode.mode {
            Mode::Redundant => self.streams.write_lane(slot, again, writer, cargo, &mut memory),
            _ => self.streams.write_frames(writer, cargo, &mut memory),
        };
        self.count_data(slot, written.bytes_fresh, written.bytes_again);
        writer.len() > before
    }

    /// Stream bytes go out on a path: `fresh` for the first time, `again` once more.
    pub(super) fn count_data(&mut self, slot: usize, fresh: u64, again: u64) {
        self.stats.again_bytes = self.stats.again_bytes.plus(again);
        if let Some(path) = self.path_mut(slot) {
            let counters = &mut path.counters;
            counters.data_sent = counters.data_sent.plus(fresh).plus(again);
            counters.again_bytes = counters.again_bytes.plus(again);
        }
    }
}
