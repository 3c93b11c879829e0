//! Whole scenarios: how many links, which faults are on at all, what the applications do, what
//! happens when. Two phases, as for any system that must survive faults: first everything goes
//! wrong, then the world heals, and whatever was begun must end. [`super::draw`] draws them.

use super::act::Act;
use super::net::LinkSpec;
use super::oracle::completion_bound;
use super::plan::{MessagePlan, StreamPlan};
use super::report::Report;
use super::storage::VecStorage;
use super::world::World;
use ropewalk_core::config::Config;
use ropewalk_core::connection::CloseReason;
use ropewalk_core::id::Mode;
use ropewalk_core::time::Duration;

/// One scenario. `..Scenario::new(seed, links, streams)` fills in what a test has no word on.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The world's own chances.
    pub seed: u64,
    /// The links.
    pub links: Vec<LinkSpec>,
    /// Some links lose packets by themselves.
    pub impaired: bool,
    /// What is done, after how long.
    pub acts: Vec<(Duration, Act)>,
    /// The streams; those of a batch are opened when the batch before is over.
    pub batches: Vec<Batch>,
    /// Unreliable messages, beside the streams.
    pub messages: Vec<MessagePlan>,
    /// How the paths are used.
    pub mode: Mode,
    /// Which nodes have a board's memory.
    pub boards: [bool; 2],
    /// When keys change, if earlier than usual.
    pub packets_per_key: Option<u64>,
    /// Who ends the connection.
    pub close: Option<Close>,
}

/// Streams that are opened together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Quiet before.
    pub after: Duration,
    /// What is opened then.
    pub streams: Vec<StreamPlan>,
}

/// How a connection is ended once everything is over.
#[derive(Clone, Copy, Debug)]
pub struct Close {
    /// Whose application ends it.
    pub node: u8,
    /// With which code.
    pub code: u32,
}

impl Scenario {
    /// A quiet one: these links, these streams, and nothing goes wrong.
    #[must_use]
    pub fn new(seed: u64, links: &[LinkSpec], streams: &[StreamPlan]) -> Self {
        Self {
            seed,
            links: links.to_vec(),
            impaired: false,
            acts: Vec::new(),
            batches: vec![Batch { after: Duration::ZERO, streams: streams.to_vec() }],
            messages: Vec::new(),
            mode: Mode::Bulk,
            boards: [false; 2],
            packets_per_key: None,
            close: None,
        }
    }

    /// Plays it; how long the applications were busy is returned with what came of it.
    ///
    /// # Errors
    /// A line that says what did not hold.
    pub fn play(&self, trace: bool) -> Result<(Report, Duration), String> {
        let usual = Config::default();
        let packets_per_key = self.packets_per_key.unwrap_or(usual.packets_per_key);
        let config = Config { mode: self.mode, packets_per_key, ..usual };
        let memory = |board| if board { VecStorage::board } else { VecStorage::ample };
        let mut world =
            World::with_storage(self.seed, &self.links, config, self.boards.map(memory));
        world.trace = trace;
        let (began, mut idle) = (world.now, Duration::ZERO);
        world.dial();
        if !world.run_until(Duration::from_secs(4), World::connected) {
            return Err("no connection within 4 s".into());
        }
        for (after, act) in &self.acts {
            world.schedule(*after, *act);
        }
        for plan in &self.messages {
            world.plan_messages(*plan);
        }
        for batch in &self.batches {
            world.run_until(batch.after, |_| false);
            idle = idle + batch.after;
            self.play_batch(batch, &mut world)?;
        }
        let busy = world.now.since(began + idle);
        self.quiet_down(&mut world)?;
        let report = world.report();
        if let Some(close) = self.close {
            self.end(close, &mut world)?;
        }
        Ok((report, busy))
    }

    /// All of a batch must end well; what a restart took away is begun anew.
    fn play_batch(&self, batch: &Batch, world: &mut World) -> Result<(), String> {
        let begin = |world: &mut World| batch.streams.iter().for_each(|plan| world.plan(*plan));
        begin(world);
        loop {
            let (restarts, budget) = (world.report().restarts, self.budget());
            let over = |world: &World| world.closed != [None, None];
            world.run_until(budget, |world| {
                world.all_done() || over(world) || world.report().restarts > restarts
            });
            if over(world) {
                return Err(format!("the connection is over: {:?}", world.closed));
            }
            if world.report().restarts > restarts {
                begin(world);
            } else if world.all_done() {
                return Ok(());
            } else {
                let seconds = budget.as_micros() / 1_000_000;
                let report = world.report();
                return Err(format!(
                    "not over after {seconds} s: {report:?}, {}",
                    world.unsettled()
                ));
            }
        }
    }

    /// The rest of what was to happen happens, and the paths recover.
    fn quiet_down(&self, world: &mut World) -> Result<(), String> {
        let restarts = |act: &Act| matches!(act, Act::Restart);
        let expected = self.acts.iter().filter(|(_, act)| restarts(act)).count() as u32;
        world.run_until(self.last_act() + SETTLE, |_| false);
        if !world.run_until(NOTICE, World::all_done) {
            return Err("the restart was not noticed".into());
        }
        // So does one whose path the other side forgot.
        if !world.run_until(FORGOTTEN, |world| world.connected() && world.alive()) {
            return Err(format!("no path is alive: {:?}", world.paths()));
        }
        let report = world.report();
        if report.restarts > expected {
            return Err(format!("{} restarts, but {expected} happened", report.restarts));
        }
        let mode = |node: usize| world.nodes[node].connection.as_ref().map(|c| c.mode());
        if mode(0) != mode(1) {
            return Err(format!("the modes differ: {:?} and {:?}", mode(0), mode(1)));
        }
        let (sent, arrived) = report.messages;
        let clean = !self.impaired && self.acts.is_empty();
        if clean && sent > 0 && arrived == 0 {
            return Err(format!("of {sent} messages not one arrived"));
        }
        Ok(())
    }

    /// One side ends the connection and the other hears of it; both fall silent.
    fn end(&self, close: Close, world: &mut World) -> Result<(), String> {
        let other = usize::from(1 - close.node);
        world.close(close.node, close.code, "enough");
        world.run_until(Duration::from_secs(2), |world| world.closed[other].is_some());
        let heard = match &world.closed[other] {
            Some(CloseReason::Peer { code, reason }) => {
                *code == close.code && reason.as_str() == "enough"
            }
            // All copies of it may be lost where packets are.
            None => self.impaired,
            Some(_) => false,
        };
        if !heard {
            return Err(format!("node {other} heard {:?}, not {close:?}", world.closed[other]));
        }
        world.run_until(Duration::from_secs(70), |_| false);
        let over =
            |node: usize| world.nodes[node].connection.as_ref().is_some_and(|c| c.is_drained());
        if over(0) && over(1) { Ok(()) } else { Err("a closed connection lives on".into()) }
    }

    fn last_act(&self) -> Duration {
        self.acts.iter().map(|(after, _)| *after).max().unwrap_or(Duration::ZERO)
    }

    /// Generous: four times T* of the worst that the links ever are, and the troubles on top.
    fn budget(&self) -> Duration {
        let streams = || self.batches.iter().flat_map(|batch| &batch.streams);
        let bytes: u64 = streams().map(|plan| plan.there.bytes + plan.back.bytes).sum();
        let slowest = |link: &LinkSpec| (link.rate / 8, link.delay);
        let worst = self.links.iter().map(slowest).min_by_key(|(rate, _)| *rate);
        let mut bound = worst.map_or(Duration::ZERO, |link| completion_bound(bytes, &[link])) * 4;
        if self.boards != [false; 2] {
            // A window of a few KiB for each round trip.
            let delay = self.links.iter().map(|link| link.delay).max().unwrap_or(Duration::ZERO);
            let round_trips = u32::try_from(bytes / BOARD_WINDOW).unwrap_or(u32::MAX);
            bound = bound + (delay * 2 + Duration::from_millis(300)) * round_trips.into();
        }
        let halves = || streams().flat_map(|plan| [plan.there, plan.back]);
        for (bytes, pace) in halves().filter_map(|half| Some((half.bytes, half.pace?))) {
            bound = bound + pace.every * (bytes / pace.bytes as u64);
        }
        bound + self.last_act() + Duration::from_secs(20)
    }
}

/// Longer than a path needs to come back.
const SETTLE: Duration = Duration::from_secs(4);
/// A dialer that has nothing to say notices a restart when it asks for a sign of life.
const NOTICE: Duration = Duration::from_secs(20);
/// An idle path whose address changed is found out by two signs of life, 15 s apart: the first moves
/// the peer's path, which may fail to prove the address within three times those few bytes, and the
/// second finds it given up.
const FORGOTTEN: Duration = Duration::from_secs(36);
const BOARD_WINDOW: u64 = 3_000;
