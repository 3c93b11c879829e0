//! `ropewalk ctl`: asks a `ropewalk` command that runs.

use super::args::Ctl;
use super::exit::{Code, Failure};
use super::report::Report;
use crate::ctl::{self, AskError, Command};
use crate::home::Home;

/// `ropewalk ctl`.
///
/// # Errors
/// When there is no such process, it refuses, or several are there and none is named.
pub async fn ctl(args: Ctl, report: &Report) -> Result<Code, Failure> {
    let home = Home::from_environment()?;
    let command = Command::from(args.command);
    // A source with blanks in it is none, and would be another line to the process.
    if command.to_string().parse() != Ok(command.clone()) {
        return Err(Failure::usage("a source is one word: a ticket, a name or KEY@HOST:PORT"));
    }
    let pid = match args.pid {
        Some(pid) => pid,
        None => only_one(&home, report).await?,
    };
    for line in ctl::ask(&home, pid, &command, args.json).await? {
        report.pass(&line, args.json);
    }
    Ok(Code::Done)
}

/// The one that runs. Several are shown.
async fn only_one(home: &Home, report: &Report) -> Result<u32, Failure> {
    let none = || {
        let places = ctl::shown(&ctl::places(home));
        format!(
            "no ropewalk command that can be asked runs here for you (no socket in {places}); start `ropewalk serve` or `ropewalk get`, or set ROPEWALK_HOME as it was set there"
        )
    };
    let pids = ctl::running(home).await.map_err(|cause| {
        let text = format!(
            "cannot look for commands that run in {cause}; name one by --pid, or make that folder yours"
        );
        Failure::new(Code::Failed, text)
    })?;
    match pids[..] {
        [] => Err(Failure::new(Code::Failed, none())),
        [pid] => Ok(pid),
        _ => {
            for pid in pids {
                let status = ctl::ask(home, pid, &Command::Status, false).await;
                let first = status.ok().and_then(|lines| lines.into_iter().next());
                report.say(&format!("  --pid {pid}    {}", first.unwrap_or_default()));
            }
            Err(Failure::usage("several run; say which with --pid"))
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let code = match error {
            AskError::Refused(_) => Code::Refused,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}
