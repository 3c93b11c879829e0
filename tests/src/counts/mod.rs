//! How many instructions the core takes for what a busy connection does all the time, and whether
//! that became more.
//!
//! | file | what it is |
//! |---|---|
//! | [`hot`] | the four paths, and where they are counted |
//! | [`world`] | two connections at full pace, which walk them |
//! | [`plain`] | a cipher that costs nothing, so that only our own code is counted |
//! | [`callgrind`] | the counting |
//! | [`figures`] | the committed figures, and what new ones mean |
//!
//! Not a measure of time: a cache miss or a mispredicted branch costs more than many instructions.

pub mod callgrind;
pub mod figures;
pub mod hot;
pub mod plain;
pub mod world;
