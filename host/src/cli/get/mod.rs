//! `ropewalk get`: fetches from many servers at once, and tells how it goes.

mod lines;
mod numbers;
mod sources;
mod table;
mod tell;

use super::args;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::report::{Line, Report};
use super::{outside, session};
use crate::ctl::{Asked, Command};
use crate::endpoint::Endpoint;
use crate::fetch::partial::{Leftover, Replace};
use crate::get::choice::{Open, Wish};
use crate::get::happened::GetError;
use crate::get::job::{How, JobError};
use crate::get::order::{Control, Order, Running};
use crate::get::run::start;
use crate::get::source::{Source, Way};
use crate::get::status::Status;
use crate::home::Home;
use crate::peers::Peers;
use crate::place::Place;
use crate::transfer::Summary;
use crate::transfer::safe_path::Root;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;
use tell::Teller;
use tokio::sync::mpsc;

/// Memory for what is under way from all sources together.
const WINDOWS: u64 = 16 << 20;
/// Of one source, at most and at least.
const WINDOW_MAX: u64 = 16 << 20;
const WINDOW_MIN: u64 = 2 << 20;
/// How often it is said how things stand, where that is not drawn.
const REPORT_EVERY: Duration = Duration::from_secs(10);

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
    let sources = sources::sources(&args.sources, &home)?;
    let into = Root::open(&args.out).map_err(|cause| {
        let out = args.out.display();
        let next = "name another folder with --out";
        Failure::new(Code::Failed, format!("cannot fetch into {out}: {cause}; {next}"))
    })?;
    let mut connect = args.connect.clone();
    let each = (WINDOWS / sources.len().max(1) as u64).clamp(WINDOW_MIN, WINDOW_MAX);
    connect.window.get_or_insert(each);
    let endpoint = Arc::new(session::dialler(&connect, &home, &report).await?);
    tell_here_without_link(&sources, &endpoint, &report);
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
    let numbers = running.status.clone();
    let metrics = match args.metrics {
        Some(address) => {
            let render = move || numbers::page(&numbers.borrow());
            Some(outside::give_numbers(address, render).await?)
        }
        None => None,
    };
    if let Some(metrics) = &metrics {
        outside::tell_metrics(metrics, &report);
    }
    let (guard, asked) = outside::be_asked(&home, &report);
    let every = args.report.or_else(|| report.bars().is_none().then_some(REPORT_EVERY));
    let teller = Teller::new(report.clone(), args.out.clone(), every);
    let (ended, status) = follow(running, &teller, &mut interrupt, asked, &home).await;
    if let Some(guard) = guard {
        guard.finish().await;
    }
    if !args.list {
        teller.summary(&status, ended.as_ref().ok());
    }
    endpoint.close(ropewalk_core::error::code::DONE, "");
    session::tell_lines(&endpoint, &report);
    ended.map(|summary| Code::of(&summary)).map_err(|error| failure(&error, &status, &report))
}

/// Says of whom no link of ours can reach.
fn tell_here_without_link(sources: &[Source], endpoint: &Endpoint, report: &Report) {
    for Source { name, way } in sources {
        let Way::Peer(peer) = way else { continue };
        let place = |place: &Place| match place {
            Place::Address(address) => Some(*address),
            _ => None,
        };
        let addresses: Option<Vec<SocketAddr>> = peer.places.iter().map(place).collect();
        if session::is_here_without_link(&addresses.unwrap_or_default(), endpoint) {
            report.say(&format!("{name}: {}", session::HERE_WITHOUT_LINK));
        }
    }
}

/// Tells what happens until the end.
async fn follow(
    mut running: Running,
    teller: &Teller,
    interrupt: &mut Interrupt,
    mut asked: Option<mpsc::Receiver<Asked>>,
    home: &Home,
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
            asked = outside::received(&mut asked) => answer(asked, &running, home),
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

/// Does what `ropewalk ctl` asks.
fn answer(asked: Asked, running: &Running, home: &Home) {
    match asked.command.clone() {
        Command::Status => {
            let status = running.status.borrow();
            let lines = match asked.json {
                true => serde_json::to_string(&Line::Progress(&lines::fetch(&status)))
                    .map(|line| vec![line])
                    .unwrap_or_default(),
                false => {
                    [table::total(&status)].into_iter().chain(table::sources(&status)).collect()
                }
            };
            asked.answer(lines);
        }
        Command::Quit => {
            let _ = running.control.send(Control::Stop);
            asked.answer(vec!["it stops; what is there is kept".into()]);
        }
        Command::Add(word) => {
            let peers = Peers::load(home).unwrap_or_default();
            match sources::source(&word, home, &peers) {
                Ok(source) => {
                    let (name, control) = (source.name.clone(), running.control.clone());
                    tokio::spawn(async move {
                        let (tell, told) = tokio::sync::oneshot::channel();
                        let _ = control.send(Control::Add(source, tell));
                        match told.await {
                            Ok(added) => match tell::added(&name, added) {
                                Ok(text) => asked.answer(vec![text]),
                                Err(why) => asked.refuse(why),
                            },
                            Err(_) => asked.refuse("it has ended"),
                        }
                    });
                }
                Err(failure) => asked.refuse(failure.message),
            }
        }
        Command::Close(_) | Command::Pause(_) | Command::Resume(_) => {
            asked.refuse("it fetches, and serves nothing; status, add SOURCE and quit are for it");
        }
    }
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
                // One that is up has no part of what is wanted.
                let why = source.why.as_deref().unwrap_or("it gives hashes, or nothing of this");
                format!("{}: {why}", source.name)
            });
            let each = each.collect::<Vec<_>>().join("; ");
            Failure::new(code, format!("{error}: {each}{}", resumable(status)))
        }
        GetError::GaveUp(_) => {
            let reached = status.sources.iter().any(|source| source.mean > 0);
            let code = if reached { Code::Stopped } else { Code::Unreachable };
            let down = status.sources.iter().filter_map(|source| {
                source.why.as_ref().map(|why| format!("; {}: {why}", source.name))
            });
            let down: String = down.collect();
            Failure::new(code, format!("{error}{down}{}", resumable(status)))
        }
        GetError::Stopped => {
            Failure::new(Code::Interrupted, format!("interrupted{}", resumable(status)))
        }
        GetError::TicketsDiffer(roots) => {
            for (root, who) in roots {
                report.say(&format!("{root}  {}", who.name));
            }
            Failure::usage(error)
        }
        GetError::NoHashes(_) => Failure::new(Code::Refused, error),
        GetError::Job(JobError::NoSuchPath { .. }) => Failure::usage(error),
        _ => Failure::new(Code::Failed, error),
    }
}

fn resumable(status: &Status) -> &'static str {
    match status.had {
        0 => "",
        _ => "; what is there is kept: do the same again to go on",
    }
}
