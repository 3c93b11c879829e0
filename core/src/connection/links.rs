//! The local links, as the caller reported them.

use crate::id::{Address, CostClass, LinkId};
use crate::path::{LocalLink, Meter, OnLink, Way};
use crate::storage::table::Table;
use crate::time::{Instant, earlier};
use crate::wire::Advertised;
use core::marker::PhantomData;
use core::net::SocketAddr;
use heapless::Vec;

/// What a link is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkInfo {
    /// Largest datagram it carries, in bytes: UDP payload by IPv4 (by IPv6 it is 20 bytes less), or
    /// serial frame contents.
    pub mtu: u16,
    /// Bytes a second that it carries, where that is known, as of a serial line: packets are paced to
    /// it, so that no queue of ours stands before it.
    pub rate: Option<u32>,
    /// What it costs.
    pub class: CostClass,
    /// Where a peer can reach us on it: socket addresses with our port, or the serial line itself.
    pub addresses: Vec<Address, LINK_ADDRESSES_MAX>,
    /// Peers are not told of it: its addresses mean nothing to them.
    pub hidden: bool,
}

/// What happened to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LinkChange {
    /// It is up, or what is known of it changed.
    Up(LinkInfo),
    /// It is down or gone.
    Down,
}

/// What the user wants of a link, whether it is up or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkPolicy {
    /// In the mode `backup` it carries data only when the others fail.
    pub spare: bool,
    /// Bytes that it may carry, both ways together, IP and UDP headers included.
    pub quota: Option<u64>,
}

/// All links that are up. One whose quota is spent, or may be, counts as down.
#[derive(Default)]
pub(super) struct Links<A, L, P> {
    entries: L,
    policies: P,
    _addresses: PhantomData<A>,
}

/// One that is up: what its [`LinkInfo`] said, with as many of its addresses as there is room for.
pub struct Link<A> {
    pub(super) id: LinkId,
    pub(super) mtu: u16,
    pub(super) rate: Option<u32>,
    pub(super) addresses: A,
    class: CostClass,
    hidden: bool,
}

impl<A: Table<Address>> Link<A> {
    fn new(id: LinkId, info: &LinkInfo) -> Self {
        let mut addresses = A::default();
        for address in &info.addresses {
            let _ = addresses.list_mut().push(*address);
        }
        let LinkInfo { mtu, rate, class, hidden, .. } = *info;
        Self { id, mtu, rate, addresses, class, hidden }
    }

    /// What it costs.
    pub(super) const fn class(&self) -> CostClass {
        self.class
    }

    /// The largest datagram that it carries to this address.
    pub(super) const fn carries(&self, remote: &Address) -> u16 {
        match remote {
            Address::Ip(SocketAddr::V6(_)) => self.mtu.saturating_sub(IPV6_LONGER),
            Address::Ip(SocketAddr::V4(_)) | Address::Serial => self.mtu,
        }
    }
}

/// No policies: all that a listener needs to know is where its links are.
pub(super) type NoPolicies = Vec<Policy, 0>;

/// A link that the user said something of.
pub struct Policy {
    link: LinkId,
    spare: bool,
    meter: Meter,
}

impl<A: Table<Address>, L: Table<Link<A>>, P: Table<Policy>> Links<A, L, P> {
    /// Returns false when the table is full; the link is not used then.
    pub(super) fn up(&mut self, link: LinkId, info: &LinkInfo) -> bool {
        let fresh = Link::new(link, info);
        match self.entries.list_mut().iter_mut().find(|known| known.id == link) {
            Some(known) => {
                *known = fresh;
                true
            }
            None => self.entries.list_mut().push(fresh).is_ok(),
        }
    }

    pub(super) fn down(&mut self, link: LinkId) {
        self.entries.list_mut().retain(|known| known.id != link);
    }

    pub(super) fn find(&self, link: LinkId) -> Option<&Link<A>> {
        self.iter().find(|known| known.id == link)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link<A>> {
        self.entries.list().iter().filter(|link| self.is_open(link.id))
    }

    /// Whether peers are told of it while it is open.
    pub(super) fn tells(&self, link: LinkId) -> bool {
        let mut known = self.entries.list().iter();
        known.any(|known| known.id == link && !known.hidden && !known.addresses.list().is_empty())
    }

    pub(super) fn policy_of(&self, link: LinkId) -> Option<LinkPolicy> {
        let Policy { spare, meter, .. } = self.policy(link)?;
        Some(LinkPolicy { spare: *spare, quota: meter.quota() })
    }

    /// False when too many links have one, or if it is a quota and none are kept.
    pub(super) fn set_policy(&mut self, link: LinkId, policy: LinkPolicy, now: Instant) -> bool {
        let LinkPolicy { spare, quota } = policy;
        if quota.is_some() && !Meter::KEEPS_QUOTAS {
            return false;
        }
        if let Some(known) = self.policy_mut(link) {
            known.spare = spare;
            known.meter.set_quota(quota, now);
            return true;
        }
        self.policies.list_mut().push(Policy { link, spare, meter: Meter::new(quota) }).is_ok()
    }

    /// So many bytes came or went; returns whether the link must be given up because of them.
    pub(super) fn count(
        &mut self,
        link: LinkId,
        way: Way,
        bytes: u64,
        on_link: OnLink,
        now: Instant,
    ) -> bool {
        let Some(policy) = self.policy_mut(link) else { return false };
        let before = policy.meter.is_open();
        policy.meter.count(way, bytes, on_link, now);
        policy.meter.is_open() != before
    }

    /// A path on the link is no more: so many bytes that the peer sent on it never came.
    pub(super) fn write_off(&mut self, link: LinkId, bytes: u64) {
        if let Some(policy) = self.policy_mut(link) {
            policy.meter.write_off(bytes);
        }
    }

    /// When a link that rests is to be looked at again.
    pub(super) fn rest_ends(&self) -> Option<Instant> {
        self.policies.list().iter().map(|policy| policy.meter.rests_until()).fold(None, earlier)
    }

    /// A link that has rested for long enough.
    pub(super) fn rested(&mut self, now: Instant) -> Option<LinkId> {
        let mut policies = self.policies.list_mut().iter_mut();
        policies.find_map(|policy| policy.meter.on_timeout(now).then_some(policy.link))
    }

    pub(super) fn used(&self, link: LinkId) -> u64 {
        self.policy(link).map_or(0, |policy| policy.meter.used())
    }

    pub(super) fn is_spent(&self, link: LinkId) -> bool {
        self.policy(link).is_some_and(|policy| policy.meter.is_spent())
    }

    /// Whether its quota lets it be used now.
    pub(super) fn is_open(&self, link: LinkId) -> bool {
        self.policy(link).is_none_or(|policy| policy.meter.is_open())
    }

    /// Whether it must be counted packet by packet.
    pub(super) fn is_tight(&self, link: LinkId) -> bool {
        self.policy(link).is_some_and(|policy| policy.meter.is_tight())
    }

    pub(super) fn is_spare(&self, link: LinkId) -> bool {
        self.policy(link).is_some_and(|policy| policy.spare)
    }

    pub(super) fn is_metered(&self, link: LinkId) -> bool {
        Meter::KEEPS_QUOTAS && self.policy(link).is_some()
    }

    fn policy(&self, link: LinkId) -> Option<&Policy> {
        self.policies.list().iter().find(|policy| policy.link == link)
    }

    fn policy_mut(&mut self, link: LinkId) -> Option<&mut Policy> {
        self.policies.list_mut().iter_mut().find(|policy| policy.link == link)
    }

    /// What we tell the peer: an address of each link, cheapest class first, then a second of each,
    /// and so on. What does not fit is left out, and the handshake has room for eight: a link of
    /// which the peer knows no address is tried with those of the others, in vain.
    pub(super) fn advertised(&self) -> Vec<Advertised, ADVERTISED_MAX> {
        let mut list = Vec::new();
        for place in 0..LINK_ADDRESSES_MAX {
            for class in CLASSES {
                let told = |link: &&Link<A>| link.class == class && !link.hidden;
                for link in self.iter().filter(told) {
                    if let Some(address) = link.addresses.list().get(place) {
                        let _ = list.push(Advertised { link: link.id, class, address: *address });
                    }
                }
            }
        }
        list
    }

    /// What the choice of pairs needs to know.
    pub(super) fn locals(&self) -> Vec<LocalLink<'_>, LINKS_MAX> {
        let mut locals = Vec::new();
        for link in self.iter() {
            let _ = locals.push(LocalLink::new(link.id, link.class, link.addresses.list()));
        }
        locals
    }
}

/// The cheapest first.
const CLASSES: [CostClass; 4] =
    [CostClass::Wired, CostClass::Wireless, CostClass::Metered, CostClass::LastResort];
/// By how much IPv6's header is longer than IPv4's.
const IPV6_LONGER: u16 = 20;
/// Links of one node that a connection can use, at most.
pub(super) const LINKS_MAX: usize = 16;
/// Addresses of one link.
pub const LINK_ADDRESSES_MAX: usize = 6;
/// Addresses in one advertisement.
pub(super) const ADVERTISED_MAX: usize = 16;
