//! One path: a pair of local link and remote address, with everything that belongs to it.
//!
//! It has its own round trip, losses, congestion window, packet numbers, replay window and
//! acknowledgements. [`super::state`] says what it can be used for, [`super::silence`] when that
//! changes, [`super::probe`] whether its address is proved, [`super::mtu`] how long its packets are.

use super::loss::LossRate;
use super::mtu::{self, Mtu};
use super::pairs::PairInUse;
use super::probe::Validation;
use super::schedule::Candidate;
use super::silence::Silence;
use super::state::{PathInput, PathState};
use super::throughput::{News, Throughput};
use super::trust::Trust;
use crate::arithmetic::Wide;
use crate::config::Config;
use crate::crypto::ReplayWindow;
use crate::id::{Address, CostClass, LinkId, PathId};
use crate::recovery::{Acks, Recovery};
use crate::time::{Duration, Instant, earlier};
use crate::wire::PathStatus;
use core::net::IpAddr;

/// One path of a connection.
#[derive(Debug)]
pub struct Path {
    /// Its number, never used again.
    pub id: PathId,
    /// Our link.
    pub link: LinkId,
    /// Our address on it, if it matters.
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: Address,
    /// The peer's number for its link, once known.
    pub remote_link: Option<LinkId>,
    /// The dearer of the two links' classes.
    pub class: CostClass,
    /// What we sent.
    pub recovery: Recovery,
    /// What we owe.
    pub acks: Acks,
    /// What we received.
    pub replay: ReplayWindow,
    /// The epoch of the keys that opened the packet with the largest number.
    pub epoch: u32,
    /// Whether the address is proved.
    pub validation: Validation,
    /// How long packets may be.
    pub mtu: Mtu,
    /// What it has done so far.
    pub counters: PathCounters,
    /// Something that wants an acknowledgement should be sent, whatever the window says.
    pub wants_probe: bool,
    /// Whether it may be relied on, when one path carries everything.
    pub trust: Trust,
    /// The peer's newest word on it, and that word's number.
    said: (u32, PathStatus),
    state: PathState,
    throughput: Throughput,
    loss: LossRate,
    silence: Silence,
    _here: Here,
}

/// With it, the place of a path is all zeros while there is none: a board's empty memory takes no
/// room in its flash, and need not be written when it starts. Nothing relies on that.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Here {
    Yes = 1,
}

/// What a path has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathCounters {
    /// Packets sent.
    pub sent_packets: u64,
    /// Their bytes, header and tag included.
    pub sent_bytes: u64,
    /// Packets received that opened.
    pub received_packets: u64,
    /// Their bytes, header and tag included.
    pub received_bytes: u64,
    /// Stream bytes sent.
    pub data_sent: u64,
    /// Stream bytes received.
    pub data_received: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Stream bytes among those sent that had been sent before.
    pub again_bytes: u64,
    /// Times that the state changed.
    pub state_changes: u32,
}

/// A path as it is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathReport {
    /// Its number.
    pub id: PathId,
    /// Our link.
    pub link: LinkId,
    /// Our address on it, if it matters.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: Address,
    /// What it can be used for.
    pub state: PathState,
    /// The smoothed round trip.
    pub smoothed_rtt: Duration,
    /// The least round trip.
    pub min_rtt: Duration,
    /// What it delivers, bytes a second.
    pub rate: u64,
    /// Bytes that may be in flight.
    pub window: u64,
    /// Bytes in flight.
    pub in_flight: u64,
    /// Bytes of a full packet: the longest that is known to pass.
    pub datagram_bytes: u16,
    /// What it has done so far.
    pub counters: PathCounters,
}

/// What an acknowledgement told of packets sent on a path.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// The largest number that it names.
    pub largest: u64,
    /// Whether it came on the path that it is about.
    pub own_path: bool,
    /// Bytes newly acknowledged.
    pub bytes: u64,
    /// Packets newly acknowledged.
    pub packets: u32,
    /// When the first was sent of those that still wait.
    pub oldest: Option<Instant>,
}

/// What a path waits for, beside what it measures itself.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long it may be quiet before it is probed to keep it open.
    pub keep_alive: Duration,
    /// After how long the peer's last acknowledgements come by another path, if they were lost on
    /// this one; zero if they do not.
    pub copy: Duration,
}

/// How a new path begins.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Its number.
    pub id: PathId,
    /// Our link.
    pub link: LinkId,
    /// Our address on it, if it matters.
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: Address,
    /// What the link costs.
    pub class: CostClass,
    /// The longest datagram that the link carries to that address.
    pub datagram_bytes_max: u16,
    /// The token of its challenge, not to be guessed.
    pub token: u64,
    /// Why we may send to the address.
    pub standing: Standing,
}

/// What is known of a new path's remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The handshake proved it.
    Proved,
    /// The peer named it under seal: a few challenges may go there.
    Named,
    /// A packet came from it: three times its length may go back.
    Seen,
}

impl Path {
    /// A new path.
    #[must_use]
    pub fn new(opening: Opening, config: &Config, now: Instant) -> Self {
        let proved = opening.standing == Standing::Proved;
        let mut validation = Validation::new(opening.token, proved, now);
        let most = opening.datagram_bytes_max.min(config.datagram_bytes_max);
        let mtu = Mtu::new(&opening.remote, most);
        if opening.standing == Standing::Named {
            validation.grant(mtu.length().into());
        }
        // The first window is that of packets of usual length.
        let mut recovery = Recovery::new(config.datagram_bytes_max.min(USUAL_BYTES), now);
        recovery.set_datagram_bytes(mtu.length());
        Self {
            id: opening.id,
            link: opening.link,
            local: opening.local,
            remote: opening.remote,
            remote_link: None,
            class: opening.class,
            recovery,
            acks: Acks::new(config.acknowledgement_delay),
            replay: ReplayWindow::new(),
            epoch: 0,
            validation,
            mtu,
            counters: PathCounters::default(),
            wants_probe: false,
            trust: Trust::default(),
            said: (0, PathStatus::Available),
            state: if proved { PathState::Active } else { PathState::Probing },
            throughput: Throughput::new(),
            loss: LossRate::new(),
            silence: Silence::new(config.acknowledgement_delay, now),
            _here: Here::Yes,
        }
    }

    /// What it can be used for.
    #[must_use]
    pub const fn state(&self) -> PathState {
        self.state
    }

    /// Whether data may go on it.
    #[must_use]
    pub fn may_carry_data(&self) -> bool {
        self.state == PathState::Active && self.validation.validated()
    }

    /// The peer's word on it; one that was overtaken by another does not count.
    pub const fn on_status(&mut self, sequence: u32, status: PathStatus) {
        if sequence > self.said.0 {
            self.said = (sequence, status);
        }
    }

    /// Whether the peer wants it to stand by.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        self.said.1 == PathStatus::Backup
    }

    /// As the choice of pairs sees it.
    #[must_use]
    pub const fn pair(&self) -> PairInUse {
        PairInUse {
            link: self.link,
            remote: self.remote,
            remote_link: self.remote_link,
            probing: matches!(self.state, PathState::Probing),
        }
    }

    /// As the scheduler sees it.
    #[must_use]
    pub fn candidate(&self, index: usize, now: Instant) -> Candidate {
        let rate = self.recovery.rate().min(self.throughput.limit().unwrap_or(u64::MAX));
        let in_flight = self.recovery.in_flight();
        // What the way itself holds does not queue.
        let carried = self.recovery.rtt.min().bytes_at(rate);
        Candidate {
            index,
            rate,
            delay: self.recovery.rtt.min() / 2,
            risk: self.loss.lateness(self.recovery.probe_timeout() + self.recovery.rtt.min() / 2),
            queue: Duration::of_bytes(in_flight.minus(carried), rate),
            in_flight,
            window: self.recovery.window(),
            datagram: self.mtu.length().into(),
            overdue: self.silence.overdue(&self.recovery, now),
            allowance: self.recovery.allowance(now),
            class: self.class,
        }
    }

    /// A packet that opened arrived.
    pub fn on_datagram(&mut self, bytes: usize) {
        self.validation.on_received(bytes as u64);
        self.counters.received_packets = self.counters.received_packets.plus(1);
        self.counters.received_bytes = self.counters.received_bytes.plus(bytes as u64);
    }

    /// Bytes that the peer sent on it, by the numbers of its packets, and that have not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let sent = self.replay.highest().map_or(0, |highest| highest.0.plus(1));
        let missing = sent.minus(self.counters.received_packets);
        missing.times(u64::from(self.mtu.length()).plus(mtu::heads(&self.remote).into()))
    }

    /// A packet was sent.
    pub fn on_sent(&mut self, bytes: usize, eliciting: bool, now: Instant) {
        self.validation.on_sent(bytes as u64);
        self.counters.sent_packets = self.counters.sent_packets.plus(1);
        self.counters.sent_bytes = self.counters.sent_bytes.plus(bytes as u64);
        if bytes >= self.mtu.length().into() {
            self.mtu.on_full_packet(now);
        }
        if eliciting {
            self.wants_probe = false;
            self.silence.on_eliciting(now);
        }
    }

    /// A challenge was sent.
    pub fn on_challenge_sent(&mut self, now: Instant) {
        let wait = (self.recovery.rtt.smoothed() * 3).clamp(CHALLENGE_MIN, CHALLENGE_MAX);
        self.validation.on_challenge_sent(wait, now);
    }

    /// Takes the losses that recovery found into the counters; returns how many are new.
    pub const fn count_losses(&mut self) -> u64 {
        let (before, lost) = (self.counters.lost_packets, self.recovery.stats.lost_packets);
        self.counters.lost_packets = lost;
        let new = lost.saturating_sub(before);
        self.loss.on_lost(new);
        new
    }

    /// Packets may have been settled: `oldest` was sent first among those that still wait. If none
    /// does, the path is not silent. One that is in doubt stays so until it answers.
    pub fn on_settled(&mut self, oldest: Option<Instant>) {
        if self.state == PathState::Active {
            self.silence.on_settled(oldest);
        }
    }

    /// When the flow of packets on it counts as broken off, if there is one.
    #[must_use]
    pub fn broken_off_at(&self) -> Option<Instant> {
        if self.state != PathState::Active {
            return None; // What it acknowledges is copied in any case.
        }
        self.acks.broken_off_at(self.recovery.rtt.smoothed())
    }

    /// Something sent here was newly acknowledged. Returns whether the state changed.
    pub fn on_acknowledged(&mut self, news: &Acknowledged, now: Instant) -> bool {
        let Acknowledged { bytes, packets, oldest, .. } = *news;
        self.loss.on_arrived(packets);
        let silent = self.silence.waits(&self.recovery, now);
        let rtt = &self.recovery.rtt;
        let used = self.recovery.in_flight().plus(bytes);
        let busy = used.times(2) >= self.recovery.window();
        let pace = News { bytes, latest: rtt.latest(), least: rtt.min(), busy };
        self.throughput.on_acknowledged(&pace, now);
        self.silence.on_settled(oldest);
        if !self.silence.on_acknowledged(news.largest, news.own_path, now) {
            return false;
        }
        let changed = self.change(PathInput::Acknowledged);
        self.silence.on_working(changed, news.own_path, now);
        if changed {
            self.loss = LossRate::new(); // What was lost in silence says nothing.
            // Pings were lost as well, so nothing is said of lengths.
            if silent > self.silence.of_long_packets(&self.recovery) {
                self.recovery.forget_long_losses();
            }
            self.recovery.on_resumed(silent, now);
        }
        changed
    }

    /// The answer to a challenge came back; returns whether the state changed.
    pub fn on_response(&mut self, token: u64) -> bool {
        self.validation.on_response(token) && self.change(PathInput::Validated)
    }

    /// The peer's address changed, by a packet that opened and is newer than all before. If only
    /// the port did, a NAT has forgotten us, and the way is still the same.
    pub fn moved(&mut self, remote: Address, token: u64, now: Instant) {
        let same_host = match (self.remote, remote) {
            (Address::Ip(before), Address::Ip(after)) => before.ip() == after.ip(),
            (before, after) => before == after,
        };
        self.remote = remote;
        if !same_host {
            self.recovery.on_moved(now);
            self.mtu.on_black_hole(now);
            self.recovery.set_datagram_bytes(self.mtu.length());
        }
        self.throughput = Throughput::new();
        self.loss = LossRate::new();
        self.validation.restart(token, now);
        self.change(PathInput::Moved);
    }

    /// The length of the probe that should be sent now, to learn whether packets may be longer.
    pub fn length_probe_due(&mut self, now: Instant) -> Option<u16> {
        if self.may_carry_data() { self.mtu.probe_due(now) } else { None }
    }

    /// It went out. A short one goes with it: if nothing else does, its acknowledgement tells that
    /// the long one was lost, and that the path is alive.
    pub const fn on_length_probe_sent(&mut self, bytes: u16) {
        self.mtu.on_probe_sent(bytes);
        self.wants_probe = true;
    }

    /// It arrived.
    pub fn on_length_probe_acked(&mut self, bytes: u16, now: Instant) {
        if self.mtu.on_probe_acked(bytes, now) {
            self.recovery.set_datagram_bytes(self.mtu.length());
        }
    }

    /// The link, or the caller's buffer, carries no more than this.
    pub fn limit_length(&mut self, bytes: u16, now: Instant) {
        if self.mtu.set_limit(bytes, now) {
            self.recovery.set_datagram_bytes(self.mtu.length());
        }
    }

    /// Whether long packets vanish since lately; if so, they are short from now on.
    pub fn shrank(&mut self, now: Instant) -> bool {
        let shrank = self.recovery.long_losses() >= BLACK_HOLE_LOSSES
            && self.mtu.length() > mtu::base(&self.remote);
        if shrank {
            self.mtu.on_black_hole(now);
            self.recovery.set_datagram_bytes(self.mtu.length());
            self.recovery.forget_long_losses();
        }
        shrank
    }

    /// Whether the moment of the next probe has come: to find out whether a silent path is back,
    /// or to keep an idle one open.
    fn probe_due(&self, keep_alive: Duration, now: Instant) -> bool {
        self.probe_at(keep_alive).is_some_and(|moment| moment <= now)
    }

    /// Whether an acknowledgement should ask to be acknowledged itself: a path that only ever
    /// carries acknowledgements would not notice that they get lost.
    #[must_use]
    pub fn wants_ping_with_ack(&self, now: Instant) -> bool {
        self.state == PathState::Active && self.silence.wants_ping_with_ack(&self.recovery, now)
    }

    /// When `on_timeout` wants to be called.
    #[must_use]
    pub fn timeout(&self, patience: &Patience) -> Option<Instant> {
        let life = match self.state {
            PathState::Probing => self.validation.deadline(),
            PathState::Active => self.silence.suspect_at(&self.recovery, patience.copy),
            PathState::Suspect => self.silence.down_at(&self.recovery),
            PathState::Down => None,
        };
        earlier(life, self.probe_at(patience.keep_alive))
    }

    /// The moment has come; returns the new state if it changed.
    pub fn on_timeout(&mut self, patience: &Patience, now: Instant) -> Option<PathState> {
        if self.validation.token_due(now).is_some() && self.validation.budget() < CHALLENGE_BYTES {
            // Nothing may go there: the try counts as made.
            self.on_challenge_sent(now);
        }
        if self.probe_due(patience.keep_alive, now) {
            self.wants_probe = true;
            self.silence.on_probe_due(now);
        }
        let reached = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        let changed = match self.state {
            PathState::Active
                if reached(self.silence.suspect_at(&self.recovery, patience.copy)) =>
            {
                self.silence.on_suspected(self.recovery.next_number().0, now);
                self.wants_probe = true;
                self.mtu.on_silence();
                self.change(PathInput::Silence)
            }
            PathState::Suspect if reached(self.silence.down_at(&self.recovery)) => {
                self.change(PathInput::GaveUp)
            }
            _ => false,
        };
        changed.then_some(self.state)
    }

    /// The path as it is now.
    #[must_use]
    pub fn report(&self) -> PathReport {
        PathReport {
            id: self.id,
            link: self.link,
            local: self.local,
            remote: self.remote,
            state: self.state,
            smoothed_rtt: self.recovery.rtt.smoothed(),
            min_rtt: self.recovery.rtt.min(),
            rate: self.recovery.rate(),
            window: self.recovery.window(),
            in_flight: self.recovery.in_flight(),
            datagram_bytes: self.mtu.length(),
            counters: self.counters,
        }
    }

    fn change(&mut self, input: PathInput) -> bool {
        let next = self.state.next(input);
        let changed = next != self.state;
        self.state = next;
        self.counters.state_changes =
            self.counters.state_changes.saturating_add(u32::from(changed));
        changed
    }

    fn probe_at(&self, keep_alive: Duration) -> Option<Instant> {
        match self.state {
            PathState::Probing => None,
            PathState::Active => Some(self.silence.keep_alive_at(keep_alive)),
            PathState::Suspect | PathState::Down => Some(self.silence.probe_at(&self.recovery)),
        }
    }
}

/// What full packets have on most paths, header and tag included.
const USUAL_BYTES: u16 = 1_200;
/// Long packets lost in a row that are more than chance.
const BLACK_HOLE_LOSSES: u16 = 3;
/// Between challenges at first.
const CHALLENGE_MIN: Duration = Duration::from_millis(200);
const CHALLENGE_MAX: Duration = Duration::from_secs(1);
/// A challenge in a packet of its own, at least.
const CHALLENGE_BYTES: u64 = 64;
