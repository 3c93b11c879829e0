//! Peers that do not play by the rules, against the real program: names that lead out, wrong hashes,
//! lies about what arrived, wrong services, and strangers.

mod common;

use common::{Node, Waiting, events, json_lines, loopback, noise, said, until};
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk::connection::{Connection, RecvStream, SendStream};
use ropewalk::endpoint::{Endpoint, EndpointConfig};
use ropewalk::home::Home;
use ropewalk::identity::Identity;
use ropewalk::key_text;
use ropewalk::ticket::Ticket;
use ropewalk::transfer::protocol::{
    Answer, Attributes, Frame, FrameReader, FrameWriter, Message, Verdict, parse,
};
use std::net::UdpSocket;
use std::process::Output;
use std::sync::Arc;

/// A node of ours that speaks the protocol, but says what it likes.
async fn liar(home: &Node) -> Endpoint {
    let identity = Identity::load_or_create(&Home::at(home.home.path())).unwrap();
    let config = EndpointConfig {
        services: &["file"],
        only: vec![loopback()],
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        ..EndpointConfig::new(identity)
    };
    Endpoint::bind(config).await.unwrap()
}

/// A connection of ours to a command that waits, and a stream for files.
async fn to(endpoint: &Endpoint, waiting: &Waiting) -> (Connection, Hostile) {
    let ticket: Ticket = waiting.ticket.parse().unwrap();
    let credentials = Some((ticket.id, ticket.secret));
    let connection = endpoint.connect(ticket.key, credentials, &ticket.addresses).await.unwrap();
    let (send, recv) = connection.open("file").await.unwrap();
    let hostile = Hostile { writer: FrameWriter::new(send), reader: FrameReader::new(recv) };
    (connection, hostile)
}

struct Hostile {
    writer: FrameWriter<SendStream>,
    reader: FrameReader<RecvStream>,
}

impl Hostile {
    async fn say(&mut self, message: Message<'_>) {
        self.writer.control(&message).await.unwrap();
    }

    async fn file(&mut self, path: &[u8], content: &[u8], blake3: [u8; 32]) {
        let size = Some(content.len() as u64);
        self.say(Message::File { path, size, attributes: Attributes::default() }).await;
        self.writer.content(content).await.unwrap();
        self.say(Message::End(blake3)).await;
    }

    /// Says that it is done, and gives every verdict by its item.
    async fn done(mut self) -> Vec<(u64, String)> {
        self.say(Message::Done).await;
        self.writer.flush().await.unwrap();
        let mut verdicts = Vec::new();
        while let Frame::Control(body) = self.reader.next().await.unwrap() {
            match parse(body).unwrap() {
                Answer::Verdict(item, verdict) => verdicts.push((item, format!("{verdict:?}"))),
                Answer::Finished => break,
                _ => {}
            }
        }
        verdicts.sort();
        verdicts
    }
}

#[tokio::test]
async fn names_that_lead_out_are_refused_and_nothing_lands_outside() {
    let (from, to_node) = (Node::new(), Node::new());
    let waiting = to_node.wait_for_peers(&["recv", "--once", "--overwrite", "--out", "out"]);
    let endpoint = liar(&from).await;
    let (connection, mut hostile) = to(&endpoint, &waiting).await;
    let absolute = to_node.files.path().join("absolute");
    let long = vec![b'x'; 256];
    let deep = "x/".repeat(2_049);
    let bad: [(&[u8], &str); 8] = [
        (b"../escape", ".."),
        (b"a/../../escape", ".."),
        (absolute.as_os_str().as_encoded_bytes(), "absolute"),
        (b"nul\0name", "NUL"),
        (&long, "too long"),
        (deep.as_bytes(), "too long"),
        (b"odd-\xff", "UTF-8"),
        (b"", "empty"),
    ];
    for (path, _) in bad {
        hostile.file(path, b"evil", blake3::hash(b"evil").into()).await;
    }
    hostile.file(b"good", b"good", blake3::hash(b"good").into()).await;
    let verdicts = hostile.done().await;
    connection.close(0, "");
    connection.closed().await;
    for ((_, why), (_, verdict)) in bad.iter().zip(&verdicts) {
        assert!(verdict.contains("Refused") && verdict.contains(why), "{why}: {verdict}");
    }
    assert!(verdicts[8].1.contains("Stored"), "{verdicts:?}");
    let (code, lines, words) = waiting.ended();
    assert_eq!(code, Some(4), "{words}");
    assert_eq!(events(&lines, "refused").len(), 8);
    assert_eq!(to_node.names(), ["out"]);
    let inside: Vec<_> = std::fs::read_dir(to_node.files.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(inside, ["good"]);
}

#[tokio::test]
async fn content_with_a_wrong_hash_never_gets_its_name_and_ends_with_5() {
    let (from, to_node) = (Node::new(), Node::new());
    let waiting = to_node.wait_for_peers(&["recv", "--once"]);
    let endpoint = liar(&from).await;
    let (connection, mut hostile) = to(&endpoint, &waiting).await;
    hostile.file(b"bad", b"content", blake3::hash(b"other").into()).await;
    hostile.file(b"good", b"good", blake3::hash(b"good").into()).await;
    let verdicts = hostile.done().await;
    connection.close(0, "");
    connection.closed().await;
    assert!(verdicts[0].1.contains("Corrupt"), "{verdicts:?}");
    let (code, lines, words) = waiting.ended();
    assert_eq!(code, Some(5), "{words}");
    assert_eq!(events(&lines, "failed")[0]["path"], "bad");
    assert!(words.contains("BLAKE3"), "{words}");
    assert_eq!(to_node.names(), ["good"]);
}

/// What `send` makes of a receiver that answers `answers`.
async fn send_to(answers: &'static [Answer<'static>]) -> Output {
    let (from, ours) = (Node::new(), Node::new());
    from.file("file", b"content");
    let endpoint = liar(&ours).await;
    let place = SocketAddr::from(([127, 0, 0, 1], endpoint.port()));
    let peer = format!("{}@{place}", key_text::format(&endpoint.public_key()));
    let answering = tokio::spawn(async move {
        let connection = endpoint.accept().await.unwrap();
        let (_, send, recv) = connection.accept().await.unwrap();
        let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(recv));
        while let Ok(frame) = reader.next().await {
            let Frame::Control(body) = frame else { continue };
            if matches!(parse(body), Ok(Message::Done)) {
                break;
            }
        }
        for answer in answers {
            writer.control(answer).await.unwrap();
        }
        writer.flush().await.unwrap();
        reader.finish().await;
        connection.closed().await;
    });
    let output = tokio::task::spawn_blocking(move || from.dial(&["send", &peer, "file", "--json"]));
    let output = tokio::time::timeout(Duration::from_secs(20), output).await.unwrap().unwrap();
    answering.abort();
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_got_something_else_ends_the_sender_with_5() {
    let sent = send_to(&[Answer::Verdict(0, Verdict::Corrupt), Answer::Finished]).await;
    assert_eq!(sent.status.code(), Some(5), "{}", said(&sent));
    assert_eq!(events(&json_lines(&sent), "failed")[0]["path"], "file");
    assert!(said(&sent).contains("not what was sent"), "{}", said(&sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_breaks_the_protocol_ends_the_sender_with_1() {
    let sent = send_to(&[Answer::Verdict(7, Verdict::Already)]).await;
    assert_eq!(sent.status.code(), Some(1), "{}", said(&sent));
    assert!(said(&sent).contains("broke the file protocol"), "{}", said(&sent));
}

/// What a peer says cannot steer the terminal of whoever reads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_words_are_shown_without_control_characters() {
    const WORDS: Verdict<'_> = Verdict::Refused("no \x1b[2J\nerror: hacked");
    let sent = send_to(&[Answer::Verdict(0, WORDS), Answer::Finished]).await;
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    assert!(!sent.stderr.contains(&0x1b) && !said(&sent).contains("\nerror: hacked"));
}

#[test]
fn a_service_that_the_peer_does_not_offer_is_refused_by_name() {
    let (from, to_node) = (Node::new(), Node::new());
    from.file("file", b"x");
    let waiting = to_node.wait_for_peers(&["bench", "serve"]);
    let sent = from.dial(&["send", &waiting.ticket, "file"]);
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    assert!(said(&sent).contains("does not offer"), "{}", said(&sent));
    let waiting = to_node.wait_for_peers(&["recv"]);
    let sent = from.dial(&["bench", "bulk", &waiting.ticket, "--bytes", "1K"]);
    assert_eq!(sent.status.code(), Some(4), "{}", said(&sent));
    assert!(said(&sent).contains("does not offer"), "{}", said(&sent));
}

/// Noise, cut and changed packets, at the port of a command that waits.
#[test]
fn strangers_change_nothing_and_are_not_answered() {
    let (from, to_node) = (Node::new(), Node::new());
    from.file("file", b"content");
    let waiting = to_node.wait_for_peers(&["recv", "--log", "log"]);
    let ticket: Ticket = waiting.ticket.parse().unwrap();
    let port = ticket.addresses[0].port();
    until("the ticket is logged", || to_node.read("log").is_some_and(|log| log.ends_with(b"\n")));
    let before = state(&to_node);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let noise = noise(200_000);
    for (number, chunk) in noise.chunks(1_000).enumerate() {
        let mut datagram = chunk[..number * 5].to_vec();
        if let Some(first) = datagram.first_mut() {
            *first = number as u8;
        }
        socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
    }
    let error = socket.recv_from(&mut [0; 2_000]).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    assert_eq!(state(&to_node), before);
    assert_eq!(from.dial(&["send", &waiting.ticket, "file"]).status.code(), Some(0));
    assert_eq!(to_node.read("file").unwrap(), b"content");
    let words = waiting.interrupted();
    // Waiting, connected, the file: nothing of strangers.
    assert_eq!(words.lines().count(), 4, "{words}");
}

/// All that a node keeps, and its log.
fn state(node: &Node) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = [node.home.path(), node.files.path()]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}
