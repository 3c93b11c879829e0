//! Mode `repair`: a packet's stream bytes and messages are a symbol, and symbols that mix the last
//! ones go out on another path as losses ask for them (`docs/protocol.md` section 9.9).
//!
//! ```text
//!  out   acknowledgements, control | Symbol { frames } --> remembered by the encoder
//!        losses --> demand --> Repair, rather on another path
//!  in    Symbol --> frames taken, and remembered by the decoder
//!        Repair --> decoder --> symbols that were lost --> their frames taken --> Recovered
//! ```
//!
//! The code itself is in [`crate::repair`]. The packet of a symbol that was computed is not
//! acknowledged: for congestion control it is lost. But the sender is told, once, and if it hears of
//! it before it misses the packet, nothing is sent again; else the symbol goes out as it was
//! (`again`), and if it was computed meanwhile, the copy is dropped like any duplicate.

use super::ledger::Books;
use super::memory::Storage;
use super::transmit::{bit, list_candidates};
use super::{Connection, Phase};
use crate::arithmetic::Wide;
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::id::{Mode, PathId};
use crate::path::elsewhere;
use crate::recovery::Fate;
use crate::repair::{
    CONTENTS_BYTES_MAX, Decoder, Demand, ENCODER_BYTES, Encoder, MEMORY_BYTES, Mixture, Typical,
};
use crate::stream::{StreamMemory, Violation};
use crate::time::Instant;
use crate::wire::{Frame, Frames, Writer};
use heapless::Vec;

/// Both sides of error correction, and when it is wanted.
#[derive(Default)]
pub(super) struct Repairs {
    pub(super) encoder: Encoder,
    decoder: Decoder,
    demand: Demand,
    typical: Typical,
    /// The path of the last symbol.
    last: Option<PathId>,
    /// Symbols that were computed, of which the sender should know.
    news: Vec<u32, NEWS_MAX>,
}

impl Repairs {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Whether there is less memory than it takes.
    pub(super) const fn wants_memory(memory: &[u8]) -> bool {
        memory.len() < MEMORY_BYTES
    }

    /// So many packets were lost.
    pub(super) fn on_lost(&mut self, packets: u64) {
        self.demand.on_lost(packets);
    }

    /// Symbols arrived: the first, and bit `i` for the `i`th behind it.
    pub(super) fn on_symbols_acked(&mut self, first: u32, which: u8) {
        self.encoder.on_acked(first, which);
    }

    /// Symbols got lost.
    pub(super) fn on_symbols_lost(&mut self, first: u32, which: u8) {
        self.encoder.on_lost(first, which);
    }

    /// Whether the peer should be told of symbols.
    pub(super) fn news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Tells of them, if there is room. What gets lost is not said again: its bytes are sent again.
    pub(super) fn write_news(&mut self, writer: &mut Writer<'_>) {
        while let Some(number) = self.news.last().copied()
            && (Frame::Recovered { number }).encode(writer).is_ok()
        {
            self.news.pop();
        }
    }
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Whether packets are protected: by the mode, and by memory for it.
    fn protects(&mut self) -> bool {
        self.mode.mode == Mode::Repair && self.storage.parts().repair.len() >= MEMORY_BYTES
    }

    /// Whether repair symbols are the second chance of what is under way.
    pub(super) fn repairs_losses(&mut self) -> bool {
        self.repairs.demand.loss() > 0 && self.protects()
    }

    /// The path for a repair symbol, if one is due: rather not the one that carried the last
    /// symbol, since losses come in bursts.
    pub(super) fn plan_repair(&mut self, skip: u8, now: Instant) -> Option<usize> {
        if !self.repairs.demand.due() || self.phase != Phase::Established || !self.protects() {
            return None;
        }
        let parts = self.storage.parts();
        if self.sent.room(parts.sent) <= parts.paths.iter().flatten().count() {
            return None;
        }
        let last = self.repairs.last;
        let avoid = parts.paths.iter().position(|path| path.as_ref().map(|p| p.id) == last);
        let mut ready = Vec::new();
        list_candidates(parts.paths, now, &mut ready);
        ready.retain(|path| skip & bit(path.index) == 0);
        elsewhere(&ready, avoid, now)
    }

    /// Writes repair symbols. `None`: there are none, or they do not fit.
    pub(super) fn write_repair(&mut self, writer: &mut Writer<'_>) -> Option<()> {
        let begin = writer.len();
        let written = self.write_sums(writer);
        // Whether they fit or not: what does not would be tried for ever.
        let bytes = writer.len().saturating_sub(begin).saturating_add(HEADS);
        self.repairs.demand.on_repair(bytes);
        written
    }

    fn write_sums(&mut self, writer: &mut Writer<'_>) -> Option<()> {
        let memory = &*self.storage.parts().repair.get_mut(..ENCODER_BYTES)?;
        let encoder = &mut self.repairs.encoder;
        let mixture = encoder.mixture(memory)?;
        let room = writer.remaining().saturating_sub(REPAIR_OVERHEAD);
        let sums = if mixture.len.saturating_mul(2) <= room { 2 } else { 1 };
        Frame::encode_repair_head(writer, mixture.first, mixture.count, mixture.key, sums).ok()?;
        for turn in 0..sums {
            let mixture = Mixture { key: mixture.key.wrapping_add(turn.into()), ..mixture };
            encoder.mix(&mixture, writer.reserve(mixture.len).ok()?, memory);
            self.stats.repairs_sent = self.stats.repairs_sent.plus(1);
        }
        Some(())
    }

    /// Writes streams and messages, as symbols if the mode asks for it.
    pub(super) fn write_protected(
        &mut self,
        slot: usize,
        again: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        let before = writer.len();
        if !self.protects() {
            return self.write_data(slot, again, writer.is_empty(), writer, cargo);
        }
        let written =
            self.write_lost(slot, writer, cargo) || self.write_fresh(slot, again, writer, cargo);
        if written {
            let bytes = writer.len().saturating_sub(before);
            self.repairs.demand.on_sent(bytes.saturating_add(HEADS));
            let path = self.path(slot);
            self.repairs.last = path.map(|path| path.id);
        }
        written
    }

    /// Writes as many new symbols as a packet should have.
    fn write_fresh(
        &mut self,
        slot: usize,
        again: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        let before = writer.len();
        // The mixture of such symbols must fit a packet with its own heads.
        let whole = before.saturating_add(writer.remaining());
        let most = whole.saturating_sub(REPAIR_OVERHEAD).min(CONTENTS_BYTES_MAX);
        let longest = match self.datagrams.waiting() {
            0 => most.min(self.repairs.typical.longest()),
            _ => most, // A message that does not fit would be dropped.
        };
        let (first, place) = (self.repairs.encoder.next(), cargo.len());
        if cargo.push(Carried::Symbols { first, missing: 0 }).is_err() {
            return false;
        }
        let mut start = before;
        while let Some(number) = self.write_symbol(slot, again, longest, writer, cargo) {
            let bit = 1_u8.checked_shl(number.wrapping_sub(first)).unwrap_or(0);
            if let Some(Carried::Symbols { missing, .. }) = cargo.get_mut(place) {
                *missing |= bit;
            }
            let room = writer.remaining() > longest && !cargo.is_full() && bit.leading_zeros() > 0;
            if !room || !self.more_waits() || self.close_symbol(number, start, writer).is_none() {
                break;
            }
            start = writer.len();
        }
        let bytes = writer.len().saturating_sub(before);
        if bytes == 0 {
            cargo.pop();
            return false;
        }
        self.repairs.typical.on_sent(bytes);
        true
    }

    fn more_waits(&mut self) -> bool {
        let (streams, memory) = self.streaming();
        let waiting = streams.waiting(&memory);
        waiting.fresh > 0 || waiting.again > 0
    }

    /// Writes one symbol, the packet's last, and remembers it. `None`: nothing waits, or fits.
    fn write_symbol(
        &mut self,
        slot: usize,
        again: bool,
        longest: usize,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> Option<u32> {
        let (before, alone) = (writer.len(), writer.is_empty());
        let number = self.repairs.encoder.next();
        (Frame::Symbol { number, contents: &[] }).encode(writer).ok()?;
        let start = writer.len();
        if !writer.within(longest, |inner| self.write_data(slot, again, alone, inner, cargo)) {
            writer.rollback(before);
            return None;
        }
        let contents = writer.as_slice().get(start..).unwrap_or_default();
        let memory = self.storage.parts().repair.get_mut(..ENCODER_BYTES).unwrap_or_default();
        let pushed = self.repairs.encoder.push(contents, memory);
        debug_assert!(pushed == Some(number), "there is memory, and the contents fit");
        Some(number)
    }

    /// Gives the symbol written last, which begins at `start`, its length, so that another may
    /// follow.
    fn close_symbol(&mut self, number: u32, start: usize, writer: &mut Writer<'_>) -> Option<()> {
        let memory = &*self.storage.parts().repair.get_mut(..ENCODER_BYTES)?;
        let contents = self.repairs.encoder.contents(number, memory)?;
        writer.rollback(start);
        (Frame::SymbolSized { number, contents }).encode(writer).ok()
    }

    /// A symbol arrived.
    pub(super) fn take_symbol(
        &mut self,
        slot: usize,
        number: u32,
        contents: &[u8],
    ) -> Result<(), Violation> {
        let memory = self.storage.parts().repair.get_mut(ENCODER_BYTES..).unwrap_or_default();
        let news = self.repairs.decoder.on_source(number, contents, memory);
        let result = self.take_contents(slot, contents, news);
        match result {
            Ok(()) | Err(Violation::NoRoom) => self.take_recovered(slot).and(result),
            violation => violation,
        }
    }

    /// Repair symbols of `len` bytes arrived: the first symbol that they cover, how many they cover,
    /// and the key of the first of them.
    pub(super) fn take_repair(
        &mut self,
        slot: usize,
        (first, count, key): (u32, u8, u16),
        len: usize,
        data: &[u8],
    ) -> Result<(), Violation> {
        let memory = self.storage.parts().repair.get_mut(ENCODER_BYTES..).unwrap_or_default();
        for (turn, sum) in (0..).zip(data.chunks(len.max(1))) {
            let mixture = Mixture { first, count, key: key.wrapping_add(turn), len };
            self.repairs.decoder.on_repair(&mixture, sum, memory);
        }
        self.take_recovered(slot)
    }

    /// The peer computed a symbol: what it contained has arrived.
    pub(super) fn on_recovered(&mut self, number: u32) {
        let Books { paths, mut sent, mut ledger } = self.books();
        let each = &mut |item| ledger.settle(Fate::Acked, item);
        let mut paths = paths.iter_mut().flatten();
        if paths.any(|path| path.recovery.unload(number, &mut sent, each)) {
            self.repairs.encoder.on_settled(number);
        }
    }

    /// Takes the frames of symbols that could be computed.
    fn take_recovered(&mut self, slot: usize) -> Result<(), Violation> {
        let Some(path) = self.path_mut(slot).map(|path| path.id) else { return Ok(()) };
        let parts = self.storage.parts();
        let Some(symbols) = parts.repair.get_mut(ENCODER_BYTES..) else { return Ok(()) };
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        while let Some((number, contents)) = self.repairs.decoder.recovered(symbols) {
            self.stats.recovered = self.stats.recovered.plus(1);
            let mut whole = true;
            for frame in Frames::new(contents) {
                match &frame.map_err(|_| Violation::Protocol)? {
                    Frame::Datagram { data } | Frame::DatagramSized { data } => {
                        let kept = self.datagrams.receive(data, path, parts.datagrams_in);
                        self.notices.datagram_received |= kept;
                    }
                    of_stream if of_stream.is_about_streams() => {
                        // What finds no room comes again: of its packet the sender hears nothing.
                        let services = self.config.services;
                        match self.streams.on_frame(of_stream, services, &mut memory) {
                            Ok(()) => {}
                            Err(Violation::NoRoom) => whole = false,
                            Err(violation) => return Err(violation),
                        }
                    }
                    _ => return Err(Violation::Protocol),
                }
            }
            if whole {
                let _ = self.repairs.news.push(number);
            }
        }
        Ok(())
    }
}

/// Bytes of a packet that are not its contents, about: IP and UDP heads, our own, the seal.
const HEADS: usize = 76;
/// As many as one repair symbol can bring back; of more the sender hears when it misses them.
const NEWS_MAX: usize = 16;
/// What a repair symbol's packet needs more than a symbol's: the longest heads of both frames, the
/// length before the contents, and longer numbers in the packet's own head.
const REPAIR_OVERHEAD: usize = 24;
