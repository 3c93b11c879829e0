//! Anything said in any order, by drivers and sources that keep no rules: the books always balance.

use super::super::*;
use super::world::pieces;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Op {
    Added(u32),
    RoundTrip(u32, u64),
    Poll(u32, u8),
    Bytes(u32, usize, u32),
    Done(u32, usize),
    Bad(u32),
    Lost(u32),
    Refused(u32, usize),
    Abandon(u32),
    Wait(u64),
    Timeout,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let source = || 0_u32..4;
    let work = || 0_usize..64;
    let op = prop_oneof![
        4 => source().prop_map(Op::Added),
        1 => (source(), 0_u64..500).prop_map(|(source, millis)| Op::RoundTrip(source, millis)),
        8 => (source(), 1_u8..9).prop_map(|(source, times)| Op::Poll(source, times)),
        12 => (source(), work(), 0_u32..2 << 20).prop_map(|(source, work, bytes)| Op::Bytes(source, work, bytes)),
        8 => (source(), work()).prop_map(|(source, work)| Op::Done(source, work)),
        1 => (3_u32..4).prop_map(Op::Bad),
        3 => source().prop_map(Op::Lost),
        1 => (source(), work()).prop_map(|(source, work)| Op::Refused(source, work)),
        1 => (0_u32..3).prop_map(Op::Abandon),
        4 => (0_u64..400).prop_map(Op::Wait),
        4 => Just(Op::Timeout),
    ];
    prop::collection::vec(op, 0..200)
}

/// Each work waits or is owed by one who delivers, each source owes what its works lack.
fn balance<W: Iterator<Item = Work>>(schedule: &Schedule<W>) {
    for (work, entry) in &schedule.works {
        let waits = schedule.waiting.contains(work);
        assert_eq!(waits, schedule.live_owners(entry) == 0, "{work:?}: {entry:?}");
        assert!(entry.kept.is_none() || entry.claims.is_empty(), "{work:?}: {entry:?}");
        let owners: BTreeSet<_> = entry.claims.iter().map(|claim| claim.source).collect();
        assert_eq!(owners.len(), entry.claims.len(), "{work:?}: {entry:?}");
        for claim in &entry.claims {
            assert!(schedule.sources[&claim.source].queue.contains(work), "{work:?}: {entry:?}");
        }
    }
    assert!(schedule.waiting.iter().all(|work| schedule.works.contains_key(work)));
    for (id, source) in &schedule.sources {
        let left = |work| {
            let entry: &Entry = &schedule.works[work];
            u64::from(entry.bytes - entry.claim_of(*id).unwrap().got)
        };
        let owed: u64 = source.queue.iter().map(left).sum();
        assert_eq!(source.owed, owed, "{id:?}: {source:?}");
        let may_owe = matches!(source.standing, Standing::Live | Standing::Silent);
        assert!(may_owe || source.queue.is_empty(), "{id:?}: {source:?}");
        assert!(source.queue.len() <= source::WORKS_MAX);
    }
}

proptest! {
    #[test]
    fn the_books_balance(ops in ops()) {
        let works: Vec<_> = (0..3).flat_map(|file| pieces(file, 20 << 20)).collect();
        let mut schedule = Schedule::new(works.clone().into_iter());
        let mut now = Instant::ZERO;
        let work = |at: usize| works[at % works.len()].id;
        let mut done = BTreeSet::new();
        let mut abandoned = BTreeSet::new();
        for op in ops {
            match op {
                Op::Added(source) => schedule.handle_added(SourceId(source), now),
                Op::RoundTrip(source, millis) => {
                    schedule.handle_round_trip(SourceId(source), Duration::from_millis(millis));
                }
                Op::Poll(source, times) => {
                    for _ in 0..times {
                        let Some(action) = schedule.poll_action(SourceId(source), now) else { break };
                        if let Action::Ask(request) = action {
                            prop_assert!(!done.contains(&request.work.id), "{:?} is done", request);
                            prop_assert!(request.from < request.work.bytes, "{:?}", request);
                        }
                    }
                }
                Op::Bytes(source, at, bytes) => {
                    schedule.handle_bytes(SourceId(source), work(at), bytes, now);
                }
                Op::Done(source, at) => {
                    if schedule.handle_done(SourceId(source), work(at)) {
                        prop_assert!(done.insert(work(at)), "done twice");
                    }
                }
                Op::Bad(source) => schedule.handle_bad(SourceId(source)),
                Op::Lost(source) => schedule.handle_lost(SourceId(source)),
                Op::Refused(source, at) => {
                    schedule.handle_refused(SourceId(source), work(at), now);
                }
                Op::Abandon(file) => {
                    schedule.abandon(file);
                    abandoned.insert(file);
                }
                Op::Wait(millis) => now += Duration::from_millis(millis),
                Op::Timeout => schedule.handle_timeout(now),
            }
            balance(&schedule);
        }
        // One good source ends it all.
        let good = SourceId(9);
        schedule.handle_added(good, now);
        while let Some(action) = schedule.poll_action(good, now) {
            if let Action::Ask(request) = action {
                let left = request.work.bytes - request.from;
                now += Duration::from_millis(1_000);
                schedule.handle_timeout(now);
                schedule.handle_bytes(good, request.work.id, left, now);
                prop_assert!(schedule.handle_done(good, request.work.id));
                done.insert(request.work.id);
                balance(&schedule);
            }
        }
        let others: BTreeSet<_> = schedule.sources().filter(|source| source.owed > 0).map(|source| source.id).collect();
        let missing = works.iter().filter(|work| !done.contains(&work.id) && !abandoned.contains(&work.id.file));
        prop_assert_eq!(missing.count(), 0, "{:?} owe something", others);
    }
}
