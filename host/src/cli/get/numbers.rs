//! What Prometheus reads of a fetch. Each source is a series of its own, whatever it is called.

use super::{lines, table};
use crate::get::source::Standing;
use crate::get::status::Status;
use crate::metrics::{Kind, Page};

/// The numbers of a fetch.
pub(super) fn page(status: &Status) -> Page {
    let mut page = Page::default();
    let names = names(status.sources.iter().map(|source| &*source.name));
    let sources = || names.iter().zip(&status.sources);
    page.family("ropewalk_get_bytes", Kind::Gauge, "Bytes that are here and proved")
        .number(&[], status.had);
    page.family("ropewalk_get_total_bytes", Kind::Gauge, "Bytes that are wanted")
        .number(&[], status.total.unwrap_or_default());
    let name = "ropewalk_get_source_bytes_total";
    let mut bytes = page.family(name, Kind::Counter, "Bytes that came from a source");
    for (name, source) in sources() {
        bytes.number(&[("source", name)], source.bytes);
    }
    let name = "ropewalk_get_source_wasted_bytes_total";
    let mut wasted = page.family(name, Kind::Counter, "Bytes of a source that were of no use");
    for (name, source) in sources() {
        wasted.number(&[("source", name)], source.wasted);
    }
    let name = "ropewalk_get_source_bytes_per_second";
    let mut rate = page.family(name, Kind::Gauge, "Bytes a second from a source now");
    for (name, source) in sources() {
        rate.number(&[("source", name)], source.rate);
    }
    let name = "ropewalk_get_source_failures_total";
    let mut failures =
        page.family(name, Kind::Counter, "How often a source was lost, fell silent or refused");
    for (name, source) in sources() {
        failures.number(&[("source", name)], source.failures);
    }
    let name = "ropewalk_get_source_up";
    let mut up = page.family(name, Kind::Gauge, "1 if the source answers");
    for (name, source) in sources() {
        up.number(&[("source", name)], source.standing == Standing::Up && !source.silent);
    }
    let name = "ropewalk_get_source_state";
    let mut state = page.family(name, Kind::Gauge, "1 for the state that the source is in");
    for (name, source) in sources() {
        state.number(&[("source", name), ("state", &table::state(source))], true);
    }
    let name = "ropewalk_get_link_bytes_total";
    let mut links = page.family(name, Kind::Counter, "Bytes of streams that came by each link");
    for (link, bytes) in lines::all_links(status) {
        links.number(&[("link", &link)], bytes);
    }
    page
}

/// Each source's name, and its place behind that where another one before it has the same.
fn names<'n>(sources: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut names = Vec::<String>::new();
    for source in sources {
        let numbered = (2..).map(|nth| format!("{source} #{nth}"));
        let mut wanted = core::iter::once(source.to_owned()).chain(numbered);
        let name = wanted.find(|name| !names.contains(name));
        names.extend(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_series_is_there_twice() {
        assert_eq!(
            names(["a", "b", "a", "a #2", "a"].into_iter()),
            ["a", "b", "a #2", "a #2 #2", "a #3"]
        );
    }
}
