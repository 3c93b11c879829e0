//! What happens at the servers, in words and in lines for programs.

use super::super::line::{ClientLine, ServeLine};
use super::super::report::{Line, Report};
use super::super::session;
use crate::content::catalog::ItemKind;
use crate::serve::host::{Event, Told};
use crate::serve::shelf::Shelf;
use crate::serve::status::ClientStatus;
use crate::{human, key_text};
use ropewalk_core::id::PublicKey;
use std::sync::Arc;

/// Tells of one server or of several.
pub(super) struct Telling {
    report: Arc<Report>,
    /// Whether it must be said which server is meant.
    several: bool,
}

impl Telling {
    pub(super) const fn new(report: Arc<Report>, several: bool) -> Self {
        Self { report, several }
    }

    /// What is on the shelf.
    pub(super) fn offers(&self, shelf: &Shelf) {
        for item in shelf.catalog().items() {
            let (root, name) = (item.root().to_hex(), item.name());
            let entries = match item.kind() {
                ItemKind::File(_) => None,
                ItemKind::Folder(totals) => Some(totals.entries),
            };
            let bytes = item.bytes();
            self.line(ServeLine::Offered { name, entries, bytes, root: &root });
            let inside = entries.map(|count| format!("{count} files and folders, "));
            let (inside, size) = (inside.unwrap_or_default(), human::bytes(bytes));
            self.report.say(&format!("offers {name}: {inside}{size}, {root}"));
        }
    }

    /// Something that happened.
    pub(super) fn event(&self, Told { server, event }: &Told) {
        let server = *server;
        match event {
            Event::Came { client, peer } => {
                let (key, known) = (key_text::format(peer), session::known_name(peer));
                let (client, name) = (*client, known.as_deref());
                self.line(ServeLine::ClientCame { server, client, peer: &key, name });
                self.say(server, &format!("{} came", called(client, peer)));
            }
            Event::Went(client) => self.went(server, client, None),
            Event::Broke { client, error } => self.went(server, client, Some(error.to_string())),
            Event::Busy { peer } => {
                let key = key_text::format(peer);
                self.line(ServeLine::ClientTurnedAway { server, peer: &key });
                let name = session::name(peer);
                self.say(server, &format!("{name} was turned away: there are too many clients"));
            }
            Event::Phase(phase) => {
                self.line(ServeLine::Phase { server, phase: phase.to_string() });
                self.say(server, &phase.to_string());
            }
            Event::Ended => {
                self.line(ServeLine::Closed { server });
                if self.several {
                    self.say(server, "closed");
                }
            }
        }
    }

    fn went(&self, server: u32, status: &ClientStatus, broke: Option<String>) {
        let client = ClientLine::from(status);
        let rate = human::rate(human::mbit_s(status.bytes, status.time));
        let (bytes, time) = (human::bytes(status.bytes), human::time(status.time));
        let who = called(status.number, &status.peer);
        let how = match &broke {
            Some(why) => format!("was hung up on: {why}"),
            None => "went".into(),
        };
        self.say(server, &format!("{who} {how}; {bytes} in {time}, {rate}"));
        self.line(ServeLine::ClientWent { server, client, broke });
    }

    fn line(&self, line: ServeLine<'_>) {
        self.report.line(&Line::Serve(line));
    }

    fn say(&self, server: u32, text: &str) {
        match self.several {
            true => self.report.say(&format!("server {server}: {text}")),
            false => self.report.say(text),
        }
    }
}

/// A client in words.
fn called(client: u64, peer: &PublicKey) -> String {
    format!("client {client}, {}", session::name(peer))
}
