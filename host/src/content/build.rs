//! Hashing a file into a tree: it is read once, by a few threads, each a piece at a time.
//!
//! The hashes of the pieces go to their places in the tree's file as they come, whatever their order; then
//! each level is joined from the one below. In memory are 128 KiB for each thread, and a group: no
//! file's length counts.

use super::piece::{Node, PieceHasher};
use super::position::{read_exact_at, write_all_at};
use super::steady::{ReadError, Steady};
use super::tree::{FAN_OUT, GROUP_BYTES_MAX, GroupId, HASH_BYTES, Shape, join};
use blake3::hazmat::ChainingValue;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::fs::File;
use std::io;

/// More threads than that wait for the disk.
const THREADS_MAX: u64 = 4;
/// Fewer pieces than that for each thread are not worth one.
const PIECES_PER_THREAD_MIN: u64 = 8;
/// What is read at once: it stays in the processor's cache until it is hashed.
const READ_BYTES: usize = 128 << 10;

/// Is told of bytes when they were read, by several threads, and says whether to go on.
pub type Progress<'p> = &'p (dyn Fn(u64) -> bool + Sync);

/// Why a file has no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// It is not the same at the end of the reading as at its beginning.
    #[error("the file changed while it was hashed")]
    Changed,
    /// It is longer than [`super::piece::FILE_BYTES_MAX`].
    #[error("the file is too long: at most 4 PiB have a tree")]
    TooLong,
    /// Whoever was told of the progress did not want more.
    #[error("hashing was stopped")]
    Stopped,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The tree cannot be written.
    #[error("the tree of hashes cannot be written: {0}")]
    Write(#[source] io::Error),
}

impl From<ReadError> for BuildError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Changed => Self::Changed,
            ReadError::Io(error) => Self::Read(error),
        }
    }
}

/// Where a tree stands: in a file, from an offset on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'s> {
    pub(super) file: &'s File,
    pub(super) offset: u64,
}

/// Hashes `file`, which has more than one piece, and writes its tree to `slot`; the root.
pub(super) fn build(
    file: &Steady,
    shape: Shape,
    slot: Slot<'_>,
    progress: Progress<'_>,
) -> Result<blake3::Hash, BuildError> {
    hash_all(file, shape, slot, progress)?;
    let root = join_levels(shape, slot).map_err(BuildError::Write)?;
    file.check()?;
    Ok(root)
}

/// Hashes `file`, which is one piece: the root, and no tree.
pub(super) fn hash_short(
    file: &Steady,
    shape: Shape,
    progress: Progress<'_>,
) -> Result<blake3::Hash, BuildError> {
    let room = usize::try_from(shape.pieces().length()).unwrap_or(READ_BYTES).min(READ_BYTES);
    match hash_one(file, shape, 0, &mut vec![0; room], progress)? {
        Node::Root(root) => file.check().map(|()| root).map_err(BuildError::from),
        Node::Inner(_) => unreachable!("it is the only piece"),
    }
}

fn hash_all(
    file: &Steady,
    shape: Shape,
    slot: Slot<'_>,
    progress: Progress<'_>,
) -> Result<(), BuildError> {
    let count = shape.pieces().count();
    let parallel = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let threads = (count / PIECES_PER_THREAD_MIN).clamp(1, THREADS_MAX.min(parallel));
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut room = vec![0; READ_BYTES];
        while !failed.load(Ordering::Relaxed) {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                break;
            }
            let hashed = hash_one(file, shape, piece, &mut room, progress)
                .and_then(|node| write_node(slot, piece, node).map_err(BuildError::Write));
            if let Err(error) = hashed {
                failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let ours = work();
        let theirs = others.into_iter().map(|thread| thread.join().expect("hashing never panics"));
        theirs.fold(ours, Result::and)
    })
}

fn hash_one(
    file: &Steady,
    shape: Shape,
    piece: u64,
    room: &mut [u8],
    progress: Progress<'_>,
) -> Result<Node, BuildError> {
    let range = shape.pieces().range(piece);
    let hasher = PieceHasher::new(shape.pieces(), piece);
    let (Some(range), Some(mut hasher)) = (range, hasher) else {
        unreachable!("only pieces that there are get hashed");
    };
    while hasher.left() > 0 {
        let take = room.len().min(usize::try_from(hasher.left()).unwrap_or(usize::MAX));
        let room = room.get_mut(..take).unwrap_or_default();
        file.read_at(range.end - hasher.left(), room)?;
        hasher.update(room).expect("no more than is left was read");
        if !progress(take as u64) {
            return Err(BuildError::Stopped);
        }
    }
    Ok(hasher.finish().expect("nothing is left"))
}

/// Writes hash number `nth` of the tree.
fn write_node(slot: Slot<'_>, nth: u64, node: Node) -> io::Result<()> {
    let hash = match &node {
        Node::Inner(hash) => hash,
        Node::Root(hash) => hash.as_bytes(),
    };
    write_all_at(slot.file, slot.offset + nth * HASH_BYTES as u64, hash)
}

/// Joins level after level, and writes what is not the root.
fn join_levels(shape: Shape, slot: Slot<'_>) -> io::Result<blake3::Hash> {
    let top = shape.top().ok_or(io::ErrorKind::InvalidInput)?;
    let mut nth = shape.nodes(0);
    let mut room = [0; GROUP_BYTES_MAX];
    for level in 0..top.level {
        for index in 0..shape.nodes(level).div_ceil(FAN_OUT) {
            let children = read_group(shape, slot, GroupId { level, index }, &mut room)?;
            let node = join(children, false).ok_or(io::ErrorKind::InvalidData)?;
            write_node(slot, nth, node)?;
            nth += 1;
        }
    }
    match join(read_group(shape, slot, top, &mut room)?, true) {
        Some(Node::Root(root)) => Ok(root),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The hashes of the group `id`, as they stand in the tree: nothing is proven.
pub(super) fn read_group<'r>(
    shape: Shape,
    slot: Slot<'_>,
    id: GroupId,
    room: &'r mut [u8; GROUP_BYTES_MAX],
) -> io::Result<&'r [ChainingValue]> {
    let range = shape.group_range(id).ok_or(io::ErrorKind::NotFound)?;
    let bytes = room.get_mut(..(range.end - range.start) as usize).unwrap_or_default();
    read_exact_at(slot.file, slot.offset + range.start, bytes)?;
    Ok(bytes.as_chunks().0)
}

#[cfg(test)]
mod tests {
    use super::super::piece::{PIECE_BYTES, Pieces};
    use super::super::tree::tests::{Whole, pattern};
    use super::*;
    use proptest::prelude::*;
    use std::io::{Seek, Write};

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, Steady, Shape) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(content).unwrap();
        let steady = Steady::open(named.path()).unwrap();
        (named, steady, Shape::new(Pieces::of(content.len() as u64).unwrap()))
    }

    fn any(
        file: &Steady,
        shape: Shape,
        slot: Slot<'_>,
        progress: Progress<'_>,
    ) -> Result<blake3::Hash, BuildError> {
        match shape.top() {
            None => hash_short(file, shape, progress),
            Some(_) => build(file, shape, slot, progress),
        }
    }

    fn built(content: &[u8]) -> (blake3::Hash, Vec<u8>) {
        let (_named, steady, shape) = file(content);
        let out = tempfile::tempfile().unwrap();
        let root = any(&steady, shape, Slot { file: &out, offset: 100 }, &|_| true).unwrap();
        let mut tree = vec![0; shape.tree_bytes() as usize];
        read_exact_at(&out, 100, &mut tree).unwrap();
        (root, tree)
    }

    #[test]
    fn the_tree_is_the_one_of_the_content() {
        for length in [0, 5, PIECE_BYTES as usize, 3 * PIECE_BYTES as usize + 7, 40 << 20] {
            let content = pattern(length);
            let (root, tree) = built(&content);
            assert_eq!(root, blake3::hash(&content), "{length} bytes");
            let whole = Whole::of(&content);
            if let Some(top) = whole.shape.top() {
                assert_eq!(tree, whole.group(top), "{length} bytes");
            }
        }
    }

    /// Two levels, out of a file with a hole: 257 MiB that take no room.
    #[test]
    fn two_levels_come_to_the_hash_of_the_file() {
        let (mut named, _, _) = file(b"start");
        named.as_file().set_len(257 << 20).unwrap();
        named.seek(io::SeekFrom::Start(200 << 20)).unwrap();
        named.write_all(b"middle").unwrap();
        let steady = Steady::open(named.path()).unwrap();
        let shape = Shape::new(Pieces::of(257 << 20).unwrap());
        let out = tempfile::tempfile().unwrap();
        let root = build(&steady, shape, Slot { file: &out, offset: 0 }, &|_| true).unwrap();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(named.path()).unwrap()).unwrap();
        assert_eq!(root, hasher.finalize());
        assert_eq!(out.metadata().unwrap().len(), shape.tree_bytes());
    }

    #[test]
    fn progress_counts_every_byte_and_may_stop() {
        let content = pattern(20 << 20);
        let (_named, steady, shape) = file(&content);
        let out = tempfile::tempfile().unwrap();
        let slot = Slot { file: &out, offset: 0 };
        let read = AtomicU64::new(0);
        let count = |bytes| {
            read.fetch_add(bytes, Ordering::Relaxed);
            true
        };
        build(&steady, shape, slot, &count).unwrap();
        assert_eq!(read.load(Ordering::Relaxed), 20 << 20);
        let some = AtomicU64::new(0);
        let stop = |_| some.fetch_add(1, Ordering::Relaxed) < 3;
        let stopped = build(&steady, shape, slot, &stop);
        assert!(matches!(stopped, Err(BuildError::Stopped)), "{stopped:?}");
        assert!(some.load(Ordering::Relaxed) < 4 + THREADS_MAX);
    }

    #[test]
    fn a_tree_that_cannot_be_written_is_said() {
        let (named, steady, shape) = file(&pattern(2 << 20));
        let read_only = File::open(named.path()).unwrap();
        let slot = Slot { file: &read_only, offset: 0 };
        assert!(matches!(build(&steady, shape, slot, &|_| true), Err(BuildError::Write(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whenever it changes during the build, wherever and however, the build says so.
        #[test]
        fn a_change_during_the_build_is_noticed(
            pieces in 1_usize..12, when in 0.0..0.99, at: prop::sample::Index, how in 0_u8..3,
        ) {
            let length = pieces << 20;
            let (named, steady, shape) = file(&vec![1; length]);
            let out = tempfile::tempfile().unwrap();
            let (read, done) = (AtomicU64::new(0), AtomicBool::new(false));
            let change = |bytes: u64| {
                let all = read.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if all as f64 > length as f64 * when && !done.swap(true, Ordering::Relaxed) {
                    // Longer than a step of the file system's clock since it was written.
                    std::thread::sleep(core::time::Duration::from_millis(15));
                    let file = File::options().write(true).open(named.path()).unwrap();
                    match how {
                        0 => write_all_at(&file, at.index(length) as u64, b"x").unwrap(),
                        1 => write_all_at(&file, length as u64, b"x").unwrap(),
                        _ => file.set_len(at.index(length) as u64).unwrap(),
                    }
                }
                true
            };
            let built = any(&steady, shape, Slot { file: &out, offset: 0 }, &change);
            prop_assert!(done.load(Ordering::Relaxed));
            prop_assert!(matches!(built, Err(BuildError::Changed)), "{built:?}");
        }
    }
}
