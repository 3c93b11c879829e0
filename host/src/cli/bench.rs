//! `ropewalk bench`: how much the links carry together, as the receiver sees it.

use super::args::{Amount, BenchBulk, BenchServe};
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::{Line, PathLine, Report};
use super::session::{self, Direction, close_code};
use crate::admission::Admission;
use crate::bench::{self, Outcome};
use crate::connection::Connection;
use crate::home::Home;
use crate::human;
use crate::tickets::Use;
use core::time::Duration;
use ropewalk_core::error::code;
use std::sync::Arc;
use std::time::Instant;

const SERVICES: &[&str] = &[bench::SERVICE];

/// `ropewalk bench serve`: one measurement at a time, so that none disturbs another.
///
/// # Errors
/// When it cannot wait at all, or with `--once` when the measurement failed.
pub async fn serve(
    args: BenchServe,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let admission = Admission::peers_and_tickets(home.clone());
    let endpoint = session::listen(&args.connect, &home, admission.clone(), SERVICES).await?;
    let good = if args.listen.once { Use::Once } else { Use::Lasting };
    session::hand_out_ticket(
        &home,
        &endpoint,
        good,
        args.listen.ticket_file.as_deref(),
        |ticket| {
            report.line(&Line::Ticket { ticket });
            report.show(ticket);
        },
    )?;
    report.say("waiting; Ctrl-C ends it");
    loop {
        let accepted = tokio::select! {
            accepted = endpoint.accept() => accepted,
            () = interrupt.pressed() => return Err(Interrupt::failure()),
        };
        let Some(connection) = accepted else { return Err(session::no_link_left()) };
        let since = Instant::now();
        if !admission.spend(connection.ticket().as_ref()) {
            session::close(&connection, close_code::TICKET_USED, "").await;
            continue;
        }
        session::introduce(&connection, &home, &report);
        let working = measure(&connection, since, &report);
        let ended =
            session::unless_interrupted(&connection, &report, &mut interrupt, working).await?;
        match ended {
            _ if args.listen.once => return ended.map(|()| Code::Done),
            Ok(()) => {}
            Err(failure) => report.fail(&failure),
        }
    }
}

async fn measure(connection: &Connection, since: Instant, report: &Report) -> Result<(), Failure> {
    let mut measured = false;
    while let Some((_, send, recv)) = connection.accept().await {
        measured = true;
        match bench::serve(recv, send, since).await {
            Ok(outcome) => tell(&outcome, connection, Direction::Receiving, report),
            Err(error) => return Err(session::failure(connection, error).await),
        }
    }
    if measured { Ok(()) } else { Err(session::nothing_came(connection).await) }
}

/// `ropewalk bench bulk`.
///
/// # Errors
/// When the peer cannot be reached, or the connection broke.
pub async fn bulk(
    args: BenchBulk,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let (endpoint, connection) =
        session::dial(&args.connect, &args.peer, &report, &mut interrupt).await?;
    let working = work(args.amount, &connection, &report);
    let ended = session::unless_interrupted(&connection, &report, &mut interrupt, working).await?;
    session::close(&connection, code::DONE, "").await;
    drop(endpoint);
    ended.map(|()| Code::Done)
}

async fn work(
    amount: Amount,
    connection: &Connection,
    report: &Arc<Report>,
) -> Result<(), Failure> {
    let (send, recv) = session::open(connection, bench::SERVICE).await?;
    let progress = Progress::new(
        Arc::clone(report),
        amount.bytes,
        session::paths(connection, Direction::Sending),
    );
    let amount = match (amount.bytes, amount.seconds) {
        (Some(bytes), _) => bench::Amount::Bytes(bytes),
        (None, seconds) => {
            bench::Amount::Time(Duration::from_secs_f64(seconds.unwrap_or_default()))
        }
    };
    let moved = |bytes| progress.moved(bytes);
    let ended = progress.while_drawing(bench::bulk(recv, send, amount, &moved)).await;
    drop(progress);
    match ended {
        Ok(outcome) => tell(&outcome, connection, Direction::Sending, report),
        Err(error) => return Err(session::failure(connection, error).await),
    }
    Ok(())
}

fn tell(outcome: &Outcome, connection: &Connection, direction: Direction, report: &Report) {
    let Outcome { bytes, time, gap_max } = *outcome;
    let (rate, gap) = (human::mbit_s(bytes, time), human::millis(gap_max));
    let paths = session::paths(connection, direction)();
    let size = human::bytes(bytes);
    report.say(&format!(
        "{size} in {}: {rate:.1} Mbit/s, longest gap {gap:.1} ms",
        human::time(time)
    ));
    paths.iter().for_each(|path| report.say(&format!("  {}", path.text)));
    let paths: Vec<PathLine> = paths.into_iter().map(|path| path.line).collect();
    let seconds = human::seconds(time);
    report.line(&Line::Bulk { bytes, seconds, mbit_s: rate, max_gap_ms: gap, paths: &paths });
}
