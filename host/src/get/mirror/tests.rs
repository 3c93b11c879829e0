//! Mirrors on loopback, good and bad ones.

mod folders;
mod pieces;
pub(in crate::get) mod server;
mod stores;
mod trouble;

use super::*;
use crate::content::catalog::{Item, ItemKind};
use crate::content::offer::Offer;
use crate::content::outboard::Trees;
use crate::content::piece::{PIECE_BYTES, Pieces};
use crate::content::proven::{Known as KnownNode, ProvenTree};
use crate::content::sidecar;
use crate::get::peer::{Asker, Event};
use crate::serve::client::tests::noise;
use crate::serve::protocol::Reason;
use crate::transfer::protocol::Attributes;
use server::{Answer, Server};
use std::fs;
use std::io;
use tokio::sync::mpsc;

type Events = mpsc::Receiver<(u8, Event)>;

/// A folder of this machine, with what is put onto servers.
pub(in crate::get) struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    pub(in crate::get) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(in crate::get) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(in crate::get) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The sidecar of what is called so.
    pub(in crate::get) fn sidecar(&self, name: &str) -> Vec<u8> {
        let trees = Trees::open(self.path("trees")).unwrap();
        let offer = Offer::make(&self.path(name), &trees, &|_| true).unwrap();
        let mut bytes = Vec::new();
        sidecar::write(&offer, &trees, &mut bytes, &|_| true).unwrap();
        bytes
    }

    pub(in crate::get) fn mirror(&self, url: &str) -> Arc<Mirror> {
        let address = Address::parse(url).unwrap();
        Arc::new(Mirror::new(&address, &self.path("scratch")).unwrap())
    }
}

/// A server with `film` and its sidecar.
async fn with_film(content: &[u8]) -> (Scene, Server, Arc<Mirror>) {
    let (scene, server) = (Scene::new(), Server::start().await);
    scene.write("film", content);
    server.put("/film", content);
    server.put("/film.ropewalk", scene.sidecar("film"));
    let mirror = scene.mirror(&format!("{}/film", server.url));
    (scene, server, mirror)
}

/// One that is told of the film, and has no sidecar.
async fn without_sidecar(content: &[u8]) -> (Scene, Server, Arc<Mirror>) {
    let (scene, server) = (Scene::new(), Server::start().await);
    server.put("/film", content);
    let mirror = scene.mirror(&format!("{}/film", server.url));
    mirror.know(Facts::item_alone(film(content)));
    (scene, server, mirror)
}

fn film(content: &[u8]) -> Item {
    let pieces = Pieces::of(content.len() as u64).unwrap();
    let kind = ItemKind::File(Attributes::default());
    Item::new("film", kind, pieces, blake3::hash(content)).unwrap()
}

fn of(item: &Item) -> Content {
    Content::Item(*item.root().as_bytes())
}

fn opened(mirror: &Arc<Mirror>) -> (Asker, Events) {
    let (told, events) = mpsc::channel(4);
    (open(mirror.clone(), 7, told), events)
}

async fn next(events: &mut Events) -> Event {
    let patience = core::time::Duration::from_secs(20);
    let event = tokio::time::timeout(patience, events.recv()).await;
    let (name, event) = event.expect("something is told").expect("more is told");
    assert_eq!(name, 7);
    event
}

async fn list(asker: &Asker, events: &mut Events) -> Vec<Item> {
    asker.list();
    let mut items = Vec::new();
    loop {
        match next(events).await {
            Event::Item(item) => items.push(item),
            Event::ListEnd => return items,
            other => panic!("{other:?}"),
        }
    }
}

/// The answers to these requests by number, each put together, in whatever order they come.
async fn answers(events: &mut Events, mut asked: Vec<u64>) -> HashMap<u64, Vec<u8>> {
    let mut came: HashMap<u64, Vec<u8>> = asked.iter().map(|number| (*number, vec![])).collect();
    while !asked.is_empty() {
        match next(events).await {
            Event::Chunk { number, bytes, .. } => {
                assert!((1..=128 << 10).contains(&bytes.len()));
                came.get_mut(&number).unwrap().extend(bytes);
            }
            Event::Done(number) => asked.retain(|asked| *asked != number),
            other => panic!("{other:?}"),
        }
    }
    came
}

async fn answer(events: &mut Events, number: u64) -> Vec<u8> {
    answers(events, vec![number]).await.remove(&number).unwrap()
}

/// The refusal of this request, before which no more came than `bytes_max`.
async fn refusal(events: &mut Events, number: u64, bytes_max: usize) -> Reason {
    let mut came = 0;
    loop {
        match next(events).await {
            Event::Chunk { bytes, .. } => came += bytes.len(),
            Event::No(refused, reason) if refused == number => {
                assert!(came <= bytes_max, "{came}");
                return reason;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Why the mirror is lost, and how many bytes came before. Nothing is told after it.
async fn loss(events: &mut Events) -> (io::Error, usize) {
    let mut came = 0;
    loop {
        match next(events).await {
            Event::Chunk { bytes, .. } => came += bytes.len(),
            Event::Lost(TransferError::Lost(error)) => {
                assert!(events.recv().await.is_none());
                return (error, came);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Fetches content of this root with nothing but the source.
async fn fetch_all(
    asker: &Asker,
    events: &mut Events,
    of: Content,
    root: blake3::Hash,
    pieces: Pieces,
) -> Vec<u8> {
    let mut tree = ProvenTree::new(root, pieces, 8);
    let mut whole = Vec::new();
    for piece in 0..pieces.count() {
        while let Some(KnownNode::Missing(id)) = tree.piece(piece) {
            let number = asker.group(of, id).unwrap();
            tree.add(id, &answer(events, number).await).unwrap();
        }
        let Some(KnownNode::Node(node)) = tree.piece(piece) else { panic!() };
        let number = asker.piece(of, piece, 0).unwrap();
        let bytes = answer(events, number).await;
        assert_eq!(crate::content::piece::hash_piece(pieces, piece, &bytes), Some(node));
        whole.extend(bytes);
    }
    whole
}
