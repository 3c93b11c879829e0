//! Fetching files and folders from many sources at once.
//!
//! | part | what it is |
//! |---|---|
//! | [`peer`] | a ropewalk server as a source |
//! | [`mirror`] | a web server, an object store or a file of hashes as a source |
//! | [`exchange`] | what is asked of which source, and what came of it |
//! | [`plan`], [`works`] | the works of a file, each group of hashes before the pieces that it proves |
//! | [`mod@file`] | one file: proved pieces onto the disk |
//! | [`folder`] | which files a folder has |
//! | [`job`] | many files, each into its place |
//! | `ends` | how that ends, if not well |
//! | `look`, [`budget`] | what is there already, a part each turn |
//! | [`choice`] | which of all that is offered is meant |
//! | [`source`], [`retry`] | the way to a source, and when it is tried again |
//! | [`order`], [`happened`] | what a fetch is told, and what it tells |
//! | [`run`] | all of it, from beginning to end |
//! | [`status`] | how it stands |

pub mod budget;
pub mod choice;
mod contacts;
mod ends;
pub mod exchange;
pub mod file;
pub mod folder;
pub mod happened;
pub mod job;
mod look;
pub mod mirror;
pub mod order;
pub mod peer;
pub mod plan;
pub mod retry;
pub mod run;
pub mod source;
pub mod status;
pub mod works;
