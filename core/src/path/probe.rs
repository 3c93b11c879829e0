//! Is the peer really at this address? Path validation (RFC 9000 section 8.2), and the rule that
//! an address which has not proved itself gets at most three times what came from it.

use crate::arithmetic::{Wide, difference, product, sum};
use crate::time::{Duration, Instant};

/// The validation of one path's remote address, in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Validation {
    /// What must come back.
    token: u64,
    validated: bool,
    /// Challenges since something last came from there.
    tries: u8,
    /// When the next challenge is due.
    next: Option<Instant>,
    /// When it would be, had something come meanwhile.
    soon: Instant,
    /// The peer's challenge that is still to be answered.
    owed: Option<u64>,
    received: u64,
    sent: u64,
}

impl Validation {
    /// `trusted`: the address has proved itself already, by the handshake.
    #[must_use]
    pub const fn new(token: u64, trusted: bool, now: Instant) -> Self {
        Self {
            token,
            validated: trusted,
            tries: 0,
            next: if trusted { None } else { Some(now) },
            soon: now,
            owed: None,
            received: 0,
            sent: 0,
        }
    }

    /// The address changed: everything begins anew, but for what the peer is owed.
    pub const fn restart(&mut self, token: u64, now: Instant) {
        *self = Self { owed: self.owed, ..Self::new(token, false, now) };
    }

    /// We opened the path, to an address that the peer gave us under seal: the challenge itself
    /// may go there.
    pub const fn grant(&mut self, bytes: u64) {
        self.received = sum(self.received, bytes);
    }

    /// The token of the challenge that must be sent now.
    #[must_use]
    pub fn token_due(&self, now: Instant) -> Option<u64> {
        let due = self.tries < TRIES_MAX && self.next.is_some_and(|next| next <= now);
        due.then_some(self.token)
    }

    /// A challenge went out; the next one follows after `wait`, which doubles each time.
    pub fn on_challenge_sent(&mut self, wait: Duration, now: Instant) {
        self.soon = now + wait;
        let wait = wait * (1 << self.tries.min(TRIES_MAX));
        self.tries = self.tries.saturating_add(1);
        self.next = Some(now + wait);
    }

    /// An answer came; returns whether it proves the address, for the first time.
    pub fn on_response(&mut self, token: u64) -> bool {
        let proved = token == self.token && !self.validated;
        if proved {
            self.validated = true;
            self.next = None;
        }
        proved
    }

    /// Whether the address has proved itself.
    #[must_use]
    pub const fn validated(&self) -> bool {
        self.validated
    }

    /// Whether all tries are made and the last was waited for.
    #[must_use]
    pub fn exhausted(&self, now: Instant) -> bool {
        !self.validated && self.tries >= TRIES_MAX && self.next.is_some_and(|next| next <= now)
    }

    /// The peer challenges us.
    pub const fn owe(&mut self, token: u64) {
        self.owed = Some(token);
    }

    /// The token that must be sent back.
    #[must_use]
    pub const fn owed(&self) -> Option<u64> {
        self.owed
    }

    /// It was sent back.
    pub const fn on_response_sent(&mut self) {
        self.owed = None;
    }

    /// Bytes came from the address, under seal: somebody is there, and the way to it may be back.
    pub fn on_received(&mut self, bytes: u64) {
        self.received = self.received.plus(bytes);
        if self.tries > 0 && !self.validated {
            self.tries = 1;
            self.next = self.next.map(|next| next.min(self.soon));
        }
    }

    /// Bytes went to it.
    pub const fn on_sent(&mut self, bytes: u64) {
        self.sent = sum(self.sent, bytes);
    }

    /// Bytes that may still go to it.
    #[must_use]
    pub const fn budget(&self) -> u64 {
        if self.validated {
            return u64::MAX;
        }
        difference(product(self.received, AMPLIFICATION), self.sent)
    }

    /// When something is due: the next challenge, or giving up.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        if self.validated { None } else { self.next }
    }
}

/// RFC 9000 section 8.
const AMPLIFICATION: u64 = 3;
const TRIES_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(1_000);
    const WAIT: Duration = Duration::from_millis(200);

    #[test]
    fn three_tries_with_backoff_and_then_no_more() {
        // spec: 9.3-5
        let mut validation = Validation::new(7, false, NOW);
        let mut now = NOW;
        for wait in [WAIT, WAIT * 2, WAIT * 4] {
            assert_eq!(validation.token_due(now), Some(7));
            validation.on_challenge_sent(WAIT, now);
            assert_eq!(validation.token_due(now), None);
            assert!(!validation.exhausted(now));
            now += wait;
        }
        assert_eq!(validation.token_due(now), None);
        assert!(validation.exhausted(now));
    }

    #[test]
    fn who_speaks_is_asked_on() {
        // spec: 9.3-5
        let mut validation = Validation::new(7, false, NOW);
        let mut now = NOW;
        for _ in 0..10 {
            for _ in 0..2 {
                assert_eq!(validation.token_due(now), Some(7));
                validation.on_challenge_sent(WAIT, now);
                validation.on_received(0);
                assert_eq!(validation.deadline(), Some(now + WAIT), "no longer than at first");
                now += WAIT;
            }
            assert!(!validation.exhausted(now));
        }
    }

    #[test]
    fn strangers_get_three_times_what_they_sent() {
        // spec: 9.3-3
        let mut validation = Validation::new(7, false, NOW);
        assert_eq!(validation.budget(), 0);
        validation.on_received(100);
        validation.on_sent(250);
        assert_eq!(validation.budget(), 50);
        assert!(!validation.on_response(8), "not our token");
        assert!(validation.on_response(7));
        assert_eq!(validation.budget(), u64::MAX);
    }
}
