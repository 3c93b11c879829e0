//! What runs on every board: the core over all its links, without an allocator, an executor or a
//! line that names a chip.
//!
//! ```text
//!  board: Clock, Entropy, Store, Watchdog            links: Ethernet (stack), Serial
//!    └─ start: settings, boot counter, seeds            │ report, send, receive
//!         └─ Node ── turn ─────────────────────────────┘
//!              ├─ Listener: who comes in
//!              ├─ Seat: a connection and its memory, one for each
//!              │    └─ Services: bench, echo, telemetry
//!              └─ Dials: whom the settings say to call
//! ```
//!
//! A board builds its links, calls [`start::start`] once and then [`node::Node::turn`] for ever. A turn
//! takes a bounded number of datagrams from each link, moves every connection on, and sends a
//! bounded number: how long the longest has taken so far is part of the telemetry.
//!
//! | file | what |
//! |---|---|
//! | [`board`] | what a board must supply: time, randomness, memory that stays, a watchdog |
//! | [`link`] | what a link must do: the trait to implement for a new one |
//! | [`stack`] | an Ethernet card as a link: the one file that names the IP stack |
//! | [`serial`] | a serial line as a link |
//! | [`start`] | from power-on to an identity: settings, seeds, the ticket |
//! | [`node`] | the loop's turn: routes between links, listener and connections |
//! | [`seat`] | one connection, its memory and its services |
//! | [`dials`] | when to call whom |
//! | [`services`] | what a board answers, and what it tells of itself |

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod log;

pub mod board;
pub mod dials;
pub mod link;
pub mod node;
pub mod seat;
pub mod serial;
pub mod services;
pub mod stack;
pub mod start;
