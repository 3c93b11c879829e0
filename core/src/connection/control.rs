//! What the connection as a whole has to say beside its streams: words on paths, our addresses, the
//! mode. Each is said again until the packet that carried it is acknowledged.

use super::{Connection, Storage};
use crate::carried::{Cargo, Carried};
use crate::crypto::Crypto;
use crate::path::Word;
use crate::wire::{AddressList, Frame, Writer};

impl<S: Storage, C: Crypto> Connection<S, C> {
    /// Whether there is anything.
    pub(super) fn control_due(&self) -> bool {
        self.routing.advertise.due() || self.routing.told.due().is_some() || self.mode.due
    }

    /// Writes what there is; returns whether there was.
    pub(super) fn write_control(&mut self, writer: &mut Writer<'_>, cargo: &mut Cargo) -> bool {
        let mut wrote = false;
        if let Some(word) = self.routing.told.due().filter(|_| !cargo.is_full()) {
            let Word { path, sequence, status, .. } = word;
            if (Frame::PathStatus { path, sequence, status }).encode(writer).is_ok() {
                self.routing.told.on_sent(sequence);
                let _ = cargo.push(Carried::PathStatus(sequence));
                wrote = true;
            }
        }
        if self.routing.advertise.due() && !cargo.is_full() {
            let sequence = self.routing.advertise.sequence();
            let ours = self.links.advertised();
            let addresses = AddressList::from(ours.as_slice());
            if (Frame::Advertise { sequence, addresses }).encode(writer).is_ok() {
                self.routing.advertise.on_sent(sequence);
                let _ = cargo.push(Carried::Advertise(sequence));
                wrote = true;
            }
        }
        if self.mode.due && !cargo.is_full() {
            let frame = Frame::Mode { sequence: self.mode.sequence, mode: self.mode.mode };
            if frame.encode(writer).is_ok() {
                self.mode.due = false;
                let _ = cargo.push(Carried::Mode(self.mode.sequence));
                wrote = true;
            }
        }
        wrote
    }
}
