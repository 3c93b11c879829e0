//! Reads the bare images of `firmware/proofs`: which panics are left in one that does not link,
//! how much flash and memory one takes, and how deep its stack can grow.
//!
//! `cargo run -p ropewalk-tests --bin proof` builds the images ([`compiler`]) and asks these questions.

pub mod compiler;
pub mod image;
pub mod panics;
pub mod sizes;
pub mod stack;
pub mod thumb;
