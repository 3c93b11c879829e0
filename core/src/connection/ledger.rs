//! Routes the fate of what a packet carried to the part that cares: acknowledged things are done,
//! lost things are written again, from the state of that moment.

use super::repair::Repairs;
use super::{Binding, Connection, Storage};
use crate::carried::Carried;
use crate::crypto::Crypto;
use crate::id::PathId;
use crate::path::{Advertise, Path, Told};
use crate::recovery::{Fate, Sent};
use crate::stream::{StreamMemory, Streams};
use heapless::Vec;

/// The parts that hold something which packets carry, borrowed together for one call.
pub(super) struct Ledger<'a> {
    streams: &'a mut Streams,
    memory: StreamMemory<'a>,
    advertise: &'a mut Advertise,
    told: &'a mut Told,
    mode: &'a mut Binding,
    repairs: &'a mut Repairs,
    /// Acknowledgements of ours that arrived: the largest number for each path. Its ranges live in
    /// a path, which is borrowed while this runs, so they are pruned afterwards.
    pub(super) acknowledged: Vec<(PathId, u64), 8>,
    /// What became of a probe for the path's length; there is one at a time.
    pub(super) length_probe: Option<(Fate, u16)>,
}

/// The paths, what is under way on them, and who hears what becomes of it.
pub(super) struct Books<'a> {
    pub(super) paths: &'a mut [Option<Path>],
    pub(super) sent: Sent<'a>,
    pub(super) ledger: Ledger<'a>,
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Lends all that it takes to settle packets.
    pub(super) fn books(&mut self) -> Books<'_> {
        let parts = self.storage.parts();
        let memory =
            StreamMemory { slots: parts.streams, send: parts.send, receive: parts.receive };
        let ledger = Ledger {
            streams: &mut self.streams,
            memory,
            advertise: &mut self.routing.advertise,
            told: &mut self.routing.told,
            mode: &mut self.mode,
            repairs: &mut self.repairs,
            acknowledged: Vec::new(),
            length_probe: None,
        };
        let sent = Sent { table: &mut self.sent, slots: parts.sent };
        Books { paths: parts.paths, sent, ledger }
    }
}

impl Ledger<'_> {
    /// Tells the owner of `carried` what became of it.
    pub(super) fn settle(&mut self, fate: Fate, carried: Carried) {
        if let Carried::LengthProbe(bytes) = carried {
            self.length_probe = Some((fate, bytes));
        }
        match fate {
            Fate::Acked => self.acked(carried),
            Fate::Lost => self.lost(carried),
        }
    }

    fn acked(&mut self, carried: Carried) {
        match carried {
            Carried::PathStatus(sequence) => self.told.on_acked(sequence),
            Carried::Mode(_) | Carried::Advertise(_) | Carried::LengthProbe(_) => {}
            Carried::Acknowledgement { path, largest } => self.remember(path, largest),
            Carried::Symbols { first, missing } => self.repairs.on_symbols_acked(first, missing),
            stream => self.streams.on_acked(stream, &mut self.memory),
        }
    }

    /// Also serves reinjection, where the packet may still arrive.
    pub(super) fn lost(&mut self, carried: Carried) {
        match carried {
            Carried::Advertise(sequence) => self.advertise.on_lost(sequence),
            Carried::PathStatus(sequence) => self.told.on_lost(sequence),
            Carried::Mode(sequence) => self.mode.due |= sequence == self.mode.sequence,
            Carried::Acknowledgement { .. } | Carried::LengthProbe(_) => {}
            Carried::Symbols { first, missing } => self.repairs.on_symbols_lost(first, missing),
            stream => self.streams.on_lost(stream, &mut self.memory),
        }
    }

    fn remember(&mut self, path: PathId, largest: u64) {
        match self.acknowledged.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => *known = largest.max(*known),
            None => {
                let _ = self.acknowledged.push((path, largest));
            }
        }
    }
}
