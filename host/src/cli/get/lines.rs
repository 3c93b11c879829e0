//! How a fetch stands, for programs.

use super::table;
use crate::cli::line::{FetchLine, LinkShare, SourceLine};
use crate::get::status::{SourceStatus, Status};
use crate::human;
use std::collections::BTreeMap;

/// All of it.
pub(super) fn fetch(status: &Status) -> FetchLine {
    FetchLine {
        item: status.item.clone(),
        bytes: status.had,
        total: status.total,
        found: status.found,
        fetched: status.fetched,
        wasted: status.wasted,
        seconds: human::seconds(status.time),
        mbit_s: human::mbit_of(status.rate),
        sources: status.sources.iter().map(source).collect(),
        links: links(&all_links(status)),
    }
}

/// What each link carried from all sources together.
pub(super) fn all_links(status: &Status) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::<String, u64>::new();
    for (link, bytes) in status.sources.iter().flat_map(|source| &source.links) {
        *all.entry(link.clone()).or_default() += bytes;
    }
    all
}

fn source(source: &SourceStatus) -> SourceLine {
    SourceLine {
        source: source.name.to_string(),
        state: table::state(source),
        why: source.why.clone(),
        bytes: source.bytes,
        wasted: source.wasted,
        pieces: source.pieces,
        failures: source.failures,
        mbit_s: human::mbit_of(source.rate),
        mean_mbit_s: human::mbit_of(source.mean),
        round_trip_ms: source.round_trip.map(human::millis),
        links: links(&source.links),
        paths: source.paths.len(),
    }
}

fn links(bytes: &BTreeMap<String, u64>) -> Vec<LinkShare> {
    bytes.iter().map(|(link, bytes)| LinkShare { link: link.clone(), bytes: *bytes }).collect()
}
