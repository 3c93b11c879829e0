//! Sidecars there and back, and damaged ones.

use super::super::piece::{Node, hash_piece};
use super::super::proven::{Known, ProvenTree};
use super::super::tree::tests::pattern;
use super::*;
use proptest::prelude::*;
use std::fs;

const MIB: usize = 1 << 20;

/// A folder of three files, and trees beside it.
fn fixture() -> (tempfile::TempDir, Trees) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("top/b")).unwrap();
    let contents = [("top/a", 2 * MIB + 3), ("top/b/x", 5), ("top/c", 3 * MIB)];
    for (name, length) in contents {
        fs::write(folder.path().join(name), pattern(length)).unwrap();
    }
    let trees = Trees::open(folder.path().join("trees")).unwrap();
    (folder, trees)
}

fn written(path: &Path, trees: &Trees) -> Vec<u8> {
    let offer = Offer::make(path, trees, &|_| true).unwrap();
    let mut bytes = Vec::new();
    write(&offer, trees, &mut bytes, &|_| true).unwrap();
    bytes
}

fn opened(bytes: &[u8]) -> Result<Sidecar, SidecarError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Sidecar::open(file)
}

/// Proves every piece of `content` with nothing but its root and the sidecar.
fn prove_all(
    sidecar: &Sidecar,
    tree: TreeAt,
    root: blake3::Hash,
    content: &[u8],
) -> Result<(), String> {
    let pieces = Pieces::of(content.len() as u64).unwrap();
    let mut proven = ProvenTree::new(root, pieces, 4);
    for piece in 0..pieces.count() {
        let range = pieces.range(piece).unwrap();
        let bytes = &content[range.start as usize..range.end as usize];
        let node: Node = loop {
            match proven.piece(piece).unwrap() {
                Known::Node(node) => break node,
                Known::Missing(id) => {
                    let group = sidecar.group(tree, proven.shape(), id).unwrap().unwrap();
                    proven.add(id, &group).map_err(|error| error.to_string())?;
                }
            }
        };
        assert_eq!(hash_piece(pieces, piece, bytes), Some(node));
    }
    Ok(())
}

#[test]
fn a_file_is_proven_by_its_sidecar() {
    let (folder, trees) = fixture();
    let bytes = written(&folder.path().join("top/a"), &trees);
    let sidecar = opened(&bytes).unwrap();
    let content = pattern(2 * MIB + 3);
    assert_eq!(sidecar.item().name(), "a");
    assert_eq!(sidecar.item().root(), blake3::hash(&content));
    prove_all(&sidecar, sidecar.tree(), sidecar.item().root(), &content).unwrap();
    assert!(sidecar.steps().is_err(), "it is no folder");
}

#[test]
fn each_file_of_a_folder_is_proven_by_its_sidecar() {
    let (folder, trees) = fixture();
    let sidecar = opened(&written(&folder.path().join("top"), &trees)).unwrap();
    let mut steps = sidecar.steps().unwrap();
    let mut files = 0;
    for step in steps.by_ref() {
        if let (Step::File(entry), tree) = step.unwrap() {
            let content = pattern(entry.length as usize);
            prove_all(&sidecar, tree, entry.root, &content).unwrap();
            files += 1;
        }
    }
    assert_eq!(files, 3);
    assert_eq!(steps.tree_at, sidecar.end);
}

#[test]
fn any_file_of_a_folder_is_found_by_its_place() {
    let (folder, trees) = fixture();
    let top = folder.path().join("many");
    fs::create_dir(&top).unwrap();
    for nth in 0..700 {
        let content = if nth % 300 == 150 { pattern(MIB + nth) } else { vec![nth as u8; nth] };
        fs::write(top.join(format!("{nth:03}")), content).unwrap();
    }
    let sidecar = opened(&written(&top, &trees)).unwrap();
    assert!(sidecar.marks.len() > 2);
    let manifest = sidecar.manifest_section().unwrap();
    let mut files = 0;
    let mut steps = sidecar.steps().unwrap();
    while let Some(step) = steps.next_placed() {
        let (place, step, tree) = step.unwrap();
        let Step::File(entry) = step else { continue };
        let found = sidecar.file_at(place, entry.root).unwrap();
        assert_eq!(found, Some((entry.clone(), tree)));
        assert_eq!(sidecar.file_at(place + 1, entry.root).unwrap(), None);
        assert_eq!(sidecar.file_at(place, blake3::hash(b"another")).unwrap(), None);
        if tree_bytes(&entry) > 0 {
            let content = fs::read(top.join(entry.path.to_string())).unwrap();
            prove_all(&sidecar, tree, entry.root, &content).unwrap();
        }
        files += 1;
    }
    assert_eq!(files, 700);
    for place in [0, 3, manifest.end() - manifest.at(), u64::MAX] {
        assert_eq!(sidecar.file_at(place, blake3::hash(b"")).unwrap(), None);
    }
    let mut whole = vec![0; (manifest.end() - manifest.at()) as usize];
    sidecar.read_manifest(0, &mut whole).unwrap();
    assert_eq!(blake3::hash(&whole), sidecar.item().root());
    assert!(sidecar.read_manifest(1, &mut whole).is_err());
    assert!(sidecar.read_manifest(u64::MAX, &mut whole).is_err());
}

#[test]
fn a_file_that_changed_since_has_no_sidecar() {
    let (folder, trees) = fixture();
    let offer = Offer::make(&folder.path().join("top"), &trees, &|_| true).unwrap();
    fs::write(folder.path().join("top/c"), vec![1; 3 * MIB]).unwrap();
    let error = write(&offer, &trees, &mut Vec::new(), &|_| true).unwrap_err();
    assert!(matches!(&error, SidecarError::Changed(path) if path == "c"), "{error}");
}

#[test]
fn what_is_no_sidecar_is_said() {
    let whole = b"ropewalk sidecar 2\nand so on and so on";
    assert!(matches!(opened(whole), Err(SidecarError::NotOne)));
    assert!(opened(b"").is_err());
}

#[test]
fn its_place_is_beside_what_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    fs::create_dir(&top).unwrap();
    let place = folder.path().join("top.ropewalk");
    assert_eq!(place_of(&top).unwrap(), place);
    assert_eq!(place_of(&folder.path().join("top/")).unwrap(), place);
    let full = place_of(&top.join("..").join("top").join(".")).unwrap();
    assert_eq!(full.file_name(), place.file_name());
    assert_eq!(
        place_of(&top.join("..")).unwrap().parent(),
        folder.path().canonicalize().unwrap().parent()
    );
    assert_eq!(place_of(Path::new("film.mkv")).unwrap(), Path::new("film.mkv.ropewalk"));
}

#[test]
fn a_saved_one_replaces_sidecars_alone() {
    let (folder, trees) = fixture();
    let offer = Offer::make(&folder.path().join("top/a"), &trees, &|_| true).unwrap();
    let place = place_of(offer.path()).unwrap();
    let length = save(&offer, &trees, &place, &|_| true).unwrap();
    assert_eq!(length, fs::metadata(&place).unwrap().len());
    assert_eq!(Sidecar::open(File::open(&place).unwrap()).unwrap().item(), offer.item());
    // One of whatever version, and one that is damaged, is replaced.
    fs::write(&place, "ropewalk sidecar 9\n").unwrap();
    save(&offer, &trees, &place, &|_| true).unwrap();
    assert_eq!(fs::metadata(&place).unwrap().len(), length);
    // The file itself, a folder, and what a link leads to are not.
    fs::write(folder.path().join("link-target"), "ropewalk sidecar 1\n").unwrap();
    let link = folder.path().join("link");
    let mut others = vec![folder.path().join("top/a"), folder.path().join("top")];
    if cfg!(unix) {
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("link-target"), &link).unwrap();
        others.push(link);
    }
    for other in others {
        let error = save(&offer, &trees, &other, &|_| true).unwrap_err();
        assert!(matches!(error, SidecarError::PlaceTaken), "{}: {error}", other.display());
    }
    assert_eq!(fs::read(folder.path().join("top/a")).unwrap(), pattern(2 * MIB + 3));
}

#[test]
fn one_that_is_stopped_leaves_nothing() {
    let (folder, trees) = fixture();
    let offer = Offer::make(&folder.path().join("top"), &trees, &|_| true).unwrap();
    let place = place_of(offer.path()).unwrap();
    let error = save(&offer, &trees, &place, &|_| false).unwrap_err();
    assert!(matches!(error, SidecarError::Offer(OfferError::Stopped)), "{error}");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["top", "trees"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A damaged one is refused, or what is damaged does not prove; nothing wrong is believed.
    #[test]
    fn no_damage_is_believed(at: prop::sample::Index, flip in 1_u8.., cut: bool, is_folder: bool) {
        let (folder, trees) = fixture();
        let mut bytes = written(&folder.path().join(if is_folder { "top" } else { "top/a" }), &trees);
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        let Ok(sidecar) = opened(&bytes) else { return Ok(()) };
        if !is_folder {
            let proof = prove_all(&sidecar, sidecar.tree(), sidecar.item().root(), &pattern(2 * MIB + 3));
            prop_assert!(proof.is_err());
            return Ok(());
        }
        let mut wrong = 0;
        for step in sidecar.steps().unwrap() {
            let (Step::File(entry), tree) = step.unwrap() else { continue };
            let readable = tree.0 + tree_bytes(&entry) <= sidecar.end;
            let content = pattern(entry.length as usize);
            if !readable || prove_all(&sidecar, tree, entry.root, &content).is_err() {
                wrong += 1;
            }
        }
        prop_assert!(wrong > 0);
    }
}
