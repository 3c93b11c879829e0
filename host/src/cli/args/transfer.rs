//! `ropewalk recv` and `ropewalk send`.

use super::{Connect, Listen};
use clap::Args;
use std::path::PathBuf;

/// `recv`.
#[derive(Clone, Debug, Args)]
pub struct Recv {
    /// Where files go: a folder, or - for standard output
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    pub overwrite: bool,
    /// How to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// Known peers only, no ticket
    #[arg(long, conflicts_with = "ticket_file")]
    pub trusted: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `send`.
#[derive(Clone, Debug, Args)]
pub struct Send {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Files and folders; - is standard input
    #[arg(value_name = "PATH", required_unless_present = "message", conflicts_with = "message")]
    pub paths: Vec<PathBuf>,
    /// Send TEXT instead of files
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// With --mode spread: one word a packet, and both ends tell which word took which path
    #[arg(long, requires = "message", conflicts_with = "paths")]
    pub explain: bool,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}
