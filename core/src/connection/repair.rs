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
//! it before it misses the packet, nothing is sent again; else the second copy is dropped like any
//! duplicate.

use super::memory::Storage;
use super::transmit::{bit, list_candidates};
use super::{Connection, Phase};
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::id::{Mode, PathId};
use crate::path::elsewhere;
use crate::recovery::Sent;
use crate::repair::{
    CONTENTS_BYTES_MAX, Decoder, Demand, ENCODER_BYTES, Encoder, MEMORY_BYTES, Mixture,
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
    pub(super) demand: Demand,
    /// The path of the last symbol.
    last: Option<PathId>,
    /// Symbols that were computed, of which the sender should know.
    news: Vec<u32, NEWS_MAX>,
}

impl Repairs {
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

    /// Writes a repair symbol. `None`: there is none, or it does not fit.
    pub(super) fn write_repair(&mut self, writer: &mut Writer<'_>) -> Option<()> {
        // Whether it fits or not: one that does not would be tried for ever.
        self.repairs.demand.on_repair();
        let memory = &*self.storage.parts().repair.get_mut(..ENCODER_BYTES)?;
        let encoder = &mut self.repairs.encoder;
        let mixture = encoder.mixture(memory)?;
        Frame::encode_repair_head(writer, mixture.first, mixture.count, mixture.key).ok()?;
        encoder.mix(&mixture, writer.reserve(mixture.len).ok()?, memory);
        self.stats.repairs_sent = self.stats.repairs_sent.saturating_add(1);
        Some(())
    }

    /// Writes streams and messages, as a symbol if the mode asks for it.
    pub(super) fn write_protected(
        &mut self,
        slot: usize,
        again: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        let (before, alone) = (writer.len(), writer.is_empty());
        if !self.protects() {
            return self.write_data(slot, again, alone, writer, cargo);
        }
        // The mixture of such symbols must fit a packet with its own heads.
        let whole = before.saturating_add(writer.remaining());
        let most = whole.saturating_sub(REPAIR_OVERHEAD).min(CONTENTS_BYTES_MAX);
        let number = self.repairs.encoder.next();
        if (Frame::Symbol { number, contents: &[] }).encode(writer).is_err() {
            return false;
        }
        let start = writer.len();
        let _ = cargo.push(Carried::Symbol(number));
        if !writer.within(most, |inner| self.write_data(slot, again, alone, inner, cargo)) {
            writer.rollback(before);
            cargo.pop();
            return false;
        }
        let contents = writer.as_slice().get(start..).unwrap_or_default();
        let id = self.storage.paths().get(slot).and_then(Option::as_ref).map(|path| path.id);
        let memory = self.storage.parts().repair.get_mut(..ENCODER_BYTES).unwrap_or_default();
        let pushed = self.repairs.encoder.push(contents, memory);
        debug_assert!(pushed == Some(number), "there is memory, and the contents fit");
        self.repairs.demand.on_sent();
        self.repairs.last = id;
        true
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
        let mut result = Ok(());
        for frame in Frames::new(contents) {
            match &frame.map_err(|_| Violation::Protocol)? {
                Frame::Datagram { data } | Frame::DatagramSized { data } => {
                    // A message must not come twice.
                    if news {
                        self.on_message(slot, data);
                    }
                }
                of_stream if of_stream.is_about_streams() => {
                    match self.on_stream_frame(slot, of_stream) {
                        Err(Violation::NoRoom) => result = Err(Violation::NoRoom),
                        other => other?,
                    }
                }
                _ => return Err(Violation::Protocol),
            }
        }
        self.take_recovered(slot)?;
        result
    }

    /// A repair symbol arrived.
    pub(super) fn take_repair(
        &mut self,
        slot: usize,
        mixture: &Mixture,
        data: &[u8],
    ) -> Result<(), Violation> {
        let memory = self.storage.parts().repair.get_mut(ENCODER_BYTES..).unwrap_or_default();
        self.repairs.decoder.on_repair(mixture, data, memory);
        self.take_recovered(slot)
    }

    /// The peer computed a symbol: what it contained has arrived.
    pub(super) fn on_recovered(&mut self, number: u32) {
        let parts = self.storage.parts();
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let mut sent = Sent { table: &mut self.sent, slots: parts.sent };
        let (streams, encoder) = (&mut self.streams, &mut self.repairs.encoder);
        let each = &mut |item| match item {
            Carried::Symbol(number) => encoder.on_settled(number),
            of_stream => streams.on_acked(of_stream, &mut memory),
        };
        let mut paths = parts.paths.iter_mut().flatten();
        paths.any(|path| path.recovery.unload(number, &mut sent, each));
    }

    /// Takes the frames of symbols that could be computed.
    fn take_recovered(&mut self, slot: usize) -> Result<(), Violation> {
        let Some(path) = self.path_mut(slot).map(|path| path.id) else { return Ok(()) };
        let parts = self.storage.parts();
        let Some(symbols) = parts.repair.get_mut(ENCODER_BYTES..) else { return Ok(()) };
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        while let Some((number, contents)) = self.repairs.decoder.recovered(symbols) {
            self.stats.recovered = self.stats.recovered.saturating_add(1);
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

/// As many as one repair symbol can bring back; of more the sender hears when it misses them.
const NEWS_MAX: usize = 16;
/// What a repair symbol's packet needs more than a symbol's: the longest heads of both frames, the
/// length before the contents, and longer numbers in the packet's own head.
const REPAIR_OVERHEAD: usize = 24;
