//! One thing that must hold, and the place where a scenario plays.

use super::super::peer::Peer;
use super::super::plot::Plot;
use super::super::results::{Figure, Results};
use super::Options;
use core::fmt::{self, Display};
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;

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
    pub(super) fn failed(scenario: &str, error: &io::Error) -> Self {
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

/// Where a scenario plays: how, a folder of its own, and what was found so far.
pub struct Stage {
    pub(super) scenario: &'static str,
    pub(super) options: Options,
    pub(super) folder: PathBuf,
    results: Results,
}

impl Stage {
    pub(super) fn new(scenario: &'static str, options: &Options) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("lab-{scenario}-")).tempdir()?.keep();
        Ok(Self { scenario, options: options.clone(), folder, results: Results::default() })
    }

    /// What was found; the folder is kept if something did not hold.
    pub(super) fn end(self) -> Results {
        if self.results.passed() {
            let _ = std::fs::remove_dir_all(&self.folder);
        } else {
            println!("kept for a look: {}", self.folder.display());
        }
        self.results
    }

    /// Those of `peers` that can take part here, ours first; the others are noted as skipped.
    /// A quick run does with those that need not be built.
    pub(super) fn present(&mut self, ours: &[Peer], others: &[Peer]) -> Vec<Peer> {
        let mut present = ours.to_vec();
        let others = if self.options.peers { others } else { &[] };
        for peer in others {
            if self.options.quick && peer.is_built() {
                self.skip(peer, "left out of quick runs");
                continue;
            }
            match peer.missing() {
                None => present.push(peer.clone()),
                Some(why) => self.skip(peer, &why),
            }
        }
        present
    }

    /// Notes that a peer is left out.
    pub(super) fn skip(&mut self, peer: &impl Display, why: &str) {
        let word = format!("{peer}: {why}");
        if !self.results.skipped.contains(&word) {
            println!("SKIPPED {word}");
            self.results.skipped.push(word);
        }
    }

    /// Whether the program's answer to these arguments has this word in it.
    pub(super) fn program_says(&self, args: &[&str], word: &str) -> bool {
        let output = std::process::Command::new(&self.options.program).args(args).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(word))
    }

    /// Notes a number.
    pub(super) fn figure(
        &mut self,
        what: &'static str,
        row: &str,
        column: impl Display,
        value: f64,
    ) {
        let (row, column) = (row.to_owned(), column.to_string());
        println!("      {row:<38} {column:<18} {value:>9.2}   {what}");
        self.results.figures.push(Figure { scenario: self.scenario, what, row, column, value });
    }

    /// Notes a picture.
    pub(super) fn plot(&mut self, plot: Plot) {
        self.results.plots.push(plot);
    }

    /// Notes that `measured` must be at least `least`.
    pub(super) fn at_least(&mut self, what: &str, measured: f64, least: f64, unit: &str) {
        let least = if self.options.quick { least * LOOSE_LEAST } else { least };
        self.note(what, measured, measured >= least, format!(">= {least:.1} {unit}"));
    }

    /// Notes that `measured` must be at most `most`.
    pub(super) fn at_most(&mut self, what: &str, measured: f64, most: f64, unit: &str) {
        let most = if self.options.quick { most * LOOSE_MOST } else { most };
        self.note(what, measured, measured <= most, format!("<= {most:.1} {unit}"));
    }

    /// The same with two more digits, for seconds.
    pub(super) fn at_most_exactly(&mut self, what: &str, measured: f64, most: f64, unit: &str) {
        let most = if self.options.quick { most * LOOSE_MOST } else { most };
        let (text, passed) = (format!("{measured:.3}"), measured <= most);
        self.push(what, text, format!("<= {most:.3} {unit}"), passed);
    }

    fn note(&mut self, what: &str, measured: f64, passed: bool, budget: String) {
        self.push(what, format!("{measured:.1}"), budget, passed);
    }

    /// Notes something that either holds or does not.
    pub(super) fn holds(&mut self, what: &str, passed: bool) {
        self.push(what, if passed { "yes" } else { "no" }.to_owned(), String::new(), passed);
    }

    /// Notes what kept it from going on.
    pub(super) fn fail(&mut self, error: &io::Error) {
        self.push("ran to its end", error.to_string(), String::new(), false);
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
        self.results.checks.push(check);
    }
}

/// In a quick run on a machine that does other things too, a rate may be so much lower ...
const LOOSE_LEAST: f64 = 0.75;
/// ... and a latency or a cost so much higher.
const LOOSE_MOST: f64 = 4.0;
