//! Files over one stream of the service `file`.
//!
//! ```text
//! sender    File 0 | bytes ... | End hash | File 1 | bytes | End hash | ... | Done     no round trip per file
//! receiver                         Verdict 0 ("stored")  Verdict 1 ("refused: ...") ... Finished
//! ```
//!
//! The sender walks and reads in one thread, hashes as it reads, and never waits for a verdict as long as
//! fewer than a thousand files are out. The receiver writes each file to a temporary name beside its
//! place, verifies its BLAKE3 hash, makes it durable and renames it; a file is never seen half-written under its own name. One
//! file's failure is that file's alone. Both ends hold a few chunks of 128 KiB, whatever the files' sizes.
//!
//! Nothing here knows of connections: both ends work over any reader and writer.

pub mod protocol;
pub mod receive;
pub mod safe_path;
pub mod send;
pub mod store;
pub mod walk;

pub(crate) mod locked;
pub(crate) mod partial;

mod ledger;
mod source;

use core::time::Duration;
use std::io;

/// The name of the service.
pub const SERVICE: &str = "file";

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, verified and durable.
    Stored,
    /// It was there with the same content.
    Already,
    /// The receiver did not want it, for this reason.
    Refused(String),
    /// The sender could not send it whole, for this reason.
    Failed(String),
    /// What arrived is not what was sent.
    Corrupt,
    /// The connection ended before it was whole; what arrived is kept under this temporary name.
    Stopped {
        /// `None` at the sender, and where nothing was kept.
        kept: Option<String>,
    },
}

/// One file, when it is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its path as the receiver sees it, fit to be shown.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// How many of them were there from an earlier time, and did not cross again.
    pub resumed: u64,
    /// From the moment the connection was accepted, or the file before ended, to its last byte, at
    /// the receiver.
    pub time: Duration,
    /// The hash of its content, where it is known.
    pub blake3: Option<[u8; 32]>,
    /// What became of it.
    pub outcome: Outcome,
}

impl FileReport {
    /// The bytes that came now.
    pub(crate) const fn came(&self) -> u64 {
        self.bytes.saturating_sub(self.resumed)
    }
}

/// What happens during a transfer.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A file begins.
    Began {
        /// Its path, fit to be shown.
        path: &'e str,
        /// Its length, where it is known.
        size: Option<u64>,
    },
    /// Some more bytes of content were sent, or received.
    Moved(u64),
    /// A file or a folder was left out by the sender: no regular file, or not to be read.
    LeftOut {
        /// Its path, fit to be shown.
        path: &'e str,
        /// Why.
        reason: &'e str,
    },
    /// A file is done with; so is a folder that was refused.
    Ended(&'e FileReport),
}

/// Whoever wants to know how a transfer goes. Called from several threads.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Nobody wants to know.
impl Observer for () {
    fn event(&self, _event: Event<'_>) {}
}

/// How many files ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Arrived, verified and durable.
    pub stored: u64,
    /// Were there already.
    pub already: u64,
    /// The receiver refused.
    pub refused: u64,
    /// The sender could not read, or not read whole.
    pub failed: u64,
    /// Did not arrive as they were sent.
    pub corrupt: u64,
    /// The connection ended before them.
    pub stopped: u64,
}

impl Summary {
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Stored => &mut self.stored,
            Outcome::Already => &mut self.already,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Corrupt => &mut self.corrupt,
            Outcome::Stopped { .. } => &mut self.stopped,
        };
        *counter += 1;
    }
}

/// Why a transfer ended before its end. Files that were done with before are done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The stream broke: the peer went away, or gave the transfer up.
    #[error("the transfer stopped: {0}")]
    Lost(#[source] io::Error),
    /// The peer says what the protocol does not allow.
    #[error("the peer broke the file protocol: {0}")]
    Protocol(&'static str),
}

/// `text` without what could steer a terminal or break a line.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_control() || matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    shown
}

#[cfg(test)]
mod tests;
