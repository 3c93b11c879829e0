//! ropewalk: every link that two machines share, laid into one encrypted connection.

pub mod admission;
pub mod base32;
pub mod bench;
pub mod chart;
pub mod cli;
pub mod clock;
pub mod connection;
pub mod crypto;
pub mod demo;
mod driver;
pub mod endpoint;
pub mod home;
pub mod human;
pub mod identity;
pub mod key_text;
pub mod link;
pub mod message;
pub mod peer;
pub mod peers;
pub mod place;
pub mod random;
mod storage;
pub mod stream;
pub mod ticket;
pub mod tickets;
pub mod transfer;
pub mod words;
