//! The firmware in QEMU, with this process as the wire: no root, no bridge, each Ethernet frame one datagram of a
//! unix socket, each serial line a unix stream. The other end is the core over the same IP stack
//! that the boards use, so that frames, lines and clocks are all in this file's hands.
//!
//! Without QEMU 7.2, or without the compiler's target for a board, the tests say so and pass: CI
//! installs both. What needs root, the real program on TAP devices, is the lab's.
#![cfg(target_os = "linux")]

mod bars;
mod image;
mod machine;
mod peer;
mod settings;
mod wire;

mod bad_input;
mod cost;
mod failover;
#[cfg(feature = "lab")]
mod real;
mod soak;
mod start;
