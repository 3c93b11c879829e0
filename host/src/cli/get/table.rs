//! How a fetch stands, for people: a line for each source, and one for all of it.

use crate::get::source::Standing;
use crate::get::status::{SourceStatus, Status};
use crate::human;
use core::time::Duration;

/// How often it is drawn on a terminal.
pub(super) const DRAW_EVERY: Duration = Duration::from_millis(200);

/// All of it in one line.
pub(super) fn total(status: &Status) -> String {
    let had = human::bytes(status.had);
    let of = match status.total {
        Some(total) => format!("{had} of {}", human::bytes(total)),
        None => had,
    };
    let left = match status.total.map(|total| total.saturating_sub(status.had)) {
        Some(left) if left > 0 && status.rate > 0 => {
            format!(", {} left", human::time(Duration::from_secs(left.div_ceil(status.rate))))
        }
        _ => String::new(),
    };
    format!("{of}, {}{left}", rate(status.rate))
}

/// A line for each source, columns below each other.
pub(super) fn sources(status: &Status) -> Vec<String> {
    let rate_of =
        |source: &SourceStatus| format!("{} (mean {})", rate(source.rate), rate(source.mean));
    table(status, rate_of)
}

/// The same at the end, when nothing comes any more.
pub(super) fn ended_sources(status: &Status) -> Vec<String> {
    table(status, |source| rate(source.mean))
}

fn table(status: &Status, rate_of: impl Fn(&SourceStatus) -> String) -> Vec<String> {
    let row = |source| row(source, rate_of(source));
    let rows: Vec<[String; 7]> = status.sources.iter().map(row).collect();
    human::table(&rows).lines().map(str::to_owned).collect()
}

/// The most telling ones first: a narrow terminal cuts the last.
fn row(source: &SourceStatus, rate: String) -> [String; 7] {
    let trip = source.round_trip.map(|trip| format!("{:.1} ms", human::millis(trip)));
    let failures = match source.failures {
        0 => String::new(),
        count => format!(", {}", human::count(count, "failure")),
    };
    [
        source.name.to_string(),
        state(source),
        human::bytes(source.bytes),
        rate,
        trip.unwrap_or_default(),
        format!("{}{failures}", human::count(source.pieces, "piece")),
        shares(&source.links),
    ]
}

/// What became of a source in one word or a few.
pub(super) fn state(source: &SourceStatus) -> String {
    if source.lied {
        return "lied: dropped".into();
    }
    match source.standing {
        Standing::Up if source.silent => "silent".into(),
        Standing::Up => "up".into(),
        Standing::Paused => "paused".into(),
        Standing::Dialling | Standing::Waiting => "trying".into(),
        Standing::Gone => "gone".into(),
    }
}

/// What each of several carried of the whole.
pub(super) fn shares(bytes: &std::collections::BTreeMap<String, u64>) -> String {
    let all: u64 = bytes.values().sum();
    let share = |(name, part): (&String, &u64)| {
        format!("{name} {:.0} %", *part as f64 * 100.0 / all.max(1) as f64)
    };
    bytes.iter().filter(|(_, part)| **part > 0).map(share).collect::<Vec<_>>().join(", ")
}

/// Bytes a second.
pub(super) fn rate(bytes: u64) -> String {
    human::rate(human::mbit_of(bytes))
}
