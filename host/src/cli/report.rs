//! Where a command's words go: data on standard output, all else on standard error, and both to the log.
//!
//! With `--json`, standard output carries one [`Line`] a line and nothing else. The log takes the same
//! lines, each with its time.

pub use super::line::{EchoPath, Line, LinkLine, PathLine};

use super::exit::{Code, Failure};
use crate::human;
use indicatif::MultiProgress;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Where words go.
#[derive(Debug)]
pub struct Report {
    json: bool,
    log: Option<Mutex<File>>,
    bars: Option<MultiProgress>,
    /// Whether what is printed and what is drawn share a terminal.
    shares_terminal: bool,
}

#[derive(Serialize)]
struct Stamped<'l> {
    time: String,
    #[serde(flatten)]
    line: &'l Line<'l>,
}

impl Report {
    /// `json`: lines for programs on standard output. `log`: a file to append them to.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn new(json: bool, log: Option<&Path>) -> Result<Self, Failure> {
        let log = log.map(open_log).transpose()?;
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let shares_terminal = io::stdout().is_terminal();
        Ok(Self { json, log, bars, shares_terminal })
    }

    /// For people alone, and no log.
    #[must_use]
    pub const fn plain() -> Self {
        Self { json: false, log: None, bars: None, shares_terminal: false }
    }

    /// Where progress is drawn; nowhere unless standard error is a terminal.
    #[must_use]
    pub const fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// For programs: on standard output with `--json`, and in the log.
    pub fn line(&self, line: &Line<'_>) {
        if self.json
            && let Ok(text) = serde_json::to_string(line)
        {
            self.print(&text);
        }
        // Whoever reads a log need not be let in.
        let line = if let Line::Ticket { .. } = line {
            &Line::Ticket { ticket: "not logged" }
        } else {
            line
        };
        if let Some(log) = &self.log
            && let Ok(mut text) =
                serde_json::to_vec(&Stamped { time: human::timestamp(SystemTime::now()), line })
        {
            text.push(b'\n');
            // One write a line, so that two processes may share a log. A log that fails stops nothing.
            let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
        }
    }

    /// For people: on standard output, unless that is for programs.
    pub fn show(&self, text: &str) {
        if !self.json {
            self.print(text);
        }
    }

    /// A line that another process made as this one is to print it, `json` or words. Nothing in it steers a terminal.
    pub fn pass(&self, text: &str, json: bool) {
        self.print(&if json { shown_in_json(text) } else { crate::transfer::shown(text) });
    }

    /// For people: on standard error, above any bars. Control characters do not get through.
    pub fn say(&self, text: &str) {
        let text = crate::transfer::shown(text);
        self.aside(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// The command's bad end.
    pub fn fail(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let text = if failure.code == Code::Interrupted { "" } else { "error: " };
        self.say(&format!("{text}{}", failure.message));
        self.line(&Line::Error { code: failure.code as u8, message: &failure.message });
    }

    /// A reader that has gone is no reason to fail.
    fn print(&self, text: &str) {
        let print = || {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        };
        // A pipe may be stuck, which must not stop whoever draws.
        if self.shares_terminal { self.aside(print) } else { print() }
    }

    fn aside(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

/// As [`crate::transfer::shown`], and JSON still: there such a character is written by its number.
fn shown_in_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        let mut bytes = [0; 4];
        if crate::transfer::shown(sign.encode_utf8(&mut bytes)).starts_with('\\') && sign != '\\' {
            let mut units = [0; 2];
            for unit in sign.encode_utf16(&mut units) {
                shown += &format!("\\u{unit:04x}");
            }
        } else {
            shown.push(sign);
        }
    }
    shown
}

fn open_log(path: &Path) -> Result<Mutex<File>, Failure> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path);
    let why = |cause| {
        format!("cannot open the log {}: {cause}; name another file with --log", path.display())
    };
    opened.map(Mutex::new).map_err(|cause| Failure::new(Code::Failed, why(cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_appended_to_and_each_line_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for _ in 0..2 {
            let report = Report::new(false, Some(&path)).unwrap();
            report.line(&Line::Ticket { ticket: "rope1secret" });
            report.line(&Line::Message { text: "a\nb" });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(
            (lines[3]["event"].as_str(), lines[3]["text"].as_str()),
            (Some("message"), Some("a\nb"))
        );
        assert!(lines[0]["time"].as_str().is_some_and(|time| time.ends_with('Z')));
    }

    #[test]
    fn json_of_another_process_stays_json_and_steers_no_terminal() {
        let name = "a\u{202e}b\u{7f}\u{9b}\\ü\u{1f600}\"";
        let text = serde_json::to_string(&Line::Message { text: name }).unwrap();
        let shown = shown_in_json(&text);
        assert!(!shown.contains(['\u{202e}', '\u{7f}', '\u{9b}']) && shown.contains("\\u202e"));
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["text"], name);
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let error = Report::new(false, Some(Path::new("/no/such/folder/log"))).unwrap_err();
        assert!(error.message.contains("/no/such/folder/log"), "{}", error.message);
    }
}
