//! Folders on mirrors, and files of hashes on this machine.

use super::*;
use crate::content::manifest::{ManifestReader, Step};
use proptest::prelude::*;

/// Names that mean something in a URL, or look as if they did.
const NAMES: [&str; 12] = [
    "plain",
    "a b",
    "100%",
    "%2e%2e",
    "x?y#z",
    "a+b&c=d",
    "[x]{y}",
    "back\\slash",
    "日本語",
    "~tilde'\"<>|^`",
    "deep/er/file",
    "semi;colon:at@",
];

/// The files of a manifest: content, hash and length each.
fn entries(manifest: &[u8], folder: blake3::Hash) -> Vec<(String, Content, blake3::Hash, Pieces)> {
    let steps = ManifestReader::new(manifest).unwrap();
    let files = steps.filter_map(|step| match step.unwrap() {
        (place, Step::File(entry)) => {
            let root = *entry.root.as_bytes();
            let of = Content::Entry { folder: *folder.as_bytes(), place, root };
            Some((entry.path.to_string(), of, entry.root, Pieces::of(entry.length).unwrap()))
        }
        _ => None,
    });
    files.collect()
}

fn scene() -> Scene {
    let scene = Scene::new();
    for (nth, name) in NAMES.into_iter().enumerate() {
        let length = if nth == 3 { 2 * PIECE_BYTES + 1 } else { 10 + nth as u64 };
        scene.write(&format!("photos/{name}"), &noise(length));
    }
    scene.write("photos/empty", b"");
    scene
}

fn fill(server: &Server, scene: &Scene) {
    for name in NAMES.into_iter().chain(["empty"]) {
        let content = fs::read(scene.path("photos").join(name)).unwrap();
        server.put(&format!("/a b/photos/{name}"), content);
    }
}

#[tokio::test]
async fn a_folder_comes_from_its_mirror_and_its_sidecar_alone() {
    let (scene, server) = (scene(), Server::start().await);
    fill(&server, &scene);
    server.put("/a b/photos.ropewalk", scene.sidecar("photos"));
    for url in ["/a b/photos", "/a%20b/photos/", "/a%20b/photos.ropewalk"] {
        let mirror = scene.mirror(&format!("{}{url}", server.url));
        let (asker, mut events) = opened(&mirror);
        let item = list(&asker, &mut events).await.remove(0);
        assert_eq!(asker.gives(of(&item)), Gives::ALL);
        let manifest = fetch_all(&asker, &mut events, of(&item), item.root(), item.pieces()).await;
        let files = entries(&manifest, item.root());
        assert_eq!(files.len(), NAMES.len() + 1);
        for (path, of, root, pieces) in files {
            assert_eq!(asker.gives(of), Gives::ALL);
            let content = fetch_all(&asker, &mut events, of, root, pieces).await;
            assert!(content == fs::read(scene.path("photos").join(&path)).unwrap(), "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_sidecar_the_manifest_from_elsewhere_leads_to_its_files() {
    let (scene, server) = (scene(), Server::start().await);
    fill(&server, &scene);
    let sidecar = Facts::sidecar({
        fs::write(scene.path("side"), scene.sidecar("photos")).unwrap();
        File::open(scene.path("side")).unwrap()
    });
    let sidecar = sidecar.unwrap();
    let item = sidecar.item().clone();
    let manifest = sidecar.manifest(0..item.pieces().length()).unwrap();
    fs::write(scene.path("manifest"), &manifest).unwrap();

    let mirror = scene.mirror(&format!("{}/a b/photos", server.url));
    mirror.know(Facts::folder(item.clone(), File::open(scene.path("manifest")).unwrap()).unwrap());
    let (asker, mut events) = opened(&mirror);
    assert_eq!(asker.gives(of(&item)), Gives { hashes: false, pieces: false });
    for (path, of, root, pieces) in entries(&manifest, item.root()) {
        assert_eq!(asker.gives(of), Gives { hashes: false, pieces: true });
        let number = asker.piece(of, 0, 0).unwrap();
        let bytes = answer(&mut events, number).await;
        assert!(bytes.len() as u64 == pieces.range(0).unwrap().end, "{path}");
        // No such record, or another file's.
        let Content::Entry { folder, place, .. } = of else { panic!() };
        let others = [
            Content::Entry { folder, place: place + 1, root: *root.as_bytes() },
            Content::Entry { folder, place, root: [7; 32] },
            Content::Entry { folder: [7; 32], place, root: *root.as_bytes() },
            Content::Item(*root.as_bytes()),
        ];
        for other in others {
            let number = asker.piece(other, 0, 0).unwrap();
            assert_eq!(refusal(&mut events, number, 0).await, Reason::Unknown, "{path}");
        }
    }
}

#[tokio::test]
async fn a_file_of_hashes_on_this_machine_gives_hashes() {
    let scene = scene();
    for (name, is_folder) in [("photos/%2e%2e", false), ("photos", true)] {
        fs::write(scene.path("side"), scene.sidecar(name)).unwrap();
        let mirror = Arc::new(Mirror::hashes_alone(&scene.path("side")).unwrap());
        let (asker, mut events) = opened(&mirror);
        let item = list(&asker, &mut events).await.remove(0);
        assert_eq!(asker.gives(of(&item)), Gives { hashes: true, pieces: is_folder });
        if is_folder {
            let manifest =
                fetch_all(&asker, &mut events, of(&item), item.root(), item.pieces()).await;
            let files = entries(&manifest, item.root());
            let (_, of, root, pieces) = files.iter().find(|(path, ..)| path == "%2e%2e").unwrap();
            assert_eq!(asker.gives(*of), Gives { hashes: true, pieces: false });
            let mut tree = ProvenTree::new(*root, *pieces, 8);
            let Some(KnownNode::Missing(id)) = tree.piece(0) else { panic!() };
            let number = asker.group(*of, id).unwrap();
            tree.add(id, &answer(&mut events, number).await).unwrap();
            let number = asker.piece(*of, 0, 0).unwrap();
            assert_eq!(refusal(&mut events, number, 0).await, Reason::Unknown);
        }
    }
    assert!(Mirror::hashes_alone(&scene.path("no")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a file is called, its own bytes come, or it is said that it cannot be asked for.
    #[test]
    fn any_name_is_found_again(names in prop::collection::vec("[^/\\x00]{1,12}", 1..3)) {
        let path = names.join("/");
        let Ok(safe) = crate::transfer::safe_path::SafePath::parse(path.as_bytes()) else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came = runtime.block_on(async {
            let (scene, server) = (Scene::new(), Server::start().await);
            server.put(&format!("/top/{path}"), "its own");
            let mirror = scene.mirror(&format!("{}/top/", server.url));
            let spot = mirror.stores.as_ref().unwrap().inside(&safe)?;
            let (length, _) = body::Body::open(&spot, None).await.ok()?;
            Some(length)
        });
        let is_plain = !path.chars().any(|sign| sign.is_ascii_control());
        prop_assert_eq!(came, is_plain.then_some(7), "{:?}", path);
    }
}
