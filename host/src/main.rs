//! The command `ropewalk`: parses, dispatches, and ends with the code that says how it went.

use clap::Parser;
use ropewalk::cli::{self, args::CommandLine};
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::run(CommandLine::parse()) as u8)
}
