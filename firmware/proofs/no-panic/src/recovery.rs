//! Rank 2: loss recovery with a table of sent packets whose links may say anything.

use crate::opaque::{Bytes, any, now, see};
use ropewalk_core::carried::Cargo;
use ropewalk_core::id::PathId;
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::recovery::{Acks, Recovery, Sent, SentKind, SentSlot, SentTable};
use ropewalk_core::time::Duration;
use ropewalk_core::wire::{Frame, Frames, Writer};

#[inline(never)]
pub(crate) fn all() {
    path();
    acknowledgements();
}

fn path() {
    let mut table = any(SentTable::new());
    let mut slots = any([SentSlot::EMPTY; 16]);
    see(table.room(any(&slots)));
    let mut sent = Sent { table: any(&mut table), slots: any(&mut slots) };
    let mut recovery = any(Recovery::new(any(1_200), now()));
    looks(any(&recovery));

    let cargo = any(Cargo::new());
    let kind = any(SentKind::Data);
    see(any(&mut recovery).on_sent(any(0), kind, &cargo, any(true), now(), &mut sent));
    let mut bytes = Bytes::<64>::new();
    let held = Duration::from_micros(any(0));
    for frame in Frames::new(bytes.any()) {
        if let Ok(Frame::Ack(ack)) = any(frame) {
            let each = &mut |fate, item| see((fate, item));
            see(any(&mut recovery).on_ack(&ack, held, now(), &mut sent, each));
            let each = &mut |fate, item| see((fate, item));
            see(any(&mut recovery).on_ack_elsewhere(&ack, now(), &mut sent, each));
        }
    }
    let each = &mut |fate, item| see((fate, item));
    see(any(&mut recovery).on_timeout(now(), &mut sent, each));
    any(&mut recovery).for_each_in_flight(&mut sent, &mut |item| see(item));
    any(&mut recovery).on_resumed(Duration::from_micros(any(0)), now());
    any(&mut recovery).on_moved(now());
    any(&mut recovery).set_datagram_bytes(any(0));
    any(&mut recovery).forget_long_losses();
    see(recovery.long_losses());
    any(&mut recovery).drop_all(&mut sent, &mut |item| see(item));
    any(&mut recovery).set_line_rate(any(Some(11_520)));
    see(any(&recovery).time_on_line());
    looks(any(&recovery));
    let mut leftover = any(recovery).leave(&mut sent, &mut |item| see(item));
    if let Some(Ok(Frame::Ack(ack))) = any(Frames::new(bytes.any()).next()) {
        see(any(&mut leftover).on_ack(&ack, &mut sent, &mut |item| see(item)));
    }
    see(any(&leftover).is_empty());
    any(&mut leftover).clear(&mut sent);
}

fn looks(recovery: &Recovery) {
    see((recovery.next_number(), recovery.largest_acked(), recovery.window()));
    see((recovery.in_flight(), recovery.rate(), recovery.stats, recovery.last_newly_acked()));
    see((recovery.oldest_unacked_sent_at(), recovery.last_eliciting_sent(), recovery.waiting()));
    see((recovery.allowance(now()), recovery.timeout(), recovery.probe_timeout()));
    let rtt = &recovery.rtt;
    see((rtt.latest(), rtt.smoothed(), rtt.variation(), rtt.min(), rtt.is_sampled()));
}

fn acknowledgements() {
    let mut bytes = Bytes::<64>::new();
    let mut acks = any(Acks::new(Duration::from_micros(any(0))));
    acks.on_packet(PacketNumber(any(0)), any(true), now());
    let acks = any(&mut acks);
    see((acks.deadline(), acks.due(now()), acks.pending()));
    see(acks.write(PathId(any(0)), &mut Writer::new(bytes.any()), now()));
    any(&mut *acks).on_ack_of_ack(any(0));
}
