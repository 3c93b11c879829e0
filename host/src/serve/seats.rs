//! The seats of the servers of a shelf: how many clients may be here, how many with one key at one
//! server, and who gives way.
//!
//! ```text
//!  enter ── a seat is free ─────────────────────────────> a seat
//!    └ none, or none for this key ── somebody idle ──> let go, and his seat is the newcomer's
//!                                       └ nobody ────> turned away
//! ```
//!
//! Idle is who has asked for nothing and got nothing for a while; who was so longest goes first. The limit for
//! a key stops a client that connects over and over. It stops no malice: one ticket lets in as many keys as its bearer makes,
//! and whoever asks without end keeps his seat. Against that a ticket is revoked.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use ropewalk_core::id::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// How many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Clients in all.
    pub(super) all: usize,
    /// Clients with one key at one server.
    pub(super) each: usize,
    /// Whoever was idle for so long gives way.
    pub(super) idle: Duration,
    /// The same for those with the newcomer's key.
    pub(super) idle_of_key: Duration,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All are taken.
    #[error("the server has as many clients as it can")]
    All,
    /// Those for this key are taken.
    #[error("this key is here as often as the server lets one in")]
    Key,
}

/// A server's number, and a key that is there.
pub(super) type Guest = (u32, PublicKey);

/// The seats.
#[derive(Debug)]
pub(super) struct Seats {
    limits: Limits,
    servers: AtomicU32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    here: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    guest: Guest,
    active: Arc<Active>,
    leave: watch::Sender<bool>,
}

/// When a client last asked for or got something.
#[derive(Debug)]
pub struct Active(Mutex<Instant>);

impl Active {
    /// At `now`.
    pub fn touch(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Active {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Seats {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, servers: AtomicU32::new(0), taken: Mutex::default() }
    }

    /// The number of one server more.
    pub(super) fn server(&self) -> u32 {
        self.servers.fetch_add(1, Ordering::Relaxed)
    }

    /// A seat for `guest`; who has none to give up for it says which limit it was.
    pub(super) fn enter(self: &Arc<Self>, guest: Guest, now: Instant) -> Result<Seat, Full> {
        let mut taken = self.lock();
        if taken.of(&guest).count() >= self.limits.each {
            let idle_min = self.limits.idle_of_key;
            let idle = longest_idle(taken.of(&guest), idle_min, now).ok_or(Full::Key)?;
            taken.let_go(idle);
        }
        if taken.here.len() >= self.limits.all {
            let idle = longest_idle(taken.here.iter(), self.limits.idle, now).ok_or(Full::All)?;
            taken.let_go(idle);
        }
        taken.next += 1;
        let (number, active, leave) =
            (taken.next, Arc::new(Active(Mutex::new(now))), watch::Sender::new(false));
        let left = leave.subscribe();
        taken.here.insert(number, Place { guest, active: Arc::clone(&active), leave });
        drop(taken);
        Ok(Seat { seats: Arc::clone(self), number, active, left })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, guest: &Guest) -> impl Iterator<Item = (&u64, &Place)> {
        self.here.iter().filter(move |(_, place)| place.guest == *guest)
    }

    fn let_go(&mut self, number: u64) {
        if let Some(place) = self.here.remove(&number) {
            place.leave.send_replace(true);
        }
    }
}

fn longest_idle<'p>(
    places: impl Iterator<Item = (&'p u64, &'p Place)>,
    idle_min: Duration,
    now: Instant,
) -> Option<u64> {
    let idle = places.map(|(number, place)| (place.active.idle(now), *number));
    idle.filter(|(idle, _)| *idle >= idle_min)
        .max_by_key(|(idle, _)| *idle)
        .map(|(_, number)| number)
}

/// A seat that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    active: Arc<Active>,
    left: watch::Receiver<bool>,
}

impl Seat {
    /// To be touched whenever its client does something.
    pub(super) const fn active(&self) -> &Arc<Active> {
        &self.active
    }

    /// Whether somebody else has it now.
    pub(super) fn is_gone(&self) -> bool {
        *self.left.borrow()
    }

    /// Waits until somebody else has it.
    pub(super) async fn gone(&self) {
        if self.left.clone().wait_for(|left| *left).await.is_err() {
            core::future::pending().await
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().here.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seats(all: usize, each: usize) -> Arc<Seats> {
        Arc::new(Seats::new(Limits { all, each, idle: MINUTE, idle_of_key: MINUTE }))
    }

    fn key(nth: u8) -> Guest {
        (0, PublicKey([nth; 32]))
    }

    #[test]
    fn no_key_has_more_seats_than_its_own() {
        let (seats, now) = (seats(10, 2), Instant::now());
        let first = seats.enter(key(1), now).unwrap();
        let _second = seats.enter(key(1), now).unwrap();
        assert_eq!(seats.enter(key(1), now).unwrap_err(), Full::Key);
        let _other = seats.enter(key(2), now).unwrap();
        let (_, same) = key(1);
        let _elsewhere = seats.enter((1, same), now).unwrap();
        drop(first);
        let _again = seats.enter(key(1), now).unwrap();
    }

    #[test]
    fn whoever_was_idle_longest_gives_way_and_nobody_who_asks() {
        let (seats, start) = (seats(3, 2), Instant::now());
        let all: Vec<_> = (0..3).map(|nth| seats.enter(key(nth), start).unwrap()).collect();
        assert_eq!(seats.enter(key(9), start).unwrap_err(), Full::All);
        all[0].active().touch(start + MINUTE);
        all[2].active().touch(start + Duration::from_secs(1));
        let now = start + MINUTE + Duration::from_secs(5);
        let _new = seats.enter(key(9), now).unwrap();
        let gone: Vec<_> = all.iter().map(Seat::is_gone).collect();
        assert_eq!(gone, [false, true, false]);
        let _newer = seats.enter(key(8), now).unwrap();
        assert!(all[2].is_gone());
        assert_eq!(seats.enter(key(7), now).unwrap_err(), Full::All, "the rest does something");
        // A seat that was let go is not given back twice.
        drop(all);
        assert_eq!(seats.lock().here.len(), 2);
    }

    #[tokio::test]
    async fn who_is_let_go_hears_of_it() {
        let (seats, start) = (seats(1, 1), Instant::now());
        let idle = seats.enter(key(1), start).unwrap();
        let _new = seats.enter(key(1), start + MINUTE).unwrap();
        tokio::time::timeout(MINUTE, idle.gone()).await.unwrap();
    }
}
