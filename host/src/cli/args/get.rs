//! `ropewalk get`.

use super::super::values::{bytes_a_second, hash, interval, metrics_address, seconds};
use super::Connect;
use clap::Args;
use core::net::SocketAddr;
use core::num::NonZeroU64;
use core::time::Duration;
use std::path::PathBuf;

/// `get`.
#[derive(Clone, Debug, Args)]
pub struct Get {
    /// Whom to ask: known names, tickets, KEY@HOST:PORT, URLs of mirrors, or @FILE with one of these a line
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Fetch this: a name out of the list, or a path in a folder (repeatable)
    #[arg(long = "pick", value_name = "PATH")]
    pub picks: Vec<String>,
    /// Only show what is offered, and by whom
    #[arg(long, conflicts_with_all = ["picks", "root"])]
    pub list: bool,
    /// Fetch what has this BLAKE3 hash, whatever it is called: the root that `serve` prints
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub root: Option<blake3::Hash>,
    /// Where it goes
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Replace files that exist; folders that exist get the modes and times of the offered ones
    #[arg(long)]
    pub overwrite: bool,
    /// Throw away what an earlier one left under way, and start over
    #[arg(long)]
    pub no_resume: bool,
    /// Bytes a second from all servers together, at most: 10M is 10 MiB/s
    #[arg(long, value_name = "R", value_parser = bytes_a_second)]
    pub max_rate: Option<NonZeroU64>,
    /// Give up when nothing has come for S seconds; what is there is kept
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub give_up_after: Option<f64>,
    /// Say how it stands every S seconds; every 10 if standard error is no terminal
    #[arg(long, value_name = "S", value_parser = interval)]
    pub report: Option<Duration>,
    /// Give numbers to Prometheus at http://ADDR/metrics; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = metrics_address)]
    pub metrics: Option<SocketAddr>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}
