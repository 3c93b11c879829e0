//! A command that runs can be asked things by another process of the same user, by a local socket.
//!
//! ```text
//!  FOLDER/PID.sock    folder for its owner alone (0700), socket too (0600)
//!                     FOLDER: HOME/run; where that takes no socket, as its path is too long,
//!                     $XDG_RUNTIME_DIR/ropewalk-HASH, HASH of the configuration folder's path
//!
//!  asker    text status \n                 one line: the form, then the command ([`command`])
//!  answer   +server 1: serving ... \n      a line of the answer, any number of them
//!           -there is no server 7 \n       it is refused, and why
//!           . \n                           the end
//! ```
//!
//! Whoever may open the socket may ask: nobody else is looked at. No line is longer than [`LINE_BYTES_MAX`], no
//! more than [`ASKERS_MAX`] ask at once, and one that asks nothing for [`ASK_TIME`] is let go. Whoever asks looks in both
//! folders, as a service and a shell may have different ones. Sockets of processes that died are removed by whoever looks next. There is no such thing on Windows, and [`listen`] says so.
//!
//! What the commands do is for the command that runs to say; this file only carries them.

pub mod command;

#[cfg(unix)]
mod unix;

pub use command::{Command, CommandError, Which};

use crate::home::Home;
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Most bytes of a line, its end included: a ticket fits.
pub const LINE_BYTES_MAX: usize = 4096;
/// Most bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Most askers at once.
pub const ASKERS_MAX: usize = 8;
/// How long an asker may take to ask.
pub const ASK_TIME: Duration = Duration::from_secs(5);
/// How long a command may take to answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Something that was asked.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub command: Command,
    /// Whether the asker wants one JSON object a line, and not words.
    pub json: bool,
    answer: oneshot::Sender<Answer>,
}

/// Lines, or why there are none.
type Answer = Result<Vec<String>, String>;

impl Asked {
    /// Answers with these lines. What would end a line within one is written as a blank.
    pub fn answer(self, lines: Vec<String>) {
        // An asker that is gone is no matter.
        let _ = self.answer.send(Ok(lines));
    }

    /// Refuses, and says why.
    pub fn refuse(self, why: impl Into<String>) {
        let _ = self.answer.send(Err(why.into()));
    }
}

/// As long as it is there, this process can be asked.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
    /// All of them are free when nobody asks.
    seats: Arc<Semaphore>,
}

impl Guard {
    /// Takes no more questions, and waits until the answers have gone. To be called when the receiver is gone.
    pub async fn finish(self) {
        self.task.abort();
        let all = self.seats.acquire_many(ASKERS_MAX as u32);
        let _ = tokio::time::timeout(ASK_TIME, all).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no such process, or it cannot be asked.
    #[error(
        "process {pid} cannot be asked (by a socket in {}): {cause}; `ropewalk ctl status` finds those that can",
        shown(places)
    )]
    Unreachable {
        /// Which.
        pid: u32,
        /// Where its socket would be.
        places: Vec<PathBuf>,
        /// What the system said.
        cause: io::Error,
    },
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// It ended, or said what is no answer.
    #[error(
        "process {pid} ended before it had answered; `ropewalk ctl status` shows what still runs"
    )]
    Cut {
        /// Which.
        pid: u32,
    },
}

/// Folders, for people.
#[must_use]
pub fn shown(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    places.join(" or ")
}

/// Where sockets are looked for.
#[must_use]
pub fn places(home: &Home) -> Vec<PathBuf> {
    #[cfg(unix)]
    return unix::folders(home);
    #[cfg(not(unix))]
    return vec![home.path("run")];
}

/// From now on this process can be asked; what it is asked comes out of the receiver. On a runtime.
///
/// # Errors
/// When there can be no socket; on Windows there never can be ([`io::ErrorKind::Unsupported`]).
pub fn listen(home: &Home) -> io::Result<(Guard, mpsc::Receiver<Asked>)> {
    #[cfg(unix)]
    return unix::listen(&unix::folders(home));
    #[cfg(not(unix))]
    return Err(unsupported(home));
}

/// The processes that can be asked, by their ids. Sockets of dead ones go.
///
/// # Errors
/// When the folder cannot be read.
pub async fn running(home: &Home) -> io::Result<Vec<u32>> {
    #[cfg(unix)]
    return unix::running(&unix::folders(home)).await;
    #[cfg(not(unix))]
    return Err(unsupported(home));
}

/// Asks a process, and gives its lines.
///
/// # Errors
/// When it cannot be asked, or refuses.
pub async fn ask(
    home: &Home,
    pid: u32,
    command: &Command,
    json: bool,
) -> Result<Vec<String>, AskError> {
    #[cfg(unix)]
    return unix::ask(&unix::folders(home), pid, command, json).await;
    #[cfg(not(unix))]
    {
        let _ = (command, json);
        Err(AskError::Unreachable { pid, places: places(home), cause: unsupported(home) })
    }
}

#[cfg(not(unix))]
fn unsupported(_: &Home) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there is no `ropewalk ctl` on this system")
}
