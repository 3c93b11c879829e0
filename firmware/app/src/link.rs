//! What a link must do. A new kind of link, be it another network card's stack, a radio or a modem,
//! is one implementation of [`Link`].
//!
//! ```text
//!            poll: true              report: Some            report: None
//!   (start) ------------> look -----------------------> up  ---------------> down
//! ```
//!
//! Nothing here waits. A link that has no room says so, and the datagram is lost: the core's
//! congestion control learns from it what the link carries.

use core::net::IpAddr;
use ropewalk_core::connection::LinkInfo;
use ropewalk_core::id::Address;
use ropewalk_core::time::Instant;

/// A way out of the board that carries datagrams.
pub trait Link {
    /// What to call it in logs.
    fn name(&self) -> &str;

    /// Moves what waits, both ways, without waiting and by a bounded amount. Returns whether what
    /// [`Link::report`] says has changed.
    fn poll(&mut self, now: Instant) -> bool;

    /// MTU (bytes of UDP payload by IPv4, or a serial frame's contents), cost class, and the
    /// addresses at which peers reach us; `None` while the link is down.
    fn report(&self) -> Option<LinkInfo>;

    /// Sends a datagram to `remote`, from `local` if that is given.
    ///
    /// # Errors
    /// It was not sent, and never will be.
    fn send(
        &mut self,
        datagram: &[u8],
        local: Option<IpAddr>,
        remote: &Address,
    ) -> Result<(), NotSent>;

    /// The next datagram that came, in front of `into`.
    fn receive(&mut self, into: &mut [u8]) -> Option<Received>;
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NotSent {
    /// The link's queue is full.
    Full,
    /// Nothing on this link leads to that address.
    Unreachable,
}

/// A datagram that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its length.
    pub len: usize,
    /// Our address that it was sent to.
    pub local: Option<IpAddr>,
    /// Who sent it.
    pub remote: Address,
}
