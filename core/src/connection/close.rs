//! How a connection ends (`docs/protocol.md` section 8).
//!
//! ```text
//!  Established --close(), violation--> Closing --peer's Close, or three tries--> Drained
//!       |--peer's Close: answered once--> Drained
//!       |--nothing arrives for the idle timeout--> Drained, silently
//! ```
//!
//! Close is sealed like everything else: nobody can end a connection with a forged packet.

use super::event::CloseReason;
use super::transmit::Written;
use super::{Connection, Phase, Storage, Transmit};
use crate::crypto::Crypto;
use crate::error::code;
use crate::time::{Duration, Instant};
use crate::wire::{Frame, TAG_BYTES, Writer};
use heapless::String;

/// What remains to be said while a connection ends.
#[derive(Default)]
pub(super) struct Closing {
    code: u32,
    reason: String<64, u8>,
    /// How often Close is still to be said.
    tries: u8,
    next: Option<Instant>,
    /// Bit `i`: the path in slot `i` has not said Close in this try.
    due: u8,
    /// Our Close answers the peer's: said once, then nothing.
    answer: bool,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Ends the connection. What has not been acknowledged is lost: wait for `StreamFinished`
    /// first. The reason is cut to 64 bytes.
    pub fn close(&mut self, code: u32, reason: &str, now: Instant) {
        let now = self.advance(now);
        self.begin_close(code, reason, CloseReason::Local { code }, now);
    }

    pub(super) fn begin_close(&mut self, code: u32, reason: &str, why: CloseReason, now: Instant) {
        match self.phase {
            Phase::Closing | Phase::Drained => return,
            Phase::Handshake => self.phase = Phase::Drained,
            Phase::Established => self.phase = Phase::Closing,
        }
        if let Some(dial) = &mut self.dial {
            dial.stop();
        }
        self.closing = Closing {
            code,
            reason: cut(reason),
            tries: CLOSE_TRIES,
            next: Some(now),
            due: 0,
            answer: false,
        };
        self.notices.closed = Some(why);
        self.handle_close_timeout(now);
    }

    /// The peer's Close arrived.
    pub(super) fn on_close(&mut self, code: u32, reason: &str) {
        match self.phase {
            Phase::Closing => self.phase = Phase::Drained,
            Phase::Established => {
                self.phase = Phase::Closing;
                if let Some(dial) = &mut self.dial {
                    dial.stop();
                }
                self.notices.closed = Some(CloseReason::Peer { code, reason: cut(reason) });
                self.closing =
                    Closing { code: code::DONE, due: u8::MAX, answer: true, ..Closing::default() };
            }
            Phase::Handshake | Phase::Drained => {}
        }
    }

    /// Nothing arrived for too long, or nobody answered: there is nobody to tell.
    pub(super) fn end_silently(&mut self, why: CloseReason) {
        self.phase = Phase::Drained;
        if let Some(dial) = &mut self.dial {
            dial.stop();
        }
        self.notices.closed = Some(why);
    }

    /// The peer has nothing in common with us.
    pub(super) fn on_refused(&mut self) {
        if self.phase == Phase::Handshake {
            self.end_silently(CloseReason::Refused);
        }
    }

    pub(super) fn close_timeout(&self) -> Option<Instant> {
        self.closing.next
    }

    pub(super) fn handle_close_timeout(&mut self, now: Instant) {
        if self.phase != Phase::Closing || self.closing.next.is_none_or(|next| now < next) {
            return;
        }
        if self.closing.tries == 0 {
            self.phase = Phase::Drained;
            self.closing.next = None;
            return;
        }
        self.closing.tries = self.closing.tries.saturating_sub(1);
        self.closing.due = u8::MAX;
        let patience =
            self.storage.paths().iter().flatten().map(|p| p.recovery.probe_timeout()).min();
        self.closing.next = Some(now + patience.unwrap_or(CLOSE_WAIT).min(CLOSE_WAIT));
    }

    /// Says Close once on every path that is left in this try.
    pub(super) fn transmit_close(&mut self, buffer: &mut [u8], now: Instant) -> Option<Transmit> {
        while self.closing.due != 0 {
            let slot = self.closing.due.trailing_zeros() as usize;
            self.closing.due &= self.closing.due.wrapping_sub(1);
            let reason = self.closing.reason.clone();
            let frame = Frame::Close { code: self.closing.code, reason: &reason };
            if let Some(transmit) = self.seal_alone(slot, &frame, buffer, now) {
                return Some(transmit);
            }
        }
        if self.closing.answer {
            self.phase = Phase::Drained;
        }
        None
    }

    /// A packet with one frame that needs no acknowledgement.
    fn seal_alone(
        &mut self,
        slot: usize,
        frame: &Frame<'_>,
        buffer: &mut [u8],
        now: Instant,
    ) -> Option<Transmit> {
        let path = self.path(slot)?;
        let (link, local, remote, id) = (path.link, path.local, path.remote, path.id);
        let limit = self.length_limit(slot).min(buffer.len());
        let header = self.header(slot)?;
        let (head, rest) = buffer.get_mut(..limit)?.split_at_mut_checked(header.encoded_len())?;
        header.encode(&mut Writer::new(head)).ok()?;
        let payload_max = rest.len().checked_sub(TAG_BYTES)?;
        let mut writer = Writer::new(rest.get_mut(..payload_max)?);
        frame.encode(&mut writer).ok()?;
        let len = writer.len();
        let number = self.path(slot)?.recovery.next_number();
        let (payload, rest) = rest.split_at_mut_checked(len)?;
        let tag = self.keys.as_mut()?.seal(id, number, head, payload);
        *rest.first_chunk_mut()? = tag;
        let len = head.len().saturating_add(len).saturating_add(TAG_BYTES);
        self.book(slot, len, &Written::unacknowledged(len), now);
        Some(Transmit { link, local, remote, len, segment_size: len })
    }
}

/// As much of it as there is room for.
fn cut(reason: &str) -> String<REASON_BYTES, u8> {
    let lengths = (0..=REASON_BYTES.min(reason.len())).rev();
    let text = lengths.filter_map(|len| reason.get(..len)).next().unwrap_or_default();
    String::try_from(text).unwrap_or_default()
}

const REASON_BYTES: usize = 64;
const CLOSE_TRIES: u8 = 4;
const CLOSE_WAIT: Duration = Duration::from_millis(200);
