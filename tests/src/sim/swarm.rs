//! Draws a whole scenario from one seed: how many links, which faults are on at all, what happens
//! when. Two phases, as for any system that must survive faults: first everything goes wrong, then
//! the world heals, and whatever was begun must end.

use super::net::LinkSpec;
use super::oracle::completion_bound;
use super::world::{Act, Report, World};
use fastrand::Rng;
use ropewalk_core::config::Config;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;

/// One drawn scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Draws everything below, and the world's own chances.
    pub seed: u64,
    /// The links.
    pub links: Vec<LinkSpec>,
    /// What is done, after how long.
    pub acts: Vec<(Duration, Act)>,
    /// Bytes sent by the dialer, a stream each.
    pub streams: Vec<u64>,
    /// How the paths are used.
    pub mode: Mode,
}

impl Scenario {
    /// Draws the scenario of this seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(1..=4);
        let impaired = rng.bool();
        let links: Vec<_> = (0..count).map(|_| draw_link(impaired, &mut rng)).collect();
        let streams = (0..rng.usize(1..=4)).map(|_| rng.u64(0..2_000_000)).collect();
        let mut acts = Vec::new();
        if rng.bool() {
            for _ in 0..rng.usize(1..=4) {
                draw_trouble(&links, &mut acts, &mut rng);
            }
        }
        let mode = if rng.u8(..8) == 0 { Mode::Spread } else { Mode::Bulk };
        Self { seed, links, acts, streams, mode }
    }

    /// Plays it; the clock of the run is returned with what came of it.
    ///
    /// # Errors
    /// A line that says what did not hold.
    pub fn play(&self, trace: bool) -> Result<(Report, Duration), String> {
        let config = Config { mode: self.mode, ..Config::default() };
        let mut world = World::new(self.seed, &self.links, config);
        world.trace = trace;
        let began = world.now;
        world.dial();
        if !world.run_until(Duration::from_secs(4), World::connected) {
            return Err("no connection within 4 s".into());
        }
        for (after, act) in &self.acts {
            world.schedule(*after, *act);
        }
        for bytes in &self.streams {
            world.send(0, "file", *bytes);
        }
        let budget = self.budget();
        let report = world.run_to_completion(budget);
        if !world.all_done() {
            return Err(format!("not done after {} s: {report:?}", budget.as_micros() / 1_000_000));
        }
        Ok((report, world.now.since(began)))
    }

    /// Generous: four times T* of the worst that the links ever are, and the troubles on top.
    fn budget(&self) -> Duration {
        let bytes: u64 = self.streams.iter().sum();
        let slowest = |link: &LinkSpec| (link.rate / 8, link.delay);
        let worst = self.links.iter().map(slowest).min_by_key(|(rate, _)| *rate);
        let bound = worst.map_or(Duration::ZERO, |link| completion_bound(bytes, &[link]));
        let last = self.acts.iter().map(|(after, _)| *after).max().unwrap_or(Duration::ZERO);
        bound * 4 + last + Duration::from_secs(20)
    }
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
