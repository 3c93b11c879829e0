//! Rank 2: what the project's own programs say to one another, so that a board and a PC read it
//! from one definition.
//!
//! | file | what |
//! |---|---|
//! | [`mod@bench`] | the measurements' services and their outcomes |
//! | [`echo`] | the service that sends back what it hears |
//! | [`telemetry`] | what a board tells of itself |
//! | [`settings`] | what a board is told before its first boot |
//! | [`ticket`] | a ticket's text: a node, the way to it and the right to enter |
//!
//! The protocol knows nothing of these: they are bytes of streams, files and lines of text.

pub mod bench;
pub mod echo;
pub mod settings;
pub mod telemetry;
pub mod ticket;
