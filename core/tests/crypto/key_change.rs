//! The key change against a model: two sides, several paths, packets that are late, lost, doubled
//! and forged. Whatever is delivered in time opens; nothing forged ever does, or changes anything.

use proptest::prelude::*;
use ropewalk_core::crypto::{Opened, PacketKeys, Secrets, Software};
use ropewalk_core::error::Discard;
use ropewalk_core::id::{PathId, Side};
use ropewalk_core::packet_number::PacketNumber;
use ropewalk_core::time::{Duration, Instant};
use ropewalk_core::wire::Suite;

/// Three probe timeouts: how long old keys are kept, and the longest that a packet is under way.
const KEEP: Duration = Duration::from_millis(300);

fn keys(side: Side) -> PacketKeys<Software> {
    let (send, receive) = match side {
        Side::Dialer => ([1; 32], [2; 32]),
        Side::Responder => ([2; 32], [1; 32]),
    };
    PacketKeys::new(&Secrets { side, send, receive, suite: Suite::ChaCha20Poly1305 })
}

#[derive(Clone)]
struct Packet {
    sent: Instant,
    phase: bool,
    path: PathId,
    number: PacketNumber,
    payload: [u8; 8],
    tag: [u8; 16],
    /// How many changes the sender had made: the model's truth, which the wire does not carry.
    epoch: u32,
}

/// One end, with the packets that are on their way to the other.
struct End {
    keys: PacketKeys<Software>,
    next: [u64; 3],
    wire: Vec<Packet>,
    epoch: u32,
}

impl End {
    fn new(side: Side) -> Self {
        Self { keys: keys(side), next: [0; 3], wire: Vec::new(), epoch: 0 }
    }

    fn send(&mut self, path: usize, now: Instant) {
        let (path_id, number) = (PathId(path as u32), PacketNumber(self.next[path]));
        self.next[path] += 1;
        let mut payload = number.0.to_be_bytes();
        let phase = self.keys.phase();
        let tag = self.keys.seal(path_id, number, &[phase.into()], &mut payload);
        let epoch = self.epoch;
        self.wire.push(Packet { sent: now, phase, path: path_id, number, payload, tag, epoch });
    }

    fn open(&mut self, packet: &Packet, now: Instant) -> Result<(Opened, [u8; 8]), Discard> {
        let Packet { phase, path, number, mut payload, tag, .. } = *packet;
        let header = [phase.into()];
        let before = self.keys.phase();
        let opened = self.keys.open(phase, path, number, true, &header, &mut payload, &tag, now)?;
        if opened.key_changed {
            self.keys.on_changed_keep_until(now + KEEP);
            self.epoch += u32::from(self.keys.phase() != before);
        }
        Ok((opened, payload))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Send { responder: bool, path: usize },
    Deliver { responder: bool, which: usize, again: bool },
    Lose { responder: bool, which: usize },
    Forge { responder: bool, which: usize, byte: usize, flip: bool },
    Change { responder: bool },
    Wait(u64),
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    let (side, which) = (any::<bool>(), any::<usize>());
    prop_oneof![
        8 => (side, 0_usize..3).prop_map(|(responder, path)| Op::Send { responder, path }),
        8 => (side, which, prop::bool::weighted(0.1))
            .prop_map(|(responder, which, again)| Op::Deliver { responder, which, again }),
        1 => (side, which).prop_map(|(responder, which)| Op::Lose { responder, which }),
        2 => (side, which, 0_usize..24, any::<bool>())
            .prop_map(|(responder, which, byte, flip)| Op::Forge { responder, which, byte, flip }),
        2 => prop::bool::weighted(0.2).prop_map(|responder| Op::Change { responder }),
        3 => (1_u64..120).prop_map(Op::Wait),
        1 => Just(Op::Forget),
    ]
}

#[derive(Debug, Default)]
struct Seen {
    changes: u32,
    late: u32,
}

fn run(ops: Vec<Op>) -> Result<Seen, TestCaseError> {
    let (mut dialer, mut answerer) = (End::new(Side::Dialer), End::new(Side::Responder));
    let (mut now, mut seen) = (Instant::ZERO, Seen::default());
    for op in ops {
        for end in [&mut dialer, &mut answerer] {
            end.wire.retain(|packet| now.since(packet.sent) < KEEP);
        }
        let (from, to) = match op {
            Op::Send { responder: true, .. }
            | Op::Deliver { responder: true, .. }
            | Op::Lose { responder: true, .. }
            | Op::Forge { responder: true, .. }
            | Op::Change { responder: true } => (&mut answerer, &mut dialer),
            _ => (&mut dialer, &mut answerer),
        };
        let pick = |which: usize, len: usize| which.checked_rem(len);
        match op {
            Op::Send { path, .. } => from.send(path, now),
            Op::Deliver { which, again, .. } => {
                let Some(at) = pick(which, from.wire.len()) else { continue };
                let packet = if again { from.wire[at].clone() } else { from.wire.remove(at) };
                let (opened, payload) =
                    to.open(&packet, now).map_err(|_| TestCaseError::fail("a packet is lost"))?;
                prop_assert_eq!(payload, packet.number.0.to_be_bytes());
                seen.changes += u32::from(opened.key_changed);
                seen.late += u32::from(packet.epoch < from.epoch);
            }
            Op::Lose { which, .. } => {
                if let Some(at) = pick(which, from.wire.len()) {
                    from.wire.remove(at);
                }
            }
            Op::Forge { which, byte, flip, .. } => {
                let Some(at) = pick(which, from.wire.len()) else { continue };
                let mut packet = from.wire[at].clone();
                packet.phase ^= flip;
                let mut bytes = packet.payload.iter_mut().chain(&mut packet.tag);
                *bytes.nth(byte).unwrap() ^= 0x10;
                let (phase, deadline) = (to.keys.phase(), to.keys.deadline());
                prop_assert_eq!(to.open(&packet, now).unwrap_err(), Discard::Forged);
                prop_assert_eq!((phase, deadline), (to.keys.phase(), to.keys.deadline()));
            }
            Op::Change { responder } => {
                let changed = from.keys.change();
                from.epoch += u32::from(changed);
                prop_assert!(!(changed && responder));
                prop_assert!(!from.keys.change(), "two changes in a row");
            }
            Op::Wait(millis) => now += Duration::from_millis(millis),
            Op::Forget => {
                from.keys.forget_old(now);
                to.keys.forget_old(now);
            }
        }
        prop_assert!(dialer.epoch - answerer.epoch <= 1, "more than one change apart");
    }
    // Whatever happened, it goes on: one round trip, both ways.
    for path in 0..3 {
        dialer.send(path, now);
        let packet = dialer.wire.pop().unwrap();
        prop_assert!(answerer.open(&packet, now).is_ok());
        answerer.send(path, now);
        let packet = answerer.wire.pop().unwrap();
        prop_assert!(dialer.open(&packet, now).is_ok());
    }
    prop_assert_eq!(dialer.epoch, answerer.epoch);
    Ok(seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_packet_opens_once_it_arrives_and_nothing_forged_does(ops in prop::collection::vec(op(), 1..250)) {
        // spec: 5.4-3
        // spec: 5.4-4
        run(ops)?;
    }
}

#[test]
fn the_model_sees_changes_and_late_packets() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut total = Seen::default();
    for _ in 0..20 {
        let ops = prop::collection::vec(op(), 400).new_tree(&mut runner).unwrap().current();
        let seen = run(ops).unwrap();
        total.changes += seen.changes;
        total.late += seen.late;
    }
    assert!(total.changes > 20 && total.late > 20, "{total:?}");
}

#[test]
fn a_change_waits_for_the_answer_and_for_the_old_key_to_go() {
    // spec: 5.4-1
    // spec: 5.4-2
    let (mut dialer, mut answerer) = (End::new(Side::Dialer), End::new(Side::Responder));
    let now = Instant::ZERO;
    assert!(!answerer.keys.change());
    assert!(dialer.keys.change());
    assert!(dialer.keys.phase());
    assert!(!dialer.keys.wants_change(0) && !dialer.keys.change());

    dialer.send(0, now);
    let packet = dialer.wire.pop().unwrap();
    assert!(answerer.open(&packet, now).unwrap().0.key_changed);
    assert!(answerer.keys.phase(), "the answer comes in the new phase");
    assert!(!dialer.keys.change());

    answerer.send(0, now);
    let packet = answerer.wire.pop().unwrap();
    assert!(dialer.open(&packet, now).unwrap().0.key_changed);
    assert_eq!(dialer.keys.deadline(), Some(now + KEEP));
    assert!(!dialer.keys.change());
    dialer.keys.forget_old(now + KEEP - Duration::from_micros(1));
    assert!(!dialer.keys.change());
    dialer.keys.forget_old(now + KEEP);
    assert_eq!(dialer.keys.deadline(), None);
    assert!(dialer.keys.change());
    assert!(!dialer.keys.phase());
}

#[test]
fn until_the_caller_names_a_moment_the_old_key_is_kept() {
    let (mut dialer, mut answerer) = (keys(Side::Dialer), keys(Side::Responder));
    let (path, number) = (PathId(0), PacketNumber(0));
    let mut late = [1];
    let late_tag = dialer.seal(path, number, &[], &mut late);
    dialer.change();
    let mut first = [2];
    let tag = dialer.seal(path, number.next(), &[], &mut first);
    let later = Instant::ZERO + Duration::from_secs(3_600);
    let opened =
        answerer.open(true, path, number.next(), true, &[], &mut first, &tag, Instant::ZERO);
    assert_eq!(opened, Ok(Opened { key_changed: true }));
    assert_eq!(answerer.deadline(), None);
    answerer.forget_old(later);
    let opened = answerer.open(false, path, number, true, &[], &mut late, &late_tag, later);
    assert_eq!((opened, late), (Ok(Opened { key_changed: false }), [1]));
}

#[test]
fn an_old_key_opens_nothing_after_its_time() {
    let (mut dialer, mut answerer) = (End::new(Side::Dialer), End::new(Side::Responder));
    dialer.send(0, Instant::ZERO);
    let late = dialer.wire.pop().unwrap();
    dialer.keys.change();
    dialer.send(0, Instant::ZERO);
    let packet = dialer.wire.pop().unwrap();
    answerer.open(&packet, Instant::ZERO).unwrap();
    assert!(answerer.open(&late, Instant::ZERO + Duration::from_millis(299)).is_ok());
    // Even if nobody called `forget_old`.
    assert_eq!(answerer.open(&late, Instant::ZERO + KEEP).unwrap_err(), Discard::Forged);
}

#[test]
fn the_dialer_follows_no_change_that_it_did_not_begin() {
    // spec: 5.4-1
    let mut dialer = End::new(Side::Dialer);
    // A responder that breaks the rules: it uses a dialer's keys the other way round.
    let secrets = Secrets {
        side: Side::Dialer,
        send: [2; 32],
        receive: [1; 32],
        suite: Suite::ChaCha20Poly1305,
    };
    let mut rogue = End { keys: PacketKeys::new(&secrets), ..End::new(Side::Responder) };
    assert!(rogue.keys.change());
    rogue.send(0, Instant::ZERO);
    let packet = rogue.wire.pop().unwrap();
    assert_eq!(dialer.open(&packet, Instant::ZERO).unwrap_err(), Discard::Forged);
}

#[test]
fn a_change_is_due_by_what_was_sealed_or_by_what_was_opened() {
    let (mut dialer, mut answerer) = (End::new(Side::Dialer), End::new(Side::Responder));
    assert!(!dialer.keys.wants_change(3));
    for _ in 0..3 {
        dialer.send(0, Instant::ZERO);
        answerer.send(0, Instant::ZERO);
    }
    assert!(dialer.keys.wants_change(3) && !dialer.keys.wants_change(4));
    assert!(!answerer.keys.wants_change(1), "the responder only follows");
    let mut listener = End::new(Side::Dialer);
    for packet in &answerer.wire {
        listener.open(packet, Instant::ZERO).unwrap();
    }
    assert!(listener.keys.wants_change(3) && !listener.keys.wants_change(4));
    assert!(listener.keys.change());
}
