//! `ropewalk provision`.

use super::super::values::addressing;
use clap::Args;
use ropewalk_core::application::settings::Addressing;
use std::path::PathBuf;

/// `provision`.
#[derive(Clone, Debug, Args)]
pub struct Provision {
    /// Where the settings go
    #[arg(long, value_name = "F")]
    pub out: PathBuf,
    /// Replace F if it exists, and with it the key that it holds
    #[arg(long)]
    pub force: bool,
    /// Keep the board's key in K, so that it stays who it is; made if it is not there
    #[arg(long, value_name = "K")]
    pub key_file: Option<PathBuf>,
    /// The board's UDP port on every link
    #[arg(long, value_name = "N", default_value_t = 4433, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// How the next of its network links gets its address (repeatable, in the board's order)
    #[arg(long = "link", value_name = "ADDRESSING", value_parser = addressing)]
    pub links: Vec<Addressing>,
    /// Whom the board knows, and dials if it is known where (repeatable)
    #[arg(long = "peer", value_name = "PEER")]
    pub peers: Vec<String>,
    /// As --peer, and it is looked for at the board's serial line too (repeatable)
    #[arg(long = "serial-peer", value_name = "PEER")]
    pub serial_peers: Vec<String>,
    /// Write the board's ticket to T too
    #[arg(long, value_name = "T")]
    pub ticket_file: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}
