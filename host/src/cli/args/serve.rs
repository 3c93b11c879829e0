//! `ropewalk serve`.

use super::super::values::bytes_a_second;
use super::Connect;
use clap::Args;
use core::num::NonZeroU64;
use std::path::PathBuf;

/// `serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Bytes a second to all clients together, at most: 10M, 500K
    #[arg(long, value_name = "R", value_parser = bytes_a_second)]
    pub max_rate: Option<NonZeroU64>,
    /// Write the ticket to F too
    #[arg(long, value_name = "F")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}
