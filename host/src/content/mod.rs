//! What a file is: its pieces, the tree of their hashes, and one root over all of them.
//!
//! Whoever knows the root, the 32 bytes that `b3sum` prints, can take the file from anybody, piece by piece and from
//! many at once, and needs to believe none of them: each piece of 1 MiB is proven by itself. A folder is a
//! manifest, which is a file too.
//!
//! ```text
//! serving    file ── build ──> tree of hashes ── outboard: kept on the disk ──> groups of hashes ┐
//!            folder ── manifest ── offer ──> catalog                                             │ anything
//! fetching   root ── proven: a few groups, each proven as it comes <──────────────────────────── ┘ in between
//!            piece ── its hash is the one proven, or whoever gave it lied
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`piece`] | how a file falls into pieces, and the hash of each |
//! | [`tree`] | how pieces join into the root, in groups that prove themselves |
//! | [`proven`] | the part of a tree that whoever fetches holds |
//! | [`position`] | reading and writing at a place of a file |
//! | [`steady`] | a file that must not change while it is read in parts |
//! | [`build`] | hashing a file into its tree, by several threads |
//! | [`outboard`] | the trees of files that are offered, kept on the disk |
//! | [`manifest`] | what is in a folder, in one pass |
//! | [`catalog`] | what a server offers: items with their roots |
//! | [`offer`] | making an item of a file or folder |
//! | [`sidecar`] | an item and its hashes in a small file, to lie beside a mirror |
//!
//! The arrows point up in this table. Nothing here speaks to a network, decides which piece comes from
//! whom, writes what was fetched, or says anything to a person. All of it blocks and belongs into threads for that.

pub mod build;
pub mod catalog;
pub mod manifest;
pub mod offer;
pub mod outboard;
pub mod piece;
pub mod position;
pub mod proven;
pub mod sidecar;
pub mod steady;
pub mod tree;

mod draft;
