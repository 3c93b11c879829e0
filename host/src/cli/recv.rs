//! `ropewalk recv`: prints a ticket, waits, and receives files, folders and messages.

use super::args;
use super::callers::{self, Call, Callers};
use super::exit::{Code, Failure};
use super::explain;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::{Line, Report};
use super::session::{self, Direction, close_code};
use crate::admission::Admission;
use crate::connection::{Connection, RecvStream, SendStream};
use crate::home::Home;
use crate::peers::Peers;
use crate::telemetry::{self, PathTelemetry, Telemetry};
use crate::tickets::Use;
use crate::transfer::TransferError;
use crate::transfer::receive::{Receiving, Target, receive};
use crate::transfer::safe_path::Root;
use crate::{human, key_text, message, transfer, words};
use core::time::Duration;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::task::{JoinError, JoinSet};

const SERVICES: &[&str] =
    &[transfer::SERVICE, message::SERVICE, words::SERVICE, telemetry::SERVICE];

/// `ropewalk recv`.
///
/// # Errors
/// When it cannot wait at all. What goes wrong with one peer is told, and the next is waited for.
pub async fn recv(
    args: args::Recv,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let to_pipe = args.out == Path::new("-");
    if to_pipe && args.listen.json {
        return Err(Failure::usage("--out - and --json both want standard output; leave one out"));
    }
    let home = Home::from_environment()?;
    let target = Arc::new(target(&args.out, to_pipe)?);
    let admission = match args.trusted {
        true => Admission::peers_only(home.clone()),
        false => Admission::peers_and_tickets(home.clone()),
    };
    let endpoint =
        session::listen(&args.connect, &home, admission.clone(), SERVICES, &report).await?;
    if !args.trusted {
        let good = if args.listen.once { Use::Once } else { Use::Lasting };
        session::hand_out_ticket(
            &home,
            &endpoint,
            good,
            args.listen.ticket_file.as_deref(),
            |ticket| {
                report.line(&Line::Ticket { ticket });
                // Standard output may be for the file.
                if to_pipe { report.say(ticket) } else { report.show(ticket) }
            },
        )?;
    }
    report.say("waiting; Ctrl-C ends it");
    let callers = Callers::default();
    let inbox = Inbox { home, admission, target, overwrite: args.overwrite, callers, report };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = endpoint.accept() => {
                let Some(connection) = accepted else { return Err(session::no_link_left()) };
                let since = Instant::now();
                let (inbox, interrupt) = (inbox.clone(), interrupt.clone());
                open.spawn(async move { inbox.serve(connection, since, interrupt).await });
            }
            Some(ended) = open.join_next() => {
                let ended = joined(ended);
                session::tell_lines(&endpoint, &inbox.report);
                if args.listen.once && !matches!(ended, Ok(None)) {
                    return ended.map(|code| code.unwrap_or(Code::Done));
                }
                if let Err(failure) = ended {
                    inbox.report.fail(&failure);
                }
            }
            () = interrupt.pressed() => {
                while open.join_next().await.is_some() {}
                return Err(Interrupt::failure());
            }
        }
    }
}

fn target(out: &Path, to_pipe: bool) -> Result<Target, Failure> {
    if to_pipe {
        return Ok(Target::Pipe(Mutex::new(Some(Box::new(io::stdout())))));
    }
    let root = Root::open(out).map_err(|cause| {
        Failure::new(
            Code::Failed,
            format!(
                "cannot receive into {}: {cause}; name another folder with --out",
                out.display()
            ),
        )
    })?;
    Ok(Target::Folder(root))
}

/// What every connection shares.
#[derive(Clone)]
struct Inbox {
    home: Home,
    admission: Admission,
    target: Arc<Target>,
    overwrite: bool,
    callers: Callers,
    report: Arc<Report>,
}

impl Inbox {
    /// Receives until the peer closes. `None`: it did not get in, or came again meanwhile.
    async fn serve(
        &self,
        connection: Connection,
        since: Instant,
        interrupt: Interrupt,
    ) -> Result<Option<Code>, Failure> {
        if !self.admission.spend(connection.ticket().as_ref()) {
            session::close(&connection, close_code::TICKET_USED, "").await;
            return Ok(None);
        }
        session::introduce(&connection, &self.home, &self.report);
        let mut call = self.callers.enter(&connection);
        let ended = self.take(&connection, &mut call, since, interrupt).await;
        if callers::was_replaced(&connection).await {
            let name = session::name(&connection.peer());
            self.report.say(&format!("{name} came again; its earlier connection is closed"));
            return Ok(None);
        }
        if let Err(failure) = &ended {
            session::give_up(&connection, failure).await;
        }
        ended
    }

    async fn take(
        &self,
        connection: &Connection,
        call: &mut Call,
        since: Instant,
        mut interrupt: Interrupt,
    ) -> Result<Option<Code>, Failure> {
        let mut worst = None;
        // A board tells of itself for as long as it is there, whatever else it sends.
        let mut telling = JoinSet::new();
        loop {
            let report = &self.report;
            let next = async {
                tokio::select! {
                    accepted = connection.accept() => Ok(accepted),
                    Some(ended) = telling.join_next() => Err(ended),
                }
            };
            let next =
                session::unless_interrupted(connection, report, &mut interrupt, next).await?;
            let (service, send, recv) = match next {
                Ok(Some(stream)) => stream,
                Ok(None) => break,
                Err(ended) => {
                    worst = worst.max(Some(joined(ended)?));
                    continue;
                }
            };
            if service == telemetry::SERVICE {
                let (inbox, connection) = (self.clone(), connection.clone());
                telling.spawn(async move { inbox.telemetry(&connection, recv).await });
                continue;
            }
            let working = async {
                call.earlier_settled().await;
                self.stream(connection, &service, send, recv, since).await
            };
            let ended =
                session::unless_interrupted(connection, report, &mut interrupt, working).await?;
            match ended {
                Ok(code) => worst = worst.max(Some(code)),
                Err(error) => return Err(session::failure(connection, error).await),
            }
        }
        while let Some(ended) = telling.join_next().await {
            worst = worst.max(Some(joined(ended)?));
        }
        match worst {
            None => Err(session::nothing_came(connection).await),
            done => Ok(done),
        }
    }

    async fn stream(
        &self,
        connection: &Connection,
        service: &str,
        send: SendStream,
        recv: RecvStream,
        since: Instant,
    ) -> Result<Code, TransferError> {
        match service {
            message::SERVICE => {
                let text = message::receive(recv, send).await?;
                self.report.say(&format!("message: {text}"));
                self.report.line(&Line::Message { text: &text });
                Ok(Code::Done)
            }
            words::SERVICE => {
                let words = words::receive(recv, send, &explain::Legs::of(connection)).await?;
                explain::tell(&words, Direction::Receiving, &self.report);
                Ok(Code::Done)
            }
            _ => self.files(connection, send, recv, since).await,
        }
    }

    /// Tells what a board tells, until it ends or hangs up.
    async fn telemetry(&self, connection: &Connection, recv: RecvStream) -> Result<Code, Failure> {
        let peer = connection.peer();
        let (key, name) = (key_text::format(&peer), session::name(&peer));
        let peers = Peers::load(&self.home).unwrap_or_default();
        let each = |record: &Telemetry| {
            self.report.say(&format!("{name}: {}", in_words(record)));
            self.report.line(&Line::Telemetry { peer: &key, name: peers.name_of(&peer), record });
        };
        let Err(error) = telemetry::receive(recv, each).await else { return Ok(Code::Done) };
        if matches!(error, TransferError::Protocol(_)) {
            return Err(error.into());
        }
        match session::hung_up(connection).await {
            true => Ok(Code::Done),
            false => Err(session::failure(connection, error).await),
        }
    }

    async fn files(
        &self,
        connection: &Connection,
        send: SendStream,
        recv: RecvStream,
        since: Instant,
    ) -> Result<Code, TransferError> {
        let paths = session::paths(connection, Direction::Receiving);
        let progress = Arc::new(Progress::new(Arc::clone(&self.report), None, paths));
        let how = Receiving {
            target: Arc::clone(&self.target),
            overwrite: self.overwrite,
            since,
            observer: progress.clone(),
            sender: connection.peer().0,
        };
        let summary = progress.while_drawing(receive(recv, send, how)).await?;
        Ok(Code::of(&summary))
    }
}

/// How a task ended.
fn joined<T>(ended: Result<Result<T, Failure>, JoinError>) -> Result<T, Failure> {
    ended.unwrap_or_else(|error| Err(Failure::new(Code::Failed, error)))
}

/// A record of telemetry in one short line.
fn in_words(record: &Telemetry) -> String {
    let Telemetry { count, boot, uptime_ms, turn_max_us, paths } = record;
    let up = human::time(Duration::from_millis(*uptime_ms));
    let turn = human::millis(Duration::from_micros((*turn_max_us).into()));
    let path = |path: &PathTelemetry| {
        let state = if path.active { "active" } else { "not active" };
        let rtt = human::millis(Duration::from_micros(path.rtt_us.into()));
        format!("; link {} {state}, {rtt:.1} ms", path.link.0)
    };
    let paths: String = paths.iter().map(path).collect();
    format!("record {count}, boot {boot}, up {up}, longest turn {turn:.1} ms{paths}")
}
