//! Rank 0: containers over lent memory. Fixed or growing between calls is the lender's business.

pub mod blocks;
pub mod chain;
pub mod ranges;
pub mod slots;
pub mod table;

/// Copies as much of `from` as there is and fits; returns how much. On boards there is one such
/// function, in which the compiler sees that the lengths are equal, and not one at each place.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(not(target_pointer_width = "32"), inline)]
pub fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let len = from.len().min(into.len());
    if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
        into.copy_from_slice(from);
    }
    len
}
