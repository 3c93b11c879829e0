//! Bars on time. What arrives, and whole, is asserted in each attempt; a figure that the machine's
//! other work may have spoilt is taken again, and each miss is printed.

/// How often a figure is taken before it counts as missed.
const ATTEMPTS: usize = 3;

/// Attempts until one holds its bar. An error says by how much the bar was missed.
pub(crate) fn hold(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut misses = Vec::new();
    while let Err(miss) = attempt() {
        eprintln!("missed: {miss}");
        misses.push(miss);
        assert!(misses.len() < ATTEMPTS, "missed each time: {misses:#?}");
    }
}

/// `Ok` if the bar holds, and else what was measured.
pub(crate) fn bar(holds: bool, measured: impl core::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(measured.to_string()) }
}
