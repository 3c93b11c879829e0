//! Board images, built as a user builds them, and the emulator that runs them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An emulated board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Board {
    /// Cortex-M3, LAN9118 and UART.
    Mps2,
    /// RISC-V, up to four virtio cards.
    Riscv,
}

impl Board {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mps2 => "qemu-mps2",
            Self::Riscv => "qemu-riscv",
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Mps2 => "thumbv7m-none-eabi",
            Self::Riscv => "riscv32imac-unknown-none-elf",
        }
    }

    pub(crate) const fn emulator(self) -> &'static str {
        match self {
            Self::Mps2 => "qemu-system-arm",
            Self::Riscv => "qemu-system-riscv32",
        }
    }

    /// The image, or why there is none here. It is built once in a run of the tests.
    ///
    /// # Panics
    /// When it does not compile: that is no reason to skip.
    pub(crate) fn image(self) -> Result<PathBuf, String> {
        static BUILT: Mutex<Option<HashMap<Board, Result<PathBuf, String>>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        built.get_or_insert_default().entry(self).or_insert_with(|| self.build()).clone()
    }

    fn build(self) -> Result<PathBuf, String> {
        self.find_emulator()?;
        let compiler = self.toolchain().arg("true").output().map_err(|error| error.to_string())?;
        if !compiler.status.success() {
            return Err(String::from_utf8_lossy(&compiler.stderr).trim().to_owned());
        }
        Ok(self.other(&format!("boards/{}", self.name()), self.name()))
    }

    /// Another image for the board's machine: that of a folder of the firmware.
    pub(crate) fn other(self, folder: &str, name: &str) -> PathBuf {
        let folder = root().join("firmware").join(folder);
        let into = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target/firmware"), PathBuf::from);
        let mut cargo = self.toolchain();
        cargo.args(["cargo", "build", "--release", "--quiet", "--target-dir"]).arg(&into);
        // What this process was built with is not what the board is built with.
        for inherited in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            cargo.env_remove(inherited);
        }
        let status = cargo.current_dir(&folder).status().expect("it ran before");
        assert!(status.success(), "{} does not build", folder.display());
        let image = into.join(self.target()).join("release").join(name);
        image.canonicalize().expect("cargo has written it")
    }

    /// A command for a compiler that has the board's target.
    pub(crate) fn toolchain(self) -> Command {
        let mut toolchain = Command::new(root().join("firmware/toolchain.sh"));
        toolchain.arg(self.target());
        toolchain
    }

    fn find_emulator(self) -> Result<(), String> {
        let name = self.emulator();
        let output = Command::new(name).arg("--version").output();
        let Ok(output) = output else { return Err(format!("there is no {name}")) };
        let text = String::from_utf8_lossy(&output.stdout);
        let version =
            text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let mut numbers =
            version.unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(0_u32));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if (major, minor) < (7, 2) {
            return Err(format!("{name} is {major}.{minor}; the tests need 7.2 for -netdev dgram"));
        }
        Ok(())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The image of a board, and the right to run it: the tests take turns, since most of them measure time and a
/// board keeps a processor busy.
pub(crate) fn take_turn(board: Board) -> Result<(PathBuf, MutexGuard<'static, ()>), String> {
    static TURN: Mutex<()> = Mutex::new(());
    let image = board.image()?;
    Ok((image, TURN.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// What [`take_turn`] gives, or a word on standard error and an early end of the test.
#[macro_export]
macro_rules! image_or_skip {
    ($board:expr) => {
        match $crate::image::take_turn($board) {
            Ok(image) => image,
            Err(reason) => {
                eprintln!("SKIPPED {}: {reason}", module_path!());
                return;
            }
        }
    };
}
