//! The transports that ropewalk is measured against, on the same links in the same run.
//!
//! Each one plays a sink on B and a source on A, prints the JSON lines of `ropewalk bench`, and is
//! left out with a word where it cannot run: [`Peer::missing`] says why.

pub mod built;
pub mod mptcp;
pub mod node;
pub mod socket;
pub mod tally;

use core::fmt::{self, Display};
use core::net::SocketAddr;
use std::path::PathBuf;

/// A way to get bytes from A to B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Ours, in the mode of this name.
    Ropewalk(&'static str),
    /// One TCP connection over the first link, with this congestion control.
    Tcp(String),
    /// Kernel MPTCP over all links, with this congestion control in each subflow.
    Mptcp(String),
    /// Multipath QUIC over all links.
    Noq,
    /// QUIC over the first link.
    Quinn,
}

impl Peer {
    /// TCP with each congestion control of this machine.
    #[must_use]
    pub fn tcp() -> Vec<Self> {
        congestion_controls().into_iter().map(Self::Tcp).collect()
    }

    /// MPTCP with each congestion control of this machine.
    #[must_use]
    pub fn mptcp() -> Vec<Self> {
        congestion_controls().into_iter().map(Self::Mptcp).collect()
    }

    /// Why it cannot take part here, if so.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        match self {
            Self::Ropewalk(_) | Self::Tcp(_) => None,
            Self::Mptcp(_) => mptcp::missing(),
            Self::Noq | Self::Quinn => built::program().err(),
        }
    }

    /// Whether it is a program of `tests/peers`.
    #[must_use]
    pub const fn is_built(&self) -> bool {
        matches!(self, Self::Noq | Self::Quinn)
    }

    /// Whether it means to use every link.
    #[must_use]
    pub const fn is_multipath(&self) -> bool {
        matches!(self, Self::Ropewalk(_) | Self::Mptcp(_) | Self::Noq)
    }

    /// Ropewalk's own rows are what the checks are about.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Ropewalk(_))
    }
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ropewalk("bulk") => f.write_str("ropewalk"),
            Self::Ropewalk(mode) => write!(f, "ropewalk {mode}"),
            Self::Tcp(congestion) => write!(f, "TCP {congestion}"),
            Self::Mptcp(congestion) => write!(f, "MPTCP {congestion}"),
            Self::Noq => f.write_str("noq"),
            Self::Quinn => f.write_str("quinn"),
        }
    }
}

/// What is sent from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// So many bytes, as fast as the links allow.
    Bulk {
        /// How many.
        bytes: u64,
    },
    /// Messages at a steady rate, whose lateness counts.
    Messages {
        /// A second.
        rate: u64,
        /// Bytes of each.
        size: usize,
        /// For how long.
        seconds: u64,
    },
}

impl Workload {
    /// As arguments of a peer's program.
    #[must_use]
    pub fn to_args(self) -> Vec<String> {
        match self {
            Self::Bulk { bytes } => vec!["bulk".into(), bytes.to_string()],
            Self::Messages { rate, size, seconds } => {
                vec!["messages".into(), rate.to_string(), size.to_string(), seconds.to_string()]
            }
        }
    }
}

/// One side of one measurement, as it stands on the command line of `lab peer`.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whether it counts or sends.
    pub sink: bool,
    /// MPTCP instead of TCP.
    pub multipath: bool,
    /// The sender's congestion control.
    pub congestion: Option<String>,
    /// Where the sink waits.
    pub at: SocketAddr,
    /// What is sent.
    pub workload: Workload,
}

impl Job {
    /// The arguments of `lab peer`, and their meaning: `sink|source tcp|mptcp CONGESTION ADDRESS
    /// WORKLOAD...`.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let side = if self.sink { "sink" } else { "source" };
        let protocol = if self.multipath { "mptcp" } else { "tcp" };
        let congestion = self.congestion.clone().unwrap_or_else(|| "default".into());
        let mut args = vec![side.into(), protocol.into(), congestion, self.at.to_string()];
        args.extend(self.workload.to_args());
        args
    }

    /// The other way round. `None` for anything that [`Self::to_args`] does not give.
    #[must_use]
    pub fn from_args(args: &[&str]) -> Option<Self> {
        let [side @ ("sink" | "source"), protocol @ ("tcp" | "mptcp"), congestion, at, rest @ ..] =
            args
        else {
            return None;
        };
        let workload = match rest {
            ["bulk", bytes] => Workload::Bulk { bytes: bytes.parse().ok()? },
            ["messages", rate, size, seconds] => Workload::Messages {
                rate: rate.parse().ok()?,
                size: size.parse().ok()?,
                seconds: seconds.parse().ok()?,
            },
            _ => return None,
        };
        Some(Self {
            sink: *side == "sink",
            multipath: *protocol == "mptcp",
            congestion: (*congestion != "default").then(|| (*congestion).to_owned()),
            at: at.parse().ok()?,
            workload,
        })
    }
}

/// This very program, which is a peer too.
#[must_use]
pub fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lab"))
}

/// What the kernel offers, the machine's own choice first.
#[must_use]
pub fn congestion_controls() -> Vec<String> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_{name}")).unwrap_or_default()
    };
    let chosen = read("congestion_control").trim().to_owned();
    let mut all: Vec<String> =
        read("available_congestion_control").split_whitespace().map(str::to_owned).collect();
    all.sort_by_key(|name| *name != chosen);
    all
}

/// The port on which every sink waits.
pub const PORT: u16 = 5001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_the_command_line() {
        for workload in [
            Workload::Bulk { bytes: 125_000_000 },
            Workload::Messages { rate: 100, size: 1_000, seconds: 14 },
        ] {
            for (sink, congestion) in [(true, None), (false, Some("cubic".to_owned()))] {
                let at = SocketAddr::from(([10, 77, 0, 2], PORT));
                let job = Job { sink, multipath: sink, congestion, at, workload };
                let args = job.to_args();
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let back = Job::from_args(&args).expect("it was written by us");
                assert_eq!((back.sink, back.multipath), (sink, sink));
                assert_eq!((back.congestion, back.at), (job.congestion, at));
                assert_eq!(back.workload, workload);
            }
        }
        assert!(Job::from_args(&["sink", "tcp", "bbr", "nowhere", "bulk", "1"]).is_none());
    }
}
