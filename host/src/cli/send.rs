//! `ropewalk send`: files, folders, standard input or a message.

use super::args::{self, Mode};
use super::exit::{Code, Failure};
use super::explain;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::Report;
use super::session::{self, Direction};
use crate::connection::Connection;
use crate::transfer::send::{Input, send as send_files};
use crate::transfer::walk;
use crate::{message, transfer, words};
use ropewalk_core::error::code;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `ropewalk send`.
///
/// # Errors
/// When nothing could be sent, or the connection broke.
pub async fn send(
    args: args::Send,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    if args.explain && args.connect.mode != Mode::Spread {
        return Err(Failure::usage(
            "--explain shows packets taking random paths: say --mode spread too",
        ));
    }
    if args.paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(Failure::usage("standard input (-) can be sent once"));
    }
    let (endpoint, connection) =
        session::dial(&args.connect, &args.peer, &report, &mut interrupt).await?;
    let working = work(&args, &connection, &report);
    let ended = session::unless_interrupted(&connection, &report, &mut interrupt, working).await?;
    session::tell_lines(&endpoint, &report);
    session::close(&connection, code::DONE, "").await;
    drop(endpoint);
    ended
}

async fn work(
    args: &args::Send,
    connection: &Connection,
    report: &Arc<Report>,
) -> Result<Code, Failure> {
    match &args.message {
        Some(text) if args.explain => {
            let (send, recv) = session::open(connection, words::SERVICE).await?;
            let legs = explain::Legs::of(connection);
            match words::send(recv, send, &legs, text).await {
                Ok(words) => explain::tell(&words, Direction::Sending, report),
                Err(error) => return Err(session::failure(connection, error).await),
            }
            Ok(Code::Done)
        }
        Some(text) => {
            let (send, recv) = session::open(connection, message::SERVICE).await?;
            match message::send(recv, send, text).await {
                Ok(()) => report.say("the message has arrived"),
                Err(error) => return Err(session::failure(connection, error).await),
            }
            Ok(Code::Done)
        }
        None => files(&args.paths, connection, report).await,
    }
}

async fn files(
    paths: &[PathBuf],
    connection: &Connection,
    report: &Arc<Report>,
) -> Result<Code, Failure> {
    let (send, recv) = session::open(connection, transfer::SERVICE).await?;
    let total = total(paths.to_vec()).await;
    let at = session::paths(connection, Direction::Sending);
    let progress = Progress::new(Arc::clone(report), total, at);
    let inputs = paths.iter().map(|path| input(path)).collect();
    match progress.while_drawing(send_files(recv, send, inputs, &progress)).await {
        Ok(summary) => Ok(Code::of(&summary)),
        Err(error) => Err(session::failure(connection, error).await),
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn input(path: &Path) -> Input {
    if is_stdin(path) {
        Input::Stream { name: "stdin".into(), reader: Box::new(io::stdin()) }
    } else {
        Input::Path(path.into())
    }
}

/// How much there is to send, unless it comes out of a pipe.
async fn total(paths: Vec<PathBuf>) -> Option<u64> {
    if paths.iter().any(|path| is_stdin(path)) {
        return None;
    }
    let measured =
        tokio::task::spawn_blocking(move || paths.iter().map(|path| walk::measure(path).1).sum());
    measured.await.ok()
}
