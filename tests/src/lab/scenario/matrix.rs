//! Tables of links, each row a transfer that must end within a bound: the tests of other transports
//! played on ours, and what lies beyond them.
//!
//! The bound is T*: the time at which links of rates r and one-way delays d, all of them filled at
//! every moment, have carried the bytes (the T with `sum of r * max(0, T - d)` = the bytes), where
//! of each frame of 1,514 bytes 1,438 are payload. Start-up comes on top: three round trips of the
//! longest link and those in which slow start doubles up to what that link holds.

use super::super::peer::{Peer, congestion_controls};
use super::super::{Lab, LinkSpec, Node};
use super::Stage;
use super::measure::Measurement;
use super::rates::measure;
use core::time::Duration;
use std::io;
use std::thread::sleep;

/// A: the kernel's `simult_flows.sh`, all three generations of its rows: 16 MiB, within 4.7 % of T*
/// (its own budget is 11 % and 450 ms).
pub(super) fn unequal(stage: &mut Stage) -> io::Result<()> {
    let chosen = congestion_controls().into_iter().take(1).map(Peer::Mptcp).collect::<Vec<_>>();
    let peers = stage.present(&[Peer::Ropewalk("bulk")], &chosen);
    for (one, two) in [(10, 10), (15, 5), (30, 10), (10, 3)] {
        for (near, far) in [(0, 0), (1, 25), (25, 1), (1, 50)] {
            let links = [LinkSpec::new(one, near, 64), LinkSpec::new(two, far, 64)];
            let row = format!("{one}/{two} Mbit/s, {near}/{far} ms");
            let most = best_seconds(&links, 16_777_216) * 1.047;
            compare(stage, &row, &links, 16_777_216, &peers, most)?;
        }
    }
    Ok(())
}

/// B: four links, some of which go down for good after a second, as in the kernel's `mptcp_join.sh`.
pub(super) fn failures(stage: &mut Stage) -> io::Result<()> {
    let links = [LinkSpec::new(20, 1, 64); 4];
    for down in 1..=3 {
        let lab = Lab::new(&links)?;
        let mut bulk = Measurement::bulk(stage, &lab, 24_000_000)?;
        sleep(Duration::from_secs(1));
        for index in 0..down {
            lab.unplug(index, if index % 2 == 0 { Node::A } else { Node::B })?;
        }
        let outcome = bulk.outcome(LIMIT)?;
        let row = format!("{down} of 4 links go down");
        stage.figure("longest gap in order, ms", &row, "ropewalk", outcome.max_gap_ms);
        stage.at_most(&format!("{row}: longest gap"), outcome.max_gap_ms, 300.0, "ms");
        let first = 4.0 * 20e6 * PAYLOAD;
        let rest = (4 - down) as f64 * 20e6 * PAYLOAD;
        let best = 1.0 + (24e6 * 8.0 - first) / rest;
        seconds_within(stage, &row, "ropewalk", 24_000_000, outcome.mbit_s, best * 1.1);
    }
    Ok(())
}

/// C: impaired links, as in the kernel's `mptcp_connect.sh`: not slower than MPTCP on the same.
pub(super) fn impaired(stage: &mut Stage) -> io::Result<()> {
    let peers = stage.present(&[Peer::Ropewalk("bulk")], &Peer::mptcp());
    let base = LinkSpec::new(40, 10, 128);
    let burst = super::super::link::Burst { begins: 0.001, frames: 8.0 };
    let rows = [
        ("0.01 % loss", base.with(|shape| shape.loss = 0.000_1)),
        ("1 % loss", base.with(|shape| shape.loss = 0.01)),
        ("bursts of loss, 0.8 %", base.with(|shape| shape.burst = Some(burst))),
        (
            "10 % held back by 12 ms",
            base.with(|shape| {
                (shape.reorder, shape.reorder_by) = (0.1, Duration::from_millis(12));
            }),
        ),
    ];
    for (row, link) in rows {
        compare(stage, row, &[link; 2], 16_000_000, &peers, f64::INFINITY)?;
    }
    Ok(())
}

/// D: picoquic's simulated links, with the budgets that `picoquic_t` measured of itself or better.
pub(super) fn picoquic(stage: &mut Stage) -> io::Result<()> {
    // Its "0.01 Gbps" is 10^10 / 1024^2 bit/s; its queue holds 20 ms.
    let narrow = |delay| LinkSpec::new(10, delay, 24).with(|shape| shape.rate = 9_536_743);
    let ours = [Peer::Ropewalk("bulk")];
    let satellite = [LinkSpec::new(1, 10, 24), narrow(300).with(|s| s.queue_bytes = 1 << 18)];
    compare(stage, "basic", &[narrow(10); 2], 2_000_000, &ours, 0.93)?;
    let perf = [LinkSpec::new(50, 15, 128), LinkSpec::new(40, 30, 128)];
    compare(stage, "perf", &perf, 10_000_000, &ours, 1.05)?;
    compare(stage, "sat_plus", &satellite, 10_000_000, &ours, 8.5)?;
    for index in 0..2 {
        let lab = Lab::new(&[narrow(10); 2])?;
        let mut bulk = Measurement::bulk(stage, &lab, 2_000_000)?;
        sleep(Duration::from_millis(640));
        lab.link(index).cut();
        let gap = bulk.outcome(LIMIT)?.max_gap_ms;
        let row = ["drop_first", "drop_second"][index];
        stage.figure("longest gap in order, ms", row, "ropewalk", gap);
        stage.at_most(&format!("{row}: longest gap"), gap, 60.0, "ms");
    }
    let lab = Lab::new(&[narrow(10); 2])?;
    let mut bulk = Measurement::bulk(stage, &lab, 2_000_000)?;
    sleep(Duration::from_millis(640));
    lab.links().for_each(super::super::Link::cut);
    sleep(Duration::from_secs(5));
    lab.links().for_each(super::super::Link::restore);
    let outcome = bulk.outcome(LIMIT)?;
    seconds_within(stage, "tunnel", "ropewalk", 2_000_000, outcome.mbit_s, 6.6);
    Ok(())
}

/// E: links that are far apart, and many links: T*, and never slower than the best of them alone.
pub(super) fn apart(stage: &mut Stage) -> io::Result<()> {
    let ours = Peer::Ropewalk("bulk");
    let bytes = 5_000_000;
    for times_longer in [1, 4, 16, 60] {
        for times_thinner in [1, 3, 10, 50] {
            let thin =
                LinkSpec::new(10, 5 * times_longer, 64).with(|shape| shape.rate /= times_thinner);
            let links = [LinkSpec::new(10, 5, 64), thin];
            let row = format!("round trip x {times_longer}, rate / {times_thinner}");
            let together = measure(stage, &links, &ours, bytes)?.mbit_s;
            let alone = measure(stage, &links[..1], &ours, bytes)?.mbit_s;
            stage.figure(GOODPUT, &row, &ours, together);
            stage.figure(GOODPUT, &row, "best link alone", alone);
            stage.at_least(&format!("{row}: and the best link"), together, 0.98 * alone, "Mbit/s");
            let most = best_seconds(&links, bytes) * 1.05 + start_up_seconds(&links);
            seconds_within(stage, &row, "ropewalk", bytes, together, most);
        }
    }
    for count in 1..=8 {
        let links = vec![LinkSpec::new(10, 10, 64); count];
        let most = best_seconds(&links, bytes) * 1.05 + start_up_seconds(&links);
        let row = format!("{count} links of 10 Mbit/s");
        compare(stage, &row, &links, bytes, core::slice::from_ref(&ours), most)?;
    }
    Ok(())
}

/// One transfer by each; ours within `most` seconds and not slower than any other.
fn compare(
    stage: &mut Stage,
    row: &str,
    links: &[LinkSpec],
    bytes: u64,
    peers: &[Peer],
    most: f64,
) -> io::Result<()> {
    let (mut ours, mut best) = (0.0, 0.0_f64);
    for peer in peers {
        let mbit_s = match measure(stage, links, peer, bytes) {
            Ok(outcome) => outcome.mbit_s,
            Err(error) if !peer.is_ours() => {
                stage.skip(peer, &format!("{row}: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        stage.figure(GOODPUT, row, peer, mbit_s);
        if peer.is_ours() {
            ours = mbit_s;
        } else {
            best = best.max(mbit_s);
        }
    }
    if most.is_finite() {
        seconds_within(stage, row, "ropewalk", bytes, ours, most);
    }
    if best > 0.0 {
        stage.at_least(&format!("{row}: and MPTCP"), ours, best, "Mbit/s");
    }
    Ok(())
}

fn seconds_within(stage: &mut Stage, row: &str, who: &str, bytes: u64, mbit_s: f64, most: f64) {
    let seconds = bytes as f64 * 8e-6 / mbit_s;
    stage.figure("seconds", row, who, seconds);
    stage.figure("seconds", row, "bound", most);
    stage.at_most_exactly(row, seconds, most, "s");
}

/// T* of the module's head, in seconds.
fn best_seconds(links: &[LinkSpec], bytes: u64) -> f64 {
    let carried = |time: f64| -> f64 {
        let each = |link: &LinkSpec| {
            let shape = link.shapes[0];
            shape.rate as f64 * PAYLOAD * (time - shape.delay.as_secs_f64()).max(0.0)
        };
        links.iter().map(each).sum()
    };
    // Bisection: what is carried rises with time.
    let (mut least, mut most) = (0.0, 1e4);
    for _ in 0..60 {
        let middle = f64::midpoint(least, most);
        if carried(middle) < bytes as f64 * 8.0 {
            least = middle;
        } else {
            most = middle;
        }
    }
    most
}

/// What comes on top of T* for links that nobody knows yet.
fn start_up_seconds(links: &[LinkSpec]) -> f64 {
    let each = |link: &LinkSpec| {
        let round_trip = 2.0 * link.shapes[0].delay.as_secs_f64();
        let held = link.shapes[0].rate as f64 / 8.0 * round_trip;
        round_trip * (3.0 + (held / INITIAL_WINDOW_BYTES).max(1.0).log2())
    };
    links.iter().map(each).fold(0.0, f64::max)
}

/// Of a full frame.
const PAYLOAD: f64 = 1_438.0 / 1_514.0;
const INITIAL_WINDOW_BYTES: f64 = 12_000.0;
const GOODPUT: &str = "goodput, Mbit/s";
const LIMIT: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_fills_the_short_link_first() {
        // One second on the short link alone is 0.95 Mbit; the other joins after a second.
        let links = [LinkSpec::new(1, 0, 64), LinkSpec::new(1, 1_000, 64)];
        let bytes = (3.0 * 1e6 * PAYLOAD / 8.0) as u64;
        let seconds = best_seconds(&links, bytes);
        assert!((seconds - 2.0).abs() < 1e-3, "{seconds}");
    }

    #[test]
    fn start_up_is_that_of_the_longest_link() {
        let links = [LinkSpec::new(10, 10, 64), LinkSpec::new(10, 300, 64)];
        // 600 ms at 10 Mbit/s hold 750,000 bytes: 62.5 windows, six doublings almost.
        let seconds = start_up_seconds(&links);
        assert!((5.3..5.4).contains(&seconds), "{seconds}");
    }
}
