//! Which paths there are: links come and go, pairs are tried, paths are opened and given up.
//!
//! The choice of the next pair is [`crate::path::next_pair`]'s; this file keeps the lists that it
//! needs and carries its answer out. A path whose link went away, on either side, is given up for
//! good: its number is never used again, and a link that returns gets a new path in one round trip.

use super::links::LinkChange;
use super::memory::PATHS_MAX;
use super::modes::Standby;
use super::scale::Scale;
use super::transmit::bit;
use super::{Connection, Phase, Storage};
use crate::crypto::{Crypto, ReplayWindow};
use crate::id::{Address, Arrival, LinkId, PathId, Side};
use crate::packet_number::PacketNumber;
use crate::path::{
    Advertise, Opening, Pair, PairInUse, Path, PathState, Remotes, Standing, Told, Tried, next_pair,
};
use crate::time::{Duration, Instant};
use crate::wire::{Advertised, PathStatus};
use core::net::IpAddr;
use heapless::Vec;

/// The lists behind the choice of paths.
pub(super) struct Routing<Z: Scale> {
    pub(super) advertise: Advertise,
    pub(super) remotes: Remotes<Z::Remotes>,
    pub(super) tried: Tried<Z::Tried>,
    pub(super) told: Told,
    pub(super) standby: Standby,
    /// The number of the next path that we open.
    next_path: u32,
    /// Numbers that were used, by either side; none is used again, since it is part of the nonce.
    used: ReplayWindow,
    /// Bit `i`: the acknowledgements of the path in slot `i`, whose way out is in doubt, are to be
    /// copied to another path.
    pub(super) copies_due: u8,
    /// We open no path before this moment, so that the dialer comes first.
    pub(super) open_after: Instant,
}

impl<Z: Scale> Routing<Z> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            advertise: Advertise::new(),
            remotes: Remotes::new(),
            tried: Tried::new(),
            told: Told::default(),
            standby: Standby::default(),
            next_path: 0,
            used: ReplayWindow::new(),
            copies_due: 0,
            open_after: now,
        }
    }

    pub(super) fn establish(&mut self, addresses: &[Advertised], side: Side, now: Instant) {
        self.next_path = side.parity();
        self.remotes.on_list(0, addresses.into());
        self.open_after = match side {
            Side::Dialer => now,
            Side::Responder => now + DIALER_FIRST,
        };
    }

    pub(super) fn take_number(&mut self) -> PathId {
        let number = self.next_path;
        self.next_path = self.next_path.wrapping_add(2);
        self.used.record(PacketNumber(number.into()));
        PathId(number)
    }
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// A link came up, went down, or changed.
    pub fn handle_link(&mut self, link: LinkId, change: LinkChange, now: Instant) {
        let now = self.advance(now);
        let told = self.links.advertised();
        match change {
            LinkChange::Up(info) => {
                let mtu = info.mtu;
                if !self.links.up(link, &info) {
                    return;
                }
                if let Some(dial) = self.dial.as_mut().filter(|dial| !dial.fits(mtu)) {
                    dial.stop(); // A shorter first message takes its place.
                }
                self.drop_local_addresses(link, &info.addresses);
                self.limit_paths(link, now);
                if self.phase == Phase::Handshake && self.dial.is_some() {
                    self.start_race(None, now);
                }
                if let Some(dial) = &mut self.dial {
                    dial.again();
                }
            }
            LinkChange::Down => {
                self.links.down(link);
                self.give_up_link(link, now);
            }
        }
        let news = self.links.advertised() != told;
        self.links_changed(link, news, now);
    }

    /// All paths of a link are given up.
    pub(super) fn give_up_link(&mut self, link: LinkId, now: Instant) {
        for slot in 0..PATHS_MAX {
            if self.path(slot).is_some_and(|path| path.link == link) {
                self.give_up(slot, true, now);
            }
        }
    }

    /// Peers are told if there is `news` of our addresses, and new pairs looked for.
    pub(super) fn links_changed(&mut self, link: LinkId, news: bool, now: Instant) {
        if news {
            self.routing.advertise.on_changed();
        }
        self.routing.tried.forget_link(link);
        self.open_paths(now);
        if self.phase == Phase::Established {
            self.watch_liveness(now);
        }
    }

    /// A path on an address that the link no longer has goes on from whatever the system chooses.
    fn drop_local_addresses(&mut self, link: LinkId, addresses: &[Address]) {
        for path in self.storage.parts().paths.iter_mut().flatten() {
            let held = |local: IpAddr| {
                addresses.iter().any(|a| matches!(a, Address::Ip(ip) if ip.ip() == local))
            };
            if path.link == link && path.local.is_some_and(|local| !held(local)) {
                path.local = None;
            }
        }
    }

    /// Opens a path for every pair that the policy wants now.
    pub(super) fn open_paths(&mut self, now: Instant) {
        if self.phase != Phase::Established || now < self.routing.open_after {
            return;
        }
        for _ in 0..PATHS_MAX {
            let Some(pair) = self.wanted_pair(now) else { break };
            let id = self.routing.take_number();
            let Pair { link, local, remote } = pair;
            if self.install(id, Arrival { link, local, remote }, Standing::Named, now).is_none() {
                break;
            }
        }
    }

    fn wanted_pair(&self, now: Instant) -> Option<Pair> {
        if self.storage.paths().iter().take(PATHS_MAX).all(Option::is_some) {
            return None;
        }
        let mut in_use: Vec<PairInUse, PATHS_MAX> = Vec::new();
        for path in self.storage.paths().iter().flatten() {
            let _ = in_use.push(path.pair());
        }
        let locals = self.links.locals();
        next_pair(&locals, self.routing.remotes.list(), &in_use, &self.routing.tried, now)
    }

    /// Puts a new path into a free slot.
    pub(super) fn install(
        &mut self,
        id: PathId,
        at: Arrival,
        standing: Standing,
        now: Instant,
    ) -> Option<usize> {
        let Arrival { link, local, remote } = at;
        let info = self.links.find(link)?;
        let (class, rate, datagram_bytes_max) = (info.class(), info.rate, info.carries(&remote));
        let token = self.random.u64();
        let slots = self.storage.parts().paths;
        let slot = slots.iter().take(PATHS_MAX).position(Option::is_none)?;
        let opening =
            Opening { id, link, local, remote, class, datagram_bytes_max, token, standing };
        let path = slots.get_mut(slot)?.insert(Path::new(opening, &self.config, now));
        path.remote_link = self.routing.remotes.link_of(&remote);
        path.recovery.set_line_rate(rate);
        let (streams, mut memory) = self.streaming();
        streams.clear_lane(slot, &mut memory);
        self.notices.path_changed(slot);
        Some(slot)
    }

    /// The dialer's first path: the pair on which the answer came.
    pub(super) fn install_first(&mut self, at: Arrival, now: Instant) {
        let id = self.routing.take_number();
        let slot = self.install(id, at, Standing::Proved, now);
        if let Some(path) = slot.and_then(|slot| self.path_mut(slot)) {
            // The responder's connection exists from our first packet on.
            path.wants_probe = true;
        }
    }

    /// A path that the peer opened: the first packet on it has just been opened.
    pub(super) fn install_peers(&mut self, id: PathId, at: Arrival, now: Instant) -> Option<usize> {
        self.make_room(id, &at, now);
        let slot = self.install(id, at, Standing::Seen, now)?;
        self.routing.used.record(PacketNumber(id.0.into()));
        Some(slot)
    }

    /// Whether the peer may open a path with this number: its own parity, and never used before.
    pub(super) fn may_be_new(&self, id: PathId) -> bool {
        self.side.peer().owns(id.0) && self.routing.used.check(PacketNumber(id.0.into()))
    }

    /// The path in this slot.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn path(&self, slot: usize) -> Option<&Path> {
        self.storage.paths().get(slot)?.as_ref()
    }

    /// The same, to change it.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn path_mut(&mut self, slot: usize) -> Option<&mut Path> {
        self.storage.parts().paths.get_mut(slot)?.as_mut()
    }

    /// Removes a path for good; what it carried is sent again on others. `announce`: the peer does
    /// not know yet.
    pub(super) fn give_up(&mut self, slot: usize, announce: bool, now: Instant) {
        let Some(Some(path)) = self.storage.parts().paths.get_mut(slot) else { return };
        let (id, missing, state) = (path.id, path.missing(), path.state());
        let (link, remote) = (path.link, path.remote);
        self.depart(slot, now);
        self.links.write_off(link, missing);
        self.routing.copies_due &= !bit(slot);
        self.notices.path_gone(id);
        match announce {
            true => self.routing.told.tell(id, PathStatus::Gone),
            false => self.routing.told.forget(id),
        }
        if state == PathState::Probing {
            let only_hope = self.clock.all_down.is_some();
            self.routing.tried.failed(link, remote, only_hope, now);
        }
    }

    /// The peer's word on a path.
    pub(super) fn on_path_status(
        &mut self,
        path: PathId,
        sequence: u32,
        status: PathStatus,
        now: Instant,
    ) {
        if status != PathStatus::Gone {
            if let Some(path) =
                self.storage.parts().paths.iter_mut().flatten().find(|p| p.id == path)
            {
                path.on_status(sequence, status);
            }
            return;
        }
        let slot =
            self.storage.paths().iter().position(|p| p.as_ref().is_some_and(|p| p.id == path));
        match slot {
            Some(slot) => {
                self.give_up(slot, false, now);
                self.open_paths(now);
            }
            // Its first packet may still be under way: it must not open the path then.
            None if self.may_be_new(path) => self.routing.used.record(PacketNumber(path.0.into())),
            None => {}
        }
    }
}

/// How long a responder leaves the opening of paths to the dialer.
const DIALER_FIRST: Duration = Duration::from_millis(500);
