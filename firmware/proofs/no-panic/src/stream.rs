//! Rank 2: streams in a table and in memory that may hold anything.

use crate::opaque::{Bytes, any, see};
use ropewalk_core::carried::{Cargo, Carried};
use ropewalk_core::id::{PathId, Side, StreamId};
use ropewalk_core::stream::{Datagrams, Service, StreamMemory, StreamSlot, Streams};
use ropewalk_core::wire::{Credit, Frames, Writer};

#[inline(never)]
pub(crate) fn all() {
    let mut slots = any([StreamSlot::EMPTY; 2]);
    let (mut send, mut receive) = (Bytes::<512>::new(), Bytes::<512>::new());
    let mut memory =
        StreamMemory { slots: any(&mut slots), send: send.any(), receive: receive.any() };
    let mut streams = any(Streams::new(any(Side::Dialer), any(76)));
    see(streams.credit(&memory));
    any(&mut streams).on_peer_credit(any(Credit { data: 0, stream_data: 0, streams: 0 }));
    application(&mut streams, &mut memory);
    packets(&mut streams, &mut memory);
    let again = StreamMemory {
        slots: any(&mut *memory.slots),
        send: any(&mut *memory.send),
        receive: any(&mut *memory.receive),
    };
    see(any(&mut streams).peek(StreamId(any(0)), again).is_ok());
    any(&mut streams).clear(any(Side::Responder), &mut memory);
    messages();
}

fn application(streams: &mut Streams, memory: &mut StreamMemory<'_>) {
    let mut bytes = Bytes::<64>::new();
    let id = || StreamId(any(0));
    if let Some(service) = Service::new(any("file")) {
        see(service.as_str());
        see(any(&mut *streams).open(&service, memory).is_ok());
    }
    see(any(&mut *streams).write(id(), bytes.any(), memory).is_ok());
    see(any(&mut *streams).finish(id(), memory).is_ok());
    see(any(&mut *streams).read(id(), bytes.any(), memory).is_ok());
    any(&mut *streams).consume(id(), any(0), memory);
    any(&mut *streams).stop(id(), any(0), memory);
    any(&mut *streams).reset(id(), any(0), memory);
    see(any(&mut *streams).poll_event(memory));
    let streams = any(&*streams);
    see((streams.wants_memory(memory), streams.waiting(memory)));
}

fn packets(streams: &mut Streams, memory: &mut StreamMemory<'_>) {
    let mut bytes = Bytes::<64>::new();
    for frame in Frames::new(bytes.any()) {
        if let Ok(frame) = any(frame) {
            see(any(&mut *streams).on_frame(&frame, any(&["file"]), memory).is_ok());
        }
    }
    let mut cargo = any(Cargo::new());
    let mut writer = any(Writer::new(bytes.any()));
    see(any(&mut *streams).write_frames(&mut writer, &mut cargo, memory));
    let (lane, again) = (any(0), any(false));
    see(any(&mut *streams).write_lane(lane, again, &mut writer, &mut cargo, memory));
    see(any(&mut *streams).lanes_waiting(memory));
    any(&mut *streams).clear_lane(any(0), memory);
    any(&mut *streams).on_acked(any(Carried::MaxData), memory);
    any(&mut *streams).on_lost(any(Carried::MaxData), memory);
    see(any(&*streams).wants_again(any(Carried::MaxData), memory));
    see(any(&mut *streams).on_again(any(Carried::MaxData), memory));
}

fn messages() {
    let (mut ring, mut bytes) = (Bytes::<64>::new(), Bytes::<64>::new());
    let mut datagrams = any(Datagrams::new());
    see(datagrams.send(bytes.any(), ring.any()));
    see(any(&mut datagrams).receive(bytes.any(), PathId(any(0)), ring.any()));
    see(any(&mut datagrams).read(bytes.any(), ring.any()));
    see(any(&mut datagrams).write(&mut Writer::new(bytes.any()), any(true), ring.any()));
    see(datagrams.waiting());
}
