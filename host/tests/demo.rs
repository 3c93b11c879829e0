//! The demonstration, with a file of the user's.

use std::process::Command;

#[test]
fn a_file_goes_over_three_links_one_of_which_fails_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut content = vec![0; 32 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    std::fs::write(&path, content).unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    let output = demo.env("ROPEWALK_HOME", folder.path()).arg("demo").arg(&path).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(table.lines().filter(|line| line.starts_with("link ")).count(), 4, "{table}");
    assert!(table.contains("every byte is right"), "{table}");
    // The middle link was cut.
    let cut = table.lines().find(|line| line.starts_with("link 2")).unwrap();
    assert!(cut.contains("suspect"), "{table}");
}

#[test]
fn what_is_no_file_is_not_demonstrated() {
    let run = |path: &str| {
        Command::new(env!("CARGO_BIN_EXE_ropewalk")).args(["demo", path]).output().unwrap()
    };
    assert_eq!(run("/no/such/file").status.code(), Some(1));
    assert_eq!(run(".").status.code(), Some(2));
}
