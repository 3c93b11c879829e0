//! The seal on packets, and how its keys change (`docs/protocol.md` section 5; the nonce is
//! draft-ietf-quic-multipath's, the key phase RFC 9001 section 6).
//!
//! Keys serve all paths of a connection, so the nonce holds the path too: IV xor (path id || packet
//! number). One bit of the header tells which of two keys sealed a packet:
//!
//! ```text
//!            change            packet in the new phase        3 probe timeouts
//! dialer     Steady ─────> Asked ───────────────────> Keeping ────────────────> Steady
//! responder  Steady ────────────────────────────────> Keeping ────────────────> Steady
//! phase of what is opened
//!   expected current       current or next            current or old            current
//! ```
//!
//! Only the dialer begins a change, and not before the responder's answer to the last one and the
//! time of the old key have passed. So the two sides are never more than one change apart and one
//! bit is enough; if both might begin, the one that followed could not know whether the other has
//! seen it follow. The dialer counts what it opens as well as what it seals, on behalf of both.
//!
//! The responder may keep the old key for longer than the dialer waits. A packet of the other phase
//! is then the next one's if one of the present phase came before it on its path: numbers only grow.
//!
//! The receiving key of the next epoch is made beforehand: a forged packet of the other phase costs
//! no more than any other, and changes nothing.

use crate::arithmetic::{Wide, difference};
use core::fmt;

use super::noise::hmac;
use super::{Crypto, Secrets};
use crate::error::Discard;
use crate::id::{PathId, Side};
use crate::packet_number::PacketNumber;
use crate::time::Instant;
use crate::wire::Suite;

/// A connection's keys in both directions.
pub struct PacketKeys<C: Crypto> {
    side: Side,
    suite: Suite,
    send: Epoch<C>,
    send_phase: bool,
    sealed: u64,
    receive: Key<C>,
    /// Of what is opened, modulo 2^32; its parity is the phase.
    epoch: u32,
    opened: u64,
    /// What the peer seals with after the next change.
    next: Epoch<C>,
    /// What it sealed with before the last one, and until when that is kept.
    old: Option<(Key<C>, Instant)>,
}

/// A packet was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// It was the first under a new key. The old one stays, and no change can begin, until the
    /// moment that the caller now gives to [`PacketKeys::on_changed_keep_until`].
    pub key_changed: bool,
}

impl<C: Crypto> PacketKeys<C> {
    /// The keys that a handshake led to.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        let receive = Epoch::<C>::new(secrets.suite, &secrets.receive);
        Self {
            side: secrets.side,
            suite: secrets.suite,
            send: Epoch::new(secrets.suite, &secrets.send),
            send_phase: false,
            sealed: 0,
            next: receive.after(secrets.suite),
            receive: receive.key,
            epoch: 0,
            opened: 0,
            old: None,
        }
    }

    /// The phase bit of what is sealed now.
    #[must_use]
    pub fn phase(&self) -> bool {
        self.send_phase
    }

    /// Seals a packet's payload in place and gives its tag. No two packets of a connection have the
    /// same path and number.
    #[must_use]
    pub fn seal(
        &mut self,
        path: PathId,
        number: PacketNumber,
        header: &[u8],
        payload: &mut [u8],
    ) -> [u8; 16] {
        self.sealed = self.sealed.plus(1);
        let key = &self.send.key;
        C::seal(&key.key, &key.iv.nonce(path, number), header, payload)
    }

    /// Opens a packet's payload in place. `late`: it may be older than the present phase, since none of
    /// that phase with a smaller number has opened on its path. [`Discard::Forged`] if its seal is wrong: then nothing has
    /// changed, but `payload` is of no use any more.
    #[expect(clippy::too_many_arguments, reason = "a packet's parts, all borrowed apart")]
    pub fn open(
        &mut self,
        phase: bool,
        path: PathId,
        number: PacketNumber,
        late: bool,
        header: &[u8],
        payload: &mut [u8],
        tag: &[u8; 16],
        now: Instant,
    ) -> Result<Opened, Discard> {
        let current = phase == self.receive_phase();
        let (key, key_changed) = match &self.old {
            _ if current => (&self.receive, false),
            Some((old, until)) if late && now < *until => (old, false),
            _ if self.expects_change() => (&self.next.key, true),
            _ => return Err(Discard::Forged),
        };
        if !C::open(&key.key, &key.iv.nonce(path, number), header, payload, tag) {
            return Err(Discard::Forged);
        }
        if key_changed {
            self.follow();
        }
        self.opened = self.opened.plus(1);
        Ok(Opened { key_changed })
    }

    /// The epoch of what is opened now, modulo 2^32.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether it is time to [`change`](Self::change) keys: so many packets were sealed or opened
    /// with these, and a change may begin.
    #[must_use]
    pub fn wants_change(&self, packets_per_key: u64) -> bool {
        self.sealed.max(self.opened) >= packets_per_key && self.may_change()
    }

    /// Begins a key change: what is sealed from now on has the other phase. Nothing happens, and the
    /// result is false, when we are not the dialer or the last change is not over.
    pub fn change(&mut self) -> bool {
        let may = self.may_change();
        if may {
            self.advance_send();
        }
        may
    }

    /// How many more packets the key may seal ([`SEALED_MAX`]). It runs out only when no change
    /// comes about; nothing more may be sent then.
    #[must_use]
    pub const fn left(&self) -> u64 {
        difference(SEALED_MAX, self.sealed)
    }

    /// As after so many packets.
    #[cfg(test)]
    pub(crate) const fn wear(&mut self, sealed: u64) {
        self.sealed = sealed;
    }

    /// After [`Opened::key_changed`]: until when the old key opens what was late, three probe timeouts
    /// of the slowest path from now.
    pub fn on_changed_keep_until(&mut self, until: Instant) {
        if let Some((_, kept)) = &mut self.old {
            *kept = until;
        }
    }

    /// When the old key is to be forgotten.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.old.as_ref().map(|(_, until)| *until).filter(|until| *until < Instant::FAR_FUTURE)
    }

    /// Forgets the old key if its time has come.
    pub fn forget_old(&mut self, now: Instant) {
        self.old.take_if(|(_, until)| *until <= now);
    }

    const fn receive_phase(&self) -> bool {
        self.epoch % 2 == 1
    }

    fn may_change(&self) -> bool {
        self.side == Side::Dialer && self.send_phase == self.receive_phase() && self.old.is_none()
    }

    /// Whether the peer may be about to seal with the next key: the dialer after we followed it, the
    /// responder after we began.
    fn expects_change(&self) -> bool {
        self.side == Side::Responder || self.send_phase != self.receive_phase()
    }

    /// The peer has changed: so do we, unless it is the answer to our own change.
    fn follow(&mut self) {
        let after = self.next.after(self.suite);
        let next = core::mem::replace(&mut self.next, after);
        let old = core::mem::replace(&mut self.receive, next.key);
        self.old = Some((old, Instant::FAR_FUTURE));
        self.epoch = self.epoch.wrapping_add(1);
        self.opened = 0;
        if self.send_phase != self.receive_phase() {
            self.advance_send();
        }
    }

    fn advance_send(&mut self) {
        self.send = self.send.after(self.suite);
        self.send_phase = !self.send_phase;
        self.sealed = 0;
    }
}

impl<C: Crypto> fmt::Debug for PacketKeys<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketKeys")
            .field("side", &self.side)
            .field("suite", &self.suite)
            .field("send_phase", &self.send_phase)
            .field("receive_phase", &self.receive_phase())
            .finish_non_exhaustive()
    }
}

/// AES-GCM's bound for one key (RFC 9001 section 6.6); far below ChaCha20-Poly1305's.
pub const SEALED_MAX: u64 = 1 << 23;

/// What an epoch's traffic secret yields: HMAC-BLAKE2s of a label under it.
#[derive(Clone)]
pub struct Schedule {
    /// `"ropewalk key"`: the cipher's key.
    pub key: [u8; 32],
    /// `"ropewalk iv"`, its first 12 bytes.
    pub iv: [u8; 12],
    /// `"ropewalk next"`: the next epoch's traffic secret.
    pub next: [u8; 32],
}

impl Schedule {
    /// Derives an epoch's key, IV and successor.
    #[must_use]
    pub fn new<C: Crypto>(secret: &[u8; 32]) -> Self {
        let mut iv = [0; 12];
        let long = hmac::<C>(secret, b"ropewalk iv", &[]);
        iv.iter_mut().zip(long).for_each(|(short, long)| *short = long);
        Self {
            key: hmac::<C>(secret, b"ropewalk key", &[]),
            iv,
            next: hmac::<C>(secret, b"ropewalk next", &[]),
        }
    }
}

/// One direction's key, and what the next one is made from.
struct Epoch<C: Crypto> {
    key: Key<C>,
    next: [u8; 32],
}

impl<C: Crypto> Epoch<C> {
    fn new(suite: Suite, secret: &[u8; 32]) -> Self {
        let Schedule { key, iv, next } = Schedule::new::<C>(secret);
        Self { key: Key { key: C::key(suite, &key), iv: Iv::new(iv) }, next }
    }

    fn after(&self, suite: Suite) -> Self {
        Self::new(suite, &self.next)
    }
}

struct Key<C: Crypto> {
    key: C::Key,
    iv: Iv,
}

/// An IV as the two numbers that a nonce mixes into it.
#[derive(Clone, Copy)]
struct Iv {
    path: u32,
    number: u64,
}

impl Iv {
    const fn new([a, b, c, d, number @ ..]: [u8; 12]) -> Self {
        Self { path: u32::from_be_bytes([a, b, c, d]), number: u64::from_be_bytes(number) }
    }

    /// The nonce of a packet: IV xor (path id || packet number), both big endian.
    const fn nonce(self, path: PathId, number: PacketNumber) -> [u8; 12] {
        let [a, b, c, d] = (self.path ^ path.0).to_be_bytes();
        let [e, f, g, h, i, j, k, l] = (self.number ^ number.0).to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_of_the_multipath_draft() {
        // draft-ietf-quic-multipath section 2.4.
        let iv = Iv::new([0x6b, 0x26, 0x11, 0x4b, 0x9c, 0xba, 0x2b, 0x63, 0xa9, 0xe8, 0xdd, 0x4f]);
        let nonce = [0x6b, 0x26, 0x11, 0x48, 0x9c, 0xba, 0x2b, 0x63, 0xa9, 0xe8, 0x09, 0x7e];
        assert_eq!(iv.nonce(PathId(3), PacketNumber(54_321)), nonce);
    }

    #[cfg(feature = "software")]
    mod with_a_cipher {
        use super::*;
        use crate::crypto::Software;
        use proptest::prelude::*;

        fn keys(side: Side) -> PacketKeys<Software> {
            let (send, receive) = match side {
                Side::Dialer => ([1; 32], [2; 32]),
                Side::Responder => ([2; 32], [1; 32]),
            };
            PacketKeys::new(&Secrets { side, send, receive, suite: Suite::ChaCha20Poly1305 })
        }

        proptest! {
            #[test]
            fn what_was_sealed_opens_and_nothing_else(
                (path, number, header, payload) in (
                    any::<u32>(), any::<u64>(),
                    prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..200),
                ),
                (at, bit) in (any::<prop::sample::Index>(), 0_u32..8),
            ) {
                // spec: 3.3-1
                // spec: 5.3-2
                let (mut dialer, mut responder) = (keys(Side::Dialer), keys(Side::Responder));
                let (path, number) = (PathId(path), PacketNumber(number));
                let mut sealed = payload.clone();
                let tag = dialer.seal(path, number, &header, &mut sealed);
                let mut open = |path, number, header: &[u8], mut sealed: std::vec::Vec<u8>, tag| {
                    responder
                        .open(false, path, number, true, header, &mut sealed, &tag, Instant::ZERO)
                        .map(|_| sealed)
                };
                prop_assert_eq!(open(path, number, &header, sealed.clone(), tag), Ok(payload));
                let other = PathId(path.0 ^ 1 << bit);
                prop_assert!(open(other, number, &header, sealed.clone(), tag).is_err());
                let other = PacketNumber(number.0 ^ 1 << bit);
                prop_assert!(open(path, other, &header, sealed.clone(), tag).is_err());
                // One bit of the header, the payload or the tag.
                let mut all = [&header[..], &sealed, &tag].concat();
                *at.get_mut(&mut all) ^= 1 << bit;
                let (header, rest) = all.split_at(header.len());
                let (sealed, tag) = rest.split_at(sealed.len());
                prop_assert!(open(path, number, header, sealed.to_vec(), tag.try_into().unwrap()).is_err());
            }
        }

        #[test]
        fn a_side_cannot_open_what_it_sealed_itself() {
            let mut dialer = keys(Side::Dialer);
            let (path, number, mut payload) = (PathId(0), PacketNumber(0), [7; 3]);
            let tag = dialer.seal(path, number, &[], &mut payload);
            let opened =
                dialer.open(false, path, number, true, &[], &mut payload, &tag, Instant::ZERO);
            assert_eq!(opened, Err(Discard::Forged));
        }

        #[test]
        fn a_dialer_may_change_again_while_the_responder_keeps_the_old_key() {
            // spec: 5.4-6
            let (mut dialer, mut responder) = (keys(Side::Dialer), keys(Side::Responder));
            let now = Instant::ZERO;
            let send = |from: &mut PacketKeys<Software>, to: &mut PacketKeys<_>, number, late| {
                let (number, mut payload) = (PacketNumber(number), [7; 3]);
                let tag = from.seal(PathId(0), number, &[], &mut payload);
                let phase = from.phase();
                to.open(phase, PathId(0), number, late, &[], &mut payload, &tag, now)
                    .map(|opened| opened.key_changed)
            };
            assert!(dialer.change());
            assert_eq!(send(&mut dialer, &mut responder, 1, false), Ok(true));
            assert_eq!(send(&mut responder, &mut dialer, 1, true), Ok(true));
            // The dialer's time is over, the responder's is not.
            dialer.on_changed_keep_until(now);
            dialer.forget_old(now);
            assert!(dialer.change());
            assert_eq!(send(&mut dialer, &mut responder, 2, true), Err(Discard::Forged));
            assert_eq!(send(&mut dialer, &mut responder, 3, false), Ok(true));
            assert_eq!(send(&mut responder, &mut dialer, 2, true), Ok(true));
        }

        #[test]
        fn a_key_seals_no_more_than_its_bound() {
            let mut dialer = keys(Side::Dialer);
            dialer.wear(SEALED_MAX - 1);
            assert_eq!(dialer.left(), 1);
            let _ = dialer.seal(PathId(0), PacketNumber(0), &[], &mut []);
            assert_eq!(dialer.left(), 0);
            assert!(dialer.change());
            assert_eq!(dialer.left(), SEALED_MAX);
        }
    }
}
