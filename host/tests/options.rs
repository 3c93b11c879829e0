//! The options of the commands that connect, each by what it changes; tickets over their lives; logs.

mod common;

use common::{Node, Waiting, events, json_lines, loopback, noise, said, signal, until, works};
use ropewalk::ticket::Ticket;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

fn ticket(waiting: &Waiting) -> Ticket {
    waiting.ticket.parse().unwrap()
}

#[test]
fn trusted_lets_known_peers_in_and_nobody_with_a_ticket() {
    let (friend, stranger, to) = (Node::new(), Node::new(), Node::new());
    // A ticket that is good, from a command that takes tickets.
    let lasting = to.wait_for_peers(&["recv"]);
    let (good, place) = (lasting.ticket.clone(), ticket(&lasting).addresses[0].to_string());
    drop(lasting);
    assert!(to.run(&["peers", "trust", "friend", &friend.key()]).status.success());
    let mut waiting = to.command(&["recv", "--trusted", "--json", "--link", &loopback()]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    friend.file("a", b"a");
    stranger.file("b", b"b");
    let at = format!("{}@{place}", to.key());
    let sent = friend.dial(&["send", &at, "a"]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let sent = stranger.dial(&["send", &good, "b"]);
    assert_eq!(sent.status.code(), Some(3), "{}", said(&sent));
    signal(&waiting, "INT");
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let lines = json_lines(&ended);
    assert!(events(&lines, "ticket").is_empty() && events(&lines, "file").len() == 1, "{lines:?}");
    assert_eq!(lines.iter().find(|line| line["event"] == "connected").unwrap()["name"], "friend");
    assert!(to.read("a").is_some() && to.read("b").is_none());
}

#[test]
fn port_and_address_are_in_the_ticket() {
    let to = Node::new();
    let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let text = port.to_string();
    let waiting = to.wait_for_peers(&["recv", "--port", &text, "--address", "192.0.2.7:4433"]);
    let addresses = ticket(&waiting).addresses;
    assert!(addresses.contains(&"192.0.2.7:4433".parse().unwrap()), "{addresses:?}");
    assert!(addresses.contains(&format!("127.0.0.1:{port}").parse().unwrap()), "{addresses:?}");
    // The same port again, while it is in use, at both ends.
    let from = Node::new();
    from.file("a", b"a");
    let output = to.run(&["recv", "--port", &text, "--link", &loopback()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&text) && said(&output).contains("taken"), "{}", said(&output));
    let output = from.dial(&["send", &waiting.ticket, "a", "--port", &text]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("taken"), "{}", said(&output));
    let output = from.dial(&["send", &waiting.ticket, "a", "--address", "nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn a_sender_names_its_links_as_a_receiver_does() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    let waiting = to.wait_for_peers(&["recv"]);
    let output = from.run(&["send", &waiting.ticket, "a", "--link", "no-such-link"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no-such-link"), "{}", said(&output));
    let lo = loopback();
    let output = from.run(&["send", &waiting.ticket, "a", "--link", &lo, "--not-link", &lo]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no usable link"), "{}", said(&output));
}

#[test]
fn a_small_window_is_enough_and_more_words_go_to_standard_error() {
    let (from, to) = (Node::new(), Node::new());
    let content = noise(2_000_000);
    from.file("file", &content);
    let waiting = to.wait_for_peers(&["recv", "--once", "--window", "128K"]);
    let send = ["send", &waiting.ticket, "file", "--window", "128K", "-v", "--json"];
    let sent = from.dial(&send);
    assert_eq!((sent.status.code(), waiting.ended().0), (Some(0), Some(0)), "{}", said(&sent));
    assert!(to.read("file").unwrap() == content);
    assert!(said(&sent).contains("DEBUG"), "{}", said(&sent));
    assert!(json_lines(&sent).iter().all(|line| line["event"].is_string()));
}

#[test]
fn a_measurement_by_time_takes_that_time() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["bench", "serve", "--once"]);
    let bulk = ["bench", "bulk", &waiting.ticket, "--seconds", "0.5", "--mode", "spread", "--json"];
    let output = from.dial(&bulk);
    let (code, served, words) = waiting.ended();
    assert_eq!((output.status.code(), code), (Some(0), Some(0)), "{words}");
    let bulk = events(&served, "bulk")[0];
    assert!((0.4..3.0).contains(&bulk["seconds"].as_f64().unwrap()), "{bulk}");
    assert!(bulk["bytes"].as_u64().unwrap() > 0 && bulk["mbit_s"].as_f64().unwrap() > 0.0);
}

#[cfg(unix)]
#[test]
fn a_ticket_file_is_for_its_owner_alone_and_one_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let to = Node::new();
    let waiting = to.wait_for_peers(&["recv", "--ticket-file", "ticket"]);
    let file = to.files.path().join("ticket");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), waiting.ticket);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(waiting);
    let output = to.run(&["recv", "--ticket-file", "no/ticket", "--link", &loopback()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no/ticket"), "{}", said(&output));
    let output = to.dial(&["send", "@no/ticket", "a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no/ticket"), "{}", said(&output));
}

#[test]
fn a_ticket_for_one_use_survives_a_restart_before_it_and_dies_with_it() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    from.file("b", b"b");
    let ticket = to.wait_for_peers(&["recv", "--once"]).ticket.clone();
    let again = to.wait_for_peers(&["recv"]);
    let sent = from.dial(&["send", &ticket, "a"]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let sent = from.dial(&["send", &ticket, "b"]);
    assert!(matches!(sent.status.code(), Some(3 | 4)), "{}", said(&sent));
    assert!(to.read("a").is_some() && to.read("b").is_none());
    drop(again);
}

#[test]
fn a_log_is_continued_by_the_next_run() {
    let (from, to) = (Node::new(), Node::new());
    for name in ["one", "two"] {
        from.file(name, name.as_bytes());
        let waiting = to.wait_for_peers(&["recv", "--once", "--log", "log"]);
        let sent = from.dial(&["send", &waiting.ticket, name, "--log", "log"]);
        assert_eq!((sent.status.code(), waiting.ended().0), (Some(0), Some(0)));
    }
    for node in [&from, &to] {
        let text = String::from_utf8(node.read("log").unwrap()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let files: Vec<_> =
            events(&lines, "file").iter().map(|line| line["path"].clone()).collect();
        assert_eq!(files, ["one", "two"], "{text}");
        assert!(lines.is_sorted_by_key(|line| line["time"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn standard_output_takes_one_file_and_the_rest_is_refused() {
    let (from, to) = (Node::new(), Node::new());
    from.file("one", b"one");
    from.file("top/two", b"two");
    let out = ["recv", "--once", "--out", "-", "--ticket-file", "ticket", "--link", &loopback()];
    let mut receiving = to.command(&out);
    let receiving = receiving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("a ticket", || to.read("ticket").is_some_and(|text| text.ends_with(b"\n")));
    let at = format!("@{}", to.files.path().join("ticket").display());
    let sent = from.dial(&["send", &at, "one", "top"]);
    let received = receiving.wait_with_output().unwrap();
    assert_eq!((sent.status.code(), received.status.code()), (Some(4), Some(4)), "{}", said(&sent));
    assert_eq!(received.stdout, b"one");
    assert!(said(&sent).contains("standard output"), "{}", said(&sent));
}

/// On a terminal there is a bar with the rate and the time left, and a line for each path.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_progress_is_drawn() {
    if !works("script", &["-qec", "true", "/dev/null"]) {
        println!("SKIPPED: `script` makes the terminal, and is not here");
        return;
    }
    let (from, to) = (Node::new(), Node::new());
    from.file("file", &noise(300_000_000));
    let waiting = to.wait_for_peers(&["recv", "--once"]);
    let program = env!("CARGO_BIN_EXE_ropewalk");
    let line = format!("{program} send {} file --link {}", waiting.ticket, loopback());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("ROPEWALK_HOME", from.home.path());
    script.current_dir(from.files.path()).env("TERM", "xterm").stdin(Stdio::null());
    let output = script.output().unwrap();
    let drawn = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), waiting.ended().0), (Some(0), Some(0)), "{drawn}");
    assert!(drawn.contains("left") && drawn.contains("/s"), "no bar: {drawn:?}");
    assert!(drawn.contains("active") && drawn.contains("ms round trip"), "no path: {drawn:?}");
}
