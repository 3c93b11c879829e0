//! What a run of the lab leaves: a table on the terminal, `results.json`, and the plots.

use super::plot::Plot;
use super::scenario::Check;
use core::fmt::Write as _;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The scenario.
    pub scenario: &'static str,
    /// What was measured, with its unit.
    pub what: &'static str,
    /// The links or the event.
    pub row: String,
    /// Who was measured, or a bound.
    pub column: String,
    /// The number.
    pub value: f64,
}

/// Everything that scenarios found.
#[derive(Debug, Default)]
pub struct Results {
    /// What had to hold.
    pub checks: Vec<Check>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What can be looked at.
    pub plots: Vec<Plot>,
    /// Who was left out, and why.
    pub skipped: Vec<String>,
}

impl Results {
    /// Whether everything held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// Adds what another scenario found.
    pub fn append(&mut self, mut other: Self) {
        self.checks.append(&mut other.checks);
        self.figures.append(&mut other.figures);
        self.plots.append(&mut other.plots);
        other.skipped.retain(|word| !self.skipped.contains(word));
        self.skipped.append(&mut other.skipped);
    }

    /// The figures as tables, a line for each row and a column for each peer.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        let titles = distinct(self.figures.iter().map(|figure| (figure.scenario, figure.what)));
        for (scenario, what) in titles {
            let of_table = || {
                self.figures
                    .iter()
                    .filter(move |figure| (figure.scenario, figure.what) == (scenario, what))
            };
            let rows = distinct(of_table().map(|figure| figure.row.as_str()));
            let columns = distinct(of_table().map(|figure| figure.column.as_str()));
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    let cell = |column: &&str| {
                        let here =
                            |figure: &&Figure| figure.row == *row && figure.column == *column;
                        span(of_table().filter(here).map(|figure| figure.value))
                    };
                    columns.iter().map(cell).collect()
                })
                .collect();
            let _ = writeln!(text, "\n{scenario}: {what}");
            text.push_str(&aligned(&rows, &columns, &cells));
        }
        text
    }

    /// Writes `results.json` and the plots into `folder`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, folder: &Path, command: &str) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let checks: Vec<Value> = self.checks.iter().map(Check::to_json).collect();
        let figures: Vec<Value> = self.figures.iter().map(Figure::to_json).collect();
        let results = json!({
            "passed": self.passed(), "command": command, "when": now(), "machine": machine(),
            "checks": checks, "figures": figures, "skipped": self.skipped,
        });
        std::fs::write(folder.join("results.json"), format!("{results:#}\n"))?;
        for plot in &self.plots {
            std::fs::write(folder.join(format!("{}.svg", plot.name)), plot.chart.to_svg())?;
        }
        Ok(())
    }
}

impl Figure {
    fn to_json(&self) -> Value {
        let Self { scenario, what, row, column, value } = self;
        json!({ "scenario": scenario, "what": what, "row": row, "column": column, "value": value })
    }
}

/// Without repetitions, in the order of the first appearance.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for each in all {
        if !seen.contains(&each) {
            seen.push(each);
        }
    }
    seen
}

/// One number as it is, several as `least-most`, none as a dash.
fn span(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (least.min(*v), most.max(*v)));
    let digits = if most >= 1_000.0 {
        0
    } else if most >= 10.0 {
        1
    } else {
        2
    };
    match values.len() {
        0 => "-".to_owned(),
        1 => format!("{least:.digits$}"),
        _ => format!("{least:.digits$}-{most:.digits$}"),
    }
}

fn aligned(rows: &[&str], columns: &[&str], cells: &[Vec<String>]) -> String {
    let first = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = cells.iter().filter_map(|row| row.get(index)).map(String::len);
            cells.chain([column.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |head: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut line = format!("  {head:<first$}");
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(line, "  {cell:>width$}");
        }
        line + "\n"
    };
    let mut text = line("", &mut columns.iter().copied());
    for (row, cells) in rows.iter().zip(cells) {
        text += &line(row, &mut cells.iter().map(String::as_str));
    }
    text
}

fn now() -> String {
    // Numbers need a date that people can read; `date` has calendars, we have not.
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    date.ok().map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{} s since 1970", since.as_secs())
        },
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// What the figures depend on.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    json!({
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "processor": model.map(|model| model.trim_start_matches([' ', '\t', ':'])),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "load_at_the_end": read("/proc/loadavg").trim(),
        "congestion_control": super::peer::congestion_controls().first(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(row: &str, column: &str, value: f64) -> Figure {
        let (row, column) = (row.to_owned(), column.to_owned());
        Figure { scenario: "rates", what: "goodput, Mbit/s", row, column, value }
    }

    #[test]
    fn a_table_shows_spans_and_gaps() {
        let figures = vec![
            figure("S1", "ropewalk", 139.1),
            figure("S1", "TCP", 94.0),
            figure("S1", "ropewalk", 138.24),
            figure("S10", "ropewalk", 9.123),
        ];
        let tables = Results { figures, ..Results::default() }.tables();
        let expected = "\nrates: goodput, Mbit/s\n\
                        \x20         ropewalk   TCP\n\
                        \x20 S1   138.2-139.1  94.0\n\
                        \x20 S10         9.12     -\n";
        assert_eq!(tables, expected);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results { figures: vec![figure("S1", "noq", 1.0)], ..Results::default() };
        results.write(folder.path(), "lab run rates").unwrap();
        let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["passed"], &value["figures"][0]["column"]),
            (&json!(true), &json!("noq"))
        );
    }
}
