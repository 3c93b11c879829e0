//! What a kill, a power cut, a damaged journal and a second `get` do to a file under way: nothing but cost.

use super::*;
use cap_std::ambient_authority;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

const PIECE: u32 = 8192;

/// A content, its pieces' hashes, and a folder to fetch it into.
struct Scene {
    at: tempfile::TempDir,
    bytes: Vec<u8>,
    content: Content,
    hashes: Vec<blake3::Hash>,
}

impl Scene {
    fn new(bytes: Vec<u8>) -> Self {
        let pieces = bytes.len().div_ceil(PIECE as usize).max(1);
        let piece = |at| bytes.chunks(PIECE as usize).nth(at).unwrap_or_default();
        let hashes = (0..pieces).map(|at| blake3::hash(piece(at))).collect();
        let length = bytes.len() as u64;
        let content =
            Content { root: *blake3::hash(&bytes).as_bytes(), length, piece_bytes: PIECE };
        Self { at: tempfile::tempdir().unwrap(), bytes, content, hashes }
    }

    /// Pieces of noise, and of zeros where the number is one of `zeros`; the last one is shorter.
    fn of_pieces(pieces: usize, zeros: &[usize]) -> Self {
        let mut bytes = vec![0; pieces * PIECE as usize - 1_000];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        for zero in zeros {
            if let Some(piece) = bytes.chunks_mut(PIECE as usize).nth(*zero) {
                piece.fill(0);
            }
        }
        Self::new(bytes)
    }

    fn open(&self, leftover: Leftover) -> Result<Partial, OpenError> {
        let folder = Dir::open_ambient_dir(self.at.path(), ambient_authority()).unwrap();
        Partial::open(folder, "file", self.content, Attributes::default(), leftover)
    }

    /// Opened again after a kill, and all that is there looked at.
    fn resume(&self) -> Partial {
        let mut partial = self.open(Leftover::Resume).unwrap();
        partial.prove(0..u64::MAX, &mut self.proof()).unwrap();
        partial
    }

    fn proof(&self) -> impl Proof {
        |piece: u64, content: &[u8]| {
            let hash = self.hashes.get(usize::try_from(piece).unwrap());
            hash.is_some_and(|hash| *hash == blake3::hash(content))
        }
    }

    fn piece(&self, piece: u64) -> &[u8] {
        self.bytes.chunks(PIECE as usize).nth(usize::try_from(piece).unwrap()).unwrap_or_default()
    }

    fn put(&self, partial: &mut Partial, pieces: impl IntoIterator<Item = u64>) {
        for piece in pieces {
            partial.put(piece, self.piece(piece)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.at.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Fetches what is missing and publishes it; it must be right then.
    fn finish(&self, mut partial: Partial) {
        while let Some(missing) = partial.missing(0) {
            self.put(&mut partial, missing);
        }
        partial.publish(Replace::No).unwrap();
        assert_eq!(self.names(), ["file"]);
        assert!(std::fs::read(self.path("file")).unwrap() == self.bytes);
    }
}

const TEMPORARY: &str = ".file.ropewalk-get";
const JOURNAL: &str = ".file.ropewalk-get-journal";

#[test]
fn it_is_not_seen_under_its_name_before_it_is_whole() {
    let scene = Scene::of_pieces(5, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    assert_eq!((partial.found(), partial.temporary()), (Found::New, TEMPORARY));
    scene.put(&mut partial, [4, 0, 2]);
    assert_eq!((partial.missing(0), partial.missing(2)), (Some(1..2), Some(3..4)));
    assert_eq!(scene.names(), [TEMPORARY, JOURNAL]);
    assert!(partial.publish(Replace::No).is_err(), "pieces are missing");
    let partial = scene.resume();
    assert_eq!(partial.had(), 3);
    scene.finish(partial);
}

#[test]
fn what_is_no_piece_of_it_is_not_written() {
    let scene = Scene::of_pieces(2, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    for (piece, content) in [(0, &[1][..]), (1, &[1; 8192]), (2, &[]), (u64::MAX, &[1; 8192])] {
        assert!(partial.put(piece, content).is_err(), "{piece}");
    }
    assert_eq!(partial.had(), 0);
    scene.finish(partial);
}

#[test]
fn an_empty_file_is_proved_to_be_empty() {
    let scene = Scene::new(Vec::new());
    let mut partial = scene.resume();
    assert_eq!((partial.had(), partial.missing(0)), (0, Some(0..1)));
    scene.put(&mut partial, [0]);
    drop(partial);
    let partial = scene.resume();
    assert!(partial.is_whole());
    scene.finish(partial);
}

#[test]
fn a_second_get_is_refused_until_the_first_is_gone() {
    let scene = Scene::of_pieces(3, &[]);
    let mut first = scene.open(Leftover::Resume).unwrap();
    scene.put(&mut first, [1]);
    for leftover in [Leftover::Resume, Leftover::Discard] {
        assert!(matches!(scene.open(leftover), Err(OpenError::Busy)));
    }
    drop(first);
    let mut second = scene.resume();
    assert_eq!(second.had(), 1, "the one that was refused has harmed nothing");
    scene.put(&mut second, [0, 2]);
    second.publish(Replace::No).unwrap();
    // One that comes after does not write to what was published.
    let mut third = scene.open(Leftover::Resume).unwrap();
    assert_eq!(third.prove(0..9, &mut scene.proof()).unwrap(), 0);
    let error = {
        scene.put(&mut third, 0..3);
        third.publish(Replace::No).unwrap_err()
    };
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    scene.resume().publish(Replace::Yes).unwrap();
    assert_eq!(scene.names(), ["file"]);
}

#[test]
fn many_gets_at_once_make_one_right_file() {
    let scene = Scene::of_pieces(20, &[3, 4]);
    let published = core::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..50 {
                    let Ok(mut partial) = scene.open(Leftover::Resume) else { continue };
                    partial.prove(0..u64::MAX, &mut scene.proof()).unwrap();
                    let missing: Vec<_> = partial.missing(0).into_iter().flatten().collect();
                    scene.put(&mut partial, missing.into_iter().take(7));
                    if partial.is_whole() {
                        partial.publish(Replace::Yes).unwrap();
                        published.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
                        assert!(std::fs::read(scene.path("file")).unwrap() == scene.bytes);
                    }
                }
            });
        }
    });
    assert!(published.into_inner() > 0);
    assert!(std::fs::read(scene.path("file")).unwrap() == scene.bytes);
}

/// A sector that cannot be read is like a handle that may not read: what is there is not to be had.
#[test]
fn what_cannot_be_read_is_fetched_again() {
    let scene = Scene::of_pieces(5, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    scene.put(&mut partial, 0..3);
    drop(partial);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    partial.file = File::options().write(true).open(scene.path(TEMPORARY)).unwrap();
    assert_eq!(partial.prove(0..u64::MAX, &mut scene.proof()).unwrap(), 0);
    scene.finish(partial);
}

/// Bytes that make the flusher tell the disk.
const PLENTY: u64 = 32 << 20;

#[test]
fn a_disk_that_did_not_take_what_came_earlier_publishes_nothing() {
    let scene = Scene::of_pieces(3, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    // The thread is told, and the sync at the end is told nothing any more: that is how Linux does it.
    let failing = |_: &File| Err(io::Error::other("the disk says no"));
    partial.flusher = Flusher::with(&partial.file, failing).unwrap();
    scene.put(&mut partial, 0..3);
    partial.flusher.wrote(PLENTY).unwrap();
    let error = partial.publish(Replace::No).unwrap_err();
    assert_eq!(error.to_string(), "the disk says no");
    assert_eq!(scene.names(), [TEMPORARY, JOURNAL]);
    // Another one trusts what it proves.
    let partial = scene.resume();
    assert_eq!(partial.had(), 3);
    scene.finish(partial);
}

#[test]
fn what_the_disk_did_not_take_is_said_as_soon_as_it_is_known() {
    let scene = Scene::of_pieces(3, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    let failing = |_: &File| Err(io::Error::other("the disk says no"));
    partial.flusher = Flusher::with(&partial.file, failing).unwrap();
    let patience = std::time::Instant::now() + core::time::Duration::from_secs(20);
    let error = loop {
        assert!(std::time::Instant::now() < patience, "it was never said");
        if let Err(error) = partial.flusher.wrote(PLENTY) {
            break error;
        }
        std::thread::yield_now();
    };
    assert_eq!(error.to_string(), "the disk says no");
    assert!(partial.flusher.wrote(PLENTY).is_err() && partial.flusher.finish().is_err());
}

#[test]
fn a_disk_that_is_slow_keeps_nobody_out_afterwards() {
    let scene = Scene::of_pieces(3, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    let slow = |_: &File| {
        std::thread::sleep(core::time::Duration::from_millis(200));
        Ok(())
    };
    partial.flusher = Flusher::with(&partial.file, slow).unwrap();
    scene.put(&mut partial, [1]);
    partial.flusher.wrote(PLENTY).unwrap();
    drop(partial);
    assert_eq!(scene.resume().had(), 1);
}

#[cfg(unix)]
#[test]
fn a_kill_between_the_two_names_does_not_open_the_published_file() {
    let scene = Scene::of_pieces(3, &[]);
    std::fs::write(scene.path("file"), &scene.bytes).unwrap();
    std::fs::hard_link(scene.path("file"), scene.path(TEMPORARY)).unwrap();
    let mut partial = scene.open(Leftover::Discard).unwrap();
    partial.put(0, scene.piece(0)).unwrap();
    assert!(std::fs::read(scene.path("file")).unwrap() == scene.bytes);
}

#[cfg(unix)]
#[test]
fn a_planted_link_is_not_followed() {
    let scene = Scene::of_pieces(3, &[]);
    for name in [TEMPORARY, JOURNAL] {
        std::os::unix::fs::symlink(Path::new("victim"), scene.path(name)).unwrap();
        assert!(matches!(scene.open(Leftover::Resume), Err(OpenError::Io(_))));
        std::fs::remove_file(scene.path(name)).unwrap();
    }
    assert!(!scene.path("victim").exists());
}

#[test]
fn a_long_name_is_cut_and_stays_its_own() {
    let scene = Scene::of_pieces(3, &[]);
    let open = |name: &str| {
        let folder = Dir::open_ambient_dir(scene.at.path(), ambient_authority()).unwrap();
        Partial::open(folder, name, scene.content, Attributes::default(), Leftover::Resume)
    };
    let (one, other) = (format!("{}1", "ü".repeat(127)), format!("{}2", "ü".repeat(127)));
    let long = open(&one).unwrap();
    assert!(long.temporary().len() <= 255);
    assert_ne!(long.temporary(), open(&other).unwrap().temporary(), "two names, two files");
}

#[test]
fn another_version_keeps_what_is_the_same_in_both() {
    let old = Scene::of_pieces(6, &[2]);
    let mut partial = old.open(Leftover::Resume).unwrap();
    old.put(&mut partial, 0..6);
    partial.journal().put_group(0, 0, b"hashes").unwrap();
    drop(partial);
    // Shorter, its first piece another one, its third one not zeros any more, its fourth one zeros now.
    let mut bytes = old.bytes[..4 * PIECE as usize + 10].to_vec();
    bytes[0] ^= 1;
    bytes[2 * PIECE as usize] = 1;
    bytes[3 * PIECE as usize..4 * PIECE as usize].fill(0);
    let new = Scene { at: old.at, ..Scene::new(bytes) };
    let mut partial = new.resume();
    assert_eq!(partial.found(), Found::Stale);
    assert_eq!(partial.journal().group(0, 0), None);
    assert_eq!(partial.had(), 2, "the second piece and the fifth");
    new.finish(partial);
}

#[test]
fn a_length_that_was_a_lie_cuts_nothing_off() {
    let scene = Scene::of_pieces(4, &[]);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    scene.put(&mut partial, 0..4);
    drop(partial);
    let folder = Dir::open_ambient_dir(scene.at.path(), ambient_authority()).unwrap();
    let content = Content { length: 2 * u64::from(PIECE), ..scene.content };
    let shorter = Partial::open(folder, "file", content, Attributes::default(), Leftover::Resume);
    drop(shorter.unwrap());
    let partial = scene.resume();
    assert!(partial.is_whole());
    scene.finish(partial);
}

#[test]
fn a_start_from_nothing_keeps_nothing() {
    let scene = Scene::of_pieces(3, &[1]);
    scene.put(&mut scene.open(Leftover::Resume).unwrap(), 0..3);
    let mut partial = scene.open(Leftover::Discard).unwrap();
    assert_eq!(partial.prove(0..3, &mut scene.proof()).unwrap(), 0);
    partial.discard().unwrap();
    assert!(scene.names().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn zeros_are_holes_and_are_not_asked_for_again() {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = vec![0; 1 << 30];
    bytes[5 << 20] = 1;
    let (length, piece_bytes) = (bytes.len() as u64, 1 << 20);
    let at = tempfile::tempdir().unwrap();
    let open = |root| {
        let folder = Dir::open_ambient_dir(at.path(), ambient_authority()).unwrap();
        let content = Content { root, length, piece_bytes };
        Partial::open(folder, "file", content, Attributes::default(), Leftover::Resume).unwrap()
    };
    let mut partial = open([1; 32]);
    for (piece, content) in bytes.chunks(piece_bytes as usize).enumerate().take(600) {
        partial.put(piece as u64, content).unwrap();
    }
    drop(partial);
    let room = std::fs::metadata(at.path().join(TEMPORARY)).unwrap().blocks() * 512;
    assert!(room <= 2 << 20, "{room} bytes on the disk");
    let mut partial = open([1; 32]);
    let mut looked = 0;
    let mut proof = |piece: u64, content: &[u8]| {
        looked += 1;
        content.iter().any(|byte| *byte != 0) == (piece == 5)
    };
    partial.prove(0..u64::MAX, &mut proof).unwrap();
    assert_eq!((looked, partial.had()), (600, 600));
    // For another content the journal's word is worth nothing, and only the data is looked at.
    drop(partial);
    let mut looked = 0;
    let mut proof = |_: u64, _: &[u8]| {
        looked += 1;
        false
    };
    open([2; 32]).prove(0..u64::MAX, &mut proof).unwrap();
    assert_eq!(looked, 1);
}

#[test]
fn it_is_proved_by_and_by_as_hashes_become_known() {
    let scene = Scene::of_pieces(10, &[7]);
    scene.put(&mut scene.open(Leftover::Resume).unwrap(), 0..10);
    let mut partial = scene.open(Leftover::Resume).unwrap();
    assert_eq!(partial.prove(0..5, &mut |_: u64, _: &[u8]| false).unwrap(), 0);
    assert_eq!(partial.prove(4..8, &mut scene.proof()).unwrap(), 4);
    assert_eq!(partial.prove(0..10, &mut scene.proof()).unwrap(), 6);
    assert!(partial.is_whole());
}

/// What can happen to a file under way between two openings.
#[derive(Clone, Debug)]
enum Luck {
    /// A kill: what was written stays.
    Kill,
    /// A power cut: this many bytes at this place of the file were never written.
    Lost(prop::sample::Index, usize),
    /// The same of the file's end.
    Short(prop::sample::Index),
    /// Something else is in the file.
    Garbage(prop::sample::Index, u8),
    /// The journal ends here.
    JournalCut(prop::sample::Index),
    /// A byte of the journal is another one.
    JournalDamaged(prop::sample::Index, u8),
    /// One of the two is gone.
    Gone { journal: bool },
}

impl Luck {
    /// Does it, and says which bytes of the file may be wrong now, and whether the journal may.
    fn strike(&self, scene: &Scene) -> (Range<usize>, bool) {
        let (file, journal) = (scene.path(TEMPORARY), scene.path(JOURNAL));
        let change = |path: &Path, change: &dyn Fn(&mut Vec<u8>) -> Range<usize>| {
            let mut bytes = std::fs::read(path).unwrap();
            let changed = change(&mut bytes);
            std::fs::write(path, bytes).unwrap();
            changed
        };
        match self {
            Self::Kill => (0..0, false),
            Self::Lost(at, count) => {
                let lose = |bytes: &mut Vec<u8>| {
                    let at = at.index(bytes.len());
                    let end = (at + count).min(bytes.len());
                    bytes[at..end].fill(0);
                    at..end
                };
                (change(&file, &lose), false)
            }
            Self::Short(at) => {
                let cut = |bytes: &mut Vec<u8>| {
                    let (at, end) = (at.index(bytes.len()), bytes.len());
                    bytes.truncate(at);
                    at..end
                };
                (change(&file, &cut), false)
            }
            Self::Garbage(at, flip) => {
                let flip = |bytes: &mut Vec<u8>| {
                    let at = at.index(bytes.len());
                    bytes[at] ^= flip;
                    at..at + 1
                };
                (change(&file, &flip), false)
            }
            Self::JournalCut(at) => {
                let cut = |bytes: &mut Vec<u8>| {
                    let at = at.index(bytes.len());
                    bytes.truncate(at);
                    0..0
                };
                (change(&journal, &cut), true)
            }
            Self::JournalDamaged(at, flip) => {
                let flip = |bytes: &mut Vec<u8>| {
                    let at = at.index(bytes.len());
                    bytes[at] ^= flip;
                    0..0
                };
                (change(&journal, &flip), true)
            }
            Self::Gone { journal: true } => {
                std::fs::remove_file(journal).unwrap();
                (0..0, true)
            }
            Self::Gone { journal: false } => {
                std::fs::remove_file(file).unwrap();
                (0..scene.bytes.len(), false)
            }
        }
    }
}

fn luck() -> impl Strategy<Value = Luck> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        Just(Luck::Kill),
        (place(), 0_usize..30_000).prop_map(|(at, count)| Luck::Lost(at, count)),
        place().prop_map(Luck::Short),
        (place(), 1_u8..).prop_map(|(at, flip)| Luck::Garbage(at, flip)),
        place().prop_map(Luck::JournalCut),
        (place(), 1_u8..).prop_map(|(at, flip)| Luck::JournalDamaged(at, flip)),
        any::<bool>().prop_map(|journal| Luck::Gone { journal }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_it_only_what_cannot_be_proved_is_fetched_again(
        pieces in 1_usize..20,
        zeros in prop::collection::vec(0_usize..20, 0..6),
        rounds in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..8), luck()), 1..6),
    ) {
        let scene = Scene::of_pieces(pieces, &zeros);
        let mut partial = scene.open(Leftover::Resume).unwrap();
        for (puts, luck) in rounds {
            scene.put(&mut partial, puts.iter().map(|at| at.index(pieces) as u64));
            let had: Vec<_> = (0..pieces as u64).filter(|piece| partial.had.contains(*piece)).collect();
            drop(partial);
            let (wrong, journal_wrong) = luck.strike(&scene);
            partial = scene.resume();
            for piece in 0..pieces as u64 {
                let range = scene.content.range(piece);
                let is_zero = scene.piece(piece).iter().all(|byte| *byte == 0);
                // What lost its zeros has them still; the journal's word is needed to look there.
                let hit = (range.start as usize) < wrong.end && wrong.start < range.end as usize;
                if partial.had.contains(piece) {
                    let mut there = vec![0; scene.piece(piece).len()];
                    partial.file.seek(SeekFrom::Start(range.start)).unwrap();
                    partial.file.read_exact(&mut there).unwrap();
                    prop_assert!(there == scene.piece(piece), "piece {} is said to be had", piece);
                } else if had.contains(&piece) {
                    prop_assert!(hit || journal_wrong && is_zero, "piece {} was lost by {:?}", piece, luck);
                }
            }
        }
        scene.finish(partial);
    }
}
