//! What the real program must show on real kernels: each scenario runs `ropewalk` on the lab's two
//! machines, bends the links under it, and holds what came out against a budget.
//!
//! The budgets are promises of the project, written down where they are checked. Run them with
//! `cargo run --release -p ropewalk-tests --bin lab -- run NAME` (root).

mod addresses;
mod flood;
mod links;
mod mtu;
mod process;
mod rates;
mod transfer;

use core::fmt::{self, Display};
use serde_json::{Value, json};
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

impl Scenario {
    /// Runs it with this program, and gives every check with its outcome. What keeps it from
    /// ending is one more failed check, not an error of ours.
    #[must_use]
    pub fn run(&self, program: &Path) -> Vec<Check> {
        let mut stage = match Stage::new(self.name, program) {
            Ok(stage) => stage,
            Err(error) => return vec![Check::failed(self.name, &error)],
        };
        if let Err(error) = (self.run)(&mut stage) {
            stage.checks.push(Check::failed(self.name, &error));
        }
        if stage.checks.iter().all(|check| check.passed) {
            let _ = std::fs::remove_dir_all(&stage.folder);
        } else {
            println!("kept for a look: {}", stage.folder.display());
        }
        stage.checks
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
        name: "mtu",
        about: "links of 576, 1,280 and 1,500 bytes, and one that shrinks",
        run: mtu::all,
    },
    Scenario {
        name: "flood",
        about: "50,000 first messages a second, forged, half-made and replayed, beside a transfer",
        run: flood::all,
    },
    Scenario { name: "rates", about: "goodput on the links S1 to S7", run: rates::all },
];

/// One thing that had to hold, and whether it did.
#[derive(Clone, Debug)]
pub struct Check {
    /// The scenario.
    pub scenario: String,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub measured: String,
    /// What was asked for.
    pub budget: String,
    /// Whether it held.
    pub passed: bool,
}

impl Check {
    fn failed(scenario: &str, error: &io::Error) -> Self {
        Self {
            scenario: scenario.to_owned(),
            what: "ran to its end".to_owned(),
            measured: error.to_string(),
            budget: String::new(),
            passed: false,
        }
    }

    /// As an object of `results.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario, "check": self.what, "measured": self.measured,
            "budget": self.budget, "passed": self.passed,
        })
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "ok" } else { "FAIL" };
        let Self { scenario, what, measured, budget, .. } = self;
        write!(f, "{verdict:<5} {scenario:<16} {what:<44} {measured:>24}   {budget}")
    }
}

/// Where a scenario plays: the program, a folder of its own, and what was found so far.
pub struct Stage {
    scenario: &'static str,
    program: PathBuf,
    folder: PathBuf,
    checks: Vec<Check>,
}

impl Stage {
    fn new(scenario: &'static str, program: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("lab-{scenario}-")).tempdir()?.keep();
        Ok(Self { scenario, program: program.to_owned(), folder, checks: Vec::new() })
    }

    /// Notes that `measured` must be at least `least`.
    fn at_least(&mut self, what: &str, measured: f64, least: f64, unit: &str) {
        self.note(what, measured, measured >= least, format!(">= {least} {unit}"));
    }

    /// Notes that `measured` must be at most `most`.
    fn at_most(&mut self, what: &str, measured: f64, most: f64, unit: &str) {
        self.note(what, measured, measured <= most, format!("<= {most} {unit}"));
    }

    fn note(&mut self, what: &str, measured: f64, passed: bool, budget: String) {
        self.push(what, format!("{measured:.1}"), budget, passed);
    }

    /// Notes something that either holds or does not.
    fn holds(&mut self, what: &str, passed: bool) {
        self.push(what, if passed { "yes" } else { "no" }.to_owned(), String::new(), passed);
    }

    fn push(&mut self, what: &str, measured: String, budget: String, passed: bool) {
        let check = Check {
            scenario: self.scenario.to_owned(),
            what: what.to_owned(),
            measured,
            budget,
            passed,
        };
        println!("{check}");
        self.checks.push(check);
    }
}
