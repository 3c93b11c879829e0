//! One direction of one stream as its two applications see it, and what must hold between them:
//! what is read is a prefix of what was written, and whoever ends it is heard by the other side.

use super::cadence::Lateness;
use super::node::SimConnection;
use super::oracle;
use super::plan::HalfPlan;
use ropewalk_core::connection::Stream;
use ropewalk_core::crypto::Software;
use ropewalk_core::error::{ReadError, WriteError};
use ropewalk_core::id::StreamId;
use ropewalk_core::time::Instant;

/// How a writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With all of it written.
    Finish,
    /// Given up, with this code.
    Reset(u32),
}

/// One direction.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) plan: HalfPlan,
    tag: u64,
    /// The other side does not offer the service.
    refused: bool,
    pub(super) written: u64,
    /// The last write was refused; `StreamWritable` will tell.
    pub(super) blocked: bool,
    pub(super) sent: Option<End>,
    /// The writer heard that everything arrived.
    pub(super) delivered: bool,
    /// The writer heard that the reader has enough.
    pub(super) stop_heard: bool,
    pub(super) read: u64,
    /// `StreamReadable` was heard and not everything was read since.
    pub(super) readable: bool,
    pub(super) next_read: Instant,
    pub(super) heard: Option<End>,
    pub(super) stopped: bool,
    /// How late messages came, if it carries any.
    pub(super) lateness: Lateness,
}

type SimStream<'c> = Stream<'c, super::storage::VecStorage, Software>;

impl Half {
    pub(super) fn new(plan: HalfPlan, tag: u64, refused: bool) -> Self {
        Self {
            plan,
            tag,
            refused,
            written: 0,
            blocked: false,
            sent: None,
            delivered: false,
            stop_heard: false,
            read: 0,
            readable: false,
            next_read: Instant::ZERO,
            heard: None,
            stopped: false,
            lateness: Lateness::default(),
        }
    }

    /// Both sides know how it ended.
    pub(super) fn settled(&self) -> bool {
        match (self.heard, self.sent) {
            (Some(End::Finish), _) => self.delivered,
            (Some(End::Reset(_)), _) => true,
            // Everything may have arrived before the reader had enough.
            (None, Some(End::Finish)) => self.stopped && (self.stop_heard || self.delivered),
            (None, Some(End::Reset(_))) => self.stopped,
            (None, None) => self.stopped && self.stop_heard,
        }
    }

    /// The reader waits for bytes that the writer has.
    pub(super) fn waits(&self) -> bool {
        let all = if self.sent.is_none() { self.plan.bytes } else { self.written };
        let open = self.heard.is_none() && !self.stopped && !self.stop_heard;
        open && self.read < all && !matches!(self.sent, Some(End::Reset(_)))
    }

    /// The writer writes what is taken; returns whether anything moved.
    pub(super) fn write(
        &mut self,
        connection: &mut SimConnection,
        id: StreamId,
        now: Instant,
    ) -> bool {
        if let Some(cadence) = &mut self.plan.cadence {
            self.plan.bytes += cadence.take_due(now);
        }
        if self.sent.is_some() || self.stop_heard || self.blocked {
            return false;
        }
        let target = self.plan.reset.map_or(self.plan.bytes, |(at, _)| at.min(self.plan.bytes));
        let mut stream = connection.stream(id);
        let mut buffer = [0; 16_384];
        let mut moved = false;
        while self.written < target {
            let len = (target - self.written).min(buffer.len() as u64) as usize;
            oracle::fill(self.tag, self.written, &mut buffer[..len]);
            match stream.write(&buffer[..len]) {
                Ok(taken) => {
                    assert!(taken > 0, "{id:?}: a write that took nothing");
                    self.written += taken as u64;
                    moved = true;
                }
                Err(WriteError::Blocked) => {
                    self.blocked = true;
                    return moved;
                }
                // The event says it too.
                Err(WriteError::Stopped) if self.stopped || self.refused => return moved,
                Err(WriteError::Unknown) if self.refused => return moved,
                Err(error) => panic!("{id:?} is written at {}: {error}", self.written),
            }
        }
        if self.next_due().is_some() {
            return moved;
        }
        self.sent = self.end(&mut stream);
        moved || self.sent.is_some()
    }

    /// When more is to be written.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.plan.cadence.as_ref()?.next_due()
    }

    fn end(&self, stream: &mut SimStream<'_>) -> Option<End> {
        if let Some((_, code)) = self.plan.reset {
            stream.reset(code);
            return Some(End::Reset(code));
        }
        match stream.finish() {
            Ok(()) => Some(End::Finish),
            Err(WriteError::Stopped) if self.stopped || self.refused => None,
            Err(WriteError::Unknown) if self.refused => None,
            Err(error) => panic!("a stream is finished at {}: {error}", self.written),
        }
    }

    /// The reader reads what is there, as fast as it likes; returns how much.
    pub(super) fn read(
        &mut self,
        connection: &mut SimConnection,
        id: StreamId,
        now: Instant,
    ) -> u64 {
        let before = self.read;
        let mut buffer = [0; 16_384];
        while self.heard.is_none() && !self.stopped {
            let until_stop =
                self.plan.stop.map_or(u64::MAX, |(at, _)| at.saturating_sub(self.read));
            if let (0, Some((_, code))) = (until_stop, self.plan.stop) {
                connection.stream(id).stop(code);
                self.stopped = true;
                break;
            }
            if !self.readable || now < self.next_read {
                break;
            }
            let slowly = self.plan.pace.map_or(buffer.len(), |pace| pace.bytes);
            let most = until_stop.min(slowly.min(buffer.len()) as u64) as usize;
            match connection.stream(id).read(&mut buffer[..most]) {
                Ok(len) => {
                    assert!(len > 0, "{id:?}: a read that gave nothing");
                    if let Some(at) = oracle::first_slip(self.tag, self.read, &buffer[..len]) {
                        panic!("{id:?} carries a wrong byte at {at}");
                    }
                    self.read += len as u64;
                    if let Some(cadence) = &mut self.plan.cadence {
                        cadence.on_read(self.read, now, &mut self.lateness);
                    }
                    assert!(self.read <= self.written, "{id:?}: more is read than was written");
                    if let Some(pace) = self.plan.pace {
                        self.next_read = now + pace.every;
                    }
                }
                Err(ReadError::Blocked) => self.readable = false,
                Err(ReadError::Finished) => {
                    assert_eq!(self.sent, Some(End::Finish), "{id:?} ends by itself");
                    assert_eq!(self.read, self.written, "{id:?} ends too early");
                    self.heard = Some(End::Finish);
                }
                // The event brings the code.
                Err(ReadError::Reset) => break,
                Err(error) => panic!("{id:?} is read at {}: {error}", self.read),
            }
        }
        self.read - before
    }
}
