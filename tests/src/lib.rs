//! What the tests of ropewalk share.

#[cfg(target_os = "linux")]
pub mod lab;
pub mod proof;
