//! Two rooms of streams joined by a wire of frames that loses, doubles and reorders: against plain
//! byte vectors. And one room against a peer that sends whatever it likes.

use super::Choices;
use crate::sim::oracle;
use ropewalk_core::carried::{Cargo, Carried};
use ropewalk_core::error::{ReadError, WriteError};
use ropewalk_core::id::{Side, StreamId};
use ropewalk_core::stream::{Service, StreamEvent, StreamMemory, StreamSlot, Streams, Violation};
use ropewalk_core::wire::{Frame, Frames, Writer};
use std::collections::BTreeMap;

const BLOCK: usize = 300;
const SLOTS: usize = 4;
const BLOCKS_FIRST: usize = 20;
const BLOCKS_MAX: usize = 160;

/// Plays what `data` says, then delivers everything.
///
/// # Panics
/// When a byte is wrong, credit is exceeded, or something never ends.
pub fn check(data: &[u8]) {
    // spec: 7.3-1
    // spec: 7.5-1
    match data.split_first() {
        Some((first, rest)) if *first >= HOSTILE => hostile(rest),
        _ => honest(data),
    }
}

/// An input that begins with this, or more, plays a peer that keeps no rule.
const HOSTILE: u8 = 0xe0;

/// One side: the room, its memory, and what its application knows.
struct Room {
    streams: Streams,
    slots: Vec<StreamSlot>,
    send: Vec<u8>,
    receive: Vec<u8>,
    /// The streams that it opened.
    written: BTreeMap<StreamId, Outgoing>,
    /// The streams that the peer opened.
    read: BTreeMap<StreamId, Incoming>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outgoing {
    bytes: u64,
    finished: bool,
    /// Given up by us, or because the peer stopped it.
    dropped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Incoming {
    bytes: u64,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Reset,
    Stopped,
}

impl Room {
    fn new(side: Side) -> Self {
        Self {
            streams: Streams::new(side, BLOCK),
            slots: (0..SLOTS).map(|_| StreamSlot::EMPTY).collect(),
            send: vec![0; BLOCK * BLOCKS_FIRST],
            receive: vec![0; BLOCK * BLOCKS_FIRST],
            written: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    fn lend(&mut self) -> (&mut Streams, StreamMemory<'_>) {
        let memory = StreamMemory {
            slots: &mut self.slots,
            send: &mut self.send,
            receive: &mut self.receive,
        };
        (&mut self.streams, memory)
    }

    fn packet(&mut self) -> Option<(Vec<u8>, Cargo)> {
        let mut bytes = vec![0; 400];
        let mut cargo = Cargo::new();
        let mut writer = Writer::new(&mut bytes);
        let (streams, mut memory) = self.lend();
        streams.write_frames(&mut writer, &mut cargo, &mut memory);
        let len = writer.len();
        bytes.truncate(len);
        (len > 0).then_some((bytes, cargo))
    }

    fn take(&mut self, packet: &[u8]) {
        for frame in Frames::new(packet) {
            let frame = frame.expect("we wrote it");
            let (streams, mut memory) = self.lend();
            streams.on_frame(&frame, &["file"], &mut memory).expect("within the rules");
        }
        self.hear();
    }

    fn hear(&mut self) {
        loop {
            let (streams, mut memory) = self.lend();
            let Some(event) = streams.poll_event(&mut memory) else { break };
            match event {
                StreamEvent::Opened { stream, service } => {
                    assert_eq!(service.as_str(), "file");
                    let before = self.read.insert(stream, Incoming::default());
                    assert!(before.is_none(), "{stream:?} is opened twice");
                }
                StreamEvent::Reset { stream, .. } => self.ended(stream, End::Reset),
                StreamEvent::Stopped { stream, .. } => {
                    if let Some(outgoing) = self.written.get_mut(&stream) {
                        outgoing.dropped = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// A stream of the peer's is over; the answer to it is empty.
    fn ended(&mut self, id: StreamId, end: End) {
        let Some(incoming) = self.read.get_mut(&id).filter(|incoming| incoming.end.is_none())
        else {
            return;
        };
        incoming.end = Some(end);
        let (streams, mut memory) = self.lend();
        streams.finish(id, &mut memory).expect("the answer is empty");
    }

    fn readable(&self) -> Vec<StreamId> {
        let open = self.read.iter().filter(|(_, incoming)| incoming.end.is_none());
        open.map(|(id, _)| *id).collect()
    }

    fn read_some(&mut self, max: usize, peeks: bool, theirs: &BTreeMap<StreamId, Outgoing>) {
        for id in self.readable() {
            let result = if peeks { self.peek(id, max) } else { self.copy(id, max) };
            match result {
                Ok(bytes) => {
                    let incoming = self.read.get_mut(&id).expect("readable");
                    for byte in bytes {
                        let offset = incoming.bytes;
                        let pattern = oracle::pattern(u64::from(id.0), offset);
                        assert_eq!(byte, pattern, "{id:?} at {offset}");
                        incoming.bytes += 1;
                    }
                    assert!(incoming.bytes <= theirs[&id].bytes);
                }
                Err(ReadError::Finished) => {
                    let (outgoing, incoming) = (theirs[&id], self.read[&id]);
                    assert!(outgoing.finished, "{id:?} ends by itself");
                    assert_eq!(outgoing.bytes, incoming.bytes, "{id:?} ends elsewhere");
                    self.ended(id, End::Finished);
                }
                Err(ReadError::Reset) => {
                    assert!(theirs[&id].dropped, "{id:?} was not given up");
                    self.ended(id, End::Reset);
                }
                Err(ReadError::Blocked) => {}
                Err(error) => panic!("{id:?}: {error}"),
            }
        }
    }

    fn copy(&mut self, id: StreamId, max: usize) -> Result<Vec<u8>, ReadError> {
        let mut buffer = vec![0; max];
        let (streams, mut memory) = self.lend();
        let len = streams.read(id, &mut buffer, &mut memory)?;
        buffer.truncate(len);
        Ok(buffer)
    }

    fn peek(&mut self, id: StreamId, max: usize) -> Result<Vec<u8>, ReadError> {
        let (streams, memory) = self.lend();
        let bytes: Vec<u8> = streams.peek(id, memory)?.iter().copied().take(max).collect();
        let (streams, mut memory) = self.lend();
        streams.consume(id, bytes.len(), &mut memory);
        Ok(bytes)
    }

    fn stop_some(&mut self, which: usize) {
        if let Some(id) = self.readable().get(which).copied() {
            let (streams, mut memory) = self.lend();
            streams.stop(id, 0x100, &mut memory);
            self.ended(id, End::Stopped);
        }
    }

    fn writable(&self) -> Vec<StreamId> {
        let open = self.written.iter().filter(|(_, it)| !it.finished && !it.dropped);
        open.map(|(id, _)| *id).collect()
    }

    fn write_some(&mut self, which: usize, len: usize, finish: bool) {
        let id = self.writable().get(which).copied().or_else(|| {
            let (streams, mut memory) = self.lend();
            let service = Service::new("file").expect("a name");
            streams.open(&service, &mut memory).ok()
        });
        let Some(id) = id else { return };
        let mut outgoing = self.written.get(&id).copied().unwrap_or_default();
        let mut bytes = vec![0; len];
        oracle::fill(u64::from(id.0), outgoing.bytes, &mut bytes);
        let (streams, mut memory) = self.lend();
        match streams.write(id, &bytes, &mut memory) {
            Ok(taken) => outgoing.bytes += taken as u64,
            Err(WriteError::Blocked) => {}
            Err(error) => panic!("{id:?}: {error}"),
        }
        outgoing.finished = finish && streams.finish(id, &mut memory).is_ok();
        self.written.insert(id, outgoing);
    }

    fn reset_some(&mut self, which: usize) {
        let whole: Vec<_> = self.written.iter().filter(|(_, it)| !it.dropped).collect();
        let Some((id, _)) = whole.get(which).copied() else { return };
        let id = *id;
        let (streams, mut memory) = self.lend();
        streams.reset(id, 0x101, &mut memory);
        self.written.entry(id).and_modify(|outgoing| outgoing.dropped = true);
    }

    fn grow(&mut self) {
        let more = (self.receive.len() * 2).min(BLOCK * BLOCKS_MAX);
        self.receive.resize(more, 0);
        self.send.resize(more, 0);
    }

    fn is_empty(&mut self) -> bool {
        let (streams, memory) = self.lend();
        streams.is_empty(&memory)
    }
}

fn honest(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut rooms = [Room::new(Side::Dialer), Room::new(Side::Responder)];
    for (from, to) in [(0, 1), (1, 0)] {
        let (streams, memory) = rooms[from].lend();
        let credit = streams.credit(&memory);
        rooms[to].streams.on_peer_credit(credit);
    }
    let mut under_way: Vec<(usize, Vec<u8>, Cargo)> = Vec::new();
    while !choices.is_empty() {
        let what = choices.byte();
        let (side, also) = (usize::from(what >> 7), what & 0x40 != 0);
        match what % 13 {
            0 | 1 => rooms[side].write_some(choices.below(4), choices.below(900), also),
            2..=4 => {
                if let Some((packet, cargo)) = rooms[side].packet() {
                    under_way.push((side, packet, cargo));
                }
            }
            5..=7 => settle(&mut rooms, &mut under_way, choices.below(usize::MAX), Fate::Arrives),
            8 => {
                let fate = if also { Fate::LooksLost } else { Fate::Lost };
                settle(&mut rooms, &mut under_way, choices.below(usize::MAX), fate);
            }
            9 | 10 => {
                let len = choices.below(700) + 1;
                let theirs = rooms[1 - side].written.clone();
                rooms[side].read_some(len, also, &theirs);
            }
            11 if also => rooms[side].reset_some(choices.below(8)),
            11 => rooms[side].stop_some(choices.below(8)),
            _ => rooms[side].grow(),
        }
    }
    heal(&mut rooms, &mut under_way);
    carry_on(&mut rooms, &mut under_way);
}

/// After all that, no credit and no room for streams has been lost, nor is it when streams are
/// given up with bytes that nobody read: one more on each side carries several times what the
/// first credit allowed.
fn carry_on(rooms: &mut [Room; 2], under_way: &mut Vec<(usize, Vec<u8>, Cargo)>) {
    for side in 0..2 {
        for round in 0..GIVEN_UP {
            rooms[side].write_some(0, 900, false);
            deliver(side, rooms, under_way);
            if round % 2 == 0 {
                let last = rooms[side].written.values().filter(|it| !it.dropped).count() - 1;
                rooms[side].reset_some(last);
            } else {
                rooms[1 - side].stop_some(0);
            }
            heal(rooms, under_way);
        }
        let before = rooms[side].written.len();
        for _ in 0..40 {
            rooms[side].write_some(0, 1_000, false);
            exchange(side, rooms, under_way);
            exchange(1 - side, rooms, under_way);
        }
        assert_eq!(rooms[side].written.len(), before + 1, "one more stream");
        let last = rooms[side].written.values().next_back().expect("just opened");
        assert!(last.bytes > LAST_BYTES, "{last:?} is stuck");
        heal(rooms, under_way);
    }
}

/// Enough to use up the first credit, if it did not come back.
const GIVEN_UP: usize = 8;
/// Several times the memory that there is at first.
const LAST_BYTES: u64 = 30_000;

/// What one side has to send arrives, and the other reads it.
fn exchange(side: usize, rooms: &mut [Room; 2], under_way: &mut Vec<(usize, Vec<u8>, Cargo)>) {
    deliver(side, rooms, under_way);
    let theirs = rooms[side].written.clone();
    rooms[1 - side].read_some(10_000, false, &theirs);
}

fn deliver(side: usize, rooms: &mut [Room; 2], under_way: &mut Vec<(usize, Vec<u8>, Cargo)>) {
    while let Some((packet, cargo)) = rooms[side].packet() {
        under_way.push((side, packet, cargo));
    }
    while !under_way.is_empty() {
        settle(rooms, under_way, 0, Fate::Arrives);
    }
}

enum Fate {
    Arrives,
    Lost,
    /// It arrives, but the sender is told that it did not.
    LooksLost,
}

fn settle(
    rooms: &mut [Room; 2],
    under_way: &mut Vec<(usize, Vec<u8>, Cargo)>,
    at: usize,
    fate: Fate,
) {
    let Some(place) = at.checked_rem(under_way.len()) else { return };
    let (from, packet, cargo) = under_way.swap_remove(place);
    if !matches!(fate, Fate::Lost) {
        rooms[1 - from].take(&packet);
    }
    let (streams, mut memory) = rooms[from].lend();
    for item in &cargo {
        let item: Carried = *item;
        if matches!(fate, Fate::Arrives) {
            streams.on_acked(item, &mut memory);
        } else {
            streams.on_lost(item, &mut memory);
        }
    }
    rooms[from].hear();
}

/// Everything is finished, sent, delivered and read; then all memory is free again.
fn heal(rooms: &mut [Room; 2], under_way: &mut Vec<(usize, Vec<u8>, Cargo)>) {
    for _ in 0..2_000 {
        for side in 0..2 {
            for id in rooms[side].writable() {
                let (streams, mut memory) = rooms[side].lend();
                if streams.finish(id, &mut memory).is_ok() {
                    rooms[side].written.entry(id).and_modify(|outgoing| outgoing.finished = true);
                }
            }
            exchange(side, rooms, under_way);
            // Whoever opened a stream reads the empty answer to its end.
            let own: Vec<_> = rooms[side].written.keys().copied().collect();
            for id in own {
                let (streams, mut memory) = rooms[side].lend();
                let _ = streams.read(id, &mut [0; 1], &mut memory);
            }
        }
        let ended = |side: usize| {
            let read = &rooms[1 - side].read;
            rooms[side].written.iter().all(|(id, outgoing)| {
                let end = read.get(id).and_then(|incoming| incoming.end);
                // What was given up may never have been heard of.
                end.is_some() || outgoing.dropped
            })
        };
        if ended(0) && ended(1) && rooms.iter_mut().all(Room::is_empty) {
            // The word of the room that this made is still to be said.
            deliver(0, rooms, under_way);
            deliver(1, rooms, under_way);
            return;
        }
    }
    panic!("not everything ends: {:?} {:?}", rooms[0].written, rooms[1].written);
}

/// Whatever frames come, nothing breaks, and credit has paid for all the memory that they take.
fn hostile(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut room = Room::new(Side::Responder);
    let (streams, memory) = room.lend();
    let credit = streams.credit(&memory);
    streams.on_peer_credit(credit);
    while !choices.is_empty() {
        let what = choices.byte();
        let id = StreamId(u32::from(choices.byte()) % (SLOTS as u32 * 4));
        let (streams, mut memory) = room.lend();
        match what % 9 {
            0 => {
                let service = Service::new("file").expect("a name");
                let _ = streams.open(&service, &mut memory);
            }
            1 => {
                let _ = streams.write(id, &vec![0; choices.below(900)], &mut memory);
            }
            2 => {
                let _ = streams.read(id, &mut vec![0; choices.below(900)], &mut memory);
            }
            3 => streams.stop(id, 0x100, &mut memory),
            4 => {
                let _ = streams.finish(id, &mut memory);
            }
            5 => {
                let (_, cargo) = room.packet().unwrap_or_default();
                for item in &cargo {
                    let (streams, mut memory) = room.lend();
                    if what & 0x80 == 0 {
                        streams.on_acked(*item, &mut memory);
                    } else {
                        streams.on_lost(*item, &mut memory);
                    }
                }
            }
            6 if what & 0x80 != 0 => room.grow(),
            _ => {
                let frame = any_frame(id, &mut choices);
                let result = streams.on_frame(&frame, &["file"], &mut memory);
                assert_ne!(result, Err(Violation::NoRoom), "{frame:?}");
            }
        }
        let (streams, mut memory) = room.lend();
        while streams.poll_event(&mut memory).is_some() {}
    }
    let (streams, mut memory) = room.lend();
    streams.clear(Side::Responder, &mut memory);
    assert!(streams.is_empty(&memory));
}

fn any_frame<'d>(stream: StreamId, choices: &mut Choices<'d>) -> Frame<'d> {
    let kind = choices.byte();
    // Most offsets within credit, some at its edge, some far beyond.
    let number = match kind >> 6 {
        0 | 1 => choices.below(40) as u64,
        2 => choices.below(BLOCK * 12) as u64,
        _ => u64::MAX >> choices.below(64),
    };
    let code = u32::from(kind);
    match kind % 12 {
        0 => Frame::MaxData { bytes: number },
        1 => Frame::MaxStreamData { stream, bytes: number },
        2 => Frame::MaxStreams { count: u32::try_from(number).unwrap_or(u32::MAX) },
        3 => Frame::Reset { stream, code, final_offset: number },
        4 => Frame::Stop { stream, code },
        5 => Frame::StreamSized { stream, offset: 0, fin: false, data: b"\x04file" },
        kind => {
            let data = choices.take(number as usize % 97);
            Frame::Stream { stream, offset: number, fin: kind == 6, data }
        }
    }
}
