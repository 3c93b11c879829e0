//! The committed figures of `firmware/sizes.txt` and `firmware/boards/sizes.txt`, and whether new
//! ones may come in.
//!
//! ```text
//! # what the figures are, and the command that rewrites them
//! compiler rustc 1.95.0 (59807616e 2026-04-14)
//! flash 98765
//! ```
//!
//! Bytes are what a compiler makes of the code: with another than the recorded one they are printed
//! beside each other, and nothing fails. The stack is measured with another compiler than the rest,
//! whose name is recorded as `frames`.

use core::fmt;

/// Bytes, each figure under its name, and the compilers that made them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The comment that the file begins with: it stays when the figures are rewritten.
    pub head: String,
    /// `compiler`, and `frames` if there is one that tells of stack frames.
    pub compilers: Vec<(String, String)>,
    /// The figures, in their order.
    pub bytes: Vec<(String, u64)>,
}

impl Sizes {
    /// Reads the file.
    ///
    /// # Errors
    /// The line that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sizes = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() {
                continue;
            }
            if line.starts_with('#') {
                sizes.head.push_str(line);
                sizes.head.push('\n');
                continue;
            }
            let wrong = || format!("{line:?} is not a name and a figure");
            let (name, value) = line.split_once(' ').ok_or_else(wrong)?;
            let (name, value) = (name.to_owned(), value.trim());
            match value.parse() {
                Ok(bytes) => sizes.bytes.push((name, bytes)),
                Err(_) if COMPILERS.contains(&&*name) => {
                    sizes.compilers.push((name, value.to_owned()));
                }
                Err(_) => return Err(wrong()),
            }
        }
        Ok(sizes)
    }

    /// What is wrong with these figures beside the committed ones: a line for each that grew past
    /// the tolerance or was never recorded.
    #[must_use]
    pub fn complaints(&self, committed: &Self) -> Vec<String> {
        let complain = |(name, now): &(String, u64)| match committed.of(name) {
            None => Some(format!("{name}: {now} bytes, and no figure is committed; {REWRITE}")),
            Some(then) if u128::from(*now) * 100 > u128::from(then) * GROWTH => Some(format!(
                "{name}: {now} bytes, more than 2 % above the committed {then}. If it is worth \
                 that, record it and say why; {REWRITE}"
            )),
            Some(_) => None,
        };
        self.bytes
            .iter()
            .filter(|row| self.comparable(&row.0, committed))
            .filter_map(complain)
            .collect()
    }

    /// The figure of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<u64> {
        self.bytes.iter().find(|(known, _)| known == name).map(|(_, bytes)| *bytes)
    }

    /// Whether the same compiler made both figures.
    fn comparable(&self, name: &str, committed: &Self) -> bool {
        let by = if name == "stack" { COMPILERS[1] } else { COMPILERS[0] };
        let compiler = |sizes: &Self| {
            sizes.compilers.iter().find(|(known, _)| known == by).map(|(_, name)| name.clone())
        };
        compiler(self) == compiler(committed)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        self.compilers.iter().try_for_each(|(name, compiler)| writeln!(f, "{name} {compiler}"))?;
        self.bytes.iter().try_for_each(|(name, bytes)| writeln!(f, "{name} {bytes}"))
    }
}

/// By hundredths of what was recorded.
const GROWTH: u128 = 102;
const COMPILERS: [&str; 2] = ["compiler", "frames"];
const REWRITE: &str = "the file's first lines tell the command";

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(compiler: &str, bytes: &[(&str, u64)]) -> Sizes {
        let compilers = vec![("compiler".to_owned(), compiler.to_owned())];
        let bytes = bytes.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        Sizes { head: "# What they are.\n".to_owned(), compilers, bytes }
    }

    #[test]
    fn what_is_written_is_read() {
        let written = sizes("rustc 1.0.0 (abc)", &[("flash", 90_000), ("listener", 3)]);
        assert_eq!(Sizes::parse(&written.to_string()), Ok(written));
        assert!(Sizes::parse("flash much\n").unwrap_err().contains("flash much"));
        assert!(Sizes::parse("flash\n").is_err());
    }

    #[test]
    fn growth_past_two_percent_fails() {
        let then = sizes("a", &[("flash", 1_000)]);
        for (now, fine) in [(900, true), (1_000, true), (1_020, true), (1_021, false)] {
            assert_eq!(sizes("a", &[("flash", now)]).complaints(&then).is_empty(), fine, "{now}");
        }
        let complaints = sizes("a", &[("flash", 1_021), ("heap", 1)]).complaints(&then);
        assert_eq!(complaints.len(), 2);
        assert!(complaints[0].contains("1021") && complaints[0].contains("command"));
        assert!(complaints[1].contains("heap"));
    }

    #[test]
    fn another_compiler_is_not_judged() {
        let then = sizes("a", &[("flash", 1_000), ("stack", 10)]);
        assert!(sizes("b", &[("flash", 9_000)]).complaints(&then).is_empty());
        assert_eq!(sizes("b", &[("stack", 11)]).complaints(&then).len(), 1, "by neither's frames");
    }

    #[test]
    fn the_committed_files_are_as_they_would_be_written() {
        let core = include_str!("../../../firmware/sizes.txt");
        let boards = include_str!("../../../firmware/boards/sizes.txt");
        for text in [core, boards] {
            let sizes = Sizes::parse(text).unwrap();
            assert_eq!(sizes.to_string(), text);
            assert!(sizes.head.contains("cargo run -p ropewalk-tests --bin proof"));
            assert!(sizes.bytes.iter().all(|(_, bytes)| *bytes > 1_000), "{text}");
        }
        let named = |text, names: &[&str]| {
            let sizes = Sizes::parse(text).unwrap();
            names.iter().filter(|name| sizes.of(name).is_none()).count() == 0
        };
        assert!(named(core, &["flash", "connection", "listener", "tables", "stack"]));
        assert!(named(
            boards,
            &["nucleo-h743zi.flash", "w5500-evb-pico.flash", "w5500-evb-pico2.memory"]
        ));
    }
}
