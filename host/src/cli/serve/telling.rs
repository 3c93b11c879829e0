//! What happens at the servers, in words and in lines for programs, by a thread of its own.
//!
//! ```text
//!  Running ── news ──> a queue ──> the thread: Teller ──> standard output and error, the log
//!     └ no room: counted, and told when there is room again
//! ```
//!
//! Whoever reads standard output may be slow, or stuck: nobody who is served waits for that, nor does Ctrl-C.

use super::super::line::{ClientLine, Line, ServeLine, ServerLine};
use super::super::report::Report;
use super::super::session;
use crate::content::catalog::ItemKind;
use crate::endpoint::Endpoint;
use crate::serve::changes::{Change, Fate};
use crate::serve::host::{Event, Told};
use crate::serve::shelf::Shelf;
use crate::serve::status::{ClientStatus, HostStatus};
use crate::{human, key_text};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use ropewalk_core::id::PublicKey;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// News that wait to be told.
const NEWS_MAX: usize = 256;
/// How long the last ones may take.
const LAST_TIME: Duration = Duration::from_secs(1);

/// Something to tell.
pub(super) enum News {
    /// It happened at a server.
    Event(Told),
    /// A client went; what became of the serial lines' frames.
    Lines(Weak<Endpoint>),
    /// How a server is.
    Status(HostStatus),
    /// What is offered is not what it was.
    Change(Change),
    /// So many news found no room.
    Missed(u64),
}

/// Has things told.
pub(super) struct Telling {
    news: SyncSender<News>,
    done: oneshot::Receiver<()>,
    /// News that found no room and were not told of.
    missed: Arc<AtomicU64>,
}

impl Telling {
    /// From now on `teller` tells.
    pub(super) fn begin(teller: Teller) -> Self {
        let (news, queue) = sync_channel(NEWS_MAX);
        let (tell_done, done) = oneshot::channel();
        let missed = Arc::<AtomicU64>::default();
        let last = Arc::clone(&missed);
        std::thread::spawn(move || {
            queue.into_iter().for_each(|news| teller.news(&news));
            match last.load(Ordering::Relaxed) {
                0 => {}
                missed => teller.news(&News::Missed(missed)),
            }
            let _ = tell_done.send(());
        });
        Self { news, done, missed }
    }

    /// Has it told, without waiting.
    pub(super) fn news(&self, news: News) {
        let missed = self.missed.load(Ordering::Relaxed);
        let has_room = missed == 0 || self.news.try_send(News::Missed(missed)).is_ok();
        let before = if has_room { 0 } else { missed };
        let is_missed = !has_room || self.news.try_send(news).is_err();
        self.missed.store(before + u64::from(is_missed), Ordering::Relaxed);
    }

    /// Waits a moment until all is told; whether it was.
    pub(super) async fn finish(self) -> bool {
        drop(self.news);
        tokio::time::timeout(LAST_TIME, self.done).await.is_ok()
    }
}

/// Tells of one server or of several.
pub(super) struct Teller {
    report: Arc<Report>,
    /// Whether it must be said which server is meant.
    several: bool,
}

impl Teller {
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

    fn news(&self, news: &News) {
        match news {
            News::Event(told) => self.event(told),
            News::Lines(endpoint) => {
                if let Some(endpoint) = endpoint.upgrade() {
                    session::tell_lines(&endpoint, &self.report);
                }
            }
            News::Status(status) => {
                let line = ServerLine::from(status);
                self.report.say(&line.in_words());
                self.line(ServeLine::Server(Box::new(line)));
            }
            News::Change(change) => self.change(change),
            News::Missed(events) => self.missed(None, *events),
        }
    }

    /// Something that happened.
    fn event(&self, Told { server, event }: &Told) {
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
            Event::Busy { peer, full } => {
                let key = key_text::format(peer);
                self.line(ServeLine::ClientTurnedAway { server, peer: &key });
                let name = session::name(peer);
                self.say(server, &format!("{name} was turned away: {full}"));
            }
            Event::Missed(events) => self.missed(Some(server), *events),
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

    fn change(&self, Change { name, fate }: &Change) {
        self.line(ServeLine::ItemChanged { name, state: fate.to_string() });
        let what = match fate {
            Fate::Checking => {
                "was renamed, or its permissions changed; it is hashed again, and who asks for it waits"
            }
            Fate::Same => "is the same, and is given on",
            Fate::Changed => {
                "is not what it was, and is not given any more; `ropewalk serve` it again to offer what it is now"
            }
        };
        self.report.say(&format!("{name} {what}"));
    }

    fn missed(&self, server: Option<u32>, events: u64) {
        self.line(ServeLine::Missed { server, events });
        self.report
            .say(&format!("{events} events were not told: what is told is not read fast enough"));
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
