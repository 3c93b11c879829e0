//! Numbers and times for people, and one for logs. Sizes count in powers of ten, as rates do.

use core::time::Duration;
use std::time::SystemTime;

/// `1.5 GB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Megabits a second; zero for no time.
#[must_use]
pub fn mbit_s(bytes: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { round(bytes as f64 * 8e-6 / seconds, 3) } else { 0.0 }
}

/// Megabits a second of bytes a second.
#[must_use]
pub fn mbit_of(bytes_per_second: u64) -> f64 {
    mbit_s(bytes_per_second, Duration::from_secs(1))
}

/// `94.6 Mbit/s`, `77.0 kbit/s`.
#[must_use]
pub fn rate(mbit_s: f64) -> String {
    if mbit_s < 1.0 { format!("{:.1} kbit/s", mbit_s * 1e3) } else { format!("{mbit_s:.1} Mbit/s") }
}

/// Seconds to the microsecond.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    round(time.as_secs_f64(), 6)
}

/// Milliseconds to the microsecond.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1e3, 3)
}

/// `80 ms`, `12.3 s`, `4 min 5 s`.
#[must_use]
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// So many of them: `1 piece`, `2 pieces`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.000Z`.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date of a day since 1970. Counts from 1 March of year 0, so that a leap day is a year's last
/// and a calendar of 400 years (146,097 days) repeats.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

/// Rows with their columns below each other, a line each.
#[must_use]
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = core::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_lines_have_rates_too() {
        assert_eq!(
            [rate(0.077), rate(0.9994), rate(94.62)],
            ["77.0 kbit/s", "999.4 kbit/s", "94.6 Mbit/s"]
        );
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(999_600), "1.0 MB");
        assert_eq!(bytes(268_435_456), "268 MB");
        assert_eq!(bytes(u64::MAX), "18446744 TB");
        assert_eq!(time(Duration::from_millis(80)), "80 ms");
        assert_eq!(time(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(time(Duration::from_secs(245)), "4 min 5 s");
        assert_eq!(hex(&[0, 0xaf]), "00af");
    }

    #[test]
    fn rates_are_finite() {
        assert_eq!(mbit_s(1_000_000, Duration::from_secs(1)), 8.0);
        assert_eq!(mbit_s(1, Duration::ZERO), 0.0);
    }

    #[test]
    fn timestamps_know_leap_years() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_799), "2000-02-29T23:59:59.000Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }
}
