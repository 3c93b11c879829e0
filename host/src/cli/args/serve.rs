//! `ropewalk serve`.

use super::super::values::{bytes_a_second, interval, metrics_address};
use super::Connect;
use clap::Args;
use core::net::SocketAddr;
use core::num::NonZeroU64;
use core::time::Duration;
use std::path::PathBuf;

/// `serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// So many servers at once, each with its own key, port and ticket: 1 to 64
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub servers: Option<u32>,
    /// The UDP ports of the servers, in their order, one for each
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', conflicts_with = "port")]
    pub ports: Vec<u16>,
    /// Print how each server is every S seconds
    #[arg(long, value_name = "S", value_parser = interval)]
    pub report: Option<Duration>,
    /// Give numbers to Prometheus at http://ADDR/metrics; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = metrics_address)]
    pub metrics: Option<SocketAddr>,
    /// Bytes a second to all clients together, at most: 10M is 10 MiB/s
    #[arg(long, value_name = "R", value_parser = bytes_a_second)]
    pub max_rate: Option<NonZeroU64>,
    /// Write the tickets to F too, one a line
    #[arg(long, value_name = "F")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}
