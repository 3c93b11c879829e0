//! Fills packets: credit and farewells first, then what must be sent once more, then what has
//! never been sent, the streams taking turns.

use super::send::{Chunk, LANES_MAX, SendState};
use super::slot::StreamSlot;
use super::{StreamMemory, Streams};
use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried, note};
use crate::id::StreamId;
use crate::wire::{Frame, Writer, stream_head_len};

/// What went into one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Stream bytes never sent before.
    pub bytes_fresh: u64,
    /// Stream bytes sent once more.
    pub bytes_again: u64,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Credit, resets, stops, ends of streams.
    pub control: bool,
    /// Bytes to be sent once more.
    pub again: u64,
    /// Bytes never sent that credit allows.
    pub fresh: u64,
    /// Bytes that can be sent before something sent earlier must have been acknowledged and read:
    /// what credit and the memory on both sides still have room for.
    pub ahead: u64,
    /// More follows than is counted here: written bytes wait for credit, or a stream that has not
    /// ended has little memory left.
    pub more: bool,
}

/// One of the rounds in which a packet is filled.
#[derive(Clone, Copy)]
enum Pass {
    Again,
    Fresh,
    LaneAgain(usize),
    LaneCopy(usize),
    LaneFresh(usize),
}

impl Pass {
    const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh | Self::LaneFresh(_))
    }

    const fn lane(self) -> Option<usize> {
        match self {
            Self::Again | Self::Fresh => None,
            Self::LaneAgain(lane) | Self::LaneCopy(lane) | Self::LaneFresh(lane) => Some(lane),
        }
    }
}

impl Streams {
    /// What waits to be sent.
    #[must_use]
    pub fn waiting(&self, m: &StreamMemory<'_>) -> Waiting {
        let control = self.control_due || self.capacity(m) > self.receive_credit.capacity();
        let mut waiting = Waiting { control, ..Waiting::default() };
        let blocks = self.send_pool.available(m.send);
        let scarce = blocks.saturating_mul(4) < self.send_pool.blocks(m.send);
        let free = blocks.saturating_mul(self.send_pool.data_bytes());
        let (mut held, mut allowed) = (free as u64, 0_u64);
        for slot in m.slots.iter().take(self.table.used()).filter(|slot| slot.id.is_some()) {
            held = held.plus(slot.send.unsent());
            allowed = allowed.plus(slot.send.limit.minus(slot.send.next));
            waiting.fresh = waiting.fresh.plus(slot.send.fresh());
            waiting.again = waiting.again.plus(slot.send.again.total());
            waiting.control |= slot.send.fin_waits() || slot.send.wants_again();
            waiting.more |= scarce && slot.send.state == SendState::Ready;
        }
        waiting.more |= waiting.fresh > self.send_credit.left();
        waiting.fresh = waiting.fresh.min(self.send_credit.left());
        waiting.ahead = held.min(allowed).min(self.send_credit.left());
        waiting
    }

    /// Whether there are bytes never sent that credit allows.
    #[must_use]
    pub fn has_fresh(&self, m: &StreamMemory<'_>) -> bool {
        let mut slots = m.slots.iter().take(self.table.used());
        self.send_credit.left() > 0 && slots.any(|slot| slot.id.is_some() && slot.send.fresh() > 0)
    }

    /// Fills the rest of a packet and notes in `cargo` what it carries.
    pub fn write_frames(
        &mut self,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        m: &mut StreamMemory<'_>,
    ) -> Written {
        self.fill(&[Pass::Again, Pass::Fresh], writer, cargo, m)
    }

    /// The same when every byte goes on every path: what this lane has not sent yet. What must be
    /// sent once more because it was lost is `again`'s business, the fastest path's.
    pub fn write_lane(
        &mut self,
        lane: usize,
        again: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        m: &mut StreamMemory<'_>,
    ) -> Written {
        let passes = [Pass::LaneAgain(lane), Pass::LaneCopy(lane), Pass::LaneFresh(lane)];
        let (_, own) = passes.split_at_checked(1).unwrap_or_default();
        self.fill(if again { &passes } else { own }, writer, cargo, m)
    }

    /// Bit `i`: lane `i` has something to send that others have sent.
    #[must_use]
    pub fn lanes_waiting(&self, m: &StreamMemory<'_>) -> u8 {
        let mut lanes = 0_u8;
        for slot in m.slots.iter().filter(|slot| slot.id.is_some()) {
            for lane in 0..LANES_MAX {
                let bit = 1_u8.checked_shl(lane as u32).unwrap_or(0);
                lanes |= if slot.send.lane_waits(lane) { bit } else { 0 };
            }
        }
        lanes
    }

    /// Another path has taken this lane.
    pub fn clear_lane(&self, lane: usize, m: &mut StreamMemory<'_>) {
        m.slots.iter_mut().for_each(|slot| slot.send.clear_lane(lane));
    }

    fn fill(
        &mut self,
        passes: &[Pass],
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        m: &mut StreamMemory<'_>,
    ) -> Written {
        let mut written = Written::default();
        self.measure(m);
        if self.control_due {
            self.write_control(writer, cargo, m);
        }
        let used = self.table.used();
        let mut last = None;
        for pass in passes {
            // Whoever's turn it is, those behind it, and those before it.
            for place in (self.turn..used).chain(0..self.turn.min(used)) {
                let bytes = self.write_stream(place, *pass, writer, cargo, m);
                if pass.is_fresh() {
                    written.bytes_fresh = written.bytes_fresh.plus(bytes);
                    last = Some(place).filter(|_| bytes > 0).or(last);
                } else {
                    written.bytes_again = written.bytes_again.plus(bytes);
                }
                if cargo.is_full() || writer.remaining() < ROOM_MIN {
                    break;
                }
            }
        }
        if let Some(last) = last {
            // Whoever filled this packet is the last to fill the next.
            self.turn = last.saturating_add(1);
        }
        written
    }

    fn write_stream(
        &mut self,
        place: usize,
        pass: Pass,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        m: &mut StreamMemory<'_>,
    ) -> u64 {
        let Some(slot) = m.slots.get_mut(place) else { return 0 };
        let Some(id) = slot.id else { return 0 };
        let fresh = pass.is_fresh();
        if fresh && slot.send.fresh() == 0 && !slot.send.fin_waits() {
            return 0;
        }
        let mut bytes = 0_u64;
        while !cargo.is_full() && writer.remaining() >= ROOM_MIN {
            let at = if fresh { slot.send.next } else { u64::MAX >> 2 };
            let head = stream_head_len(id, at);
            let Some(room) = writer.remaining().checked_sub(head) else { break };
            let chunk = match pass {
                Pass::LaneAgain(lane) if !slot.send.again_behind(lane) => None,
                Pass::Again | Pass::LaneAgain(_) => {
                    slot.send.chunk_again(room, &self.send_pool, m.send)
                }
                Pass::LaneCopy(lane) => slot.send.chunk_copy(lane, room, &self.send_pool, m.send),
                // In order: the lane first sends what others have sent.
                Pass::LaneFresh(lane) if slot.send.lane_waits(lane) => None,
                Pass::Fresh | Pass::LaneFresh(_) => {
                    let credit = usize::try_from(self.send_credit.left()).unwrap_or(usize::MAX);
                    slot.send.chunk_fresh(room.min(credit))
                }
            };
            let Some(chunk) = chunk else { break };
            let Some(chunk) = encode_chunk(slot, id, chunk, &self.send_pool, writer, m.send) else {
                break;
            };
            if let Some(lane) = pass.lane() {
                slot.send.on_lane_sent(lane, chunk);
            }
            slot.send.on_sent(chunk);
            if fresh {
                self.send_credit.spend(chunk.len as u64);
            }
            bytes = bytes.plus(chunk.len as u64);
            let len = u16::try_from(chunk.len).unwrap_or(u16::MAX);
            let item = Carried::Stream { stream: id, offset: chunk.offset, len, fin: chunk.fin };
            note(cargo, item);
            if fresh {
                break; // It took all that it could.
            }
        }
        bytes
    }

    fn write_control(
        &mut self,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
        m: &mut StreamMemory<'_>,
    ) {
        let mut left = false;
        if self.receive_credit.due() {
            let frame = Frame::MaxData { bytes: self.receive_credit.tell() };
            if !put(&frame, Carried::MaxData, writer, cargo) {
                self.receive_credit.again();
                left = true;
            }
        }
        if self.table.streams_due() {
            let frame = Frame::MaxStreams { count: self.table.tell() };
            if !put(&frame, Carried::MaxStreams, writer, cargo) {
                self.table.again();
                left = true;
            }
        }
        for slot in m.slots.iter_mut() {
            let Some(stream) = slot.id else { continue };
            if let Some(code) = slot.send.reset.filter(|_| slot.send.reset_due) {
                let frame = Frame::Reset { stream, code, final_offset: slot.send.next };
                slot.send.reset_due = !put(&frame, Carried::Reset(stream), writer, cargo);
                left |= slot.send.reset_due;
            }
            if let Some(code) = slot.receive.stopped.filter(|_| slot.receive.stop_due) {
                let frame = Frame::Stop { stream, code };
                slot.receive.stop_due = !put(&frame, Carried::Stop(stream), writer, cargo);
                left |= slot.receive.stop_due;
            }
            if slot.receive.told_due {
                let bytes = slot.receive.tell(&self.receive_credit);
                let frame = Frame::MaxStreamData { stream, bytes };
                slot.receive.told_due = !put(&frame, Carried::MaxStreamData(stream), writer, cargo);
                left |= slot.receive.told_due;
            }
        }
        self.control_due = left;
    }

    /// Something that a packet carried has arrived.
    pub fn on_acked(&mut self, item: Carried, m: &mut StreamMemory<'_>) {
        match item {
            Carried::Stream { stream, offset, len, fin } => {
                let Some(slot) = self.table.find(stream, m.slots) else { return };
                let pool = &mut self.send_pool;
                if slot.send.on_acked(offset, len.into(), fin, pool, m.send) {
                    slot.news.finished = true;
                }
            }
            Carried::MaxData => self.receive_credit.on_acked(),
            Carried::Reset(stream) => self.on_reset_acked(stream, m),
            _ => {}
        }
    }

    /// Whether some of these bytes wait to be sent again.
    #[must_use]
    pub fn wants_again(&self, item: Carried, m: &mut StreamMemory<'_>) -> bool {
        let Carried::Stream { stream, offset, len, fin } = item else { return false };
        let slot = self.table.find(stream, m.slots);
        slot.is_some_and(|slot| slot.send.wants(offset, len.into(), fin))
    }

    /// They were sent again; returns how many they are.
    pub fn on_again(&mut self, item: Carried, m: &mut StreamMemory<'_>) -> u64 {
        let Carried::Stream { stream, offset, len, fin } = item else { return 0 };
        if let Some(slot) = self.table.find(stream, m.slots) {
            slot.send.on_sent(Chunk { offset, len: len.into(), fin, fresh: false });
        }
        len.into()
    }

    /// Something that a packet carried must be sent again.
    pub fn on_lost(&mut self, item: Carried, m: &mut StreamMemory<'_>) {
        let slot = match item {
            Carried::Stream { stream, .. }
            | Carried::Reset(stream)
            | Carried::Stop(stream)
            | Carried::MaxStreamData(stream) => self.table.find(stream, m.slots),
            _ => None,
        };
        match (item, slot) {
            (Carried::Stream { offset, len, fin, .. }, Some(slot)) => {
                slot.send.on_lost(offset, len.into(), fin);
                return;
            }
            (Carried::Reset(_), Some(slot)) => {
                slot.send.reset_due = slot.send.state == SendState::Reset;
            }
            (Carried::Stop(_), Some(slot)) => slot.receive.stop_due = slot.receive.wants_stop(),
            (Carried::MaxStreamData(_), Some(slot)) => slot.receive.told_due = true,
            (Carried::MaxData, _) => self.receive_credit.again(),
            (Carried::MaxStreams, _) => self.table.again(),
            _ => return,
        }
        self.control_due = true;
    }
}

/// Writes a stream frame: raw if it fills the packet, with its length otherwise. Returns what was
/// written, which may be less.
fn encode_chunk(
    slot: &mut StreamSlot,
    stream: StreamId,
    mut chunk: Chunk,
    pool: &crate::storage::blocks::Pool,
    writer: &mut Writer<'_>,
    memory: &[u8],
) -> Option<Chunk> {
    let head = stream_head_len(stream, chunk.offset);
    let room = writer.remaining().checked_sub(head)?;
    let raw = chunk.len.saturating_add(SIZE_BYTES) >= room;
    if raw && chunk.len > room {
        chunk.len = room;
        chunk.fin = false;
    }
    let before = writer.len();
    let data_room =
        Frame::encode_stream_head(writer, stream, chunk.offset, chunk.fin, raw, chunk.len).ok()?;
    let copied = slot.send.chain.read(chunk.offset, data_room, pool, memory);
    debug_assert!(copied == chunk.len, "what is to be sent is still held");
    if copied < chunk.len {
        writer.rollback(before);
        return None;
    }
    Some(chunk)
}

fn put(frame: &Frame<'_>, item: Carried, writer: &mut Writer<'_>, cargo: &mut Cargo) -> bool {
    if cargo.is_full() || frame.encode(writer).is_err() {
        return false;
    }
    cargo.push(item).is_ok()
}

/// With less room than this, the next packet is the better place.
const ROOM_MIN: usize = 24;
/// Length of a length, when it is written.
const SIZE_BYTES: usize = 2;
