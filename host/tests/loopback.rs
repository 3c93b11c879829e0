//! Two processes on the loopback interface: what the commands do together, and what bad input gets.

mod common;

use common::{Node, events, json_lines, loopback, noise, said};
use core::time::Duration;
use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

#[test]
fn files_and_folders_arrive_and_both_ends_tell_of_each() {
    let (from, to) = (Node::new(), Node::new());
    let content = noise(5_000_000);
    let big = from.file("big.bin", &content);
    from.file("top/empty", b"");
    from.file("top/deep/small", b"small");
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let top = from.files.path().join("top");
    let (big, top) = (big.to_str().unwrap(), top.to_str().unwrap());
    let output = from.dial(&["send", &waiting.ticket, big, top, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, received, words) = waiting.ended();
    assert_eq!(code, Some(0), "{words}");
    assert!(to.read("big.bin").unwrap() == content);
    assert_eq!(to.read("top/empty").unwrap(), b"");
    assert_eq!(to.read("top/deep/small").unwrap(), b"small");
    for lines in [&json_lines(&output), &received] {
        let files = events(lines, "file");
        assert_eq!(files.len(), 3, "{lines:?}");
        let file = files.iter().find(|file| file["path"] == "big.bin").unwrap();
        assert_eq!(file["bytes"], 5_000_000);
        assert_eq!(file["blake3"], blake3::hash(&content).to_hex().as_str());
        assert!(file["seconds"].as_f64().unwrap() > 0.0 && file["mbit_s"].as_f64().unwrap() > 0.0);
        let path = &file["paths"][0];
        for field in ["link", "local", "remote", "state"] {
            assert!(path[field].is_string(), "{field} in {path}");
        }
        let carried = |path: &serde_json::Value| path["bytes"].as_u64().unwrap();
        let all: u64 = file["paths"].as_array().unwrap().iter().map(carried).sum();
        assert!((4_999_990..=5_000_000).contains(&all), "{file}");
    }
}

#[test]
fn a_pipe_at_both_ends() {
    let (from, to) = (Node::new(), Node::new());
    let ticket_file = to.files.path().join("ticket");
    let mut receiving = to.command(&["recv", "--once", "--out", "-", "--link", &loopback()]);
    receiving.args(["--ticket-file", ticket_file.to_str().unwrap()]);
    let receiving = receiving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !std::fs::read_to_string(&ticket_file).is_ok_and(|text| text.ends_with('\n')) {
        assert!(start.elapsed() < Duration::from_secs(10), "no ticket");
        std::thread::sleep(Duration::from_millis(10));
    }
    let at_file = format!("@{}", ticket_file.display());
    let mut sending = from.command(&["send", &at_file, "-", "--link", &loopback()]);
    let mut sending = sending.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let content = noise(700_001);
    sending.stdin.take().unwrap().write_all(&content).unwrap();
    let received = receiving.wait_with_output().unwrap();
    let sent = sending.wait_with_output().unwrap();
    assert_eq!((sent.status.code(), received.status.code()), (Some(0), Some(0)), "{}", said(&sent));
    assert!(received.stdout == content, "nothing but the data");
    assert!(
        !received.stderr.contains(&b'\x1b') && !sent.stderr.contains(&b'\x1b'),
        "no control characters"
    );
}

#[test]
fn a_message_arrives() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let output = from.dial(&["send", &waiting.ticket, "--message", "the door is open"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, lines, _) = waiting.ended();
    assert_eq!(code, Some(0));
    assert_eq!(events(&lines, "message")[0]["text"], "the door is open");
}

#[test]
fn an_explained_message_says_of_each_word_which_path_it_took() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let text = "one word a packet";
    let message =
        ["send", &waiting.ticket, "--message", text, "--mode", "spread", "--explain", "--json"];
    let output = from.dial(&message);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, received, _) = waiting.ended();
    assert_eq!(code, Some(0));
    for lines in [&json_lines(&output), &received] {
        let words = events(lines, "word");
        assert_eq!(words.len(), 4, "{lines:?}");
        assert!(words.iter().all(|word| word["link"].is_string() && word["remote"].is_string()));
        assert_eq!(events(lines, "message")[0]["text"], text);
    }
    let output = from.dial(&["send", "peer", "--message", text, "--explain"]);
    assert_eq!(output.status.code(), Some(2), "without --mode spread");
}

#[test]
fn a_measurement_is_told_by_both_ends_as_the_receiver_saw_it() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["bench", "serve", "--once"]);
    let output = from.dial(&["bench", "bulk", &waiting.ticket, "--bytes", "3M", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, served, _) = waiting.ended();
    assert_eq!(code, Some(0));
    let sent = json_lines(&output);
    let (sent, served) = (events(&sent, "bulk")[0], events(&served, "bulk")[0]);
    assert_eq!(served["bytes"], 3 << 20);
    for field in ["bytes", "seconds", "mbit_s", "max_gap_ms"] {
        assert_eq!(sent[field], served[field], "{field}");
    }
    assert_eq!(served["paths"][0]["state"], "active");
}

#[test]
fn what_the_receiver_refuses_both_ends_say_and_the_rest_goes_on() {
    let (from, to) = (Node::new(), Node::new());
    to.file("taken", b"other");
    to.file("same", b"same");
    for (name, content) in [("taken", &b"new"[..]), ("same", b"same"), ("free", b"free")] {
        from.file(name, content);
    }
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let output =
        from.dial(&["send", &waiting.ticket, "taken", "same", "free", "missing", "--json"]);
    let (code, received, _) = waiting.ended();
    assert_eq!(output.status.code(), Some(1), "one is missing here: {}", said(&output));
    assert_eq!(code, Some(4), "one was refused");
    for lines in [&json_lines(&output), &received] {
        let refused = events(lines, "refused");
        assert_eq!((refused.len(), &refused[0]["path"]), (1, &"taken".into()));
        assert!(refused[0]["reason"].as_str().unwrap().contains("--overwrite"));
        assert_eq!(events(lines, "file").len(), 2);
    }
    assert!(said(&output).contains("left out: missing"), "{}", said(&output));
    assert_eq!(to.read("taken").unwrap(), b"other");
    assert_eq!(to.read("free").unwrap(), b"free");
}

#[test]
fn a_ticket_survives_a_restart_and_dies_with_its_revocation() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    from.file("b", b"b");
    let waiting = to.wait_for_peers(&["recv"]);
    let ticket = waiting.ticket.clone();
    drop(waiting);
    let again = to.wait_for_peers(&["recv"]);
    assert_eq!(from.dial(&["send", &ticket, "a"]).status.code(), Some(0));
    assert!(to.run(&["peers", "revoke"]).status.success());
    let output = from.dial(&["send", &ticket, "b"]);
    assert_eq!(output.status.code(), Some(3), "silence: {}", said(&output));
    assert!(said(&output).contains("revoked"), "{}", said(&output));
    drop(again);
    assert!(to.read("a").is_some() && to.read("b").is_none());
}

#[test]
fn a_ticket_for_one_use_dies_with_it() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let ticket = waiting.ticket.clone();
    assert_eq!(from.dial(&["send", &ticket, "a"]).status.code(), Some(0));
    assert_eq!(waiting.ended().0, Some(0));
    let waiting = to.wait_for_peers(&["recv"]);
    let output = from.dial(&["send", &ticket, "a"]);
    assert!(matches!(output.status.code(), Some(3 | 4)), "{}", said(&output));
    drop(waiting);
}

#[test]
fn a_wrong_or_truncated_ticket_is_named_as_such() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    let ticket = to.wait_for_peers(&["recv"]).ticket.clone();
    let cut = &ticket[..ticket.len() - 7];
    let output = from.dial(&["send", cut, "a"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("cut short"), "{}", said(&output));
    let other = if ticket.as_bytes()[40] == b'a' { "b" } else { "a" };
    let wrong = format!("{}{other}{}", &ticket[..40], &ticket[41..]);
    let output = from.dial(&["send", &wrong, "a"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("checksum"), "{}", said(&output));
}

#[test]
fn a_ticket_with_a_wrong_secret_is_refused_and_said_to_be_so() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    let waiting = to.wait_for_peers(&["recv"]);
    let mut ticket: ropewalk::ticket::Ticket = waiting.ticket.parse().unwrap();
    ticket.secret[0] ^= 1;
    let output = from.dial(&["send", &ticket.to_string(), "a"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("secret"), "{}", said(&output));
    assert!(to.read("a").is_none());
}

#[test]
fn known_peers_need_no_ticket_and_strangers_meet_silence() {
    let (from, to, stranger) = (Node::new(), Node::new(), Node::new());
    let key = |node: &Node| String::from_utf8(node.run(&["id"]).stdout).unwrap().trim().to_owned();
    assert!(to.run(&["peers", "trust", "friend", &key(&from)]).status.success());
    let waiting = to.wait_for_peers(&["recv"]);
    let ticket: ropewalk::ticket::Ticket = waiting.ticket.parse().unwrap();
    let place = ticket.addresses[0].to_string();
    from.file("a", b"a");
    stranger.file("b", b"b");
    let at = format!("{}@{place}", key(&to));
    let output = from.dial(&["send", &at, "a"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(from.run(&["peers", "trust", "inbox", &key(&to), &place]).status.success());
    from.file("by-name", b"x");
    assert_eq!(from.dial(&["send", "inbox", "by-name"]).status.code(), Some(0));
    let output = stranger.dial(&["send", &at, "b"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(to.read("a").is_some() && to.read("by-name").is_some() && to.read("b").is_none());
}

#[test]
fn a_peer_that_is_not_there_is_reported_within_five_seconds() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    let ticket = to.wait_for_peers(&["recv"]).ticket.clone();
    let start = Instant::now();
    let output = from.dial(&["send", &ticket, "a"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(said(&output).contains("nobody answers"), "{}", said(&output));
}

#[test]
fn an_unknown_link_no_usable_link_and_a_taken_port() {
    let node = Node::new();
    let output = node.run(&["recv", "--link", "no-such-link"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no-such-link"), "{}", said(&output));
    let lo = loopback();
    let output = node.run(&["recv", "--link", &lo, "--not-link", &lo]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("ropewalk links"), "{}", said(&output));
    let taken = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = node.run(&["recv", "--link", &lo, "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&port), "{}", said(&output));
}

#[test]
fn the_output_must_be_one_thing() {
    let node = Node::new();
    let output = node.run(&["recv", "--out", "-", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    node.file("file", b"");
    let output = node.run(&["recv", "--out", "file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--out"), "{}", said(&output));
}

#[test]
fn both_sides_keep_a_log_without_secrets() {
    let (from, to) = (Node::new(), Node::new());
    let path = from.file("a", b"a");
    let waiting = to.wait_for_peers(&["recv", "--once", "--log", "log"]);
    let ticket = waiting.ticket.clone();
    let output = from.dial(&["send", &ticket, path.to_str().unwrap(), "--log", "log"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(waiting.ended().0, Some(0));
    for node in [&from, &to] {
        let text = String::from_utf8(node.read("log").unwrap()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events(&lines, "file").len(), 1, "{text}");
        assert!(lines.iter().all(|line| line["time"].is_string()) && !text.contains(&ticket));
    }
}
