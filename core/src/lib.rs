//! ropewalk-core: one encrypted connection over every link that two machines share.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod carried;
pub mod config;
pub mod connection;
pub mod crypto;

pub mod error;
pub mod id;
pub mod packet_number;
pub mod path;
pub mod recovery;
pub mod storage;
pub mod stream;
pub mod time;
pub mod wire;
