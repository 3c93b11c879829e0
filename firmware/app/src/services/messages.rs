//! The receiver of `bench-messages`: reads the announcement and the heads, skips the filler.
//!
//! ```text
//!  Announcement ──> Head ──> Filler ──> Head ...       wrong: a size or a number that cannot be
//! ```

use super::latencies::Latencies;
use heapless::Vec;
use ropewalk_core::application::bench::{ANNOUNCEMENT_BYTES, MESSAGE_HEAD_BYTES, MessagesOutcome};

/// What came so far.
pub(super) struct Messages {
    /// Of the announcement or the head that is being read.
    part: Vec<u8, MESSAGE_HEAD_BYTES>,
    /// Size and count, once they are known.
    announced: Option<(u32, u64)>,
    /// Filler that follows.
    filler: usize,
    count: u64,
    /// When the message whose filler follows was due.
    due: u64,
    wrong: bool,
    latencies: Latencies,
}

impl Messages {
    pub(super) const fn new() -> Self {
        Self {
            part: Vec::new(),
            announced: None,
            filler: 0,
            count: 0,
            due: 0,
            wrong: false,
            latencies: Latencies::new(),
        }
    }

    /// Whether the sender broke the rules.
    pub(super) const fn is_wrong(&self) -> bool {
        self.wrong
    }

    /// Bytes came at this moment, in microseconds.
    pub(super) fn take(&mut self, bytes: &[u8], now: u64) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.wrong {
            let len = if self.filler > 0 { self.skip(rest, now) } else { self.read(rest, now) };
            rest = rest.get(len..).unwrap_or_default();
        }
    }

    fn skip(&mut self, bytes: &[u8], now: u64) -> usize {
        let len = bytes.len().min(self.filler);
        self.filler = self.filler.saturating_sub(len);
        if self.filler == 0 {
            self.arrived(now);
        }
        len
    }

    fn read(&mut self, bytes: &[u8], now: u64) -> usize {
        let whole = if self.announced.is_none() { ANNOUNCEMENT_BYTES } else { MESSAGE_HEAD_BYTES };
        let len = bytes.len().min(whole.saturating_sub(self.part.len()));
        let _ = self.part.extend_from_slice(bytes.get(..len).unwrap_or_default());
        if self.part.len() == whole {
            let part = core::mem::take(&mut self.part);
            match self.announced {
                None => self.on_announcement(&part),
                Some((size, count)) => self.on_head(&part, size, count, now),
            }
        }
        len
    }

    fn on_announcement(&mut self, part: &[u8]) {
        let Some((size, count)) = part.split_first_chunk::<4>() else { return };
        let (size, count) = (u32::from_le_bytes(*size), number(count));
        self.wrong = !SIZES.contains(&size);
        self.announced = Some((size, count));
    }

    fn on_head(&mut self, part: &[u8], size: u32, count: u64, now: u64) {
        let (head, due) = part.split_at_checked(8).unwrap_or_default();
        self.wrong = number(head) != self.count || self.count >= count;
        self.due = number(due);
        self.filler = (size as usize).saturating_sub(MESSAGE_HEAD_BYTES);
        if self.filler == 0 {
            self.arrived(now);
        }
    }

    fn arrived(&mut self, now: u64) {
        self.count = self.count.saturating_add(1);
        self.latencies.arrived(self.due / 1_000, now);
    }

    /// What there is to say at the end of the stream; `None` if nothing was announced.
    pub(super) fn outcome(&self) -> Option<MessagesOutcome> {
        let (_, announced) = self.announced?;
        Some(MessagesOutcome {
            count: self.count,
            lost: announced.saturating_sub(self.count),
            p50: self.latencies.percentile(50),
            p99: self.latencies.percentile(99),
            max: self.latencies.max(),
        })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The head alone, to a mebibyte.
const SIZES: core::ops::RangeInclusive<u32> = MESSAGE_HEAD_BYTES as u32..=1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::vec::Vec as List;

    fn stream(size: u32, announced: u64, numbers: &[u64]) -> List<u8> {
        let mut bytes = [&size.to_le_bytes()[..], &announced.to_le_bytes()].concat();
        for number in numbers {
            bytes.extend(number.to_le_bytes());
            bytes.extend((number * 10_000_000).to_le_bytes());
            bytes.resize(bytes.len() + size as usize - MESSAGE_HEAD_BYTES, 0);
        }
        bytes
    }

    #[test]
    fn messages_in_pieces_of_any_length_are_counted() {
        for size in [16, 17, 100] {
            let bytes = stream(size, 5, &[0, 1, 2]);
            for piece in 1..60 {
                let mut messages = Messages::new();
                for bytes in bytes.chunks(piece) {
                    messages.take(bytes, 50_000);
                }
                let seen = messages.outcome().unwrap();
                assert_eq!((seen.count, seen.lost), (3, 2));
                assert_eq!(seen.max, Duration::from_millis(20), "due 10 ms apart, here at once");
                assert!(!messages.is_wrong());
            }
        }
    }

    #[test]
    fn a_sender_that_breaks_the_rules_is_noticed() {
        for (size, announced, numbers) in
            [(15, 1, &[][..]), (1 << 21, 1, &[]), (16, 2, &[0, 0]), (16, 1, &[0, 1])]
        {
            let mut bytes = stream(size.max(16), announced, numbers);
            bytes[..4].copy_from_slice(&size.to_le_bytes());
            let mut messages = Messages::new();
            messages.take(&bytes, 1);
            assert!(messages.is_wrong(), "{size} {announced} {numbers:?}");
        }
    }
}
