//! What emulated boards take from their emulator, by semihosting: files in its working folder stay
//! when the board is switched off, its system is the source of randomness, and an exit code ends it.
//!
//! | file | what |
//! |---|---|
//! | `settings.bin` | the settings, as `ropewalk provision` writes them |
//! | `boots.bin` | how often the board has started, four bytes, little-endian |
//! | `stop` | while it exists the board stops: exit code 0 |
//!
//! Arguments (`-semihosting-config arg=...`): `clock-wraps` starts the clock a second before its
//! counter wraps; `no-entropy` takes the source of randomness away.

#![no_std]

use core::ffi::CStr;
use defmt_semihosting as _;
use ropewalk_app::board::{Entropy, NoEntropy, Store, StoreError, Watchdog};
use ropewalk_app::link::Link;
use ropewalk_app::node::Node;
use ropewalk_core::connection::Storage;
use ropewalk_core::time::{Duration, Instant};
use semihosting::fs::File;
use semihosting::io::{Read, Write};
use semihosting::process;

const SETTINGS: &CStr = c"settings.bin";
const BOOTS: &CStr = c"boots.bin";
const STOP: &CStr = c"stop";

/// Files in the emulator's working folder.
pub struct Files;

impl Store for Files {
    fn settings(&mut self, into: &mut [u8]) -> Result<usize, StoreError> {
        // A file that is not there is flash that was never written.
        read(SETTINGS, into).or(Ok(0))
    }

    fn keep_settings(&mut self, file: &[u8]) -> Result<(), StoreError> {
        write(SETTINGS, file)
    }

    fn count_boot(&mut self) -> Result<u32, StoreError> {
        let mut count = [0; 4];
        let _ = read(BOOTS, &mut count);
        let count = u32::from_le_bytes(count).wrapping_add(1);
        write(BOOTS, &count.to_le_bytes())?;
        Ok(count)
    }
}

fn read(path: &CStr, into: &mut [u8]) -> Result<usize, StoreError> {
    let mut file = File::open(path).map_err(|_| StoreError)?;
    let mut len = 0;
    while let Some(rest) = into.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(_) => return Err(StoreError),
        }
    }
    Ok(len)
}

fn write(path: &CStr, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).map_err(|_| StoreError)?;
    file.write_all(bytes).map_err(|_| StoreError)
}

/// The randomness of the emulator's system.
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        match read(c"/dev/urandom", bytes) {
            Ok(len) if len == bytes.len() && !has_argument("no-entropy") => Ok(()),
            _ => Err(NoEntropy),
        }
    }
}

/// Whether the emulator was started with this word among the board's arguments.
#[must_use]
pub fn has_argument(word: &str) -> bool {
    let Ok(arguments) = semihosting::experimental::env::args::<256>() else { return false };
    arguments.into_iter().any(|argument| argument == Ok(word))
}

/// An emulated board that hangs is the test's to notice.
pub struct NoWatchdog;

impl Watchdog for NoWatchdog {
    fn feed(&mut self) {}
}

/// Turns for ever, until the file `stop` is there. `now` is the board's clock, `rest` is called when nothing
/// is due before a moment.
pub fn run<M: Storage>(
    node: &mut Node<M>,
    links: &mut [&mut dyn Link],
    mut now: impl FnMut() -> Instant,
) -> ! {
    let mut look = now();
    loop {
        let before = now();
        let _ = node.turn(links, before);
        let after = now();
        node.on_turn(after.since(before));
        if after >= look {
            look = after + LOOK_EVERY;
            if File::open(STOP).is_ok() {
                defmt::info!(
                    "stopped; longest turn {=u64} us, {}",
                    node.turn_max().as_micros(),
                    node.counters()
                );
                process::exit(0);
            }
        }
    }
}

/// Says why the board does not start, and ends it: exit code 2.
pub fn refuse(why: &dyn core::fmt::Display) -> ! {
    defmt::error!("refuses to start: {}", defmt::Display2Format(why));
    process::exit(2)
}

/// Says where it panicked, and ends the board: exit code 3.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    process::exit(3)
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
