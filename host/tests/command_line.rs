//! The command line where no network is needed: what is printed, and the exit codes.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

struct Node {
    home: TempDir,
}

impl Node {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
        command.env("ROPEWALK_HOME", self.home.path()).args(arguments).output().unwrap()
    }

    /// What it prints, which must be all well.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says on standard error when it ends with `code`; standard output must be empty.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(
            output.stdout.is_empty(),
            "{arguments:?}: {:?}",
            String::from_utf8_lossy(&output.stdout)
        );
        said
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn key() -> String {
    Node::new().ok(&["id"]).trim().to_owned()
}

#[test]
fn the_key_is_made_on_first_use_and_stays() {
    let node = Node::new();
    let key = node.ok(&["id"]);
    assert_eq!((key.len(), key.lines().count()), (56, 1), "{key:?}");
    assert_eq!(node.ok(&["id"]), key);
    assert_ne!(Node::new().ok(&["id"]), key);
}

#[cfg(unix)]
#[test]
fn a_key_that_is_too_open_or_cannot_be_read_is_refused_with_the_next_step() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    node.ok(&["id"]);
    let file = node.path("identity.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
    let said = node.fails(1, &["id"]);
    assert!(said.contains("chmod 600") && said.contains("identity.key"), "{said}");
    std::fs::remove_file(&file).unwrap();
    // A folder cannot be read as a file, not even by root.
    std::fs::create_dir(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = node.fails(1, &["id"]);
    assert!(said.contains("identity.key") && said.contains("ROPEWALK_HOME"), "{said}");
}

#[test]
fn a_damaged_key_is_named() {
    let node = Node::new();
    node.ok(&["id"]);
    std::fs::write(node.path("identity.key"), "not a key\n").unwrap();
    let said = node.fails(1, &["id"]);
    assert!(said.contains("identity.key") && said.contains("damaged"), "{said}");
}

#[test]
fn a_home_that_cannot_be_made_is_named() {
    let node = Node::new();
    std::fs::write(node.path("file"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropewalk"));
    let output = command.env("ROPEWALK_HOME", node.path("file/home")).arg("id").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("file"), "{}", stderr(&output));
}

#[test]
fn peers_are_trusted_listed_renamed_and_removed() {
    let (node, key) = (Node::new(), key());
    assert_eq!(node.ok(&["peers", "list"]), "");
    node.ok(&["peers", "trust", "attic", &key, "10.0.0.1:7", "attic.example:8"]);
    assert_eq!(node.ok(&["peers", "list"]), format!("attic\t{key}\t10.0.0.1:7 attic.example:8\n"));
    node.ok(&["peers", "rename", "attic", "cellar"]);
    assert!(node.ok(&["peers", "list"]).starts_with("cellar\t"));
    node.ok(&["peers", "remove", "cellar"]);
    assert_eq!(node.ok(&["peers", "list"]), "");
}

#[test]
fn a_peer_that_cannot_be_is_refused() {
    let (node, key) = (Node::new(), key());
    assert!(node.fails(2, &["peers", "trust", "attic", "abc"]).contains("55 characters"));
    let mistyped =
        if key.starts_with('a') { key.replacen('a', "b", 1) } else { format!("a{}", &key[1..]) };
    assert!(node.fails(2, &["peers", "trust", "attic", &mistyped]).contains("checksum"));
    assert!(node.fails(2, &["peers", "trust", "attic", &key, "10.0.0.1"]).contains("HOST:PORT"));
    assert!(node.fails(2, &["peers", "trust", "at tic", &key]).contains("name"));
    assert!(node.fails(1, &["peers", "remove", "attic"]).contains("peers list"));
    node.ok(&["peers", "trust", "attic", &key]);
    assert!(node.fails(1, &["peers", "trust", "cellar", &key]).contains("attic"));
}

#[test]
fn revoking_replaces_the_secret_of_all_tickets() {
    let node = Node::new();
    node.ok(&["peers", "revoke"]);
    let first = std::fs::read(node.path("tickets.key")).unwrap();
    node.ok(&["peers", "revoke"]);
    assert_ne!(std::fs::read(node.path("tickets.key")).unwrap(), first);
}

#[test]
fn links_are_listed_for_people_and_for_programs_and_loopback_is_left_out_unless_named() {
    let node = Node::new();
    assert!(node.ok(&["links"]).starts_with("link "));
    let json = |arguments: &[&str]| -> Vec<serde_json::Value> {
        node.ok(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let loopback = |links: &[serde_json::Value]| {
        let found = links.iter().find(|link| link["kind"] == "loopback");
        found.expect("every machine has one").clone()
    };
    let left_out = loopback(&json(&["links", "--json"]));
    assert_eq!(
        (left_out["event"].as_str(), left_out["used"].as_bool()),
        (Some("link"), Some(false))
    );
    assert!(left_out["reason"].as_str().unwrap().contains("--link"));
    for field in ["name", "kind", "addresses", "mtu", "class", "carrier"] {
        assert!(!left_out[field].is_null(), "{field}");
    }
    let name = left_out["name"].as_str().unwrap();
    let links = json(&["links", "--json", "--link", name]);
    assert_eq!(loopback(&links)["used"].as_bool(), Some(true));
    assert_eq!(links.iter().filter(|link| link["used"] == true).count(), 1);
    assert!(node.fails(2, &["links", "--link", "no-such-link"]).contains(name));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_missing() {
    let node = Node::new();
    for arguments in
        [&["send"][..], &["send", "peer"], &["fly"], &["recv", "--fast"], &["bench", "bulk", "x"]]
    {
        let said = node.fails(2, arguments);
        assert!(said.contains("Usage") || said.contains("--help"), "{arguments:?}: {said}");
    }
}

#[test]
fn help_has_examples() {
    let node = Node::new();
    for arguments in [
        &["--help"][..],
        &["demo", "--help"],
        &["id", "--help"],
        &["links", "--help"],
        &["recv", "--help"],
        &["send", "--help"],
        &["serve", "--help"],
        &["ctl", "--help"],
        &["peers", "trust", "--help"],
        &["bench", "serve", "--help"],
        &["bench", "bulk", "--help"],
    ] {
        assert!(node.ok(arguments).contains("Example"), "{arguments:?}");
    }
    assert!(node.ok(&["--version"]).starts_with("ropewalk "));
}

#[test]
fn the_log_survives_and_holds_the_failure() {
    let node = Node::new();
    let log = node.path("log");
    let log_name = log.to_str().unwrap();
    for _ in 0..2 {
        node.fails(1, &["peers", "remove", "nobody", "--log", log_name]);
    }
    let lines: Vec<serde_json::Value> = lines(&log);
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0]["event"].as_str(), lines[0]["code"].as_u64()), (Some("error"), Some(1)));
    let said = node.fails(1, &["id", "--log", "/no/such/folder/log"]);
    assert!(said.contains("/no/such/folder/log"), "{said}");
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn completions_and_man_pages_name_every_command() {
    let node = Node::new();
    let help = node.ok(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 8, "{help}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = node.ok(&["completions", shell]);
        for command in &commands {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    let folder = node.path("pages");
    node.ok(&["man", "--out", folder.to_str().unwrap()]);
    for command in commands {
        let page = std::fs::read_to_string(folder.join(format!("ropewalk-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{page}");
    }
    let said = node.fails(1, &["man", "--out", "/dev/null/pages"]);
    assert!(said.contains("/dev/null/pages") && said.contains("--out"), "{said}");
}
