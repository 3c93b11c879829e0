//! The house rules that a machine can hold: the ranks of ARCHITECTURE.md, files that teach and fit
//! in the head, no floats and no way to panic in the core.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, at most (CONTRIBUTING.md).
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                // A board is a workspace of its own, and is built in its own folder.
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no Rust");
    found
}

/// What stands before the tests of a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// The code of a line, without comments and the contents of strings.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

/// Room to rank, from the table between the two marks.
fn ranks() -> Vec<(String, u32)> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    let table = page.split("<!-- ranks -->").nth(1).expect("the mark");
    let table = table.split("<!-- end of ranks -->").next().expect("the end");
    let mut ranks = Vec::new();
    for row in table.lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let Some(Ok(rank)) = cells.next().map(str::parse::<u32>) else { continue };
        let rooms = cells.next().expect("rooms").split('`').skip(1).step_by(2);
        ranks.extend(rooms.map(|room| (room.to_owned(), rank)));
    }
    assert!(ranks.len() >= 10, "the table was not read: {ranks:?}");
    ranks
}

#[test]
fn arrows_point_to_lower_ranks() {
    let ranks = ranks();
    let rank_of = |room: &str| ranks.iter().find(|(known, _)| known == room).map(|(_, rank)| *rank);
    let base = root().join("core/src");
    let mut arrows = 0;
    for (path, text) in sources("core/src") {
        let place = path.strip_prefix(&base).expect("below");
        let room = place.components().next().expect("a name").as_os_str().to_str().expect("UTF-8");
        let room = room.trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let rank = rank_of(room).unwrap_or_else(|| panic!("ARCHITECTURE.md does not rank {room}"));
        for line in without_tests(&text).lines().map(code) {
            for target in line.split("crate::").skip(1) {
                let target: String =
                    target.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other) = rank_of(&target) else { continue };
                arrows += 1;
                let fine = target == room || other < rank || rank == 0 && other == 0;
                assert!(
                    fine,
                    "{}: {room} (rank {rank}) uses {target} (rank {other})",
                    place.display()
                );
            }
        }
    }
    assert!(arrows > 100, "only {arrows} arrows were found");
}

#[test]
fn files_teach_and_fit_in_the_head() {
    let folders = [
        "core/src",
        "host/src",
        "tests/src",
        "tests/tests",
        "tests/peers/src",
        "firmware/proofs",
        "firmware/app/src",
        "firmware/boards",
        "firmware/drivers/src",
    ];
    for folder in folders {
        for (path, text) in sources(folder) {
            let shown = path.display();
            let first = text.lines().find(|line| !line.starts_with("#!["));
            assert!(
                first.is_some_and(|line| line.starts_with("//!")),
                "{shown} does not say what it is"
            );
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{shown} has {lines} lines");
        }
    }
}

#[test]
fn the_core_has_no_floats_and_no_way_to_panic_by_hand() {
    let forbidden =
        ["f32", "f64", ".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unsafe "];
    for (path, text) in sources("core/src") {
        if path
            .components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
        {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            for word in forbidden {
                let found = code(line).contains(word);
                assert!(!found, "{}:{}: {word}", path.display(), number + 1);
            }
        }
    }
}
