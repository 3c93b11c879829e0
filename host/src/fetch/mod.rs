//! One content from many sources: who is asked for which part of it.
//!
//! ```text
//!               work, in order                 a request                      bytes, pieces, failures
//!   a list  ─────────────────────▶  Schedule ─────────────▶  sources (not here) ─────────┐
//!                                      ▲                                                 │
//!                                      └─────────────────────────────────────────────────┘
//!
//!   a piece      waiting ──asked──▶ under way ──whole and proved──▶ done
//!                   ▲                   │
//!                   └─── its source ────┘
//!                    falls silent, is lost, lies, or has not got it
//! ```
//!
//! [`schedule`] is state without input or output, like the protocol core: it is told what happened
//! and asked what to do, time is an argument, and a simulator in its tests plays hours of bad luck
//! in seconds. [`partial`] is the file on the disk until it is whole: it survives a kill at any moment, since
//! what an earlier `get` left is taken up by proof and not by any record of it. Files of one piece go through
//! [`staging`], which makes a thousand of them durable at once; a [`folder`] tells whether `get` made it.
//!
//! This is no network: what a source is (a ropewalk peer, a mirror) and how one comes back is for
//! whoever drives it. Nor does it know what content is right: the driver proves each piece.

pub mod folder;
pub mod partial;
pub mod reserved;
pub mod schedule;
pub mod staging;
