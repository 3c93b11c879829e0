//! What a command that runs can be asked: one line of text.

use core::fmt;
use core::str::FromStr;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// How is it?
    Status,
    /// Close a server.
    Close(Which),
    /// Pause a server.
    Pause(Which),
    /// Let a server go on.
    Resume(Which),
    /// End the whole command in an orderly way.
    Quit,
    /// Use this source too.
    Add(String),
}

/// Which servers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// The one of this number, from one.
    One(u32),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such word.
    #[error("{0:?} is none of status, close ID, pause ID, resume ID, quit and add SOURCE")]
    Word(String),
    /// It needs what is not there.
    #[error("say which one: {0} ID, or {0} all")]
    NoId(&'static str),
    /// That is no number of a server.
    #[error("{0:?} is neither the number of a server nor all")]
    Id(String),
    /// A source is one word.
    #[error("a source is one word: a ticket, a name or KEY@HOST:PORT")]
    Source,
    /// There is more behind it.
    #[error("{0:?} takes nothing more")]
    More(&'static str),
}

impl Which {
    /// Whether the server of this number is meant.
    #[must_use]
    pub fn means(self, server: u32) -> bool {
        match self {
            Self::All => true,
            Self::One(number) => number == server,
        }
    }
}

impl FromStr for Which {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        match text {
            "all" => Ok(Self::All),
            _ => match text.parse() {
                // Not +1 and the like: what is printed is what is read.
                Ok(number) if number > 0 && text.as_bytes()[0].is_ascii_digit() => {
                    Ok(Self::One(number))
                }
                _ => Err(CommandError::Id(text.into())),
            },
        }
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_ascii_whitespace();
        let (word, rest) = (words.next().unwrap_or_default(), words.next());
        if let Some(command) = ["status", "quit"].into_iter().find(|known| *known == word) {
            return match (rest, command) {
                (Some(_), command) => Err(CommandError::More(command)),
                (None, "quit") => Ok(Self::Quit),
                (None, _) => Ok(Self::Status),
            };
        }
        let more = words.next().is_some();
        if word == "add" {
            return match rest {
                Some(source) if !more => Ok(Self::Add(source.into())),
                _ => Err(CommandError::Source),
            };
        }
        let (name, make): (_, fn(Which) -> Self) = match word {
            "close" => ("close", Self::Close),
            "pause" => ("pause", Self::Pause),
            "resume" => ("resume", Self::Resume),
            _ => return Err(CommandError::Word(word.into())),
        };
        match rest {
            None => Err(CommandError::NoId(name)),
            Some(_) if more => Err(CommandError::More(name)),
            Some(id) => Ok(make(id.parse()?)),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::One(number) => number.fmt(f),
        }
    }
}

/// As it is read.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Close(which) => write!(f, "close {which}"),
            Self::Pause(which) => write!(f, "pause {which}"),
            Self::Resume(which) => write!(f, "resume {which}"),
            Self::Quit => f.write_str("quit"),
            Self::Add(source) => write!(f, "add {source}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_command() -> impl Strategy<Value = Command> {
        let which = || prop_oneof![Just(Which::All), (1_u32..).prop_map(Which::One)];
        prop_oneof![
            Just(Command::Status),
            Just(Command::Quit),
            which().prop_map(Command::Close),
            which().prop_map(Command::Pause),
            which().prop_map(Command::Resume),
            "[!-~]{1,400}".prop_map(Command::Add),
        ]
    }

    proptest! {
        #[test]
        fn every_command_is_read_as_it_is_written(command in any_command()) {
            prop_assert_eq!(command.to_string().parse(), Ok(command));
        }

        #[test]
        fn any_line_is_a_command_that_is_read_again_or_an_error(
            line in "((status|close|pause|resume|quit|add) ?)?([0-9]{1,12}|all|[ -~ü\u{a0}]{0,40})",
        ) {
            if let Ok(command) = line.parse::<Command>() {
                prop_assert_eq!(command.to_string().parse(), Ok(command));
            }
        }
    }

    #[test]
    fn what_is_no_command_is_told_apart() {
        let error = |line: &str| line.parse::<Command>().unwrap_err();
        assert_eq!(error("fly"), CommandError::Word("fly".into()));
        assert_eq!(error(""), CommandError::Word(String::new()));
        assert_eq!(error("close"), CommandError::NoId("close"));
        for id in ["0", "-1", "+1", "x", "4294967296"] {
            assert_eq!(error(&format!("pause {id}")), CommandError::Id(id.into()));
        }
        assert_eq!(error("resume 1 2"), CommandError::More("resume"));
        assert_eq!(error("status now"), CommandError::More("status"));
        assert_eq!([error("add"), error("add a b")], [CommandError::Source, CommandError::Source]);
    }
}
