//! `ropewalk get` and mirrors: a web server with ranges beside a ropewalk server, and alone; sources added while it runs.
#![cfg(unix)]

mod common;

use common::{Node, events, json_lines, loopback, noise, said, until};
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// A web server of these paths. It gives ranges, and counts the bytes of bodies.
struct Web {
    url: String,
    given: Arc<AtomicU64>,
}

impl Web {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        let (files, given) = (Arc::new(files), Arc::<AtomicU64>::default());
        let counted = given.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (files, counted) = (files.clone(), counted.clone());
                std::thread::spawn(move || answer(stream, &files, &counted));
            }
        });
        Self { url, given }
    }
}

/// Answers the requests of one connection, until it breaks.
fn answer(stream: TcpStream, files: &HashMap<String, Vec<u8>>, given: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let path = lines.first()?.split(' ').nth(1)?.to_owned();
        let Some(file) = files.get(&path) else {
            writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
            continue;
        };
        let range = lines.iter().find_map(|line| {
            let line = line.to_ascii_lowercase();
            let (first, last) = line.strip_prefix("range: bytes=")?.split_once('-')?;
            let last = last.parse().unwrap_or(file.len() - 1).min(file.len() - 1);
            Some((first.parse::<usize>().ok()?, last))
        });
        let (head, body) = match range {
            Some((first, last)) => {
                let all = file.len();
                let range = format!("Content-Range: bytes {first}-{last}/{all}\r\n");
                (format!("206 Partial Content\r\n{range}"), &file[first..=last])
            }
            None => ("200 OK\r\n".to_owned(), &file[..]),
        };
        let modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let length = body.len();
        let head = format!("HTTP/1.1 {head}{modified}Content-Length: {length}\r\n\r\n");
        writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body)).ok()?;
        given.fetch_add(length as u64, Ordering::Relaxed);
    }
}

fn get(node: &Node, sources: &[&str]) -> Output {
    node.dial(&[&["get", "--json"], sources].concat())
}

/// What `ropewalk manifest` makes of it.
fn sidecar(node: &Node, name: &str) -> Vec<u8> {
    let output = node.run(&["manifest", name]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    node.read(&format!("{name}.ropewalk")).unwrap()
}

#[test]
fn a_mirror_gives_pieces_beside_a_server_that_gives_the_hashes() {
    let content = noise(24 * MIB + 5);
    let web = Web::new(&[("/film", content.clone())]);
    let node = Node::new();
    node.file("film", &content);
    let serving = node.wait_for_peers(&["serve", "film", "--max-rate", "2M"]);
    let client = Node::new();
    let output = get(&client, &[&serving.ticket, &format!("{}/film", web.url)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let given = web.given.load(Ordering::Relaxed);
    assert!(given > 16 * MIB as u64, "the faster one gives most: {given}; {}", said(&output));
}

#[test]
fn mirrors_alone_are_enough_where_hashes_lie_beside_one_or_here() {
    let content = noise(6 * MIB + 5);
    let node = Node::new();
    node.file("film", &content);
    let hashes = sidecar(&node, "film");
    let web = Web::new(&[("/film", content.clone()), ("/film.ropewalk", hashes.clone())]);
    let client = Node::new();
    let output = get(&client, &[&format!("{}/film", web.url)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);

    let bare = Web::new(&[("/film", content.clone())]);
    let other = Node::new();
    other.file("film.ropewalk", &hashes);
    let output = get(&other, &[&format!("{}/film", bare.url), "film.ropewalk"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(other.read("film").unwrap() == content);

    // A folder.
    node.file("photos/a b", &noise(3 * MIB));
    node.file("photos/deep/small", b"small");
    let hashes = sidecar(&node, "photos");
    let web = Web::new(&[
        ("/photos.ropewalk", hashes),
        ("/photos/a%20b", noise(3 * MIB)),
        ("/photos/deep/small", b"small".to_vec()),
    ]);
    let output = get(&client, &[&format!("{}/photos", web.url)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("photos/a b").unwrap() == noise(3 * MIB));
    assert_eq!(client.read("photos/deep/small").unwrap(), b"small");
}

#[test]
fn a_mirror_that_has_something_else_is_dropped_and_named() {
    let content = noise(12 * MIB);
    let mut other = content.clone();
    // In each piece, so that it does not matter which it is asked for.
    other.iter_mut().step_by(MIB).for_each(|byte| *byte ^= 1);
    let web = Web::new(&[("/film", other)]);
    let node = Node::new();
    node.file("film", &content);
    let serving = node.wait_for_peers(&["serve", "film", "--max-rate", "8M"]);
    let client = Node::new();
    let output = get(&client, &[&serving.ticket, &format!("{}/film", web.url)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    assert!(said(&output).contains("what it sent is wrong"), "{}", said(&output));
}

#[test]
fn a_source_that_is_added_is_used_at_once_and_a_get_can_be_asked_and_stopped() {
    let content = noise(30 * MIB);
    let nodes = [Node::new(), Node::new()];
    let serving = [("1M", 0), ("16M", 1)].map(|(rate, at)| {
        nodes[at].file("film", &content);
        nodes[at].wait_for_peers(&["serve", "film", "--max-rate", rate])
    });
    let client = Node::new();
    // Its own place for sockets, whatever this machine's is.
    let ask = |words: &[&str]| {
        let mut command = client.command(&[&["ctl"], words].concat());
        command.env_remove("XDG_RUNTIME_DIR").output().unwrap()
    };
    let begin = || {
        let loopback = loopback();
        let words = ["get", "--json", "--link", &loopback, serving[0].ticket.as_str()];
        let mut command = client.command(&words);
        command.env_remove("XDG_RUNTIME_DIR");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let getting = begin();
    until("it can be asked", || ask(&["status"]).status.success());
    let output = ask(&["close", "1"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let output = ask(&["add", serving[1].ticket.as_str()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let lines = json_lines(&output);
    let end = events(&lines, "fetched")[0];
    assert_eq!(end["sources"].as_array().unwrap().len(), 2, "{end}");
    let most = end["sources"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap());
    assert!(most.max().unwrap() > 20 * MIB as u64, "{end}");

    std::fs::remove_file(client.files.path().join("film")).unwrap();
    let getting = begin();
    until("it can be asked", || ask(&["status"]).status.success());
    assert_eq!(ask(&["quit"]).status.code(), Some(0));
    let output = getting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
}
