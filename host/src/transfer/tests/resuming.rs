//! A transfer that was cut off, once more: what is there is not sent again, if it is the same.

use super::*;
use core::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of content frames that cross the pipe between the ends, and cuts it after so many.
struct Wire {
    crossed: Arc<AtomicU64>,
    cut_after: u64,
}

impl Wire {
    fn new(cut_after: u64) -> Self {
        Self { crossed: Arc::default(), cut_after }
    }

    /// Sends `path` to `scene` over this wire.
    async fn send(
        &self,
        scene: &Scene,
        path: &Path,
    ) -> (Result<Summary, TransferError>, Result<Summary, TransferError>) {
        let (left, middle_left) = tokio::io::duplex(32 << 10);
        let (middle_right, right) = tokio::io::duplex(32 << 10);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        let (mut from_left, mut to_left) = tokio::io::split(middle_left);
        let (mut from_right, mut to_right) = tokio::io::split(middle_right);
        let (crossed, cut_after) = (self.crossed.clone(), self.cut_after);
        let there = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut room = vec![0; 16 << 10];
            loop {
                match from_left.read(&mut room).await {
                    Ok(read @ 1..) if crossed.load(Ordering::Relaxed) < cut_after => {
                        crossed.fetch_add(read as u64, Ordering::Relaxed);
                        if to_right.write_all(&room[..read]).await.is_err() {
                            break;
                        }
                    }
                    _ => break,
                }
            }
            let _ = to_right.shutdown().await;
        });
        let back = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_right, &mut to_left).await;
        });
        let inputs = vec![Input::Path(path.into())];
        let ended = tokio::join!(
            send(left_read, left_write, inputs, &*scene.sent),
            receive(right_read, right_write, scene.receiving())
        );
        there.abort();
        back.abort();
        ended
    }
}

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_sent_again() {
    let scene = Scene::new();
    let content = noise(40 * MIB, 1);
    let path = scene.file("film", &content);
    let first = Wire::new(30 * MIB as u64);
    let (sent, received) = first.send(&scene, &path).await;
    assert!(sent.is_err() && received.is_err());
    assert_eq!(scene.names().len(), 1, "what came is kept");
    let again = Wire::new(u64::MAX);
    let (sent, received) = again.send(&scene, &path).await;
    assert_eq!((sent.unwrap(), received.unwrap()), (stored(1), stored(1)));
    assert!(scene.there("film").unwrap() == content);
    assert_eq!(scene.names(), ["film"]);
    let crossed = again.crossed.load(Ordering::Relaxed);
    assert!(crossed < 16 * MIB as u64, "{crossed} bytes for the last ten MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_is_something_else_is_sent_from_its_start() {
    for what in ["damaged", "another time"] {
        let scene = Scene::new();
        let content = noise(12 * MIB, 2);
        let path = scene.file("film", &content);
        let (sent, _) = Wire::new(8 * MIB as u64).send(&scene, &path).await;
        assert!(sent.is_err());
        let kept = scene.names().pop().unwrap();
        match what {
            "damaged" => {
                let mut part = scene.there(&kept).unwrap();
                part[5 * MIB] ^= 1;
                scene.plant(&kept, &part);
            }
            _ => {
                let later = std::time::SystemTime::now() + core::time::Duration::from_secs(9);
                fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            }
        }
        let (sent, received) = Wire::new(u64::MAX).send(&scene, &path).await;
        assert_eq!((sent.unwrap(), received.unwrap()), (stored(1), stored(1)), "{what}");
        assert!(scene.there("film").unwrap() == content, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_be_cut_off_again_and_again() {
    let scene = Scene::new();
    let content = noise(24 * MIB, 3);
    let path = scene.file("film", &content);
    let mut crossed = 0;
    for _ in 0..20 {
        let wire = Wire::new(5 * MIB as u64);
        let (sent, _) = wire.send(&scene, &path).await;
        crossed += wire.crossed.load(Ordering::Relaxed);
        if sent.is_ok() {
            break;
        }
    }
    assert!(scene.there("film").unwrap() == content, "{crossed} bytes have crossed");
}

#[tokio::test]
async fn zeros_cross_as_a_few_bytes_and_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    let path = scene.file("disk", &noise(MIB, 4));
    let length = 256 * MIB as u64 + 5;
    fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    let wire = Wire::new(u64::MAX);
    let (sent, received) = wire.send(&scene, &path).await;
    assert_eq!((sent.unwrap(), received.unwrap()), (stored(1), stored(1)));
    let there = fs::metadata(scene.out.path().join("disk")).unwrap();
    assert_eq!(there.len(), length);
    assert!(there.blocks() * 512 < 3 * MIB as u64, "{} blocks", there.blocks());
    assert!(wire.crossed.load(Ordering::Relaxed) < 2 * MIB as u64);
    let hash = |path: &Path| {
        blake3::Hasher::new().update_reader(fs::File::open(path).unwrap()).unwrap().finalize()
    };
    assert_eq!(hash(&scene.out.path().join("disk")), hash(&path));
}

#[tokio::test]
async fn a_sender_that_goes_on_where_nothing_is_is_refused() {
    let scene = Scene::new();
    let (mut sender, receiving) = hostile(scene.receiving());
    let attributes = Attributes::default();
    let drive = async {
        sender.say(Message::File { path: b"part", size: Some(100), attributes }).await;
        sender.say(Message::From(50)).await;
        sender.writer.flush().await.unwrap();
        drop(sender);
    };
    let ((), _) = tokio::join!(drive, receiving);
    assert!(matches!(scene.received.outcome("part"), Outcome::Refused(_)));
    assert_eq!(scene.names(), Vec::<String>::new());
}
