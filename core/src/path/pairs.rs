//! Which pair of local link and remote address should become a path next?
//!
//! Every local and every remote link is used once before any is used twice: with two links on
//! each side that makes two paths, not four, and none of the links is left out. Among equals the
//! pair whose addresses look most alike wins, since links in the same subnet are the ones that a
//! cable joins; where two links share a subnet by both families it is IPv4, whose header is 20 bytes
//! shorter. A path that is still being probed does not keep its links from a pair that looks
//! more alike: when a link returns, the peer's news of it may come after ours, and what was paired
//! in between may lead nowhere. A pair that did not work is left alone for a while, longer each time.

use crate::id::{Address, CostClass, LinkId};
use crate::storage::table::{Table, keep};
use crate::time::{Duration, Instant, earlier};
use crate::wire::Advertised;
use core::net::IpAddr;

/// A local link, as far as pairing is concerned.
#[derive(Clone, Copy, Debug)]
pub struct LocalLink<'l> {
    /// Its number.
    pub link: LinkId,
    /// What it costs.
    pub class: CostClass,
    addresses: &'l [Address],
}

impl<'l> LocalLink<'l> {
    /// A link with these addresses.
    #[must_use]
    pub const fn new(link: LinkId, class: CostClass, addresses: &'l [Address]) -> Self {
        Self { link, class, addresses }
    }
}

/// A pair that should become a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The local link.
    pub link: LinkId,
    /// The local address that looks most like the remote one.
    pub local: Option<IpAddr>,
    /// The remote address.
    pub remote: Address,
}

/// A pair that is a path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairInUse {
    /// The local link.
    pub link: LinkId,
    /// The remote address.
    pub remote: Address,
    /// The peer's number for its link, if known.
    pub remote_link: Option<LinkId>,
    /// It has not been proved yet that it works.
    pub probing: bool,
}

/// The pair to try next. `None`: every link that can be used is, or must wait.
#[must_use]
pub fn next_pair(
    locals: &[LocalLink<'_>],
    remotes: &[Advertised],
    in_use: &[PairInUse],
    tried: &Tried<impl Table<Failure>>,
    now: Instant,
) -> Option<Pair> {
    // Whether a path keeps its links from a pair that looks so much alike.
    let counts = |pair: &PairInUse, alike: u32| {
        let link = locals.iter().find(|local| local.link == pair.link);
        let own = link.and_then(|local| likeness(local, &pair.remote, remotes));
        !pair.probing || own.is_some_and(|(own, _)| own >= alike)
    };
    let local_used = |link: LinkId, alike: u32| {
        in_use.iter().any(|pair| pair.link == link && counts(pair, alike))
    };
    let remote_used = |remote: &Advertised, alike: u32| {
        in_use.iter().any(|pair| {
            (pair.remote == remote.address || pair.remote_link == Some(remote.link))
                && counts(pair, alike)
        })
    };
    let mut best: Option<((bool, u32), &LocalLink<'_>, &Address, &Advertised)> = None;
    for local in locals {
        for remote in remotes {
            let Some((alike, address)) = likeness(local, &remote.address, remotes) else {
                continue;
            };
            let local_new = !local_used(local.link, alike);
            let remote_new = !remote_used(remote, alike);
            let taken = in_use.iter().any(|p| p.link == local.link && p.remote == remote.address);
            if taken
                || !(local_new || remote_new)
                || tried.must_wait(local.link, remote.address, now)
            {
                continue;
            }
            let score = (local_new && remote_new, alike);
            // The first of equals stays, so that both sides come to the same pairs.
            if best.is_none_or(|(least, ..)| score > least) {
                best = Some((score, local, address, remote));
            }
        }
    }
    let (_, local, address, remote) = best?;
    let address = match address {
        Address::Ip(address) => Some(address.ip()),
        Address::Serial => None,
    };
    Some(Pair { link: local.link, local: address, remote: remote.address })
}

/// Pairs that did not work, and when they may be tried again.
#[derive(Clone, Debug, Default)]
pub struct Tried<T> {
    pairs: T,
}

/// A pair that did not work.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    link: LinkId,
    remote: Address,
    wait: Duration,
    until: Instant,
    /// The moment was told; another try is under way.
    told: bool,
}

impl<T: Table<Failure>> Tried<T> {
    /// Nothing failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A pair did not answer: it waits a second, and twice as long each time. While no path is
    /// alive at all, it is the `only_hope` and soon tried again: the idle timeout ends that.
    pub fn failed(&mut self, link: LinkId, remote: Address, only_hope: bool, now: Instant) {
        let least = if only_hope { WAIT_ONLY_HOPE } else { WAIT_MIN };
        let known = self.pairs.list_mut().iter_mut().find(|p| p.link == link && p.remote == remote);
        match known {
            Some(failure) => {
                let doubled = (failure.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
                failure.wait = if only_hope { least } else { doubled };
                failure.until = now + failure.wait;
                failure.told = false;
            }
            None => {
                if self.pairs.list().is_full() {
                    self.pairs.list_mut().pop();
                }
                let failure =
                    Failure { link, remote, wait: least, until: now + least, told: false };
                let _ = self.pairs.list_mut().push(failure);
            }
        }
    }

    /// The pair works.
    pub fn forget(&mut self, link: LinkId, remote: Address) {
        keep(self.pairs.list_mut(), &mut |pair| pair.link != link || pair.remote != remote);
    }

    /// The link changed: what failed on it may work now.
    pub fn forget_link(&mut self, link: LinkId) {
        keep(self.pairs.list_mut(), &mut |pair| pair.link != link);
    }

    /// The peer's addresses changed: everything may work now.
    pub fn forget_remotes(&mut self) {
        self.pairs.list_mut().clear();
    }

    /// When a pair may be tried again.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pairs
            .list()
            .iter()
            .filter(|pair| !pair.told)
            .map(|pair| Some(pair.until))
            .fold(None, earlier)
    }

    /// Marks the moments that have come.
    pub fn expire(&mut self, now: Instant) {
        for pair in self.pairs.list_mut().iter_mut() {
            pair.told |= pair.until <= now;
        }
    }

    /// Whether it is too early to try a pair again.
    #[must_use]
    pub fn must_wait(&self, link: LinkId, remote: Address, now: Instant) -> bool {
        self.pairs
            .list()
            .iter()
            .any(|pair| pair.link == link && pair.remote == remote && now < pair.until)
    }
}

/// How much a remote address looks like the link's, and which of these looks most like it. `None`
/// when datagrams cannot get there at all.
fn likeness<'l>(
    local: &LocalLink<'l>,
    remote: &Address,
    remotes: &[Advertised],
) -> Option<(u32, &'l Address)> {
    let (alike, address) = most_alike(local, remote)?;
    let link = remotes.iter().find(|known| known.address == *remote).map(|known| known.link);
    let neighbours = |known: &Advertised| {
        let alike = most_alike(local, &known.address).map(|(alike, _)| alike);
        is_ipv6(&known.address) && alike >= Some(SUBNET_IPV6)
    };
    let both = !is_ipv6(remote)
        && alike >= SUBNET_IPV4
        && remotes.iter().any(|known| Some(known.link) == link && neighbours(known));
    Some((if both { BOTH } else { alike }, address))
}

fn is_ipv6(address: &Address) -> bool {
    matches!(address, Address::Ip(ip) if ip.is_ipv6())
}

/// How many leading bits the nearest of the link's addresses has in common with `remote`, and
/// which address that is; `None` when datagrams cannot get there at all.
fn most_alike<'l>(local: &LocalLink<'l>, remote: &Address) -> Option<(u32, &'l Address)> {
    let common = |ours| Some((alike(ours, remote)?, ours));
    local.addresses.iter().filter_map(common).max_by_key(|(bits, _)| *bits)
}

/// How many leading bits two addresses have in common; `None` when datagrams cannot get from one
/// to the other.
fn alike(ours: &Address, theirs: &Address) -> Option<u32> {
    match (ours, theirs) {
        (Address::Serial, Address::Serial) => Some(u32::MAX),
        (Address::Ip(ours), Address::Ip(theirs)) => {
            reaches(ours.ip(), theirs.ip()).then(|| common_bits(ours.ip(), theirs.ip()))
        }
        _ => None,
    }
}

/// Same family, and scopes that can meet: loopback with loopback, link-local with link-local.
fn reaches(ours: IpAddr, theirs: IpAddr) -> bool {
    let link_local = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    ours.is_ipv4() == theirs.is_ipv4()
        && ours.is_loopback() == theirs.is_loopback()
        && link_local(ours) == link_local(theirs)
        && !theirs.is_unspecified()
        && !theirs.is_multicast()
}

fn common_bits(ours: IpAddr, theirs: IpAddr) -> u32 {
    match (ours, theirs) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// Addresses with as many leading bits in common are in one subnet, most likely.
const SUBNET_IPV4: u32 = 24;
const SUBNET_IPV6: u32 = 64;
/// More than any two IPv6 addresses have in common, and less than two ends of a serial line.
const BOTH: u32 = 129;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_ONLY_HOPE: Duration = Duration::from_millis(300);
const WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, SocketAddr};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;

    type Failures = Tried<heapless::Vec<Failure, 16>>;

    fn address(subnet: u8, host: u8) -> Address {
        Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 7, subnet, host)), 7_000))
    }

    fn open_all(
        locals: &[LocalLink<'_>],
        remotes: &[Advertised],
        tried: &Failures,
    ) -> vec::Vec<PairInUse> {
        let mut in_use = vec![];
        while let Some(pair) = next_pair(locals, remotes, &in_use, tried, Instant::ZERO) {
            let remote_link = remotes.iter().find(|r| r.address == pair.remote).map(|r| r.link);
            let Pair { link, remote, .. } = pair;
            // Nothing is proved while the first pairs are chosen.
            in_use.push(PairInUse { link, remote, remote_link, probing: true });
            assert!(in_use.len() <= 64, "the same pair again and again");
        }
        in_use
    }

    proptest! {
        /// With n links here and m there, all get used, and no more paths are opened than that
        /// takes; where subnets match, it is they that are joined.
        #[test]
        fn all_links_are_used_and_no_needless_pairs(n in 1_u8..6, m in 1_u8..6, rotate in 0_u8..6) {
            let addresses: vec::Vec<_> = (0..n).map(|i| [address(i, 1)]).collect();
            let locals: vec::Vec<_> = (0..n)
                .map(|i| LocalLink::new(LinkId(i), CostClass::Wired, &addresses[usize::from(i)]))
                .collect();
            let remotes: vec::Vec<_> = (0..m)
                .map(|i| (i + rotate) % m)
                .map(|i| Advertised { link: LinkId(100 + i), class: CostClass::Wired, address: address(i, 2) })
                .collect();
            let used = open_all(&locals, &remotes, &Failures::new());
            prop_assert_eq!(used.len(), usize::from(n.max(m)));
            prop_assert_eq!(used.iter().map(|p| p.link).collect::<BTreeSet<_>>().len(), usize::from(n));
            prop_assert_eq!(used.iter().map(|p| p.remote).collect::<BTreeSet<_>>().len(), usize::from(m));
            for i in 0..n.min(m) {
                prop_assert!(used.iter().any(|p| p.link == LinkId(i) && p.remote == address(i, 2)));
            }
        }
    }

    /// A cable is plugged in again, and the peer's news of it comes a moment after ours: meanwhile
    /// each end of the cable was paired with what there was.
    #[test]
    fn a_probing_path_does_not_keep_its_links_from_a_better_pair() {
        let addresses = [[address(0, 1)], [address(1, 1)]];
        let link = |i| LocalLink::new(LinkId(i), CostClass::Wired, &addresses[usize::from(i)]);
        let far = |i| Advertised {
            link: LinkId(100 + i),
            class: CostClass::Wired,
            address: address(i, 2),
        };
        let pair = |link, remote, probing| PairInUse {
            link: LinkId(link),
            remote: address(remote, 2),
            remote_link: Some(LinkId(100 + remote)),
            probing,
        };
        let next = |in_use: &[PairInUse]| {
            let pair = next_pair(
                &[link(0), link(1)],
                &[far(0), far(1)],
                in_use,
                &Failures::new(),
                Instant::ZERO,
            );
            pair.map(|pair| (pair.link.0, pair.remote))
        };
        let crossed = |probing| [pair(0, 0, false), pair(0, 1, probing), pair(1, 0, probing)];
        assert_eq!(next(&crossed(true)), Some((1, address(1, 2))));
        assert_eq!(next(&crossed(false)), None, "crossed or not, they work");
        assert_eq!(next(&[pair(0, 0, false), pair(1, 1, true)]), None, "nothing is better");
    }

    #[test]
    fn the_shorter_header_wins_where_both_families_lead_to_the_neighbour() {
        let six = |text: &str| Address::Ip(text.parse().unwrap());
        let addresses = [six("[2001:db8:1::1]:1"), address(0, 1)];
        let local = LocalLink::new(LinkId(0), CostClass::Wired, &addresses);
        let far = |address| Advertised { link: LinkId(9), class: CostClass::Wired, address };
        let chosen = |remotes: [Address; 2]| {
            let remotes = remotes.map(far);
            next_pair(core::slice::from_ref(&local), &remotes, &[], &Failures::new(), Instant::ZERO)
                .map(|pair| pair.remote)
        };
        let (neighbour, stranger) = (six("[2001:db8:1::2]:1"), six("[2001:db8:7::2]:1"));
        assert_eq!(chosen([neighbour, address(0, 2)]), Some(address(0, 2)));
        // The same private subnet elsewhere: IPv6 tells that it is not ours.
        assert_eq!(chosen([stranger, address(0, 2)]), Some(stranger));
        assert_eq!(chosen([neighbour, address(9, 2)]), Some(neighbour));
    }

    #[test]
    fn a_pair_that_failed_waits_and_waits_longer() {
        let mut tried = Failures::new();
        let now = Instant::ZERO;
        tried.failed(LinkId(0), address(0, 2), false, now);
        assert!(tried.must_wait(LinkId(0), address(0, 2), now + Duration::from_millis(900)));
        assert!(!tried.must_wait(LinkId(0), address(0, 2), now + Duration::from_millis(1_100)));
        tried.failed(LinkId(0), address(0, 2), false, now);
        assert!(tried.must_wait(LinkId(0), address(0, 2), now + Duration::from_millis(1_900)));
        tried.forget_link(LinkId(0));
        assert!(!tried.must_wait(LinkId(0), address(0, 2), now));
    }

    #[test]
    fn scopes_that_cannot_meet_are_never_paired() {
        let loopback = Address::Ip("127.0.0.1:7000".parse().unwrap());
        let addresses = [address(0, 1)];
        let locals = [LocalLink::new(LinkId(0), CostClass::Wired, &addresses)];
        let far = |address| Advertised { link: LinkId(9), class: CostClass::Wired, address };
        for remote in [loopback, Address::Serial, Address::Ip("[fe80::1]:7000".parse().unwrap())] {
            assert!(open_all(&locals, &[far(remote)], &Failures::new()).is_empty());
        }
    }
}
