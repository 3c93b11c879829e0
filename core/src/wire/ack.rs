//! Acknowledgements: which packets of one path arrived, newest first.
//!
//! ```text
//!  largest       |<- first ->|  gap+1  |<- len ->|  gap+1  | ...
//!  numbers go down from here; `first` and `len` count the numbers below the range's top
//! ```
//!
//! As RFC 9000 section 19.3, but for one named path, so that an acknowledgement may travel on any.
//! In memory it stays the bytes that it was, checked once: no list is built.

use super::cursor::{Full, Malformed, Reader, Writer};
use crate::arithmetic::Wide;
use crate::id::PathId;
use crate::time::Duration;
use core::ops::RangeInclusive;

/// Most ranges in one acknowledgement.
pub const ACK_RANGES_MAX: usize = 32;

/// A checked acknowledgement that still lies in its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'d> {
    /// Whose packets are acknowledged.
    pub path: PathId,
    /// The largest number that arrived.
    pub largest: u64,
    /// How long that packet waited for this acknowledgement, in units of 8 microseconds.
    pub delay: u32,
    first: u64,
    count: usize,
    /// `count` pairs of varints.
    more: &'d [u8],
}

impl<'d> Ack<'d> {
    /// How long the largest packet waited for its acknowledgement.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        Duration::from_micros((self.delay as u64) << DELAY_SHIFT)
    }

    /// The acknowledged numbers: ranges that go down and do not touch.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<u64>> + use<'d> {
        let bottom = self.largest.minus(self.first);
        let mut reader = Reader::new(self.more);
        let mut below = bottom;
        core::iter::once(bottom..=self.largest).chain(core::iter::from_fn(move || {
            let range = next_range(&mut reader, below).ok()?;
            below = *range.start();
            Some(range)
        }))
    }

    /// Reads what follows the frame's type, and checks every range.
    pub(super) fn decode(reader: &mut Reader<'d>) -> Result<Self, Malformed> {
        let path = PathId(reader.u32()?);
        let largest = reader.u64()?;
        let delay = reader.u32()?;
        let first = reader.u64()?;
        let mut below = largest.checked_sub(first).ok_or(Malformed)?;
        let count = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
        if count >= ACK_RANGES_MAX {
            return Err(Malformed);
        }
        let before = reader.as_slice();
        for _ in 0..count {
            below = *next_range(reader, below)?.start();
        }
        let more_len = before.len().saturating_sub(reader.remaining());
        let more = before.get(..more_len).ok_or(Malformed)?;
        Ok(Self { path, largest, delay, first, count, more })
    }

    /// Writes what follows the frame's type.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.put_u32(self.path.0)?;
        writer.put_u64(self.largest)?;
        writer.put_u32(self.delay)?;
        writer.put_u64(self.first)?;
        writer.put_u64(self.count as u64)?;
        writer.put_bytes(self.more)
    }
}

/// The next range down: at least one number is missing between it and `below`.
fn next_range(reader: &mut Reader<'_>, below: u64) -> Result<RangeInclusive<u64>, Malformed> {
    let gap = reader.u64()?;
    let len = reader.u64()?;
    let top = below.checked_sub(gap).and_then(|n| n.checked_sub(2)).ok_or(Malformed)?;
    let bottom = top.checked_sub(len).ok_or(Malformed)?;
    Ok(bottom..=top)
}

/// Writes an acknowledgement frame of ranges that go down and do not touch. Ranges beyond the
/// 32nd, or beyond the writer's room, are left out: the oldest, which matter least.
///
/// # Errors
/// [`Full`] when not even the first fits, or there is none.
pub fn encode_ack(
    writer: &mut Writer<'_>,
    path: PathId,
    delay: Duration,
    ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
) -> Result<(), Full> {
    let delay = u32::try_from(delay.as_micros() >> DELAY_SHIFT).unwrap_or(u32::MAX);
    let first = ranges.clone().next().ok_or(Full)?;
    writer.whole(|writer| {
        writer.put_u32(super::frame::ACK)?;
        writer.put_u32(path.0)?;
        writer.put_u64(*first.end())?;
        writer.put_u32(delay)?;
        writer.put_u64(first.end().minus(*first.start()))?;
        // The count is below 128, so it is one byte whatever fits; it is written last.
        let count_at = writer.len();
        writer.put_u8(0)?;
        let mut count = 0;
        let mut below = *first.start();
        for range in ranges.skip(1).take(ACK_RANGES_MAX - 1) {
            let Some(gap) = below.checked_sub(*range.end()).and_then(|n| n.checked_sub(2)) else {
                debug_assert!(false, "ranges go down and do not touch");
                break;
            };
            let len = range.end().minus(*range.start());
            let fits = writer.whole(|writer| {
                writer.put_u64(gap)?;
                writer.put_u64(len)
            });
            if fits.is_err() {
                break;
            }
            below = *range.start();
            count += 1;
        }
        writer.patch_u8(count_at, count)
    })
}

/// Delays are told in units of eight microseconds.
const DELAY_SHIFT: u32 = 3;

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Frames};
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Ranges that go down, made of gaps and lengths.
    fn ranges(top: u64, steps: &[(u64, u64)]) -> Vec<RangeInclusive<u64>> {
        let mut ranges = Vec::new();
        let mut next = top;
        for (gap, len) in steps {
            let Some(bottom) = next.checked_sub(*len) else { break };
            ranges.push(bottom..=next);
            let Some(top) = bottom.checked_sub(gap + 2) else { break };
            next = top;
        }
        ranges
    }

    proptest! {
        #[test]
        fn ranges_survive_the_wire(top in 0_u64..1 << 40, steps in prop::collection::vec((0_u64..300, 0_u64..300), 1..40), delay in 0_u64..10_000_000) {
            let ranges = ranges(top, &steps);
            prop_assume!(!ranges.is_empty());
            let mut bytes = [0; 600];
            let mut writer = Writer::new(&mut bytes);
            encode_ack(&mut writer, PathId(3), Duration::from_micros(delay), ranges.iter().cloned()).unwrap();
            let mut frames = Frames::new(writer.as_slice());
            let Some(Ok(Frame::Ack(ack))) = frames.next() else { panic!("not an acknowledgement") };
            prop_assert!(frames.next().is_none());
            let kept = ranges.len().min(ACK_RANGES_MAX);
            prop_assert_eq!(ack.iter().collect::<Vec<_>>(), &ranges[..kept]);
            prop_assert_eq!(ack.delay(), Duration::from_micros(delay / 8 * 8));
        }

        #[test]
        fn what_does_not_fit_is_left_out_from_the_old_end(room in 0_usize..40) {
            let ranges = ranges(10_000, &[(3, 2); 20]);
            let mut bytes = [0; 40];
            let mut writer = Writer::new(&mut bytes[..room]);
            if encode_ack(&mut writer, PathId(0), Duration::ZERO, ranges.iter().cloned()).is_ok() {
                let Some(Ok(Frame::Ack(ack))) = Frames::new(writer.as_slice()).next() else { panic!("not an acknowledgement") };
                let kept: Vec<_> = ack.iter().collect();
                prop_assert_eq!(&kept[..], &ranges[..kept.len()]);
            } else {
                prop_assert!(room < 8);
                prop_assert!(writer.is_empty());
            }
        }
    }
}
