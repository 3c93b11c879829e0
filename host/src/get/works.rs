//! Works that are known and not taken yet, in the order in which they are wanted.

use crate::fetch::schedule::Work;
use std::collections::VecDeque;

/// The row of works that the schedule takes from.
#[derive(Debug, Default)]
pub struct Works {
    listed: VecDeque<Work>,
}

/// More than all sources together are ever asked for at once, of pieces; what is taken is listed again at once.
const PLENTY: usize = 64;

impl Works {
    /// Whether more need not be listed for now.
    #[must_use]
    pub fn is_plenty(&self) -> bool {
        self.listed.len() >= PLENTY
    }

    /// Lists one more.
    pub fn list(&mut self, work: Work) {
        self.listed.push_back(work);
    }

    /// Takes what belongs to `file` off the list.
    pub fn forget(&mut self, file: u32) {
        self.listed.retain(|work| work.id.file != file);
    }
}

impl Iterator for Works {
    type Item = Work;
    fn next(&mut self) -> Option<Work> {
        self.listed.pop_front()
    }
}
