//! Rank 0: containers over lent memory. Fixed or growing between calls is the lender's business.

pub mod blocks;
pub mod chain;
pub mod ranges;
pub mod slots;
