//! When no path is alive, the peer may have given ours up: its link went away, or our address did
//! not prove itself to it, and there was no path left to say so. It never takes a packet on them
//! again, however well the link is by now (`docs/protocol.md` section 9.7). So each path that is
//! Down gets a twin, a fresh path on the same pair, and is probed on as before; whichever is
//! answered lives.
//!
//! Two twins may both live in the end, or each side may have opened one. Both sides then come to
//! the same choice: the dialer's stays, and of two of one side the younger.

use super::memory::PATHS_MAX;
use super::{Connection, Phase, Storage};
use crate::crypto::Crypto;
use crate::id::{Arrival, PathId, Side};
use crate::path::{Path, PathState, Standing};
use crate::time::Instant;

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// From when on twins are opened. The dialer comes first.
    pub(super) fn revival(&self) -> Option<Instant> {
        let patience = match self.side {
            Side::Dialer => self.config.restart_check,
            Side::Responder => self.config.restart_check * 2,
        };
        Some(self.clock.all_down? + patience)
    }

    /// Opens a twin for each path that is Down and has none, if that is called for.
    pub(super) fn open_twins(&mut self, now: Instant) {
        if self.phase != Phase::Established || self.revival().is_none_or(|moment| now < moment) {
            return;
        }
        for slot in 0..PATHS_MAX {
            let Some(path) = self.path(slot) else {
                continue;
            };
            let at = Arrival { link: path.link, local: path.local, remote: path.remote };
            if path.state() != PathState::Down
                || self.paths_on(&at).any(|twin| twin.state() == PathState::Probing)
                || self.routing.tried.must_wait(at.link, at.remote, now)
            {
                continue;
            }
            let slots = self.storage.paths().iter().take(PATHS_MAX);
            let full = slots.clone().all(Option::is_some);
            if full {
                // One at a time takes the place of the path itself; the others are probed on.
                if slots.flatten().any(|path| path.state() == PathState::Probing) {
                    continue;
                }
                self.give_up(slot, true, now);
            }
            let id = self.routing.take_number();
            self.install(id, at, Standing::Named, now);
        }
    }

    /// The peer opens a path while all places are taken: one that is Down on the same pair gives
    /// its place to the new one, and if none is alive, any that is Down: the peer's address may
    /// have changed meanwhile. So may one give way that a responder only tries: on the dialer's
    /// something has arrived. (Not the other way round as well, or each would yield to the other.)
    pub(super) fn make_room(&mut self, id: PathId, at: &Arrival, now: Instant) {
        let slots = self.storage.paths().iter().take(PATHS_MAX);
        if slots.clone().any(Option::is_none) {
            return;
        }
        let none_alive = self.clock.all_down.is_some();
        let useless = |path: &Path| {
            let same = path.link == at.link && path.remote == at.remote;
            path.state() == PathState::Down && (same || none_alive)
        };
        let tried = |path: &Path| {
            let unheard = path.counters.received_packets == 0;
            none_alive
                && path.state() == PathState::Probing
                && unheard
                && Side::Dialer.owns(id.0)
                && Side::Responder.owns(path.id.0)
        };
        let place = |which: &dyn Fn(&Path) -> bool| {
            slots.clone().position(|path| path.as_ref().is_some_and(which))
        };
        if let Some(slot) = place(&useless).or_else(|| place(&tried)) {
            self.give_up(slot, true, now);
        }
    }

    /// A path has come alive: of those on its pair one stays.
    pub(super) fn drop_twins(&mut self, slot: usize, now: Instant) {
        let Some(path) = self.path_mut(slot) else { return };
        let at = Arrival { link: path.link, local: path.local, remote: path.remote };
        let rank = rank(path.id);
        self.routing.tried.forget(at.link, at.remote);
        let better = |twin: &Path| self::rank(twin.id) > rank && twin.may_carry_data();
        if self.paths_on(&at).any(better) {
            self.give_up(slot, true, now);
            return;
        }
        for other in 0..PATHS_MAX {
            let Some(twin) = self.path(other) else {
                continue;
            };
            if twin.link == at.link && twin.remote == at.remote && self::rank(twin.id) < rank {
                self.give_up(other, true, now);
            }
        }
    }

    fn paths_on(&self, at: &Arrival) -> impl Iterator<Item = &Path> {
        let (link, remote) = (at.link, at.remote);
        let paths = self.storage.paths().iter().flatten();
        paths.filter(move |path| path.link == link && path.remote == remote)
    }
}

/// Which of two twins stays; the same on both sides.
const fn rank(path: PathId) -> (bool, u32) {
    (Side::Dialer.owns(path.0), path.0)
}
