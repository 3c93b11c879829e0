//! Items of real files and folders.

use super::super::manifest::ManifestReader;
use super::*;
use std::fs;
use std::sync::Mutex;

struct Fixture {
    _folder: tempfile::TempDir,
    top: PathBuf,
    trees: Trees,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    fs::create_dir_all(top.join("b/empty")).unwrap();
    for (name, content) in [("a", "one"), ("b/x", ""), ("b.txt", "three")] {
        fs::write(top.join(name), content).unwrap();
    }
    fs::write(top.join("large"), vec![5; (2 << 20) + 1]).unwrap();
    let trees = Trees::open(folder.path().join("trees")).unwrap();
    Fixture { _folder: folder, top, trees }
}

fn manifest(offer: &Offer) -> Vec<Step> {
    let mut bytes = vec![0; offer.content().stamp().length as usize];
    offer.content().read_at(0, &mut bytes).unwrap();
    assert_eq!(blake3::hash(&bytes), offer.item().root());
    ManifestReader::new(&bytes[..]).unwrap().map(|step| step.unwrap().1).collect()
}

#[test]
fn a_file_is_an_item_with_its_own_hash() {
    let fixture = fixture();
    let offer = Offer::make(&fixture.top.join("large"), &fixture.trees, &|_| true).unwrap();
    assert_eq!(offer.item().name(), "large");
    assert_eq!(offer.item().pieces().count(), 3);
    assert_eq!(offer.item().root(), blake3::hash(&vec![5; (2 << 20) + 1]));
    assert!(
        matches!(offer.item().kind(), ItemKind::File(attributes) if attributes.modified.is_some())
    );
}

#[test]
fn a_folder_is_an_item_with_the_hash_of_its_manifest() {
    let fixture = fixture();
    let hashed = Mutex::new(0);
    let watch = |noticed: Noticed<'_>| {
        match noticed {
            Noticed::Hashed(bytes) => *hashed.lock().unwrap() += bytes,
            Noticed::LeftOut { path, .. } => panic!("{path}"),
        }
        true
    };
    let offer = Offer::make(&fixture.top, &fixture.trees, &watch).unwrap();
    let bytes = 3 + 5 + (2 << 20) + 1;
    assert_eq!(offer.item().kind(), ItemKind::Folder(Totals { entries: 6, bytes }));
    assert_eq!(hashed.into_inner().unwrap(), bytes);
    let shown = manifest(&offer).into_iter().map(|step| match step {
        Step::Folder(path) => format!("+{path}"),
        Step::FolderEnd(_) => "-".into(),
        Step::File(file) => {
            let content = fs::read(fixture.top.join(file.path.to_string())).unwrap();
            assert_eq!((file.length, file.root), (content.len() as u64, blake3::hash(&content)));
            file.path.to_string()
        }
    });
    let expected = ["a", "+b", "+b/empty", "-", "b/x", "-", "b.txt", "large", "-"];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_of_a_folder_is_found_by_the_place_of_its_record_and_its_root() {
    let fixture = fixture();
    let offer = Offer::make(&fixture.top, &fixture.trees, &|_| true).unwrap();
    let mut places = Vec::new();
    for step in ManifestReader::new(offer.content().section(0)).unwrap() {
        if let (place, Step::File(file)) = step.unwrap() {
            assert_eq!(offer.file_at(place, file.root).unwrap(), file);
            assert!(offer.file_at(place, blake3::hash(b"another")).is_err());
            places.push(place);
        }
    }
    assert_eq!(places.len(), 4);
    let root = blake3::hash(b"one");
    for place in (0..offer.content().stamp().length + 2).chain([u64::MAX]) {
        assert_eq!(offer.file_at(place, root).is_ok(), place == places[0], "{place}");
    }
    let file = Offer::make(&fixture.top.join("a"), &fixture.trees, &|_| true).unwrap();
    assert!(file.file_at(places[0], root).is_err(), "it is no folder");
}

/// The name of the folder and the place where it lies do not count, and another offer of it
/// takes nothing from the first.
#[test]
fn the_same_content_elsewhere_has_the_same_root() {
    let fixture = fixture();
    let first = Offer::make(&fixture.top, &fixture.trees, &|_| true).unwrap();
    let moved = fixture.top.with_file_name("moved");
    fs::rename(&fixture.top, &moved).unwrap();
    let second = Offer::make(&moved, &fixture.trees, &|_| true).unwrap();
    assert_eq!(first.item().root(), second.item().root());
    fs::write(moved.join("a"), "another").unwrap();
    let third = Offer::make(&moved, &fixture.trees, &|_| true).unwrap();
    assert_ne!(third.item().root(), first.item().root());
    manifest(&second);
}

#[cfg(unix)]
#[test]
fn what_is_left_out_is_said_and_the_rest_is_there() {
    let fixture = fixture();
    std::os::unix::fs::symlink("a", fixture.top.join("link")).unwrap();
    let left_out = Mutex::new(Vec::new());
    let watch = |noticed: Noticed<'_>| {
        if let Noticed::LeftOut { path, failed, .. } = noticed {
            left_out.lock().unwrap().push((path.to_owned(), failed));
        }
        true
    };
    let offer = Offer::make(&fixture.top, &fixture.trees, &watch).unwrap();
    assert_eq!(manifest(&offer).len(), 9);
    let left_out = left_out.into_inner().unwrap();
    assert!(left_out.len() == 1 && left_out[0].0.ends_with("top/link") && !left_out[0].1);
}

#[test]
fn what_is_not_there_or_was_stopped_is_no_item() {
    let fixture = fixture();
    let missing = Offer::make(&fixture.top.join("missing"), &fixture.trees, &|_| true);
    assert!(matches!(missing, Err(OfferError::Io(_))));
    for path in [fixture.top.clone(), fixture.top.join("large")] {
        let stopped = Offer::make(&path, &fixture.trees, &|_| false);
        assert!(matches!(stopped, Err(OfferError::Stopped)), "{stopped:?}");
    }
}
