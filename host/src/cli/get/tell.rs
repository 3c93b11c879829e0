//! Tells of a fetch: what happens as it happens, how it stands on a terminal or every so often, and the end.

use super::{lines, table};
use crate::cli::progress;
use crate::cli::report::{Line, Report};
use crate::content::catalog::{Item, ItemKind};
use crate::get::happened::{Happened, Who};
use crate::get::order::Added;
use crate::get::status::Status;
use crate::human;
use crate::transfer::{FileReport, Outcome, Summary};
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Whoever tells.
pub(super) struct Teller {
    report: Arc<Report>,
    out: PathBuf,
    every: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    drawn: Vec<ProgressBar>,
    told: Option<Instant>,
    /// Of a folder, files that went well are counted, not named.
    in_folder: bool,
}

impl Teller {
    /// `out`: where it goes. `every`: how often it is said how things stand.
    pub(super) fn new(report: Arc<Report>, out: PathBuf, every: Option<Duration>) -> Self {
        Self { report, out, every, state: Mutex::default() }
    }

    /// Something happened.
    pub(super) fn happened(&self, happened: &Happened) {
        let report = &self.report;
        match happened {
            Happened::Up(Who { name, .. }) => {
                report.say(&format!("{name}: connected"));
                report.line(&Line::Source { source: name, state: "up", why: None });
            }
            Happened::Down { source: Who { name, .. }, why, gone } => {
                let (state, next) =
                    if *gone { ("gone", "not tried again") } else { ("down", "trying again") };
                report.say(&format!("{name}: {why}; {next}"));
                report.line(&Line::Source { source: name, state, why: Some(why) });
            }
            Happened::Paused(Who { name, .. }) => {
                report.say(&format!("{name}: pauses"));
                report.line(&Line::Source { source: name, state: "paused", why: None });
            }
            Happened::Resumed(Who { name, .. }) => {
                report.say(&format!("{name}: goes on"));
                report.line(&Line::Source { source: name, state: "up", why: None });
            }
            Happened::Offered(offers) => offers_table(report, offers),
            Happened::Began(item) => self.began(item),
            Happened::Differs { source: Who { name: source, .. }, name, root } => {
                let root = root.to_hex();
                report.say(&format!(
                    "{source}: what it calls {name} is something else ({root}); it is not used for that"
                ));
                report.line(&Line::Differs { source, name, root: &root });
            }
            Happened::OtherLength { source: Who { name, .. }, length } => {
                let why = format!("it says that the same content has {length} bytes");
                report.say(&format!(
                    "{name}: {why}; one of the sources lies, so the others come first"
                ));
                report.line(&Line::Source { source: name, state: "differs", why: Some(&why) });
            }
            Happened::BadHashes { source: Who { name, .. }, why } => {
                report.say(&format!("{name}: the hashes beside it cannot be used: {why}"));
                report.line(&Line::Source { source: name, state: "no hashes", why: Some(why) });
            }
            Happened::AllDown => {
                report.say("no source can be reached; trying again until one is back (Ctrl-C ends it, and what is there is kept)");
                report.line(&Line::AllDown);
            }
            Happened::Again(time) => {
                report.say(&format!("bytes come again after {}", human::time(*time)));
                report.line(&Line::Again { seconds: human::seconds(*time) });
            }
            Happened::Lied(Who { name, .. }) => {
                report.say(&format!("{name}: what it sent is wrong; it is dropped, and what it owed is fetched elsewhere"));
                report.line(&Line::Source { source: name, state: "lied", why: None });
            }
            Happened::Refused(Who { name, .. }, reason) => {
                report.say(&format!("{name}: {reason}"));
                let why = reason.to_string();
                report.line(&Line::Source { source: name, state: "lacks", why: Some(&why) });
            }
            Happened::Ended(file) => self.ended(file),
        }
    }

    fn began(&self, item: &Item) {
        let root = item.root().to_hex();
        let (kind, bytes) = kind(item);
        self.lock().in_folder = kind == "folder";
        self.report.say(&format!(
            "fetching {} ({}), root {root}",
            item.name(),
            human::bytes(bytes)
        ));
        self.report.line(&Line::Fetching { name: item.name(), kind, bytes, root: &root });
    }

    fn ended(&self, file: &FileReport) {
        let path = file.path.as_str();
        match &file.outcome {
            Outcome::Stored | Outcome::Already => {
                let already = file.outcome == Outcome::Already;
                self.report.line(&progress::file_line(file, &[]));
                if !self.lock().in_folder {
                    let was = if already { ", was there already" } else { "" };
                    self.report.say(&format!("{path}: {}{was}", human::bytes(file.bytes)));
                }
            }
            _ => progress::tell_bad_end(&self.report, file),
        }
    }

    /// Draws how it stands, or says it when it is time.
    pub(super) fn show(&self, status: &Status) {
        self.draw(status);
        let Some(every) = self.every else { return };
        let mut state = self.lock();
        let now = Instant::now();
        if now.duration_since(*state.told.get_or_insert(now)) < every {
            return;
        }
        state.told = Some(now);
        drop(state);
        self.report.line(&Line::Progress(&lines::fetch(status)));
        if self.report.bars().is_none() {
            self.report.say(&table::total(status));
            for line in table::sources(status) {
                self.report.say(&format!("  {line}"));
            }
        }
    }

    fn draw(&self, status: &Status) {
        let Some(bars) = self.report.bars() else { return };
        let mut state = self.lock();
        let wanted: Vec<String> = core::iter::once(table::total(status))
            .chain(table::sources(status).into_iter().map(|line| format!("  {line}")))
            .collect();
        while state.drawn.len() < wanted.len() {
            let plain = ProgressStyle::with_template(if state.drawn.is_empty() {
                "{wide_bar} {msg}"
            } else {
                // A line that is too long for the terminal is cut, not wrapped.
                "{wide_msg}"
            });
            let style = plain.unwrap_or_else(|_| ProgressStyle::default_bar());
            state.drawn.push(bars.add(ProgressBar::new(0).with_style(style)));
        }
        for (bar, text) in state.drawn.iter().zip(wanted) {
            bar.set_message(crate::transfer::shown(&text));
        }
        if let Some(bar) = state.drawn.first() {
            bar.set_length(status.total.unwrap_or_default());
            bar.set_position(status.had);
        }
    }

    /// The end. `summary`: what became of the files, if all were done with.
    pub(super) fn summary(&self, status: &Status, summary: Option<&Summary>) {
        for bar in self.lock().drawn.drain(..) {
            bar.finish_and_clear();
        }
        let counts = summary.copied().unwrap_or_default();
        let line = lines::fetch(status);
        self.report.line(&Line::Fetched {
            stored: counts.stored,
            already: counts.already,
            refused: counts.refused,
            failed: counts.failed,
            status: &line,
        });
        if status.fetched == 0 && counts.stored == 0 {
            return;
        }
        let mean = human::rate(human::mbit_s(status.fetched, status.time));
        let mut text =
            format!("{} in {}, {mean}", human::bytes(status.fetched), human::time(status.time));
        if counts.stored > 1 {
            text = format!("{} files, {text}", counts.stored);
        }
        if status.wasted > 0 {
            text += &format!("; {} of them for nothing", human::bytes(status.wasted));
        }
        if status.found > 0 {
            text += &format!("; {} were there before", human::bytes(status.found));
        }
        if self.out != Path::new(".") {
            text += &format!("; into {}", self.out.display());
        }
        self.report.say(&text);
        let shares = status.sources.iter().map(|source| (source.name.to_string(), source.bytes));
        self.report.say(&format!("  by server: {}", table::shares(&shares.collect())));
        let links = table::shares(&lines::all_links(status));
        if !links.is_empty() {
            self.report.say(&format!("  by link: {links}"));
        }
        for line in table::ended_sources(status) {
            self.report.say(&format!("  {line}"));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of adding a source; the error says why it is not asked.
pub(super) fn added(name: &str, added: Added) -> Result<String, String> {
    match added {
        Added::New => Ok(format!("{name} is asked too")),
        Added::Again => Ok(format!("{name} was a source already; it is tried again now")),
        Added::Known => Ok(format!("{name} was a source already")),
        Added::Barred => Err(format!("{name} sent what is wrong, and is not asked again")),
        Added::OtherRoot(root) => Err(format!(
            "the ticket is for other content than what is fetched ({root}); {name} is not asked for this"
        )),
    }
}

/// What is offered: on standard output, since that is what was asked for.
fn offers_table(report: &Report, offers: &[(Item, Vec<Who>)]) {
    lines_of(report, offers);
    if offers.is_empty() {
        report.say("nothing is offered");
        return;
    }
    report.show(table_of(offers).trim_end());
}

/// What is offered, for whoever must choose.
pub(super) fn offers(report: &Report, offers: &[(Item, Vec<Who>)]) {
    lines_of(report, offers);
    for line in table_of(offers).lines() {
        report.say(line);
    }
}

fn lines_of(report: &Report, offers: &[(Item, Vec<Who>)]) {
    for (item, sources) in offers {
        let (kind, bytes) = kind(item);
        let sources: Vec<&str> = sources.iter().map(|who| &*who.name).collect();
        let root = item.root().to_hex();
        let name = item.name();
        report.line(&Line::Listed { name, kind, bytes, root: &root, sources: &sources });
    }
}

fn table_of(offers: &[(Item, Vec<Who>)]) -> String {
    let row = |(item, sources): &(Item, Vec<Who>)| {
        let (kind, bytes) = kind(item);
        let names: Vec<&str> = sources.iter().map(|who| &*who.name).collect();
        let name = crate::transfer::shown(item.name());
        [
            if kind == "folder" { format!("{name}/") } else { name },
            human::bytes(bytes),
            item.root().to_hex().to_string(),
            names.join(", "),
        ]
    };
    human::table(&offers.iter().map(row).collect::<Vec<_>>())
}

const fn kind(item: &Item) -> (&'static str, u64) {
    let kind = match item.kind() {
        ItemKind::File(_) => "file",
        ItemKind::Folder(_) => "folder",
    };
    (kind, item.bytes())
}
