//! Both ends over a pipe in memory: what arrives, and what each bad input gets.

mod hearing_out;
mod resuming;

use super::protocol::{
    Answer, Attributes, Frame, FrameReader, FrameWriter, Message, Verdict, parse,
};
use super::receive::{Receiving, Target, receive};
use super::safe_path::Root;
use super::send::{Input, send};
use super::{Event, FileReport, Observer, Outcome, Summary, TransferError};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::DuplexStream;

/// Remembers how each file ended.
#[derive(Default)]
struct Log(Mutex<Vec<FileReport>>, Mutex<Vec<String>>);

impl Observer for Log {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Ended(report) => self.0.lock().unwrap().push(report.clone()),
            Event::LeftOut { path, reason } => {
                self.1.lock().unwrap().push(format!("{path}: {reason}"))
            }
            _ => {}
        }
    }
}

impl Log {
    fn outcome(&self, path: &str) -> Outcome {
        let reports = self.0.lock().unwrap();
        let found = reports.iter().find(|report| report.path == path);
        found.unwrap_or_else(|| panic!("no report of {path} in {reports:?}")).outcome.clone()
    }
}

/// A folder to send from, a folder to receive into, and what both ends observed.
struct Scene {
    from: tempfile::TempDir,
    out: tempfile::TempDir,
    sent: Arc<Log>,
    received: Arc<Log>,
    overwrite: bool,
}

impl Scene {
    fn new() -> Self {
        let (from, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { from, out, sent: Arc::default(), received: Arc::default(), overwrite: false }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.from.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn there(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.out.path().join(name)).ok()
    }

    fn plant(&self, name: &str, content: &[u8]) {
        fs::write(self.out.path().join(name), content).unwrap();
    }

    fn receiving(&self) -> Receiving {
        Receiving {
            target: Arc::new(Target::Folder(Root::open(self.out.path()).unwrap())),
            overwrite: self.overwrite,
            since: Instant::now(),
            observer: self.received.clone(),
            sender: [5; 32],
        }
    }

    async fn send(&self, paths: &[PathBuf]) -> (Summary, Summary) {
        let inputs = paths.iter().cloned().map(Input::Path).collect();
        let (sent, received) = self.run(inputs, self.receiving()).await;
        (sent.unwrap(), received.unwrap())
    }

    async fn run(
        &self,
        inputs: Vec<Input>,
        how: Receiving,
    ) -> (Result<Summary, TransferError>, Result<Summary, TransferError>) {
        let (left, right) = tokio::io::duplex(32 << 10);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        tokio::join!(
            send(left_read, left_write, inputs, &*self.sent),
            receive(right_read, right_write, how)
        )
    }

    /// The names in the output folder, temporary ones too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn noise(bytes: usize, seed: u8) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut content);
    content
}

const fn stored(files: u64) -> Summary {
    Summary { stored: files, already: 0, refused: 0, failed: 0, corrupt: 0, stopped: 0 }
}

#[tokio::test]
async fn a_file_arrives_with_its_content_and_both_ends_know_its_hash() {
    let scene = Scene::new();
    let content = noise(3_000_001, 1);
    let path = scene.file("file.bin", &content);
    assert_eq!(scene.send(&[path]).await, (stored(1), stored(1)));
    assert!(scene.there("file.bin").unwrap() == content);
    let (sent, received) = (scene.sent.0.lock().unwrap(), scene.received.0.lock().unwrap());
    assert_eq!(sent[0].blake3, Some(*blake3::hash(&content).as_bytes()));
    assert_eq!((sent[0].blake3, sent[0].bytes), (received[0].blake3, received[0].bytes));
    assert_eq!(
        sent[0].time.as_micros(),
        received[0].time.as_micros(),
        "the receiver's clock counts"
    );
    assert_eq!(scene.names(), ["file.bin"]);
}

#[tokio::test]
async fn empty_files_and_empty_folders_arrive() {
    let scene = Scene::new();
    scene.file("top/empty", b"");
    fs::create_dir(scene.from.path().join("top/hollow")).unwrap();
    assert_eq!(scene.send(&[scene.from.path().join("top")]).await, (stored(1), stored(1)));
    assert_eq!(scene.there("top/empty").unwrap(), b"");
    assert!(scene.out.path().join("top/hollow").is_dir());
}

#[tokio::test]
async fn five_hundred_small_files_in_folders_arrive() {
    let scene = Scene::new();
    for number in 0..500_usize {
        scene.file(&format!("top/{}/{number}", number % 20), &noise(number * 7, number as u8));
    }
    assert_eq!(scene.send(&[scene.from.path().join("top")]).await, (stored(500), stored(500)));
    for number in 0..500_usize {
        let there = scene.there(&format!("top/{}/{number}", number % 20)).unwrap();
        assert!(there == noise(number * 7, number as u8), "file {number}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn modes_and_times_of_files_and_folders_are_kept() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let scene = Scene::new();
    let when = std::time::UNIX_EPOCH + core::time::Duration::new(1_000_000_000, 123_456_789);
    let set = |name: &str, mode| {
        let path = scene.from.path().join(name);
        fs::File::open(&path).unwrap().set_modified(when).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    scene.file("top/run", b"#!/bin/sh");
    scene.file("top/sub/secret", b"x");
    set("top/run", 0o751);
    set("top/sub/secret", 0o400);
    set("top/sub", 0o500);
    set("top", 0o711);
    assert_eq!(scene.send(&[scene.from.path().join("top")]).await.1, stored(2));
    for (name, mode) in
        [("top/run", 0o751), ("top/sub/secret", 0o400), ("top/sub", 0o500), ("top", 0o711)]
    {
        let metadata = fs::metadata(scene.out.path().join(name)).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{name}");
        assert_eq!(
            (metadata.mtime(), metadata.mtime_nsec()),
            (1_000_000_000, 123_456_789),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_comes_out_of_a_reader_arrives_as_a_file() {
    let scene = Scene::new();
    let content = noise(700_000, 2);
    let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(content.clone()));
    let input = Input::Stream { name: "stdin".into(), reader };
    let (sent, _) = scene.run(vec![input], scene.receiving()).await;
    assert_eq!(sent.unwrap(), stored(1));
    assert!(scene.there("stdin").unwrap() == content);
}

#[tokio::test]
async fn a_file_that_exists_is_refused_and_the_rest_goes_on() {
    let scene = Scene::new();
    let paths = [
        scene.file("taken", b"new"),
        scene.file("long", &noise(900_000, 1)),
        scene.file("free", b"x"),
    ];
    scene.plant("taken", b"other");
    scene.plant("long", &noise(900_000, 2));
    let (sent, received) = scene.send(&paths).await;
    assert_eq!(sent, Summary { refused: 2, ..stored(1) });
    assert_eq!(received, sent);
    for name in ["taken", "long"] {
        assert!(
            matches!(scene.sent.outcome(name), Outcome::Refused(why) if why.contains("--overwrite"))
        );
    }
    assert_eq!(scene.there("taken").unwrap(), b"other");
    assert!(scene.there("long").unwrap() == noise(900_000, 2));
    assert_eq!(scene.there("free").unwrap(), b"x");
}

#[tokio::test]
async fn overwrite_replaces_whatever_its_length() {
    let scene = Scene { overwrite: true, ..Scene::new() };
    let paths = [scene.file("short", b"new"), scene.file("long", &noise(4_000_000, 1))];
    scene.plant("short", b"older");
    scene.plant("long", &noise(4_000_000, 2));
    assert_eq!(scene.send(&paths).await, (stored(2), stored(2)));
    assert_eq!(scene.there("short").unwrap(), b"new");
    assert!(scene.there("long").unwrap() == noise(4_000_000, 1));
    assert_eq!(scene.names().len(), 2);
}

#[tokio::test]
async fn the_same_content_counts_as_done_and_is_not_sent_again() {
    for overwrite in [false, true] {
        let scene = Scene { overwrite, ..Scene::new() };
        let content = noise(20_000_000, 3);
        let path = scene.file("file", &content);
        scene.plant("file", &content);
        let (sent, received) = scene.send(&[path]).await;
        assert_eq!((sent.already, received.already), (1, 1), "overwrite {overwrite}");
        assert!(scene.there("file").unwrap() == content);
        assert_eq!(scene.names(), ["file"]);
    }
}

#[tokio::test]
async fn two_files_of_one_name_in_one_transfer() {
    let scene = Scene::new();
    let paths = [scene.file("a/x", b"one"), scene.file("b/x", b"two"), scene.file("c/x", b"one")];
    let (sent, _) = scene.send(&paths).await;
    assert_eq!((sent.stored, sent.refused + sent.already), (1, 2), "{sent:?}");
}

#[tokio::test]
async fn a_missing_file_is_said_and_the_rest_goes_on() {
    let scene = Scene::new();
    let paths = [scene.from.path().join("missing"), scene.file("there", b"x")];
    let (sent, received) = scene.send(&paths).await;
    assert_eq!(sent, Summary { failed: 1, ..stored(1) });
    assert_eq!(received, stored(1));
    assert!(scene.sent.1.lock().unwrap()[0].contains("missing"));
}

/// Changes a file when its first bytes were sent.
struct Meddler<F: Fn() + Send + Sync>(Log, F);

impl<F: Fn() + Send + Sync> Observer for Meddler<F> {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Moved(_)) {
            (self.1)();
        }
        self.0.event(event);
    }
}

async fn meddle(change: impl Fn(&Path) + Send + Sync) -> (Outcome, Scene) {
    let scene = Scene::new();
    let path = scene.file("file", &noise(8_000_000, 4));
    let after = scene.file("next", b"x");
    let meddler = Meddler(Log::default(), || change(&path));
    let (left, right) = tokio::io::duplex(32 << 10);
    let (left_read, left_write) = tokio::io::split(left);
    let (right_read, right_write) = tokio::io::split(right);
    let inputs = vec![Input::Path(path.clone()), Input::Path(after)];
    let (sent, received) = tokio::join!(
        send(left_read, left_write, inputs, &meddler),
        receive(right_read, right_write, scene.receiving())
    );
    assert_eq!(sent.unwrap(), Summary { failed: 1, ..stored(1) });
    assert_eq!(received.unwrap(), Summary { failed: 1, ..stored(1) });
    assert_eq!(scene.names(), ["next"], "nothing is left of the file that failed");
    (meddler.0.outcome("file"), scene)
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_fails_and_the_rest_goes_on() {
    let shrink = |path: &Path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5_000).unwrap()
    };
    let (outcome, scene) = meddle(shrink).await;
    assert!(matches!(outcome, Outcome::Failed(why) if why.contains("shrank")));
    assert!(
        matches!(scene.received.outcome("file"), Outcome::Failed(why) if why.contains("shrank"))
    );
}

#[tokio::test]
async fn a_file_that_grows_or_changes_while_it_is_sent_fails_and_the_rest_goes_on() {
    let grow = |path: &Path| {
        fs::OpenOptions::new()
            .append(true)
            .open(path)
            .unwrap()
            .write_all(&noise(200_000, 5))
            .unwrap();
    };
    assert!(matches!(meddle(grow).await.0, Outcome::Failed(why) if why.contains("grew")));
    let touch = |path: &Path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().write_all(b"changed").unwrap();
    };
    assert!(matches!(meddle(touch).await.0, Outcome::Failed(why) if why.contains("changed")));
}

/// A sender that says whatever it likes.
struct Hostile {
    writer: FrameWriter<tokio::io::WriteHalf<DuplexStream>>,
    reader: FrameReader<tokio::io::ReadHalf<DuplexStream>>,
}

impl Hostile {
    async fn say(&mut self, message: Message<'_>) {
        self.writer.control(&message).await.unwrap();
    }

    async fn file(&mut self, path: &[u8], content: &[u8]) {
        let size = Some(content.len() as u64);
        self.say(Message::File { path, size, attributes: Attributes::default() }).await;
        self.writer.content(content).await.unwrap();
        self.say(Message::End(*blake3::hash(content).as_bytes())).await;
    }

    /// The reasons for which the receiver refused, until it says that all is finished.
    async fn done(mut self) -> Vec<(u64, String)> {
        self.say(Message::Done).await;
        self.writer.flush().await.unwrap();
        let mut refused = Vec::new();
        loop {
            let Frame::Control(body) = self.reader.next().await.unwrap() else { panic!("content") };
            match parse(body).unwrap() {
                Answer::Verdict(item, Verdict::Refused(why)) => {
                    refused.push((item, why.to_owned()))
                }
                Answer::Finished => break,
                _ => {}
            }
        }
        refused.sort();
        refused
    }
}

fn hostile(how: Receiving) -> (Hostile, impl Future<Output = Result<Summary, TransferError>>) {
    let (left, right) = tokio::io::duplex(1 << 20);
    let (left_read, left_write) = tokio::io::split(left);
    let (right_read, right_write) = tokio::io::split(right);
    let sender =
        Hostile { writer: FrameWriter::new(left_write), reader: FrameReader::new(left_read) };
    (sender, receive(right_read, right_write, how))
}

#[cfg(unix)]
#[tokio::test]
async fn names_that_escape_are_refused_one_by_one_and_nothing_lands_outside() {
    let scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), scene.out.path().join("planted")).unwrap();
    let target = outside.path().join("victim");
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, scene.out.path().join("alias")).unwrap();
    let absolute = outside.path().join("absolute");
    let long = vec![b'x'; 256];
    let bad: [&[u8]; 10] = [
        b"../escape",
        b"a/../../escape",
        absolute.as_os_str().as_encoded_bytes(),
        b"planted/escape",
        b"alias",
        b"nul\0",
        &long,
        b"not-utf8-\xff",
        b"",
        b"missing-folder/x",
    ];
    let how = Receiving { overwrite: true, ..scene.receiving() };
    let (mut sender, receiving) = hostile(how);
    let drive = async {
        for path in bad {
            sender.file(path, b"evil").await;
        }
        sender.say(Message::Folder { path: b"planted" }).await;
        sender.say(Message::Folder { path: b".." }).await;
        sender.say(Message::FolderEnd(Attributes::default())).await;
        sender.say(Message::FolderEnd(Attributes::default())).await;
        sender.file(b"good", b"good").await;
        sender.done().await
    };
    let (refused, summary) = tokio::join!(drive, receiving);
    assert_eq!(summary.unwrap(), Summary { refused: 12, ..stored(1) });
    let items: Vec<u64> = refused.iter().map(|(item, _)| *item).collect();
    assert_eq!(items, (0..12).collect::<Vec<_>>(), "{refused:?}");
    assert!(refused[3].1.contains("symbolic link") && refused[5].1.contains("NUL"), "{refused:?}");
    let mut names = scene.names();
    names.sort();
    assert_eq!(names, ["alias", "good", "planted"]);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(target).unwrap(), b"old");
    assert!(!scene.out.path().parent().unwrap().join("escape").exists());
}

#[tokio::test]
async fn a_wrong_hash_a_wrong_length_and_a_lie_are_noticed() {
    let scene = Scene::new();
    let (mut sender, receiving) = hostile(scene.receiving());
    let attributes = Attributes::default();
    let drive = async {
        sender.say(Message::File { path: b"corrupt", size: Some(4), attributes }).await;
        sender.writer.content(b"evil").await.unwrap();
        sender.say(Message::End([7; 32])).await;
        sender.say(Message::File { path: b"short", size: Some(9), attributes }).await;
        sender.writer.content(b"evil").await.unwrap();
        sender.say(Message::End(*blake3::hash(b"evil").as_bytes())).await;
        sender.say(Message::File { path: b"long", size: Some(2), attributes }).await;
        sender.writer.content(b"evil").await.unwrap();
        sender.say(Message::End(*blake3::hash(b"evil").as_bytes())).await;
        sender.done().await
    };
    let (_, summary) = tokio::join!(drive, receiving);
    assert_eq!(summary.unwrap(), Summary { corrupt: 1, failed: 2, ..stored(0) });
    assert_eq!(scene.received.outcome("corrupt"), Outcome::Corrupt);
    assert!(scene.names().is_empty(), "{:?}", scene.names());
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_transfer() {
    let scene = Scene::new();
    let (mut sender, receiving) = hostile(scene.receiving());
    let drive = async {
        sender.say(Message::FolderEnd(Attributes::default())).await;
        sender.writer.flush().await.unwrap();
    };
    let ((), ended) = tokio::join!(drive, receiving);
    assert!(matches!(ended, Err(TransferError::Protocol(_))), "{ended:?}");
}

#[tokio::test]
async fn when_the_sender_goes_away_the_part_stays_under_a_temporary_name() {
    let scene = Scene::new();
    let (mut sender, receiving) = hostile(scene.receiving());
    let attributes = Attributes::default();
    let drive = async {
        sender.file(b"whole", b"whole").await;
        sender.say(Message::File { path: b"part", size: Some(100), attributes }).await;
        sender.writer.content(b"half").await.unwrap();
        sender.writer.flush().await.unwrap();
        drop(sender);
    };
    let ((), ended) = tokio::join!(drive, receiving);
    assert!(matches!(ended, Err(TransferError::Lost(_))), "{ended:?}");
    let Outcome::Stopped { kept: Some(kept) } = scene.received.outcome("part") else { panic!() };
    assert!(kept.starts_with(".part.ropewalk-part-"), "{kept}");
    assert_eq!(scene.there(&kept).unwrap(), b"half");
    assert_eq!(scene.received.outcome("whole"), Outcome::Stored);
    assert!(scene.there("part").is_none());
}

#[tokio::test]
async fn when_the_receiver_goes_away_the_sender_says_so_of_each_file() {
    let scene = Scene::new();
    let path = scene.file("file", &noise(5_000_000, 6));
    let (left, right) = tokio::io::duplex(32 << 10);
    let (left_read, left_write) = tokio::io::split(left);
    let go_away = async {
        let mut frames = FrameReader::new(right);
        for _ in 0..5 {
            frames.next().await.unwrap();
        }
    };
    let (sent, ()) =
        tokio::join!(send(left_read, left_write, vec![Input::Path(path)], &*scene.sent), go_away);
    assert!(matches!(sent, Err(TransferError::Lost(_))), "{sent:?}");
    assert_eq!(scene.sent.outcome("file"), Outcome::Stopped { kept: None });
}

/// Into standard output, or whatever stands for it.
fn pipe(out: impl Write + Send + 'static, scene: &Scene) -> Receiving {
    let pipe: Box<dyn Write + Send> = Box::new(out);
    Receiving { target: Arc::new(Target::Pipe(Mutex::new(Some(pipe)))), ..scene.receiving() }
}

#[tokio::test]
async fn a_pipe_takes_one_file_and_no_folder() {
    let scene = Scene::new();
    let kept = tempfile::NamedTempFile::new().unwrap();
    let out = pipe(kept.reopen().unwrap(), &scene);
    let content = noise(500_000, 8);
    let inputs =
        [scene.file("one", &content), scene.file("two", b"x"), scene.file("top/three", b"x")];
    let inputs =
        inputs[..2].iter().cloned().chain([scene.from.path().join("top")]).map(Input::Path);
    let (sent, _) = scene.run(inputs.collect(), out).await;
    assert_eq!(sent.unwrap(), Summary { refused: 3, ..stored(1) });
    assert!(fs::read(kept.path()).unwrap() == content);
}

/// Each file has a thread of its own; now and then the second took the pipe before the first.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_first_file_that_goes_into_the_pipe() {
    let scene = Scene::new();
    let inputs = [scene.file("one", b"one"), scene.file("two", b"two")];
    for _ in 0..200 {
        let kept = tempfile::NamedTempFile::new().unwrap();
        let out = pipe(kept.reopen().unwrap(), &scene);
        let (sent, _) = scene.run(inputs.iter().cloned().map(Input::Path).collect(), out).await;
        assert_eq!(sent.unwrap(), Summary { refused: 1, ..stored(1) });
        assert_eq!(fs::read(kept.path()).unwrap(), b"one");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_and_a_missing_permission_are_refusals_by_name() {
    let scene = Scene::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let path = scene.file("file", &noise(3_000_000, 9));
    let next = scene.file("next", b"x");
    let inputs = vec![Input::Path(path), Input::Path(next)];
    let (sent, received) = scene.run(inputs, pipe(full, &scene)).await;
    assert_eq!((sent.unwrap().refused, received.unwrap().refused), (2, 2));
    assert!(
        matches!(scene.sent.outcome("file"), Outcome::Refused(why) if why.contains("disk is full"))
    );

    // Not even root may make files here.
    let locked = Target::Folder(Root::open(Path::new("/sys/kernel")).unwrap());
    let scene = Scene::new();
    let how = Receiving { target: Arc::new(locked), ..scene.receiving() };
    let (sent, _) = scene.run(vec![Input::Path(scene.file("file", b"x"))], how).await;
    assert_eq!(sent.unwrap().refused, 1);
    let Outcome::Refused(why) = scene.sent.outcome("file") else { panic!() };
    assert!(why.contains("permission") || why.contains("read-only"), "{why}");
}

#[tokio::test]
async fn what_a_peer_says_cannot_steer_a_terminal() {
    assert_eq!(super::shown("a\x1b[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
    assert_eq!(super::shown("ü 文件"), "ü 文件");
}
