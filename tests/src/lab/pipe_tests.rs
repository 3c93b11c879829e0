//! A direction of a link against what its shape promises, on a clock that the test turns.

use super::*;
use crate::lab::link::Burst;
use core::time::Duration;

const MS: u64 = 1_000_000;

/// Offers `frames` full frames, one every `gap` nanoseconds, and gives when each came out.
fn offer(pipe: &mut Pipe, frames: u32, gap: u64) -> Vec<(u64, u32)> {
    let mut out = Vec::new();
    let mut frame = [0; FRAME_BYTES_MAX];
    let end = u64::from(frames) * gap + 10_000 * MS;
    for number in 0..frames {
        let now = u64::from(number) * gap;
        drain(pipe, now, &mut out);
        frame[100..104].copy_from_slice(&number.to_be_bytes());
        pipe.enter(&frame, now);
    }
    drain(pipe, end, &mut out);
    out
}

fn drain(pipe: &mut Pipe, until: u64, out: &mut Vec<(u64, u32)>) {
    while let Some(due) = pipe.next_due().filter(|due| *due <= until) {
        let frame = pipe.leave(due).unwrap();
        out.push((due, u32::from_be_bytes(frame[100..104].try_into().unwrap())));
    }
}

#[test]
fn a_frame_takes_its_time_on_the_wire_and_the_delay() {
    let mut pipe = Pipe::new(Shape::new(100, 10, 256), 1);
    let out = offer(&mut pipe, 1, MS);
    assert_eq!(out, [(10 * MS + 121_120, 0)]); // 1,514 bytes at 100 Mbit/s: 121.12 us
}

#[test]
fn a_full_link_carries_its_rate_and_drops_the_rest() {
    let mut pipe = Pipe::new(Shape::new(100, 10, 256), 1);
    let out = offer(&mut pipe, 20_000, 60_560); // twice the rate for 1.2 s
    let span = out.last().unwrap().0 - out.first().unwrap().0;
    assert_eq!(span, (out.len() as u64 - 1) * 121_120);
    let stats = pipe.stats();
    assert_eq!(stats.entered, stats.delivered + stats.overflowed);
    // All that had no place in the queue at the end of the offer was dropped.
    let in_queue = 256 * 1024 / FRAME_BYTES_MAX;
    assert!(stats.delivered.abs_diff(10_000 + in_queue as u64) <= 2, "{stats:?}");
}

#[test]
fn the_standing_queue_delays_by_its_length() {
    let mut pipe = Pipe::new(Shape::new(8, 0, 64), 1);
    for _ in 0..100 {
        pipe.enter(&[0; 1_000], 0);
    }
    assert_eq!(pipe.stats().overflowed, 35);
    let mut last = 0;
    while let Some(due) = pipe.next_due() {
        last = due;
        pipe.leave(due);
    }
    assert_eq!(last, 65 * MS); // 65 frames of 1,000 bytes fit in 65,536: a millisecond each
}

#[test]
fn what_goes_in_comes_out_once_and_in_order() {
    let mut pipe = Pipe::new(Shape::new(50, 20, 256), 1);
    let out = offer(&mut pipe, 500, MS);
    assert!(out.iter().map(|(_, number)| *number).eq(0..500));
}

#[test]
fn chances_are_kept() {
    let shape = Shape { loss: 0.05, reorder: 0.10, duplicate: 0.05, ..Shape::new(100, 10, 256) };
    let mut pipe = Pipe::new(shape, 7);
    let out = offer(&mut pipe, 20_000, 200_000);
    let stats = pipe.stats();
    assert!((800..1_200).contains(&stats.lost), "{stats:?}");
    assert!((1_700..2_100).contains(&stats.reordered), "{stats:?}");
    assert!((800..1_100).contains(&stats.duplicated), "{stats:?}");
    assert_eq!(out.len() as u64, 20_000 - stats.lost + stats.duplicated);
    let overtaken = out.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
    assert!(overtaken > 1_000, "only {overtaken} frames were overtaken");
}

#[test]
fn bursts_are_as_long_as_asked() {
    let burst = Some(Burst { begins: 0.01, frames: 8.0 });
    let mut pipe = Pipe::new(Shape { burst, ..Shape::new(100, 1, 256) }, 3);
    let out = offer(&mut pipe, 50_000, 200_000);
    let gaps: Vec<u32> =
        out.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).filter(|gap| *gap > 0).collect();
    let mean = f64::from(gaps.iter().sum::<u32>()) / gaps.len() as f64;
    assert!((6.0..10.0).contains(&mean), "mean burst of {mean:.1} frames");
}

#[test]
fn a_cut_loses_what_is_underway_and_all_until_it_ends() {
    let whole = Shape::new(100, 10, 256);
    let mut pipe = Pipe::new(whole, 1);
    pipe.enter(&[0; 100], 0);
    pipe.set_shape(Shape { cut: true, ..whole }, MS);
    pipe.enter(&[0; 100], 2 * MS);
    assert_eq!(pipe.next_due(), None);
    pipe.set_shape(whole, 3 * MS);
    pipe.enter(&[0; 100], 4 * MS);
    assert_eq!(pipe.next_due(), Some(14 * MS + 8_000));
    assert_eq!(pipe.stats().cut, 2);
}

#[test]
fn a_shorter_delay_counts_for_new_frames_only() {
    let slow = Shape::new(100, 50, 256);
    let mut pipe = Pipe::new(slow, 1);
    pipe.enter(&[1; 125], 0);
    pipe.set_shape(Shape { delay: Duration::from_millis(1), ..slow }, MS);
    pipe.enter(&[2; 125], MS);
    assert_eq!(pipe.leave(100 * MS), Some(&[2; 125][..]));
    assert_eq!(pipe.leave(100 * MS), Some(&[1; 125][..]));
}

#[test]
fn frames_longer_than_the_mtu_vanish() {
    let mut pipe = Pipe::new(Shape { mtu: 576, ..Shape::new(100, 10, 256) }, 1);
    pipe.enter(&[0; 576 + 14], 0);
    pipe.enter(&[0; 576 + 15], 0);
    assert!(pipe.leave(20 * MS).is_some_and(|frame| frame.len() == 590));
    assert_eq!((pipe.next_due(), pipe.stats().too_long), (None, 1));
}

#[test]
fn a_frozen_link_loses_nothing_and_all_comes_that_much_later() {
    let shape = Shape::new(100, 10, 256);
    let frozen = Shape { frozen: true, ..shape };
    let (mut pipe, mut out) = (Pipe::new(shape, 1), Vec::new());
    let frame = |number: u32| {
        let mut frame = [0; FRAME_BYTES_MAX];
        frame[100..104].copy_from_slice(&number.to_be_bytes());
        frame
    };
    for (from, before) in [(0, 0), (400 * MS, 300 * MS)] {
        // One is underway when the link freezes, and one comes while it is frozen.
        pipe.enter(&frame(1), from);
        pipe.set_shape(frozen, from + 4 * MS);
        assert_eq!(pipe.next_due(), None);
        pipe.enter(&frame(2), from + 100 * MS);
        assert!(pipe.leave(from + 200 * MS).is_none());
        pipe.set_shape(shape, from + 304 * MS);
        drain(&mut pipe, from + 1_000 * MS, &mut out);
        let late = from + 300 * MS + 10 * MS + 121_120;
        assert_eq!(out, [(late, 1), (late + 4 * MS, 2)], "{before} ns behind");
        out.clear();
    }
    // What does not fit into the queue has nowhere to wait.
    pipe.set_shape(frozen, 900 * MS);
    (0..200).for_each(|number| pipe.enter(&frame(number), 950 * MS));
    assert_eq!(pipe.stats().overflowed, 200 - 256 * 1024 / FRAME_BYTES_MAX as u64);
}
