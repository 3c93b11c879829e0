//! Small files: never seen half-written or before they are durable, whatever is killed when.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A folder to fetch into, with the folders `a` and `b` in it.
fn scene() -> (tempfile::TempDir, Root) {
    let at = tempfile::tempdir().unwrap();
    let root = Root::open(at.path()).unwrap();
    for folder in ["a", "b"] {
        root.make_folder(&path(folder)).unwrap();
    }
    (at, root)
}

fn path(text: &str) -> SafePath {
    SafePath::parse(text.as_bytes()).unwrap()
}

/// The folders of small files.
fn stagings(at: &tempfile::TempDir) -> usize {
    let entries = std::fs::read_dir(at.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(STAGING_HEAD)).count()
}

fn put(staging: &mut Staging, name: &str, content: &[u8]) {
    staging.put(path(name), content, Attributes::default()).unwrap();
}

/// What a kill does: the lock goes, everything else stays.
fn kill(staging: Staging) {
    staging.lock.unlock().unwrap();
    core::mem::forget(staging);
}

#[test]
fn files_have_their_names_after_one_publishing_and_are_settled_after_the_next() {
    let (at, root) = scene();
    let mut staging = Staging::open(&root, Leftover::Discard).unwrap();
    put(&mut staging, "a/one", b"1");
    put(&mut staging, "two", b"2");
    assert!(!at.path().join("a/one").exists());
    let mut settled = Vec::new();
    let mut note =
        |path: &SafePath, how: io::Result<()>| settled.push((path.to_string(), how.is_ok()));
    staging.publish(&root, Replace::No, &mut note).unwrap();
    assert_eq!(std::fs::read(at.path().join("a/one")).unwrap(), b"1");
    put(&mut staging, "b/three", b"");
    staging.finish(&root, Replace::No, &mut note).unwrap();
    assert_eq!(settled, ["a/one", "two", "b/three"].map(|path| (path.to_owned(), true)));
    assert_eq!(stagings(&at), 0);
}

#[test]
fn one_that_cannot_have_its_name_is_alone_with_that() {
    let (at, root) = scene();
    std::fs::write(at.path().join("there"), "old").unwrap();
    for (replace, expected) in [(Replace::No, &b"old"[..]), (Replace::Yes, b"new")] {
        let mut staging = Staging::open(&root, Leftover::Discard).unwrap();
        for name in ["there", "missing/file", "a/fine"] {
            put(&mut staging, name, b"new");
        }
        let mut failed = Vec::new();
        let mut note = |path: &SafePath, how: io::Result<()>| {
            failed.extend(how.err().map(|error| (path.to_string(), error.kind())));
        };
        staging.finish(&root, replace, &mut note).unwrap();
        assert_eq!(std::fs::read(at.path().join("there")).unwrap(), expected);
        let missing = ("missing/file".to_owned(), io::ErrorKind::NotFound);
        if replace == Replace::No {
            assert_eq!(failed, [("there".to_owned(), io::ErrorKind::AlreadyExists), missing]);
            std::fs::remove_file(at.path().join("a/fine")).unwrap();
        } else {
            assert_eq!(failed, [missing]);
        }
    }
}

#[test]
fn leftovers_go_and_what_is_in_use_stays() {
    let (at, root) = scene();
    let mut killed = Staging::open(&root, Leftover::Discard).unwrap();
    put(&mut killed, "a/lost", b"lost");
    kill(killed);
    // Killed before it had a lock; and no folder at all.
    std::fs::create_dir(at.path().join(".ropewalk-get-0")).unwrap();
    std::fs::write(at.path().join(".ropewalk-get-file"), "").unwrap();
    assert_eq!(stagings(&at), 3);
    let mut first = Staging::open(&root, Leftover::Discard).unwrap();
    assert_eq!(stagings(&at), 2);
    put(&mut first, "a/kept", b"kept");
    let second = Staging::open(&root, Leftover::Discard).unwrap();
    assert_eq!(stagings(&at), 3);
    first.finish(&root, Replace::No, &mut |_, how| how.unwrap()).unwrap();
    drop(second);
    assert_eq!(stagings(&at), 1);
    assert!(at.path().join("a/kept").exists() && !at.path().join("a/lost").exists());
}

#[test]
fn what_a_killed_one_left_is_taken_up_by_its_hash() {
    let (at, root) = scene();
    let hash = |content: &[u8]| *blake3::hash(content).as_bytes();
    let resume = || Staging::open(&root, Leftover::Resume).unwrap();
    let mut killed = resume();
    put(&mut killed, "a/one", b"1");
    put(&mut killed, "a/two", b"2");
    // Written by halves.
    killed.folder.write("9", b"ha").unwrap();
    kill(killed);
    // Killed before it had a lock, or being made just now: not to be held for later.
    std::fs::create_dir(at.path().join(".ropewalk-get-0")).unwrap();
    let mut next = resume();
    assert_eq!(stagings(&at), 2);
    assert_eq!(next.leftover(&hash(b"3")), None);
    assert_eq!(next.leftover(&hash(b"half")), None);
    assert_eq!(next.leftover(&hash(b"1")).unwrap(), b"1");
    assert_eq!(next.leftover(&hash(b"1")), None, "once");
    // Nobody else takes it up meanwhile.
    assert_eq!(resume().leftover(&hash(b"2")), None);
    put(&mut next, "a/one", b"1");
    // One that is dropped with files that have no names leaves them like one that was killed.
    drop(next);
    let mut last = resume();
    assert_eq!(last.leftover(&hash(b"1")).unwrap(), b"1");
    assert_eq!(last.leftover(&hash(b"2")).unwrap(), b"2");
    last.clear_leftovers();
    drop(last);
    assert_eq!(stagings(&at), 0);
}

#[test]
fn a_disk_that_has_failed_names_nothing_afterwards() {
    let (at, root) = scene();
    let mut staging = Staging::open(&root, Leftover::Resume).unwrap();
    put(&mut staging, "a/one", b"1");
    staging.has_failed = true;
    assert!(staging.publish(&root, Replace::No, &mut |_, _| ()).is_err());
    assert!(staging.finish(&root, Replace::No, &mut |_, _| ()).is_err());
    assert!(!at.path().join("a/one").exists());
    assert_eq!(stagings(&at), 1, "it stays for the next one");
}

#[test]
fn a_batch_is_full_by_files_or_by_bytes() {
    let (_at, root) = scene();
    let mut staging = Staging::open(&root, Leftover::Discard).unwrap();
    for file in 0..FILES_MAX {
        assert!(!staging.is_full());
        put(&mut staging, &format!("a/{file}"), b"x");
    }
    assert!(staging.is_full());
    staging.publish(&root, Replace::No, &mut |_, how| how.unwrap()).unwrap();
    assert!(!staging.is_full());
    let mebibyte = vec![1; 1 << 20];
    for file in 0..64 {
        assert!(!staging.is_full());
        put(&mut staging, &format!("b/{file}"), &mebibyte);
    }
    assert!(staging.is_full());
}

#[derive(Clone, Debug)]
enum Op {
    Put { name: u8, content: Vec<u8> },
    Publish,
    Kill,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let content = prop::collection::vec(any::<u8>(), 0..50);
    let put = (0_u8..6, content).prop_map(|(name, content)| Op::Put { name, content });
    prop::collection::vec(prop_oneof![6 => put, 1 => Just(Op::Publish), 1 => Just(Op::Kill)], 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn what_is_seen_is_whole_and_what_is_settled_stays(ops in ops()) {
        let (at, root) = scene();
        let mut staging = Staging::open(&root, Leftover::Discard).unwrap();
        // What was ever put under a name; what was published last; and what must be seen.
        let mut put_once: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
        let mut settled: Vec<String> = Vec::new();
        for op in ops {
            match op {
                Op::Put { name, content } => {
                    put(&mut staging, &format!("a/{name}"), &content);
                    put_once.entry(name).or_default().push(content);
                }
                Op::Publish => staging
                    .publish(&root, Replace::Yes, &mut |path, how| {
                        how.unwrap();
                        settled.push(path.to_string());
                    })
                    .unwrap(),
                Op::Kill => {
                    kill(staging);
                    staging = Staging::open(&root, Leftover::Discard).unwrap();
                }
            }
            prop_assert_eq!(stagings(&at), 1);
            for path in &settled {
                prop_assert!(at.path().join(path).exists(), "{} was settled", path);
            }
            for entry in std::fs::read_dir(at.path().join("a")).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let there = std::fs::read(at.path().join("a").join(&name)).unwrap();
                let whole = put_once[&name.parse::<u8>().unwrap()].contains(&there);
                prop_assert!(whole, "a/{} holds what was never put", name);
            }
        }
    }
}
