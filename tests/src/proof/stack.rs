//! How deep the stack of an image can grow, from the frames that the compiler tells of and the
//! branches between its functions.
//!
//! A call through a register leads to a function whose address is put into that register in the
//! same function, or in one that calls it; if there is none, to any whose address stands among the
//! constants (closures and trait objects do). A function that is its own caller counts once: the core does
//! not recurse, but such a table makes it look so. So the figure is an upper bound where nothing
//! recurses.

use super::image::Image;
use super::thumb::{Branch, branches, loads};
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
        let Some(start) = holder(image, branch.from) else { continue };
        let inside = holder(image, branch.target.unwrap_or(0)) == Some(start);
        let leaves = branch
            .target
            .is_none_or(|target| image.functions.contains_key(&target) && (branch.call || !inside));
        if leaves {
            graph.entry(start).or_default().push(branch);
        }
    }
    let (loaded, indirect) = (Loaded::new(image, &graph), addresses_among_constants(image));
    let (known, path) = (BTreeMap::new(), BTreeSet::new());
    Walk { image, graph, loaded, indirect, known, path }.below(root)
}

/// Where the function begins that holds this address.
fn holder(image: &Image, address: u32) -> Option<u32> {
    let (start, function) = image.functions.range(..=address).next_back()?;
    (address < start + function.len).then_some(*start)
}

/// Which functions' addresses a function puts into which registers.
struct Loaded(BTreeMap<(u32, u8), BTreeSet<u32>>);

impl Loaded {
    fn new(image: &Image, graph: &BTreeMap<u32, Vec<Branch>>) -> Self {
        let mut own: BTreeMap<(u32, u8), BTreeSet<u32>> = BTreeMap::new();
        for load in loads(image).iter().filter(|load| load.word & 1 == 1) {
            let target = load.word & !1;
            if let Some(start) = holder(image, load.from)
                && image.functions.contains_key(&target)
            {
                own.entry((start, load.register)).or_default().insert(target);
            }
        }
        // What the compiler took out of a function finds that function's registers.
        let mut all = own.clone();
        for (caller, branches) in graph {
            for called in branches.iter().filter_map(|branch| branch.target) {
                for register in 0..13 {
                    let words = own.get(&(*caller, register)).into_iter().flatten().copied();
                    if !own.contains_key(&(called, register)) && words.clone().next().is_some() {
                        all.entry((called, register)).or_default().extend(words);
                    }
                }
            }
        }
        Self(all)
    }

    fn of(&self, function: u32, register: Option<u8>) -> Option<Vec<u32>> {
        let words = self.0.get(&(function, register?))?;
        Some(words.iter().copied().collect())
    }
}

struct Walk<'i> {
    image: &'i Image,
    graph: BTreeMap<u32, Vec<Branch>>,
    loaded: Loaded,
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
            let through = || {
                let loaded = self.loaded.of(function, branch.register);
                loaded.unwrap_or_else(|| self.indirect.clone())
            };
            let targets = branch.target.map_or_else(through, |target| vec![target]);
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
