//! What was found changed of what is offered: a list for the server's owner, who takes it when he looks.
//!
//! It holds only so much; what nobody takes is not told. A file in a folder is told once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Changes that wait to be told.
const WAITING_MAX: usize = 256;
/// Files that were told, and are not told again.
const TOLD_MAX: usize = 4096;

/// What became of something that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The item's name; of a file in a folder with the path to it.
    pub name: String,
    /// What it is now.
    pub fate: Fate,
}

/// What it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its name, permissions or links changed: it is hashed again, and nobody gets it meanwhile.
    Checking,
    /// It is the same, and is given on.
    Same,
    /// It is something else, and not given any more.
    Changed,
}

/// As it is written in reports: `checking`, `same`, `changed`.
impl core::fmt::Display for Fate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Checking => "checking",
            Self::Same => "same",
            Self::Changed => "changed",
        })
    }
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    waiting: VecDeque<Change>,
    told: HashSet<String>,
}

impl Changes {
    pub(super) fn note(&self, name: &str, fate: Fate) {
        self.lock().add(name, fate);
    }

    /// It changed, and nothing was said of it before.
    pub(super) fn note_once(&self, name: &str) {
        let mut list = self.lock();
        if list.told.len() < TOLD_MAX && list.told.insert(name.to_owned()) {
            list.add(name, Fate::Changed);
        }
    }

    pub(super) fn take(&self) -> Vec<Change> {
        self.lock().waiting.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn add(&mut self, name: &str, fate: Fate) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(Change { name: name.to_owned(), fate });
        }
    }
}
