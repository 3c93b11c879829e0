//! Fetching a file from many sources at once.
//!
//! | part | what it is |
//! |---|---|
//! | [`peer`] | a ropewalk server as a source |
//! | [`plan`] | the works of a file, each group of hashes before the pieces that it proves |
//! | [`mod@file`] | one file: events of sources in, requests out, proved pieces onto the disk |
//!
//! Which connections lead to sources, and when one that broke is tried again, is not here yet.

pub mod file;
pub mod peer;
pub mod plan;
