//! The receiving half of a stream: its reassembly window.
//!
//! ```text
//!   Open --the end is known--> Sized --all was read--> Done
//!     |                          |
//!     +--the peer's Reset--------+--> Reset --the application heard--> Done
//! ```
//!
//! RFC 9000 section 3.2. Offsets: `read` <= `ready` <= `highest`. Below `ready` everything has
//! arrived; above, the bits of the chain say what has.

use super::Violation;
use super::flow::ReceiveCredit;
use crate::arithmetic::Wide;
use crate::error::ReadError;
use crate::storage::blocks::Pool;
use crate::storage::chain::Chain;

/// Where a receiving half is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveState {
    Open,
    Sized,
    Reset,
    Done,
}

/// What moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveInput {
    Fin,
    Reset,
    AllRead,
    ResetHeard,
}

impl ReceiveState {
    pub(super) const fn next(self, input: ReceiveInput) -> Self {
        match (self, input) {
            (Self::Open, ReceiveInput::Fin) => Self::Sized,
            (Self::Open | Self::Sized, ReceiveInput::Reset) => Self::Reset,
            (Self::Sized, ReceiveInput::AllRead) | (Self::Reset, ReceiveInput::ResetHeard) => {
                Self::Done
            }
            (state, _) => state,
        }
    }
}

/// The receiving half of one stream.
#[derive(Clone, Debug)]
pub(super) struct ReceiveHalf {
    pub(super) state: ReceiveState,
    pub(super) chain: Chain,
    pub(super) read: u64,
    pub(super) ready: u64,
    highest: u64,
    /// The limit that the peer was told.
    told: u64,
    pub(super) told_due: bool,
    size: Option<u64>,
    /// The peer gave up: what was read is not all.
    reset: bool,
    /// The application wants no more; what arrives is dropped.
    pub(super) stopped: Option<u32>,
    pub(super) stop_due: bool,
}

impl ReceiveHalf {
    pub(super) const EMPTY: Self = Self {
        state: ReceiveState::Open,
        chain: Chain::new(),
        read: 0,
        ready: 0,
        highest: 0,
        told: 0,
        told_due: false,
        size: None,
        reset: false,
        stopped: None,
        stop_due: false,
    };

    /// The peer took the first limit from the handshake.
    pub(super) fn offered(&mut self, limit: u64) {
        self.told = limit;
    }

    /// A quarter of what a stream may have is worth a word.
    pub(super) fn judge(&mut self, credit: &ReceiveCredit) {
        let capacity = credit.stream_capacity();
        let gained = self.read.plus(capacity).minus(self.told);
        self.told_due |= self.state == ReceiveState::Open
            && self.stopped.is_none()
            && gained > 0
            && gained >= capacity / 4;
    }

    /// The limit to tell the peer now.
    pub(super) fn tell(&mut self, credit: &ReceiveCredit) -> u64 {
        self.told = self.told.max(self.read.plus(credit.stream_capacity()));
        self.told_due = false;
        self.told
    }

    /// Whether the end is known and everything before it has arrived.
    pub(super) fn has_all(&self) -> bool {
        self.state == ReceiveState::Sized && self.size == Some(self.ready)
    }

    /// Whether the peer should still hear that we want no more.
    pub(super) fn wants_stop(&self) -> bool {
        self.stopped.is_some() && self.state == ReceiveState::Open
    }

    /// Takes what arrived; returns whether the application has something new to look at.
    pub(super) fn on_data(
        &mut self,
        offset: u64,
        data: &[u8],
        fin: bool,
        credit: &mut ReceiveCredit,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> Result<bool, Violation> {
        let end = offset.plus(data.len() as u64);
        self.check_size(end, fin)?;
        if end > self.told {
            return Err(Violation::Protocol);
        }
        if end > self.highest {
            if !credit.on_received(end.minus(self.highest)) {
                return Err(Violation::Protocol);
            }
            self.highest = end;
        }
        if fin && self.state == ReceiveState::Open {
            self.size = Some(end);
            self.state = self.state.next(ReceiveInput::Fin);
        }
        if !matches!(self.state, ReceiveState::Open | ReceiveState::Sized) {
            return Ok(false);
        }
        if self.stopped.is_some() {
            self.drop_received(credit, pool, memory);
            return Ok(false);
        }
        self.store(offset, data, end, pool, memory)?;
        let before = self.ready;
        if offset <= self.ready && end > self.ready {
            self.ready = self.chain.next(end, self.highest, false, pool, memory);
        }
        Ok(self.ready > before || fin && self.size == Some(self.ready))
    }

    fn store(
        &mut self,
        offset: u64,
        data: &[u8],
        end: u64,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> Result<(), Violation> {
        let skip = usize::try_from(self.ready.minus(offset)).unwrap_or(usize::MAX);
        let Some(news) = data.get(skip..).filter(|news| !news.is_empty()) else { return Ok(()) };
        let from = offset.max(self.ready);
        let stored = self.chain.write(from, news, pool, memory, |_, _, _| true);
        // Nobody looks at bits below what is ready: what comes in order needs none.
        if from > self.ready {
            self.chain.mark(from, from.plus(stored as u64), pool, memory);
        }
        // Credit has paid for the blocks, so this is a fault of ours; the packet is refused.
        if from.plus(stored as u64) < end { Err(Violation::NoRoom) } else { Ok(()) }
    }

    /// The peer gives up; what was not read is dropped. Returns whether that is news.
    pub(super) fn on_reset(
        &mut self,
        final_offset: u64,
        credit: &mut ReceiveCredit,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> Result<bool, Violation> {
        self.check_size(final_offset, true)?;
        if final_offset > self.told {
            return Err(Violation::Protocol);
        }
        let more = final_offset.minus(self.highest);
        if !credit.on_received(more) {
            return Err(Violation::Protocol);
        }
        self.highest = self.highest.max(final_offset);
        let news = matches!(self.state, ReceiveState::Open | ReceiveState::Sized);
        if news {
            self.size = Some(final_offset);
            self.reset = true;
            self.state = self.state.next(ReceiveInput::Reset);
            self.drop_received(credit, pool, memory);
            if self.stopped.is_some() {
                self.state = self.state.next(ReceiveInput::ResetHeard);
            }
        }
        Ok(news)
    }

    pub(super) fn read(
        &mut self,
        into: &mut [u8],
        credit: &mut ReceiveCredit,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> Result<usize, ReadError> {
        self.readable()?;
        let ready = usize::try_from(self.ready.minus(self.read)).unwrap_or(usize::MAX);
        let len = ready.min(into.len());
        let Some(into) = into.get_mut(..len) else { return Ok(0) };
        let copied = self.chain.read(self.read, into, pool, memory);
        self.advance(copied as u64, credit, pool, memory);
        Ok(copied)
    }

    /// The bytes that lie together at the front.
    pub(super) fn peek<'m>(&mut self, pool: &Pool, memory: &'m [u8]) -> &'m [u8] {
        let ready = usize::try_from(self.ready.minus(self.read)).unwrap_or(usize::MAX);
        let piece = self.chain.slice(self.read, pool, memory);
        piece.get(..ready.min(piece.len())).unwrap_or_default()
    }

    /// Takes bytes off the front.
    pub(super) fn advance(
        &mut self,
        len: u64,
        credit: &mut ReceiveCredit,
        pool: &mut Pool,
        memory: &mut [u8],
    ) {
        let len = len.min(self.ready.minus(self.read));
        self.read = self.read.plus(len);
        self.chain.release(self.read, pool, memory);
        credit.on_consumed(len);
        self.judge(credit);
    }

    /// The application wants no more.
    pub(super) fn stop(
        &mut self,
        code: u32,
        credit: &mut ReceiveCredit,
        pool: &mut Pool,
        memory: &mut [u8],
    ) {
        match self.state {
            ReceiveState::Open | ReceiveState::Sized => {
                if self.stopped.is_none() {
                    self.stopped = Some(code);
                    self.stop_due = self.state == ReceiveState::Open;
                    self.drop_received(credit, pool, memory);
                }
            }
            ReceiveState::Reset => self.state = self.state.next(ReceiveInput::ResetHeard),
            ReceiveState::Done => {}
        }
    }

    /// Whether a stopped half has seen all that the peer will ever send.
    fn settle_stopped(&mut self) {
        if self.state == ReceiveState::Sized {
            self.stop_due = false;
            self.state = self.state.next(ReceiveInput::AllRead);
        }
    }

    /// What arrived counts as taken, so that its credit comes back.
    fn drop_received(&mut self, credit: &mut ReceiveCredit, pool: &mut Pool, memory: &mut [u8]) {
        credit.on_consumed(self.highest.minus(self.read));
        self.read = self.highest;
        self.ready = self.highest;
        self.chain.clear(pool, memory);
        self.chain.release(self.highest, pool, memory);
        if self.stopped.is_some() {
            self.settle_stopped();
        }
    }

    /// Whether there is something to read; hears of the end, or of a reset, if that is all.
    pub(super) fn readable(&mut self) -> Result<(), ReadError> {
        match self.state {
            ReceiveState::Reset => {
                self.state = self.state.next(ReceiveInput::ResetHeard);
                Err(ReadError::Reset)
            }
            ReceiveState::Done if self.reset => Err(ReadError::Reset),
            ReceiveState::Done => Err(ReadError::Finished),
            _ if self.read < self.ready => Ok(()),
            ReceiveState::Sized if self.size == Some(self.read) => {
                self.state = self.state.next(ReceiveInput::AllRead);
                Err(ReadError::Finished)
            }
            _ => Err(ReadError::Blocked),
        }
    }

    /// A stream's size never changes once it is known, and nothing lies beyond it.
    fn check_size(&self, end: u64, fin: bool) -> Result<(), Violation> {
        let wrong = match self.size {
            Some(size) => end > size || fin && end != size,
            None => fin && end < self.highest,
        };
        if wrong { Err(Violation::Protocol) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReceiveInput as I, ReceiveState as S};

    #[test]
    fn every_legal_move() {
        let legal = [
            (S::Open, I::Fin, S::Sized),
            (S::Open, I::Reset, S::Reset),
            (S::Sized, I::Reset, S::Reset),
            (S::Sized, I::AllRead, S::Done),
            (S::Reset, I::ResetHeard, S::Done),
        ];
        for state in [S::Open, S::Sized, S::Reset, S::Done] {
            for input in [I::Fin, I::Reset, I::AllRead, I::ResetHeard] {
                let listed = legal.iter().find(|(from, by, _)| (*from, *by) == (state, input));
                assert_eq!(state.next(input), listed.map_or(state, |(_, _, to)| *to));
            }
        }
    }
}
