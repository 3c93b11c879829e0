//! How long packets are, and the probes that find out how long they may be. What to try next is
//! [`crate::path::Mtu`]'s to say, per path; here it gets its packet.

use super::{Connection, Storage};
use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::id::{LinkId, Mode};
use crate::path::Path;
use crate::recovery::Fate;
use crate::time::Instant;
use crate::wire::{Frame, Writer};

/// A probe for a path's length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LengthProbe {
    pub(super) slot: usize,
    pub(super) bytes: u16,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// How long a packet on this path may be.
    pub(super) fn length_limit(&self, slot: usize) -> usize {
        let Some(path) = self.path(slot) else { return 0 };
        let limit = self.shortened(path);
        limit.min(usize::try_from(path.validation.budget()).unwrap_or(usize::MAX))
    }

    /// Bytes of a full packet on this path, in the present mode.
    pub(super) fn shortened(&self, path: &Path) -> usize {
        let length = usize::from(path.mtu.length());
        if self.mode.mode == Mode::Repair { length.min(PROTECTED_BYTES) } else { length }
    }

    /// The next probe for a path's length. `skip`, bit `i`: not on the path in slot `i`.
    pub(super) fn length_probe(&mut self, skip: u8, now: Instant) -> Option<LengthProbe> {
        let parts = self.storage.parts();
        // The last places in the table are kept for probes of life.
        if self.sent.room(parts.sent) <= parts.paths.iter().flatten().count() {
            return None;
        }
        let mut paths = parts.paths.iter_mut().enumerate();
        paths.find_map(|(slot, path)| {
            let path = path.as_mut().filter(|_| skip & super::transmit::bit(slot) == 0)?;
            Some(LengthProbe { slot, bytes: path.length_probe_due(now)? })
        })
    }

    /// Whether the caller's buffer holds the probe. If not, packets as long will never be sent.
    pub(super) fn fits_buffer(&mut self, probe: LengthProbe, room: usize, now: Instant) -> bool {
        let fits = usize::from(probe.bytes) <= room;
        if !fits && let Some(path) = self.path_mut(probe.slot) {
            path.limit_length(u16::try_from(room).unwrap_or(u16::MAX), now);
        }
        fits
    }

    /// A link carries other lengths, or at another rate, than before.
    pub(super) fn limit_paths(&mut self, link: LinkId, now: Instant) {
        let most = self.config.datagram_bytes_max;
        let Some(info) = self.links.find(link) else { return };
        let on_link = |path: &&mut Path| path.link == link;
        for path in self.storage.parts().paths.iter_mut().flatten().filter(on_link) {
            path.limit_length(info.carries(&path.remote).min(most), now);
            path.recovery.set_line_rate(info.rate);
        }
    }

    /// Losses and arrivals on a path were settled: what they say of the lengths that pass.
    pub(super) fn judge_length(&mut self, slot: usize, probe: Option<(Fate, u16)>, now: Instant) {
        let Some(path) = self.path_mut(slot) else { return };
        match probe {
            Some((Fate::Acked, bytes)) => path.on_length_probe_acked(bytes, now),
            Some((Fate::Lost, bytes)) => path.mtu.on_probe_lost(bytes, now),
            None => {}
        }
        if path.shrank(now) {
            self.stats.black_holes = self.stats.black_holes.plus(1);
        }
    }
}

/// Fills the packet: nothing in it is missed if it is lost.
pub(super) fn write_probe(probe: LengthProbe, writer: &mut Writer<'_>, cargo: &mut Cargo) -> bool {
    if Frame::Ping.encode(writer).is_err() {
        return false;
    }
    while Frame::Padding.encode(writer).is_ok() {}
    cargo.push(Carried::LengthProbe(probe.bytes)).is_ok()
}

/// Longer packets would not fit the memory of error correction.
const PROTECTED_BYTES: usize = 1_200;
