//! One direction of a link as plain state: frames go in, and come out when they are due.
//!
//! ```text
//!   enter -> [ drop-tail queue ] -> departs at the link's rate -> loss? -> + delay (+ held back) -> due
//!                                                                            and again, if doubled
//! ```
//!
//! Departures follow the virtual clock of the link (the last departure plus the frame's time on
//! the wire), so that the rate is exact however late the caller wakes up. What is lost was sent:
//! it took its share of the rate. While the link is frozen, its clock stands still. No thread, no clock and no device here, and no allocation per frame.

use super::damage;
use super::link::{Shape, Stats};
use super::tap::FRAME_BYTES_MAX;
use core::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Frames underway in one direction. Times are nanoseconds, given on the caller's clock and kept on
/// the link's, which is behind by all the time that it was frozen.
#[derive(Debug)]
pub struct Pipe {
    shape: Shape,
    /// How far the link's clock is behind.
    behind: u64,
    /// The caller's time at which the link froze.
    frozen_at: Option<u64>,
    /// When the wire is free again.
    free_at: u64,
    /// The frames that have not departed: when they will, and their length.
    queue: VecDeque<(u64, usize)>,
    queued_bytes: usize,
    /// What is underway: when it is due, a number that keeps the order, and its place in `frames`.
    underway: BinaryHeap<Reverse<(u64, u64, usize)>>,
    order: u64,
    frames: Vec<Frame>,
    vacant: Vec<usize>,
    in_burst: bool,
    chance: Chance,
    stats: Stats,
}

#[derive(Debug)]
struct Frame {
    bytes: [u8; FRAME_BYTES_MAX],
    len: usize,
}

impl Pipe {
    /// An empty direction; all that chance does follows from `seed`.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        Self {
            shape,
            behind: 0,
            frozen_at: shape.frozen.then_some(0),
            free_at: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            underway: BinaryHeap::new(),
            order: 0,
            frames: Vec::new(),
            vacant: Vec::new(),
            in_burst: false,
            chance: Chance(seed),
            stats: Stats::default(),
        }
    }

    /// Changes it from now on. A cut loses what is underway.
    pub fn set_shape(&mut self, shape: Shape, now: u64) {
        match self.frozen_at {
            None if shape.frozen => self.frozen_at = Some(now),
            Some(since) if !shape.frozen => {
                self.behind += now.saturating_sub(since);
                self.frozen_at = None;
            }
            _ => {}
        }
        let now = self.own_time(now);
        if shape.cut && !self.shape.cut {
            self.stats.cut += self.underway.len() as u64;
            self.vacant.extend(self.underway.drain().map(|Reverse((_, _, slot))| slot));
            self.queue.clear();
            self.queued_bytes = 0;
            self.free_at = now;
        }
        self.shape = shape;
    }

    /// A frame from the sender.
    pub fn enter(&mut self, frame: &[u8], now: u64) {
        let now = self.own_time(now);
        self.stats.entered += 1;
        if self.shape.cut {
            self.stats.cut += 1;
            return;
        }
        if frame.len() > self.shape.mtu + ETHERNET_BYTES {
            self.stats.too_long += 1;
            return;
        }
        self.depart_until(now);
        if self.queued_bytes + frame.len() > self.shape.queue_bytes {
            self.stats.overflowed += 1;
            return;
        }
        let departure = self.free_at.max(now) + time_on_wire(frame.len(), self.shape.rate);
        self.free_at = departure;
        self.queue.push_back((departure, frame.len()));
        self.queued_bytes += frame.len();
        self.propagate(frame, departure);
    }

    /// The next frame that is due by `now`.
    pub fn leave(&mut self, now: u64) -> Option<&[u8]> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, _, slot)) = self.underway.pop()?;
        self.vacant.push(slot);
        let frame = self.frames.get(slot)?;
        let bytes = frame.bytes.get(..frame.len)?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += bytes.len() as u64;
        self.stats.delivered_large += u64::from(bytes.len() >= 1_000);
        Some(bytes)
    }

    /// When the next frame is due.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        match self.frozen_at {
            None => self.underway.peek().map(|Reverse((due, _, _))| *due + self.behind),
            Some(_) => None,
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    fn own_time(&self, now: u64) -> u64 {
        self.frozen_at.unwrap_or(now).saturating_sub(self.behind)
    }

    fn depart_until(&mut self, now: u64) {
        while let Some((_, len)) = self.queue.front().filter(|(departure, _)| *departure <= now) {
            self.queued_bytes -= len;
            self.queue.pop_front();
        }
    }

    fn propagate(&mut self, frame: &[u8], departure: u64) {
        if self.is_lost() {
            self.stats.lost += 1;
            return;
        }
        let mut due = departure + nanos(self.shape.delay);
        if self.chance.happens(self.shape.reorder) {
            self.stats.reordered += 1;
            due += nanos(self.shape.reorder_by);
        }
        self.launch(frame, due);
        if self.chance.happens(self.shape.duplicate) {
            self.stats.duplicated += 1;
            self.launch(frame, due);
        }
    }

    fn is_lost(&mut self) -> bool {
        if let Some(burst) = self.shape.burst {
            self.in_burst = if self.in_burst {
                !self.chance.happens(1.0 / burst.frames)
            } else {
                self.chance.happens(burst.begins)
            };
        } else {
            self.in_burst = false;
        }
        self.in_burst || self.chance.happens(self.shape.loss)
    }

    fn launch(&mut self, bytes: &[u8], due: u64) {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.frames.push(Frame { bytes: [0; FRAME_BYTES_MAX], len: 0 });
            self.frames.len() - 1
        });
        let frame = &mut self.frames[slot];
        frame.len = bytes.len().min(FRAME_BYTES_MAX);
        let copy = &mut frame.bytes[..frame.len];
        copy.copy_from_slice(&bytes[..copy.len()]);
        if self.chance.happens(self.shape.corrupt) && damage::flip_a_bit(copy, self.chance.next()) {
            self.stats.corrupted += 1;
        }
        self.order += 1;
        self.underway.push(Reverse((due, self.order, slot)));
    }
}

/// The head of an Ethernet frame.
const ETHERNET_BYTES: usize = 14;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to toss coins.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws only if there is something to draw for.
    fn happens(&mut self, fraction: f64) -> bool {
        // 53 bits are what a float holds exactly.
        fraction > 0.0 && ((self.next() >> 11) as f64) < fraction * (1_u64 << 53) as f64
    }
}

const fn time_on_wire(bytes: usize, rate: u64) -> u64 {
    match (bytes as u64 * 8 * 1_000_000_000).checked_div(rate) {
        Some(nanos) => nanos,
        None => 0, // A rate of zero stands for a wire without a limit.
    }
}

fn nanos(time: core::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
