//! In place of `repair.rs` where error correction is left out: the mode `repair` is as `bulk`. What
//! a peer protects is taken like anything else, and its repair symbols are dropped.

use super::Connection;
use super::memory::Storage;
use crate::carried::Cargo;
use crate::crypto::Crypto;
use crate::stream::Violation;
use crate::time::Instant;
use crate::wire::Writer;

/// Nothing is remembered.
pub(super) struct Repairs;

impl Repairs {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) const fn wants_memory(_: &[u8]) -> bool {
        false
    }

    pub(super) const fn on_lost(&mut self, _: u64) {}

    pub(super) const fn on_symbols_acked(&mut self, _: u32, _: u8) {}

    pub(super) const fn on_symbols_lost(&mut self, _: u32, _: u8) {}

    pub(super) const fn news(&self) -> bool {
        false
    }

    pub(super) const fn write_news(&mut self, _: &mut Writer<'_>) {}
}

impl<S: Storage, C: Crypto> Connection<S, C> {
    pub(super) const fn repairs_losses(&mut self) -> bool {
        false
    }

    pub(super) const fn plan_repair(&mut self, _: u8, _: Instant) -> Option<usize> {
        None
    }

    pub(super) const fn write_repair(&mut self, _: &mut Writer<'_>) -> Option<()> {
        None
    }

    /// Writes streams and messages.
    pub(super) fn write_protected(
        &mut self,
        slot: usize,
        again: bool,
        writer: &mut Writer<'_>,
        cargo: &mut Cargo,
    ) -> bool {
        self.write_data(slot, again, writer.is_empty(), writer, cargo)
    }

    /// A symbol arrived. Nothing is ever computed, so it is always news.
    pub(super) fn take_symbol(
        &mut self,
        slot: usize,
        _: u32,
        contents: &[u8],
    ) -> Result<(), Violation> {
        self.take_contents(slot, contents, true)
    }

    pub(super) const fn take_repair(
        &mut self,
        _: usize,
        _: (u32, u8, u16),
        _: usize,
        _: &[u8],
    ) -> Result<(), Violation> {
        Ok(())
    }

    pub(super) const fn on_recovered(&mut self, _: u32) {}
}
