//! Counts the instructions of one walk: this very program, started again under
//! `valgrind --tool=callgrind`.
//!
//! The counting is exact and takes no notice of what else the machine does. Two things that differ
//! between machines are held fast: the environment, and with it where the stack begins, and which of
//! its ways of copying bytes the C library chooses by what the processor can.

use super::hot::{COUNTED, HotPath};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Instructions per unit of `path`. `walker` is this program, which walks when it is called with
/// `--walk NAME`; the profile is left in the file `profile`.
///
/// # Errors
/// A sentence that says what could not be had, and what to do.
pub fn count(walker: &Path, path: HotPath, profile: &Path) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]);
    valgrind.arg(format!("--toggle-collect={COUNTED}"));
    valgrind.arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind.arg(walker).args(["--walk", path.name()]);
    valgrind.env_clear().env("GLIBC_TUNABLES", TUNABLES);
    valgrind.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = valgrind.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "valgrind is not installed (Debian: apt-get install valgrind)".into()
        }
        _ => format!("valgrind: {error}"),
    })?;
    let failed = || String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!(
            "the walk of {} ended with {}: {}",
            path.name(),
            output.status,
            failed()
        ));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let units: u64 = said.trim().parse().map_err(|_| format!("the walk said {said:?}"))?;
    let text = std::fs::read_to_string(profile)
        .map_err(|error| format!("{}: {error}", profile.display()))?;
    match total(&text) {
        Some(instructions) if instructions > 0 && units > 0 => Ok(instructions.div_ceil(units)),
        _ => Err(format!("callgrind counted nothing: no function matches {COUNTED}")),
    }
}

/// The sum in a profile of callgrind's, whose only event is instructions read.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Copying without the wider registers that only some processors have. A library that does not know
/// a word of this passes over it.
const TUNABLES: &str =
    "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-SSSE3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        let profile = "version: 1\nevents: Ir\nfn=(1) main\n12 34\n\ntotals: 123456\n";
        assert_eq!(total(profile), Some(123_456));
        assert_eq!(total("events: Ir\n"), None);
        assert_eq!(total("totals: many\n"), None);
    }
}
