//! What Prometheus reads of the servers.

use crate::metrics::{Kind, Page};
use crate::serve::client::Phase;
use crate::serve::status::HostStatus;

/// The servers' numbers.
pub(super) fn page(hosts: &[HostStatus]) -> Page {
    let mut page = Page::default();
    let mut bytes = page.family(
        "ropewalk_serve_bytes_total",
        Kind::Counter,
        "Bytes of content and hashes given to clients",
    );
    for host in hosts {
        bytes.number(&[("server", &host.server)], host.status.bytes);
    }
    let mut rate = page.family(
        "ropewalk_serve_bytes_per_second",
        Kind::Gauge,
        "Bytes a second that all clients get now",
    );
    for host in hosts {
        rate.number(&[("server", &host.server)], host.status.rate);
    }
    let mut clients = page.family("ropewalk_serve_clients", Kind::Gauge, "Clients that are here");
    for host in hosts {
        clients.number(&[("server", &host.server)], host.status.clients.len() as u64);
    }
    let mut phases = page.family(
        "ropewalk_serve_phase",
        Kind::Gauge,
        "1 for the phase that the server is in, 0 for the others",
    );
    for host in hosts {
        for phase in [Phase::Serving, Phase::Paused, Phase::Closing] {
            let labels = [("server", &host.server as _), ("phase", &phase as _)];
            phases.number(&labels, host.status.phase == phase);
        }
    }
    let mut links = page.family(
        "ropewalk_serve_link_bytes_total",
        Kind::Counter,
        "Bytes of streams sent by each link, those sent again included",
    );
    for host in hosts {
        for link in &host.status.links {
            links.number(&[("server", &host.server), ("link", &link.link)], link.bytes);
        }
    }
    let mut rtt = page.family(
        "ropewalk_serve_path_round_trip_seconds",
        Kind::Gauge,
        "The smoothed round trip of each path",
    );
    for host in hosts {
        for client in &host.status.clients {
            for path in &client.paths {
                let labels = [
                    ("server", &host.server as &dyn core::fmt::Display),
                    ("client", &client.number),
                    ("path", &path.id.0),
                    ("link", &path.link_name),
                ];
                rtt.number(&labels, path.smoothed_rtt.as_secs_f64());
            }
        }
    }
    page
}
