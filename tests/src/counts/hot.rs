//! The calls of the core that a busy connection spends its time in, and the two functions in which
//! they are counted.
//!
//! Callgrind counts between the entry and the end of a function that it knows by name
//! ([`COUNTED`]), so each of the two does nothing but its call.

use super::plain::Plain;
use crate::sim::storage::VecStorage;
use core::hint::black_box;
use ropewalk_core::connection::{Connection, Transmit};
use ropewalk_core::error::Discard;
use ropewalk_core::id::Arrival;
use ropewalk_core::time::Instant;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotPath {
    /// `poll_transmit` with a buffer of one packet, which it fills.
    BuildOne,
    /// `poll_transmit` with a buffer of [`RUN`] packets, which it fills.
    BuildRun,
    /// `handle_datagram` with one full packet of a stream's bytes.
    Open,
    /// `handle_datagram` with an acknowledgement of [`RUN`] full packets.
    Acknowledge,
}

impl HotPath {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::BuildOne, Self::BuildRun, Self::Open, Self::Acknowledge];

    /// Its name in tables and in the file of figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuildOne => "build-one",
            Self::BuildRun => "build-run",
            Self::Open => "open",
            Self::Acknowledge => "acknowledge",
        }
    }

    /// What one unit of it is.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BuildOne => "build a full packet, one a call",
            Self::BuildRun => "build a full packet, 16 a call",
            Self::Open => "open a full packet",
            Self::Acknowledge => "process one acknowledgement of 16 packets",
        }
    }

    /// Packets or acknowledgements that one counted call handles.
    #[must_use]
    pub const fn units_per_call(self) -> u64 {
        match self {
            Self::BuildRun => RUN as u64,
            Self::BuildOne | Self::Open | Self::Acknowledge => 1,
        }
    }
}

/// The connection that is counted.
pub type Rope = Connection<VecStorage, Plain>;

/// Packets in a run, and packets that an acknowledgement tells of.
pub const RUN: usize = 16;

/// Callgrind's pattern for the names of the two functions below.
pub const COUNTED: &str = "*counts::hot::counted_*";

/// The result passes through `black_box` so that the call is one, not a jump into the core.
#[inline(never)]
pub(super) fn counted_transmit(
    rope: &mut Rope,
    buffer: &mut [u8],
    now: Instant,
) -> Option<Transmit> {
    black_box(rope.poll_transmit(buffer, now))
}

#[inline(never)]
pub(super) fn counted_handle(
    rope: &mut Rope,
    at: Arrival,
    datagram: &mut [u8],
    now: Instant,
) -> Result<(), Discard> {
    black_box(rope.handle_datagram(at, datagram, now))
}
