//! When to call whom: each peer of the settings that has an address, again and again, with a pause
//! that grows from one second to a minute while nobody answers.
//!
//! ```text
//!   Due ── call ──> Busy ── connection over ──> Due after the pause
//! ```
//!
//! A connection that stood ends the waiting: the next call is due after a second.

use heapless::Vec;
use ropewalk_core::application::settings::{PEERS_MAX, Settings};
use ropewalk_core::time::{Duration, Instant};

/// The calls that the settings ask for.
pub struct Dials {
    calls: Vec<Call, PEERS_MAX>,
}

struct Call {
    /// Which peer of the settings.
    peer: usize,
    /// `None` while a connection to it exists.
    due: Option<Instant>,
    pause: Duration,
}

impl Dials {
    /// Every peer with an address is due at once.
    #[must_use]
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let mut calls = Vec::new();
        for (peer, known) in settings.peers.iter().enumerate() {
            if !known.addresses.is_empty() {
                let _ = calls.push(Call { peer, due: Some(now), pause: PAUSE_MIN });
            }
        }
        Self { calls }
    }

    /// A peer to call now. It counts as busy until [`Dials::on_over`].
    pub fn next(&mut self, now: Instant) -> Option<usize> {
        let mut calls = self.calls.iter_mut();
        let call = calls.find(|call| call.due.is_some_and(|due| due <= now))?;
        call.due = None;
        Some(call.peer)
    }

    /// There was no room for a connection to it.
    pub fn postpone(&mut self, peer: usize, now: Instant) {
        self.on_over(peer, false, now);
    }

    /// The connection to it is over; whether it ever stood.
    pub fn on_over(&mut self, peer: usize, stood: bool, now: Instant) {
        let Some(call) = self.calls.iter_mut().find(|call| call.peer == peer) else { return };
        if stood {
            call.pause = PAUSE_MIN;
        }
        call.due = Some(now + call.pause);
        call.pause = Duration::from_micros(call.pause.as_micros().saturating_mul(2)).min(PAUSE_MAX);
    }

    /// When the next call is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.calls.iter().filter_map(|call| call.due).min()
    }
}

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use ropewalk_core::application::settings::PeerSettings;
    use ropewalk_core::id::{Address, PublicKey};

    fn settings() -> Settings {
        let peer = |addresses: &[Address]| PeerSettings {
            key: PublicKey([1; 32]),
            ticket: None,
            addresses: Vec::from_slice(addresses).unwrap(),
        };
        Settings {
            secret: [0; 32],
            entropy: [0; 32],
            port: 1,
            links: Vec::new(),
            peers: [peer(&[]), peer(&[Address::Serial])].into_iter().collect(),
            invitations: Vec::new(),
        }
    }

    #[test]
    fn the_pause_doubles_to_a_minute_and_a_connection_that_stood_resets_it() {
        let start = Instant::from_micros(7);
        let mut dials = Dials::new(&settings(), start);
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(dials.next(now), Some(1), "a peer without an address is waited for");
            assert_eq!((dials.next(now), dials.deadline()), (None, None), "busy");
            dials.on_over(1, false, now);
            let due = now + Duration::from_secs(seconds);
            assert_eq!(dials.deadline(), Some(due));
            assert_eq!(dials.next(now), None, "not yet");
            now = due;
        }
        let _ = dials.next(now);
        dials.on_over(1, true, now);
        assert_eq!(dials.deadline(), Some(now + Duration::from_secs(1)));
    }
}
