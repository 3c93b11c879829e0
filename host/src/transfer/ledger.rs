//! The sender's ledger: every item that was sent and has no verdict yet. Bounded, so that a receiver
//! that says nothing costs no memory.

use super::protocol::Verdict;
use super::{FileReport, Outcome, TransferError, shown};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most items without a verdict.
const ITEMS_MAX: usize = 1_000;

/// What the receiver has said of an item so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing.
    None,
    /// It asks for the hash.
    Ask,
    /// It wants the content after all.
    Go,
    /// It has given its verdict.
    Settled,
    /// It has so many bytes from an earlier time, with this hash.
    Resume(u64, [u8; 32]),
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<BTreeMap<u64, Entry>>,
    changed: Notify,
}

#[derive(Debug)]
struct Entry {
    path: String,
    is_folder: bool,
    word: Word,
    bytes: u64,
    resumed: u64,
    blake3: Option<[u8; 32]>,
    failed: Option<String>,
}

impl Ledger {
    /// Whether another item fits.
    pub(super) fn has_room(&self) -> bool {
        self.entries().len() < ITEMS_MAX
    }

    /// Waits until another item fits.
    pub(super) async fn room(&self) {
        self.until(|entries| (entries.len() < ITEMS_MAX).then_some(())).await;
    }

    pub(super) fn insert(&self, item: u64, path: String, is_folder: bool) {
        let (word, bytes, resumed, blake3, failed) = (Word::None, 0, 0, None, None);
        let entry = Entry { path, is_folder, word, bytes, resumed, blake3, failed };
        self.entries().insert(item, entry);
    }

    /// All of the item's content was sent, or hashed.
    pub(super) fn complete(&self, item: u64, bytes: u64, blake3: [u8; 32]) {
        if let Some(entry) = self.entries().get_mut(&item) {
            (entry.bytes, entry.blake3) = (bytes, Some(blake3));
        }
    }

    /// The bytes before this one are with the receiver already, and do not cross again.
    pub(super) fn go_on_from(&self, item: u64, from: u64) {
        if let Some(entry) = self.entries().get_mut(&item) {
            entry.resumed = from;
        }
    }

    /// We gave the item up.
    pub(super) fn give_up(&self, item: u64, reason: String) {
        if let Some(entry) = self.entries().get_mut(&item) {
            entry.failed = Some(reason);
        }
    }

    pub(super) fn word(&self, item: u64) -> Word {
        self.entries().get(&item).map_or(Word::Settled, |entry| entry.word)
    }

    /// Waits until the receiver knows whether it wants the content whose hash it was told.
    pub(super) async fn wanted(&self, item: u64) -> bool {
        let word = |entries: &BTreeMap<u64, Entry>| match entries.get(&item).map(|entry| entry.word)
        {
            Some(Word::Go) => Some(true),
            None => Some(false),
            Some(_) => None,
        };
        self.until(word).await
    }

    /// The receiver says `word` of the item.
    pub(super) fn hear(&self, item: u64, word: Word) {
        if let Some(entry) = self.entries().get_mut(&item) {
            entry.word = word;
        }
        self.changed.notify_waiters();
    }

    /// The receiver's verdict on an item; a report, unless it is a folder that is well.
    pub(super) fn settle(
        &self,
        item: u64,
        verdict: Verdict<'_>,
    ) -> Result<Option<FileReport>, TransferError> {
        let unknown = TransferError::Protocol("a verdict on nothing that was sent");
        let entry = self.entries().remove(&item).ok_or(unknown)?;
        self.changed.notify_waiters();
        let mut time = Duration::ZERO;
        let outcome = match verdict {
            Verdict::Stored { .. } | Verdict::Already if entry.is_folder => return Ok(None),
            Verdict::Stored { .. } | Verdict::Already if entry.blake3.is_none() => {
                return Err(TransferError::Protocol("a file is called stored before it was sent"));
            }
            Verdict::Stored { micros } => {
                time = Duration::from_micros(micros);
                Outcome::Stored
            }
            Verdict::Already => Outcome::Already,
            Verdict::Refused(reason) => Outcome::Refused(shown(reason)),
            Verdict::Corrupt => Outcome::Corrupt,
            Verdict::GivenUp => {
                let why = || "the receiver got less, or more, than was announced".to_owned();
                Outcome::Failed(entry.failed.clone().unwrap_or_else(why))
            }
        };
        Ok(Some(entry.report(time, outcome)))
    }

    /// The reports of all files that have no verdict: the connection ended before them.
    pub(super) fn stop(&self) -> Vec<FileReport> {
        let entries = core::mem::take(&mut *self.entries());
        let files = entries.into_values().filter(|entry| !entry.is_folder);
        files.map(|entry| entry.report(Duration::ZERO, Outcome::Stopped { kept: None })).collect()
    }

    async fn until<T>(&self, look: impl Fn(&BTreeMap<u64, Entry>) -> Option<T>) -> T {
        loop {
            let mut changed = core::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&self.entries()) {
                return found;
            }
            changed.await;
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn report(self, time: Duration, outcome: Outcome) -> FileReport {
        FileReport {
            path: shown(&self.path),
            bytes: self.bytes,
            resumed: self.resumed,
            time,
            blake3: self.blake3,
            outcome,
        }
    }
}
