//! Draws a scenario from a seed. First the links, their faults and the dialer's streams, as they
//! have always been drawn; then, from a second row of chances, everything else, each with a coin
//! of its own, so that a scenario is a mixture and every pair of features meets.

use super::act::Act;
use super::net::LinkSpec;
use super::plan::{HalfPlan, MessagePlan, Pace, StreamPlan};
use super::swarm::{Batch, Close, Scenario};
use fastrand::Rng;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;

impl Scenario {
    /// Links, faults and the dialer's streams alone.
    #[must_use]
    pub fn plain(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(1..=4);
        let impaired = rng.bool();
        let links: Vec<_> = (0..count).map(|_| draw_link(impaired, &mut rng)).collect();
        let streams = (0..rng.usize(1..=4)).map(|_| rng.u64(0..2_000_000));
        let streams: Vec<_> = streams.map(|bytes| StreamPlan::new(0, "file", bytes)).collect();
        let mut acts = Vec::new();
        if rng.bool() {
            for _ in 0..rng.usize(1..=4) {
                draw_trouble(&links, &mut acts, &mut rng);
            }
        }
        let mode = if rng.u8(..8) == 0 { Mode::Spread } else { Mode::Bulk };
        Self { acts, mode, ..Self::new(seed, &links, &streams) }
    }

    /// Everything that a seed says.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut scenario = Self::plain(seed);
        let rng = &mut Rng::with_seed(seed ^ 0x5e_ed0f_7e57);
        scenario.impaired = scenario.links.iter().any(|link| link.loss > 0);
        draw_streams(&mut scenario, rng);
        if one_in(3, rng) {
            scenario.mode = MODES[rng.usize(..MODES.len())];
        }
        if one_in(4, rng) {
            scenario.boards = [rng.bool(), rng.bool()];
        }
        if one_in(5, rng) {
            let idle = Duration::from_millis(rng.u64(16_000..50_000));
            let streams = (0..rng.usize(1..=2)).map(|_| draw_stream(rng.u8(..2), rng)).collect();
            scenario.batches.push(Batch { after: idle, streams });
        }
        if one_in(4, rng) {
            scenario.packets_per_key = Some(rng.u64(100..2_000));
        }
        if one_in(3, rng) {
            draw_messages(&mut scenario, rng);
        }
        if one_in(6, rng) {
            for _ in 0..rng.usize(1..=2) {
                let mode = MODES[rng.usize(..MODES.len())];
                let after = Duration::from_millis(rng.u64(0..3_000));
                scenario.acts.push((after, Act::SetMode(mode)));
            }
        }
        draw_moves(&mut scenario, rng);
        if !one_in(3, rng) {
            scenario.close = Some(Close { node: rng.u8(..2), code: 256 + rng.u32(..1_000) });
        }
        scenario.fit_boards();
        scenario
    }

    /// A board with its few KiB of window takes long for what a PC does at once.
    fn fit_boards(&mut self) {
        if self.boards == [false; 2] {
            return;
        }
        for plan in self.batches.iter_mut().flat_map(|batch| &mut batch.streams) {
            for half in [&mut plan.there, &mut plan.back] {
                half.bytes %= BOARD_BYTES;
                for (at, _) in half.reset.iter_mut().chain(&mut half.stop) {
                    *at %= BOARD_BYTES;
                }
            }
        }
    }
}

fn one_in(count: u32, rng: &mut Rng) -> bool {
    rng.u32(..count) == 0
}

fn draw_link(impaired: bool, rng: &mut Rng) -> LinkSpec {
    let rate = [1, 2, 5, 10, 20, 50, 100][rng.usize(..7)];
    let delay = [0, 1, 5, 10, 25, 60, 150][rng.usize(..7)];
    let mut link = LinkSpec::new(rate, delay, [32, 64, 128, 256][rng.usize(..4)]);
    if impaired {
        link.loss = rng.u32(..=50);
        link.burst = rng.u32(1..=4);
        link.reorder = if rng.bool() { rng.u32(..=100) } else { 0 };
        link.duplicate = if rng.bool() { rng.u32(..=50) } else { 0 };
        link.corrupt = if rng.bool() { rng.u32(..=10) } else { 0 };
    }
    link
}

/// One thing goes wrong and, some time later, is healed.
fn draw_trouble(links: &[LinkSpec], acts: &mut Vec<(Duration, Act)>, rng: &mut Rng) {
    let link = rng.usize(..links.len());
    let begin = Duration::from_millis(rng.u64(0..3_000));
    let end = begin + Duration::from_millis(rng.u64(50..6_000));
    match rng.u8(..4) {
        0 => {
            acts.push((begin, Act::Cut(link)));
            acts.push((end, Act::Heal(link)));
        }
        1 => {
            acts.push((begin, Act::CutFrom(rng.u8(..2), link)));
            acts.push((end, Act::Heal(link)));
        }
        2 => {
            let node = rng.u8(..2);
            acts.push((begin, Act::LinkDown(node, link)));
            acts.push((end, Act::LinkUp(node, link)));
        }
        _ => {
            acts.push((begin, Act::Change(link, links[link].lossy(300))));
            acts.push((end, Act::Change(link, links[link])));
        }
    }
}

/// What the streams do beside going one way to their ends.
fn draw_streams(scenario: &mut Scenario, rng: &mut Rng) {
    let streams = &mut scenario.batches[0].streams;
    if rng.bool() {
        for _ in 0..rng.usize(1..=3) {
            streams.push(StreamPlan::new(1, "file", rng.u64(0..1_000_000)));
        }
    }
    let (both, resets, stops, slow) = (rng.bool(), one_in(3, rng), one_in(3, rng), one_in(5, rng));
    for plan in streams.iter_mut() {
        if both && rng.bool() {
            (plan.service, plan.back.bytes) = ("echo", rng.u64(0..1_000_000));
        }
        for half in [&mut plan.there, &mut plan.back] {
            draw_half(half, resets && one_in(3, rng), stops && one_in(3, rng), rng);
            if slow && rng.bool() {
                let bytes = rng.usize(1_000..32_000);
                half.pace = Some(Pace { bytes, every: Duration::from_millis(rng.u64(2..100)) });
            }
        }
    }
    if one_in(4, rng) {
        streams.push(StreamPlan::new(rng.u8(..2), "unheard of", rng.u64(0..50_000)));
    }
    rng.shuffle(streams);
}

fn draw_half(half: &mut HalfPlan, reset: bool, stop: bool, rng: &mut Rng) {
    let somewhere = |rng: &mut Rng| rng.u64(..=half.bytes);
    if reset {
        half.reset = Some((somewhere(rng), 256 + rng.u32(..1_000)));
    }
    if stop {
        half.stop = Some((somewhere(rng), 256 + rng.u32(..1_000)));
    }
}

fn draw_stream(opener: u8, rng: &mut Rng) -> StreamPlan {
    let mut plan = StreamPlan::new(opener, "echo", rng.u64(0..300_000));
    plan.back.bytes = if rng.bool() { rng.u64(0..300_000) } else { 0 };
    plan
}

fn draw_messages(scenario: &mut Scenario, rng: &mut Rng) {
    for node in 0..2 {
        if rng.bool() {
            scenario.messages.push(MessagePlan {
                node,
                count: rng.u32(1..200),
                every: Duration::from_millis(rng.u64(0..50)),
                bytes: rng.usize(8..=1_166),
            });
        }
    }
}

/// Addresses change, and the responder may lose its state. What would leave nobody able to find
/// the other is not drawn: a responder is found only where it was dialled.
fn draw_moves(scenario: &mut Scenario, rng: &mut Rng) {
    let link = |rng: &mut Rng| rng.usize(..scenario.links.len());
    let at = |rng: &mut Rng| Duration::from_millis(rng.u64(0..3_000));
    let mut acts = Vec::new();
    let mut dialled_moves = false;
    if one_in(6, rng) {
        let node = rng.u8(..2);
        dialled_moves = node == 1;
        acts.push((at(rng), Act::Readdress(node, link(rng))));
    }
    if one_in(4, rng) && !dialled_moves {
        for _ in 0..rng.usize(1..=2) {
            acts.push((at(rng), Act::Rebind { node: 0, link: link(rng), host: rng.bool() }));
        }
    }
    if one_in(8, rng) && !dialled_moves {
        acts.push((at(rng), Act::Restart));
    }
    scenario.acts.extend(acts);
}

const BOARD_BYTES: u64 = 40_000;
const MODES: [Mode; 5] = [Mode::Bulk, Mode::Spread, Mode::Backup, Mode::Redundant, Mode::Repair];
