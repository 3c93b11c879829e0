//! `ropewalk bench`: how much the links carry together and how late messages are, as the receiver
//! sees it, and what that costs.

use super::args::{Amount, BenchBulk, BenchEcho, BenchMessages, BenchServe, Connect};
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::plot::Plot;
use super::progress::Progress;
use super::report::{EchoPath, Line, PathLine, Report};
use super::session::{self, Direction, close_code};
use crate::admission::Admission;
use crate::bench::clocks::Processor;
use crate::bench::echo::{self as echoes, EchoError};
use crate::bench::{bulk as bytes, messages as latencies};
use crate::connection::Connection;
use crate::home::Home;
use crate::human;
use crate::tickets::Use;
use core::time::Duration;
use ropewalk_core::error::code;
use std::sync::Arc;
use std::time::Instant;

/// What it is known by among what waits.
pub(super) const FIRST_SERVICE: &str = bytes::SERVICE;
const SERVICES: &[&str] = &[FIRST_SERVICE, latencies::SERVICE, echoes::SERVICE];

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
    let plot = args.plot.map(Plot::create).transpose()?;
    let admission = Admission::peers_and_tickets(home.clone());
    let endpoint =
        session::listen(&args.connect, &home, admission.clone(), SERVICES, &report).await?;
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
        let meter = Meter::new(&connection, Direction::Receiving, &report, plot.as_ref());
        let working = measure(&meter, since);
        let ended =
            session::unless_interrupted(&connection, &report, &mut interrupt, working).await?;
        session::tell_lines(&endpoint, &report);
        if let Err(failure) = &ended {
            session::give_up(&connection, failure).await;
        }
        match ended {
            _ if args.listen.once => return ended.map(|()| Code::Done),
            Ok(()) => {}
            Err(failure) => report.fail(&failure),
        }
    }
}

async fn measure(meter: &Meter<'_>, since: Instant) -> Result<(), Failure> {
    let connection = meter.connection;
    let mut measured = false;
    while let Some((service, send, recv)) = connection.accept().await {
        measured = true;
        let error = if service == latencies::SERVICE {
            match meter.drawing(latencies::serve(recv, send)).await? {
                Ok(outcome) => {
                    meter.tell_messages(&outcome);
                    continue;
                }
                Err((seen, error)) => {
                    seen.iter().for_each(|outcome| meter.tell_messages(outcome));
                    error
                }
            }
        } else if service == echoes::SERVICE {
            match meter.drawing(echoes::serve(recv, send)).await? {
                Ok(bytes) => {
                    meter.report.say(&format!("sent back {}", human::bytes(bytes)));
                    meter.report.line(&Line::Echoed { bytes });
                    continue;
                }
                Err(error) => error,
            }
        } else {
            match meter.drawing(bytes::serve(recv, send, since)).await? {
                Ok(outcome) => {
                    meter.tell_bulk(&outcome);
                    continue;
                }
                Err(error) => error,
            }
        };
        return Err(session::failure(connection, error).await);
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
    interrupt: Interrupt,
) -> Result<Code, Failure> {
    let plot = args.plot.map(Plot::create).transpose()?;
    let amount = args.amount;
    dialled(&args.connect, &args.peer, &report, interrupt, plot, async |meter| {
        send_bulk(meter, amount).await
    })
    .await
}

/// `ropewalk bench messages`.
///
/// # Errors
/// When the peer cannot be reached, or the connection broke.
pub async fn messages(
    args: BenchMessages,
    report: Arc<Report>,
    interrupt: Interrupt,
) -> Result<Code, Failure> {
    let plot = args.plot.map(Plot::create).transpose()?;
    let time = Duration::from_secs_f64(args.seconds);
    let plan = latencies::Plan { rate: args.rate, size: args.size, time };
    dialled(&args.connect, &args.peer, &report, interrupt, plot, async |meter| {
        send_messages(meter, plan).await
    })
    .await
}

/// `ropewalk bench echo`.
///
/// # Errors
/// When the peer cannot be reached, the connection broke, or other bytes came back.
pub async fn echo(
    args: BenchEcho,
    report: Arc<Report>,
    interrupt: Interrupt,
) -> Result<Code, Failure> {
    let plot = args.plot.map(Plot::create).transpose()?;
    let bytes = args.bytes;
    dialled(&args.connect, &args.peer, &report, interrupt, plot, async |meter| {
        send_echo(meter, bytes).await
    })
    .await
}

/// Dials, does `work`, and hangs up.
async fn dialled(
    connect: &Connect,
    peer: &str,
    report: &Arc<Report>,
    mut interrupt: Interrupt,
    plot: Option<Plot>,
    work: impl AsyncFnOnce(&Meter<'_>) -> Result<(), Failure>,
) -> Result<Code, Failure> {
    let (endpoint, connection) = session::dial(connect, peer, report, &mut interrupt).await?;
    let meter = Meter::new(&connection, Direction::Sending, report, plot.as_ref());
    let working = work(&meter);
    let ended = session::unless_interrupted(&connection, report, &mut interrupt, working).await?;
    session::tell_lines(&endpoint, report);
    session::close(&connection, code::DONE, "").await;
    drop(endpoint);
    ended.map(|()| Code::Done)
}

async fn send_bulk(meter: &Meter<'_>, amount: Amount) -> Result<(), Failure> {
    let (send, recv) = session::open(meter.connection, bytes::SERVICE).await?;
    let progress = meter.progress(amount.bytes);
    let amount = match (amount.bytes, amount.seconds) {
        (Some(bytes), _) => bytes::Amount::Bytes(bytes),
        (None, seconds) => {
            bytes::Amount::Time(Duration::from_secs_f64(seconds.unwrap_or_default()))
        }
    };
    let moved = |bytes| progress.moved(bytes);
    let work = progress.while_drawing(bytes::run(recv, send, amount, &moved));
    let ended = meter.drawing(work).await?;
    drop(progress);
    match ended {
        Ok(outcome) => meter.tell_bulk(&outcome),
        Err(error) => return Err(session::failure(meter.connection, error).await),
    }
    Ok(())
}

async fn send_messages(meter: &Meter<'_>, plan: latencies::Plan) -> Result<(), Failure> {
    let (send, recv) = session::open(meter.connection, latencies::SERVICE).await?;
    let progress = Arc::new(meter.progress(None));
    let counting = Arc::clone(&progress);
    let moved = move |bytes| counting.moved(bytes);
    let work = progress.while_drawing(latencies::run(recv, send, plan, moved));
    let ended = meter.drawing(work).await?;
    drop(progress);
    match ended {
        Ok(outcome) => meter.tell_messages(&outcome),
        Err(error) => return Err(session::failure(meter.connection, error).await),
    }
    Ok(())
}

async fn send_echo(meter: &Meter<'_>, bytes: u64) -> Result<(), Failure> {
    let (send, recv) = session::open(meter.connection, echoes::SERVICE).await?;
    let progress = meter.progress(Some(bytes));
    let moved = |bytes| progress.moved(bytes);
    let work = progress.while_drawing(echoes::run(recv, send, bytes, &moved));
    let ended = meter.drawing(work).await?;
    drop(progress);
    let wrong = |text: String| Failure::new(Code::Corrupt, text);
    Err(match ended {
        Ok(outcome) => {
            meter.tell_echo(&outcome);
            return Ok(());
        }
        Err(EchoError::Stream(error)) => session::failure(meter.connection, error).await,
        Err(EchoError::Changed(at)) => wrong(format!("byte {at} came back changed")),
        Err(EchoError::Short(came)) => {
            wrong(format!("only {came} of {bytes} bytes came back before the stream ended"))
        }
        Err(EchoError::Long) => wrong(format!("more than the {bytes} bytes sent came back")),
    })
}

/// A connection that is measured, from one of its ends.
struct Meter<'m> {
    connection: &'m Connection,
    direction: Direction,
    report: &'m Arc<Report>,
    plot: Option<&'m Plot>,
    processor: Processor,
}

impl<'m> Meter<'m> {
    fn new(
        connection: &'m Connection,
        direction: Direction,
        report: &'m Arc<Report>,
        plot: Option<&'m Plot>,
    ) -> Self {
        Self { connection, direction, report, plot, processor: Processor::new() }
    }

    fn progress(&self, total: Option<u64>) -> Progress {
        Progress::new(
            Arc::clone(self.report),
            total,
            session::paths(self.connection, self.direction),
        )
    }

    /// Does `work`, and draws each path's rate into the picture that was asked for.
    async fn drawing<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(plot) = self.plot else { return Ok(work.await) };
        plot.of(session::paths(self.connection, self.direction), work).await
    }

    fn tell_bulk(&self, outcome: &bytes::Outcome) {
        let bytes::Outcome { bytes, time, gap_max } = *outcome;
        let (rate, gap) = (human::mbit_s(bytes, time), human::millis(gap_max));
        self.report.say(&format!(
            "{} in {}: {}, longest gap {gap:.1} ms",
            human::bytes(bytes),
            human::time(time),
            human::rate(rate)
        ));
        let paths = self.tell_paths();
        self.report.line(&Line::Bulk {
            bytes,
            seconds: human::seconds(time),
            mbit_s: rate,
            max_gap_ms: gap,
            paths: &paths,
            cpu_s: self.cost(),
        });
    }

    fn tell_messages(&self, outcome: &latencies::Outcome) {
        let latencies::Outcome { count, lost, p50, p99, max } = *outcome;
        let [p50_ms, p99_ms, max_ms] = [p50, p99, max].map(human::millis);
        let head = ["messages", "lost", "half within", "99 % within", "all within"];
        let ms = |millis: f64| format!("{millis:.2} ms");
        let row = [count.to_string(), lost.to_string(), ms(p50_ms), ms(p99_ms), ms(max_ms)];
        let table = human::table(&[head.map(str::to_owned), row]);
        table.lines().for_each(|line| self.report.say(line));
        self.tell_paths();
        self.report.line(&Line::Messages {
            count,
            lost,
            p50_ms,
            p99_ms,
            max_ms,
            cpu_s: self.cost(),
        });
    }

    fn tell_echo(&self, outcome: &echoes::Outcome) {
        let echoes::Outcome { bytes, time, there, back, round_trip, gap_max } = *outcome;
        let [there_mbit_s, back_mbit_s] = [there, back].map(|time| human::mbit_s(bytes, time));
        let [round_trip_ms, max_gap_ms] = [round_trip, gap_max].map(human::millis);
        self.report.say(&format!(
            "{} there and back in {}: {} there, {} back, {round_trip_ms:.1} ms round trip, longest gap {max_gap_ms:.1} ms",
            human::bytes(bytes),
            human::time(time),
            human::rate(there_mbit_s),
            human::rate(back_mbit_s)
        ));
        let paths: Vec<EchoPath> =
            self.connection.paths_now().iter().map(session::echo_path).collect();
        for EchoPath { link, remote, sent, received, state } in &paths {
            let [sent, received] = [*sent, *received].map(human::bytes);
            self.report
                .say(&format!("  {link} to {remote}: {state}, {sent} there, {received} back"));
        }
        self.report.line(&Line::Echo {
            bytes,
            seconds: human::seconds(time),
            there_mbit_s,
            back_mbit_s,
            round_trip_ms,
            max_gap_ms,
            paths: &paths,
        });
    }

    /// What each path did, and what all of it cost this end.
    fn tell_paths(&self) -> Vec<PathLine> {
        if let Some(cost) = self.cost() {
            self.report.say(&format!("  {cost:.2} s of processor time at this end"));
        }
        let paths = session::paths(self.connection, self.direction)();
        paths.iter().for_each(|path| self.report.say(&format!("  {}", path.text)));
        paths.into_iter().map(|path| path.line).collect()
    }

    fn cost(&self) -> Option<f64> {
        self.processor.used().map(human::seconds)
    }
}
