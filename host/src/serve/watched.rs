//! The file of an item while it is offered: given as long as it is what was hashed.
//!
//! ```text
//!           ┌── bytes or date ───────────────────────────> changed, for good
//!  steady ──┤                                                 ^
//!     ^     └── name, permissions, links ──> checking ── other bytes
//!     ├───────────────── same root ─────────────┤
//!     └── after a while ── unreadable <── an error of the disk
//! ```
//!
//! The system notes in one time that a file got another name and that its bytes changed while its date was set back. So it is
//! hashed again, by a thread of its own, once, however many ask for it; and who asks waits.

use super::changes::{Changes, Fate};
use super::protocol::Reason;
use super::shelf::Wanted;
use crate::content::build::BuildError;
use crate::content::outboard::Trees;
use crate::content::steady::{Difference, Steady};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How often who waits looks whether he still wants it.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// When a disk that failed is asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// So many times in a row it may be touched while it is hashed.
const TRIES: u32 = 3;

/// An item's file.
#[derive(Debug)]
pub(super) struct Watched {
    name: String,
    root: blake3::Hash,
    trees: Trees,
    changes: Arc<Changes>,
    state: Mutex<State>,
    moved: Condvar,
    stopped: AtomicBool,
}

#[derive(Debug)]
enum State {
    Steady(Arc<Steady>),
    /// It could not be hashed again; another try is made then.
    Unreadable(Arc<Steady>, Instant),
    Checking,
    Changed,
}

impl Watched {
    pub(super) fn new(
        name: &str,
        root: blake3::Hash,
        file: Arc<Steady>,
        trees: Trees,
        changes: Arc<Changes>,
    ) -> Self {
        let (name, state) = (name.to_owned(), Mutex::new(State::Steady(file)));
        let (moved, stopped) = (Condvar::new(), AtomicBool::new(false));
        Self { name, root, trees, changes, state, moved, stopped }
    }

    /// The file, as it was hashed. Waits while it is hashed again, as long as that is wanted.
    pub(super) fn file(self: &Arc<Self>, wanted: Wanted<'_>) -> Result<Arc<Steady>, Reason> {
        let mut state = self.lock();
        loop {
            match &*state {
                State::Changed => return Err(Reason::Changed),
                State::Checking if !wanted() => return Err(Reason::Unreadable),
                State::Checking => {}
                State::Unreadable(_, until) if Instant::now() < *until => {
                    return Err(Reason::Unreadable);
                }
                State::Unreadable(file, _) => {
                    *state = State::Steady(Arc::clone(file));
                    continue;
                }
                State::Steady(file) => match file.difference() {
                    Err(_) => return Err(Reason::Unreadable),
                    Ok(Difference::None) => return Ok(Arc::clone(file)),
                    Ok(Difference::Content) => {
                        *state = State::Changed;
                        self.changes.note(&self.name, Fate::Changed);
                        continue;
                    }
                    Ok(Difference::Touched) => {
                        let (watched, file) = (Arc::clone(self), Arc::clone(file));
                        let thread = std::thread::Builder::new().name("hash again".into());
                        let began = thread.spawn(move || watched.settle(&file));
                        if began.is_err() {
                            return Err(Reason::Unreadable);
                        }
                        self.changes.note(&self.name, Fate::Checking);
                        *state = State::Checking;
                    }
                },
            }
            let waited = self.moved.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nobody offers it any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn settle(&self, touched: &Arc<Steady>) {
        let again = self.hash_again(touched);
        let mut state = self.lock();
        let (now, fate) = match again {
            Ok(Some(file)) => (State::Steady(Arc::new(file)), Some(Fate::Same)),
            Ok(None) => (State::Changed, Some(Fate::Changed)),
            Err(_) => {
                (State::Unreadable(Arc::clone(touched), Instant::now() + TRY_AGAIN_AFTER), None)
            }
        };
        *state = now;
        if let Some(fate) = fate {
            self.changes.note(&self.name, fate);
        }
        drop(state);
        self.moved.notify_all();
    }

    /// The same file with the stamp that it has now, if it has the same content.
    fn hash_again(&self, touched: &Steady) -> Result<Option<Steady>, BuildError> {
        let go_on = |_| !self.stopped.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            let file = touched.again().map_err(BuildError::Read)?;
            match self.trees.outboard_unnamed(&file, &go_on) {
                Ok(tree) => return Ok((tree.root() == self.root).then_some(file)),
                // It may have been renamed once more.
                Err(BuildError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
