//! The seam of congestion control: what it is told, and what it decides.
//!
//! It decides two numbers: how many bytes may be in flight on the path, and how fast they may
//! leave. All else (finding losses, timing round trips, measuring rates) is done before it is asked,
//! so that an algorithm is small and can be exchanged. Ours is `bounded_cubic.rs`.

use crate::recovery::delivery::Sample;
use crate::recovery::rtt::Rtt;
use crate::time::{Duration, Instant};

/// One acknowledgement's worth of news.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// Bytes newly acknowledged.
    pub(super) bytes: u64,
    /// When the newest packet among them was sent.
    pub(super) newest_sent_at: Instant,
    /// What it says about the path's rate.
    pub(super) sample: Sample,
    /// Its round trip without the peer's delay, if it gave a sample.
    pub(super) rtt: Option<Duration>,
    /// When it came, or would have come had the peer not held it back: acknowledgements of a train
    /// of packets are as far apart as these moments, whichever path they come back on.
    pub(super) arrived: Instant,
    /// Bytes in flight after it.
    pub(super) in_flight: u64,
}

/// Packets that were declared lost together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// Their bytes.
    pub(super) bytes: u64,
    /// How many.
    pub(super) packets: u32,
    /// When the newest of them was sent.
    pub(super) newest_sent_at: Instant,
}

/// Congestion control of one path.
pub(super) trait Congestion {
    /// Most bytes in flight.
    fn window(&self) -> u64;
    /// Bytes a second at which packets leave.
    fn pacing_rate(&self, rtt: &Rtt) -> u64;
    /// Bytes a second that the path is believed to carry.
    fn rate(&self, rtt: &Rtt) -> u64;
    /// Bytes a second that it was seen to carry of late; zero if nothing was seen.
    fn delivery_rate(&self) -> u64;
    /// A packet left; `in_flight` counts it.
    fn on_sent(&mut self, in_flight: u64);
    /// Packets were acknowledged.
    fn on_acked(&mut self, acked: &Acked, rtt: &mut Rtt, now: Instant);
    /// Packets were declared lost.
    fn on_lost(&mut self, lost: &Lost, rtt: &Rtt, now: Instant);
    /// Packets declared lost had only been late.
    fn on_late(&mut self, packets: u32, bytes: u64);
    /// The path answers again after a silence.
    fn on_resumed(&mut self, stalled: Duration, rtt: &Rtt);
    /// The size of full packets changed.
    fn set_datagram_bytes(&mut self, bytes: u16);
}
