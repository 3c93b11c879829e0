//! Which streams there are: numbers given out, numbers admitted, slots found and freed.
//!
//! Numbers of each side count up by two. A frame for a number opens all lower ones of its side
//! too, since their frames may be under way on slower paths; so a number below the next one whose
//! slot is gone is a stream that is over, and its late frames are ignored.

use super::Violation;
use super::slot::StreamSlot;
use crate::error::OpenError;
use crate::id::{Side, StreamId};

/// The numbers of both sides' streams.
#[derive(Debug)]
pub(super) struct Table {
    side: Side,
    /// How many streams each side has opened, and how many it may.
    own: u32,
    own_limit: u32,
    peers: u32,
    peers_limit: u32,
    peers_over: u32,
    peers_share: u32,
    /// Streams of both sides that are not over.
    open: u32,
    /// The limit has grown, and the peer should hear.
    due: bool,
}

impl Table {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            side,
            own: 0,
            own_limit: 0,
            peers: 0,
            peers_limit: 0,
            peers_over: 0,
            peers_share: 0,
            open: 0,
            due: false,
        }
    }

    /// Half of the slots, rounded up, are the peer's to open; the others are ours.
    pub(super) fn peers_share(&mut self, slots: &[StreamSlot]) -> u32 {
        self.peers_share = u32::try_from(slots.len().div_ceil(2)).unwrap_or(u32::MAX);
        self.peers_limit = self.peers_limit.max(self.peers_over.saturating_add(self.peers_share));
        self.peers_share
    }

    pub(super) fn raise_own_limit(&mut self, limit: u32) {
        self.own_limit = self.own_limit.max(limit);
    }

    /// A slot for a stream of ours.
    pub(super) fn open<'s>(
        &mut self,
        slots: &'s mut [StreamSlot],
    ) -> Result<(StreamId, &'s mut StreamSlot), OpenError> {
        let held = slots.iter().filter(|s| s.id.is_some_and(|id| self.side.owns(id.0))).count();
        let kept = usize::try_from(self.peers_share).unwrap_or(usize::MAX);
        if self.own >= self.own_limit || held >= slots.len().saturating_sub(kept).max(1) {
            return Err(OpenError::TooMany);
        }
        let slot = slots.iter_mut().find(|slot| slot.id.is_none()).ok_or(OpenError::TooMany)?;
        let id = StreamId(self.own.saturating_mul(2).saturating_add(self.side.parity()));
        self.own = self.own.saturating_add(1);
        self.open = self.open.saturating_add(1);
        slot.id = Some(id);
        Ok((id, slot))
    }

    /// The stream opened last could not begin.
    pub(super) fn take_back(&mut self) {
        self.own = self.own.saturating_sub(1);
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn find<'s>(
        &self,
        id: StreamId,
        slots: &'s mut [StreamSlot],
    ) -> Option<&'s mut StreamSlot> {
        slots.iter_mut().find(|slot| slot.id == Some(id))
    }

    /// Whether a frame for `id` opens streams of the peer's.
    pub(super) fn is_news(&self, id: StreamId) -> bool {
        self.side.peer().owns(id.0) && id.0 / 2 >= self.peers
    }

    /// Whether there is, or was, such a stream.
    pub(super) fn was_opened(&self, id: StreamId) -> bool {
        let opened = if self.side.owns(id.0) { self.own } else { self.peers };
        id.0 / 2 < opened
    }

    /// Opens all of the peer's streams up to `id`.
    pub(super) fn admit(
        &mut self,
        id: StreamId,
        slots: &mut [StreamSlot],
        prepare: impl Fn(&mut StreamSlot),
    ) -> Result<(), Violation> {
        if id.0 / 2 >= self.peers_limit {
            return Err(Violation::Protocol);
        }
        // The limit bounds the loop.
        while self.peers <= id.0 / 2 {
            let slot = slots.iter_mut().find(|slot| slot.id.is_none()).ok_or(Violation::NoRoom)?;
            *slot = StreamSlot::EMPTY;
            prepare(slot);
            let number = self.peers.saturating_mul(2).saturating_add(self.side.peer().parity());
            slot.id = Some(StreamId(number));
            self.peers = self.peers.saturating_add(1);
            self.open = self.open.saturating_add(1);
        }
        Ok(())
    }

    /// Makes room where a stream was that is over.
    pub(super) fn free(&mut self, slot: &mut StreamSlot) {
        let Some(id) = slot.id else { return };
        self.open = self.open.saturating_sub(1);
        if !self.side.owns(id.0) {
            self.peers_over = self.peers_over.saturating_add(1);
            let limit = self.peers_over.saturating_add(self.peers_share);
            self.due |= limit > self.peers_limit;
            self.peers_limit = self.peers_limit.max(limit);
        }
        *slot = StreamSlot::EMPTY;
    }

    /// Whether any stream is not over yet.
    pub(super) const fn any_open(&self) -> bool {
        self.open > 0
    }

    /// The peer was told that it may open no more than this.
    pub(super) const fn told_only(&mut self, limit: u32) {
        self.due |= limit < self.peers_limit;
    }

    pub(super) const fn streams_due(&self) -> bool {
        self.due
    }

    pub(super) const fn again(&mut self) {
        self.due = true;
    }

    /// How many streams the peer may open in all.
    pub(super) const fn tell(&mut self) -> u32 {
        self.due = false;
        self.peers_limit
    }
}
