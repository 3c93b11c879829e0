//! `ropewalk demo`: the main job on this machine alone, and the table of what it showed.

use super::args;
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::Report;
use super::session::{self, Direction};
use crate::demo::{Demo, DemoError, NOISE_BYTES};
use std::sync::Arc;

/// `ropewalk demo`.
///
/// # Errors
/// When it cannot be set up, bytes are wrong, or a gap was too long.
pub async fn demo(
    args: args::Demo,
    report: Arc<Report>,
    mut interrupt: Interrupt,
) -> Result<Code, Failure> {
    let total = match &args.file {
        None => NOISE_BYTES,
        Some(path) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => {
                return Err(Failure::usage(format!(
                    "{} is no file; demo sends one file",
                    path.display()
                )));
            }
            Err(cause) => {
                return Err(Failure::new(
                    Code::Failed,
                    format!("cannot send {}: {cause}", path.display()),
                ));
            }
        },
    };
    report.say("two nodes, three emulated links; one is cut half-way and comes back");
    let demo = Demo::set_up().await?;
    let progress = Progress::new(
        Arc::clone(&report),
        Some(total),
        session::paths(demo.sender(), Direction::Sending),
    );
    let outcome = tokio::select! {
        outcome = progress.while_drawing(demo.run(args.file, &progress)) => outcome?,
        () = interrupt.pressed() => return Err(Interrupt::failure()),
    };
    drop(progress);
    report.show(&outcome.table());
    match outcome.passed() {
        true => Ok(Code::Done),
        false if outcome.verified => {
            Err(Failure::new(Code::Failed, "the longest gap was too long"))
        }
        false => Err(Failure::new(Code::Corrupt, "what arrived is not what was sent")),
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Transfer(error) => error.into(),
            other => Self::new(Code::Failed, other),
        }
    }
}
