//! Mode `repair`: a symbol that got lost goes out again under its own number, and not its bytes in
//! another symbol. When it arrives, the sums that the peer holds of it and of others tell more.
//!
//! The streams know what must be sent again, the encoder which symbols got lost and what was in
//! them. A symbol of whose bytes some are still wanted is sent as it was; what cannot be sent so
//! goes the streams' usual way: it is too old, or held something else than stream bytes.

use super::Connection;
use super::memory::Storage;
use crate::arithmetic::Wide;
use crate::carried::{CARRIED_MAX, Cargo, Carried, note};
use crate::crypto::Crypto;
use crate::repair::ENCODER_BYTES;
use crate::stream::StreamMemory;
use crate::wire::{Frame, Frames, Writer};

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Writes symbols that got lost. False: there are none, or they do not fit.
    pub(super) fn write_lost(
        &mut self,
        slot: usize,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        while let Some(first) = self.repairs.encoder.lost() {
            let (before, place) = (writer.len(), cargo.len());
            if cargo.push(Carried::Symbols { first, missing: 1 }).is_err() {
                return false;
            }
            let written = self.write_again(first, writer, cargo);
            self.repairs.encoder.on_settled(first);
            if let Some(bytes) = written {
                self.count_data(slot, 0, bytes);
                return true;
            }
            writer.rollback(before);
            cargo.truncate(place);
        }
        false
    }

    /// Writes one symbol as it was; returns how many stream bytes are in it. `None`: they are not
    /// wanted, or it does not fit.
    fn write_again(
        &mut self,
        number: u32,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> Option<u64> {
        let parts = self.storage.parts();
        let contents = self.repairs.encoder.contents(number, parts.repair.get(..ENCODER_BYTES)?)?;
        let mut items = Cargo::new();
        for frame in Frames::new(contents) {
            items.push(stream_bytes(&frame.ok()?)?).ok()?;
        }
        let mut memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let wanted = items.iter().any(|item| self.streams.wants_again(*item, &mut memory));
        if !wanted || cargo.len().saturating_add(items.len()) > CARRIED_MAX {
            return None;
        }
        (Frame::Symbol { number, contents }).encode(writer).ok()?;
        let mut bytes = 0_u64;
        for item in &items {
            bytes = bytes.plus(self.streams.on_again(*item, &mut memory));
            note(cargo, *item);
        }
        Some(bytes)
    }
}

/// What a frame carried, if it is bytes of a stream.
fn stream_bytes(frame: &Frame<'_>) -> Option<Carried> {
    match *frame {
        Frame::Stream { stream, offset, fin, data }
        | Frame::StreamSized { stream, offset, fin, data } => {
            let len = u16::try_from(data.len()).ok()?;
            Some(Carried::Stream { stream, offset, len, fin })
        }
        _ => None,
    }
}
