//! `send --message TEXT --mode spread --explain`, on both ends: which word took which path, in what order
//! they came, and the sentence put together again.

use super::report::{Line, Report};
use super::session::Direction;
use crate::connection::Connection;
use crate::transfer::TransferError;
use crate::words::{Datagrams, Leg, Word, sentence};

/// A connection's datagrams, with the names of the paths they take.
pub struct Legs<'c> {
    connection: &'c Connection,
}

impl<'c> Legs<'c> {
    /// Those of `connection`.
    #[must_use]
    pub const fn of(connection: &'c Connection) -> Self {
        Self { connection }
    }
}

impl Datagrams for Legs<'_> {
    async fn send(&self, bytes: &[u8]) -> Result<Leg, TransferError> {
        let path = self.connection.send_datagram(bytes).await.map_err(TransferError::Lost)?;
        Ok(Leg { link: path.link_name, remote: path.remote })
    }

    async fn receive(&self) -> Result<(Vec<u8>, Leg), TransferError> {
        let (bytes, path) = self.connection.recv_datagram().await.map_err(TransferError::Lost)?;
        Ok((bytes, Leg { link: path.link_name, remote: path.remote }))
    }
}

/// Tells what became of the words, which stand in the order in which they arrived.
pub fn tell(words: &[Word], direction: Direction, report: &Report) {
    let way = if direction == Direction::Sending { "left" } else { "came" };
    for (place, word) in words.iter().enumerate() {
        let Word { number, text, leg: Leg { link, remote } } = word;
        let text = text.trim_end();
        let arrow = if direction == Direction::Sending { "to" } else { "from" };
        report.say(&format!(
            "arrived {:>3}: word {:>3} {text:?}, {way} by {link} {arrow} {remote}",
            place + 1,
            number + 1
        ));
        report.line(&Line::Word { number: *number, text, link, remote });
    }
    let text = sentence(words);
    report.say(&format!("together: {text}"));
    report.line(&Line::Message { text: &text });
}
