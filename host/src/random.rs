//! Random bytes from the system.

/// Fills `bytes`.
///
/// # Panics
/// When the system has no randomness to give; no key could be safe then.
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system gives random bytes");
}

/// A random array.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A random number.
#[must_use]
pub fn u32() -> u32 {
    u32::from_le_bytes(bytes())
}
