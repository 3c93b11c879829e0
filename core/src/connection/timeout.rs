//! Time passes: each part that waits for a moment says which, and is told when it has come.

use super::ledger::Books;
use super::memory::PATHS_MAX;
use super::transmit::bit;
use super::{CloseReason, Connection, Phase, Storage};
use crate::arithmetic::Wide;
use crate::carried::Carried;
use crate::crypto::Crypto;
use crate::id::Mode;
use crate::path::{Path, PathState, Patience};
use crate::recovery::{Fate, Sent, TimeoutAction, broken_off_after};
use crate::time::{Duration, Instant, earlier};

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// When `handle_timeout` wants to be called next. `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Drained => None,
            Phase::Closing => self.close_timeout(),
            Phase::Handshake => earlier(
                self.dial.as_ref().and_then(|dial| dial.timeout()),
                Some(self.clock.started + self.config.handshake_timeout),
            ),
            Phase::Established => self.established_timeout(),
        }
    }

    fn established_timeout(&self) -> Option<Instant> {
        let moments = [
            Some(self.clock.heard + self.config.idle_timeout),
            self.clock.transmit,
            self.dial.as_ref().and_then(|dial| dial.timeout()),
            self.restart_check(),
            self.keys.as_ref().and_then(|keys| keys.deadline()),
            self.routing.tried.deadline(),
            self.parted_until(),
            self.links.rest_ends(),
            Some(self.routing.open_after).filter(|moment| *moment > self.clock.now),
            self.revival().filter(|moment| *moment > self.clock.now),
        ];
        let mut next = moments.into_iter().fold(None, earlier);
        for (slot, path) in self.storage.paths().iter().enumerate() {
            let Some(path) = path else { continue };
            next = earlier(next, path.timeout(&self.patience(slot, path)));
            next = earlier(next, path.recovery.timeout());
            next = earlier(next, self.broken_off_at(path));
            if path.validation.budget() >= BUDGET_MIN {
                next = earlier(next, path.acks.deadline());
            }
        }
        next
    }

    /// The moment has come, or passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        match self.phase {
            Phase::Drained => {}
            Phase::Closing => self.handle_close_timeout(now),
            Phase::Handshake => self.handshake_timeout(now),
            Phase::Established => self.handle_established_timeout(now),
        }
    }

    fn handshake_timeout(&mut self, now: Instant) {
        if now >= self.clock.started + self.config.handshake_timeout {
            let undecipherable = self.dial.as_ref().is_some_and(|dial| dial.undecipherable);
            self.end_silently(CloseReason::Unreachable { undecipherable });
        } else if let Some(dial) = &mut self.dial {
            dial.handle_timeout(now);
        }
    }

    fn handle_established_timeout(&mut self, now: Instant) {
        if now >= self.clock.heard + self.config.idle_timeout {
            self.end_silently(CloseReason::Idle);
            return;
        }
        if self.clock.transmit.is_some_and(|moment| moment <= now) {
            self.clock.transmit = None;
        }
        if let Some(keys) = &mut self.keys {
            keys.forget_old(now);
        }
        self.parting_timeout(now);
        for slot in 0..PATHS_MAX {
            self.recovery_timeout(slot, now);
            self.path_timeout(slot, now);
        }
        if let Some(dial) = &mut self.dial {
            dial.handle_timeout(now);
        }
        if self.restart_check().is_some_and(|moment| moment <= now) {
            self.start_race(Some(self.remote_id), now);
        }
        self.end_rests(now);
        self.routing.tried.expire(now);
        self.open_paths(now);
        self.open_twins(now);
        self.watch_liveness(now);
    }

    /// When a dialer asks whether the peer was restarted: no path has been alive for long enough.
    fn restart_check(&self) -> Option<Instant> {
        let dial = self.dial.as_ref()?;
        if dial.racing() {
            return None;
        }
        Some(self.clock.all_down? + self.config.restart_check)
    }

    /// Packets of one path are declared lost, or a probe is due.
    fn recovery_timeout(&mut self, slot: usize, now: Instant) {
        let Books { paths, mut sent, mut ledger } = self.books();
        let Some(path) = paths.get_mut(slot).and_then(Option::as_mut) else { return };
        if path.recovery.timeout().is_none_or(|moment| now < moment) {
            return;
        }
        let action = path.recovery.on_timeout(now, &mut sent, &mut |fate, carried| {
            debug_assert!(fate == Fate::Lost, "a timeout acknowledges nothing");
            ledger.settle(fate, carried);
        });
        if matches!(action, TimeoutAction::Probe) {
            path.wants_probe = true;
        }
        let lost = path.count_losses();
        path.on_settled(path.recovery.oldest_unacked_sent_at());
        let length_probe = ledger.length_probe;
        self.repairs.on_lost(lost);
        self.judge_length(slot, length_probe, now);
    }

    /// A path's own clock: validation, suspicion, probes.
    fn path_timeout(&mut self, slot: usize, now: Instant) {
        let Some(path) = self.path(slot) else { return };
        let patience = self.patience(slot, path);
        let broken_off = self.broken_off_at(path).is_some_and(|moment| moment <= now);
        if broken_off && self.best_path(bit(slot)).is_some() {
            self.routing.copies_due |= bit(slot);
        }
        let Some(path) = self.path_mut(slot) else { return };
        if broken_off {
            path.acks.on_broken_off();
        }
        path.acks.on_timeout(now);
        if path.timeout(&patience).is_none_or(|moment| now < moment) {
            return;
        }
        let changed = path.on_timeout(&patience, now);
        if path.validation.exhausted(now) && path.state() == PathState::Probing {
            self.give_up(slot, true, now);
            return;
        }
        let Some(state) = changed else { return };
        self.notices.path_changed(slot);
        if state == PathState::Suspect {
            self.stats.suspicions = self.stats.suspicions.plus(1);
            if let Some(path) = self.path_mut(slot) {
                path.trust.fall(now);
            }
            // What it acknowledged lately may have been lost with it.
            self.routing.copies_due |= bit(slot);
        }
        self.reinject();
    }

    /// When the flow of packets on a path counts as broken off, if there is one. Where several paths
    /// carry data, their own acknowledgements serve better: a short path's copies would come
    /// before a long path's, and spoil what these tell of its round trip and rate.
    fn broken_off_at(&self, path: &Path) -> Option<Instant> {
        path.broken_off_at().filter(|_| self.mode.mode == Mode::Backup)
    }

    fn patience(&self, slot: usize, path: &Path) -> Patience {
        Patience { keep_alive: self.keep_alive(path), copy: self.copy_after(slot, path) }
    }

    /// In the mode `backup` the peer copies what it acknowledges when a flow breaks off: after how
    /// long that has come by the shortest of the other paths.
    fn copy_after(&self, slot: usize, path: &Path) -> Duration {
        if self.mode.mode != Mode::Backup {
            return Duration::ZERO;
        }
        let other = self.best_path(bit(slot)).and_then(|slot| self.path(slot));
        let Some(other) = other else { return Duration::ZERO };
        let pause = broken_off_after(path.recovery.rtt.smoothed());
        pause + other.recovery.rtt.smoothed() / 2 + COPY_LATE
    }

    /// How long a path may be quiet before it is asked.
    fn keep_alive(&self, path: &Path) -> Duration {
        if self.on_trial(path) {
            return TRIAL;
        }
        if self.streams.any_open() { self.config.keep_alive_in_use } else { self.config.keep_alive }
    }

    /// What suspect and dead paths have not delivered is queued on the others, once per packet.
    pub(super) fn reinject(&mut self) {
        let mut doubtful = [false; PATHS_MAX];
        for (path, doubtful) in self.storage.paths().iter().zip(&mut doubtful) {
            // One that is to prove a new address first counts among them.
            *doubtful = path.as_ref().is_some_and(|path| !path.may_carry_data());
        }
        self.copy_flights(&doubtful);
        // All of it goes elsewhere now. In a small table it must not take the place there.
        let parts = self.storage.parts();
        let alive = parts.paths.iter().flatten().any(|path| path.may_carry_data());
        let mut sent = Sent { table: &mut self.sent, slots: parts.sent };
        for (path, doubtful) in parts.paths.iter_mut().zip(doubtful) {
            let Some(path) = path.as_mut().filter(|_| doubtful && alive) else { continue };
            if sent.table.room(sent.slots) <= ROOM_TIGHT {
                path.recovery.drop_all(&mut sent, &mut |_| {});
            }
        }
    }

    /// Queues what the paths in these slots carry once more, once per packet; returns how many
    /// stream bytes that are.
    pub(super) fn copy_flights(&mut self, slots: &[bool; PATHS_MAX]) -> u64 {
        let Books { paths, mut sent, mut ledger } = self.books();
        if !paths.iter().flatten().any(|path| path.may_carry_data()) {
            return 0;
        }
        let mut bytes = 0_u64;
        for (path, wanted) in paths.iter_mut().zip(slots) {
            let Some(path) = path.as_mut().filter(|_| *wanted) else { continue };
            path.recovery.for_each_in_flight(&mut sent, &mut |carried| {
                if let Carried::Stream { len, .. } = carried {
                    bytes = bytes.plus(len.into());
                }
                ledger.lost(carried);
            });
        }
        bytes
    }

    /// Remembers since when no path has been alive.
    pub(super) fn watch_liveness(&mut self, now: Instant) {
        let alive = self
            .storage
            .paths()
            .iter()
            .flatten()
            .any(|path| matches!(path.state(), PathState::Active | PathState::Suspect));
        self.clock.all_down = match self.clock.all_down {
            _ if alive => None,
            Some(since) => Some(since),
            None => Some(now),
        };
    }
}

/// With fewer free places than this for packets in flight, silent paths give up theirs: twice what
/// probes of all paths need.
pub(super) const ROOM_TIGHT: usize = 2 * PATHS_MAX;

/// While a path that fell silent has to be good, it is asked this often.
const TRIAL: Duration = Duration::from_millis(100);
/// Timers of both sides are late by so much.
const COPY_LATE: Duration = Duration::from_millis(4);
/// With less than this an unvalidated address gets nothing, not even an acknowledgement.
pub(super) const BUDGET_MIN: u64 = 64;

#[cfg(feature = "software")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::connection::{LinkChange, LinkInfo, Memory};
    use crate::crypto::{Random, Secrets, Seed, Software};
    use crate::id::{Address, Arrival, ConnectionId, CostClass, LinkId, PublicKey, Side};
    use crate::stream::Service;
    use crate::wire::{Credit, Suite};

    #[test]
    fn a_table_full_of_a_silent_paths_packets_does_not_stop_the_others() {
        let mut now = Instant::from_micros(1);
        let (id, peer) = (ConnectionId(1), PublicKey([2; 32]));
        let random = Random::new(Seed([1; 32]));
        // As few packets as the smallest board has, for two paths.
        let memory = Memory::<2, 2, 6, 16_384, 16_384>::new();
        let config = Config::default();
        let mut connection: Connection<_, Software> = Connection::vacant(config, memory);
        connection.begin(Side::Dialer, peer, id, random, now);
        let at = |link| Arrival { link: LinkId(link), local: None, remote: Address::Serial };
        for link in 0..2 {
            let addresses = [Address::Serial].into_iter().collect();
            let class = CostClass::Wired;
            let info = LinkInfo { mtu: 256, rate: None, class, addresses, hidden: false };
            connection.handle_link(LinkId(link), LinkChange::Up(info), now);
        }
        let suite = Suite::ChaCha20Poly1305;
        let secrets = Secrets { side: Side::Dialer, send: [3; 32], receive: [4; 32], suite };
        let credit = Credit { data: 9_000, stream_data: 9_000, streams: 1 };
        connection.establish(&secrets, ConnectionId(2), credit, credit, &[], now);
        connection.install_first(at(0), now);
        let stream = connection.open(&Service::new("file").unwrap()).unwrap();
        assert!(connection.stream(stream).write(&[7; 4_000]).unwrap() > 2_000);
        let mut buffer = [0; 256];
        let mut sent = 0;
        while let Some(transmit) = connection.poll_transmit(&mut buffer, now) {
            assert_eq!(transmit.link, LinkId(0));
            sent += 1;
        }
        assert_eq!(sent, 5, "all but the place for a probe");
        connection.install_first(at(1), now);
        // Nobody answers on the first.
        while connection.path_mut(0).unwrap().state() == PathState::Active {
            now += Duration::from_millis(10);
            connection.handle_timeout(now);
        }
        let mut elsewhere = 0;
        while let Some(transmit) = connection.poll_transmit(&mut buffer, now) {
            elsewhere += u32::from(transmit.link == LinkId(1) && transmit.len > 200);
        }
        assert!(elsewhere > 0);
    }
}
