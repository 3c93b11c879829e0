//! How much a node remembers beside paths, streams and packets: its links, its peers' addresses,
//! pairs that failed, handshakes that are not done. A few of each on a board, more on a host.

use super::dial::PEER_ADDRESSES_MAX;
use super::links::{LINK_ADDRESSES_MAX, Link, Links, NoPolicies, Policy};
use super::listener::HalfOpen;
use crate::id::Address;
use crate::path::Failure;
use crate::storage::table::Table;
use crate::wire::Advertised;
use heapless::Vec;

/// The lengths of the tables of a [`super::Connection`] and of a [`super::Listener`].
pub trait Scale {
    /// Addresses of each link of ours. What is reported beyond them is not used.
    type Addresses: Table<Address>;
    /// Links that are up. Those that are reported beyond them are not used.
    type Links: Table<Link<Self::Addresses>>;
    /// Links that the user said something of.
    type Policies: Table<Policy>;
    /// Addresses at which a peer is dialled. What is beyond them is not tried.
    type Dialled: Table<Address>;
    /// Addresses of the peer. It names one of each of its links first.
    type Remotes: Table<Advertised>;
    /// Pairs that did not work and wait for another try.
    type Tried: Table<Failure>;
    /// What a handshake was answered with. It names as many of our addresses as there is room for.
    type Answer: Table<u8>;
    /// Handshakes that were answered and await their first packet.
    type HalfOpen: Table<HalfOpen<Self::Answer>>;
}

/// For hosts.
#[derive(Clone, Copy, Debug)]
pub struct Large;

/// For boards: four links with three addresses each, eight addresses of the peer, two handshakes at
/// once.
#[derive(Clone, Copy, Debug)]
pub struct Small;

impl Scale for Large {
    type Addresses = Vec<Address, LINK_ADDRESSES_MAX>;
    type Links = Vec<Link<Self::Addresses>, 16>;
    type Policies = Vec<Policy, 8>;
    type Dialled = Vec<Address, PEER_ADDRESSES_MAX>;
    type Remotes = Vec<Advertised, 16>;
    type Tried = Vec<Failure, 16>;
    /// What fits the smallest IP packet.
    type Answer = Vec<u8, 548>;
    type HalfOpen = Vec<HalfOpen<Self::Answer>, 16>;
}

impl Scale for Small {
    type Addresses = Vec<Address, 3>;
    type Links = Vec<Link<Self::Addresses>, 4>;
    type Policies = Vec<Policy, 4>;
    type Dialled = Vec<Address, 8>;
    type Remotes = Vec<Advertised, 8>;
    type Tried = Vec<Failure, 4>;
    /// Eight addresses fit.
    type Answer = Vec<u8, 304>;
    type HalfOpen = Vec<HalfOpen<Self::Answer>, 2>;
}

/// The links of a connection.
pub(super) type LinksOf<Z> =
    Links<<Z as Scale>::Addresses, <Z as Scale>::Links, <Z as Scale>::Policies>;
/// The links of a listener.
pub(super) type PlainLinksOf<Z> = Links<<Z as Scale>::Addresses, <Z as Scale>::Links, NoPolicies>;
