//! Two rooms of streams joined by a wire of frames that loses, doubles and reorders: against plain
//! byte vectors.

use super::Choices;
use crate::sim::oracle;
use ropewalk_core::carried::{Cargo, Carried};
use ropewalk_core::error::{ReadError, WriteError};
use ropewalk_core::id::{Side, StreamId};
use ropewalk_core::stream::{Service, StreamEvent, StreamMemory, StreamSlot, Streams};
use ropewalk_core::wire::{Frames, Writer};
use std::collections::BTreeMap;

const BLOCK: usize = 300;
const SLOTS: usize = 4;

/// One side: the room, its memory, and what its application knows.
struct Room {
    streams: Streams,
    slots: Vec<StreamSlot>,
    send: Vec<u8>,
    receive: Vec<u8>,
    written: BTreeMap<StreamId, (u64, bool)>,
    read: BTreeMap<StreamId, (u64, bool)>,
}

impl Room {
    fn new(side: Side) -> Self {
        Self {
            streams: Streams::new(side, BLOCK),
            slots: (0..SLOTS).map(|_| StreamSlot::EMPTY).collect(),
            send: vec![0; BLOCK * 20],
            receive: vec![0; BLOCK * 20],
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
            if let StreamEvent::Opened { stream, service } = event {
                assert_eq!(service.as_str(), "file");
                self.read.insert(stream, (0, false));
            }
        }
    }

    fn read_some(&mut self, max: usize, theirs: &BTreeMap<StreamId, (u64, bool)>) {
        let mut buffer = vec![0; max];
        let ids: Vec<_> = self.read.keys().copied().collect();
        for id in ids {
            let (mut read, ended) = self.read[&id];
            if ended {
                continue;
            }
            let (streams, mut memory) = self.lend();
            match streams.read(id, &mut buffer, &mut memory) {
                Ok(len) => {
                    for byte in &buffer[..len] {
                        assert_eq!(
                            *byte,
                            oracle::pattern(u64::from(id.0), read),
                            "{id:?} at {read}"
                        );
                        read += 1;
                    }
                    self.read.insert(id, (read, false));
                }
                Err(ReadError::Finished) => {
                    assert_eq!(theirs[&id], (read, true), "{id:?} ends elsewhere");
                    let (streams, mut memory) = self.lend();
                    streams.finish(id, &mut memory).expect("the answer is empty");
                    self.read.insert(id, (read, true));
                }
                Err(ReadError::Blocked) => {}
                Err(error) => panic!("{id:?}: {error}"),
            }
        }
    }

    fn write_some(&mut self, which: usize, len: usize, finish: bool) {
        let open: Vec<_> =
            self.written.iter().filter(|(_, (_, done))| !done).map(|(id, _)| *id).collect();
        let id = open.get(which).copied().or_else(|| {
            let (streams, mut memory) = self.lend();
            let service = Service::new("file").expect("a name");
            streams.open(&service, &mut memory).ok()
        });
        let Some(id) = id else { return };
        let (mut written, _) = self.written.get(&id).copied().unwrap_or_default();
        let mut bytes = vec![0; len];
        oracle::fill(u64::from(id.0), written, &mut bytes);
        let (streams, mut memory) = self.lend();
        match streams.write(id, &bytes, &mut memory) {
            Ok(taken) => written += taken as u64,
            Err(WriteError::Blocked) => {}
            Err(error) => panic!("{id:?}: {error}"),
        }
        let done = finish && streams.finish(id, &mut memory).is_ok();
        self.written.insert(id, (written, done));
    }
}

/// Plays what `data` says, then delivers everything.
///
/// # Panics
/// When a byte is wrong, credit is exceeded, or something never ends.
pub fn check(data: &[u8]) {
    // spec: 7.3-1
    // spec: 7.5-1
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
        let side = usize::from(what >> 7);
        match what % 6 {
            0 => rooms[side].write_some(choices.below(4), choices.below(900), what & 0x40 != 0),
            1 => {
                if let Some((packet, cargo)) = rooms[side].packet() {
                    under_way.push((side, packet, cargo));
                }
            }
            2 | 3 => settle(&mut rooms, &mut under_way, choices.below(usize::MAX), Fate::Arrives),
            4 => {
                let fate = if what & 0x40 == 0 { Fate::Lost } else { Fate::LooksLost };
                settle(&mut rooms, &mut under_way, choices.below(usize::MAX), fate);
            }
            _ => {
                let len = choices.below(700) + 1;
                let theirs = rooms[1 - side].written.clone();
                rooms[side].read_some(len, &theirs);
                if what & 0x40 != 0 && rooms[side].receive.len() < BLOCK * 60 {
                    let more = rooms[side].receive.len() + BLOCK * 3;
                    rooms[side].receive.resize(more, 0);
                    rooms[side].send.resize(more, 0);
                }
            }
        }
    }
    heal(&mut rooms, &mut under_way);
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
            let open: Vec<_> = rooms[side]
                .written
                .iter()
                .filter(|(_, (_, done))| !done)
                .map(|(id, _)| *id)
                .collect();
            for id in open {
                let (streams, mut memory) = rooms[side].lend();
                if streams.finish(id, &mut memory).is_ok() {
                    rooms[side].written.entry(id).and_modify(|entry| entry.1 = true);
                }
            }
            while let Some((packet, cargo)) = rooms[side].packet() {
                under_way.push((side, packet, cargo));
            }
            while !under_way.is_empty() {
                settle(rooms, under_way, 0, Fate::Arrives);
            }
            // Whoever opened a stream reads the empty answer to its end.
            let own: Vec<_> = rooms[side].written.keys().copied().collect();
            for id in own {
                let (streams, mut memory) = rooms[side].lend();
                let _ = streams.read(id, &mut [0; 1], &mut memory);
            }
            let theirs = rooms[1 - side].written.clone();
            rooms[side].read_some(10_000, &theirs);
        }
        let free = rooms.iter_mut().all(|room| {
            let (streams, memory) = room.lend();
            streams.is_empty(&memory)
        });
        let ended = |side: usize| {
            let read = &rooms[1 - side].read;
            rooms[side].written.keys().all(|id| read.get(id).is_some_and(|(_, ended)| *ended))
        };
        if ended(0) && ended(1) && free {
            return;
        }
    }
    panic!("not everything ends: {:?} {:?}", rooms[0].written, rooms[1].written);
}
