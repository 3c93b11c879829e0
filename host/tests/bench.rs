//! Measurements between two processes on the loopback interface, and what bad input gets.

mod common;

use common::{Node, events, json_lines, said};

/// Runs a measurement of latency; what both ends told.
fn messages(arguments: &[&str]) -> [serde_json::Value; 2] {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["bench", "serve", "--once"]);
    let first = ["bench", "messages", &waiting.ticket, "--json"];
    let output = from.dial(&[&first[..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, served, words) = waiting.ended();
    assert_eq!(code, Some(0), "{words}");
    let sent = json_lines(&output);
    [events(&sent, "messages")[0].clone(), events(&served, "messages")[0].clone()]
}

fn number(line: &serde_json::Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} in {line}"))
}

#[test]
fn the_latency_of_messages_is_told_by_both_ends_as_the_receiver_saw_it() {
    let lines = messages(&["--rate", "200", "--size", "1000", "--seconds", "1"]);
    for line in &lines {
        assert_eq!((&line["count"], &line["lost"]), (&200.into(), &0.into()), "{line}");
        let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|field| number(line, field));
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max && max < 5_000.0, "{line}");
        assert!(!cfg!(unix) || number(line, "cpu_s") > 0.0, "{line}");
    }
    for field in ["p50_ms", "p99_ms", "max_ms"] {
        assert_eq!(lines[0][field], lines[1][field], "{field}");
    }
}

/// A rate that drifted would end late: each message counts from the moment at which it was due, so the
/// half of them would be late by half of that.
#[test]
fn ten_thousand_messages_a_second_are_kept_up() {
    let [line, _] = messages(&["--rate", "10000", "--size", "16", "--seconds", "2"]);
    assert_eq!((&line["count"], &line["lost"]), (&20_000.into(), &0.into()), "{line}");
    assert!(number(&line, "p50_ms") < 200.0, "{line}");
}

#[test]
fn a_plan_that_cannot_be_is_wrong_usage() {
    let node = Node::new();
    let plan = |rate, size, seconds| {
        ["bench", "messages", "peer", "--rate", rate, "--size", size, "--seconds", seconds]
    };
    for (arguments, word) in [
        (plan("0", "100", "1"), "messages a second"),
        (plan("10001", "100", "1"), "10000"),
        (plan("x", "100", "1"), "messages a second"),
        (plan("100", "15", "1"), "16 bytes at least"),
        (plan("100", "0", "1"), "more than nothing"),
        (plan("100", "2M", "1"), "1048576 bytes at most"),
        (plan("100", "100", "0"), "above zero"),
    ] {
        let output = node.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_sender_that_stops_half_way_leaves_a_count_of_what_came() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["bench", "serve", "--once"]);
    let lo = common::loopback();
    let plan = ["--rate", "100", "--size", "100", "--seconds", "600", "--link", &lo];
    let arguments = [&["bench", "messages", &waiting.ticket][..], &plan].concat();
    let sending = from.command(&arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(core::time::Duration::from_millis(1_500));
    common::signal(&sending, "INT");
    let sent = sending.wait_with_output().unwrap();
    assert_eq!(sent.status.code(), Some(130), "{}", said(&sent));
    let (code, lines, words) = waiting.ended();
    assert_eq!(code, Some(6), "{words}");
    let line = events(&lines, "messages")[0];
    assert_eq!(number(line, "count") + number(line, "lost"), 60_000.0, "{line}");
    assert!(number(line, "count") > 0.0, "{line}");
}

#[test]
fn both_ends_say_what_it_cost_and_draw_what_each_path_did() {
    let (from, to) = (Node::new(), Node::new());
    let waiting = to.wait_for_peers(&["bench", "serve", "--once", "--plot", "in.svg"]);
    let arguments =
        ["bench", "bulk", &waiting.ticket, "--seconds", "0.5", "--plot", "out.svg", "--json"];
    let output = from.dial(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let (code, served, _) = waiting.ended();
    assert_eq!(code, Some(0));
    for lines in [&json_lines(&output), &served] {
        let line = events(lines, "bulk")[0];
        assert!(!cfg!(unix) || number(line, "cpu_s") > 0.0, "{line}");
    }
    for (node, name) in [(&from, "out.svg"), (&to, "in.svg")] {
        let picture = String::from_utf8(node.read(name).unwrap()).unwrap();
        assert!(picture.starts_with("<svg ") && picture.contains("<polyline"), "{name}");
        assert!(picture.contains(&common::loopback()) && picture.contains("Mbit/s"), "{name}");
    }
}

#[test]
fn a_plot_that_cannot_be_written_is_told_before_anything_is_measured() {
    let node = Node::new();
    let output = node.run(&["bench", "serve", "--plot", "no/such/folder.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no/such/folder.svg"), "{}", said(&output));
    assert!(output.stdout.is_empty(), "no ticket");
}
