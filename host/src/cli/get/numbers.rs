//! What Prometheus reads of a fetch.

use super::{lines, table};
use crate::get::source::Standing;
use crate::get::status::Status;
use crate::metrics::{Kind, Page};

/// The numbers of a fetch.
pub(super) fn page(status: &Status) -> Page {
    let mut page = Page::default();
    page.family("ropewalk_get_bytes", Kind::Gauge, "Bytes that are here and proved")
        .number(&[], status.had);
    page.family("ropewalk_get_total_bytes", Kind::Gauge, "Bytes that are wanted")
        .number(&[], status.total.unwrap_or_default());
    let name = "ropewalk_get_source_bytes_total";
    let mut bytes = page.family(name, Kind::Counter, "Bytes that came from a source");
    for source in &status.sources {
        bytes.number(&[("source", &source.name)], source.bytes);
    }
    let name = "ropewalk_get_source_wasted_bytes_total";
    let mut wasted = page.family(name, Kind::Counter, "Bytes of a source that were of no use");
    for source in &status.sources {
        wasted.number(&[("source", &source.name)], source.wasted);
    }
    let name = "ropewalk_get_source_bytes_per_second";
    let mut rate = page.family(name, Kind::Gauge, "Bytes a second from a source now");
    for source in &status.sources {
        rate.number(&[("source", &source.name)], source.rate);
    }
    let name = "ropewalk_get_source_failures_total";
    let mut failures =
        page.family(name, Kind::Counter, "How often a source was lost, fell silent or refused");
    for source in &status.sources {
        failures.number(&[("source", &source.name)], source.failures);
    }
    let name = "ropewalk_get_source_up";
    let mut up = page.family(name, Kind::Gauge, "1 if the source answers");
    for source in &status.sources {
        let labels = [("source", &source.name as _), ("state", &table::state(source) as _)];
        up.number(&labels, source.standing == Standing::Up && !source.silent);
    }
    let name = "ropewalk_get_link_bytes_total";
    let mut links = page.family(name, Kind::Counter, "Bytes of streams that came by each link");
    for (link, bytes) in lines::all_links(status) {
        links.number(&[("link", &link)], bytes);
    }
    page
}
