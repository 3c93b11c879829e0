//! Credit over all streams: what the peer may send us, and what we may send (RFC 9000 section 4.1).
//!
//! What we promise, we hold: each stream can waste a block at each of its ends, so two blocks for
//! every possible stream are kept out of the promise, and the rest is given to whoever sends first.

use crate::arithmetic::{Wide, difference};
use crate::wire::OFFSET_MAX;

/// What the peer may send us.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReceiveCredit {
    /// Bytes that memory can hold at once.
    capacity: u64,
    /// Sum over all streams of the highest offset received.
    received: u64,
    /// Sum over all streams of the bytes that the application took or that were dropped for it.
    consumed: u64,
    /// The limit that the peer was told.
    told: u64,
    due: bool,
    /// What had been received when the peer was told a limit whose arrival is awaited.
    told_at: Option<u64>,
    /// Much of the memory passed through in one round trip: more of it would raise the rate.
    tight: bool,
}

impl ReceiveCredit {
    /// Memory holds this much now; it only grows.
    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.tight &= capacity <= self.capacity;
        self.capacity = self.capacity.max(capacity);
        self.judge();
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What one stream may have: all but an eighth, so that one that nobody reads does not starve
    /// the others.
    pub(super) const fn stream_capacity(&self) -> u64 {
        self.capacity - self.capacity / 8
    }

    /// A stream's highest offset grew by `bytes`; false when that is more than was promised.
    #[must_use]
    pub(super) fn on_received(&mut self, bytes: u64) -> bool {
        let received = self.received.plus(bytes);
        if received > self.told {
            return false;
        }
        self.received = received;
        self.judge();
        true
    }

    pub(super) fn on_consumed(&mut self, bytes: u64) {
        self.consumed = self.consumed.plus(bytes);
        self.judge();
    }

    /// Whether more memory would raise the rate.
    pub(super) const fn tight(&self) -> bool {
        self.tight
    }

    /// The peer knows a limit that it was told, so a round trip has passed since.
    pub(super) fn on_acked(&mut self) {
        if let Some(before) = self.told_at.take() {
            let passed = self.received.minus(before);
            self.tight = passed > 0 && passed >= self.capacity / 2;
        }
    }

    pub(super) const fn due(&self) -> bool {
        self.due
    }

    /// The word was lost.
    pub(super) const fn again(&mut self) {
        self.due = true;
        self.told_at = None;
    }

    /// The limit to tell now.
    pub(super) fn tell(&mut self) -> u64 {
        self.told = self.told.max(self.limit());
        self.told_at = self.told_at.or(Some(self.received));
        self.due = false;
        self.told
    }

    /// Our handshake message, written before memory grew, told the peer no more than this.
    pub(super) fn told_only(&mut self, limit: u64) {
        self.told = limit;
        self.judge();
    }

    fn limit(&self) -> u64 {
        self.consumed.plus(self.capacity).min(OFFSET_MAX)
    }

    /// A quarter of the memory is worth a word; less is when the peer has not even that much left,
    /// since streams that nobody reads may hold the rest for good.
    fn judge(&mut self) {
        let gained = self.limit().minus(self.told);
        let left = self.told.minus(self.received);
        self.due |= gained > 0 && gained >= left.min(self.capacity / 4);
    }
}

/// What we may send.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendCredit {
    limit: u64,
    used: u64,
}

impl SendCredit {
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        let raised = limit > self.limit;
        self.limit = self.limit.max(limit);
        raised
    }

    pub(super) const fn left(&self) -> u64 {
        difference(self.limit, self.used)
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.used = self.used.plus(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_held() {
        // spec: 7.5-2
        // spec: 7.5-4
        let mut credit = ReceiveCredit::default();
        credit.set_capacity(1_000);
        assert_eq!(credit.tell(), 1_000);
        assert!(credit.on_received(600));
        credit.on_consumed(100);
        assert!(!credit.due(), "not worth a word yet");
        credit.on_consumed(150);
        assert!(credit.due());
        assert_eq!(credit.tell(), 1_250);
        assert!(credit.on_received(650));
        assert!(!credit.on_received(1), "beyond the promise");
    }

    #[test]
    fn little_is_worth_a_word_when_nothing_else_is_left() {
        let mut credit = ReceiveCredit::default();
        credit.set_capacity(1_000);
        credit.tell();
        assert!(credit.on_received(990));
        credit.on_consumed(5);
        assert!(!credit.due(), "the peer has more left than that");
        assert!(credit.on_received(10));
        assert!(credit.due());
        assert_eq!(credit.tell(), 1_005);
    }

    #[test]
    fn memory_is_tight_when_half_of_it_passes_in_a_round_trip() {
        for (passes, tight) in [(499, false), (500, true)] {
            let mut credit = ReceiveCredit::default();
            credit.set_capacity(1_000);
            credit.tell();
            assert!(credit.on_received(passes));
            credit.on_acked();
            assert_eq!(credit.tight(), tight);
            credit.set_capacity(4_000);
            assert!(!credit.tight(), "it has grown");
        }
    }

    #[test]
    fn credit_only_grows() {
        // spec: 7.5-3
        let mut credit = SendCredit::default();
        assert!(credit.raise(100));
        assert!(!credit.raise(50));
        credit.spend(30);
        assert_eq!(credit.left(), 70);
    }
}
