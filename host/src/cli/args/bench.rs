//! `ropewalk bench`.

use super::super::values::{message_size, rate, seconds, size};
use super::{Connect, Listen};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `bench`.
#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// The far end of a measurement: print a ticket, and wait
    #[command(after_help = "\
Example:
  ropewalk bench serve --once --json")]
    Serve(BenchServe),
    /// Send as fast as the links allow; the receiver's clock counts
    #[command(after_help = "\
Examples:
  ropewalk bench bulk @ticket.txt --seconds 10 --plot rates.svg
  ropewalk bench bulk rope1... --bytes 1G --json")]
    Bulk(BenchBulk),
    /// Send messages at a steady rate over one reliable stream; the receiver tells how late each was
    #[command(after_help = "\
Latency is one way, from the moment at which a message was due to the moment at which the receiver
has read it. Both ends must run on one machine, for example in two network namespaces: the clock is
the machine's own.

Examples:
  ropewalk bench messages @ticket.txt --rate 100 --size 1000 --seconds 14
  ropewalk bench messages rope1... --rate 10000 --size 64 --seconds 5 --json")]
    Messages(BenchMessages),
    /// Send bytes to the peer and back, and see that they are the same; this end's clock counts
    #[command(after_help = "\
Every `ropewalk bench serve` and every board sends back what it hears.

Examples:
  ropewalk bench echo rope1... --bytes 1M
  ropewalk bench echo @board.txt --serial /dev/ttyACM0 --json")]
    Echo(BenchEcho),
}

/// `bench serve`.
#[derive(Clone, Debug, Args)]
pub struct BenchServe {
    /// How to listen.
    #[command(flatten)]
    pub listen: Listen,
    /// Draw the rate of each path over time; a later measurement replaces the picture
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench bulk`.
#[derive(Clone, Debug, Args)]
pub struct BenchBulk {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// How much or how long.
    #[command(flatten)]
    pub amount: Amount,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench messages`.
#[derive(Clone, Debug, Args)]
pub struct BenchMessages {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Messages a second, at most 10000
    #[arg(long, value_name = "HZ", value_parser = rate)]
    pub rate: f64,
    /// Length of each message: 16 bytes to 1M
    #[arg(long, value_name = "BYTES", value_parser = message_size)]
    pub size: usize,
    /// Send for S seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: f64,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// `bench echo`.
#[derive(Clone, Debug, Args)]
pub struct BenchEcho {
    /// A known name, a ticket, @FILE, KEY@HOST:PORT or KEY@serial
    pub peer: String,
    /// Send N bytes; K, M and G are powers of 1024
    #[arg(long, value_name = "N", value_parser = size, default_value = "256K")]
    pub bytes: u64,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the rate of each path over time
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// How to connect.
    #[command(flatten)]
    pub connect: Connect,
}

/// How much `bench bulk` sends.
#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Amount {
    /// Send N bytes; K, M and G are powers of 1024
    #[arg(long, value_name = "N", value_parser = size)]
    pub bytes: Option<u64>,
    /// Send for S seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<f64>,
}
