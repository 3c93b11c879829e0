//! Trees against BLAKE3's own hash, and groups against those who would forge them.

use super::super::piece::{FILE_BYTES_MAX, hash_piece};
use super::*;
use proptest::prelude::*;

/// All groups of a file, as a server would build them, and its root.
pub(crate) struct Whole {
    pub(crate) shape: Shape,
    pub(crate) root: Node,
    levels: Vec<Vec<ChainingValue>>,
}

impl Whole {
    /// Of the file whose bytes are `content`.
    pub(crate) fn of(content: &[u8]) -> Self {
        let pieces = Pieces::of(content.len() as u64).unwrap();
        let hash = |piece| {
            let range = pieces.range(piece).unwrap();
            hash_piece(pieces, piece, &content[range.start as usize..range.end as usize]).unwrap()
        };
        if pieces.count() == 1 {
            return Self { shape: Shape::new(pieces), root: hash(0), levels: Vec::new() };
        }
        Self::over(Shape::new(pieces), |piece| match hash(piece) {
            Node::Inner(hash) => hash,
            Node::Root(_) => panic!("a piece of several is no root"),
        })
    }

    /// Of a file whose pieces have these hashes.
    pub(crate) fn over(shape: Shape, hash: impl Fn(u64) -> ChainingValue) -> Self {
        let mut levels = vec![(0..shape.pieces().count()).map(hash).collect::<Vec<_>>()];
        while levels.last().unwrap().len() > FAN_OUT as usize {
            let groups = levels.last().unwrap().chunks(FAN_OUT as usize);
            levels.push(groups.map(|group| join_inner(group).unwrap()).collect());
        }
        let root = join(levels.last().unwrap(), true).unwrap();
        Self { shape, root, levels }
    }

    pub(crate) fn group(&self, id: GroupId) -> &[u8] {
        let mut groups = self.levels[id.level as usize].chunks(FAN_OUT as usize);
        groups.nth(id.index as usize).unwrap().as_flattened()
    }
}

/// Bytes of which no two pieces are the same.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let words = 0..length.div_ceil(4) as u32;
    let mut bytes: Vec<u8> =
        words.flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

const MIB: usize = 1 << 20;

fn shape(length: u64) -> Shape {
    Shape::new(Pieces::of(length).unwrap())
}

/// From the root through the groups to the piece, believing nothing.
fn proven_piece(whole: &Whole, piece: u64) -> Node {
    let mut node = whole.root;
    for (id, nth) in whole.shape.way_to(piece) {
        let group = Group::prove(whole.shape, id, node, whole.group(id)).unwrap();
        node = group.child(nth).unwrap();
    }
    node
}

#[test]
fn the_root_is_the_hash_of_the_file() {
    let around = |length: usize| [length - 1, length, length + 1];
    let mut lengths = vec![0, 1, 1023, 1024, 1025];
    lengths.extend([1, 2, 3, 4, 5, 7, 8, 16, 17].map(|mib| mib * MIB).into_iter().flat_map(around));
    let content = pattern(lengths.iter().copied().max().unwrap());
    for length in lengths {
        let content = &content[..length];
        let whole = Whole::of(content);
        assert_eq!(whole.root, Node::Root(blake3::hash(content)), "{length} bytes");
        for piece in 0..whole.shape.pieces().count() {
            let range = whole.shape.pieces().range(piece).unwrap();
            let bytes = &content[range.start as usize..range.end as usize];
            let hash = hash_piece(whole.shape.pieces(), piece, bytes).unwrap();
            assert_eq!(proven_piece(&whole, piece), hash, "{length} bytes, piece {piece}");
        }
    }
}

/// Around the end of the first group, where one level becomes two; piece by piece, as nobody needs 256 MiB at once.
#[test]
fn the_root_is_the_hash_of_the_file_where_a_level_is_added() {
    let mut block = pattern(MIB);
    for length in [255 * MIB + 1, 256 * MIB - 1, 256 * MIB, 256 * MIB + 1, 257 * MIB + 5] {
        let shape = shape(length as u64);
        let mut hasher = blake3::Hasher::new();
        let mut hashes = Vec::new();
        for piece in 0..shape.pieces().count() {
            let range = shape.pieces().range(piece).unwrap();
            block[0] = piece as u8;
            let bytes = &block[..(range.end - range.start) as usize];
            hasher.update(bytes);
            match hash_piece(shape.pieces(), piece, bytes) {
                Some(Node::Inner(hash)) => hashes.push(hash),
                other => panic!("{other:?}"),
            }
        }
        let whole = Whole::over(shape, |piece| hashes[piece as usize]);
        assert_eq!(whole.root, Node::Root(hasher.finalize()), "{length} bytes");
        assert_eq!(shape.levels(), if length <= 256 * MIB { 1 } else { 2 }, "{length} bytes");
        let last = hashes.len() - 1;
        assert_eq!(proven_piece(&whole, last as u64), Node::Inner(hashes[last]));
    }
}

#[test]
fn shapes_of_some_lengths() {
    let levels = |pieces: u64| shape(pieces * PIECE_BYTES).levels();
    assert_eq!([0, 1, 2, 256, 257].map(levels), [0, 0, 1, 1, 2]);
    assert_eq!([1 << 16, (1 << 16) + 1, 1 << 24, (1 << 24) + 1].map(levels), [2, 3, 3, 4]);
    assert_eq!(shape(FILE_BYTES_MAX).levels(), LEVELS_MAX);
    assert_eq!(shape(FILE_BYTES_MAX).nodes(3), 256);
    let odd = shape(257 * PIECE_BYTES);
    assert_eq!(odd.children(GroupId { level: 0, index: 0 }), Some(256));
    assert_eq!(odd.children(GroupId { level: 0, index: 1 }), Some(1));
    assert_eq!(odd.children(GroupId { level: 0, index: 2 }), None);
    assert_eq!(odd.children(GroupId { level: 1, index: 0 }), Some(2));
    assert_eq!(odd.children(GroupId { level: 2, index: 0 }), None);
    assert_eq!(odd.children(GroupId { level: 0, index: u64::MAX }), None);
    assert_eq!(odd.tree_bytes(), (257 + 2) * 32);
    assert_eq!((shape(1).top(), shape(1).tree_bytes()), (None, 0));
}

/// A liar's file of two pieces is an honest one of three with its first two joined. The hashes pass, as they must,
/// but no bytes can come to them.
#[test]
fn a_lie_about_the_length_is_found_at_a_piece() {
    let content = pattern(2 * MIB + 5);
    let honest = Whole::of(&content);
    let first_two = join_inner(&honest.levels[0][..2]).unwrap();
    let lie = shape(2 * PIECE_BYTES);
    let top = lie.top().unwrap();
    let forged = [first_two, honest.levels[0][2]];
    let group = Group::prove(lie, top, honest.root, forged.as_flattened()).unwrap();
    assert_ne!(hash_piece(lie.pieces(), 0, &content[..MIB]), group.child(0));
    assert_ne!(hash_piece(lie.pieces(), 1, &content[MIB..2 * MIB]), group.child(1));
}

fn some_hash(piece: u64) -> ChainingValue {
    *blake3::hash(&piece.to_le_bytes()).as_bytes()
}

proptest! {
    #[test]
    fn the_root_of_any_short_file_is_its_hash(length in 0..6 * MIB) {
        let content = pattern(length);
        prop_assert_eq!(Whole::of(&content).root, Node::Root(blake3::hash(&content)));
    }

    /// Joining group by group comes to the same as joining all pieces at once.
    #[test]
    fn groups_join_as_the_whole(count in 2_u64..70_000) {
        let whole = Whole::over(shape(count * PIECE_BYTES), some_hash);
        let all: Vec<_> = (0..count).map(some_hash).collect();
        prop_assert_eq!(whole.root, join(&all, true).unwrap());
    }

    #[test]
    fn every_piece_is_reached_and_proven(count in 2_u64..70_000, piece: u64) {
        let whole = Whole::over(shape(count * PIECE_BYTES), some_hash);
        for piece in [0, piece % count, count - 1] {
            prop_assert_eq!(proven_piece(&whole, piece), Node::Inner(some_hash(piece)));
        }
        prop_assert_eq!(whole.shape.way_to(count).count(), 0);
    }

    /// The groups of a shape stand one after the other without gap, and know their parents.
    #[test]
    fn groups_fill_the_tree(count in 2_u64..200_000) {
        let shape = shape(count * PIECE_BYTES);
        let mut end = 0;
        for level in 0..shape.levels() {
            for index in 0..shape.nodes(level).div_ceil(FAN_OUT) {
                let id = GroupId { level, index };
                let range = shape.group_range(id).unwrap();
                prop_assert_eq!(range.start, end);
                prop_assert_eq!((range.end - range.start) as usize, shape.children(id).unwrap() * HASH_BYTES);
                end = range.end;
                match shape.parent(id) {
                    Some((parent, nth)) => prop_assert!(nth < shape.children(parent).unwrap() && Some(id) != shape.top()),
                    None => prop_assert_eq!(Some(id), shape.top()),
                }
            }
        }
        prop_assert_eq!(end, shape.tree_bytes());
    }

    #[test]
    fn no_length_and_no_group_panics(length in 0..=FILE_BYTES_MAX, level: u8, index: u64, piece: u64) {
        let shape = shape(length);
        let id = GroupId { level, index };
        let _ = (shape.children(id), shape.parent(id), shape.group_range(id), shape.tree_bytes());
        prop_assert!(shape.way_to(piece).count() <= LEVELS_MAX as usize);
        prop_assert_eq!(shape.children(id).is_some(), shape.group_range(id).is_some());
    }

    #[test]
    fn a_group_with_any_bit_changed_is_refused(count in 2_u64..600, at: prop::sample::Index, bit in 0..8) {
        let whole = Whole::over(shape(count * PIECE_BYTES), some_hash);
        let top = whole.shape.top().unwrap();
        let mut bytes = whole.group(top).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let proof = Group::prove(whole.shape, top, whole.root, &bytes);
        prop_assert_eq!(proof, Err(ProofError::Wrong));
    }

    #[test]
    fn a_group_of_another_length_is_refused_before_memory_is_taken(count in 2_u64..600, given in 0..20_000_usize) {
        let whole = Whole::over(shape(count * PIECE_BYTES), some_hash);
        let top = whole.shape.top().unwrap();
        let expected = whole.group(top).len();
        prop_assume!(given != expected);
        let proof = Group::prove(whole.shape, top, whole.root, &vec![0; given]);
        prop_assert_eq!(proof, Err(ProofError::Length { expected, given }));
    }
}
