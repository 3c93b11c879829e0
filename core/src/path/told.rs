//! What we told the peer of our paths: that one is given up, stands by, or is available.
//!
//! ```text
//!   tell ----> due ----on_sent----> under way ----on_acked----> settled (of Gone: forgotten)
//!               ^                       |
//!               +-------on_lost---------+
//! ```
//!
//! Every word has a number of its own, larger than all before: the peer goes by the largest that it
//! heard of a path, and a word that was overtaken is not repeated (`docs/protocol.md` section 9.7).

use crate::id::PathId;
use crate::storage::table::{keep, take_out};
use crate::wire::PathStatus;
use heapless::Vec;

/// What the peer was told, or is to be.
#[derive(Debug, Default)]
pub struct Told {
    words: Vec<Word, WORDS_MAX>,
    /// Of the newest word.
    sequence: u32,
}

/// What is said of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Of which path.
    pub path: PathId,
    /// The word's number.
    pub sequence: u32,
    /// What is said.
    pub status: PathStatus,
    due: bool,
}

impl Told {
    /// Has the peer told, unless that is what it was told last. Paths that nothing was ever said of
    /// are available.
    pub fn tell(&mut self, path: PathId, status: PathStatus) {
        let known = self.words.iter().position(|word| word.path == path);
        let before = known.and_then(|place| self.words.get(place)).map(|word| word.status);
        if before.unwrap_or(PathStatus::Available) == status {
            return;
        }
        if let Some(place) = known {
            take_out(&mut self.words, place);
        } else if self.words.is_full() {
            // Of all that could be lost, the word on a path that is no more matters least.
            let gone = self.words.iter().position(|word| word.status == PathStatus::Gone);
            take_out(&mut self.words, gone.unwrap_or(0));
        }
        self.sequence = self.sequence.saturating_add(1);
        let _ = self.words.push(Word { path, sequence: self.sequence, status, due: true });
    }

    /// The peer gave the path up: nothing need be said of it any more.
    pub fn forget(&mut self, path: PathId) {
        keep(&mut self.words, &mut |word| word.path != path);
    }

    /// The next word that must be said.
    #[must_use]
    pub fn due(&self) -> Option<Word> {
        self.words.iter().find(|word| word.due).copied()
    }

    /// This one was.
    pub fn on_sent(&mut self, sequence: u32) {
        self.mark(sequence, false);
    }

    /// It did not arrive.
    pub fn on_lost(&mut self, sequence: u32) {
        self.mark(sequence, true);
    }

    /// It did.
    pub fn on_acked(&mut self, sequence: u32) {
        self.mark(sequence, false);
        keep(&mut self.words, &mut |word| {
            word.sequence != sequence || word.status != PathStatus::Gone
        });
    }

    fn mark(&mut self, sequence: u32, due: bool) {
        if let Some(word) = self.words.iter_mut().find(|word| word.sequence == sequence) {
            word.due = due;
        }
    }
}

/// All live paths, and as many that were given up.
const WORDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use PathStatus::{Available, Backup, Gone};

    const A: PathId = PathId(0);
    const B: PathId = PathId(2);

    fn due(told: &Told) -> Option<(u32, PathStatus)> {
        told.due().map(|word| (word.path.0, word.status))
    }

    #[test]
    fn a_word_is_said_until_it_arrives_and_numbers_grow() {
        // spec: 9.7-2
        let mut told = Told::default();
        told.tell(A, Available);
        assert_eq!(due(&told), None, "that goes without saying");
        told.tell(A, Backup);
        let first = told.due().unwrap();
        assert_eq!((first.sequence, first.status), (1, Backup));
        told.on_sent(first.sequence);
        assert_eq!(due(&told), None);
        told.on_lost(first.sequence);
        assert_eq!(due(&told), Some((0, Backup)));
        told.tell(A, Available);
        let second = told.due().unwrap();
        assert_eq!((second.sequence, second.status), (2, Available));
        told.on_sent(second.sequence);
        told.on_lost(first.sequence);
        assert_eq!(due(&told), None, "a word that was overtaken is not repeated");
        told.on_acked(first.sequence);
        told.on_lost(second.sequence);
        assert_eq!(due(&told), Some((0, Available)));
    }

    #[test]
    fn a_path_that_is_gone_is_forgotten_once_the_peer_knows() {
        let mut told = Told::default();
        told.tell(A, Backup);
        told.tell(A, Gone);
        told.tell(B, Gone);
        let word = told.due().unwrap();
        told.on_acked(word.sequence);
        assert_ne!(told.due().map(|word| word.path), Some(word.path));
        told.forget(B);
        told.forget(A);
        assert_eq!(due(&told), None);
        for path in 0..40 {
            told.tell(PathId(path), Gone);
        }
        assert_eq!(told.words.len(), WORDS_MAX);
    }
}
