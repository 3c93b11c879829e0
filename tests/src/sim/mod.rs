//! A world in one process: nodes, links and a clock, all from one seed.
//!
//! ```text
//!  node 0 (dialer)                       node 1 (responder)
//!  Connection --poll_transmit--> Wire[i] --arrival--> handle_datagram
//!             <--handle_datagram-- Wire[i] <--poll_transmit--
//! ```
//!
//! The clock jumps from event to event; nothing sleeps, nothing is random but the seed. The same
//! seed gives the same bytes, so every failure is a line that can be pasted.

pub mod act;
pub mod cadence;
pub mod draw;
mod half;
mod messages;
pub mod net;
pub mod node;
pub mod oracle;
pub mod plan;
pub mod report;
mod stall;
pub mod storage;
pub mod swarm;
mod traffic;
pub mod world;

pub use act::Act;
pub use cadence::{Cadence, Lateness};
pub use net::{Direction, LinkSpec};
pub use oracle::completion_bound;
pub use plan::{HalfPlan, MessagePlan, Pace, StreamPlan};
pub use report::Report;
pub use storage::VecStorage;
pub use world::World;
