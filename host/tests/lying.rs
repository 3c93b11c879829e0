//! `ropewalk get` and servers that lie: about content, and about how long it is.
#![cfg(unix)]

mod common;

use common::{Node, events, json_lines, loopback, noise, said};
use ropewalk::content::catalog::Item;
use ropewalk::content::offer::Offer;
use ropewalk::content::outboard::Trees;
use ropewalk::content::piece::Pieces;
use ropewalk::endpoint::{Endpoint, EndpointConfig};
use ropewalk::home::Home;
use ropewalk::identity::Identity;
use ropewalk::serve::protocol::{Answer, Content, Reason, Request, SERVICE};
use ropewalk::serve::shelf::Shelf;
use ropewalk::stream::{RecvStream, SendStream};
use ropewalk::ticket::Ticket;
use ropewalk::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// What is wrong with what a server says.
#[derive(Clone, Copy)]
enum Lie {
    /// A byte of the piece that it is asked for as so manieth, from one, by each client.
    Nth(u64),
    /// The length, by so many bytes more, and all of the hashes are zeros.
    Length(u64),
}

/// A server that lies, until it is dropped.
struct Liar {
    ticket: String,
    _runtime: tokio::runtime::Runtime,
    _home: tempfile::TempDir,
}

impl Liar {
    fn new(content: &[u8], lie: Lie) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("film");
        std::fs::write(&path, content).unwrap();
        let trees = |name: &str| Trees::open(home.path().join(name)).unwrap();
        let mut shelf = Shelf::new(trees("trees"));
        shelf.add(Offer::make(&path, &trees("trees"), &|_| true).unwrap()).unwrap();
        let shelf = Arc::new(shelf);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let endpoint = runtime.block_on(async {
            let identity = Identity::load_or_create(&Home::at(home.path())).unwrap();
            let config = EndpointConfig {
                services: &[SERVICE],
                only: vec![loopback()],
                admission: Some(Arc::new(|_, ticket| ticket.map(|_| [7; 32]))),
                ..EndpointConfig::new(identity)
            };
            Endpoint::bind(config).await.unwrap()
        });
        let (key, addresses) = (endpoint.public_key(), endpoint.addresses());
        let ticket = Ticket { key, id: [1; 8], secret: [7; 32], addresses, root: None };
        runtime.spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                let shelf = shelf.clone();
                tokio::spawn(async move {
                    while let Some((_, send, recv)) = connection.accept().await {
                        lie_to(recv, send, &shelf, lie).await;
                    }
                });
            }
        });
        Self { ticket: ticket.to_string(), _runtime: runtime, _home: home }
    }
}

/// Answers until the client has had enough.
async fn lie_to(recv: RecvStream, send: SendStream, shelf: &Shelf, lie: Lie) {
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let item = shelf.catalog().items()[0].clone();
    let said = match lie {
        Lie::Nth(_) => item.clone(),
        Lie::Length(more) => {
            let pieces = Pieces::of(item.pieces().length() + more).unwrap();
            Item::new(item.name(), item.kind(), pieces, item.root()).unwrap()
        }
    };
    let mut asked = 0;
    while let Ok(Frame::Control(body)) = reader.next().await {
        let request: Request = parse(body).unwrap();
        let (number, bytes) = match request {
            Request::List => {
                let _ = writer.control(&Answer::Item(&said.to_bytes())).await;
                let _ = writer.control(&Answer::ListEnd).await;
                let _ = writer.flush().await;
                continue;
            }
            Request::Cancel(_) => continue,
            Request::Group { number, of, id } => match lie {
                Lie::Nth(_) => (number, shelf.find(of).and_then(|found| found.group(id))),
                Lie::Length(_) => (number, Ok(vec![0; 32 * said.pieces().count() as usize])),
            },
            Request::Piece { number, of, piece, from } => {
                asked += 1;
                let mut bytes =
                    piece_of(shelf, &item, of, piece).map(|mut it| it.split_off(from as usize));
                if let (Lie::Nth(nth), Ok(bytes)) = (lie, &mut bytes)
                    && nth == asked
                {
                    bytes[0] ^= 1;
                }
                (number, bytes)
            }
        };
        match bytes {
            Ok(bytes) => {
                let length = bytes.len() as u32;
                let _ = writer.control(&Answer::Bytes { number, length }).await;
                for chunk in bytes.chunks(100_000) {
                    let _ = writer.content(chunk).await;
                }
            }
            Err(reason) => drop(writer.control(&Answer::No(number, reason)).await),
        }
        let _ = writer.flush().await;
    }
}

fn piece_of(shelf: &Shelf, item: &Item, of: Content, piece: u64) -> Result<Vec<u8>, Reason> {
    let range = item.pieces().range(piece).ok_or(Reason::Unknown)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    shelf.find(of)?.read_at(range.start, &mut bytes)?;
    Ok(bytes)
}

fn get(node: &Node, tickets: &[&str]) -> std::process::Output {
    node.dial(&[&["get", "--json"], tickets].concat())
}

#[test]
fn a_server_that_lies_about_one_piece_is_dropped_and_named_and_the_file_is_right() {
    let content = noise(40 * MIB);
    let honest = Node::new();
    honest.file("film", &content);
    // Slow, so that the liar is asked for most of it.
    let serving = honest.wait_for_peers(&["serve", "film", "--max-rate", "8M"]);
    let liar = Liar::new(&content, Lie::Nth(2));
    let client = Node::new();
    let output = get(&client, &[&liar.ticket, &serving.ticket]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(client.read("film").unwrap() == content);
    let lines = json_lines(&output);
    let sources = events(&lines, "fetched")[0]["sources"].as_array().unwrap().clone();
    let dropped: Vec<_> = sources.iter().filter(|it| it["state"] == "lied: dropped").collect();
    assert_eq!(dropped.len(), 1, "{}", said(&output));
    assert!(said(&output).contains("what it sent is wrong"), "{}", said(&output));

    // With nobody else there is no file, and an exit code for that.
    let alone = Node::new();
    let output = get(&alone, &[&liar.ticket]);
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert_eq!(alone.read("film"), None);
}

#[test]
fn servers_that_lie_about_the_length_are_no_use_and_no_harm_even_where_they_are_more() {
    let content = noise(5 * MIB);
    let honest = Node::new();
    honest.file("film", &content);
    let serving = honest.wait_for_peers(&["serve", "film"]);
    for more in [1, MIB as u64, 1 << 40] {
        let liars = [(); 2].map(|()| Liar::new(&content, Lie::Length(more)));
        let client = Node::new();
        let output = get(&client, &[&liars[0].ticket, &liars[1].ticket, &serving.ticket]);
        assert_eq!(output.status.code(), Some(0), "{more}: {}", said(&output));
        assert!(client.read("film").unwrap() == content);
        assert_eq!(client.names(), ["film"]);
    }
}
