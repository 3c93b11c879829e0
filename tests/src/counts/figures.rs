//! The committed figures, and the verdict on new ones.
//!
//! ```text
//! # a comment
//! compiler rustc 1.95.0 (59807616e 2026-04-14)
//! host x86_64-unknown-linux-gnu
//! open 1234
//! ```
//!
//! Instructions are what a compiler makes of the code, so the figures hold for one compiler and one
//! kind of processor; with another, they are compared and nothing fails.

use core::fmt;

/// What was counted, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The compiler and the kind of machine.
    pub origin: Origin,
    /// Hot path and instructions.
    pub counts: Vec<(String, u64)>,
}

/// What figures depend on beside the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// As `rustc -V` names itself.
    pub compiler: String,
    /// As the compiler names the machine.
    pub host: String,
}

/// One hot path, then and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Its name.
    pub name: String,
    /// Instructions now.
    pub now: u64,
    /// Instructions when they were last recorded, if ever.
    pub committed: Option<u64>,
}

/// What a comparison means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Same,
    /// It costs less than was recorded, and the record should say so.
    Cheaper,
    /// It costs more: this fails.
    Dearer,
    /// There is no record: this fails as well.
    Unrecorded,
}

impl Figures {
    /// Reads the file.
    ///
    /// # Errors
    /// The line that is not understood, or what is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut compiler, mut host, mut counts) = (None, None, Vec::new());
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("{line:?} is not a name and a figure");
            match line.split_once(' ').ok_or_else(wrong)? {
                ("compiler", name) => compiler = Some(name.to_owned()),
                ("host", name) => host = Some(name.to_owned()),
                (name, count) => {
                    let count = count.trim().parse().ok().filter(|count| *count > 0);
                    counts.push((name.to_owned(), count.ok_or_else(wrong)?));
                }
            }
        }
        let compiler = compiler.ok_or("no line names the compiler")?;
        let host = host.ok_or("no line names the host")?;
        Ok(Self { origin: Origin { compiler, host }, counts })
    }

    /// Puts these figures beside the committed ones, in this order.
    #[must_use]
    pub fn against(&self, committed: &Self) -> Vec<Comparison> {
        let recorded = |name: &str| committed.counts.iter().find(|(known, _)| known == name);
        let compare = |(name, now): &(String, u64)| Comparison {
            name: name.clone(),
            now: *now,
            committed: recorded(name).map(|(_, count)| *count),
        };
        self.counts.iter().map(compare).collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions of the hot paths (tests/src/counts). Rewritten by")?;
        writeln!(f, "#   {REWRITE}")?;
        writeln!(f, "compiler {}\nhost {}", self.origin.compiler, self.origin.host)?;
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{name} {count}"))
    }
}

impl Origin {
    /// From what `rustc -vV` prints.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        let compiler = version.lines().next()?.to_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Self { compiler, host })
    }
}

impl Comparison {
    /// What it means.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        let Some(committed) = self.committed else { return Verdict::Unrecorded };
        let (now, then) = (self.now as u128 * 100, committed as u128);
        if now > then * (100 + TOLERANCE_PERCENT) {
            Verdict::Dearer
        } else if now < then * (100 - TOLERANCE_PERCENT) {
            Verdict::Cheaper
        } else {
            Verdict::Same
        }
    }

    /// What to tell whoever changed the code, if anything.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let Self { name, now, .. } = self;
        let then = self.committed.unwrap_or(0);
        match self.verdict() {
            Verdict::Same => None,
            Verdict::Dearer => Some(format!(
                "{name} takes {now} instructions, more than {TOLERANCE_PERCENT} % above the \
                 committed {then}. If it is worth that, record it and say why: {REWRITE}"
            )),
            Verdict::Cheaper => Some(format!(
                "{name} takes {now} instructions, the committed figure is {then}. Record it, so \
                 that it stays so: {REWRITE}"
            )),
            Verdict::Unrecorded => Some(format!(
                "{name} takes {now} instructions, and no figure is committed. Record it: {REWRITE}"
            )),
        }
    }
}

impl Verdict {
    /// Whether a change must not come in with it.
    #[must_use]
    pub const fn fails(self) -> bool {
        matches!(self, Self::Dearer | Self::Unrecorded)
    }
}

/// A figure may be off by so much without a word (issue: "fails past +5 %").
const TOLERANCE_PERCENT: u128 = 5;
/// The command that records new figures.
pub const REWRITE: &str = "cargo run --release -p ropewalk-tests --bin counts -- --write";

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(counts: &[(&str, u64)]) -> Figures {
        let origin =
            Origin { compiler: "rustc 1.0.0 (abc 2015-05-15)".into(), host: "a-b-c".into() };
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Figures { origin, counts }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = figures(&[("open", 1_234), ("build-run", 1)]);
        assert_eq!(Figures::parse(&written.to_string()), Ok(written));
    }

    #[test]
    fn what_is_no_figure_is_named() {
        let head = "compiler rustc 1\nhost a\n";
        for line in ["open", "open many", "open -1", "open 0", "open 1 2"] {
            let error = Figures::parse(&format!("{head}{line}\n")).unwrap_err();
            assert!(error.contains(line), "{error}");
        }
        assert!(Figures::parse("host a\nopen 1\n").unwrap_err().contains("compiler"));
        assert!(Figures::parse("compiler a\nopen 1\n").unwrap_err().contains("host"));
    }

    #[test]
    fn five_percent_either_way_is_the_same() {
        let cases = [
            (1_000, Verdict::Same),
            (1_050, Verdict::Same),
            (1_051, Verdict::Dearer),
            (950, Verdict::Same),
            (949, Verdict::Cheaper),
            (u64::MAX, Verdict::Dearer),
        ];
        for (now, verdict) in cases {
            let compared = figures(&[("open", now)]).against(&figures(&[("open", 1_000)]));
            assert_eq!(compared[0].verdict(), verdict, "{now}");
            assert_eq!(verdict.fails(), verdict == Verdict::Dearer);
        }
    }

    #[test]
    fn a_failure_names_the_path_both_figures_and_the_command() {
        let compared = figures(&[("open", 1_111)]).against(&figures(&[("open", 999)]));
        let advice = compared[0].advice().unwrap();
        for part in ["open", "1111", "999", "--write"] {
            assert!(advice.contains(part), "{advice}");
        }
        assert_eq!(figures(&[("open", 1)]).against(&figures(&[("open", 1)]))[0].advice(), None);
    }

    #[test]
    fn a_path_without_a_record_fails() {
        let compared = figures(&[("open", 1)]).against(&figures(&[("close", 1)]));
        assert_eq!(compared[0].verdict(), Verdict::Unrecorded);
        assert!(compared[0].verdict().fails() && compared[0].advice().unwrap().contains("--write"));
    }

    #[test]
    fn the_compiler_tells_what_it_is() {
        let said = "rustc 1.95.0 (5980 2026)\nbinary: rustc\nhost: x86_64-linux\nrelease: 1.95.0\n";
        let origin = Origin::parse(said).unwrap();
        assert_eq!(
            (&*origin.compiler, &*origin.host),
            ("rustc 1.95.0 (5980 2026)", "x86_64-linux")
        );
        assert_eq!(Origin::parse("rustc 1.95.0\n"), None);
    }

    #[test]
    fn the_committed_figures_name_every_hot_path() {
        let committed = Figures::parse(include_str!("../../counts.txt")).unwrap();
        let names: Vec<_> = committed.counts.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, crate::counts::hot::HotPath::ALL.map(|path| path.name()));
    }
}
