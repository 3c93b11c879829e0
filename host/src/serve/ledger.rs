//! What a connection's paths carried, by link: a path that is gone keeps what it was last seen with.

use super::status::LinkStatus;
use crate::connection::PathReport;
use ropewalk_core::id::PathId;
use std::collections::BTreeMap;

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    paths: BTreeMap<PathId, LinkStatus>,
}

impl Ledger {
    /// The paths as they are now.
    pub(super) fn enter(&mut self, paths: &[PathReport]) {
        for path in paths {
            let link = path.link_name.clone();
            self.paths.insert(path.id, LinkStatus { link, bytes: path.data_sent });
        }
    }

    /// Each link once, by its name.
    pub(super) fn links(&self) -> Vec<LinkStatus> {
        let mut links = BTreeMap::<&str, u64>::new();
        for LinkStatus { link, bytes } in self.paths.values() {
            *links.entry(link).or_default() += bytes;
        }
        let status = |(link, bytes): (&str, u64)| LinkStatus { link: link.to_owned(), bytes };
        links.into_iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::PathState;
    use core::time::Duration;

    fn path(id: u32, link: &str, data_sent: u64) -> PathReport {
        PathReport {
            id: PathId(id),
            link_name: link.into(),
            local: String::new(),
            remote: String::new(),
            state: PathState::Active,
            smoothed_rtt: Duration::ZERO,
            rate: 0,
            datagram_bytes: 0,
            sent_packets: 0,
            lost_packets: 0,
            data_sent,
            data_received: 0,
            state_changes: 0,
        }
    }

    #[test]
    fn a_path_that_is_gone_keeps_what_it_carried() {
        let mut ledger = Ledger::default();
        ledger.enter(&[path(0, "eth0", 5), path(1, "wlan0", 1), path(2, "eth0", 7)]);
        ledger.enter(&[path(0, "eth0", 6), path(3, "wlan0", 2)]);
        let links: Vec<_> =
            ledger.links().into_iter().map(|link| (link.link, link.bytes)).collect();
        assert_eq!(links, [("eth0".into(), 13), ("wlan0".into(), 3)]);
    }
}
