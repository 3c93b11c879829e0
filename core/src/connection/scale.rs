//! How much a node remembers beside paths, streams and packets: its links, its peers' addresses,
//! pairs that failed, handshakes that are not done. A few of each on a board, more on a host.

use super::links::{Link, Links, NoPolicies, Policy};
use super::listener::HalfOpen;
use crate::path::Failure;
use crate::storage::table::Table;
use crate::wire::Advertised;
use heapless::Vec;

/// The lengths of the tables of a [`super::Connection`] and of a [`super::Listener`].
pub trait Scale {
    /// Links that are up. Those that are reported beyond them are not used.
    type Links: Table<Link>;
    /// Links that the user said something of.
    type Policies: Table<Policy>;
    /// Addresses of the peer. It names one of each of its links first.
    type Remotes: Table<Advertised>;
    /// Pairs that did not work and wait for another try.
    type Tried: Table<Failure>;
    /// Handshakes that were answered and await their first packet. Each takes about 1 KiB.
    type HalfOpen: Table<HalfOpen>;
}

/// For hosts.
#[derive(Clone, Copy, Debug)]
pub struct Large;

/// For boards: four links, eight addresses, two handshakes at once.
#[derive(Clone, Copy, Debug)]
pub struct Small;

impl Scale for Large {
    type Links = Vec<Link, 16>;
    type Policies = Vec<Policy, 8>;
    type Remotes = Vec<Advertised, 16>;
    type Tried = Vec<Failure, 16>;
    type HalfOpen = Vec<HalfOpen, 16>;
}

impl Scale for Small {
    type Links = Vec<Link, 4>;
    type Policies = Vec<Policy, 4>;
    type Remotes = Vec<Advertised, 8>;
    type Tried = Vec<Failure, 4>;
    type HalfOpen = Vec<HalfOpen, 2>;
}

/// The links of a connection.
pub(super) type LinksOf<Z> = Links<<Z as Scale>::Links, <Z as Scale>::Policies>;
/// The links of a listener.
pub(super) type PlainLinksOf<Z> = Links<<Z as Scale>::Links, NoPolicies>;
