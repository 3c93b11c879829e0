//! How to listen and connect: options of many commands.

use super::super::values::{quota, size};
use crate::link::serial::SerialConfig;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What both waiting commands take.
#[derive(Clone, Debug, Args)]
pub struct Listen {
    /// End after one connection; the ticket is good for that one alone
    #[arg(long)]
    pub once: bool,
    /// Write the ticket to F too
    #[arg(long, value_name = "F")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of every command that connects.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// How the paths are used; what the dialer says binds both directions
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Which links.
    #[command(flatten)]
    pub links: LinkChoice,
    /// With --mode backup: this link is the spare (repeatable); else the dearer, then the longer one
    #[arg(long = "backup-link", value_name = "NAME")]
    pub spares: Vec<String>,
    /// This link costs money: it carries data only when the others do not keep up (repeatable)
    #[arg(long, value_name = "NAME")]
    pub metered: Vec<String>,
    /// As --metered, and never more than so many bytes both ways together: wwan0=500M (repeatable)
    #[arg(long = "quota", value_name = "NAME=BYTES", value_parser = quota)]
    pub quotas: Vec<(String, u64)>,
    /// Advertise this address too, for example one that a router forwards (repeatable)
    #[arg(long = "address", value_name = "HOST:PORT")]
    pub addresses: Vec<String>,
    /// The UDP port of every link
    #[arg(long, value_name = "N", default_value_t)]
    pub port: u16,
    /// Most memory for what is under way: 16M, 512K
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub window: Option<u64>,
}

/// Which links to use.
#[derive(Clone, Debug, Default, Args)]
pub struct LinkChoice {
    /// Use only this link (repeatable)
    #[arg(long = "link", value_name = "NAME")]
    pub only: Vec<String>,
    /// Do not use this link (repeatable)
    #[arg(long = "not-link", value_name = "NAME")]
    pub not: Vec<String>,
    /// Use this serial line too, at 115200 baud unless said: /dev/ttyUSB0:921600 (repeatable)
    #[arg(long, value_name = "PATH[:BAUD]")]
    pub serial: Vec<SerialConfig>,
}

/// How the paths are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Add the rates of all links
    #[default]
    Bulk,
    /// A random path for each packet; for demonstration
    Spread,
    /// One link carries everything, the others stand by
    Backup,
    /// Every byte on every link, the first copy wins
    Redundant,
    /// As bulk, and what is lost is computed from repair symbols that took another link
    Repair,
}

impl From<Mode> for ropewalk_core::id::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Bulk => Self::Bulk,
            Mode::Spread => Self::Spread,
            Mode::Backup => Self::Backup,
            Mode::Redundant => Self::Redundant,
            Mode::Repair => Self::Repair,
        }
    }
}
