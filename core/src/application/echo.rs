//! A stream of this service brings back, in order, every byte that was written to it, and ends when
//! the writer's half has ended and all of it is back. It has no framing of its own.

/// The name of the service.
pub const SERVICE: &str = "echo";
