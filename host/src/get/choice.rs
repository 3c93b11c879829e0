//! What is to be fetched, out of what the sources offer. Pure: lists go in, items or a reason come out.
//!
//! An item is its root and its length. Two sources that give one name to different content are never mixed: which
//! one is meant is for the person to say.

use crate::content::catalog::{Item, ItemKind};
use crate::fetch::schedule::SourceId;
use core::cmp::Reverse;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

/// What one source has said that it offers.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The items so far.
    pub items: Vec<Item>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// An item, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The item, as most of these sources describe it, or the first of as many.
    pub item: Item,
    /// Who offers it.
    pub sources: Vec<SourceId>,
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The item.
    pub item: Item,
    /// Paths in it, if it is a folder of which only these are wanted.
    pub picks: Vec<String>,
}

/// Why nothing is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// Nobody offers anything, or not yet.
    Nothing,
    /// Nobody offers what was asked for, or not yet.
    NotOffered(String),
    /// Several items are offered, and none was picked.
    Several,
    /// Sources give this name to different content.
    Conflict(String),
    /// A path was picked in what is no folder.
    NoFolder(String),
}

/// What the person wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// An item with this root.
    pub root: Option<blake3::Hash>,
    /// Names of items, or paths in those that are folders.
    pub picks: Vec<String>,
}

/// All that is offered, each once, by name.
#[must_use]
pub fn offered(listings: &BTreeMap<SourceId, Listing>) -> Vec<Offered> {
    let mut all: Vec<Offered> = Vec::new();
    // Who describes each of them in which way.
    let mut kinds: Vec<Vec<(ItemKind, usize)>> = Vec::new();
    let mut places = BTreeMap::new();
    for (source, listing) in listings {
        for item in &listing.items {
            let key = (item.name().to_owned(), *item.root().as_bytes(), item.pieces().length());
            let at = *places.entry(key).or_insert_with(|| {
                all.push(Offered { item: item.clone(), sources: Vec::new() });
                kinds.push(Vec::new());
                all.len() - 1
            });
            let (Some(offered), Some(kinds)) = (all.get_mut(at), kinds.get_mut(at)) else {
                continue;
            };
            if offered.sources.last() == Some(source) {
                continue;
            }
            offered.sources.push(*source);
            match kinds.iter_mut().find(|(kind, _)| *kind == item.kind()) {
                Some((_, count)) => *count += 1,
                None => kinds.push((item.kind(), 1)),
            }
        }
    }
    for (offered, kinds) in all.iter_mut().zip(kinds) {
        let described = usual(&kinds).and_then(|kind| {
            let item = &offered.item;
            Item::new(item.name(), kind, item.pieces(), item.root()).ok()
        });
        offered.item = described.unwrap_or_else(|| offered.item.clone());
    }
    all.sort_by(|a, b| {
        a.item.name().cmp(b.item.name()).then(b.sources.len().cmp(&a.sources.len()))
    });
    all
}

/// What most say an item is: a file or a folder, and of that the usual bits and times.
fn usual(kinds: &[(ItemKind, usize)]) -> Option<ItemKind> {
    let is_file = |kind: &ItemKind| matches!(kind, ItemKind::File(_));
    let alike = |kind: &ItemKind| {
        let alike = kinds.iter().filter(|(other, _)| is_file(other) == is_file(kind));
        alike.map(|(_, count)| count).sum::<usize>()
    };
    let rank = |(kind, count): &&(ItemKind, usize)| Reverse((alike(kind), *count));
    kinds.iter().min_by_key(rank).map(|(kind, _)| *kind)
}

impl Wish {
    /// What is to be fetched.
    ///
    /// # Errors
    /// When it is not clear, or not offered.
    pub fn choose(&self, offers: &[Offered]) -> Result<Vec<Chosen>, Open> {
        let fits = |offer: &&Offered| self.root.is_none_or(|root| offer.item.root() == root);
        let offers: Vec<&Offered> = offers.iter().filter(fits).collect();
        let names: BTreeSet<&str> = offers.iter().map(|offer| offer.item.name()).collect();
        if self.picks.is_empty() {
            // One content under several names: any will do, but one alone may have made up a strange one.
            let rank =
                |offer: &&&Offered| (Reverse(offer.sources.len()), offer.sources.first().copied());
            let usual = offers.iter().min_by_key(rank).map(|offer| offer.item.name());
            return match (usual, self.root) {
                (None, None) => Err(Open::Nothing),
                (None, Some(root)) => Err(Open::NotOffered(root.to_hex().to_string())),
                (Some(_), None) if names.len() > 1 => Err(Open::Several),
                (Some(name), _) => self.named(name, &offers, Vec::new()).map(|it| vec![it]),
            };
        }
        let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut whole = BTreeSet::new();
        for pick in &self.picks {
            let pick = pick.trim_end_matches('/');
            let (name, path) = pick.split_once('/').unwrap_or((pick, ""));
            let paths = wanted.entry(name).or_default();
            if path.is_empty() {
                whole.insert(name);
            } else {
                paths.push(path.to_owned());
            }
        }
        let chosen = wanted.into_iter().map(|(name, paths)| {
            let paths = if whole.contains(name) { Vec::new() } else { paths };
            self.named(name, &offers, paths)
        });
        chosen.collect()
    }

    fn named(&self, name: &str, offers: &[&Offered], picks: Vec<String>) -> Result<Chosen, Open> {
        let mut named = offers.iter().filter(|offer| offer.item.name() == name);
        let first = named.next().ok_or_else(|| Open::NotOffered(name.into()))?;
        // Those of one root and different lengths: whoever states the wrong one proves nothing with it, and is dropped.
        if named.any(|other| other.item.root() != first.item.root()) {
            return Err(Open::Conflict(name.into()));
        }
        if !picks.is_empty() && matches!(first.item.kind(), ItemKind::File(_)) {
            return Err(Open::NoFolder(name.into()));
        }
        Ok(Chosen { item: first.item.clone(), picks })
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing is offered"),
            Self::NotOffered(name) => write!(f, "{name} is not offered"),
            Self::Several => f.write_str("several things are offered; say which: --pick NAME"),
            Self::Conflict(name) => write!(
                f,
                "the sources do not agree on what {name} is; say which one you mean: --root HASH"
            ),
            Self::NoFolder(name) => write!(f, "{name} is a file: it has no paths in it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::manifest::Totals;
    use crate::content::piece::Pieces;
    use crate::transfer::protocol::Attributes;

    fn item(name: &str, content: &str) -> Item {
        let pieces = Pieces::of(content.len() as u64).unwrap();
        let kind = ItemKind::File(Attributes::default());
        Item::new(name, kind, pieces, blake3::hash(content.as_bytes())).unwrap()
    }

    fn folder(name: &str) -> Item {
        let kind = ItemKind::Folder(Totals::default());
        Item::new(name, kind, Pieces::of(9).unwrap(), blake3::hash(b"folder")).unwrap()
    }

    fn offers(lists: &[&[Item]]) -> Vec<Offered> {
        let listing = |items: &&[Item]| Listing { items: items.to_vec(), is_whole: true };
        let lists = lists.iter().enumerate();
        offered(&lists.map(|(at, items)| (SourceId(at as u32), listing(items))).collect())
    }

    fn wish(picks: &[&str]) -> Wish {
        Wish { root: None, picks: picks.iter().map(|pick| (*pick).to_owned()).collect() }
    }

    #[test]
    fn one_item_needs_no_choice_wherever_it_is() {
        let both = offers(&[&[item("film", "x")], &[item("film", "x")]]);
        assert_eq!(both.len(), 1);
        assert_eq!(both[0].sources, [SourceId(0), SourceId(1)]);
        assert_eq!(wish(&[]).choose(&both).unwrap()[0].item, item("film", "x"));
        assert_eq!(wish(&[]).choose(&[]), Err(Open::Nothing));
        let two = offers(&[&[item("film", "x"), item("song", "y")]]);
        assert_eq!(wish(&[]).choose(&two), Err(Open::Several));
        assert_eq!(wish(&["song"]).choose(&two).unwrap()[0].item, item("song", "y"));
        assert_eq!(wish(&["sing"]).choose(&two), Err(Open::NotOffered("sing".into())));
    }

    #[test]
    fn one_name_of_two_contents_is_asked_about_and_a_root_answers() {
        let two = offers(&[&[item("film", "x")], &[item("film", "y")], &[item("film", "y")]]);
        assert_eq!(wish(&[]).choose(&two), Err(Open::Conflict("film".into())));
        for content in ["x", "y"] {
            let root = Some(blake3::hash(content.as_bytes()));
            let wish = Wish { root, picks: vec![] };
            assert_eq!(wish.choose(&two).unwrap()[0].item, item("film", content));
        }
        let nobody = Wish { root: Some(blake3::hash(b"z")), picks: vec![] };
        assert!(matches!(nobody.choose(&two), Err(Open::NotOffered(_))));
    }

    #[test]
    fn of_two_lengths_of_one_root_the_one_that_more_say_counts() {
        let lie = Item::new(
            "film",
            ItemKind::File(Attributes::default()),
            Pieces::of(99).unwrap(),
            blake3::hash(b"x"),
        );
        let said = offers(&[&[lie.unwrap()], &[item("film", "x")], &[item("film", "x")]]);
        assert_eq!(wish(&[]).choose(&said).unwrap()[0].item, item("film", "x"));
    }

    #[test]
    fn of_names_and_kinds_of_one_root_those_count_that_most_say() {
        let strange =
            |name, kind| Item::new(name, kind, Pieces::of(1).unwrap(), blake3::hash(b"x")).unwrap();
        let file = |mode| ItemKind::File(Attributes { mode: Some(mode), ..Attributes::default() });
        let root = Some(blake3::hash(b"x"));
        let wish = Wish { root, picks: vec![] };
        let honest = [item("film", "x")];
        for lie in [
            strange(".profile", file(0o644)),
            strange("film", ItemKind::Folder(Totals::default())),
            strange("film", file(0o777)),
        ] {
            let liar = [lie.clone()];
            let said = offers(&[&liar, &honest, &honest, &honest]);
            assert_eq!(wish.choose(&said).unwrap()[0].item, honest[0]);
            // Where as many say both, the first one counts.
            let said = offers(&[&honest, &liar]);
            assert_eq!(wish.choose(&said).unwrap()[0].item, honest[0]);
        }
        // Files of different times are files all the same.
        let folder = [strange("film", ItemKind::Folder(Totals::default()))];
        let (one, two) = ([strange("film", file(0o640))], [strange("film", file(0o600))]);
        let said = offers(&[&folder, &one, &two]);
        assert_eq!(wish.choose(&said).unwrap()[0].item, one[0]);
    }

    #[test]
    fn paths_are_picked_in_folders_alone() {
        let all = offers(&[&[folder("photos"), item("film", "x")]]);
        let chosen = wish(&["photos/a", "photos/b/c/", "film"]).choose(&all).unwrap();
        assert_eq!(chosen[0], Chosen { item: item("film", "x"), picks: vec![] });
        assert_eq!(
            chosen[1],
            Chosen { item: folder("photos"), picks: vec!["a".into(), "b/c".into()] }
        );
        let chosen = wish(&["photos/a", "photos"]).choose(&all).unwrap();
        assert!(chosen[0].picks.is_empty(), "all of it");
        assert_eq!(wish(&["film/a"]).choose(&all), Err(Open::NoFolder("film".into())));
    }
}
