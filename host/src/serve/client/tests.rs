//! A client and its server over a pipe in memory.

use super::*;
use crate::content::catalog::Item;
use crate::content::manifest::{ManifestReader, Step};
use crate::content::offer::Offer;
use crate::content::outboard::Trees;
use crate::content::piece::{PIECE_BYTES, hash_piece};
use crate::content::proven::{Known, ProvenTree};
use crate::serve::protocol::{Content, Reason};
use std::fs;
use std::path::PathBuf;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

/// A shelf with what a test put into its folder.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    trees: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), trees: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn shelf(&self, names: &[&str]) -> Arc<Shelf> {
        let trees = || Trees::open(self.trees.path()).unwrap();
        let mut shelf = Shelf::new(trees());
        for name in names {
            let path = self.folder.path().join(name);
            shelf.add(Offer::make(&path, &trees(), &|_| true).unwrap()).unwrap();
        }
        Arc::new(shelf)
    }
}

/// What a stream needs of its server.
pub(crate) fn serving(shelf: Arc<Shelf>, phase: watch::Receiver<Phase>) -> Serving {
    let throttle = Arc::new(Throttle::new(None));
    Serving { shelf, phase, throttle, bytes: Arc::default(), active: Arc::default() }
}

/// The client's end of a stream.
struct Wire {
    reader: FrameReader<ReadHalf<DuplexStream>>,
    writer: FrameWriter<WriteHalf<DuplexStream>>,
    server: JoinHandle<Result<(), TransferError>>,
    phase: watch::Sender<Phase>,
    bytes: Arc<Meter>,
}

/// What came, with content put together.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Item(Vec<u8>),
    ListEnd,
    Bytes(u64, Vec<u8>),
    Cut(u64),
    No(u64, Reason),
    Paused,
    Resumed,
    Closing,
}

impl Wire {
    fn new(shelf: Arc<Shelf>) -> Self {
        let (here, there) = tokio::io::duplex(64 << 10);
        let phase = watch::Sender::default();
        let serving = serving(shelf, phase.subscribe());
        let bytes = serving.bytes.clone();
        let (recv, send) = tokio::io::split(there);
        let server = tokio::spawn(serve(recv, send, serving));
        let (reader, writer) = tokio::io::split(here);
        let (reader, writer) = (FrameReader::new(reader), FrameWriter::new(writer));
        Self { reader, writer, server, phase, bytes }
    }

    async fn ask(&mut self, request: Request) {
        self.writer.control(&request).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// The next answer; `None` when the server has ended the stream.
    async fn next(&mut self) -> Option<Came> {
        let Frame::Control(body) = self.reader.next_or_end().await.unwrap()? else {
            panic!("content that was not announced")
        };
        let (number, length) = match parse(body).unwrap() {
            Answer::Item(bytes) => return Some(Came::Item(bytes.to_vec())),
            Answer::ListEnd => return Some(Came::ListEnd),
            Answer::Cut(number) => return Some(Came::Cut(number)),
            Answer::No(number, reason) => return Some(Came::No(number, reason)),
            Answer::Paused => return Some(Came::Paused),
            Answer::Resumed => return Some(Came::Resumed),
            Answer::Closing => return Some(Came::Closing),
            Answer::Bytes { number, length } => (number, length),
        };
        let mut content = Vec::new();
        while content.len() < length as usize {
            match self.reader.next().await.unwrap() {
                Frame::Content(bytes) => content.extend(bytes),
                Frame::Control(body) => match parse(body).unwrap() {
                    Answer::Cut(cut) => return Some(Came::Cut(cut)),
                    other => panic!("{other:?} in the middle of content"),
                },
            }
        }
        Some(Came::Bytes(number, content))
    }

    /// Every item of the list.
    async fn list(&mut self) -> Vec<Item> {
        self.ask(Request::List).await;
        let mut items = Vec::new();
        loop {
            match self.next().await.unwrap() {
                Came::Item(bytes) => items.push(Item::parse(&bytes).unwrap()),
                Came::ListEnd => return items,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Place and root of the first file of a folder.
    async fn first_file(&mut self, folder: [u8; 32]) -> (u64, [u8; 32]) {
        let Came::Bytes(_, manifest) = self.piece(Content::Item(folder), 0).await else { panic!() };
        let mut steps = ManifestReader::new(&manifest[..]).unwrap();
        let file = steps.find_map(|step| match step.unwrap() {
            (place, Step::File(entry)) => Some((place, *entry.root.as_bytes())),
            _ => None,
        });
        file.unwrap()
    }

    async fn piece(&mut self, of: Content, piece: u64) -> Came {
        self.ask(Request::Piece { number: 7, of, piece, from: 0 }).await;
        self.next().await.unwrap()
    }
}

pub(crate) fn noise(bytes: u64) -> Vec<u8> {
    let mut random = blake3::Hasher::new().finalize_xof();
    let mut noise = vec![0; bytes as usize];
    random.fill(&mut noise);
    noise
}

#[tokio::test]
async fn every_piece_of_a_file_proves_itself() {
    let scene = Scene::new();
    let content = noise(3 * PIECE_BYTES + 5);
    scene.file("film", &content);
    let mut wire = Wire::new(scene.shelf(&["film"]));
    let items = wire.list().await;
    let [item] = &items[..] else { panic!("{items:?}") };
    assert_eq!((item.name(), item.root()), ("film", blake3::hash(&content)));
    let of = Content::Item(*item.root().as_bytes());
    let mut tree = ProvenTree::new(item.root(), item.pieces(), 8);
    let mut fetched = Vec::new();
    for piece in 0..item.pieces().count() {
        let node = loop {
            match tree.piece(piece).unwrap() {
                Known::Node(node) => break node,
                Known::Missing(id) => {
                    wire.ask(Request::Group { number: 1, of, id }).await;
                    let Some(Came::Bytes(1, bytes)) = wire.next().await else { panic!() };
                    tree.add(id, &bytes).unwrap();
                }
            }
        };
        let Came::Bytes(7, bytes) = wire.piece(of, piece).await else { panic!() };
        assert_eq!(hash_piece(item.pieces(), piece, &bytes), Some(node));
        fetched.extend(bytes);
    }
    assert!(fetched == content);
    assert!(wire.bytes.total() > content.len() as u64, "hashes count too");
    // The rest of a piece, and what is not there.
    let rest = Request::Piece { number: 2, of, piece: 3, from: 4 };
    wire.ask(rest).await;
    assert_eq!(wire.next().await, Some(Came::Bytes(2, content[content.len() - 1..].to_vec())));
    for (piece, from) in [(4, 0), (3, 6), (u64::MAX, u32::MAX)] {
        wire.ask(Request::Piece { number: 3, of, piece, from }).await;
        assert_eq!(wire.next().await, Some(Came::No(3, Reason::Unknown)), "{piece} from {from}");
    }
    let stranger = Content::Item([1; 32]);
    assert_eq!(wire.piece(stranger, 0).await, Came::No(7, Reason::Unknown));
    wire.writer.shutdown().await.unwrap();
    wire.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn files_of_a_folder_are_found_by_their_place_and_root_and_by_nothing_else() {
    let scene = Scene::new();
    let long = noise(PIECE_BYTES + 1);
    let files = [("box/a", &b"first"[..]), ("box/deep/b", &long), ("box/empty", b"")];
    for (name, content) in files {
        scene.file(name, content);
    }
    scene.file("secret", b"not offered");
    let mut wire = Wire::new(scene.shelf(&["box"]));
    let folder = wire.list().await.remove(0);
    let of = Content::Item(*folder.root().as_bytes());
    let Came::Bytes(_, manifest) = wire.piece(of, 0).await else { panic!() };
    assert_eq!(blake3::hash(&manifest), folder.root());
    let mut found = 0;
    for step in ManifestReader::new(&manifest[..]).unwrap() {
        let (place, step) = step.unwrap();
        let Step::File(entry) = step else { continue };
        let (_, content) =
            files.iter().find(|(name, _)| *name == format!("box/{}", entry.path)).unwrap();
        let of = |root: blake3::Hash, place| Content::Entry {
            folder: *folder.root().as_bytes(),
            place,
            root: *root.as_bytes(),
        };
        let mut fetched = Vec::new();
        for piece in 0..content.len().div_ceil(PIECE_BYTES as usize).max(1) {
            let Came::Bytes(7, bytes) = wire.piece(of(entry.root, place), piece as u64).await
            else {
                panic!()
            };
            fetched.extend(bytes);
        }
        assert!(fetched == *content, "{}", entry.path);
        found += 1;
        let wrong = blake3::hash(b"not offered");
        for content in [of(wrong, place), of(entry.root, place + 1)] {
            assert_eq!(wire.piece(content, 0).await, Came::No(7, Reason::Unknown));
        }
    }
    assert_eq!(found, files.len());
}

#[tokio::test]
async fn a_file_that_changed_is_not_given_as_if_it_had_not() {
    let scene = Scene::new();
    let (one, two) = (scene.file("one", &noise(2 * PIECE_BYTES)), scene.file("box/two", b"old"));
    let mut wire = Wire::new(scene.shelf(&["one", "box"]));
    let items = wire.list().await;
    let of = Content::Item(*items[0].root().as_bytes());
    assert!(matches!(wire.piece(of, 1).await, Came::Bytes(7, _)));
    fs::write(&one, noise(2 * PIECE_BYTES - 1)).unwrap();
    assert_eq!(wire.piece(of, 1).await, Came::No(7, Reason::Changed));
    let folder = *items[1].root().as_bytes();
    let (place, root) = wire.first_file(folder).await;
    let of = Content::Entry { folder, place, root };
    fs::write(&two, b"new").unwrap();
    assert_eq!(wire.piece(of, 0).await, Came::No(7, Reason::Changed));
    fs::remove_file(&two).unwrap();
    // Asked for something else in between, so that it is looked for again.
    let _ = wire.piece(Content::Item(folder), 0).await;
    assert_eq!(wire.piece(of, 0).await, Came::No(7, Reason::Changed));
}

#[tokio::test]
async fn what_is_cancelled_is_cut_and_the_next_request_is_answered() {
    let scene = Scene::new();
    scene.file("film", &noise(4 * PIECE_BYTES));
    let mut wire = Wire::new(scene.shelf(&["film"]));
    let of = Content::Item(*wire.list().await[0].root().as_bytes());
    for number in 0..4 {
        wire.ask(Request::Piece { number, of, piece: number, from: 0 }).await;
    }
    for number in [0, 1, 2] {
        wire.ask(Request::Cancel(number)).await;
    }
    // The first was on its way; whether the second was begun is chance.
    let mut whole = 0;
    loop {
        match wire.next().await.unwrap() {
            Came::Bytes(3, bytes) => {
                assert_eq!(bytes.len() as u64, PIECE_BYTES);
                break;
            }
            Came::Bytes(_, _) => whole += 1,
            Came::Cut(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(whole <= 1, "{whole} came whole though they were cancelled");
}

#[tokio::test]
async fn a_pause_and_the_end_are_told() {
    let scene = Scene::new();
    scene.file("a", b"a");
    let mut wire = Wire::new(scene.shelf(&["a"]));
    let of = Content::Item(*wire.list().await[0].root().as_bytes());
    wire.phase.send_replace(Phase::Paused);
    assert_eq!(wire.next().await, Some(Came::Paused));
    wire.ask(Request::Piece { number: 1, of, piece: 0, from: 0 }).await;
    wire.phase.send_replace(Phase::Serving);
    assert_eq!(wire.next().await, Some(Came::Resumed));
    assert_eq!(wire.next().await, Some(Came::Bytes(1, b"a".to_vec())));
    wire.phase.send_replace(Phase::Closing);
    assert_eq!(wire.next().await, Some(Came::Closing));
    assert_eq!(wire.next().await, None, "and the stream ends");
    wire.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pause_and_the_end_are_told_at_once_where_content_waits_for_its_turn() {
    let scene = Scene::new();
    scene.file("film", &noise(PIECE_BYTES));
    let (here, there) = tokio::io::duplex(64 << 10);
    let phase = watch::Sender::default();
    // It would take hours.
    let throttle = Arc::new(Throttle::new(core::num::NonZeroU64::new(10)));
    let serving = Serving { throttle, ..serving(scene.shelf(&["film"]), phase.subscribe()) };
    let (recv, send) = tokio::io::split(there);
    let server = tokio::spawn(serve(recv, send, serving));
    let (reader, writer) = tokio::io::split(here);
    let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
    let of = Content::Item(*blake3::hash(&noise(PIECE_BYTES)).as_bytes());
    writer.control(&Request::Piece { number: 0, of, piece: 0, from: 0 }).await.unwrap();
    writer.flush().await.unwrap();
    let announced = reader.next().await.unwrap();
    assert!(matches!(announced, Frame::Control(_)), "{announced:?}");
    assert!(
        matches!(reader.next().await.unwrap(), Frame::Content(_)),
        "the first waits for nothing"
    );
    for (told, answer) in [
        (Phase::Paused, Answer::Paused),
        (Phase::Serving, Answer::Resumed),
        (Phase::Closing, Answer::Closing),
    ] {
        phase.send_replace(told);
        let start = Instant::now();
        loop {
            // A part more may be on its way.
            if let Frame::Control(body) = reader.next().await.unwrap() {
                assert_eq!(parse::<Answer<'_>>(body).unwrap(), answer);
                break;
            }
        }
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_let_go() {
    let scene = Scene::new();
    scene.file("film", &noise(4 * PIECE_BYTES));
    let shelf = scene.shelf(&["film"]);
    let broken = async |wire: Wire| match wire.server.await.unwrap() {
        Err(TransferError::Protocol(why)) => why,
        other => panic!("{other:?}"),
    };
    let mut wire = Wire::new(shelf.clone());
    wire.writer.content(b"here").await.unwrap();
    wire.writer.flush().await.unwrap();
    assert_eq!(broken(wire).await, "a client sends no content");
    let mut wire = Wire::new(shelf.clone());
    wire.writer.control(&u64::MAX).await.unwrap();
    wire.writer.flush().await.unwrap();
    assert_eq!(broken(wire).await, "a control frame holds no message");
    // As many as are allowed, and the list, while none is answered.
    let mut wire = Wire::new(shelf.clone());
    let of = Content::Item(*wire.list().await[0].root().as_bytes());
    wire.phase.send_replace(Phase::Paused);
    assert_eq!(wire.next().await, Some(Came::Paused));
    wire.ask(Request::List).await;
    for number in 0..REQUESTS_MAX as u64 {
        wire.ask(Request::Piece { number, of, piece: 0, from: u32::MAX }).await;
    }
    wire.phase.send_replace(Phase::Serving);
    assert_eq!(wire.next().await, Some(Came::Resumed));
    assert!(matches!(wire.next().await, Some(Came::Item(_))));
    // It asks and asks, and takes nothing.
    let mut wire = Wire::new(shelf);
    let of = Content::Item(*wire.list().await[0].root().as_bytes());
    for number in 0..2 * REQUESTS_MAX as u64 {
        let asked = wire.writer.control(&Request::Piece { number, of, piece: 0, from: 0 }).await;
        if asked.is_err() {
            break;
        }
    }
    let _ = wire.writer.flush().await;
    assert_eq!(broken(wire).await, "more requests than are allowed");
}

/// Moves what the system says of the last change on, and not what programs say.
#[cfg(unix)]
fn touch(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::thread::sleep(core::time::Duration::from_millis(30));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_only_touched_is_given_on_and_the_owner_hears_of_it() {
    use crate::serve::changes::Fate;
    let scene = Scene::new();
    let content = noise(3 * PIECE_BYTES);
    let (one, two) = (scene.file("one", &content), scene.file("box/two", &content));
    let shelf = scene.shelf(&["one", "box"]);
    let mut wire = Wire::new(shelf.clone());
    let items = wire.list().await;
    let folder = *items[1].root().as_bytes();
    let (place, root) = wire.first_file(folder).await;
    let (item, entry) =
        (Content::Item(*items[0].root().as_bytes()), Content::Entry { folder, place, root });
    let fates =
        || shelf.take_changes().into_iter().map(|it| (it.name, it.fate)).collect::<Vec<_>>();
    for mode in [0o600, 0o644] {
        for (of, path) in [(item, &one), (entry, &two)] {
            assert!(matches!(wire.piece(of, 1).await, Came::Bytes(7, _)));
            touch(path, mode);
            assert!(matches!(wire.piece(of, 1).await, Came::Bytes(7, _)), "{of:?}");
            wire.ask(Request::Group {
                number: 1,
                of,
                id: crate::content::tree::GroupId { level: 0, index: 0 },
            })
            .await;
            assert!(matches!(wire.next().await, Some(Came::Bytes(1, _))));
        }
        assert_eq!(fates(), [("one".into(), Fate::Checking), ("one".into(), Fate::Same)]);
    }
    // Other bytes, and the date set back.
    for (of, path) in [(item, &one), (entry, &two)] {
        let date = fs::metadata(path).unwrap().modified().unwrap();
        let mut other = content.clone();
        other[7] ^= 1;
        std::thread::sleep(core::time::Duration::from_millis(30));
        fs::write(path, other).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_modified(date).unwrap();
        for _ in 0..2 {
            assert_eq!(wire.piece(of, 1).await, Came::No(7, Reason::Changed));
        }
    }
    let last = [("one", Fate::Checking), ("one", Fate::Changed), ("box/two", Fate::Changed)];
    assert_eq!(fates(), last.map(|(name, fate)| (name.to_owned(), fate)));
}

/// Its tree is gone, and its hashing takes minutes.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn hashing_that_clients_began_is_one_at_a_time_and_ends_when_they_go() {
    let scene = Scene::new();
    let path = scene.file("box/long", &noise(PIECE_BYTES + 1));
    let shelf = scene.shelf(&["box"]);
    let mut wires = [Wire::new(shelf.clone()), Wire::new(shelf.clone())];
    let folder = *shelf.catalog().items()[0].root().as_bytes();
    let Came::Bytes(_, manifest) = wires[0].piece(Content::Item(folder), 0).await else { panic!() };
    let mut steps = ManifestReader::new(&manifest[..]).unwrap();
    let (place, entry) = steps
        .find_map(|step| match step.unwrap() {
            (place, Step::File(entry)) => Some((place, entry)),
            _ => None,
        })
        .unwrap();
    let of = Content::Entry { folder, place, root: *entry.root.as_bytes() };
    for tree in fs::read_dir(scene.trees.path()).unwrap() {
        fs::remove_file(tree.unwrap().path()).unwrap();
    }
    // Somebody builds already, and does not come to an end: who asks waits, and only as long as he is there.
    let (begun, begins) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let building = std::thread::spawn({
        let (shelf, path) = (shelf.clone(), path.clone());
        move || shelf.hold_build(&path, || (begun.send(()).unwrap(), ends.recv().unwrap()))
    });
    begins.recv().unwrap();
    for wire in &mut wires {
        wire.ask(Request::Piece { number: 7, of, piece: 0, from: 0 }).await;
    }
    let [first, mut second] = wires;
    let waiting = tokio::time::timeout(core::time::Duration::from_millis(300), second.next()).await;
    assert!(waiting.is_err(), "nobody builds the same beside it");
    let users = Arc::strong_count(&shelf);
    drop(first);
    let start = Instant::now();
    // Both its stream and the thread that waited for it have let go of the shelf.
    while Arc::strong_count(&shelf) > users - 2 {
        assert!(start.elapsed().as_secs() < 20, "it goes on without its client");
        tokio::time::sleep(core::time::Duration::from_millis(20)).await;
    }
    end.send(()).unwrap();
    building.join().unwrap();
    assert!(matches!(second.next().await, Some(Came::Bytes(7, _))));
}

#[test]
fn hashing_stops_when_it_is_not_wanted_any_more() {
    let scene = Scene::new();
    let path = scene.file("box/long", &noise(20 * PIECE_BYTES));
    let shelf = scene.shelf(&["box"]);
    for tree in fs::read_dir(scene.trees.path()).unwrap() {
        fs::remove_file(tree.unwrap().path()).unwrap();
    }
    let looks = core::sync::atomic::AtomicUsize::new(0);
    let wanted = || looks.fetch_add(1, core::sync::atomic::Ordering::Relaxed) < 10;
    assert!(shelf.builds_tree(&path, &wanted).is_err());
    assert!(looks.into_inner() < 20);
    assert!(shelf.builds_tree(&path, &|| true).is_ok());
}
