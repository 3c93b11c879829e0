//! Whatever a peer acknowledges, and in whatever order things happen: every item's fate is told
//! exactly once, and what is in flight is what the table holds.

use crate::carried::Carried;
use crate::id::PathId;
use crate::recovery::{Fate, Recovery, Sent, SentKind, SentSlot, SentTable, TimeoutAction};
use crate::time::{Duration, Instant};
use crate::wire::{Frame, Frames, Writer, encode_ack};
use core::ops::RangeInclusive;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Send {
        path: usize,
        bytes: u16,
        kind: u8,
        app_limited: bool,
    },
    /// Gaps and lengths down from `top`, which may lie beyond what was sent.
    Ack {
        path: usize,
        below_next: i64,
        steps: Vec<(u8, u8)>,
        delay: u32,
        elsewhere: bool,
    },
    Wait {
        micros: u64,
    },
    TimeOut {
        path: usize,
    },
    Offer {
        path: usize,
    },
    Resume {
        path: usize,
        millis: u64,
    },
    Drop {
        path: usize,
    },
    Datagram {
        path: usize,
        bytes: u16,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let path = || 0_usize..2;
    prop_oneof![
        12 => (path(), any::<u16>(), 0_u8..8, any::<bool>())
            .prop_map(|(path, bytes, kind, app_limited)| Op::Send { path, bytes, kind, app_limited }),
        8 => (path(), -3_i64..40, prop::collection::vec((0_u8..4, 0_u8..6), 1..12), any::<u32>(), any::<bool>())
            .prop_map(|(path, below_next, steps, delay, elsewhere)| Op::Ack { path, below_next, steps, delay, elsewhere }),
        4 => prop_oneof![0_u64..50_000, any::<u64>().prop_map(|wait| wait >> 20)].prop_map(|micros| Op::Wait { micros }),
        4 => path().prop_map(|path| Op::TimeOut { path }),
        1 => path().prop_map(|path| Op::Offer { path }),
        1 => (path(), 0_u64..5_000).prop_map(|(path, millis)| Op::Resume { path, millis }),
        1 => path().prop_map(|path| Op::Drop { path }),
        1 => (path(), any::<u16>()).prop_map(|(path, bytes)| Op::Datagram { path, bytes }),
    ]
}

/// What one path should be like.
#[derive(Default)]
struct Model {
    next: u64,
    /// Items whose fate is open, with their packet's number.
    open: BTreeMap<u32, u64>,
    offered: BTreeSet<u32>,
}

struct Pair {
    now: Instant,
    paths: [Recovery; 2],
    models: [Model; 2],
    table: SentTable,
    slots: Vec<SentSlot>,
    item: u32,
}

impl Pair {
    fn new(slots: usize) -> Self {
        let now = Instant::from_micros(1);
        Self {
            now,
            paths: [Recovery::new(1_200, now), Recovery::new(500, now)],
            models: Default::default(),
            table: SentTable::new(),
            slots: std::vec![SentSlot::EMPTY; slots],
            item: 0,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Send { path, bytes, kind, app_limited } => {
                self.send(path, bytes, kind, app_limited)
            }
            Op::Ack { path, below_next, steps, delay, elsewhere } => {
                let top = (self.models[path].next as i64 - below_next).max(0) as u64;
                self.ack(path, &ranges(top, &steps), delay, elsewhere);
            }
            Op::Wait { micros } => self.now += Duration::from_micros(micros),
            Op::TimeOut { path } => self.time_out(path),
            Op::Offer { path } => self.offer(path),
            Op::Resume { path, millis } => {
                self.paths[path].on_resumed(Duration::from_millis(millis), self.now);
            }
            Op::Drop { path } => self.drop_all(path),
            Op::Datagram { path, bytes } => self.paths[path].set_datagram_bytes(bytes),
        }
    }

    fn send(&mut self, path: usize, bytes: u16, kind: u8, app_limited: bool) {
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let kind = match kind {
            0 => SentKind::AckOnly,
            1 => SentKind::Probe,
            _ => SentKind::Data,
        };
        if kind == SentKind::Data && sent.room() == 0 {
            return;
        }
        self.item += 1;
        let items: &[Carried] =
            if kind == SentKind::Data { &[Carried::Advertise(self.item)] } else { &[] };
        let kept = self.paths[path].on_sent(bytes, kind, items, app_limited, self.now, &mut sent);
        assert!(kept || kind == SentKind::Probe);
        let model = &mut self.models[path];
        if kind == SentKind::Data {
            model.open.insert(self.item, model.next);
        }
        model.next += 1;
    }

    fn ack(&mut self, path: usize, ranges: &[RangeInclusive<u64>], delay: u32, elsewhere: bool) {
        let mut bytes = [0; 256];
        let mut writer = Writer::new(&mut bytes);
        let delay = Duration::from_micros(u64::from(delay));
        encode_ack(&mut writer, PathId(0), delay, ranges.iter().cloned()).unwrap();
        let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.as_slice()).next() else {
            unreachable!()
        };
        let mut fates = Vec::new();
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let mut each = |fate, item| fates.push((fate, item));
        let recovery = &mut self.paths[path];
        let before = recovery.in_flight();
        let result = if elsewhere {
            recovery.on_ack_elsewhere(&ack, self.now, &mut sent, &mut each)
        } else {
            recovery.on_ack(&ack, Duration::from_millis(5), self.now, &mut sent, &mut each)
        };
        let model = &mut self.models[path];
        assert_eq!(result.invalid, ack.largest >= model.next);
        assert!(!result.invalid || fates.is_empty());
        assert_eq!(before, recovery.in_flight() + result.newly_acked + result.lost_bytes);
        for (fate, item) in fates {
            let Carried::Advertise(item) = item else { unreachable!() };
            let number = model.open.remove(&item).expect("a fate is told once");
            let named = ranges.iter().any(|range| range.contains(&number));
            assert_eq!(fate == Fate::Acked, named);
        }
        // Only what was offered to other paths may have been lost without a word.
        let mut told = model.open.iter().filter(|(item, _)| !model.offered.contains(item));
        assert!(result.invalid || !told.any(|(_, n)| ranges.iter().any(|r| r.contains(n))));
    }

    fn time_out(&mut self, path: usize) {
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let recovery = &mut self.paths[path];
        let due = recovery.timeout().filter(|at| *at <= self.now);
        let mut lost = Vec::new();
        let action =
            recovery.on_timeout(self.now, &mut sent, &mut |fate, item| lost.push((fate, item)));
        assert!(due.is_some() || action == TimeoutAction::None);
        // It is never due again at the same moment, whatever it did: callers need not loop.
        assert!(recovery.timeout().is_none_or(|at| at > self.now));
        for (fate, item) in lost {
            let Carried::Advertise(item) = item else { unreachable!() };
            assert!(fate == Fate::Lost && self.models[path].open.remove(&item).is_some());
        }
    }

    fn offer(&mut self, path: usize) {
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let model = &mut self.models[path];
        let mut last = 0;
        self.paths[path].for_each_in_flight(&mut sent, &mut |item| {
            let Carried::Advertise(item) = item else { unreachable!() };
            assert!(model.open.contains_key(&item) && item > last && model.offered.insert(item));
            last = item;
        });
        assert!(model.open.keys().all(|item| model.offered.contains(item)));
    }

    fn drop_all(&mut self, path: usize) {
        let mut sent = Sent { table: &mut self.table, slots: &mut self.slots };
        let model = &mut self.models[path];
        self.paths[path].drop_all(&mut sent, &mut |item| {
            let Carried::Advertise(item) = item else { unreachable!() };
            assert!(model.open.remove(&item).is_some());
        });
        assert!(model.open.keys().all(|item| model.offered.contains(item)));
        assert_eq!(self.paths[path].in_flight(), 0);
        model.open.clear();
        assert!(self.paths[path].timeout().is_none());
    }

    fn check(&mut self) {
        let sent = Sent { table: &mut self.table, slots: &mut self.slots };
        for (recovery, model) in self.paths.iter().zip(&self.models) {
            assert!(recovery.flight.is_consistent(&sent));
            assert_eq!(recovery.next_number().0, model.next);
            assert_eq!(recovery.oldest_unacked_sent_at().is_some(), recovery.timeout().is_some());
            assert!(recovery.window() > 0);
            let _ = (recovery.allowance(self.now), recovery.rate(), recovery.probe_timeout());
        }
    }
}

fn ranges(top: u64, steps: &[(u8, u8)]) -> Vec<RangeInclusive<u64>> {
    let mut ranges = Vec::new();
    let mut next = Some(top);
    for (gap, len) in steps {
        let Some(high) = next else { break };
        let low = high.saturating_sub(u64::from(*len));
        ranges.push(low..=high);
        next = low.checked_sub(u64::from(*gap) + 2);
    }
    ranges
}

proptest! {
    #[test]
    fn every_fate_is_told_once(slots in 1_usize..40, ops in prop::collection::vec(op(), 1..150)) {
        let mut pair = Pair::new(slots);
        for op in ops {
            pair.apply(op);
            pair.check();
        }
        for path in 0..2 {
            pair.drop_all(path);
        }
        prop_assert_eq!(Sent { table: &mut pair.table, slots: &mut pair.slots }.room(), slots);
    }
}

#[test]
fn a_full_table_still_has_room_for_a_probe() {
    let mut pair = Pair::new(4);
    for _ in 0..40 {
        pair.send(0, 40, 1, false);
        pair.check();
    }
    // The oldest is no longer in the table, and its acknowledgement is a sign of life all the same.
    let mut bytes = [0; 32];
    let mut writer = Writer::new(&mut bytes);
    encode_ack(&mut writer, PathId(0), Duration::ZERO, core::iter::once(0..=0)).unwrap();
    let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.as_slice()).next() else { unreachable!() };
    let mut sent = Sent { table: &mut pair.table, slots: &mut pair.slots };
    let now = pair.now + Duration::from_secs(1);
    let result = pair.paths[0].on_ack(&ack, Duration::ZERO, now, &mut sent, &mut |_, _| {});
    assert!(result.progress && result.packets == 0);
    assert_eq!(pair.paths[0].last_newly_acked(), Some(now));
}
