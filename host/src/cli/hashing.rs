//! Files and folders are hashed in a thread of its own, and meanwhile it is drawn how far that got. Ctrl-C ends it.

use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::Report;
use crate::content::offer::Noticed;
use crate::content::outboard::Trees;
use crate::home::Home;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::sync::Arc;

/// Hashing under way.
pub(super) struct Hashing {
    report: Arc<Report>,
    progress: Progress,
    stopped: AtomicBool,
}

impl Hashing {
    pub(super) fn new(report: &Arc<Report>) -> Self {
        let progress = Progress::new(Arc::clone(report), None, Box::new(Vec::new));
        Self { report: Arc::clone(report), progress, stopped: AtomicBool::new(false) }
    }

    /// Does `work` in a thread. At Ctrl-C it is asked to stop, and ends soon: within a chunk, and it takes what it had begun to
    /// write with it.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        interrupt: &mut Interrupt,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut working = tokio::task::spawn_blocking(work);
        let ended = tokio::select! {
            ended = self.progress.while_drawing(&mut working) => ended,
            () = interrupt.pressed() => {
                self.stop();
                working.await
            }
        };
        ended.map_err(|error| Failure::from(io::Error::other(error)))?
    }

    /// So many bytes there are to hash.
    pub(super) fn expect(&self, bytes: u64) {
        self.progress.expect(bytes);
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Something is noticed while an item is made; whether to go on. What is left out is said, and given to `left_out`: its
    /// path, why, and whether that is a failure.
    pub(super) fn notice(
        &self,
        noticed: Noticed<'_>,
        left_out: impl FnOnce(&str, &str, bool),
    ) -> bool {
        match noticed {
            Noticed::Hashed(bytes) => self.progress.moved(bytes),
            Noticed::LeftOut { path, reason, failed } => {
                self.report.say(&format!("left out: {path}: {reason}"));
                left_out(path, reason, failed);
            }
        }
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// Where hashes are kept.
pub(super) fn open_trees(home: &Home) -> Result<Trees, Failure> {
    Trees::open(home.trees()).map_err(|cause| {
        let trees = home.trees();
        let text = format!(
            "cannot keep hashes in {}: {cause}; set ROPEWALK_HOME to another folder",
            trees.display()
        );
        Failure::new(Code::Failed, text)
    })
}
