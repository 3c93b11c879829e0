//! How long may a packet on this path be? Found out by trying (RFC 8899), never by believing what a
//! router says.
//!
//! ```text
//!            the address is proved           nothing left to try
//!     Base -----------------------> Searching ------------------> Complete
//!      ^                              ^   |                           |
//!      |                              +---|--- time to try again, ----+
//!      |                                  |    or a longer link       |
//!      +------------ black hole ----------+---------------------------+
//! ```
//!
//! A probe is a Ping padded to the length in question. It carries nothing that would be missed, and
//! its loss says nothing of congestion: three in a row say that the length does not pass. The link's
//! own length is tried first, then those that most links have, then halves of what is left. In
//! *Base* packets are as long as every path carries them. A path that has shrunk swallows the long
//! packets and lets the short ones pass ([`crate::recovery::Recovery::long_losses`] counts them):
//! then it is back to *Base* at once, and whatever was lost is cut anew (`docs/protocol.md`
//! section 9.10).

use crate::id::Address;
use crate::time::{Duration, Instant};
use core::net::SocketAddr;

/// The length of one path's packets, and the search for it.
#[derive(Clone, Copy, Debug)]
pub struct Mtu {
    search: Search,
    /// What every path of this kind carries.
    base: u16,
    /// What the link carries, and our caller's buffer: nothing longer is tried.
    limit: u16,
    /// The longest that is known to pass.
    passes: u16,
    /// The shortest that is known not to; one more than `limit` if none is.
    fails: u16,
    /// How often the length in question was lost.
    tries: u8,
    /// The probe that is under way.
    probe: Option<u16>,
    /// When a finished search is taken up again.
    again_at: Instant,
}

/// How far the search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Search {
    /// Nothing is known: packets have the length that every path carries.
    Base,
    /// Longer ones are being tried.
    Searching,
    /// The length is found.
    Complete,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchInput {
    /// The path's address is proved: it may be probed.
    Proved,
    /// There is no length left to try.
    Found,
    /// The path may carry more by now.
    Again,
    /// Long packets vanish while short ones pass.
    BlackHole,
}

impl Search {
    /// The state after `input`.
    #[must_use]
    pub const fn next(self, input: SearchInput) -> Self {
        match (self, input) {
            (Self::Base, SearchInput::Proved) | (Self::Complete, SearchInput::Again) => {
                Self::Searching
            }
            (Self::Searching, SearchInput::Found) => Self::Complete,
            (_, SearchInput::BlackHole) => Self::Base,
            (state, _) => state,
        }
    }
}

impl Mtu {
    /// A path to `remote`, over a link that carries datagrams of up to `limit` bytes.
    #[must_use]
    pub fn new(remote: &Address, limit: u16) -> Self {
        let base = base(remote);
        Self {
            search: Search::Base,
            base,
            limit,
            passes: base,
            fails: limit.saturating_add(1),
            tries: 0,
            probe: None,
            again_at: Instant::ZERO,
        }
    }

    /// Bytes that a packet may have now.
    #[must_use]
    pub fn length(&self) -> u16 {
        self.passes.min(self.limit)
    }

    /// How far the search is.
    #[must_use]
    pub const fn search(&self) -> Search {
        self.search
    }

    /// The length of the probe that should be sent now, to a path whose address is proved.
    pub fn probe_due(&mut self, now: Instant) -> Option<u16> {
        if self.search == Search::Base {
            self.change(SearchInput::Proved, now);
        }
        if self.search != Search::Searching || self.probe.is_some() {
            return None;
        }
        self.candidate()
    }

    /// A probe of `bytes` went out.
    pub const fn on_probe_sent(&mut self, bytes: u16) {
        self.probe = Some(bytes);
    }

    /// A probe arrived; returns whether packets may be longer than before.
    pub fn on_probe_acked(&mut self, bytes: u16, now: Instant) -> bool {
        if self.probe == Some(bytes) {
            self.probe = None;
        }
        let longer = bytes > self.passes && bytes <= self.limit;
        if longer {
            self.passes = bytes;
            self.fails = self.fails.max(bytes.saturating_add(1));
            self.tries = 0;
        }
        self.settle(now);
        longer
    }

    /// A probe was lost. One that nobody waits for any more says nothing.
    pub fn on_probe_lost(&mut self, bytes: u16, now: Instant) {
        if self.probe != Some(bytes) {
            return;
        }
        self.probe = None;
        self.tries = self.tries.saturating_add(1);
        if self.tries >= TRIES_MAX {
            self.tries = 0;
            self.fails = bytes.max(self.passes.saturating_add(1));
        }
        self.settle(now);
    }

    /// The path went silent: the probe's loss will say nothing of its length.
    pub const fn on_silence(&mut self) {
        self.probe = None;
    }

    /// A packet of full length went out: data flows, so that a longer length would be of use.
    pub fn on_full_packet(&mut self, now: Instant) {
        if self.search == Search::Complete && self.passes < self.limit && now >= self.again_at {
            self.forget_failures();
            self.change(SearchInput::Again, now);
        }
    }

    /// The link carries `limit` from now on; returns whether the length of packets changed.
    pub fn set_limit(&mut self, limit: u16, now: Instant) -> bool {
        if limit == self.limit {
            return false;
        }
        let before = self.length();
        self.limit = limit;
        // Down to the base nothing needs to be proved.
        self.passes = self.passes.min(limit.max(self.base));
        self.forget_failures();
        self.change(SearchInput::Again, now);
        self.length() != before
    }

    /// Long packets vanish, or the path leads elsewhere now: everything begins anew.
    pub fn on_black_hole(&mut self, now: Instant) {
        self.passes = self.base;
        self.forget_failures();
        self.change(SearchInput::BlackHole, now);
    }

    fn forget_failures(&mut self) {
        self.fails = self.limit.saturating_add(1);
        self.tries = 0;
        self.probe = None;
    }

    /// The next length to try.
    fn candidate(&self) -> Option<u16> {
        if self.passes >= self.limit {
            return None;
        }
        if self.fails > self.limit {
            return Some(self.limit);
        }
        let open = |bytes: &u16| *bytes > self.passes && *bytes < self.fails;
        let common = COMMON.into_iter().find(open);
        let gap = self.fails.saturating_sub(self.passes);
        let half = self.passes.saturating_add(gap / 2);
        common.or_else(|| (gap > GAP_MAX).then_some(half))
    }

    fn settle(&mut self, now: Instant) {
        if self.candidate().is_none() {
            self.change(SearchInput::Found, now);
        }
    }

    fn change(&mut self, input: SearchInput, now: Instant) {
        self.search = self.search.next(input);
        match self.search {
            Search::Searching => self.settle(now),
            Search::Complete if input == SearchInput::Found => self.again_at = now + AGAIN,
            Search::Base | Search::Complete => {}
        }
    }
}

/// What a path to this address carries without being asked: the least IP packet that every host
/// takes (RFC 1122), and every IPv6 link (RFC 8200), less the headers of IP and UDP.
#[must_use]
pub(super) const fn base(remote: &Address) -> u16 {
    match remote {
        Address::Ip(SocketAddr::V4(_)) => BASE_IPV4,
        Address::Ip(SocketAddr::V6(_)) => 1_280 - IPV6_HEADS,
        Address::Serial => 256,
    }
}

/// What IP and UDP put before each datagram to this address.
#[must_use]
pub const fn heads(remote: &Address) -> u16 {
    match remote {
        Address::Ip(SocketAddr::V4(_)) => IPV4_HEADS,
        Address::Ip(SocketAddr::V6(_)) => IPV6_HEADS,
        Address::Serial => 0,
    }
}

/// The least of all paths of the internet.
pub const BASE_IPV4: u16 = 576 - IPV4_HEADS;
const IPV4_HEADS: u16 = 20 + 8;
const IPV6_HEADS: u16 = 40 + 8;

/// UDP payloads of full packets that are common: Ethernet by IPv4 and by IPv6, and tunnels of the
/// least IPv6 length. The longest first.
const COMMON: [u16; 3] = [1_500 - IPV4_HEADS, 1_500 - IPV6_HEADS, 1_280 - IPV4_HEADS];
/// A search this close to the truth is good enough.
const GAP_MAX: u16 = 16;
/// MAX_PROBES of RFC 8899 section 5.1.2.
const TRIES_MAX: u8 = 3;
/// After a search, a path that carries full packets is asked again whether longer ones pass. RFC
/// 8899 section 5.1.1 waits 600 s; a path in which a burst of losses looked like a limit should
/// not stay slow for so long, and the question costs three packets.
const AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::{Search as S, SearchInput as I, *};
    use core::net::{Ipv4Addr, Ipv6Addr};

    const NOW: Instant = Instant::from_micros(1_000);

    fn four() -> Address {
        Address::Ip(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1))
    }

    /// Searches a path that carries `truth`; returns how many probes that took.
    fn search(mtu: &mut Mtu, truth: u16, now: Instant) -> u32 {
        let mut probes = 0;
        while let Some(bytes) = mtu.probe_due(now) {
            probes += 1;
            assert!(bytes > mtu.length() && bytes <= mtu.limit, "{bytes}: {mtu:?}");
            mtu.on_probe_sent(bytes);
            assert_eq!(mtu.probe_due(now), None, "one at a time");
            if bytes <= truth {
                assert!(mtu.on_probe_acked(bytes, now));
            } else {
                mtu.on_probe_lost(bytes, now);
            }
        }
        assert_eq!(mtu.search(), Search::Complete);
        probes
    }

    #[test]
    fn every_legal_move() {
        let legal = [
            (S::Base, I::Proved, S::Searching),
            (S::Searching, I::Found, S::Complete),
            (S::Complete, I::Again, S::Searching),
            (S::Searching, I::BlackHole, S::Base),
            (S::Complete, I::BlackHole, S::Base),
        ];
        for state in [S::Base, S::Searching, S::Complete] {
            for input in [I::Proved, I::Found, I::Again, I::BlackHole] {
                let listed = legal.iter().find(|(from, by, _)| (*from, *by) == (state, input));
                assert_eq!(state.next(input), listed.map_or(state, |(_, _, to)| *to));
            }
        }
    }

    #[test]
    fn every_length_is_found_with_few_probes() {
        // spec: 9.10-3
        let usual = [(1_472, 1_472, 1), (1_472, 1_252, 19), (1_472, 548, 28), (8_972, 1_472, 31)];
        for (limit, truth, probes) in usual {
            let mut mtu = Mtu::new(&four(), limit);
            assert_eq!(mtu.length(), 548);
            let took = search(&mut mtu, truth, NOW);
            assert!(took <= probes, "{took} probes for {truth} of {limit}");
        }
        for limit in [1_472, 9_000] {
            for truth in (548..=limit).step_by(7) {
                let mut mtu = Mtu::new(&four(), limit);
                let probes = search(&mut mtu, truth, NOW);
                assert!(
                    mtu.length() <= truth && truth - mtu.length() < GAP_MAX,
                    "{truth}: {mtu:?}"
                );
                assert!(probes <= 45, "{probes} probes for {truth} of {limit}");
            }
        }
    }

    #[test]
    fn what_every_path_carries_needs_no_search() {
        let six = Address::Ip(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 1));
        for (remote, limit, length) in [
            (four(), 548, 548),
            (four(), 300, 300),
            (six, 1_232, 1_232),
            (Address::Serial, 256, 256),
            (Address::Serial, 200, 200),
        ] {
            let mut mtu = Mtu::new(&remote, limit);
            assert_eq!((mtu.length(), mtu.probe_due(NOW)), (length, None));
            assert_eq!(mtu.search(), Search::Complete);
        }
    }

    #[test]
    fn one_lost_probe_is_no_verdict_and_silence_is_none_at_all() {
        let mut mtu = Mtu::new(&four(), 1_472);
        for _ in 0..2 {
            mtu.on_probe_sent(1_472);
            mtu.on_probe_lost(1_472, NOW);
        }
        for _ in 0..5 {
            assert_eq!(mtu.probe_due(NOW), Some(1_472));
            mtu.on_probe_sent(1_472);
            mtu.on_silence();
            mtu.on_probe_lost(1_472, NOW);
        }
        mtu.on_probe_sent(1_472);
        assert!(mtu.on_probe_acked(1_472, NOW));
        assert_eq!((mtu.length(), mtu.search()), (1_472, Search::Complete));
    }

    #[test]
    fn a_black_hole_is_searched_anew() {
        let mut mtu = Mtu::new(&four(), 1_472);
        search(&mut mtu, 1_472, NOW);
        mtu.on_black_hole(NOW);
        assert_eq!((mtu.length(), mtu.search()), (548, Search::Base));
        search(&mut mtu, 1_252, NOW);
        assert_eq!(mtu.length(), 1_252);
    }

    #[test]
    fn it_is_tried_again_after_a_while_if_data_flows() {
        let mut mtu = Mtu::new(&four(), 1_472);
        search(&mut mtu, 1_252, NOW);
        mtu.on_full_packet(NOW + Duration::from_secs(59));
        assert_eq!(mtu.probe_due(NOW), None);
        let later = NOW + AGAIN;
        assert_eq!(mtu.probe_due(later), None, "nothing flows");
        mtu.on_full_packet(later);
        assert_eq!(mtu.probe_due(later), Some(1_472));
        search(&mut mtu, 1_472, later);
        mtu.on_full_packet(later + AGAIN);
        assert_eq!(mtu.probe_due(later + AGAIN), None, "there is nothing longer");
    }

    #[test]
    fn the_link_has_the_last_word() {
        let mut mtu = Mtu::new(&four(), 1_472);
        search(&mut mtu, 9_000, NOW);
        assert!(mtu.set_limit(1_000, NOW) && !mtu.set_limit(1_000, NOW));
        assert_eq!((mtu.length(), mtu.probe_due(NOW)), (1_000, None));
        assert!(!mtu.set_limit(8_972, NOW), "first it must be proved");
        search(&mut mtu, 9_000, NOW);
        assert_eq!(mtu.length(), 8_972);
        assert!(mtu.set_limit(100, NOW));
        assert_eq!(mtu.length(), 100);
        assert!(mtu.set_limit(1_472, NOW));
        assert_eq!((mtu.length(), mtu.probe_due(NOW)), (548, Some(1_472)));
    }
}
