//! `ropewalk get`: fetches from many servers at once, and tells how it goes.

mod lines;
mod table;
mod tell;

use super::args;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::report::Report;
use super::session;
use crate::fetch::partial::{Leftover, Replace};
use crate::get::choice::{Open, Wish};
use crate::get::happened::GetError;
use crate::get::job::{How, JobError};
use crate::get::order::{Control, Order};
use crate::get::run::{Running, start};
use crate::get::source::Source;
use crate::get::status::Status;
use crate::home::Home;
use crate::key_text;
use crate::peer::{PeerAddress, PeerError};
use crate::peers::Peers;
use crate::transfer::Summary;
use crate::transfer::safe_path::Root;
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use tell::Teller;

/// Memory for what is under way from all sources together.
const WINDOWS: u64 = 20 << 20;
/// Of one source, at most and at least.
const WINDOW_MAX: u64 = 16 << 20;
const WINDOW_MIN: u64 = 2 << 20;
/// How often it is said how things stand, where that is not drawn.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// A file with sources in it is not longer.
const SOURCES_BYTES_MAX: u64 = 1 << 20;

/// `ropewalk get`.
///
/// # Errors
/// When nothing can be fetched, or not all of it.
pub async fn get(
    args: args::Get,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let sources = sources(&args.sources, &home)?;
    let into = Root::open(&args.out).map_err(|cause| {
        let out = args.out.display();
        let next = "name another folder with --out";
        Failure::new(Code::Failed, format!("cannot fetch into {out}: {cause}; {next}"))
    })?;
    let mut connect = args.connect.clone();
    let each = (WINDOWS / sources.len().max(1) as u64).clamp(WINDOW_MIN, WINDOW_MAX);
    connect.window.get_or_insert(each);
    let endpoint = Arc::new(session::dialler(&connect, &home, &report).await?);
    let order = Order {
        sources,
        wish: Wish { root: args.root, picks: args.picks.clone() },
        list: args.list,
        into: Arc::new(into),
        how: How {
            replace: if args.overwrite { Replace::Yes } else { Replace::No },
            leftover: if args.no_resume { Leftover::Discard } else { Leftover::Resume },
        },
        rate_max: args.max_rate,
        give_up_after: args.give_up_after.map(Duration::from_secs_f64),
    };
    let running = start(endpoint.clone(), order);
    let every = args.report.map(Duration::from_secs_f64);
    let every = every.or_else(|| report.bars().is_none().then_some(REPORT_EVERY));
    let teller = Teller::new(report.clone(), every);
    let (ended, status) = follow(running, &teller, &mut interrupt).await;
    if !args.list {
        teller.summary(&status, ended.as_ref().ok());
    }
    endpoint.close(ropewalk_core::error::code::DONE, "");
    session::tell_lines(&endpoint, &report);
    ended.map(|summary| Code::of(&summary)).map_err(|error| failure(&error, &status, &report))
}

/// Tells what happens until the end.
async fn follow(
    mut running: Running,
    teller: &Teller,
    interrupt: &mut Interrupt,
) -> (Result<Summary, GetError>, Status) {
    let mut tick = tokio::time::interval(table::DRAW_EVERY);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            Some(happened) = running.happened.recv() => teller.happened(&happened),
            ended = &mut running.ended => break ended,
            () = interrupt.pressed(), if !stopping => {
                stopping = true;
                let _ = running.control.send(Control::Stop);
            }
            _ = tick.tick() => teller.show(&running.status.borrow()),
        }
    };
    while let Ok(happened) = running.happened.try_recv() {
        teller.happened(&happened);
    }
    let status = running.status.borrow().clone();
    let ended = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    (ended, status)
}

fn failure(error: &GetError, status: &Status, report: &Report) -> Failure {
    match error {
        GetError::Open(open, offers) => {
            tell::offers(report, offers);
            let code = match open {
                Open::Nothing => Code::Refused,
                _ => Code::Usage,
            };
            Failure::new(code, open)
        }
        GetError::NoSource => {
            let lied = status.sources.iter().any(|source| source.lied);
            let code = if lied { Code::Corrupt } else { Code::Refused };
            let each = status.sources.iter().map(|source| {
                format!("{}: {}", source.name, source.why.as_deref().unwrap_or("gone"))
            });
            let each = each.collect::<Vec<_>>().join("; ");
            Failure::new(code, format!("{error}: {each}{}", resumable(status)))
        }
        GetError::GaveUp(_) => {
            let reached = status.sources.iter().any(|source| source.mean > 0);
            let code = if reached { Code::Stopped } else { Code::Unreachable };
            Failure::new(code, format!("{error}{}", resumable(status)))
        }
        GetError::Stopped => {
            Failure::new(Code::Interrupted, format!("interrupted{}", resumable(status)))
        }
        GetError::Job(JobError::NoSuchPath { .. }) | GetError::TicketsDiffer(_) => {
            Failure::usage(error)
        }
        _ => Failure::new(Code::Failed, error),
    }
}

fn resumable(status: &Status) -> &'static str {
    match status.had {
        0 => "",
        _ => "; what is there is kept: do the same again to go on",
    }
}

/// What the command line names, each source once.
fn sources(words: &[String], home: &Home) -> Result<Vec<Source>, Failure> {
    let peers = Peers::load(home).unwrap_or_default();
    let mut sources = Vec::new();
    for word in words {
        match word.strip_prefix('@') {
            None => sources.push(source(word, home, &peers)?),
            Some(file) => {
                for line in lines_of(Path::new(file))? {
                    let named = source(&line, home, &peers);
                    let named = named.map_err(|failure| {
                        Failure::new(failure.code, format!("{file}: {}", failure.message))
                    });
                    sources.push(named?);
                }
            }
        }
    }
    Ok(sources)
}

fn lines_of(file: &Path) -> Result<Vec<String>, Failure> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|file| file.take(SOURCES_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|cause| Failure::from(PeerError::File { path: file.into(), cause }))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Failure::usage(format!("{} names no source", file.display())));
    }
    Ok(lines)
}

pub(super) fn source(word: &str, home: &Home, peers: &Peers) -> Result<Source, Failure> {
    let peer = PeerAddress::parse(word, home)?;
    let name = match (peers.name_of(&peer.key), peer.places.first()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(place)) => place.to_string(),
        (None, None) => format!("{}…", key_text::short(&peer.key)),
    };
    Ok(Source { name: name.into(), peer })
}
