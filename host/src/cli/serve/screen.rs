//! The live status on a terminal: a line for each server, its clients and their paths if they are shown, and
//! what the keys do.

use super::super::line::ServerLine;
use super::super::report::Report;
use super::super::session::{self, Direction};
use super::keys::{HELP, SURE, Selection};
use crate::serve::status::HostStatus;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Lines that are drawn below whatever is said. There is none unless standard error is a terminal.
pub(super) struct Screen {
    bars: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Screen {
    pub(super) fn of(report: &Report) -> Option<Self> {
        report.bars().map(|bars| Self { bars: bars.clone(), lines: Vec::new() })
    }

    /// Draws these lines instead of those before.
    pub(super) fn draw(&mut self, texts: &[String]) {
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                line.finish_and_clear();
                self.bars.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            // A line that is too long for the terminal is cut, not wrapped.
            let plain = ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            self.lines.push(self.bars.add(ProgressBar::new_spinner().with_style(plain)));
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text.clone());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.draw(&[]);
    }
}

/// What the screen shows.
pub(super) fn lines(hosts: &[HostStatus], selection: Selection, has_keys: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for host in hosts {
        let server = ServerLine::from(host);
        let selected = selection.which().means(host.server);
        let mark = if selected && has_keys { '>' } else { ' ' };
        lines.push(format!("{mark} {}", server.in_words()));
        if !selection.clients || !selected {
            continue;
        }
        let addresses = server.addresses.join(" ");
        lines.push(format!(
            "    at {}",
            if addresses.is_empty() { "no address" } else { &addresses }
        ));
        for (client, status) in server.clients.iter().zip(&host.status.clients) {
            lines.push(format!("    {}", client.in_words()));
            for path in &status.paths {
                lines.push(format!("      {}", session::path_text(path, Direction::Sending).text));
            }
        }
    }
    lines.push(match (has_keys, selection.is_asked()) {
        (true, false) => HELP.to_owned(),
        (true, true) => SURE.to_owned(),
        (false, _) => "Ctrl-C ends it".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{PathReport, PathState};
    use crate::serve::client::Phase;
    use crate::serve::status::{ClientStatus, LinkStatus, Status};
    use core::time::Duration;
    use ropewalk_core::id::{PathId, PublicKey};

    fn host(server: u32) -> HostStatus {
        let path = PathReport {
            id: PathId(0),
            link_name: "eth0".into(),
            local: "10.0.0.1".into(),
            remote: "10.0.0.2:7".into(),
            state: PathState::Active,
            smoothed_rtt: Duration::from_millis(3),
            rate: 0,
            datagram_bytes: 1_472,
            sent_packets: 0,
            lost_packets: 0,
            data_sent: 2_000,
            data_received: 0,
            state_changes: 0,
        };
        let links = vec![LinkStatus { link: "eth0".into(), bytes: 2_000 }];
        let client = ClientStatus {
            number: 1,
            peer: PublicKey([7; 32]),
            time: Duration::from_secs(2),
            bytes: 1_000,
            rate: 500,
            paths: vec![path],
            links: links.clone(),
        };
        let (phase, clients) = (Phase::Serving, vec![client]);
        let status = Status { phase, clients, bytes: 1_000, rate: 500, links };
        let addresses = vec!["10.0.0.1:7".parse().unwrap()];
        HostStatus { server, port: 7, addresses, closed: false, status }
    }

    #[test]
    fn clients_and_paths_are_shown_for_what_is_selected() {
        let mut selection = Selection::default();
        let hosts = [host(1), host(2)];
        let all = lines(&hosts, selection, true);
        assert_eq!(all.len(), 3, "{all:#?}");
        assert_eq!(
            all[1],
            "> server 2: serving, port 7, 1 client, 1.0 kB, 4.0 kbit/s; eth0 2.0 kB"
        );
        selection.press(b'2', 2);
        selection.press(b's', 2);
        let some = lines(&hosts, selection, true);
        assert_eq!(some.len(), 6, "{some:#?}");
        assert!(some[0].starts_with("  server 1: ") && some[1].starts_with("> server 2: "));
        assert_eq!(some[2], "    at 10.0.0.1:7");
        assert!(some[3].starts_with("    client 1, "), "{some:#?}");
        assert!(some[4].contains("eth0 to 10.0.0.2:7: active, 2.0 kB, 3.0 ms"), "{some:#?}");
        assert!(lines(&hosts, selection, false)[1].starts_with("  server 2"));
    }
}
