//! What the modes ask of a connection beside the choice of the next path: a spare that both sides
//! know of, lanes that carry the same, and quotas.
//!
//! The answers are those of [`crate::path`]; this file puts the questions, and keeps what was
//! answered before where a choice should stand.

use super::event::Notices;
use super::links::LinkPolicy;
use super::memory::PATHS_MAX;
use super::transmit::{Plan, What, bit};
use super::{Connection, Phase, Storage};
use crate::arithmetic::Wide;
use crate::crypto::Crypto;
use crate::id::{Address, LinkId, Mode, PathId, Side};
use crate::path::{
    Candidate, Choice, Lane, Member, OnLink, Path, PathState, Way, copy, heads, in_use, leader,
    prefer,
};
use crate::storage::table::keep;
use crate::stream::LANES_MAX;
use crate::time::{Duration, Instant};
use crate::wire::PathStatus;
use heapless::Vec;

/// In the mode `backup`: the path that should carry everything, and the one that does.
#[derive(Debug, Default)]
pub(super) struct Standby {
    preferred: Option<PathId>,
    in_use: Option<PathId>,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// What the user wants of a link, whether it is up or not. False when too many links have been
    /// given one, no more than eight can (four on a [board](super::Small)), or if it is a quota and
    /// the feature `quota` was left out.
    pub fn set_link_policy(&mut self, link: LinkId, policy: LinkPolicy, now: Instant) -> bool {
        let now = self.advance(now);
        let open = self.links.is_open(link);
        let known = self.links.set_policy(link, policy, now);
        if self.links.is_open(link) != open {
            self.quota_changed(link, now);
        }
        known
    }

    /// What was said of a link by [`Connection::set_link_policy`].
    pub fn link_policy(&self, link: LinkId) -> Option<LinkPolicy> {
        self.links.policy_of(link)
    }

    /// Bytes that came and went by a link on this connection, IP and UDP headers included. Counted
    /// for links that have a policy.
    pub fn link_used(&self, link: LinkId) -> u64 {
        self.links.used(link)
    }

    /// Counts what came or went; a link whose quota may be spent by that is given up.
    pub(super) fn meter(
        &mut self,
        link: LinkId,
        remote: &Address,
        way: Way,
        bytes: usize,
        packets: usize,
        now: Instant,
    ) {
        if !self.links.is_metered(link) {
            return;
        }
        let mut on_link = OnLink { alone: true, ..OnLink::default() };
        for path in self.storage.paths().iter().flatten() {
            if path.link != link {
                on_link.alone &= !path.may_carry_data();
                continue;
            }
            on_link.round_trip = on_link.round_trip.max(path.recovery.rtt.smoothed());
            on_link.paths = on_link.paths.plus(1);
            on_link.missing = on_link.missing.plus(path.missing());
        }
        let bytes = bytes.saturating_add(packets.saturating_mul(heads(remote).into()));
        if self.links.count(link, way, bytes as u64, on_link, now) {
            self.quota_changed(link, now);
        }
    }

    /// Links that were given up, until what the peer had under way had come, may be used again.
    pub(super) fn end_rests(&mut self, now: Instant) {
        for _ in 0..PATHS_MAX {
            let Some(link) = self.links.rested(now) else { break };
            self.quota_changed(link, now);
        }
    }

    fn quota_changed(&mut self, link: LinkId, now: Instant) {
        if !self.links.is_open(link) {
            self.give_up_link(link, now);
        }
        if self.links.is_spent(link) {
            let notices: &mut Notices = &mut self.notices;
            notices.link_spent(link);
        }
        self.links_changed(link, self.links.tells(link), now);
    }

    /// In the mode `backup`: which path carries everything now, and what the peer should know.
    pub(super) fn review_standby(&mut self, now: Instant) {
        if self.mode.mode != Mode::Backup || self.phase != Phase::Established {
            return;
        }
        let members = self.members(now);
        let Standby { preferred, in_use: used } = self.routing.standby;
        let preferred = prefer(&members, self.slot_of(preferred));
        let used = in_use(&members, preferred, self.slot_of(used));
        self.routing.standby =
            Standby { preferred: self.id_of(preferred), in_use: self.id_of(used) };
        for member in &members {
            let Some(path) = self.path(member.index) else {
                continue;
            };
            // The dialer's choice binds both sides; the responder only says which are its spares.
            let not_chosen = self.side == Side::Dialer && Some(member.index) != preferred;
            let status = match not_chosen || self.links.is_spare(path.link) {
                true => PathStatus::Backup,
                false => PathStatus::Available,
            };
            self.routing.told.tell(path.id, status);
        }
    }

    /// All paths that were proved at some time, as the choice of the spare sees them.
    fn members(&self, now: Instant) -> Vec<Member, PATHS_MAX> {
        let mut members = Vec::new();
        for (index, path) in self.storage.paths().iter().enumerate() {
            let Some(path) = path.as_ref().filter(|path| path.state() != PathState::Probing) else {
                continue;
            };
            let measured = path.recovery.rtt.is_sampled();
            let _ = members.push(Member {
                index,
                spare: self.links.is_spare(path.link) || path.stands_by(),
                class: path.class,
                round_trip: if measured { path.recovery.rtt.min() } else { UNKNOWN },
                trusted: path.trust.holds(now),
                alive: path.may_carry_data(),
            });
        }
        members
    }

    /// In the mode `backup`: leaves only the path that carries everything.
    pub(super) fn keep_in_use(&self, candidates: &mut Vec<Candidate, PATHS_MAX>) {
        if self.mode.mode == Mode::Backup {
            let slot = self.slot_of(self.routing.standby.in_use);
            keep(candidates, &mut |path| Some(path.index) == slot);
        }
    }

    /// Whether a path must show that it is good before it is relied on again.
    pub(super) fn on_trial(&self, path: &Path) -> bool {
        self.mode.mode == Mode::Backup
            && path.state() == PathState::Active
            && !path.trust.holds(self.clock.now)
    }

    /// In the mode `redundant`: the path for the next packet. `fresh`: bytes wait that were never
    /// sent; `common`: something waits that one path alone need send.
    pub(super) fn plan_lane(
        &mut self,
        candidates: &[Candidate],
        fresh: bool,
        common: bool,
        now: Instant,
    ) -> Option<Plan> {
        let (streams, memory) = self.streaming();
        let waiting = streams.lanes_waiting(&memory);
        let mut lanes: Vec<Lane, PATHS_MAX> = Vec::new();
        for path in candidates {
            let waits = fresh || waiting & bit(path.index) != 0;
            let _ = lanes.push(Lane::of(path, waits, now));
        }
        match copy(&lanes, common) {
            Choice::Send { index } => {
                let again = leader(&lanes) == Some(index);
                Some(Plan::new(index, What::Data { again }))
            }
            Choice::Wait { until } => {
                self.clock.transmit = until.filter(|moment| *moment > now);
                None
            }
        }
    }

    fn slot_of(&self, id: Option<PathId>) -> Option<usize> {
        let id = id?;
        self.storage.paths().iter().position(|path| path.as_ref().is_some_and(|p| p.id == id))
    }

    fn id_of(&self, slot: Option<usize>) -> Option<PathId> {
        self.path(slot?).map(|path| path.id)
    }
}

/// Nothing was measured yet: any path that was is shorter.
const UNKNOWN: Duration = Duration::from_secs(10);
const _: () = assert!(LANES_MAX >= PATHS_MAX, "every path can be a lane");
