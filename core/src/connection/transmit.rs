//! One packet's way out: which path, which frames, seal.
//!
//! Each round first asks what cannot wait (an answer to a challenge, a due acknowledgement, a
//! probe), then asks [`crate::path::choose`] for the path of the next data packet. Packets for the
//! same path go out as one run of equal lengths, so that a host can hand them to its network card
//! in one call.

use super::length::{LengthProbe, write_probe};
use super::memory::PATHS_MAX;
use super::timeout::BUDGET_MIN;
use super::{CloseReason, Connection, Phase, Storage};
use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::error::code;
use crate::id::{Address, LinkId, Mode};
use crate::path::{Backlog, Candidate, Choice, Path, PathState, Way, choose, spread, tail};
use crate::recovery::{Sent, SentKind};
use crate::storage::table::keep;
use crate::stream::StreamMemory;
use crate::time::Instant;
use crate::wire::{Frame, Header, TAG_BYTES, Writer};
use core::net::IpAddr;
use heapless::Vec;

/// A run of packets to send: all go the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transmit {
    /// The local link to send on.
    pub link: LinkId,
    /// The local address to send from, if it matters.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub local: Option<IpAddr>,
    /// Where to.
    pub remote: Address,
    /// Bytes in the buffer, all packets together.
    pub len: usize,
    /// Length of each packet; the last may be shorter.
    pub segment_size: usize,
}

/// The next packet: on which path, and what for.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) slot: usize,
    pub(super) what: What,
    /// So many bytes may follow on the same path before the question is put again.
    pub(super) more: u64,
}

impl Plan {
    pub(super) const fn new(slot: usize, what: What) -> Self {
        Self { slot, what, more: 0 }
    }
}

/// What a packet is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What the application wants, and all else that fits.
    Data {
        /// What was lost may be among it.
        again: bool,
    },
    /// What cannot wait for data.
    Urgent,
    /// A repair symbol and nothing else.
    Repair,
    /// It only asks whether its length passes.
    LengthProbe(LengthProbe),
}

impl What {
    pub(super) const fn is_data(self) -> bool {
        matches!(self, Self::Data { .. })
    }
}

impl Written {
    /// So many bytes of a packet that needs no acknowledgement.
    pub(super) const fn unacknowledged(len: usize) -> Self {
        Self { len, cargo: Cargo::new(), kind: SentKind::AckOnly, drained: false }
    }
}

/// What one packet is made of, once written.
pub(super) struct Written {
    len: usize,
    cargo: Cargo,
    kind: SentKind,
    /// The last data that waited went with it.
    drained: bool,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Fills `buffer` with a run of packets for one path. `None`: nothing to send now; when that
    /// may change by itself, `poll_timeout` tells.
    ///
    /// A buffer of one datagram ([`crate::config::Config::datagram_bytes_max`]) or less gives one
    /// packet at a time, never longer than itself; a host lends what holds sixteen and more.
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Instant) -> Option<Transmit> {
        let now = self.advance(now);
        let run = self.next_run(buffer, now)?;
        let packets = run.len.div_ceil(run.segment_size.max(1));
        self.meter(run.link, &run.remote, Way::Out, run.len, packets, now);
        Some(run)
    }

    fn next_run(&mut self, buffer: &mut [u8], now: Instant) -> Option<Transmit> {
        let copy = self.dial.as_mut().and_then(|dial| dial.poll_transmit(&self.links, buffer));
        if copy.is_some() {
            return copy;
        }
        if self.phase == Phase::Established && self.worn_out() {
            self.begin_close(code::PROTOCOL, OVERDUE, CloseReason::Protocol, now);
        }
        match self.phase {
            Phase::Established => self.transmit_established(buffer, now),
            Phase::Closing => self.transmit_close(buffer, now),
            Phase::Handshake | Phase::Drained => None,
        }
    }

    /// A path that turns out to have nothing to send leaves the turn to the next.
    fn transmit_established(&mut self, buffer: &mut [u8], now: Instant) -> Option<Transmit> {
        let mut skip = 0;
        for _ in 0..=PATHS_MAX {
            let plan = self.plan(skip, now)?;
            let run = self.transmit_run(plan, buffer, now);
            if run.is_some() {
                return run;
            }
            skip |= bit(plan.slot);
        }
        None
    }

    /// Whether the key has sealed all that it may but for a farewell, since the peer answers no key
    /// change, or begins none.
    fn worn_out(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.left() <= FAREWELL)
    }

    fn transmit_run(
        &mut self,
        mut plan: Plan,
        buffer: &mut [u8],
        now: Instant,
    ) -> Option<Transmit> {
        let mut len = 0;
        let mut segment_size = 0;
        let link = self.path(plan.slot)?.link;
        let single =
            buffer.len() <= self.config.datagram_bytes_max.into() || self.links.is_tight(link);
        loop {
            let room = buffer.get_mut(len..).unwrap_or_default();
            let Some(bytes) = self.transmit_one(plan, room, now) else { break };
            len = len.saturating_add(bytes);
            if segment_size == 0 {
                segment_size = bytes;
            }
            // A run ends with its first short packet, and before a packet that would be longer.
            let next_fits = buffer.len().saturating_sub(len) >= segment_size;
            let full = bytes == segment_size && bytes == self.length_limit(plan.slot);
            if single || !plan.what.is_data() || !full || !next_fits {
                break;
            }
            plan.more = plan.more.minus(bytes as u64);
            if plan.more >= segment_size as u64 {
                continue;
            }
            match self.plan(0, now) {
                Some(next) if (next.slot, next.what) == (plan.slot, plan.what) => plan = next,
                _ => break,
            }
        }
        if len == 0 {
            return None;
        }
        let path = self.path(plan.slot)?;
        Some(Transmit {
            link: path.link,
            local: path.local,
            remote: path.remote,
            len,
            segment_size,
        })
    }

    /// What goes out next. What cannot wait goes first, unless the next data packet takes it along.
    /// What only asks goes last. `skip`, bit `i`: not on the path in slot `i`.
    fn plan(&mut self, skip: u8, now: Instant) -> Option<Plan> {
        if let Some(slot) = self.plan_repair(skip, now) {
            return Some(Plan::new(slot, What::Repair));
        }
        let data = self.plan_data(skip, now).filter(|plan| skip & bit(plan.slot) == 0);
        let urgent = self.urgent_slots(now) & !skip;
        match data {
            Some(plan) if urgent & bit(plan.slot) != 0 || urgent == 0 => Some(plan),
            _ if urgent == 0 => {
                let probe = self.length_probe(skip, now)?;
                Some(Plan::new(probe.slot, What::LengthProbe(probe)))
            }
            _ => {
                let slot = urgent.trailing_zeros() as usize;
                Some(Plan::new(slot, What::Urgent))
            }
        }
    }

    /// Bit `i`: the path in slot `i` has something to send that cannot wait.
    fn urgent_slots(&mut self, now: Instant) -> u8 {
        let mut slots = 0;
        let room = self.sent.room(self.storage.parts().sent) > 0;
        for (slot, path) in self.storage.paths().iter().enumerate() {
            let Some(path) = path else { continue };
            if path.validation.budget() < BUDGET_MIN {
                continue;
            }
            let urgent = path.validation.owed().is_some()
                || path.validation.token_due(now).is_some()
                || path.acks.due(now)
                || path.wants_probe && room;
            if urgent {
                slots |= bit(slot);
            }
        }
        let copies = self.routing.copies_due;
        if (copies != 0 || self.repairs.news() || self.parting_word_due())
            && let Some(slot) = self.best_path(copies)
        {
            slots |= bit(slot);
        }
        slots
    }

    /// The live path with the shortest round trip but for those in `without`, bit `i` the one in
    /// slot `i`: for what is small and matters.
    pub(super) fn best_path(&self, without: u8) -> Option<usize> {
        let live = self.storage.paths().iter().enumerate();
        let live = live.filter_map(|(slot, path)| Some((slot, path.as_ref()?)));
        live.filter(|(slot, path)| path.may_carry_data() && without & bit(*slot) == 0)
            .min_by_key(|(_, path)| path.recovery.rtt.smoothed())
            .map(|(slot, _)| slot)
    }

    /// The path for the next data packet, if there is data and a path should take it now.
    fn plan_data(&mut self, skip: u8, now: Instant) -> Option<Plan> {
        self.clock.transmit = None;
        self.review_standby(now);
        let control = self.control_due();
        let parts = self.storage.parts();
        // Each path can always be probed: the last places in the table are kept for that.
        if self.sent.room(parts.sent) <= parts.paths.iter().flatten().count() {
            return None;
        }
        let memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let waiting = self.streams.waiting(&memory);
        let control = waiting.control || control;
        let bytes = waiting.fresh.plus(waiting.again).plus(self.datagrams.waiting());
        let room = self.sent.room(parts.sent).saturating_sub(PATHS_MAX * 2);
        let mut candidates = Vec::new();
        list_candidates(parts.paths, now, &mut candidates);
        if self.mode.mode == Mode::Redundant {
            keep(&mut candidates, &mut |path| skip & bit(path.index) == 0);
            let common = control || waiting.again > 0 || self.datagrams.waiting() > 0;
            return self.plan_lane(&candidates, waiting.fresh > 0, common, now);
        }
        self.keep_in_use(&mut candidates);
        let mut bytes = bytes;
        if !control && bytes == 0 {
            bytes = self.requeue_tail(&candidates, now);
            if bytes == 0 {
                return None;
            }
        }
        let backlog = Backlog { bytes, more: waiting.more, ahead: waiting.ahead };
        let choice = match self.mode.mode {
            Mode::Spread => spread(&candidates, self.random.u32()),
            _ => choose(&candidates, &backlog, now),
        };
        match choice {
            Choice::Send { index } => {
                let path = candidates.iter().find(|path| path.index == index)?;
                let more = match self.mode.mode {
                    Mode::Bulk | Mode::Backup => path.burst(room),
                    _ => 0, // Each packet is a choice of its own.
                };
                Some(Plan { slot: index, what: What::Data { again: true }, more })
            }
            Choice::Wait { until } => {
                self.clock.transmit = until.filter(|moment| *moment > now);
                None
            }
        }
    }

    /// With nothing left to send: what a slow path still carries goes on an idle one as well, if
    /// that ends the transfer sooner. Returns how many bytes wait then.
    fn requeue_tail(&mut self, candidates: &[Candidate], now: Instant) -> u64 {
        if self.mode.mode == Mode::Spread || self.repairs_losses() {
            return 0;
        }
        let Some(late) = tail(candidates, now) else { return 0 };
        let others = (candidates.len() as u64).minus(1);
        let bets = others.times(TAIL_FREE);
        let allowed = (self.stats.sent_bytes / TAIL_SHARE).plus(bets);
        if self.stats.tail_bytes.plus(late.bytes) > allowed {
            return 0;
        }
        let mut slots = [false; PATHS_MAX];
        if let Some(slot) = slots.get_mut(late.index) {
            *slot = true;
        }
        let queued = self.copy_flights(&slots);
        self.stats.tail_bytes = self.stats.tail_bytes.plus(queued);
        queued
    }

    /// Writes, seals and books one packet; returns its length.
    fn transmit_one(&mut self, plan: Plan, buffer: &mut [u8], now: Instant) -> Option<usize> {
        let header = self.header(plan.slot)?;
        let limit = match plan.what {
            What::LengthProbe(probe) if !self.fits_buffer(probe, buffer.len(), now) => return None,
            What::LengthProbe(probe) => probe.bytes.into(),
            _ => self.length_limit(plan.slot).min(buffer.len()),
        };
        let buffer = buffer.get_mut(..limit)?;
        let head_len = header.encoded_len();
        let payload_max = buffer.len().checked_sub(head_len)?.checked_sub(TAG_BYTES)?;
        let (head, rest) = buffer.split_at_mut_checked(head_len)?;
        header.encode(&mut Writer::new(head)).ok()?;
        let mut writer = Writer::new(rest.get_mut(..payload_max)?);
        let written = self.write_frames(plan, &mut writer, now)?;
        let (payload, rest) = rest.split_at_mut_checked(written.len)?;
        let path = self.path(plan.slot)?;
        let (id, number) = (path.id, path.recovery.next_number());
        let tag = self.keys.as_mut()?.seal(id, number, head, payload);
        *rest.first_chunk_mut()? = tag;
        let len = head_len.saturating_add(written.len).saturating_add(TAG_BYTES);
        self.book(plan.slot, len, &written, now);
        Some(len)
    }

    pub(super) fn header(&mut self, slot: usize) -> Option<Header> {
        let keys = self.keys.as_mut()?;
        if keys.wants_change(self.config.packets_per_key) {
            keys.change();
            self.stats.key_changes = self.stats.key_changes.plus(1);
        }
        let kept = if self.phase == Phase::Closing { 0 } else { FAREWELL };
        if keys.left() <= kept {
            return None;
        }
        let key_phase = keys.phase();
        let path = self.path(slot)?;
        let number = path.recovery.next_number();
        Some(Header {
            destination: self.remote_id,
            path: path.id,
            number: number.0 as u32,
            number_len: number.encoded_len(path.recovery.largest_acked()) as u8,
            key_phase,
        })
    }

    /// Fills the payload. `None`: there was nothing to write after all.
    fn write_frames(
        &mut self,
        plan: Plan,
        writer: &mut Writer<'_>,
        now: Instant,
    ) -> Option<Written> {
        let mut cargo = Cargo::new();
        match plan.what {
            What::LengthProbe(probe) => {
                let wrote = write_probe(probe, writer, &mut cargo);
                let (len, kind, drained) = (writer.len(), SentKind::Probe, true);
                return wrote.then_some(Written { len, cargo, kind, drained });
            }
            What::Repair => {
                self.write_repair(writer)?;
                let (len, kind) = (writer.len(), SentKind::Data);
                return Some(Written { len, cargo, kind, drained: false });
            }
            What::Data { .. } | What::Urgent => {}
        }
        let data = plan.what.is_data();
        let mut eliciting = self.write_challenges(plan.slot, writer, now);
        let challenged = eliciting;
        self.write_acks(plan, writer, &mut cargo, now);
        self.repairs.write_news(writer);
        let room = self.sent.room(self.storage.parts().sent) > 0;
        let mut drained = false;
        if room {
            if let What::Data { again } = plan.what {
                eliciting |= self.write_control(writer, &mut cargo);
                eliciting |= self.write_protected(plan.slot, again, writer, &mut cargo);
                let redundant = self.mode.mode == Mode::Redundant;
                let (streams, memory) = self.streaming();
                let lanes = if redundant { streams.lanes_waiting(&memory) } else { 0 };
                drained = !streams.has_fresh(&memory) && lanes & bit(plan.slot) == 0;
            }
            let path = self.path_mut(plan.slot)?;
            let ping = path.wants_probe || path.wants_ping_with_ack(now) && !writer.is_empty();
            if ping && !eliciting && Frame::Ping.encode(writer).is_ok() {
                eliciting = true;
            }
        }
        if writer.is_empty() {
            return None;
        }
        if eliciting && !data {
            // A probe while nothing waits, or alone on its path, says nothing of the path's rate.
            let (streams, memory) = self.streaming();
            drained = !streams.has_fresh(&memory) || self.is_idle(plan.slot);
        }
        if challenged && !data {
            // A challenge also asks whether packets of full length pass (RFC 9000 section 8.2.1).
            while Frame::Padding.encode(writer).is_ok() {}
        }
        let kind = match eliciting {
            false => SentKind::AckOnly,
            true if data || challenged => SentKind::Data,
            true => SentKind::Probe,
        };
        Some(Written { len: writer.len(), cargo, kind, drained })
    }

    /// Whether nothing is under way on the path.
    fn is_idle(&self, slot: usize) -> bool {
        let path = self.path(slot);
        path.is_some_and(|path| path.recovery.in_flight() == 0)
    }

    /// Enters a packet that was sealed into the books.
    pub(super) fn book(&mut self, slot: usize, len: usize, written: &Written, now: Instant) {
        self.stats.sent_packets = self.stats.sent_packets.plus(1);
        self.stats.sent_bytes = self.stats.sent_bytes.plus(len as u64);
        let parts = self.storage.parts();
        let Some(path) = parts.paths.get_mut(slot).and_then(Option::as_mut) else { return };
        let mut sent = Sent { table: &mut self.sent, slots: parts.sent };
        let bytes = u16::try_from(len).unwrap_or(u16::MAX);
        // Nothing is lost with a probe of a silent path: without cargo the next one takes its
        // place, and a small table does not fill up with them.
        let silent = matches!(path.state(), PathState::Suspect | PathState::Down);
        let cargo = match written.kind {
            SentKind::Probe if silent => &[][..],
            _ => &written.cargo,
        };
        path.recovery.on_sent(bytes, written.kind, cargo, written.drained, now, &mut sent);
        path.on_sent(len, written.kind != SentKind::AckOnly, now);
        if let [Carried::LengthProbe(bytes)] = *written.cargo {
            path.on_length_probe_sent(bytes);
        }
    }
}

/// The paths that may carry data, as the scheduler sees them.
pub(super) fn list_candidates(
    paths: &[Option<Path>],
    now: Instant,
    candidates: &mut Vec<Candidate, PATHS_MAX>,
) {
    for (index, path) in paths.iter().enumerate() {
        if let Some(path) = path.as_ref().filter(|path| path.may_carry_data()) {
            let _ = candidates.push(path.candidate(index, now));
        }
    }
}

/// Packets that a key is spared for Close: on each of 8 paths, four times.
const FAREWELL: u64 = 32;
const OVERDUE: &str = "a key change is overdue";

pub(super) fn bit(slot: usize) -> u8 {
    1_u8.checked_shl(slot as u32).unwrap_or(0)
}

/// One byte in so many may be sent twice to shorten the ends of transfers.
const TAIL_SHARE: u64 = 50;
/// And on top of that for each path but one: its first windows are a bet on a rate that nobody knows.
const TAIL_FREE: u64 = 48_000;

#[cfg(feature = "software")]
#[cfg(test)]
mod tests {

    use super::*;
    use crate::connection::{Event, LinkChange, LinkInfo, Memory};
    use crate::crypto::seal::SEALED_MAX;
    use crate::crypto::{Random, Secrets, Seed, Software};
    use crate::id::{Arrival, ConnectionId, CostClass, PublicKey, Side};
    use crate::time::Duration;
    use crate::wire::{Credit, Suite};

    type Board = Memory<2, 2, 32, 16_384, 16_384>;

    /// Established over one serial line with a peer that never says anything.
    fn established(now: Instant) -> Connection<Board, Software> {
        let config = crate::config::Config::default();
        let random = Random::new(Seed([1; 32]));
        let (id, peer) = (ConnectionId(1), PublicKey([2; 32]));
        let mut connection = Connection::vacant(config, Board::new());
        connection.begin(Side::Dialer, peer, id, random, now);
        let info = LinkInfo {
            rate: None,
            mtu: 1_400,
            class: CostClass::Wired,
            addresses: [Address::Serial].into_iter().collect(),
            hidden: false,
        };
        let link = LinkId(0);
        connection.handle_link(link, LinkChange::Up(info), now);
        let suite = Suite::ChaCha20Poly1305;
        let secrets = Secrets { side: Side::Dialer, send: [3; 32], receive: [4; 32], suite };
        let credit = Credit { data: 1_000, stream_data: 1_000, streams: 1 };
        connection.establish(&secrets, ConnectionId(2), credit, credit, &[], now);
        connection.install_first(Arrival { link, local: None, remote: Address::Serial }, now);
        connection
    }

    #[test]
    fn a_key_that_nobody_changes_says_goodbye_before_its_bound() {
        // spec: 5.4-5
        let mut now = Instant::from_micros(1);
        let mut connection = established(now);
        let keys = connection.keys.as_mut().unwrap();
        assert!(keys.change(), "asked, and never answered");
        keys.wear(SEALED_MAX - FAREWELL - 3);
        let mut packets = 0;
        let mut buffer = [0; 1_200];
        while !connection.is_drained() {
            now += Duration::from_millis(10);
            connection.handle_timeout(now);
            if let Some(path) = connection.path_mut(0) {
                path.wants_probe = true;
            }
            while connection.poll_transmit(&mut buffer, now).is_some() {
                packets += 1;
            }
        }
        assert_eq!(packets, 3 + 4, "three probes, and Close four times");
        assert_eq!(connection.keys.as_ref().map(|keys| keys.left()), Some(FAREWELL - 4));
        let mut events = core::iter::from_fn(|| connection.poll_event());
        assert!(events.any(|event| event == Event::Closed(CloseReason::Protocol)));
    }
}
