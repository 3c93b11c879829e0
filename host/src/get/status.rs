//! What a person, or a program, is shown of a fetch at one moment.

use super::source::{Contact, Standing};
use crate::connection::PathReport;
use crate::fetch::schedule::{SourceReport, Standing as Answers};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A fetch at one moment.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// What is fetched now.
    pub item: Option<String>,
    /// Bytes of all that was chosen, once known.
    pub total: Option<u64>,
    /// Bytes that are there and proved, wherever they came from.
    pub had: u64,
    /// Of these, what was there from before.
    pub found: u64,
    /// Bytes that were fetched, those too that were of no use.
    pub fetched: u64,
    /// Bytes that were fetched and of no use: fetched twice, or wrong.
    pub wasted: u64,
    /// Bytes a second, over the last second or so.
    pub rate: u64,
    /// Since the beginning.
    pub time: Duration,
    /// Each source, in the order in which they were named.
    pub sources: Vec<SourceStatus>,
}

/// A source at one moment.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// What it is called.
    pub name: Arc<str>,
    /// Whether it can be asked.
    pub standing: Standing,
    /// Whether it owes something and delivers nothing.
    pub silent: bool,
    /// Whether it sent what was wrong.
    pub lied: bool,
    /// Why it is not up.
    pub why: Option<String>,
    /// Bytes that came from it.
    pub bytes: u64,
    /// Of these, what was of no use.
    pub wasted: u64,
    /// Pieces and hashes that it delivered first.
    pub pieces: u64,
    /// How often it was lost, fell silent or refused.
    pub failures: u64,
    /// Bytes a second, over the last second or so.
    pub rate: u64,
    /// Bytes a second, over all the time that it was up.
    pub mean: u64,
    /// From a request to its first byte, once measured.
    pub round_trip: Option<Duration>,
    /// The paths to it.
    pub paths: Vec<PathReport>,
    /// Bytes that each link carried from it, by the link's name.
    pub links: BTreeMap<String, u64>,
}

impl SourceStatus {
    /// Of this source, of which the schedule knows so much.
    pub(super) fn new(
        contact: &mut Contact,
        known: Option<SourceReport>,
        lied: bool,
        meter: &mut Meter,
        now: Duration,
    ) -> Self {
        let (paths, links) = contact.look();
        let counts = known.map(|known| known.counts).unwrap_or_default();
        Self {
            name: contact.source.name.clone(),
            standing: contact.standing,
            silent: known.is_some_and(|known| known.standing == Answers::Silent),
            lied,
            why: contact.why.clone(),
            bytes: counts.bytes,
            wasted: counts.wasted,
            pieces: counts.works,
            failures: u64::from(contact.losses) + counts.silences + counts.refusals,
            rate: meter.look(counts.bytes, now),
            mean: rate(counts.bytes, contact.time_up(now)),
            round_trip: known
                .and_then(|known| known.round_trip)
                .map(|time| Duration::from_micros(time.as_micros())),
            paths,
            links,
        }
    }
}

/// A rate over the last second or so, from a counter that is looked at every now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    seen: Option<(Duration, u64)>,
    rate: u64,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Meter {
    /// The counter stands here now.
    pub(super) fn look(&mut self, bytes: u64, now: Duration) -> u64 {
        let (then, before) = *self.seen.get_or_insert((now, bytes));
        let time = now.saturating_sub(then);
        if time >= WINDOW {
            self.rate = rate(bytes.saturating_sub(before), time);
            self.seen = Some((now, bytes));
        } else if self.rate == 0 && time >= WINDOW / 5 {
            // The first second would show nothing.
            self.rate = rate(bytes.saturating_sub(before), time);
        }
        self.rate
    }
}

/// Bytes a second.
fn rate(bytes: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}
