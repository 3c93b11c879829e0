//! How deep the stack of an image can grow, from the frames that the compiler tells of and the
//! branches between its functions.
//!
//! A call through a register may lead to any function whose address stands among the constants
//! (closures and trait objects do). A function that is its own caller counts once: the core does
//! not recurse, but such a table makes it look so. So the figure is an upper bound where nothing
//! recurses.

use super::image::Image;
use super::thumb::{Branch, branches};
use std::collections::{BTreeMap, BTreeSet};

/// The deepest chain of calls below a function: its bytes, and its functions from the top.
#[derive(Clone, Debug, Default)]
pub struct Depth {
    /// Bytes of stack.
    pub bytes: u64,
    /// Who calls whom.
    pub chain: Vec<u32>,
}

/// The deepest chain below the function at `root`.
#[must_use]
pub fn deepest(image: &Image, root: u32) -> Depth {
    let mut graph: BTreeMap<u32, Vec<Branch>> = BTreeMap::new();
    for branch in branches(image) {
        if let Some((start, function)) = image.functions.range(..=branch.from).next_back() {
            let inside = *start..start + function.len;
            let leaves = branch.target.is_none_or(|target| {
                image.functions.contains_key(&target) && (branch.call || !inside.contains(&target))
            });
            if inside.contains(&branch.from) && leaves {
                graph.entry(*start).or_default().push(branch);
            }
        }
    }
    let indirect = addresses_among_constants(image);
    let mut walk = Walk { image, graph, indirect, known: BTreeMap::new(), path: BTreeSet::new() };
    walk.below(root)
}

struct Walk<'i> {
    image: &'i Image,
    graph: BTreeMap<u32, Vec<Branch>>,
    indirect: Vec<u32>,
    known: BTreeMap<u32, Depth>,
    path: BTreeSet<u32>,
}

impl Walk<'_> {
    fn below(&mut self, function: u32) -> Depth {
        if let Some(depth) = self.known.get(&function) {
            return depth.clone();
        }
        if !self.path.insert(function) {
            return Depth::default();
        }
        let frame = self.image.frames.get(&function).copied().unwrap_or(0);
        let mut deepest = Depth { bytes: frame, chain: vec![function] };
        for branch in self.graph.get(&function).cloned().unwrap_or_default() {
            let targets =
                branch.target.map_or_else(|| self.indirect.clone(), |target| vec![target]);
            for target in targets {
                let below = self.below(target);
                let bytes = below.bytes + if branch.call { frame } else { 0 };
                if bytes > deepest.bytes {
                    deepest.bytes = bytes;
                    deepest.chain = core::iter::once(function).chain(below.chain).collect();
                }
            }
        }
        self.path.remove(&function);
        self.known.insert(function, deepest.clone());
        deepest
    }
}

fn addresses_among_constants(image: &Image) -> Vec<u32> {
    let words = image.constants.1.chunks_exact(4);
    let addresses: BTreeSet<u32> = words
        .filter_map(|word| Some(u32::from_le_bytes(*word.first_chunk()?)))
        .filter(|word| word & 1 == 1)
        .map(|word| word & !1)
        .filter(|address| image.functions.contains_key(address))
        .collect();
    addresses.into_iter().collect()
}
