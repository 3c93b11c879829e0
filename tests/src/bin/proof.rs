//! Builds the bare images of `firmware/proofs` and says what they prove.
//!
//! ```text
//! proof            no-panic: it links, or every panic that is left is named
//! ```

use ropewalk_tests::proof::image::Image;
use ropewalk_tests::proof::panics;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match no_panic() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proof: {error}");
            ExitCode::from(2)
        }
    }
}

/// Links the image; if it does not link, names what stands in the way.
fn no_panic() -> io::Result<bool> {
    if cargo(&["--quiet", "-p", "no-panic"])?.status.success() {
        println!("no-panic: it links, so no public entry of the core can panic or allocates");
        return Ok(true);
    }
    let located = cargo(&["--quiet", "-p", "no-panic", "--features", "located"])?;
    if !located.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&located.stderr).into_owned()));
    }
    let file = target().join("thumbv7m-none-eabi/release/no-panic");
    let image = Image::read(&file)?;
    println!("no-panic: it does not link, since these panics are left:");
    for location in panics::locations(&image) {
        println!("  {location}");
    }
    println!("reached from:");
    for call in panics::calls(&image, &file)? {
        println!("  {}", call.panic);
        call.lines.iter().for_each(|line| println!("    {line}"));
    }
    Ok(false)
}

fn cargo(args: &[&str]) -> io::Result<std::process::Output> {
    Command::new("cargo")
        .args(["build", "--release"])
        .args(args)
        .env("CARGO_TARGET_DIR", target())
        .current_dir(firmware())
        .output()
}

fn firmware() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../firmware")
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.map_or_else(|| firmware().join("target"), |target| target.join("firmware"))
}
