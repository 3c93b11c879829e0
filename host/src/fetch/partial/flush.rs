//! A large file goes to the disk while it comes, so that making it durable at its end takes no time of its own.
//!
//! A thread does it, since it waits for the disk. It promises nothing: what counts is the sync at the end.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

/// After so many bytes the disk is told.
const EVERY_BYTES: u64 = 32 << 20;

/// Tells the disk, every so many bytes.
#[derive(Debug)]
pub(super) struct Flusher {
    file: File,
    thread: Option<SyncSender<()>>,
    written: u64,
}

impl Flusher {
    /// For this file.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        Ok(Self { file: file.try_clone()?, thread: None, written: 0 })
    }

    /// So many bytes more were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
        if self.written < EVERY_BYTES {
            return;
        }
        self.written = 0;
        if self.thread.is_none() {
            self.thread = self.start();
        }
        if let Some(thread) = &self.thread {
            // A disk that is behind is not told again.
            let _ = thread.try_send(());
        }
    }

    fn start(&self) -> Option<SyncSender<()>> {
        let file = self.file.try_clone().ok()?;
        let (tell, told) = sync_channel(1);
        let builder = std::thread::Builder::new().name("flush".into());
        let started = builder.spawn(move || {
            while told.recv().is_ok() {
                // An error comes again with the sync at the end.
                let _ = file.sync_data();
            }
        });
        started.ok().map(|_| tell)
    }
}
