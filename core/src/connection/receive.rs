//! One datagram's way in: find the path, open the seal, hand each frame to its part.
//!
//! Nothing changes before the seal has opened, but a counter. A packet that could not be taken
//! whole, because a table of ours is full, is not acknowledged: the peer sends its contents again.

use super::ledger::Books;
use super::transmit::bit;
use super::{Connection, Phase, Storage};
use crate::arithmetic::Wide;
use crate::crypto::{Crypto, Outcome};
use crate::error::{Discard, code};
use crate::id::{Arrival, ConnectionId, PathId, Side};
use crate::packet_number::PacketNumber;
use crate::path::{Acknowledged, Path, PathState, Way};
use crate::stream::{StreamMemory, Violation};
use crate::time::{Duration, Instant};
use crate::wire::{Ack, Frame, Frames, Header, Kind, Reader, TAG_BYTES, kind};

/// What a packet turned out to be.
#[derive(Default)]
struct Contents {
    eliciting: bool,
    /// Something in it did not fit: it must come again.
    no_room: bool,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// A datagram arrived. It is opened in place: afterwards its bytes are worthless.
    ///
    /// # Errors
    /// Why it was dropped. That is never the caller's fault and changed nothing but a counter.
    pub fn handle_datagram(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        now: Instant,
    ) -> Result<(), Discard> {
        let now = self.advance(now);
        self.meter(at.link, &at.remote, Way::In, datagram.len(), 1, now);
        let result = match kind(datagram) {
            Some(Kind::Packet) => self.receive_packet(at, datagram, now),
            Some(Kind::Response | Kind::CookieReply) => self.receive_answer(at, datagram, now),
            _ => Err(Discard::Malformed),
        };
        if let Err(discard) = result {
            self.stats.count(discard);
        }
        result
    }

    #[inline(never)] // What it has on the stack is not there when a packet is handled.
    fn receive_answer(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        now: Instant,
    ) -> Result<(), Discard> {
        if self.links.find(at.link).is_none() {
            return Err(Discard::UnknownLink);
        }
        let dial = self.dial.as_mut().ok_or(Discard::Unexpected)?;
        match dial.handle_datagram(at, datagram)? {
            None => {}
            Some(Outcome::Established { secrets, welcome }) => {
                self.on_welcome(&secrets, &welcome, now);
                self.install_first(at, now);
                self.open_paths(now);
            }
            Some(Outcome::Refused(_)) => self.on_refused(),
        }
        Ok(())
    }

    #[inline(never)] // So that a listener's handshake does not lie on top of it on a board's stack.
    fn receive_packet(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        now: Instant,
    ) -> Result<(), Discard> {
        if self.links.find(at.link).is_none() {
            return Err(Discard::UnknownLink);
        }
        let bytes = datagram.len();
        let mut reader = Reader::new(datagram);
        let header = Header::decode(&mut reader).map_err(|_| Discard::Malformed)?;
        if header.destination != self.id {
            return Err(Discard::UnknownConnection);
        }
        let head_len = bytes.saturating_sub(reader.remaining());
        let (head, sealed) = datagram.split_at_mut_checked(head_len).ok_or(Discard::Malformed)?;
        let (slot, number, payload) = self.unseal(at, &header, head, sealed, now)?;
        self.clock.heard = now;
        self.stats.received_packets = self.stats.received_packets.plus(1);
        self.stats.received_bytes = self.stats.received_bytes.plus(bytes as u64);
        if let Some(path) = self.path_mut(slot) {
            let newest = path.replay.highest().is_none_or(|highest| number > highest);
            path.replay.record(number);
            if newest && (path.remote != at.remote || path.link != at.link) {
                self.follow(slot, at, now);
            }
        }
        if let Some(path) = self.path_mut(slot) {
            // After the move: the packet came from the new address, and its bytes count for it.
            path.on_datagram(bytes);
        }
        let contents = self.take_frames(slot, header.path, payload, now)?;
        let slot = self.still(slot, header.path);
        if !contents.no_room
            && let Some(path) = self.path_mut(slot)
        {
            path.acks.on_packet(number, contents.eliciting, now);
        }
        Ok(())
    }

    /// Opens the seal in place. A packet that opens on an unknown path opens that path.
    fn unseal<'d>(
        &mut self,
        at: Arrival,
        header: &Header,
        head: &[u8],
        sealed: &'d mut [u8],
        now: Instant,
    ) -> Result<(usize, PacketNumber, &'d [u8]), Discard> {
        let payload_len = sealed.len().checked_sub(TAG_BYTES).ok_or(Discard::Malformed)?;
        let (payload, tag) = sealed.split_at_mut_checked(payload_len).ok_or(Discard::Malformed)?;
        let tag: &[u8; TAG_BYTES] = tag.first_chunk().ok_or(Discard::Malformed)?;
        let paths = self.storage.paths();
        let slot = paths.iter().position(|p| p.as_ref().is_some_and(|p| p.id == header.path));
        let known = slot.and_then(|slot| paths.get(slot)?.as_ref());
        if known.is_none() && !self.may_be_new(header.path) {
            return Err(Discard::Replayed);
        }
        let expected = match known.and_then(|path| path.replay.highest()) {
            Some(highest) => highest.next(),
            None => PacketNumber(0),
        };
        let number = PacketNumber::expand(header.number, header.number_len.into(), expected);
        if known.is_some_and(|path| !path.replay.check(number)) {
            return Err(Discard::Replayed);
        }
        let keys = self.keys.as_mut().ok_or(Discard::Unexpected)?;
        let after = |path: &Path| number >= expected && path.epoch == keys.epoch();
        let late = !known.is_some_and(after);
        let opened =
            keys.open(header.key_phase, header.path, number, late, head, payload, tag, now)?;
        let epoch = keys.epoch();
        if opened.key_changed {
            self.on_key_changed(now);
        }
        let slot = match slot {
            Some(slot) => slot,
            None => self.install_peers(header.path, at, now).ok_or(Discard::NoRoom)?,
        };
        if let Some(path) = self.path_mut(slot).filter(|_| number >= expected) {
            path.epoch = epoch;
        }
        Ok((slot, number, payload))
    }

    /// Old keys live for three probe timeouts of the slowest path.
    fn on_key_changed(&mut self, now: Instant) {
        let slowest =
            self.storage.paths().iter().flatten().map(|p| p.recovery.probe_timeout()).max();
        let until = now + slowest.unwrap_or(KEEP_KEYS_MIN).max(KEEP_KEYS_MIN) * 3;
        if let Some(keys) = &mut self.keys {
            keys.on_changed_keep_until(until);
        }
        self.stats.key_changes = self.stats.key_changes.plus(1);
    }

    /// The peer's address on a path changed: a NAT gave it another one, or it moved.
    fn follow(&mut self, slot: usize, at: Arrival, now: Instant) {
        let token = self.random.u64();
        if let Some(path) = self.path_mut(slot) {
            path.link = at.link;
            path.moved(at.remote, token, now);
        }
        self.limit_paths(at.link, now);
        self.notices.path_changed(slot);
        self.reinject();
    }

    /// What a frame says may give its own path up, and another may take the place at once: what
    /// follows is then about no path.
    fn still(&self, slot: usize, id: PathId) -> usize {
        let path = self.path(slot);
        if path.is_some_and(|path| path.id == id) { slot } else { usize::MAX }
    }

    fn take_frames(
        &mut self,
        slot: usize,
        path: PathId,
        payload: &[u8],
        now: Instant,
    ) -> Result<Contents, Discard> {
        let mut contents = Contents::default();
        for frame in Frames::new(payload) {
            let Ok(frame) = &frame else { return Err(self.violated(now)) };
            contents.eliciting |= frame.is_ack_eliciting();
            match self.on_frame(self.still(slot, path), frame, now) {
                Ok(()) => {}
                Err(Violation::NoRoom) => contents.no_room = true,
                Err(_) => return Err(self.violated(now)),
            }
        }
        Ok(contents)
    }

    /// Only a peer with our keys can get here, so its word ends the connection.
    fn violated(&mut self, now: Instant) -> Discard {
        self.begin_close(code::PROTOCOL, "", super::CloseReason::Protocol, now);
        Discard::Malformed
    }

    fn on_frame(&mut self, slot: usize, frame: &Frame<'_>, now: Instant) -> Result<(), Violation> {
        match frame {
            Frame::Padding | Frame::Ping => {}
            Frame::Ack(ack) => return self.on_ack(slot, ack, now),
            Frame::Datagram { data } | Frame::DatagramSized { data } => self.on_message(slot, data),
            Frame::Challenge { token, link, class } => {
                if let Some(path) = self.path_mut(slot) {
                    path.validation.owe(*token);
                    path.remote_link = Some(*link);
                    path.class = path.class.max(*class);
                }
            }
            Frame::Response { token } => self.on_response(slot, *token, now),
            Frame::PathStatus { path, sequence, status } => {
                self.on_path_status(*path, *sequence, *status, now);
            }
            Frame::Advertise { sequence, addresses } => {
                if self.routing.remotes.on_list(*sequence, *addresses) {
                    self.routing.tried.forget_remotes();
                    self.open_paths(now);
                }
            }
            Frame::Mode { sequence, mode } => {
                if self.side == Side::Responder && *sequence > self.mode.sequence {
                    self.mode.mode = *mode;
                    self.mode.sequence = *sequence;
                }
            }
            Frame::Close { code, reason } => self.on_close(*code, reason),
            Frame::Symbol { number, contents } | Frame::SymbolSized { number, contents } => {
                return self.take_symbol(slot, *number, contents);
            }
            Frame::Repair { first, count, key, sums, data } => {
                let len = data.len().checked_div((*sums).into()).unwrap_or(0);
                return self.take_repair(slot, (*first, *count, *key), len, data);
            }
            Frame::Recovered { number } => self.on_recovered(*number),
            of_stream => return self.on_stream_frame(slot, of_stream),
        }
        Ok(())
    }

    /// What a symbol contains: stream bytes, and messages, which are taken only if they are `news`,
    /// since none must come twice.
    pub(super) fn take_contents(
        &mut self,
        slot: usize,
        contents: &[u8],
        news: bool,
    ) -> Result<(), Violation> {
        let mut result = Ok(());
        for frame in Frames::new(contents) {
            match &frame.map_err(|_| Violation::Protocol)? {
                Frame::Datagram { data } | Frame::DatagramSized { data } => {
                    if news {
                        self.on_message(slot, data);
                    }
                }
                of_stream if of_stream.is_about_streams() => {
                    match self.on_stream_frame(slot, of_stream) {
                        Err(Violation::NoRoom) => result = Err(Violation::NoRoom),
                        other => other?,
                    }
                }
                _ => return Err(Violation::Protocol),
            }
        }
        result
    }

    pub(super) fn on_message(&mut self, slot: usize, data: &[u8]) {
        let path = self.path_mut(slot).map(|path| path.id);
        let ring = self.storage.parts().datagrams_in;
        if let Some(path) = path
            && self.datagrams.receive(data, path, ring)
        {
            self.notices.datagram_received = true;
        }
    }

    pub(super) fn on_stream_frame(
        &mut self,
        slot: usize,
        frame: &Frame<'_>,
    ) -> Result<(), Violation> {
        if let Frame::Stream { data, .. } | Frame::StreamSized { data, .. } = frame
            && let Some(path) = self.path_mut(slot)
        {
            let count = &mut path.counters.data_received;
            *count = count.plus(data.len() as u64);
        }
        let parts = self.storage.parts();
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        self.streams.on_frame(frame, self.config.services, &mut memory)
    }

    fn on_response(&mut self, slot: usize, token: u64, now: Instant) {
        let changed = self.path_mut(slot).is_some_and(|path| path.on_response(token));
        if changed {
            self.path_alive(slot, now);
        }
    }

    fn on_ack(&mut self, arrived: usize, ack: &Ack<'_>, now: Instant) -> Result<(), Violation> {
        let held = self.config.acknowledgement_delay;
        let Books { paths, mut sent, mut ledger } = self.books();
        let found = paths
            .iter_mut()
            .enumerate()
            .find_map(|(slot, path)| Some((slot, path.as_mut().filter(|p| p.id == ack.path)?)));
        // The path may have been given up while the acknowledgement was under way.
        let Some((slot, path)) = found else { return self.on_parting_word(ack) };
        let each = &mut |fate, carried| ledger.settle(fate, carried);
        let result = if slot == arrived {
            path.recovery.on_ack(ack, held, now, &mut sent, each)
        } else {
            path.recovery.on_ack_elsewhere(ack, now, &mut sent, each)
        };
        if result.invalid {
            return Err(Violation::Protocol);
        }
        let acknowledged = core::mem::take(&mut ledger.acknowledged);
        let length_probe = ledger.length_probe;
        let lost = path.count_losses();
        let oldest = path.recovery.oldest_unacked_sent_at();
        path.on_settled(oldest);
        let (largest, bytes, packets) = (ack.largest, result.newly_acked, result.packets);
        let own_path = slot == arrived;
        let news = Acknowledged { largest, own_path, bytes, packets, oldest };
        let changed = result.progress && path.on_acknowledged(&news, now);
        for (id, largest) in &acknowledged {
            if let Some(path) = paths.iter_mut().flatten().find(|path| path.id == *id) {
                path.acks.on_ack_of_ack(*largest);
            }
        }
        self.repairs.on_lost(lost);
        self.judge_length(slot, length_probe, now);
        if changed {
            self.path_alive(slot, now);
        }
        Ok(())
    }

    /// A path came to life, or back to it.
    fn path_alive(&mut self, slot: usize, now: Instant) {
        self.notices.path_changed(slot);
        let active = self.path_mut(slot).is_some_and(|path| path.state() == PathState::Active);
        if active {
            if let Some(path) = self.path_mut(slot) {
                path.trust.rise(now);
            }
            self.clock.all_down = None;
            self.routing.copies_due &= !bit(slot);
            self.drop_twins(slot, now);
            self.reinject();
            if self.phase == Phase::Established
                && let Some(dial) = &mut self.dial
            {
                dial.stop();
            }
        }
    }

    /// The receiver's id in a datagram, for a demultiplexer.
    #[must_use]
    pub fn destination(datagram: &[u8]) -> Option<ConnectionId> {
        crate::wire::destination(datagram)
    }
}

const KEEP_KEYS_MIN: Duration = Duration::from_millis(100);
