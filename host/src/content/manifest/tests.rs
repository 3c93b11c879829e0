//! Manifests there and back, and what is refused.

use super::*;
use crate::transfer::protocol::Modified;
use proptest::prelude::*;

fn path(text: &str) -> SafePath {
    SafePath::parse(text.as_bytes()).unwrap()
}

fn folder(text: &str) -> Step {
    Step::Folder(path(text))
}

fn file(text: &str) -> Step {
    let attributes = Attributes {
        mode: Some(0o644),
        modified: Some(Modified { seconds: -7, nanoseconds: 999_999_999 }),
    };
    let (length, root) = (text.len() as u64, blake3::hash(text.as_bytes()));
    Step::File(FileEntry { path: path(text), attributes, length, root })
}

fn end() -> Step {
    Step::FolderEnd(Attributes::default())
}

fn written(steps: &[Step]) -> Result<(Vec<u8>, Totals), ManifestError> {
    let mut writer = ManifestWriter::new(Vec::new())?;
    for step in steps {
        writer.step(step)?;
    }
    writer.finish()
}

fn read(bytes: &[u8]) -> Result<(Vec<(u64, Step)>, Totals), ManifestError> {
    let mut reader = ManifestReader::new(bytes)?;
    let steps = reader.by_ref().collect::<Result<_, _>>();
    assert!(reader.next().is_none(), "nothing comes after the end, or after an error");
    Ok((steps?, reader.totals()))
}

/// The records as they are, whatever their order.
fn forged(records: &[Record<'_>]) -> Vec<u8> {
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.out
}

fn example() -> Vec<Step> {
    vec![
        file("a"),
        folder("b"),
        folder("b/deep"),
        end(),
        file("b/x"),
        end(),
        file("b.txt"),
        folder("c"),
        file("c/x"),
        end(),
        end(),
    ]
}

#[test]
fn what_was_written_is_read() {
    let (bytes, totals) = written(&example()).unwrap();
    assert_eq!(totals, Totals { entries: 7, bytes: 1 + 3 + 5 + 3 });
    let (steps, read_totals) = read(&bytes).unwrap();
    assert_eq!(read_totals, totals);
    let only: Vec<_> = steps.iter().map(|(_, step)| step.clone()).collect();
    assert_eq!(only, example());
    for (place, step) in steps {
        let found = record_at(&bytes[place as usize..]);
        match step {
            Step::File(file) => assert_eq!(found.unwrap(), file),
            _ => assert!(found.is_err()),
        }
    }
}

#[test]
fn an_empty_folder_has_its_end_alone() {
    let (bytes, totals) = written(&[end()]).unwrap();
    assert_eq!(totals, Totals::default());
    assert_eq!(read(&bytes).unwrap().0.len(), 1);
}

#[test]
fn the_longest_path_fits() {
    let name = "x".repeat(255);
    let mut long = [name.as_str(); 16].join("/");
    long.truncate(PATH_BYTES_MAX);
    let record = Record::File {
        path: long.as_bytes(),
        attributes: Attributes {
            mode: Some(u32::MAX),
            modified: Some(Modified { seconds: i64::MIN, nanoseconds: u32::MAX }),
        },
        length: u64::MAX,
        root: [0xff; 32],
    };
    let mut writer = ManifestWriter::new(Vec::new()).unwrap();
    writer.write(&record).unwrap();
}

#[test]
fn each_break_of_the_order_is_refused_by_writer_and_reader() {
    let record = |path: &'static str| Record::File {
        path: path.as_bytes(),
        attributes: Attributes::default(),
        length: 1,
        root: [0; 32],
    };
    let top_end = || Record::FolderEnd(Attributes::default());
    let end = |entries, bytes| Record::End(Totals { entries, bytes });
    let bad: [(&str, Vec<Record<'_>>); 9] = [
        ("twice", vec![record("a"), record("a"), top_end(), end(2, 2)]),
        ("descending", vec![record("b"), record("a"), top_end(), end(2, 2)]),
        ("outside", vec![record("a/b"), top_end(), end(1, 1)]),
        ("in a file", vec![record("a"), record("a/b"), top_end(), end(2, 2)]),
        ("no end", vec![record("a"), end(1, 1)]),
        ("after the end", vec![top_end(), record("a"), end(1, 1)]),
        ("two ends", vec![top_end(), top_end(), end(0, 0)]),
        ("wrong totals", vec![record("a"), top_end(), end(1, 2)]),
        ("more after it", vec![top_end(), end(0, 0), end(0, 0)]),
    ];
    for (name, records) in &bad {
        let error = read(&forged(records)).unwrap_err();
        assert!(matches!(error, ManifestError::Damaged(_)), "{name}: {error}");
    }
    for steps in [vec![file("b"), file("a")], vec![file("a/b")], vec![file("a")]] {
        assert!(written(&steps).is_err(), "{steps:?}");
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["..", "/etc", "a/../b", "", "a//b", "a\0"] {
        let record = Record::Folder { path: path.as_bytes() };
        let error = read(&forged(&[record])).unwrap_err();
        assert!(matches!(error, ManifestError::Path(_)), "{path:?}: {error}");
    }
}

#[test]
fn too_long_a_file_and_too_long_a_record_are_refused() {
    let long = Record::File {
        path: b"a",
        attributes: Attributes::default(),
        length: FILE_BYTES_MAX + 1,
        root: [0; 32],
    };
    assert!(matches!(read(&forged(&[long])), Err(ManifestError::Damaged(_))));
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0xff; 70_000]);
    assert!(matches!(read(&bytes), Err(ManifestError::Damaged("a record is too long"))));
    assert!(matches!(read(b"ropewalk manifest 2\n..."), Err(ManifestError::NotOne)));
}

/// Nobody writes ten million files to find out.
#[test]
fn the_number_of_files_is_limited() {
    let totals = Totals { entries: ENTRIES_MAX, bytes: 0 };
    let mut order = Order { totals, ..Order::default() };
    assert!(matches!(order.check(&file("a")), Err(ManifestError::TooMany)));
}

/// A tree of names, as steps.
#[derive(Clone, Debug)]
enum Thing {
    File,
    Folder(std::collections::BTreeMap<String, Self>),
}

fn things() -> impl Strategy<Value = Thing> {
    let leaf = Just(Thing::File);
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop::collection::btree_map("[a-z.!ü]{1,3}x", inner, 0..5).prop_map(Thing::Folder)
    })
}

fn steps_of(prefix: &str, thing: &Thing, steps: &mut Vec<Step>) {
    match thing {
        Thing::File => steps.push(file(prefix)),
        Thing::Folder(inside) => {
            if !prefix.is_empty() {
                steps.push(folder(prefix));
            }
            for (name, thing) in inside {
                let path =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
                steps_of(&path, thing, steps);
            }
            steps.push(end());
        }
    }
}

proptest! {
    #[test]
    fn any_folder_goes_there_and_back(top in prop::collection::btree_map("[a-z.!ü]{1,3}x", things(), 0..5)) {
        let mut steps = Vec::new();
        steps_of("", &Thing::Folder(top), &mut steps);
        let (bytes, totals) = written(&steps).unwrap();
        let (found, read_totals) = read(&bytes).unwrap();
        prop_assert_eq!(found.into_iter().map(|(_, step)| step).collect::<Vec<_>>(), steps);
        prop_assert_eq!(read_totals, totals);
    }

    #[test]
    fn a_manifest_cut_anywhere_is_not_taken_for_whole(at: prop::sample::Index) {
        let (bytes, _) = written(&example()).unwrap();
        prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at: prop::sample::Index, new: u8) {
        let _ = (read(&bytes), record_at(&bytes[..]));
        let mut whole = written(&example()).unwrap().0;
        let at = at.index(whole.len());
        whole[at] = new;
        let _ = (read(&whole), record_at(&whole[at..]));
    }
}
