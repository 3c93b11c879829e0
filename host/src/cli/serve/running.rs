//! The servers while one of them runs: what happens is told, what is asked of them is done.

use super::super::exit::{Code, Failure};
use super::super::interrupt::Interrupt;
use super::super::line::{Line, ServeLine, ServerLine};
use super::super::report::Report;
use super::super::session;
use super::super::terminal::Keys;
use super::keys::Selection;
use super::screen::{self, Screen};
use super::telling::{News, Telling};
use crate::cli::outside;
use crate::ctl::{Asked, Command, Which};
use crate::human;
use crate::serve::Server;
use crate::serve::client::Phase;
use crate::serve::host::{Event, Host, Told};
use crate::serve::status::HostStatus;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

const DRAW_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked whether what is offered changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who wants the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Nobody,
    Asked,
    Interrupted,
}

/// The servers.
pub(super) struct Running {
    hosts: Arc<Vec<Host>>,
    /// The numbers of those that have ended.
    ended: BTreeSet<u32>,
    end: End,
    report: Arc<Report>,
    telling: Telling,
    screen: Option<Screen>,
    keys: Option<Keys>,
    selection: Selection,
}

impl Running {
    pub(super) fn new(hosts: Arc<Vec<Host>>, report: Arc<Report>, telling: Telling) -> Self {
        let screen = Screen::of(&report);
        let keys = screen.as_ref().and_then(|_| Keys::listen());
        let (ended, end, selection) = (BTreeSet::new(), End::Nobody, Selection::default());
        Self { hosts, ended, end, report, telling, screen, keys, selection }
    }

    /// How it ended, and whether all of it was told: not, where nobody reads what is told.
    pub(super) async fn until_all_ended(
        mut self,
        mut events: mpsc::Receiver<Told>,
        mut interrupt: Interrupt,
        mut asked: Option<mpsc::Receiver<Asked>>,
        report_every: Option<Duration>,
    ) -> (Result<Code, Failure>, bool) {
        let mut looking = every(LOOK_EVERY);
        let mut reporting = report_every.map(every);
        let mut drawing = self.screen.as_ref().map(|_| every(DRAW_EVERY));
        self.draw();
        while self.ended.len() < self.hosts.len() {
            tokio::select! {
                Some(told) = events.recv() => self.hear(told),
                () = interrupt.pressed(), if self.end != End::Interrupted => {
                    self.end = End::Interrupted;
                    self.hosts.iter().for_each(|host| host.server().close());
                }
                asked = outside::received(&mut asked) => self.answer(asked),
                key = pressed(&mut self.keys) => self.press(key),
                () = due(&mut reporting) => self.report_all(),
                () = due(&mut drawing) => self.draw(),
                _ = looking.tick() => self.look(),
            }
        }
        (self.keys, self.screen) = (None, None);
        let told = self.telling.finish().await;
        let given: u64 = self.hosts.iter().map(|host| host.status().status.bytes).sum();
        if told {
            self.report.say(&format!("{} given", human::bytes(given)));
        }
        let ended = match self.end {
            End::Interrupted => Err(Interrupt::failure()),
            End::Asked => Ok(Code::Done),
            End::Nobody => Err(session::no_link_left()),
        };
        (ended, told)
    }

    fn status(&self) -> Vec<HostStatus> {
        self.hosts.iter().map(Host::status).collect()
    }

    fn draw(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        let status: Vec<_> = self.hosts.iter().map(Host::status).collect();
        screen.draw(&screen::lines(&status, self.selection, self.keys.is_some()));
    }

    fn hear(&mut self, told: Told) {
        let (server, has_ended) = (told.server, matches!(told.event, Event::Ended));
        let went = matches!(told.event, Event::Went(_));
        self.telling.news(News::Event(told));
        if has_ended {
            self.ended.insert(server);
        }
        let host = self.hosts.iter().find(|host| host.number() == server);
        if went && let Some(endpoint) = host.and_then(Host::endpoint) {
            self.telling.news(News::Lines(Arc::downgrade(&endpoint)));
        }
    }

    /// Has told what was found changed. All servers have the same shelf.
    fn look(&mut self) {
        let changes = self.hosts.first().map(|host| host.server().shelf().take_changes());
        for change in changes.into_iter().flatten() {
            self.telling.news(News::Change(change));
        }
    }

    fn press(&mut self, key: u8) {
        let servers = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        if let Some(command) = self.selection.press(key, servers)
            && let Err(why) = self.obey(&command, false)
        {
            self.report.say(&why);
        }
        self.draw();
    }

    fn answer(&mut self, asked: Asked) {
        match self.obey(&asked.command.clone(), asked.json) {
            Ok(lines) => asked.answer(lines),
            Err(why) => asked.refuse(why),
        }
    }

    /// Does what is asked; the lines to answer with, or why not.
    fn obey(&mut self, command: &Command, json: bool) -> Result<Vec<String>, String> {
        match command {
            Command::Status => return Ok(self.status_lines(json)),
            Command::Add(_) => {
                return Err("this is `ropewalk serve`, which has no sources; add is for get".into());
            }
            Command::Pause(which) => self.each(*which, Server::pause)?,
            Command::Resume(which) => self.each(*which, Server::resume)?,
            Command::Close(which) => self.close(*which)?,
            Command::Quit => self.close(Which::All)?,
        }
        Ok(if json { self.status_lines(true) } else { Vec::new() })
    }

    fn close(&mut self, which: Which) -> Result<(), String> {
        self.each(which, Server::close)?;
        // Of one that is left it is not known yet how it will end.
        let all = self.hosts.iter().all(|host| {
            self.ended.contains(&host.number()) || host.server().phase() == Phase::Closing
        });
        if all && self.end == End::Nobody {
            self.end = End::Asked;
        }
        Ok(())
    }

    /// With every server that is meant and has not ended.
    fn each(&self, which: Which, order: impl Fn(&Server)) -> Result<(), String> {
        let (mut meant, mut there) = (0, 0);
        for host in self.hosts.iter().filter(|host| which.means(host.number())) {
            meant += 1;
            if !self.ended.contains(&host.number()) {
                there += 1;
                order(host.server());
            }
        }
        match (meant, there) {
            (0, _) => {
                Err(format!("there is no server {which}; they are 1 to {}", self.hosts.len()))
            }
            (_, 0) => Err(format!("server {which} is closed")),
            _ => Ok(()),
        }
    }

    fn status_lines(&self, json: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for host in self.status() {
            let server = ServerLine::from(&host);
            if json {
                let line = Line::Serve(ServeLine::Server(Box::new(server)));
                lines.extend(serde_json::to_string(&line));
                continue;
            }
            lines.push(server.in_words());
            lines.extend(server.clients.iter().map(|client| format!("  {}", client.in_words())));
        }
        lines
    }

    /// Every server's line.
    fn report_all(&mut self) {
        for host in self.status() {
            self.telling.news(News::Status(host));
        }
    }
}

/// Ticks every so often, the first time after that.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for the next tick, for ever if there is none.
async fn due(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => core::future::pending().await,
    }
}

/// The next key, if there are any.
async fn pressed(keys: &mut Option<Keys>) -> u8 {
    match keys {
        Some(keys) => keys.next().await,
        None => core::future::pending().await,
    }
}
