//! What must hold: no byte lost, doubled or reordered, and nothing slower than it need be.

use ropewalk_core::time::Duration;

/// T*: the earliest moment at which `bytes` can have crossed links of (`rate` in bytes a second,
/// one-way delay), all used at once: the T for which the sum of rate * max(0, T - delay) is `bytes`.
///
/// # Panics
/// Without links.
#[must_use]
pub fn completion_bound(bytes: u64, links: &[(u64, Duration)]) -> Duration {
    assert!(!links.is_empty(), "nothing crosses no link");
    let carried = |micros: u64| -> u128 {
        let share = |(rate, delay): &(u64, Duration)| {
            u128::from(*rate) * u128::from(micros.saturating_sub(delay.as_micros()))
        };
        links.iter().map(share).sum::<u128>() / 1_000_000
    };
    let (mut low, mut high) = (0_u64, 1_u64);
    while carried(high) < u128::from(bytes) {
        high *= 2;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if carried(middle) < u128::from(bytes) { low = middle + 1 } else { high = middle }
    }
    Duration::from_micros(low)
}

/// The byte that a stream with this tag carries at this offset: any slip shows.
#[must_use]
pub fn pattern(tag: u64, offset: u64) -> u8 {
    (word(tag, offset / 8) >> (8 * (offset % 8))) as u8
}

/// Eight bytes of the pattern at once.
fn word(tag: u64, place: u64) -> u64 {
    let mixed =
        (place ^ tag.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

/// Fills a buffer with the pattern from `offset` on.
pub fn fill(tag: u64, offset: u64, into: &mut [u8]) {
    let odd = ((8 - offset % 8) % 8).min(into.len() as u64) as usize;
    let (head, body) = into.split_at_mut(odd);
    for (index, byte) in head.iter_mut().enumerate() {
        *byte = pattern(tag, offset + index as u64);
    }
    let first = (offset + odd as u64) / 8;
    for (index, bytes) in body.chunks_mut(8).enumerate() {
        let whole = word(tag, first + index as u64).to_le_bytes();
        bytes.copy_from_slice(&whole[..bytes.len()]);
    }
}

/// Where `bytes`, read from `offset` on, first differ from the pattern.
#[must_use]
pub fn first_slip(tag: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
    let mut expected = vec![0; bytes.len()];
    fill(tag, offset, &mut expected);
    if expected == bytes {
        return None;
    }
    let place = expected.iter().zip(bytes).position(|(left, right)| left != right);
    place.map(|place| offset + place as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_water_filling() {
        // 1 MB at 1 MB/s and no delay takes a second; a second link from half a second on gives
        // T with T + (T - 0.5) = 1, so 0.75 s.
        let one = [(1_000_000, Duration::ZERO)];
        assert_eq!(completion_bound(1_000_000, &one), Duration::from_secs(1));
        let two = [(1_000_000, Duration::ZERO), (1_000_000, Duration::from_millis(500))];
        assert_eq!(completion_bound(1_000_000, &two), Duration::from_millis(750));
    }

    #[test]
    fn a_slip_shows_wherever_the_reading_began() {
        let mut bytes = [0; 100];
        for offset in 0..20 {
            fill(3, offset, &mut bytes);
            assert_eq!(bytes[41], pattern(3, offset + 41));
            assert_eq!(first_slip(3, offset, &bytes), None);
            bytes[41] ^= 1;
            assert_eq!(first_slip(3, offset, &bytes), Some(offset + 41));
        }
    }

    #[test]
    fn a_link_too_slow_to_help_changes_nothing() {
        let links = [(1_000_000, Duration::ZERO), (1_000_000, Duration::from_secs(9))];
        assert_eq!(completion_bound(1_000_000, &links), Duration::from_secs(1));
    }
}
