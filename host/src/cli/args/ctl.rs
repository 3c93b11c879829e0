//! `ropewalk ctl`.

use crate::ctl::{Command, Which};
use clap::{Args, Subcommand};

/// `ctl`.
#[derive(Clone, Debug, Args)]
pub struct Ctl {
    /// Which process, if several run
    #[arg(long, global = true, value_name = "N")]
    pub pid: Option<u32>,
    /// One JSON object a line on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// What it is asked.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What a command that runs is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum CtlCommand {
    /// How it is: servers or sources, clients, bytes, rates
    Status,
    /// Close a server; its clients are told, and go elsewhere
    Close {
        /// The number of a server, or all
        id: Which,
    },
    /// Let a server's clients wait
    Pause {
        /// The number of a server, or all
        id: Which,
    },
    /// Let a server that was paused go on
    Resume {
        /// The number of a server, or all
        id: Which,
    },
    /// End the command in an orderly way
    Quit,
    /// Use one source more
    Add {
        /// A ticket, a URL, or whatever else the command that runs takes as a source
        #[arg(value_name = "SOURCE")]
        source: String,
    },
}

impl From<CtlCommand> for Command {
    fn from(command: CtlCommand) -> Self {
        match command {
            CtlCommand::Status => Self::Status,
            CtlCommand::Close { id } => Self::Close(id),
            CtlCommand::Pause { id } => Self::Pause(id),
            CtlCommand::Resume { id } => Self::Resume(id),
            CtlCommand::Quit => Self::Quit,
            CtlCommand::Add { source } => Self::Add(source),
        }
    }
}
