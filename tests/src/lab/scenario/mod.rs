//! What the real program must show on real kernels: each scenario runs `ropewalk` on the lab's two
//! machines, bends the links under it, and holds what came out against a budget; those that
//! compare run the other transports ([`Peer`](super::peer::Peer)) on the same links beside it.
//!
//! The budgets are promises of the project, written down where they are checked. Run them with
//! `cargo run --release -p ropewalk-tests --bin lab -- run NAME` (root).

mod addresses;
mod backup;
mod bloat;
mod check;
mod cost;
mod failover;
mod fair;
mod files;
mod flood;
mod gap;
mod links;
mod many;
mod matrix;
mod measure;
mod metered;
mod mtu;
mod process;
mod rates;
mod repair;
mod stalls;
mod transfer;

pub use check::{Check, Stage};

use super::results::Results;
use std::io;
use std::path::{Path, PathBuf};

/// A situation and what must hold in it.
pub struct Scenario {
    /// By what it is called on the command line.
    pub name: &'static str,
    /// What happens, in one line.
    pub about: &'static str,
    run: fn(&mut Stage) -> io::Result<()>,
}

/// How scenarios are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `ropewalk` program.
    pub program: PathBuf,
    /// How often each comparison is made.
    pub runs: usize,
    /// Less of everything, with loose bounds: to see that it works at all.
    pub quick: bool,
    /// Whether the other transports run too.
    pub peers: bool,
}

impl Options {
    /// One run of everything, with the peers.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), runs: 1, quick: false, peers: true }
    }
}

impl Scenario {
    /// Runs it, and gives everything it found. What keeps it from ending is one more failed
    /// check, not an error of ours.
    #[must_use]
    pub fn run(&self, options: &Options) -> Results {
        let mut stage = match Stage::new(self.name, options) {
            Ok(stage) => stage,
            Err(error) => {
                let checks = vec![Check::failed(self.name, &error)];
                return Results { checks, ..Results::default() };
            }
        };
        if let Err(error) = (self.run)(&mut stage) {
            stage.fail(&error);
        }
        stage.end()
    }
}

/// All of them, in the order in which they are run.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "two-links",
        about: "100 MB by `send` over 100 and 50 Mbit/s, ten times",
        run: transfer::two_links,
    },
    Scenario {
        name: "black-hole-fast",
        about: "the 100 Mbit/s link swallows everything for 4 s",
        run: |stage| links::black_hole(stage, 0),
    },
    Scenario {
        name: "black-hole-slow",
        about: "the 50 Mbit/s link swallows everything for 4 s",
        run: |stage| links::black_hole(stage, 1),
    },
    Scenario {
        name: "hostile",
        about: "5 % lost, 10 % reordered, 5 % doubled, 1 % with a flipped bit, on both links",
        run: transfer::hostile,
    },
    Scenario { name: "outage", about: "both links dead for 5 s", run: links::outage },
    Scenario {
        name: "come-and-go",
        about: "an interface is added during a transfer, and another taken out",
        run: links::come_and_go,
    },
    Scenario {
        name: "address-change",
        about: "the only address of the only link changes, on one end, then on the other",
        run: addresses::changed,
    },
    Scenario { name: "ipv6-only", about: "no IPv4 on any link", run: addresses::ipv6_only },
    Scenario {
        name: "link-local",
        about: "only link-local IPv6 addresses",
        run: addresses::link_local,
    },
    Scenario {
        name: "cable",
        about: "a veth pair is added during a transfer, deleted, and added again",
        run: addresses::cable,
    },
    Scenario { name: "memory", about: "a file of 2 GiB in 64 MiB", run: transfer::memory },
    Scenario {
        name: "rates",
        about: "goodput on the links S1 to S7, beside TCP, MPTCP and noq",
        run: rates::all,
    },
    Scenario {
        name: "failover",
        about: "messages while a link is cut, cut one way, or loses 30 %, beside MPTCP and noq",
        run: failover::all,
    },
    Scenario {
        name: "gap",
        about: "a transfer while the fast link is cut, beside MPTCP and noq",
        run: gap::all,
    },
    Scenario {
        name: "cost",
        about: "processor time for a gigabyte, beside TCP and quinn",
        run: cost::all,
    },
    Scenario {
        name: "matrix-a",
        about: "two links of equal and unequal rate and delay, as the kernel's own tests, beside MPTCP",
        run: matrix::unequal,
    },
    Scenario {
        name: "matrix-b",
        about: "one, two and three of four links go down in a transfer",
        run: matrix::failures,
    },
    Scenario {
        name: "matrix-c",
        about: "loss, bursts of it, and reordering, beside MPTCP",
        run: matrix::impaired,
    },
    Scenario {
        name: "matrix-d",
        about: "picoquic's links, sizes and events",
        run: matrix::picoquic,
    },
    Scenario {
        name: "matrix-e",
        about: "round trips 1 to 60 times and rates 1 to 50 times apart; one to eight links",
        run: matrix::apart,
    },
    Scenario {
        name: "mtu",
        about: "links of 576, 1,280 and 1,500 bytes, and one that shrinks",
        run: mtu::all,
    },
    Scenario {
        name: "flood",
        about: "50,000 first messages a second, forged, half-made and replayed, beside a transfer",
        run: flood::all,
    },
    Scenario {
        name: "fair",
        about: "a transfer beside a TCP connection on the same link, cubic and bbr",
        run: fair::all,
    },
    Scenario {
        name: "bloat",
        about: "messages beside bulk on one connection, over a queue of a second",
        run: bloat::all,
    },
    Scenario {
        name: "stalls",
        about: "a link stalls for 100 to 500 ms every 3 s, under messages and under bulk",
        run: stalls::all,
    },
    Scenario {
        name: "modes-redundant",
        about: "failover's events in the mode `redundant`, and its goodput on one link",
        run: failover::redundant,
    },
    Scenario {
        name: "modes-backup",
        about: "the link in use becomes a black hole, and is used again later",
        run: backup::all,
    },
    Scenario {
        name: "modes-repair",
        about: "1,000 messages a second over links that lose 5 %, beside bulk",
        run: repair::all,
    },
    Scenario {
        name: "modes-metered",
        about: "a metered link, and one with a quota",
        run: metered::all,
    },
    Scenario {
        name: "many",
        about: "200 connections that send at once, and 1,000 that are idle",
        run: many::all,
    },
    Scenario {
        name: "files-speed",
        about: "1 GiB by `get` from four servers of 32 MiB/s each, beside aria2",
        run: files::speed,
    },
    Scenario {
        name: "files-cost",
        about: "the same on loopback: processor time and memory, beside aria2",
        run: files::cost,
    },
    Scenario {
        name: "files-one-dies",
        about: "one of four servers is killed",
        run: files::one_dies,
    },
    Scenario {
        name: "files-all-die",
        about: "four servers are killed, and come back 10 s later",
        run: files::all_die,
    },
    Scenario {
        name: "files-killed",
        about: "`get` is killed at 20 random moments, and goes on each time",
        run: files::killed,
    },
    Scenario {
        name: "files-liar",
        about: "one of four servers lies about a piece",
        run: files::liar,
    },
    Scenario {
        name: "files-uneven",
        about: "servers behind 1, 10 and 100 Mbit/s, alone and together",
        run: files::uneven,
    },
    Scenario {
        name: "files-unplugged",
        about: "one of the client's two interfaces goes down",
        run: files::unplugged,
    },
    Scenario {
        name: "files-small",
        about: "10,000 files of 1 to 8 KiB, beside `cp -r` and `sync`",
        run: files::small,
    },
];

/// Those of `lab quick`.
pub const QUICK: &[&str] =
    &["rates", "failover", "cost", "files-one-dies", "files-all-die", "files-liar", "files-uneven"];
