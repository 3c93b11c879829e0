//! Keys become orders: digits select a server, letters say what becomes of it. To close all of them is asked for twice.

use crate::ctl::{Command, Which};

/// What the keys do, for the last line of the screen.
pub(super) const HELP: &str =
    "1-9 selects a server, a all; p pauses, r resumes, c closes, s shows clients, q ends";

/// The same when [`Selection::is_asked`].
pub(super) const SURE: &str = "c once more closes all servers; any other key does not";

/// What is selected and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// This server; all, if none.
    server: Option<u32>,
    /// Whether clients are shown.
    pub(super) clients: bool,
    /// Whether the next key must say once more that all are to close.
    asked: bool,
}

impl Selection {
    /// What is meant by an order.
    pub(super) fn which(self) -> Which {
        self.server.map_or(Which::All, Which::One)
    }

    /// Whether it waits for a second word before it closes all.
    pub(super) const fn is_asked(self) -> bool {
        self.asked
    }

    /// A key was pressed; the order that it is. There are servers from 1 to `servers`.
    pub(super) fn press(&mut self, key: u8, servers: u32) -> Option<Command> {
        let is_sure = core::mem::take(&mut self.asked);
        match key {
            b'0'..=b'9' => self.server = self.select(u32::from(key - b'0'), servers),
            b'a' => self.server = None,
            b's' => self.clients = !self.clients,
            b'p' => return Some(Command::Pause(self.which())),
            b'r' => return Some(Command::Resume(self.which())),
            b'c' if self.server.is_none() && !is_sure => self.asked = true,
            b'c' => return Some(Command::Close(self.which())),
            b'q' => return Some(Command::Quit),
            _ => {}
        }
        None
    }

    /// 1 and then 2 is server 12, if there is one, else server 2.
    fn select(self, digit: u32, servers: u32) -> Option<u32> {
        let is_there = |server: &u32| (1..=servers).contains(server);
        let longer = self.server.and_then(|server| server.checked_mul(10)?.checked_add(digit));
        longer.filter(is_there).or_else(|| Some(digit).filter(is_there))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pressed(keys: &str, servers: u32) -> (Selection, Option<Command>) {
        let mut selection = Selection::default();
        let last = keys.bytes().map(|key| selection.press(key, servers)).last().flatten();
        (selection, last)
    }

    #[test]
    fn digits_select_and_letters_order() {
        assert_eq!(pressed("p", 3).1, Some(Command::Pause(Which::All)));
        assert_eq!(pressed("2c", 3).1, Some(Command::Close(Which::One(2))));
        assert_eq!(pressed("12r", 3).1, Some(Command::Resume(Which::One(2))));
        assert_eq!(pressed("12r", 12).1, Some(Command::Resume(Which::One(12))));
        assert_eq!(pressed("10c", 12).1, Some(Command::Close(Which::One(10))));
        assert_eq!(pressed("2ap", 3).1, Some(Command::Pause(Which::All)));
        assert_eq!(pressed("9p", 3).1, Some(Command::Pause(Which::All)), "there is no server 9");
        assert!(pressed("c", 3).0.is_asked() && pressed("c", 3).1.is_none());
        assert_eq!(pressed("cc", 3).1, Some(Command::Close(Which::All)));
        assert_eq!(pressed("csc", 3).1, None, "another key came between");
        assert_eq!(pressed("c2c", 3).1, Some(Command::Close(Which::One(2))));
        assert_eq!(pressed("2q", 3).1, Some(Command::Quit));
        assert!(pressed("s", 3).0.clients && !pressed("ss", 3).0.clients);
    }

    proptest! {
        #[test]
        fn nothing_is_selected_that_is_not_there(
            keys in prop::collection::vec(any::<u8>(), 0..40),
            servers in 1_u32..=64,
        ) {
            let mut selection = Selection::default();
            for key in keys {
                selection.press(key, servers);
                if let Which::One(server) = selection.which() {
                    prop_assert!((1..=servers).contains(&server));
                }
            }
        }
    }
}
