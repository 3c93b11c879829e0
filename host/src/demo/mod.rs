//! The main job on one machine.

pub mod emulator;
pub mod outcome;
