//! Two rooms of streams side by side, each frame of one handed to the other.

use super::*;
use crate::carried::Cargo;
use crate::wire::{Frames, Writer};
use std::vec;
use std::vec::Vec;

/// Blocks with 64 bytes of data.
const STRIDE: usize = 4 + 8 + 64;
const SLOTS: usize = 4;
const FILE: &[&str] = &["file"];

struct Room {
    streams: Streams,
    slots: Vec<StreamSlot>,
    send: Vec<u8>,
    receive: Vec<u8>,
}

impl Room {
    fn new(side: Side, slots: usize, blocks: usize) -> Self {
        Self {
            streams: Streams::new(side, STRIDE),
            slots: vec![StreamSlot::EMPTY; slots],
            send: vec![0; STRIDE * blocks],
            receive: vec![0; STRIDE * blocks],
        }
    }

    /// Runs `act` with the memory lent.
    fn with<T>(&mut self, act: impl FnOnce(&mut Streams, &mut StreamMemory<'_>) -> T) -> T {
        let mut memory = StreamMemory {
            slots: &mut self.slots,
            send: &mut self.send,
            receive: &mut self.receive,
        };
        act(&mut self.streams, &mut memory)
    }

    fn open(&mut self) -> StreamId {
        let service = Service::new("file").unwrap();
        self.with(|s, m| s.open(&service, m)).unwrap()
    }

    fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.with(|s, m| s.write(id, data, m))
    }

    fn read(&mut self, id: StreamId, into: &mut [u8]) -> Result<usize, ReadError> {
        self.with(|s, m| s.read(id, into, m))
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        self.with(|s, m| s.on_frame(frame, FILE, m))
    }

    fn events(&mut self) -> Vec<StreamEvent> {
        core::iter::from_fn(|| self.with(Streams::poll_event)).collect()
    }

    /// The next packet of at most `len` bytes.
    fn packet(&mut self, len: usize) -> Option<(Vec<u8>, Cargo)> {
        let mut bytes = vec![0; len];
        let mut cargo = Cargo::new();
        let mut writer = Writer::new(&mut bytes);
        self.with(|s, m| s.write_frames(&mut writer, &mut cargo, m));
        let len = writer.len();
        bytes.truncate(len);
        (len > 0).then_some((bytes, cargo))
    }

    fn deliver(&mut self, packet: &[u8]) {
        for frame in Frames::new(packet) {
            self.take(&frame.unwrap()).unwrap();
        }
    }

    fn acked(&mut self, cargo: &Cargo) {
        for item in cargo {
            self.with(|s, m| s.on_acked(*item, m));
        }
    }

    fn is_empty(&mut self) -> bool {
        self.with(|s, m| s.is_empty(m))
    }
}

/// Both sides, with credit exchanged.
fn pair(slots: usize, blocks: usize) -> [Room; 2] {
    let mut rooms = [Side::Dialer, Side::Responder].map(|side| Room::new(side, slots, blocks));
    for from in 0..2 {
        let credit = rooms[from].with(|s, m| s.credit(m));
        rooms[1 - from].streams.on_peer_credit(credit);
    }
    rooms
}

/// Delivers and acknowledges everything that both sides have to send.
fn exchange(rooms: &mut [Room; 2]) {
    let mut idle = 0;
    for from in [0, 1].into_iter().cycle() {
        idle += 1;
        while let Some((packet, cargo)) = rooms[from].packet(300) {
            rooms[1 - from].deliver(&packet);
            rooms[from].acked(&cargo);
            idle = 0;
        }
        if idle == 2 {
            return;
        }
    }
}

/// Writes and reads `total` bytes on `id`; returns how many came out.
fn pump(rooms: &mut [Room; 2], id: StreamId, total: usize) -> usize {
    let (mut written, mut read) = (0, 0);
    for _ in 0..1_000 {
        if written < total {
            written += rooms[0].write(id, &vec![7; total - written]).unwrap_or(0);
        }
        exchange(rooms);
        let mut buffer = [0; 1_000];
        read += rooms[1].read(id, &mut buffer).unwrap_or(0);
    }
    read
}

#[test]
fn a_stream_that_nobody_reads_does_not_starve_the_others() {
    let mut rooms = pair(SLOTS, 60);
    let (lazy, busy) = (rooms[0].open(), rooms[0].open());
    for _ in 0..100 {
        let _ = rooms[0].write(lazy, &[1; 500]);
        exchange(&mut rooms);
    }
    assert_eq!(pump(&mut rooms, busy, 20_000), 20_000);
}

#[test]
fn a_stream_opened_after_the_memory_grew_can_use_it() {
    let mut rooms = pair(SLOTS, 20);
    for room in &mut rooms {
        room.send.resize(STRIDE * 400, 0);
        room.receive.resize(STRIDE * 400, 0);
    }
    let first = rooms[0].open();
    assert_eq!(pump(&mut rooms, first, 20_000), 20_000);
    let second = rooms[0].open();
    assert_eq!(pump(&mut rooms, second, 20_000), 20_000);
}

#[test]
fn memory_that_was_added_is_offered_without_being_asked_for() {
    let mut rooms = pair(SLOTS, 20);
    let id = rooms[0].open();
    exchange(&mut rooms);
    let before = rooms[0].streams.send_credit.left();
    rooms[1].receive.resize(STRIDE * 200, 0);
    assert!(rooms[1].with(|s, m| s.waiting(m)).control);
    exchange(&mut rooms);
    assert!(rooms[0].streams.send_credit.left() > before * 4);
    rooms[0].send.resize(STRIDE * 200, 0);
    assert_eq!(rooms[0].write(id, &[0; 5_000]), Ok(5_000));
    exchange(&mut rooms);
    let mut into = [0; 6_000];
    assert_eq!(rooms[1].read(id, &mut into), Ok(5_000), "the stream's own credit grew too");
}

#[test]
fn streams_take_turns_whatever_slots_they_have() {
    let mut rooms = pair(16, 200);
    let ids = [rooms[0].open(), rooms[0].open(), rooms[0].open()];
    for id in ids {
        rooms[0].write(id, &[0; 1_500]).unwrap();
    }
    let mut share = [0_usize; 3];
    for _ in 0..9 {
        let (_, cargo) = rooms[0].packet(100).unwrap();
        for item in &cargo {
            if let crate::carried::Carried::Stream { stream, len, .. } = item {
                let who = ids.iter().position(|id| id == stream).unwrap();
                share[who] += usize::from(*len);
            }
        }
    }
    let least = share.iter().min().unwrap();
    assert!(least * 2 > *share.iter().max().unwrap(), "{share:?}");
}

#[test]
fn an_end_that_is_peeked_at_frees_the_stream() {
    let mut rooms = pair(SLOTS, 40);
    let id = rooms[0].open();
    rooms[0].write(id, b"abc").unwrap();
    rooms[0].with(|s, m| s.finish(id, m)).unwrap();
    exchange(&mut rooms);
    rooms[1].with(|s, m| s.finish(id, m)).unwrap();
    exchange(&mut rooms);
    rooms[0].events();
    rooms[1].events();
    for room in [1, 0] {
        let room = &mut rooms[room];
        loop {
            let memory = StreamMemory {
                slots: &mut room.slots,
                send: &mut room.send,
                receive: &mut room.receive,
            };
            match room.streams.peek(id, memory).map(<[u8]>::len) {
                Ok(len) => room.with(|s, m| s.consume(id, len, m)),
                Err(error) => break assert_eq!(error, ReadError::Finished),
            }
        }
    }
    exchange(&mut rooms);
    assert!(rooms[1].is_empty());
    assert!(rooms[0].is_empty());
}

#[test]
fn a_reset_stream_never_looks_finished() {
    let mut rooms = pair(SLOTS, 40);
    let id = rooms[0].open();
    rooms[0].write(id, b"half of it").unwrap();
    exchange(&mut rooms);
    rooms[1].events();
    rooms[0].with(|s, m| s.reset(id, 77, m));
    exchange(&mut rooms);
    assert_eq!(rooms[1].events(), [StreamEvent::Reset { stream: id, code: 77 }]);
    assert_eq!(rooms[1].read(id, &mut [0; 10]), Err(ReadError::Reset));
    assert_eq!(rooms[1].read(id, &mut [0; 10]), Err(ReadError::Reset), "and it stays so");
}

#[test]
fn a_stream_without_a_name_is_refused() {
    for data in [&b""[..], b"\x00rest", b"\x05fi", b"\x04nope", b"\x21", b"\x02\xff\xff"] {
        let mut rooms = pair(SLOTS, 40);
        let stream = StreamId(0);
        rooms[1].take(&Frame::Stream { stream, offset: 0, fin: true, data }).unwrap();
        assert_eq!(rooms[1].events(), [], "{data:?}");
        let (packet, cargo) = rooms[1].packet(300).unwrap();
        let reset = Frame::Reset { stream, code: code::UNKNOWN_SERVICE, final_offset: 0 };
        assert!(Frames::new(&packet).any(|frame| frame == Ok(reset.clone())), "{data:?}");
        rooms[1].acked(&cargo);
        assert!(rooms[1].is_empty(), "{data:?}");
    }
}

#[test]
fn the_opener_of_a_refused_stream_hears_why() {
    let mut rooms = pair(SLOTS, 40);
    let service = Service::new("nope").unwrap();
    let id = rooms[0].with(|s, m| s.open(&service, m)).unwrap();
    exchange(&mut rooms);
    assert_eq!(rooms[1].events(), []);
    let code = code::UNKNOWN_SERVICE;
    let events = rooms[0].events();
    assert!(events.contains(&StreamEvent::Stopped { stream: id, code }), "{events:?}");
    assert!(events.contains(&StreamEvent::Reset { stream: id, code }), "{events:?}");
    exchange(&mut rooms);
    assert!(rooms.iter_mut().all(Room::is_empty));
}

#[test]
fn a_blocked_writer_hears_of_memory_from_wherever_it_comes() {
    type Change = fn(&mut [Room; 2], StreamId);
    let reset: Change = |rooms, other| rooms[0].with(|s, m| s.reset(other, 1, m));
    let stop: Change = |rooms, stream| rooms[0].take(&Frame::Stop { stream, code: 1 }).unwrap();
    let grow: Change = |rooms, _| rooms[0].send.resize(STRIDE * 40, 0);
    for (what, change) in [("reset", reset), ("stop", stop), ("grow", grow)] {
        let mut rooms = pair(SLOTS, 12);
        let (one, other) = (rooms[0].open(), rooms[0].open());
        while rooms[0].write(other, &[0; 64]).is_ok() {}
        while rooms[0].write(one, &[0; 64]).is_ok() {}
        rooms[0].events();
        change(&mut rooms, other);
        let events = rooms[0].events();
        assert!(events.contains(&StreamEvent::Writable(one)), "{what}: {events:?}");
        assert!(rooms[0].write(one, &[0; 16]).is_ok(), "{what}");
    }
}

#[test]
fn what_waits_to_be_sent_has_a_limit() {
    let limit = usize::try_from(UNSENT_MAX).unwrap();
    let mut rooms = pair(SLOTS, 2 * limit / 64);
    let stream = rooms[0].open();
    // The service's name waits as well.
    assert_eq!(rooms[0].write(stream, &vec![0; limit + 1]), Ok(limit - 1 - FILE[0].len()));
    assert_eq!(rooms[0].write(stream, b"x"), Err(WriteError::Blocked));
    let mut sent = 0;
    while !rooms[0].events().contains(&StreamEvent::Writable(stream)) {
        assert!(sent < limit);
        sent += rooms[0].packet(1_400).unwrap().0.len();
    }
    assert!(sent > limit / 2);
    assert!(rooms[0].write(stream, &vec![0; limit]).unwrap() >= limit / 2);
}

#[test]
fn what_breaks_the_rules_is_a_violation() {
    let data = |stream, offset, data, fin| Frame::Stream { stream, offset, fin, data };
    let good = data(StreamId(0), 0, b"\x04file1234", false);
    let cases = [
        ("a stream of ours that we never opened", data(StreamId(1), 0, b"x", false)),
        ("more streams than were offered", data(StreamId(2 * SLOTS as u32), 0, b"x", false)),
        ("data beyond the stream's credit", data(StreamId(0), 60 * 64, b"x", false)),
        ("an end before data that came", data(StreamId(0), 0, b"x", true)),
        (
            "a reset before data that came",
            Frame::Reset { stream: StreamId(0), code: 0, final_offset: 3 },
        ),
        (
            "a reset beyond credit",
            Frame::Reset { stream: StreamId(0), code: 0, final_offset: 1 << 40 },
        ),
        ("stopping what we never opened", Frame::Stop { stream: StreamId(1), code: 0 }),
        ("credit for what we never opened", Frame::MaxStreamData { stream: StreamId(1), bytes: 1 }),
    ];
    for (what, frame) in cases {
        let [_, mut room] = pair(SLOTS, 40);
        room.take(&good).unwrap();
        assert_eq!(room.take(&frame), Err(Violation::Protocol), "{what}");
    }
    let [_, mut room] = pair(SLOTS, 40);
    room.take(&data(StreamId(0), 0, b"\x04file1234", true)).unwrap();
    for (what, frame) in [
        ("data beyond the end", data(StreamId(0), 9, b"x", false)),
        ("another end", data(StreamId(0), 9, b"x", true)),
        ("an end moved back", data(StreamId(0), 0, b"\x04file", true)),
    ] {
        assert_eq!(room.take(&frame), Err(Violation::Protocol), "{what}");
    }
}
