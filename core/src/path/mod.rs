//! Rank 3: the multipath policy. What the project exists for.
//!
//! ```text
//!  links come and go ----> pairs -----> probe -----> state ----> schedule ----> packets
//!  both sides' addresses   which pair   is it         is it       which path
//!  (advertise)             is next?     there?        alive?      is next?
//!                                                      ^
//!                                                 failover: silent for how long?
//! ```
//!
//! | question | file |
//! |---|---|
//! | Which path gets the next packet? | `schedule`; `backup`, `redundant` |
//! | What does a path really deliver? | `throughput` |
//! | What does its loss cost in time? | `loss` |
//! | When is a silent path suspect, when down, how is it probed? | `failover` |
//! | For how long has it been silent? | `silence` |
//! | What follows from what for a path's state? | `state` |
//! | Is a path that came back to be relied on? | `trust` |
//! | Where does a repair symbol go? | `elsewhere` |
//! | Which link should be joined with which address? | `pairs` |
//! | Is the peer really at that address? | `probe` |
//! | How long may a packet be? | `mtu` |
//! | Who can be reached where? | `advertise` |
//! | How much may a link still carry? | `quota` |
//! | What was the peer told of our paths? | `told` |
//! | What belongs to one path? | `path` |
//!
//! To see the policy in a minute, read the head of `schedule`, then that of `failover`; each rule
//! is one function, and the tests below it are tables of situations and answers. What the rules
//! achieve together is measured in `tests/tests/matrix.rs`.
//!
//! Everything here is pure: time, numbers and lists in, an answer out. The connection asks and
//! obeys.

mod advertise;
mod backup;
mod elsewhere;
mod failover;
mod loss;
mod mtu;
mod pairs;
#[expect(clippy::module_inception, reason = "the room is named after its main concept")]
mod path;
mod probe;
#[cfg(feature = "quota")]
mod quota;
#[cfg(not(feature = "quota"))]
#[path = "unmetered.rs"]
mod quota;
mod redundant;
mod schedule;
mod silence;
mod state;
mod throughput;
mod told;
mod trust;

pub use advertise::{Advertise, Remotes};
pub use backup::{Member, in_use, prefer};
pub use elsewhere::elsewhere;
pub use loss::LossRate;
pub use mtu::{BASE_IPV4, Mtu, Search, SearchInput, heads};
pub use pairs::{Failure, LocalLink, Pair, PairInUse, Tried, next_pair};
pub use path::{Acknowledged, Opening, Path, PathCounters, PathReport, Patience, Standing};
pub use probe::Validation;
pub use quota::{Meter, OnLink, Way};
pub use redundant::{Lane, copy, leader};
pub use schedule::{Backlog, Candidate, Choice, Late, choose, spread, tail};
pub use state::{PathInput, PathState};
pub use throughput::{News, Throughput};
pub use told::{Told, Word};
pub use trust::Trust;
