//! The peers that are crates of their own: a small workspace in `tests/peers`, so that what they
//! need stays out of ours. It is built when first asked for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program that plays `noq` and `quinn`, built on demand.
///
/// # Errors
/// Why it is not there, in words for a person.
pub fn program() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os("ROPEWALK_PEERS").map(PathBuf::from) {
        return match program.exists() {
            true => Ok(program),
            false => Err(format!("$ROPEWALK_PEERS, {}, is not there", program.display())),
        };
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    if !folder.join("Cargo.toml").exists() {
        return Err(format!("{} is not there; it holds their sources", folder.display()));
    }
    // Beside the lab's own outcome, whatever folder that is in.
    let own = super::own_program();
    let target = own.ancestors().nth(2).map_or_else(|| folder.join("target"), |t| t.join("peers"));
    eprintln!("lab: building the peers noq and quinn, once ...");
    let output = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(&folder)
        .output()
        .map_err(|error| format!("cargo cannot be run to build them: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().find(|line| line.starts_with("error")).unwrap_or("no reason");
        return Err(format!("they cannot be built: {words}"));
    }
    Ok(target.join("release/peers"))
}
