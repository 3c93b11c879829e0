//! `ropewalk manifest`.

use clap::Args;
use std::path::PathBuf;

/// `manifest`.
#[derive(Clone, Debug, Args)]
pub struct Manifest {
    /// The file or folder
    pub path: PathBuf,
    /// Where the hashes go: PATH.ropewalk if nothing is said
    #[arg(long, value_name = "F")]
    pub out: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}
