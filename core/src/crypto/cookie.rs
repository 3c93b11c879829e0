//! Cookies: under load, a responder multiplies only for those who receive at the address they send
//! from (`docs/protocol.md` section 4.5; the construction is WireGuard's).
//!
//! ```text
//! Initiation without a valid cookie ──> CookieReply: mac(secret of these 120 s, link || address)
//! Initiation with a mac under it    ──> read_initiation
//! ```
//!
//! The jar keeps two secrets, this period's and the one before, and nothing for each address. When
//! load is high enough for cookies is the caller's to say.

use core::fmt;
use core::net::IpAddr;

use super::message::{self, CookieReply, INITIATION_OVERHEAD};
use super::{Crypto, Random, same};
use crate::id::{Address, LinkId, PublicKey};
use crate::time::{Duration, Instant};
use crate::wire::Suite;

/// How long a secret makes cookies; then they are good for as long again.
pub const PERIOD: Duration = Duration::from_secs(120);

/// A responder's rotating secrets.
pub struct CookieJar<C> {
    random: Random<C>,
    current: [u8; 32],
    previous: [u8; 32],
    since: Instant,
}

impl<C: Crypto> CookieJar<C> {
    /// A jar with secrets of its own from `random`.
    #[must_use]
    pub fn new(random: &mut Random<C>, now: Instant) -> Self {
        let mut random = random.fork();
        Self { current: random.bytes(), previous: random.bytes(), random, since: now }
    }

    /// The cookie of an address, for now.
    #[must_use]
    pub fn make(&mut self, address: &Address, link: LinkId, now: Instant) -> [u8; 16] {
        self.rotate(now);
        cookie::<C>(&self.current, address, link)
    }

    /// Whether an initiation from this address carries a mac under a cookie that was given to it.
    #[must_use]
    pub fn verify(
        &mut self,
        datagram: &[u8],
        address: &Address,
        link: LinkId,
        now: Instant,
    ) -> bool {
        self.rotate(now);
        let Some((before, mac)) = datagram.split_last_chunk() else { return false };
        if *mac == [0; 16] {
            return false; // It carries none: so do floods, and they must be cheap.
        }
        [&self.current, &self.previous]
            .into_iter()
            .any(|secret| same(&C::mac(&cookie::<C>(secret, address, link), &[before]), mac))
    }

    /// Answers an initiation, whose keyed check was right, with the address's cookie. Gives the
    /// length, always less than the initiation's; `None` if `into` is too short or the datagram is
    /// no initiation.
    #[must_use]
    pub fn reply(
        &mut self,
        our: &PublicKey,
        datagram: &[u8],
        address: &Address,
        link: LinkId,
        into: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        let mut cookie = self.make(address, link, now);
        let head = datagram.first_chunk().filter(|_| datagram.len() >= INITIATION_OVERHEAD)?;
        let (before, _cookie) = datagram.split_last_chunk::<16>()?;
        let (_, check) = before.split_last_chunk::<16>()?;
        let nonce = self.random.bytes();
        let key = C::key(Suite::ChaCha20Poly1305, &CookieReply::key::<C>(our));
        let tag = C::seal(&key, &nonce, check, &mut cookie);
        CookieReply { nonce, cookie, tag }.write(message::connection(head), into)
    }

    /// Periods follow one another without gaps, however seldom somebody asks.
    fn rotate(&mut self, now: Instant) {
        let age = now.since(self.since);
        if age < PERIOD {
            return;
        }
        let next = self.random.bytes();
        if age < PERIOD * 2 {
            self.previous = core::mem::replace(&mut self.current, next);
            self.since += PERIOD;
        } else {
            (self.previous, self.current) = (self.random.bytes(), next);
            self.since = now;
        }
    }
}

impl<C> fmt::Debug for CookieJar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar").field("since", &self.since).finish_non_exhaustive()
    }
}

fn cookie<C: Crypto>(secret: &[u8; 32], address: &Address, link: LinkId) -> [u8; 16] {
    let link = [link.0];
    match address {
        Address::Serial => C::mac(secret, &[&link]),
        Address::Ip(ip) => {
            let port = ip.port().to_le_bytes();
            match ip.ip() {
                IpAddr::V4(host) => C::mac(secret, &[&link, &port, &host.octets()]),
                IpAddr::V6(host) => C::mac(secret, &[&link, &port, &host.octets()]),
            }
        }
    }
}
