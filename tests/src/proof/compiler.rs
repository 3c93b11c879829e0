//! The compilers that make bare images.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A compiler with a bare target's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// What the images are judged by: the one that `firmware/toolchain.sh` finds.
    Stable,
    /// Says how large each function's stack frame is.
    Nightly,
}

impl Compiler {
    /// As the compiler names itself.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn version(self, target: &str) -> io::Result<String> {
        let output = self.command("rustc", target).arg("-V").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs `cargo build` in a folder of the firmware.
    ///
    /// # Errors
    /// It cannot be run; that it failed stands in its output.
    pub fn build(self, folder: &str, target: &str, args: &[&str]) -> io::Result<Output> {
        let mut cargo = self.command("cargo", target);
        if self == Self::Nightly {
            cargo.env("RUSTFLAGS", "-Z emit-stack-sizes");
        }
        cargo.args(["build", "--quiet"]).args(args).env("CARGO_TARGET_DIR", self.folder());
        cargo.current_dir(firmware().join(folder)).output()
    }

    /// Where the image of this name is, once it is built.
    #[must_use]
    pub fn image(self, target: &str, profile: &str, name: &str) -> PathBuf {
        self.folder().join(target).join(profile).join(name)
    }

    fn command(self, program: &str, target: &str) -> Command {
        let mut command = match self {
            Self::Stable => Command::new(firmware().join("toolchain.sh")),
            Self::Nightly => Command::new(program),
        };
        match self {
            Self::Stable => command.args([target, program]),
            Self::Nightly => command.arg("+nightly"),
        };
        // Inside `cargo run` these name the toolchain of the outer build.
        command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        command
    }

    fn folder(self) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let folder = match self {
            Self::Stable => "firmware",
            Self::Nightly => "firmware-nightly",
        };
        target.unwrap_or_else(|| firmware().join("../target")).join(folder)
    }
}

/// The folder of the bare images' sources.
#[must_use]
pub fn firmware() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../firmware")
}
