//! `ropewalk get` as a process, and `ropewalk serve` beside it: one, several, gone, back, and wrong.
#![cfg(unix)]

mod common;

use common::{Node, Waiting, events, json_lines, noise, said, signal, until};
use core::time::Duration;
use std::process::{Child, Output, Stdio};

const MIB: usize = 1 << 20;

/// A node with a server on it, and its files, once more each time.
fn server(name: &str, content: &[u8], more: &[&str]) -> (Node, Waiting) {
    let node = Node::new();
    node.file(name, content);
    let serving = serve(&node, &[&[name], more].concat());
    (node, serving)
}

fn serve(node: &Node, arguments: &[&str]) -> Waiting {
    node.wait_for_peers(&[&["serve"], arguments].concat())
}

/// Fetches from these to the end.
fn get(node: &Node, tickets: &[&str], more: &[&str]) -> Output {
    node.dial(&[&["get", "--json"], tickets, more].concat())
}

/// Begins to fetch.
fn begin(node: &Node, tickets: &[&str], more: &[&str]) -> Child {
    let loopback = common::loopback();
    let all = [&["get", "--json", "--link", &loopback], tickets, more].concat();
    let mut command = node.command(&all);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Asks what runs on this node.
fn ctl(node: &Node, command: &[&str]) {
    let output = node.run(&[&["ctl"], command].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// How many bytes are under way to this name: what the file takes on the disk.
fn under_way(node: &Node, name: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let path = node.files.path().join(format!(".{name}.ropewalk-get"));
    std::fs::metadata(path).map_or(0, |there| there.blocks() * 512)
}

fn number(line: &serde_json::Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("{field}: {line}"))
}

#[test]
fn a_file_comes_from_three_servers_with_its_mode_and_time() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let content = noise(9 * MIB + 7);
    let node = Node::new();
    let path = node.file("film", &content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_007);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let servers: Vec<_> = (0..3)
        .map(|_| {
            let other = Node::new();
            let waiting = serve(&other, &[path.to_str().unwrap()]);
            (other, waiting)
        })
        .collect();
    let tickets: Vec<&str> = servers.iter().map(|(_, serving)| serving.ticket.as_str()).collect();
    let client = Node::new();
    let output = get(&client, &tickets, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    assert_eq!(client.names(), ["film"], "nothing else is left");
    let there = std::fs::metadata(client.files.path().join("film")).unwrap();
    assert_eq!((there.mode() & 0o777, there.mtime()), (0o640, 1_000_000_007));
    let lines = json_lines(&output);
    let end = events(&lines, "fetched")[0];
    assert_eq!(number(end, "bytes"), content.len() as u64);
    assert_eq!(end["sources"].as_array().unwrap().len(), 3);
    assert_eq!(events(&lines, "file")[0]["blake3"], blake3::hash(&content).to_hex().as_str());
    // Once more: it is there.
    let output = get(&client, &tickets, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(events(&json_lines(&output), "file")[0]["already"], true);
}

#[test]
fn a_folder_comes_with_small_and_large_and_empty_files() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    let large = noise(3 * MIB);
    node.file("photos/2026/large", &large);
    for nth in 0..300 {
        node.file(&format!("photos/small/{nth}"), &noise(nth * 10));
    }
    std::fs::create_dir(node.files.path().join("photos/empty")).unwrap();
    let read_only = node.files.path().join("photos/2026");
    std::fs::set_permissions(&read_only, std::fs::Permissions::from_mode(0o555)).unwrap();
    let serving = serve(&node, &["photos"]);
    let client = Node::new();
    let output = get(&client, &[&serving.ticket], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("photos/2026/large").unwrap() == large);
    for nth in 0..300 {
        assert!(client.read(&format!("photos/small/{nth}")).unwrap() == noise(nth * 10), "{nth}");
    }
    assert!(client.files.path().join("photos/empty").is_dir());
    let mode = |name: &str| {
        let there = std::fs::metadata(client.files.path().join(name)).unwrap();
        there.permissions().mode() & 0o777
    };
    assert_eq!(mode("photos/2026"), 0o555);
    assert_eq!(client.names(), ["photos"]);
    let end = json_lines(&output);
    assert_eq!(number(events(&end, "fetched")[0], "stored"), 301);

    // A part of it, elsewhere.
    let other = Node::new();
    let output =
        get(&other, &[&serving.ticket], &["--pick", "photos/2026", "--pick", "photos/small/7"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(other.read("photos/2026/large").unwrap() == large);
    assert_eq!(other.read("photos/small/7").unwrap(), noise(70));
    assert_eq!(other.read("photos/small/8"), None);
    // One that is there does not hide those that are not.
    let picks = ["--pick", "photos/2027", "--pick", "photos/small/8", "--pick", "photos/small/x"];
    let output = get(&other, &[&serving.ticket], &picks);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let missing = "there is no photos/2027, no photos/small/x";
    assert!(said(&output).contains(missing), "{}", said(&output));
    assert_eq!(other.read("photos/small/8").unwrap(), noise(80));
}

#[test]
fn folders_that_were_there_keep_their_modes_unless_they_are_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let set = |node: &Node, name: &str, mode| {
        let path = node.files.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let node = Node::new();
    for name in ["photos/old/x", "photos/new/x", "photos/apart/x"] {
        node.file(name, b"x");
    }
    for name in ["photos", "photos/old", "photos/new", "photos/apart"] {
        set(&node, name, 0o755);
    }
    let serving = serve(&node, &["photos"]);
    let client = Node::new();
    for name in ["photos", "photos/old", "photos/apart"] {
        set(&client, name, 0o700);
    }
    let modes = || {
        ["photos", "photos/old", "photos/new", "photos/apart"].map(|name| {
            let there = std::fs::metadata(client.files.path().join(name)).unwrap();
            there.permissions().mode() & 0o7777
        })
    };
    let picks = ["--pick", "photos/old", "--pick", "photos/new"];
    let output = get(&client, &[&serving.ticket], &picks);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(modes(), [0o700, 0o700, 0o755, 0o700]);
    let output = get(&client, &[&serving.ticket], &[&picks[..], &["--overwrite"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(modes(), [0o755, 0o755, 0o755, 0o700]);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_even_if_nothing_is_in_it() {
    let node = Node::new();
    node.file("photos/x", b"x");
    std::fs::create_dir(node.files.path().join("photos/empty")).unwrap();
    std::fs::create_dir(node.files.path().join("photos/.ropewalk-get-1")).unwrap();
    let serving = serve(&node, &["photos"]);
    let client = Node::new();
    client.file("photos/empty", b"a file");
    let output = get(&client, &[&serving.ticket], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("photos/empty: "), "{}", said(&output));
    assert!(said(&output).contains("are ropewalk's own"), "{}", said(&output));
    assert!(!client.files.path().join("photos/.ropewalk-get-1").exists());
    assert_eq!(client.read("photos/x").unwrap(), b"x");
}

#[test]
fn an_item_with_a_name_of_ours_is_not_taken_for_a_leftover() {
    for file in [".ropewalk-get-1", ".ropewalk-get-1/x"] {
        let node = Node::new();
        node.file(file, b"x");
        let serving = serve(&node, &[".ropewalk-get-1"]);
        let client = Node::new();
        let output = get(&client, &[&serving.ticket], &[]);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("are ropewalk's own"), "{}", said(&output));
        assert_eq!(client.names(), Vec::<String>::new());
    }
}

#[test]
fn several_items_are_listed_and_one_is_picked() {
    let node = Node::new();
    node.file("film", &noise(1000));
    node.file("song", b"la");
    let serving = serve(&node, &["film", "song"]);
    let client = Node::new();
    let output = get(&client, &[&serving.ticket], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--pick"), "{}", said(&output));
    let lines = json_lines(&output);
    let names: Vec<_> = events(&lines, "listed").iter().map(|line| line["name"].clone()).collect();
    assert_eq!(names, ["film", "song"]);
    let output = get(&client, &[&serving.ticket], &["--list"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(events(&json_lines(&output), "listed").len(), 2);
    let output = get(&client, &[&serving.ticket], &["--pick", "sing"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("sing is not offered"), "{}", said(&output));
    let output = get(&client, &[&serving.ticket], &["--pick", "song"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(client.read("song").unwrap(), b"la");
    assert_eq!(client.names(), ["song"]);
}

#[test]
fn sources_that_do_not_agree_are_never_mixed() {
    let (_one, first) = server("film", &noise(3 * MIB), &[]);
    let other = noise(2 * MIB);
    let (_two, second) = server("film", &other, &[]);
    let client = Node::new();
    let tickets = [first.ticket.as_str(), second.ticket.as_str()];
    let output = get(&client, &tickets, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--root"), "{}", said(&output));
    assert_eq!(client.names(), Vec::<String>::new());
    let root = blake3::hash(&other).to_hex();
    assert!(said(&output).contains(root.as_str()), "each root is named: {}", said(&output));
    assert!(!said(&output).contains("\\n"), "one line each: {}", said(&output));
    let output = get(&client, &tickets, &["--root", &root]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == other);
}

#[test]
fn a_server_that_is_killed_costs_nothing_and_one_that_closes_is_left_at_once() {
    let content = noise(24 * MIB);
    let mut servers: Vec<_> =
        (0..3).map(|_| server("film", &content, &["--max-rate", "3M"])).collect();
    let tickets: Vec<_> = servers.iter().map(|(_, serving)| serving.ticket.clone()).collect();
    let tickets: Vec<&str> = tickets.iter().map(String::as_str).collect();
    let client = Node::new();
    let mut getting = begin(&client, &tickets, &[]);
    until("some of it is here", || under_way(&client, "film") > 4 * MIB as u64);
    // It cannot end meanwhile.
    ctl(&servers[2].0, &["pause", "all"]);
    assert!(getting.try_wait().unwrap().is_none(), "it had ended before that");
    signal(&servers[0].1.child, "KILL");
    signal(&servers[1].1.child, "INT");
    until("it closed", || servers[1].1.child.try_wait().unwrap().is_some());
    ctl(&servers[2].0, &["resume", "all"]);
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let lines = json_lines(&output);
    let closed = events(&lines, "source").iter().any(|line| line["why"] == "it closed");
    assert!(closed, "{}", said(&output));
    let wasted = number(events(&lines, "fetched")[0], "wasted");
    assert!(wasted <= 4 * MIB as u64, "{wasted} bytes were fetched for nothing");
}

#[test]
fn all_servers_are_gone_and_come_back() {
    let content = noise(12 * MIB);
    let (node, serving) = server("film", &content, &["--max-rate", "4M"]);
    let client = Node::new();
    let ticket = serving.ticket.clone();
    let mut getting = begin(&client, &[&ticket], &[]);
    until("some of it is here", || under_way(&client, "film") > 2 * MIB as u64);
    signal(&serving.child, "KILL");
    assert!(getting.try_wait().unwrap().is_none(), "it had ended before that");
    drop(serving);
    let _again = serve(&node, &["film"]);
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let lines = json_lines(&output);
    let fetched = number(events(&lines, "fetched")[0], "fetched");
    assert!(fetched <= 13 * MIB as u64, "{fetched} bytes for twelve MiB");
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let content = noise(2 * MIB);
    let (node, serving) = server("film", &content, &[]);
    let ticket = serving.ticket.clone();
    serving.interrupted();
    let client = Node::new();
    let getting = begin(&client, &[&ticket], &[]);
    let _again = serve(&node, &["film"]);
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
}

#[test]
fn a_get_that_was_killed_fetches_almost_nothing_again() {
    let content = noise(24 * MIB);
    let servers: Vec<_> = (0..2).map(|_| server("film", &content, &["--max-rate", "4M"])).collect();
    let tickets: Vec<&str> = servers.iter().map(|(_, serving)| serving.ticket.as_str()).collect();
    let client = Node::new();
    let mut fetched = 0;
    for killed_at in [4, 8, 13] {
        let mut getting = begin(&client, &tickets, &[]);
        until("it has come so far", || under_way(&client, "film") > killed_at * MIB as u64);
        signal(&getting, "KILL");
        let killed = std::os::unix::process::ExitStatusExt::signal(&getting.wait().unwrap());
        assert_eq!(killed, Some(9), "it had ended before that");
        fetched = under_way(&client, "film");
    }
    let output = get(&client, &tickets, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let lines = json_lines(&output);
    let end = events(&lines, "fetched")[0];
    // A piece of each server was under way when it was killed, and is not on the disk.
    let found = number(end, "found");
    assert!(found + 2 * MIB as u64 >= fetched, "{found} found of {fetched} on the disk");
    assert!(found + number(end, "fetched") <= 26 * MIB as u64, "{end}");

    // Ctrl-C says how to go on, and --no-resume does not.
    let other = Node::new();
    let getting = begin(&other, &tickets, &[]);
    until("some of it is here", || under_way(&other, "film") > 4 * MIB as u64);
    signal(&getting, "INT");
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("do the same again"), "{}", said(&output));
    let output = get(&other, &tickets, &["--no-resume"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = json_lines(&output);
    assert_eq!(number(events(&lines, "fetched")[0], "found"), 0);
    assert!(other.read("film").unwrap() == content);
}

/// Files of a folder that are here, but not under their names.
fn staged(node: &Node) -> usize {
    let folders = std::fs::read_dir(node.files.path()).unwrap().flatten();
    let ours = folders.filter(|it| it.file_name().to_str().unwrap().starts_with(".ropewalk-get-"));
    ours.filter_map(|it| std::fs::read_dir(it.path()).ok()).flatten().count()
}

#[test]
fn small_files_that_are_whole_are_kept_whatever_ends_the_get() {
    use std::os::unix::fs::MetadataExt;
    const FILE: usize = 100_000;
    let node = Node::new();
    for nth in 0..60 {
        node.file(&format!("photos/{nth}"), &noise(FILE + nth));
    }
    let serving = serve(&node, &["photos", "--max-rate", "2M"]);
    for signal_name in ["INT", "KILL"] {
        let client = Node::new();
        let getting = begin(&client, &[&serving.ticket], &[]);
        until("some of them are here", || staged(&client) > 15);
        signal(&getting, signal_name);
        let output = getting.wait_with_output().unwrap();
        if signal_name == "INT" {
            assert_eq!(output.status.code(), Some(130), "{}", said(&output));
            assert!(said(&output).contains("do the same again"), "{}", said(&output));
            assert_eq!(staged(&client), 0);
            let named = std::fs::read_dir(client.files.path().join("photos")).unwrap().count();
            assert!(named > 14, "{named} have their names");
        }
        let output = get(&client, &[&serving.ticket], &[]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(client.names(), ["photos"]);
        let mode =
            |node: &Node| std::fs::metadata(node.files.path().join("photos")).unwrap().mode();
        assert_eq!(mode(&client), mode(&node), "what the first one made");
        for nth in 0..60 {
            assert!(client.read(&format!("photos/{nth}")).unwrap() == noise(FILE + nth), "{nth}");
        }
        let lines = json_lines(&output);
        let end = events(&lines, "fetched")[0];
        assert!(number(end, "found") > 14 * FILE as u64, "{end}");
        assert!(number(end, "fetched") < 46 * (FILE + 60) as u64, "{end}");
    }
}

#[test]
fn a_peer_that_serves_nothing_is_named_and_nobody_waits_for_it() {
    let receiver = Node::new();
    let waiting = receiver.wait_for_peers(&["recv"]);
    let client = Node::new();
    let output = get(&client, &[&waiting.ticket], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("serves nothing"), "{}", said(&output));
}

#[test]
fn nobody_is_waited_for_longer_than_was_said() {
    let (_node, serving) = server("film", b"x", &[]);
    let ticket = serving.ticket.clone();
    serving.interrupted();
    let client = Node::new();
    let output = get(&client, &[&ticket], &["--give-up-after", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("nothing came for 1 s"), "{}", said(&output));
}

#[test]
fn what_is_there_is_not_replaced_unless_that_is_said() {
    let content = noise(MIB + 1);
    let (_node, serving) = server("film", &content, &[]);
    let client = Node::new();
    client.file("film", b"mine");
    let output = get(&client, &[&serving.ticket], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(client.read("film").unwrap(), b"mine");
    assert!(said(&output).contains("--overwrite"), "{}", said(&output));
    let output = get(&client, &[&serving.ticket], &["--overwrite"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
}

#[test]
fn the_same_server_twice_is_one_and_files_of_sources_are_read() {
    let content = noise(3 * MIB);
    let (_node, serving) = server("film", &content, &[]);
    let client = Node::new();
    let text = format!("# two of them\n\n{0}\n{0}\n", serving.ticket);
    client.file("tickets", text.as_bytes());
    let output = get(&client, &["@tickets", &serving.ticket], &["--out", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = json_lines(&output);
    assert_eq!(events(&lines, "fetched")[0]["sources"].as_array().unwrap().len(), 1);
    client.file("nobody", b"\n# none\n");
    let output = get(&client, &["@nobody"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = get(&client, &["@missing"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let output = get(&client, &["stranger"], &[]);
    assert!(said(&output).contains("stranger"), "{}", said(&output));
}

#[test]
fn two_gets_of_one_file_into_one_folder_do_not_meet() {
    let content = noise(12 * MIB);
    let (_node, serving) = server("film", &content, &["--max-rate", "2M"]);
    let client = Node::new();
    let mut first = begin(&client, &[&serving.ticket], &[]);
    until("the first has begun", || under_way(&client, "film") > 0);
    let second = get(&client, &[&serving.ticket], &[]);
    assert_eq!(second.status.code(), Some(4), "{}", said(&second));
    assert!(said(&second).contains("another get"), "{}", said(&second));
    assert!(first.try_wait().unwrap().is_none(), "both were there at once");
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
}

#[test]
fn a_file_that_changes_on_one_server_comes_from_the_other_and_is_never_mixed() {
    let (content, other) = (noise(16 * MIB), noise(5 * MIB));
    let servers: Vec<_> = (0..2).map(|_| server("film", &content, &["--max-rate", "2M"])).collect();
    let tickets: Vec<&str> = servers.iter().map(|(_, serving)| serving.ticket.as_str()).collect();
    let client = Node::new();
    let mut getting = begin(&client, &tickets, &[]);
    until("some of it is here", || under_way(&client, "film") > 2 * MIB as u64);
    servers[0].0.file("film", &other);
    assert!(getting.try_wait().unwrap().is_none(), "it had ended before that");
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    assert!(said(&output).contains("changed"), "{}", said(&output));

    // Changed everywhere: an error, and no file.
    let other = Node::new();
    let getting = begin(&other, &[tickets[1]], &[]);
    until("some of it is here", || under_way(&other, "film") > 2 * MIB as u64);
    servers[1].0.file("film", &noise(5 * MIB));
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no source has it"), "{}", said(&output));
    assert_eq!(other.read("film"), None);
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let node = Node::new();
    let path = node.file("disk", &noise(MIB));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(64 * MIB as u64).unwrap();
    let serving = serve(&node, &["disk"]);
    let client = Node::new();
    let output = get(&client, &[&serving.ticket], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let there = std::fs::metadata(client.files.path().join("disk")).unwrap();
    assert_eq!(there.len(), 64 * MIB as u64);
    assert!(there.blocks() * 512 < 4 * MIB as u64, "{} blocks", there.blocks());
    assert!(client.read("disk") == node.read("disk"));
}

#[test]
fn what_a_ticket_is_for_and_nobody_offers_any_more_is_said() {
    let (node, serving) = server("film", &noise(MIB), &[]);
    let ticket = serving.ticket.clone();
    serving.interrupted();
    node.file("film", &noise(2 * MIB));
    let _again = serve(&node, &["film"]);
    let client = Node::new();
    let output = get(&client, &[&ticket], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let root = blake3::hash(&noise(MIB)).to_hex();
    assert!(said(&output).contains(&format!("{root} is not offered")), "{}", said(&output));
    assert_eq!(client.names(), Vec::<String>::new());
}

#[test]
fn a_full_disk_and_a_read_only_one_are_named_and_nothing_is_lost() {
    if !common::works("unshare", &["-m", "true"]) {
        println!("SKIPPED: a file system of its own needs root and `unshare`");
        return;
    }
    let content = noise(6 * MIB);
    let (_node, serving) = server("film", &content, &[]);
    let client = Node::new();
    std::fs::create_dir(client.files.path().join("out")).unwrap();
    let loopback = common::loopback();
    let run = |options: &str| {
        let mount = format!("mount -t tmpfs -o {options} none out && exec \"$0\" \"$@\"");
        let words = ["get", "--json", "--link", &loopback, "--out", "out", &serving.ticket];
        client.below(&["unshare", "-m", "sh", "-c", &mount], &words).output().unwrap()
    };
    let output = run("size=3m");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("film: the disk is full"), "{}", said(&output));
    assert!(said(&output).contains("make room, and"), "{}", said(&output));
    let output = run("ro");
    assert_ne!(output.status.code(), Some(0));
    assert!(said(&output).contains("read-only"), "{}", said(&output));
    assert!(!said(&output).contains("make room"), "{}", said(&output));
    let output = run("size=9m");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
