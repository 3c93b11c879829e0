//! Trees that are kept: believed only when they are whole and the file is the same.

use super::super::piece::PIECE_BYTES;
use super::super::tree::tests::{Whole, pattern};
use super::*;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use proptest::prelude::*;

/// A folder with a file in it that changed long ago, and trees.
struct Fixture {
    folder: tempfile::TempDir,
    trees: Trees,
    path: PathBuf,
}

impl Fixture {
    fn new(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trees = Trees::open(folder.path().join("trees")).unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        Self { folder, trees, path }
    }

    /// The tree, and how many bytes of the file were read for it.
    fn outboard(&self) -> (Outboard, u64) {
        let read = AtomicU64::new(0);
        let progress = |bytes| {
            read.fetch_add(bytes, Ordering::Relaxed);
            true
        };
        let file = Steady::open(&self.path).unwrap();
        let outboard = self.trees.outboard(&self.path, &file, &progress).unwrap();
        (outboard, read.into_inner())
    }

    /// As if time had gone by since the file was written: its own clock cannot be set back.
    fn settle(&self) {
        let place = self.place();
        let file = File::options().read(true).write(true).open(place).unwrap();
        let head = Head::read(&file).unwrap().unwrap();
        assert!(!head.settled, "the file was written just now");
        Head { settled: true, ..head }.write(&file).unwrap();
    }

    fn full(&self) -> PathBuf {
        self.path.canonicalize().unwrap()
    }

    fn place(&self) -> PathBuf {
        self.trees.place(&self.full())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_read_once_and_its_tree_kept() {
    let content = pattern(3 * PIECE_BYTES as usize + 5);
    let fixture = Fixture::new(&content);
    let (outboard, read) = fixture.outboard();
    assert_eq!((outboard.root(), read), (blake3::hash(&content), content.len() as u64));
    fixture.settle();
    let (again, read) = fixture.outboard();
    assert_eq!((again.root(), read), (outboard.root(), 0));
    let whole = Whole::of(&content);
    let top = whole.shape.top().unwrap();
    assert_eq!(again.group(top).unwrap().unwrap().bytes(), whole.group(top));
    assert_eq!(again.group(GroupId { level: 0, index: 1 }).unwrap(), None);
    let mut copy = Vec::new();
    again.copy_tree(&mut copy).unwrap();
    assert_eq!(copy, whole.group(top));
    assert_eq!(names(&fixture.folder.path().join("trees")).len(), 1, "no draft stays");
}

#[test]
fn the_tree_of_a_file_that_is_gone_goes_after_a_month_without_use() {
    let fixture = Fixture::new(&pattern(3 * PIECE_BYTES as usize));
    let left = || {
        Trees::open(fixture.folder.path().join("trees")).unwrap();
        names(&fixture.folder.path().join("trees")).len()
    };
    let age = |days: u64| {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 3_600);
        File::open(fixture.place()).unwrap().set_modified(then).unwrap();
    };
    fixture.outboard();
    fixture.settle();
    let place = fixture.place();
    age(400);
    assert_eq!(left(), 1, "its file is there, as is that of a server that ran for a year");
    // Its use is noted.
    fixture.outboard();
    assert!(fs::metadata(&place).unwrap().modified().unwrap().elapsed().unwrap().as_secs() < 99);
    age(29);
    let (path, away) = (&fixture.path, fixture.folder.path().join("away"));
    fs::rename(path, &away).unwrap();
    assert_eq!(left(), 1, "its disk may come back");
    fs::rename(&away, path).unwrap();
    age(31);
    fs::rename(path, &away).unwrap();
    assert_eq!(left(), 0);
    assert!(!place.exists());
}

#[test]
fn a_file_of_one_piece_leaves_nothing_on_the_disk() {
    for content in [&b""[..], b"short"] {
        let fixture = Fixture::new(content);
        let (outboard, _) = fixture.outboard();
        assert_eq!(outboard.root(), blake3::hash(content));
        assert_eq!(outboard.group(GroupId { level: 0, index: 0 }).unwrap(), None);
        assert!(names(&fixture.folder.path().join("trees")).is_empty());
    }
}

/// What was written a moment ago might change again within one step of the file system's clock.
#[test]
fn the_tree_of_a_file_just_written_serves_only_whoever_built_it() {
    let fixture = Fixture::new(&pattern(2 * PIECE_BYTES as usize));
    let (outboard, _) = fixture.outboard();
    assert!(outboard.group(outboard.shape().top().unwrap()).unwrap().is_some());
    assert_eq!(fixture.outboard().1, 2 * PIECE_BYTES);
}

#[test]
fn a_changed_file_gets_a_new_tree_in_the_place_of_the_old() {
    let mut content = pattern(2 * PIECE_BYTES as usize + 9);
    let fixture = Fixture::new(&content);
    let (old, _) = fixture.outboard();
    fixture.settle();
    std::thread::sleep(Duration::from_millis(15));
    content[70] ^= 1;
    fs::write(&fixture.path, &content).unwrap();
    let (new, read) = fixture.outboard();
    assert_eq!((new.root(), read), (blake3::hash(&content), content.len() as u64));
    assert_eq!(names(&fixture.folder.path().join("trees")).len(), 1);
    let group = |outboard: &Outboard| outboard.group(outboard.shape().top().unwrap()).unwrap();
    assert_ne!(group(&old), group(&new), "the old one stays what it was");
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let fixture = Fixture::new(&pattern(2 * PIECE_BYTES as usize));
    let file = Steady::open(&fixture.path).unwrap();
    let stopped = fixture.trees.outboard(&fixture.path, &file, &|_| false);
    assert!(matches!(stopped, Err(BuildError::Stopped)));
    assert!(names(&fixture.folder.path().join("trees")).is_empty());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new(&pattern(2 * PIECE_BYTES as usize));
    fixture.outboard();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&fixture.place()), mode(&fixture.trees.folder)), (0o600, 0o700));
}

/// Every byte of a tree, changed in every way that a disk might: nothing of it is believed.
#[test]
fn a_tree_damaged_at_any_byte_is_built_again() {
    let content = pattern(2 * PIECE_BYTES as usize + 1);
    let fixture = Fixture::new(&content);
    let (outboard, _) = fixture.outboard();
    fixture.settle();
    let whole = fs::read(fixture.place()).unwrap();
    // What follows the hashes is for finding out whether the file is gone.
    let proving = HEAD_BYTES + 3 * HASH_BYTES;
    assert_eq!(whole.get(proving..), Some(fixture.full().as_os_str().as_encoded_bytes()));
    let load = || Outboard::load(&fixture.place(), outboard.stamp(), outboard.shape());
    for at in 0..proving {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            fs::write(fixture.place(), damaged).unwrap();
            assert!(load().is_none(), "byte {at} with {flip:#x}");
        }
    }
    let (again, read) = fixture.outboard();
    assert_eq!((again.root(), read), (outboard.root(), content.len() as u64));
    assert!(again.group(again.shape().top().unwrap()).unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same for a tree of two levels, and for one that was cut or lost a run of bytes; what it grew by does no harm.
    #[test]
    fn no_damage_to_a_tree_of_two_levels_is_believed(
        at: prop::sample::Index, run in 1_usize..5_000, byte: u8, how in 0_u8..3,
    ) {
        let fixture = Fixture::new(b"");
        File::options().write(true).open(&fixture.path).unwrap().set_len(300 * PIECE_BYTES).unwrap();
        let file = Steady::open(&fixture.path).unwrap();
        let shape = Shape::new(Pieces::of(300 * PIECE_BYTES).unwrap());
        let hashes = Whole::over(shape, |piece| *blake3::hash(&piece.to_le_bytes()).as_bytes());
        let Node::Root(root) = hashes.root else { panic!("a root") };
        let mut tree = vec![0; HEAD_BYTES];
        for id in [(0, 0), (0, 1), (1, 0)] {
            tree.extend_from_slice(hashes.group(GroupId { level: id.0, index: id.1 }));
        }
        fs::write(fixture.place(), &tree).unwrap();
        let kept = File::options().read(true).write(true).open(fixture.place()).unwrap();
        let head = Head { stamp: file.stamp(), root: *root.as_bytes(), settled: true };
        head.write(&kept).unwrap();
        let load = || Outboard::load(&fixture.place(), file.stamp(), shape);
        let loaded = load().expect("it is whole");
        let tree = fs::read(fixture.place()).unwrap();
        let mut damaged = tree.clone();
        let at = at.index(tree.len());
        match how {
            0 => damaged.truncate(at),
            1 => damaged.extend(core::iter::repeat_n(byte, run)),
            _ => damaged.iter_mut().skip(at).take(run).for_each(|place| *place = byte),
        }
        prop_assume!(damaged != tree);
        fs::write(fixture.place(), &damaged).unwrap();
        prop_assert_eq!(load().is_some(), how == 1);
        // What is damaged after it was opened is not given away either.
        for id in [(0, 0), (0, 1), (1, 0)] {
            let id = GroupId { level: id.0, index: id.1 };
            if let Ok(Some(group)) = loaded.group(id) {
                prop_assert_eq!(group.bytes(), hashes.group(id));
            }
        }
    }
}
