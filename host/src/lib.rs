//! ropewalk on PCs.

pub mod crypto;
