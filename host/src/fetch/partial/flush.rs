//! A large file goes to the disk while it comes, so that making it durable at its end takes little time of its own.
//!
//! ```text
//!   wrote, every 32 MiB ──> thread: sync ── failed ──┐
//!   finish: thread ends ──> sync ──────── failed ────┴──> the first error, and the file is to be read from the disk
//! ```
//!
//! A thread does it, since it waits for the disk. Linux tells of a write that failed once for all handles of one opening:
//! an error that the thread was told does not come again with the sync at the end. So it is kept, and the file
//! is not durable, whatever later syncs say. The system may hold in memory what the disk has not got, and would give that to whoever
//! reads the file next; it is told to forget it, so that the next one proves what the disk has.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// After so many bytes the disk is told.
const EVERY_BYTES: u64 = 32 << 20;

/// Tells the disk, every so many bytes. Dropped, it waits for its thread: whoever opens the file next finds it unlocked.
#[derive(Debug)]
pub(super) struct Flusher {
    file: File,
    thread: Option<Thread>,
    written: u64,
    has_failed: bool,
    sync: Sync,
}

#[derive(Debug)]
struct Thread {
    tell: SyncSender<()>,
    /// Ends with its first error.
    ended: JoinHandle<io::Result<()>>,
}

/// How a file is made durable.
type Sync = fn(&File) -> io::Result<()>;

impl Flusher {
    /// For this file.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        Self::with(file, File::sync_data)
    }

    /// One whose thread syncs like this.
    pub(super) fn with(file: &File, sync: Sync) -> io::Result<Self> {
        Ok(Self { file: file.try_clone()?, thread: None, written: 0, has_failed: false, sync })
    }

    /// So many bytes more were written.
    ///
    /// # Errors
    /// When the disk did not take what was written before.
    pub(super) fn wrote(&mut self, bytes: u64) -> io::Result<()> {
        self.written += bytes;
        if self.written < EVERY_BYTES {
            return Ok(());
        }
        self.written = 0;
        if self.thread.is_none() {
            self.join()?;
            self.thread = self.start();
        }
        match self.thread.as_ref().map(|thread| thread.tell.try_send(())) {
            Some(Err(TrySendError::Disconnected(()))) => self.join(),
            // A disk that is behind is not told again.
            _ => Ok(()),
        }
    }

    /// All that was written is durable, and the file's attributes are.
    ///
    /// # Errors
    /// When the disk did not take something, now or before.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.join()?;
        let synced = self.file.sync_all();
        self.has_failed |= synced.is_err();
        synced.inspect_err(|_| forget(&self.file))
    }

    /// Waits for the thread, if it runs; how all has gone so far.
    fn join(&mut self) -> io::Result<()> {
        if let Some(Thread { tell, ended }) = self.thread.take() {
            drop(tell);
            let ended = ended.join().unwrap_or_else(|_| Err(io::Error::other("flushing failed")));
            self.has_failed |= ended.is_err();
            ended?;
        }
        match self.has_failed {
            true => Err(io::Error::other("the disk did not take all that was written")),
            false => Ok(()),
        }
    }

    fn start(&self) -> Option<Thread> {
        let (file, sync) = (self.file.try_clone().ok()?, self.sync);
        let (tell, told) = sync_channel(1);
        let work = move || {
            while told.recv().is_ok() {
                sync(&file).inspect_err(|_| forget(&file))?;
            }
            Ok(())
        };
        let ended = std::thread::Builder::new().name("flush".into()).spawn(work).ok()?;
        Some(Thread { tell, ended })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        // What it did not take is found missing by whoever proves it.
        let _ = self.join();
    }
}

/// The system is to read the file from the disk from now on, where it can be told so.
fn forget(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
