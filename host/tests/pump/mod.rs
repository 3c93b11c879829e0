//! A wire between two pseudo-terminals: what is written to one comes out of the other at the pace of a
//! UART. It can be unplugged, make noise, and knows how much waited for it at most.
#![allow(dead_code, reason = "each test binary uses its part")]

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;
use tempfile::TempDir;

/// What an emulated UART carries: a little more than 115,200 baud.
const BYTES_A_SECOND: u64 = 12_000;
/// What is kept for an end that does not read; its terminal holds 4 KiB more.
const HELD_BYTES: usize = 8_192;
const STEP: Duration = Duration::from_millis(1);

/// Two ends, each a symbolic link to a pseudo-terminal, and the thread that carries between them.
pub(crate) struct Wire {
    folder: TempDir,
    shared: Arc<Shared>,
    pump: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Nobody takes what the ends write.
    deaf: AtomicBool,
    /// The other sides of the terminals; none while the wire is unplugged.
    masters: Mutex<Option<[OwnedFd; 2]>>,
    /// The most bytes that waited at once on one side.
    waited_most: AtomicUsize,
    carried: AtomicUsize,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let wire = Self::unplugged();
        wire.plug();
        wire
    }

    pub(crate) fn unplugged() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::default());
        let pumping = shared.clone();
        let pump = Some(std::thread::spawn(move || pumping.pump()));
        Self { folder, shared, pump }
    }

    /// The device of an end.
    pub(crate) fn path(&self, side: usize) -> PathBuf {
        self.folder.path().join(format!("line{side}"))
    }

    /// PATH of `--serial`.
    pub(crate) fn option(&self, side: usize) -> String {
        self.path(side).to_str().unwrap().to_owned()
    }

    pub(crate) fn plug(&self) {
        let masters = [0, 1].map(|side| {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
            grantpt(&master).unwrap();
            unlockpt(&master).unwrap();
            let name = ptsname(&master, Vec::new()).unwrap();
            symlink(OsStr::from_bytes(name.to_bytes()), self.path(side)).unwrap();
            master
        });
        *self.shared.masters() = Some(masters);
    }

    /// Both devices vanish, with whatever was on the way.
    pub(crate) fn unplug(&self) {
        let masters = self.shared.masters().take();
        for side in [0, 1] {
            std::fs::remove_file(self.path(side)).unwrap();
        }
        drop(masters);
    }

    /// Bytes of nobody's arrive at both ends.
    pub(crate) fn noise(&self, bytes: &[u8]) {
        for master in self.shared.masters().iter().flatten() {
            let _ = rustix::io::write(master, bytes);
        }
    }

    /// From now on nobody takes what the ends write, or somebody does again.
    pub(crate) fn deafen(&self, deaf: bool) {
        self.shared.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Bytes that came out so far.
    pub(crate) fn carried(&self) -> usize {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// How long the newest byte had to wait at most.
    pub(crate) fn waited_most(&self) -> Duration {
        let bytes = self.shared.waited_most.load(Ordering::Relaxed) as u64;
        Duration::from_micros(bytes * 1_000_000 / BYTES_A_SECOND)
    }
}

impl Shared {
    fn masters(&self) -> MutexGuard<'_, Option<[OwnedFd; 2]>> {
        self.masters.lock().unwrap()
    }

    fn pump(&self) {
        let mut waiting = [VecDeque::new(), VecDeque::new()];
        // Carried, and not yet taken: a machine that does other work keeps the far end from reading.
        let mut held = [VecDeque::<u8>::new(), VecDeque::new()];
        let mut since = Instant::now();
        let mut bytes = [0; 4_096];
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(STEP);
            let masters = self.masters();
            let now = Instant::now();
            let time = now.duration_since(core::mem::replace(&mut since, now));
            let most = (time.as_nanos() as u64 * BYTES_A_SECOND / 1_000_000_000) as usize;
            let Some(masters) = masters.as_ref() else {
                waiting.iter_mut().chain(&mut held).for_each(VecDeque::clear);
                continue;
            };
            if self.deaf.load(Ordering::Relaxed) {
                continue;
            }
            for (side, waiting) in waiting.iter_mut().enumerate() {
                while let Ok(count @ 1..) = rustix::io::read(&masters[side], &mut bytes) {
                    waiting.extend(&bytes[..count]);
                }
                let held = &mut held[side];
                let carried = most.min(waiting.len());
                held.extend(waiting.drain(..carried));
                let taken = rustix::io::write(&masters[1 - side], held.make_contiguous());
                held.drain(..taken.unwrap_or(0));
                // Whoever does not listen misses it, as on a line.
                held.drain(..held.len().saturating_sub(HELD_BYTES));
                self.carried.fetch_add(carried, Ordering::Relaxed);
                self.waited_most.fetch_max(waiting.len(), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.pump.take().unwrap().join().unwrap();
    }
}
