//! Exit codes, and the errors that end a command. The codes are an interface: scripts depend on them.

use crate::home::HomeError;
use crate::peer::PeerError;
use crate::peers::PeersError;
use crate::transfer::{Summary, TransferError};
use core::fmt;
use std::io;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// All was done.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The peer cannot be reached.
    Unreachable = 3,
    /// The peer refused, all or some of it.
    Refused = 4,
    /// What arrived is not what was sent.
    Corrupt = 5,
    /// Stopped on the way; doing it again goes on where it stopped.
    Stopped = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

/// A command's end, if it is not a good one: what to say, and the code.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// The thing, the cause and the next step; empty if all was said already.
    pub message: String,
}

impl Failure {
    /// An end with this code and these words.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Each file that did not make it was told already.
    #[must_use]
    pub const fn told(code: Code) -> Self {
        Self { code, message: String::new() }
    }
}

impl Code {
    /// What a transfer in which these things happened ends with: the worst of them.
    #[must_use]
    pub const fn of(summary: &Summary) -> Self {
        match summary {
            Summary { corrupt: 1.., .. } => Self::Corrupt,
            Summary { stopped: 1.., .. } => Self::Stopped,
            Summary { failed: 1.., .. } => Self::Failed,
            Summary { refused: 1.., .. } => Self::Refused,
            _ => Self::Done,
        }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::new(Code::Failed, error)
    }
}

impl From<PeersError> for Failure {
    fn from(error: PeersError) -> Self {
        let code = match error {
            PeersError::BadName(_) | PeersError::Key(_) | PeersError::Address(_) => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        let code = match error {
            PeerError::Lookup(_) => Code::Unreachable,
            PeerError::File { .. } => Code::Failed,
            PeerError::Peers(error) => return error.into(),
            _ => Code::Usage,
        };
        Self::new(code, error)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        let code = match &error {
            TransferError::Lost(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                return Self::new(Code::Refused, cause);
            }
            TransferError::Lost(_) => Code::Stopped,
            TransferError::Protocol(_) => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Code::Failed, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_what_happened_counts() {
        let nothing = Summary::default();
        assert_eq!(Code::of(&nothing), Code::Done);
        assert_eq!(Code::of(&Summary { stored: 3, already: 1, ..nothing }), Code::Done);
        assert_eq!(Code::of(&Summary { refused: 1, stored: 1, ..nothing }), Code::Refused);
        assert_eq!(Code::of(&Summary { refused: 1, failed: 1, ..nothing }), Code::Failed);
        assert_eq!(Code::of(&Summary { corrupt: 1, stopped: 1, ..nothing }), Code::Corrupt);
        assert_eq!(Code::of(&Summary { stopped: 1, refused: 1, ..nothing }), Code::Stopped);
    }
}
