//! The sending half of a stream.
//!
//! ```text
//!            finish()          everything and the end acknowledged
//!   Ready ------------> Sent ------------------------------------> Done
//!     |                   |
//!     +-------------------+--reset()--> Reset --acknowledged--> Done
//! ```
//!
//! RFC 9000 section 3.1. Offsets: `base` <= `next` <= `written`. Below `base` all is acknowledged
//! and forgotten; bits of the chain say what is acknowledged above it; `again` says what must be
//! sent once more.
//!
//! When every byte is to go on every path, each path is a *lane* with a cursor of its own: it sends
//! the stream in order from there, skipping what was acknowledged on any. `next` is then the
//! furthest cursor, and `base` pulls along whoever falls behind.

use crate::arithmetic::{Wide, difference};
use crate::error::WriteError;
use crate::storage::blocks::Pool;
use crate::storage::chain::Chain;
use crate::storage::ranges::Ranges;

/// Where a sending half is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendState {
    Ready,
    Sent,
    Reset,
    Done,
}

/// What moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendInput {
    Finish,
    Reset,
    AllAcked,
    ResetAcked,
}

impl SendState {
    pub(super) const fn next(self, input: SendInput) -> Self {
        match (self, input) {
            (Self::Ready, SendInput::Finish) => Self::Sent,
            (Self::Ready | Self::Sent, SendInput::Reset) => Self::Reset,
            (Self::Sent, SendInput::AllAcked) | (Self::Reset, SendInput::ResetAcked) => Self::Done,
            (state, _) => state,
        }
    }
}

/// The sending half of one stream.
#[derive(Clone, Debug)]
pub(super) struct SendHalf {
    pub(super) state: SendState,
    pub(super) chain: Chain,
    base: u64,
    pub(super) next: u64,
    pub(super) written: u64,
    /// The peer's credit for this stream.
    pub(super) limit: u64,
    pub(super) again: Ranges<AGAIN_MAX>,
    /// The end was sent; it was acknowledged; it must be sent once more.
    fin_sent: bool,
    fin_acked: bool,
    fin_again: bool,
    pub(super) reset: Option<u32>,
    pub(super) reset_due: bool,
    /// A write found no room: the application wants to hear when there is some.
    pub(super) blocked: bool,
    /// The peer wants no more.
    pub(super) stopped: bool,
    /// Up to where each lane has sent; one more when it has sent the end too.
    lanes: [u64; LANES_MAX],
}

/// Bytes to be sent in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) fin: bool,
    /// These bytes have never been sent.
    pub(super) fresh: bool,
}

impl SendHalf {
    pub(super) const EMPTY: Self = Self {
        state: SendState::Ready,
        chain: Chain::new(),
        base: 0,
        next: 0,
        written: 0,
        limit: 0,
        again: Ranges::new(),
        fin_sent: false,
        fin_acked: false,
        fin_again: false,
        reset: None,
        reset_due: false,
        blocked: false,
        stopped: false,
        lanes: [0; LANES_MAX],
    };

    /// Takes as much as there are blocks for, leaving `reserve` of them to others once it has one, while
    /// little waits to be sent.
    pub(super) fn write(
        &mut self,
        data: &[u8],
        reserve: usize,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> Result<usize, WriteError> {
        if self.stopped {
            return Err(WriteError::Stopped);
        }
        if self.state != SendState::Ready {
            return Err(WriteError::Finished);
        }
        if data.is_empty() {
            return Ok(0);
        }
        let room = UNSENT_MAX.minus(self.unsent());
        let now = usize::try_from(room).ok().and_then(|room| data.get(..room)).unwrap_or(data);
        let may_take =
            |pool: &Pool, memory: &[u8], held: u64| held == 0 || pool.available(memory) > reserve;
        let taken = self.chain.write(self.written, now, pool, memory, may_take);
        self.written = self.written.plus(taken as u64);
        self.blocked |= taken < data.len();
        if taken == 0 { Err(WriteError::Blocked) } else { Ok(taken) }
    }

    /// Whether a writer that was blocked should be told: a whole block can be taken (`spare`, or the
    /// stream's first), and enough was sent that telling is worth it.
    pub(super) const fn has_room(&self, spare: bool) -> bool {
        self.unsent() <= UNSENT_MAX / 2 && (spare || self.chain.blocks() == 0)
    }

    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        if self.stopped {
            return Err(WriteError::Stopped);
        }
        if self.state != SendState::Ready {
            return Err(WriteError::Finished);
        }
        self.state = self.state.next(SendInput::Finish);
        self.blocked = false;
        Ok(())
    }

    /// Gives up: nothing more is sent but the word of it.
    pub(super) fn give_up(&mut self, code: u32, pool: &mut Pool, memory: &mut [u8]) {
        let state = self.state.next(SendInput::Reset);
        if state == SendState::Reset && self.state != SendState::Reset {
            self.reset = Some(code);
            self.reset_due = true;
            self.chain.clear(pool, memory);
            self.again.clear();
            self.fin_again = false;
            self.blocked = false;
        }
        self.state = state;
    }

    /// Fresh bytes that the stream's own credit allows.
    pub(super) fn fresh(&self) -> u64 {
        match self.state {
            SendState::Ready | SendState::Sent => self.written.min(self.limit).minus(self.next),
            SendState::Reset | SendState::Done => 0,
        }
    }

    /// Bytes that were written and never sent.
    pub(super) const fn unsent(&self) -> u64 {
        difference(self.written, self.next)
    }

    /// Whether the end alone waits to be sent for the first time.
    pub(super) fn fin_waits(&self) -> bool {
        self.state == SendState::Sent && !self.fin_sent && self.next == self.written
    }

    pub(super) fn wants_again(&self) -> bool {
        !self.again.is_empty() || self.fin_again
    }

    /// Whether some of these bytes must be sent once more, or the end behind them.
    pub(super) fn wants(&self, offset: u64, len: u64, fin: bool) -> bool {
        let (start, end) = (offset.max(self.base), offset.plus(len));
        self.again.iter().any(|range| start < range.end && range.start < end)
            || fin && self.fin_again
    }

    /// What must be sent once more, at most `max` bytes.
    pub(super) fn chunk_again(&mut self, max: usize, pool: &Pool, memory: &[u8]) -> Option<Chunk> {
        while let Some(range) = self.again.first() {
            let start = range.start.max(self.base);
            let from = self.chain.next(start, range.end, false, pool, memory);
            self.again.remove(range.start..from);
            if from >= range.end {
                continue;
            }
            let end = range.end.min(from.plus(max as u64));
            let to = self.chain.next(from, end, true, pool, memory);
            let fin = self.fin_again && to == self.written;
            let len = usize::try_from(to.minus(from)).unwrap_or(0);
            return Some(Chunk { offset: from, len, fin, fresh: false });
        }
        self.fin_again.then_some(Chunk { offset: self.written, len: 0, fin: true, fresh: false })
    }

    /// What has never been sent, at most `max` bytes.
    pub(super) fn chunk_fresh(&self, max: usize) -> Option<Chunk> {
        let len = usize::try_from(self.fresh()).unwrap_or(usize::MAX).min(max);
        let reaches = self.next.plus(len as u64) == self.written;
        let fin = self.state == SendState::Sent && reaches && !self.fin_sent;
        (len > 0 || fin).then_some(Chunk { offset: self.next, len, fin, fresh: true })
    }

    /// Whether a lane has something to send that it has not sent yet.
    pub(super) fn lane_waits(&self, lane: usize) -> bool {
        let cursor = self.lane(lane);
        match self.state {
            SendState::Ready => cursor < self.next,
            SendState::Sent => {
                cursor < self.next || self.fin_sent && !self.fin_acked && cursor <= self.written
            }
            SendState::Reset | SendState::Done => false,
        }
    }

    /// What the lane has not sent and others have, at most `max` bytes.
    pub(super) fn chunk_copy(
        &mut self,
        lane: usize,
        max: usize,
        pool: &Pool,
        memory: &[u8],
    ) -> Option<Chunk> {
        if !self.lane_waits(lane) {
            return None;
        }
        let from = self.chain.next(self.lane(lane), self.next, false, pool, memory);
        let end = self.next.min(from.plus(max as u64));
        let to = self.chain.next(from, end, true, pool, memory).max(from);
        let fin = self.fin_sent && !self.fin_acked && to == self.written;
        if let Some(cursor) = self.lanes.get_mut(lane) {
            *cursor = from.max(*cursor); // What is skipped was acknowledged.
        }
        let len = usize::try_from(to.minus(from)).unwrap_or(0);
        (len > 0 || fin).then_some(Chunk { offset: from, len, fin, fresh: false })
    }

    /// The lane has sent this.
    pub(super) fn on_lane_sent(&mut self, lane: usize, chunk: Chunk) {
        let end = chunk.offset.plus(chunk.len as u64).plus(chunk.fin.into());
        let reached = chunk.offset <= self.lane(lane);
        if let Some(cursor) = self.lanes.get_mut(lane).filter(|_| reached) {
            *cursor = end.max(*cursor);
        }
    }

    /// Another path has taken the lane: it has sent nothing.
    pub(super) fn clear_lane(&mut self, lane: usize) {
        if let Some(cursor) = self.lanes.get_mut(lane) {
            *cursor = 0;
        }
    }

    /// Whether the first bytes to be sent once more lie where the lane has been already; others it
    /// will come to in its own time.
    pub(super) fn again_behind(&self, lane: usize) -> bool {
        let start = self.again.first().map_or(self.written, |range| range.start.max(self.base));
        start < self.lane(lane) || self.again.is_empty() && self.fin_again
    }

    /// Where the lane goes on.
    fn lane(&self, lane: usize) -> u64 {
        self.lanes.get(lane).map_or(u64::MAX, |cursor| self.base.max(*cursor))
    }

    pub(super) fn on_sent(&mut self, chunk: Chunk) {
        let end = chunk.offset.plus(chunk.len as u64);
        if chunk.fresh {
            self.next = self.next.max(end);
        } else {
            self.again.remove(chunk.offset..end);
        }
        if chunk.fin {
            self.fin_sent = true;
            self.fin_again = false;
        }
    }

    /// Returns whether everything, the end included, has now arrived.
    pub(super) fn on_acked(
        &mut self,
        offset: u64,
        len: u64,
        fin: bool,
        pool: &mut Pool,
        memory: &mut [u8],
    ) -> bool {
        if !matches!(self.state, SendState::Ready | SendState::Sent) {
            return false;
        }
        let end = offset.plus(len).min(self.next);
        if offset > self.base {
            self.chain.mark(offset, end, pool, memory);
        } else if end > self.base {
            // Nobody looks at bits below the base: what comes in order needs none.
            self.base = self.chain.next(end, self.next, false, pool, memory);
            self.chain.release(self.base, pool, memory);
        }
        self.fin_acked |= fin;
        self.fin_again &= !self.fin_acked;
        if self.fin_acked && self.base == self.written {
            self.state = self.state.next(SendInput::AllAcked);
            self.chain.clear(pool, memory);
            self.again.clear();
        }
        self.state == SendState::Done
    }

    pub(super) fn on_lost(&mut self, offset: u64, len: u64, fin: bool) {
        if !matches!(self.state, SendState::Ready | SendState::Sent) {
            return;
        }
        // A planted bug, to see that the simulator would catch such a one (see `ci.sh`).
        #[cfg(ropewalk_canary)]
        let len = len.minus(1);
        let end = offset.plus(len).min(self.next);
        // What was acknowledged since is skipped when its turn comes.
        self.again.insert_merging(offset.max(self.base)..end.max(self.base));
        self.fin_again |= fin && !self.fin_acked;
    }
}

/// Paths that can each be a lane.
pub const LANES_MAX: usize = 8;
/// What waits to be sent is at most so much; the rest waits in the application. Bytes that were copied
/// here long before their turn have left the processor's cache when it comes.
pub(super) const UNSENT_MAX: u64 = 512 << 10;
const AGAIN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::{SendInput as I, SendState as S};

    #[test]
    fn every_legal_move() {
        let legal = [
            (S::Ready, I::Finish, S::Sent),
            (S::Ready, I::Reset, S::Reset),
            (S::Sent, I::Reset, S::Reset),
            (S::Sent, I::AllAcked, S::Done),
            (S::Reset, I::ResetAcked, S::Done),
        ];
        for state in [S::Ready, S::Sent, S::Reset, S::Done] {
            for input in [I::Finish, I::Reset, I::AllAcked, I::ResetAcked] {
                let listed = legal.iter().find(|(from, by, _)| (*from, *by) == (state, input));
                assert_eq!(state.next(input), listed.map_or(state, |(_, _, to)| *to));
            }
        }
    }
}
