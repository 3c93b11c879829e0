//! Fetching a file or a folder from many sources at once.
//!
//! | part | what it is |
//! |---|---|
//! | [`peer`] | a ropewalk server as a source |
//!
//! What is asked of whom, and what becomes of it on the disk, is not here yet.

pub mod peer;
