//! How two processes part: Ctrl-C, termination, death without a word, a peer that comes back, and
//! what is left.
#![cfg(unix)]

mod common;

use common::{Node, Waiting, events, json_lines, loopback, noise, said, signal, until};
use core::time::Duration;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Output, Stdio};
use std::time::Instant;

/// A transfer that does not end by itself: the sender waits for more of its standard input.
struct Endless {
    sending: Child,
    pipe: ChildStdin,
    waiting: Waiting,
}

impl Endless {
    /// Begins it, and waits until some of it has arrived.
    fn begin(from: &Node, to: &Node, receive: &[&str]) -> Self {
        let waiting = to.wait_for_peers(receive);
        let mut sending =
            from.command(&["send", &waiting.ticket, "-", "--json", "--link", &loopback()]);
        let sending = sending.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut sending = sending.spawn().unwrap();
        let mut pipe = sending.stdin.take().unwrap();
        pipe.write_all(&noise(300_000)).unwrap();
        until("something arrives", || part_bytes(to) > 0);
        Self { sending, pipe, waiting }
    }
}

fn part_bytes(node: &Node) -> u64 {
    let length = |name: &String| std::fs::metadata(node.files.path().join(name)).unwrap().len();
    node.names().iter().filter(|name| name.starts_with(".stdin.ropewalk-part-")).map(length).sum()
}

/// The one name in the folder is a temporary one, and it is the one that was told.
fn is_kept(node: &Node, lines: &[serde_json::Value]) {
    let kept = events(lines, "stopped")[0]["kept"].as_str().unwrap().to_owned();
    assert_eq!(node.names(), core::slice::from_ref(&kept));
    assert!(kept.starts_with(".stdin.ropewalk-part-"), "{kept}");
}

fn ended(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

#[test]
fn ctrl_c_at_the_sender_ends_both_and_the_part_stays_under_a_temporary_name() {
    for name in ["INT", "TERM"] {
        let (from, to) = (Node::new(), Node::new());
        let Endless { sending, pipe, waiting } = Endless::begin(&from, &to, &["recv", "--once"]);
        signal(&sending, name);
        let sent = ended(sending);
        drop(pipe);
        assert_eq!(sent.status.code(), Some(130), "{}", said(&sent));
        assert_eq!(events(&json_lines(&sent), "stopped")[0]["path"], "stdin");
        let (code, lines, words) = waiting.ended();
        assert_eq!(code, Some(6), "{words}");
        assert!(words.contains("Ctrl-C"), "{words}");
        is_kept(&to, &lines);
    }
}

#[test]
fn ctrl_c_at_the_receiver_ends_both() {
    for name in ["INT", "TERM"] {
        let (from, to) = (Node::new(), Node::new());
        let Endless { sending, pipe, waiting } = Endless::begin(&from, &to, &["recv", "--once"]);
        signal(&waiting.child, name);
        let (code, lines, _) = waiting.ended();
        assert_eq!(code, Some(130));
        is_kept(&to, &lines);
        let sent = ended(sending);
        drop(pipe);
        assert_eq!(sent.status.code(), Some(6), "{}", said(&sent));
        assert!(said(&sent).contains("Ctrl-C there"), "{}", said(&sent));
        assert_eq!(events(&json_lines(&sent), "stopped")[0]["path"], "stdin");
    }
}

#[test]
fn ctrl_c_ends_a_command_that_waits_or_dials() {
    let (from, to) = (Node::new(), Node::new());
    from.file("a", b"a");
    for command in [&["recv"][..], &["bench", "serve"]] {
        let waiting = to.wait_for_peers(command);
        signal(&waiting.child, "INT");
        let (code, _, words) = waiting.ended();
        assert_eq!(code, Some(130), "{words}");
        assert!(words.contains("interrupted"), "{words}");
    }
    let nobody = format!("{}@127.0.0.1:9", to.key());
    let mut dialling = from.command(&["send", &nobody, "a", "--link", &loopback()]);
    let dialling = dialling.stderr(Stdio::piped()).spawn().unwrap();
    // It listens to signals before it dials, and dials for over four seconds.
    std::thread::sleep(Duration::from_secs(1));
    signal(&dialling, "INT");
    let start = Instant::now();
    let output = ended(dialling);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn ctrl_c_ends_a_measurement_at_both_ends() {
    for sender_stops in [true, false] {
        let (from, to) = (Node::new(), Node::new());
        let waiting = to.wait_for_peers(&["bench", "serve", "--once"]);
        let bulk = ["bench", "bulk", &waiting.ticket, "--seconds", "60", "--link", &loopback()];
        let sending = from.command(&bulk).stderr(Stdio::piped()).spawn().unwrap();
        waiting.until("connected");
        std::thread::sleep(Duration::from_millis(300));
        signal(if sender_stops { &sending } else { &waiting.child }, "INT");
        let sent = ended(sending);
        let (code, _, words) = waiting.ended();
        let expected = if sender_stops { (130, 6) } else { (6, 130) };
        assert_eq!((sent.status.code(), code), (Some(expected.0), Some(expected.1)), "{words}");
    }
}

/// A peer that died without a word is told of after two seconds, and given up after thirty.
#[test]
fn a_receiver_that_dies_without_a_word_is_told_of_and_given_up() {
    let (from, to) = (Node::new(), Node::new());
    let Endless { mut sending, pipe, mut waiting } = Endless::begin(&from, &to, &["recv"]);
    waiting.child.kill().unwrap();
    let start = Instant::now();
    let mut errors = sending.stderr.take().unwrap();
    let words = until_said(&mut errors, "no link reaches");
    let told = start.elapsed();
    assert!(told > Duration::from_millis(1_500) && told < Duration::from_secs(4), "{told:?}");
    let mut words = words;
    errors.read_to_string(&mut words).unwrap();
    let sent = ended(sending);
    drop(pipe);
    assert_eq!(sent.status.code(), Some(6), "{words}");
    assert!(words.contains("went away"), "{words}");
    let given_up = start.elapsed();
    assert!(given_up > Duration::from_secs(25) && given_up < Duration::from_secs(35));
    let lines = json_lines(&sent);
    assert_eq!((events(&lines, "silent").len(), events(&lines, "stopped").len()), (1, 1));
    assert!(part_bytes(&to) > 0 && to.read("stdin").is_none());
}

#[test]
fn a_sender_that_dies_without_a_word_is_told_of_and_given_up() {
    let (from, to) = (Node::new(), Node::new());
    let Endless { mut sending, pipe, waiting } = Endless::begin(&from, &to, &["recv", "--once"]);
    sending.kill().unwrap();
    sending.wait().unwrap();
    drop(pipe);
    let start = Instant::now();
    waiting.until("silent");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let (code, lines, words) = waiting.ended();
    assert_eq!(code, Some(6), "{words}");
    assert!(start.elapsed() < Duration::from_secs(35), "{:?}", start.elapsed());
    assert!(words.contains("no link reaches") && words.contains("went away"), "{words}");
    is_kept(&to, &lines);
}

/// The receiver still believes the killed one to be there, and its part to be its own.
#[test]
fn a_killed_sender_that_comes_again_at_once_goes_on_where_it_was() {
    // Nothing slows it down: most of it must be still to come when it is killed.
    const SIZE: usize = 160 << 20;
    let (from, to) = (Node::new(), Node::new());
    let bytes = noise(SIZE);
    from.file("film", &bytes);
    let waiting = to.wait_for_peers(&["recv"]);
    let again = ["send", &waiting.ticket, "film", "--json", "--link", &loopback()];
    let mut sending = from.command(&again).stderr(Stdio::piped()).spawn().unwrap();
    let part = || to.names().into_iter().find(|name| name.starts_with(".film.ropewalk-part-"));
    let came = || part().and_then(|part| std::fs::metadata(to.files.path().join(part)).ok());
    until("some of it is here", || came().is_some_and(|part| part.len() > 24 << 20));
    sending.kill().unwrap();
    sending.wait().unwrap();
    assert!(part().is_some(), "it was killed too late to tell anything");
    let start = Instant::now();
    let sent = from.command(&again).output().unwrap();
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(to.read("film").unwrap() == bytes);
    assert_eq!(to.names(), ["film"], "nothing else is left");
    let lines = json_lines(&sent);
    let file = events(&lines, "file")[0];
    assert!(file["resumed"].as_u64().unwrap() > 20 << 20, "{file}");
    let crossed = &file["paths"][0]["bytes"];
    assert!(crossed.as_u64().unwrap() < (SIZE as u64) - (12 << 20), "{crossed}");
    assert!(waiting.interrupted().contains("came again"));
}

#[test]
fn a_peer_that_is_silent_for_five_seconds_is_waited_for() {
    let (from, to) = (Node::new(), Node::new());
    let Endless { mut sending, mut pipe, waiting } =
        Endless::begin(&from, &to, &["recv", "--once"]);
    signal(&waiting.child, "STOP");
    pipe.write_all(&noise(200_000)).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    signal(&waiting.child, "CONT");
    let mut errors = sending.stderr.take().unwrap();
    let words = until_said(&mut errors, "is there again after");
    assert!(words.contains("no link reaches"), "{words}");
    drop(pipe);
    let sent = ended(sending);
    let (code, _, told) = waiting.ended();
    assert_eq!((sent.status.code(), code), (Some(0), Some(0)), "{words}{told}");
    assert!(to.read("stdin").unwrap() == [noise(300_000), noise(200_000)].concat());
}

/// A sender that only waits for its own input is no silent peer.
#[test]
fn a_pause_of_the_sender_is_not_taken_for_silence() {
    let (from, to) = (Node::new(), Node::new());
    let Endless { sending, pipe, waiting } = Endless::begin(&from, &to, &["recv", "--once"]);
    std::thread::sleep(Duration::from_secs(4));
    drop(pipe);
    let sent = ended(sending);
    let (code, lines, words) = waiting.ended();
    assert_eq!((sent.status.code(), code), (Some(0), Some(0)), "{words}");
    assert!(!said(&sent).contains("no link") && !words.contains("no link"), "{words}");
    assert!(events(&lines, "silent").is_empty() && to.names() == ["stdin"]);
}

#[test]
fn a_receiver_that_was_restarted_is_noticed_long_before_it_is_given_up() {
    let (from, to) = (Node::new(), Node::new());
    let Endless { sending, pipe, waiting } = Endless::begin(&from, &to, &["recv"]);
    let ticket = waiting.ticket.clone();
    drop(waiting);
    let start = Instant::now();
    let again = to.wait_for_peers(&["recv"]);
    let sent = ended(sending);
    drop(pipe);
    assert_eq!(sent.status.code(), Some(6), "{}", said(&sent));
    assert!(said(&sent).contains("restarted"), "{}", said(&sent));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    from.file("a", b"a");
    assert_eq!(from.dial(&["send", &ticket, "a"]).status.code(), Some(0));
    drop(again);
}

/// Reads what is said until it holds `words`.
fn until_said(from: &mut impl Read, words: &str) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&text).contains(words) {
        let count = from.read(&mut byte).unwrap();
        assert!(count > 0, "it ended, and said: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&byte);
    }
    String::from_utf8(text).unwrap()
}
