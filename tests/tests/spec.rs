//! `docs/protocol.md` and the tests keep pace: every requirement has a label of its own, every one is
//! cited by a test that shows it, and every label that a test cites (`spec: x.y-n`) is a
//! requirement's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[test]
fn every_requirement_has_one_label_under_its_section() {
    let text = protocol();
    let mut section = "";
    let mut seen = BTreeSet::new();
    for line in text.lines().skip_while(|line| !line.starts_with("## ")) {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            section = heading.split(' ').next().unwrap_or("").trim_end_matches('.');
        }
        match label(line) {
            Some(label) => {
                assert!(line.contains("MUST"), "{label} requires nothing");
                assert_eq!(label.rsplit_once('-').unwrap().0, section, "{label} is misplaced");
                assert!(seen.insert(label.to_owned()), "{label} stands twice");
            }
            None => assert!(!line.contains("MUST"), "no label: {line}"),
        }
    }
    assert!(seen.len() >= 60);
}

#[test]
fn tests_and_requirements_name_each_other() {
    let text = protocol();
    let labels: BTreeSet<&str> = text.lines().filter_map(label).collect();
    let cited = citations();
    for (label, file) in &cited {
        assert!(labels.contains(&label[..]), "{}: there is no {label}", file.display());
    }
    for label in labels {
        assert!(cited.contains_key(label), "no test shows {label}");
    }
}

/// The label at a line's end.
fn label(line: &str) -> Option<&str> {
    let (_, label) = line.strip_suffix(']')?.rsplit_once(" [")?;
    let digits =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let (section, number) = label.rsplit_once('-')?;
    (digits(section) && digits(number)).then_some(label)
}

/// Every `spec: x.y-n` in the sources, and a file that has it.
fn citations() -> BTreeMap<String, PathBuf> {
    let mut cited = BTreeMap::new();
    for folder in ["core", "tests", "host", "fuzz", "firmware"] {
        visit(&root().join(folder), &mut |file, text| {
            for rest in text.lines().filter_map(|line| line.trim_start().strip_prefix("// spec: "))
            {
                cited.insert(rest.trim_end().to_owned(), file.to_owned());
            }
        });
    }
    cited
}

fn visit(folder: &Path, each: &mut dyn FnMut(&Path, &str)) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            visit(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn protocol() -> String {
    std::fs::read_to_string(root().join("docs/protocol.md")).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
