//! `ropewalk serve`: offers files and folders to whoever has its ticket, until Ctrl-C.
//!
//! ```text
//!  filling ──> a shelf ──> opening ──> hosts ── events ──> telling
//!                                        ^
//!                  Ctrl-C, what is asked of them: this loop
//! ```

mod filling;
mod opening;
mod telling;

use super::args::Serve;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::line::{ServeLine, ServerLine};
use super::report::{Line, Report};
use super::session;
use crate::home::Home;
use crate::human;
use crate::serve::Server;
use crate::serve::host::{Event, Host, Told};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;
use telling::Telling;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

/// Events that wait to be told; a client waits to come or go while there are more.
const EVENTS_MAX: usize = 256;

/// `ropewalk serve`.
///
/// # Errors
/// When a path cannot be offered, or a server cannot wait at all. What goes wrong with one client is told, and the
/// others are served.
pub async fn serve(
    args: Serve,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let ports = opening::ports(&args)?;
    let home = Home::from_environment()?;
    let filled = filling::fill(args.paths, &home, &report, &mut interrupt).await?;
    let left_out = filled.left_out;
    let server = Server::new(Arc::new(filled.shelf), args.max_rate);
    let telling = Telling::new(Arc::clone(&report), ports.len() > 1);
    let (tell, events) = mpsc::channel(EVENTS_MAX);
    let hosts =
        opening::open(&ports, &args.connect, &home, server.beside(), &report, &tell).await?;
    let tickets: Vec<String> = hosts.iter().map(|host| host.ticket().to_string()).collect();
    session::keep_ticket(args.ticket_file.as_deref(), &tickets.join("\n"))?;
    for ticket in &tickets {
        report.line(&Line::Ticket { ticket });
        report.show(ticket);
    }
    for (path, reason) in &left_out {
        report.line(&Line::LeftOut { path, reason });
    }
    telling.offers(server.shelf());
    report.say("serving; Ctrl-C ends it");
    let running = Running { hosts, ended: BTreeSet::new(), asked: Asked::Nothing, report, telling };
    running.until_all_ended(events, interrupt, args.report).await
}

/// Who asked for the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Interrupted,
}

/// The servers, as long as one of them runs.
struct Running {
    hosts: Vec<Host>,
    /// The numbers of those that have ended.
    ended: BTreeSet<u32>,
    asked: Asked,
    report: Arc<Report>,
    telling: Telling,
}

impl Running {
    async fn until_all_ended(
        mut self,
        mut events: mpsc::Receiver<Told>,
        mut interrupt: Interrupt,
        report_every: Option<Duration>,
    ) -> Result<Code, Failure> {
        let mut reporting = report_every.map(every);
        while self.ended.len() < self.hosts.len() {
            tokio::select! {
                Some(told) = events.recv() => self.hear(&told),
                () = interrupt.pressed(), if self.asked != Asked::Interrupted => {
                    self.asked = Asked::Interrupted;
                    self.close_all();
                }
                () = due(&mut reporting) => self.tell_status(),
            }
        }
        let given: u64 = self.hosts.iter().map(|host| host.status().status.bytes).sum();
        self.report.say(&format!("{} given", human::bytes(given)));
        match self.asked {
            Asked::Interrupted => Err(Interrupt::failure()),
            Asked::Nothing => Err(session::no_link_left()),
        }
    }

    fn hear(&mut self, told: &Told) {
        self.telling.event(told);
        let host = self.hosts.iter().find(|host| host.number() == told.server);
        match told.event {
            Event::Ended => drop(self.ended.insert(told.server)),
            Event::Went(_) => {
                if let Some(endpoint) = host.and_then(Host::endpoint) {
                    session::tell_lines(&endpoint, &self.report);
                }
            }
            _ => {}
        }
    }

    fn close_all(&self) {
        self.hosts.iter().for_each(|host| host.server().close());
    }

    /// Every server's line.
    fn tell_status(&self) {
        for host in &self.hosts {
            let line = ServerLine::from(&host.status());
            self.report.say(&line.in_words());
            self.report.line(&Line::Serve(ServeLine::Server(Box::new(line))));
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
