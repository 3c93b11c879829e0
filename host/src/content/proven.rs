//! What whoever fetches a file knows of its tree: the root, which he was given, and the groups that
//! lead to the pieces under way, each proven when it came.
//!
//! ```text
//! node(piece) -> Missing(group)    ask any source for it
//! add(group, bytes)                proven against its parent, or the source lied
//! node(piece) -> Known(node)       what the piece must hash to
//! ```
//!
//! It holds as many groups as it was allowed, 8 KiB each, and forgets the one that was of no use for longest: a file of 1 TiB
//! has 4096 of them. Nothing here asks, waits or reads.

use super::piece::{Node, Pieces};
use super::tree::{GROUP_BYTES_MAX, Group, GroupId, LEVELS_MAX, ProofError, Shape};
use std::collections::BTreeMap;

/// The proven part of a file's tree.
#[derive(Clone, Debug)]
pub struct ProvenTree {
    root: blake3::Hash,
    shape: Shape,
    groups: BTreeMap<GroupId, Held>,
    groups_max: usize,
    /// Counts uses, so that the group last used longest ago is known.
    uses: u64,
}

#[derive(Clone, Debug)]
struct Held {
    group: Group,
    used: u64,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It hashes to this.
    Node(Node),
    /// This group must come before.
    Missing(GroupId),
}

/// Why a group was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Whoever gave it does not have the file, or lies.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Another one must come before, or was forgotten since; nobody's fault.
    #[error("the group of hashes above it is not known")]
    ParentMissing(GroupId),
}

impl ProvenTree {
    /// Of the file of this root and, as somebody says, these pieces: a lie about the length shows at the last
    /// piece, so whoever has it from a stranger asks for that one first. It will hold `groups_max` groups of at
    /// most [`GROUP_BYTES_MAX`] bytes each, but at least the few on the way to one piece.
    #[must_use]
    pub fn new(root: blake3::Hash, pieces: Pieces, groups_max: usize) -> Self {
        let groups_max = groups_max.max(LEVELS_MAX.into());
        Self { root, shape: Shape::new(pieces), groups: BTreeMap::new(), groups_max, uses: 0 }
    }

    /// The hash of the whole file.
    #[must_use]
    pub const fn root(&self) -> blake3::Hash {
        self.root
    }

    /// Which groups the file has.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Most bytes of hashes it will ever hold.
    #[must_use]
    pub const fn bytes_max(&self) -> usize {
        self.groups_max * GROUP_BYTES_MAX
    }

    /// What `piece` must hash to, or the group to ask for first; `None` if there is no such piece.
    pub fn piece(&mut self, piece: u64) -> Option<Known> {
        self.shape.pieces().range(piece)?;
        Some(self.descend(piece, None))
    }

    /// Takes the group `id`, whose hashes are `bytes`, if it proves to be the file's.
    ///
    /// # Errors
    /// When it is not, or its parent is not known.
    pub fn add(&mut self, id: GroupId, bytes: &[u8]) -> Result<(), AddError> {
        let first = self.shape.first_piece(id).ok_or(ProofError::NoSuchGroup)?;
        let parent = match self.descend(first, Some(id)) {
            Known::Node(node) => node,
            Known::Missing(parent) => return Err(AddError::ParentMissing(parent)),
        };
        let group = Group::prove(self.shape, id, parent, bytes)?;
        self.groups.insert(id, Held { group, used: self.uses });
        if self.groups.len() > self.groups_max {
            self.forget_one();
        }
        Ok(())
    }

    /// The node above `to`, or above the piece itself, on the way down to `piece`.
    fn descend(&mut self, piece: u64, to: Option<GroupId>) -> Known {
        self.uses += 1;
        let mut node = Node::Root(self.root);
        for (id, nth) in self.shape.way_to(piece) {
            if Some(id) == to {
                break;
            }
            // A group of one child is its child: there is nothing to ask.
            if self.shape.children(id) == Some(1) {
                continue;
            }
            let Some(held) = self.groups.get_mut(&id) else { return Known::Missing(id) };
            held.used = self.uses;
            let Some(child) = held.group.child(nth) else { return Known::Missing(id) };
            node = child;
        }
        Known::Node(node)
    }

    /// A group is used whenever one below it is, so the one to go has none below it.
    fn forget_one(&mut self) {
        let oldest = self.groups.iter().min_by_key(|(id, held)| (held.used, id.level));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.groups.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::piece::{PIECE_BYTES, hash_piece};
    use super::super::tree::tests::{Whole, pattern};
    use super::*;
    use proptest::prelude::*;

    fn some_hash(piece: u64) -> [u8; 32] {
        *blake3::hash(&piece.to_le_bytes()).as_bytes()
    }

    fn whole(count: u64) -> Whole {
        Whole::over(Shape::new(Pieces::of(count * PIECE_BYTES).unwrap()), some_hash)
    }

    fn tree(whole: &Whole, groups_max: usize) -> ProvenTree {
        let Node::Root(root) = whole.root else { panic!("a root") };
        ProvenTree::new(root, whole.shape.pieces(), groups_max)
    }

    /// Asks until the piece is known; how many groups that took.
    fn reach(tree: &mut ProvenTree, whole: &Whole, piece: u64) -> (Node, usize) {
        for asked in 0.. {
            match tree.piece(piece).unwrap() {
                Known::Node(node) => return (node, asked),
                Known::Missing(id) => tree.add(id, whole.group(id)).unwrap(),
            }
        }
        unreachable!()
    }

    #[test]
    fn a_file_of_one_piece_needs_no_groups() {
        for content in [&b""[..], b"short"] {
            let whole = Whole::of(content);
            let mut tree = tree(&whole, 4);
            let node = hash_piece(whole.shape.pieces(), 0, content).unwrap();
            assert_eq!(tree.piece(0), Some(Known::Node(node)));
            assert_eq!(tree.piece(1), None);
        }
    }

    #[test]
    fn the_pieces_of_a_real_file_are_proven() {
        let content = pattern(3 * PIECE_BYTES as usize + 100);
        let whole = Whole::of(&content);
        let mut tree = tree(&whole, 4);
        for (piece, bytes) in content.chunks(PIECE_BYTES as usize).enumerate() {
            let (node, asked) = reach(&mut tree, &whole, piece as u64);
            assert_eq!(hash_piece(whole.shape.pieces(), piece as u64, bytes), Some(node));
            assert_eq!(asked, usize::from(piece == 0));
        }
    }

    /// The last group of 257 pieces has one: it stands in the group above.
    #[test]
    fn a_group_of_one_is_not_asked_for() {
        let whole = whole(257);
        let mut tree = tree(&whole, 4);
        assert_eq!(reach(&mut tree, &whole, 256), (Node::Inner(some_hash(256)), 1));
        assert_eq!(reach(&mut tree, &whole, 0), (Node::Inner(some_hash(0)), 1));
    }

    #[test]
    fn going_through_a_file_in_order_asks_for_each_group_once() {
        let whole = whole(66_000);
        let mut tree = tree(&whole, 0);
        let asked: usize = (0..66_000).map(|piece| reach(&mut tree, &whole, piece).1).sum();
        assert_eq!(asked, 258 + 2 + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever comes, in whatever order, true or forged: only what is true is held, and never more than was allowed.
        #[test]
        fn nothing_forged_is_held_and_nothing_beyond_the_limit(
            count in 2_u64..70_000,
            groups_max in 0_usize..12,
            steps in prop::collection::vec((any::<u64>(), 0_u8..4, any::<u64>(), any::<bool>(), any::<u16>()), 1..60),
        ) {
            let whole = whole(count);
            let mut tree = tree(&whole, groups_max);
            for (piece, level, index, forge, at) in steps {
                let piece = piece % count;
                let wanted = match tree.piece(piece).unwrap() {
                    Known::Missing(id) => id,
                    Known::Node(node) => {
                        prop_assert_eq!(node, Node::Inner(some_hash(piece)));
                        GroupId { level, index: index % 300 }
                    }
                };
                let mut bytes = match whole.shape.children(wanted) {
                    Some(_) => whole.group(wanted).to_vec(),
                    None => vec![0; at.into()],
                };
                if forge && let Some(byte) = bytes.get_mut(usize::from(at)) {
                    *byte ^= 1;
                    prop_assert!(tree.add(wanted, &bytes).is_err());
                } else {
                    let taken = tree.add(wanted, &bytes);
                    let fine = matches!(taken, Ok(()) | Err(AddError::ParentMissing(_)) | Err(AddError::Proof(ProofError::NoSuchGroup)));
                    prop_assert!(fine, "{taken:?}");
                }
                let held: usize = tree.groups.values().map(|held| held.group.bytes().len()).sum();
                prop_assert!(held <= tree.bytes_max() && tree.groups.len() <= groups_max.max(4));
                let (node, _) = reach(&mut tree, &whole, piece);
                prop_assert_eq!(node, Node::Inner(some_hash(piece)));
            }
        }
    }
}
