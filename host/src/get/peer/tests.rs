//! A source and its server over a pipe in memory; and servers that break the rules.

use super::*;
use crate::content::piece::Pieces;
use crate::content::proven::{Known, ProvenTree};
use crate::serve::client::tests::{Scene, noise, serving};
use crate::serve::client::{Phase, serve};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

type Events = mpsc::Receiver<(u8, Event)>;

/// A source that asks a real server for what is on the scene.
fn source(scene: &Scene, names: &[&str]) -> (Asker, Events, watch::Sender<Phase>) {
    let (here, there) = tokio::io::duplex(64 << 10);
    let (phase, seen) = watch::channel(Phase::Serving);
    let (recv, send) = tokio::io::split(there);
    tokio::spawn(serve(recv, send, serving(scene.shelf(names), seen)));
    let (recv, send) = tokio::io::split(here);
    let (told, events) = mpsc::channel(8);
    (open(recv, send, 3, told), events, phase)
}

async fn next(events: &mut Events) -> Event {
    let (name, event) = events.recv().await.expect("the source has more to say");
    assert_eq!(name, 3);
    event
}

async fn the_item(asker: &Asker, events: &mut Events) -> Item {
    asker.list();
    let Event::Item(item) = next(events).await else { panic!() };
    let Event::ListEnd = next(events).await else { panic!() };
    item
}

/// The answers to as many requests, each put together.
async fn answers(events: &mut Events, count: usize) -> Vec<(u64, Vec<u8>)> {
    let (mut done, mut bytes) = (Vec::new(), Vec::new());
    while done.len() < count {
        match next(events).await {
            Event::Chunk { bytes: chunk, .. } => bytes.extend(chunk),
            Event::Done(number) => done.push((number, core::mem::take(&mut bytes))),
            other => panic!("{other:?}"),
        }
    }
    done
}

#[tokio::test]
async fn pieces_come_in_the_order_of_the_asking_and_prove_themselves() {
    let scene = Scene::new();
    let content = noise(3 * PIECE_BYTES + 5);
    scene.file("film", &content);
    let (asker, mut events, _phase) = source(&scene, &["film"]);
    let item = the_item(&asker, &mut events).await;
    let of = Content::Item(*item.root().as_bytes());
    let mut tree = ProvenTree::new(item.root(), item.pieces(), 8);
    let Some(Known::Missing(top)) = tree.piece(0) else { panic!() };
    let mut asked = vec![asker.group(of, top).unwrap()];
    asked.extend((0..4).map(|piece| asker.piece(of, piece, 0).unwrap()));
    asked.push(asker.piece(of, 2, 1_000).unwrap());
    assert_eq!(asker.out(), 6);
    let mut came = answers(&mut events, 6).await;
    assert_eq!(came.iter().map(|(number, _)| *number).collect::<Vec<_>>(), asked);
    assert_eq!(asker.out(), 0);
    let (_, group) = came.remove(0);
    tree.add(top, &group).unwrap();
    assert!(
        came.pop().unwrap().1
            == content[2 * PIECE_BYTES as usize + 1_000..3 * PIECE_BYTES as usize]
    );
    let whole: Vec<u8> = came.into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert!(whole == content);
}

#[tokio::test]
async fn a_source_that_pauses_or_goes_away_says_so() {
    let scene = Scene::new();
    scene.file("a", b"a");
    let (asker, mut events, phase) = source(&scene, &["a"]);
    let of = Content::Item(*the_item(&asker, &mut events).await.root().as_bytes());
    phase.send_replace(Phase::Paused);
    assert!(matches!(next(&mut events).await, Event::Paused));
    asker.piece(of, 0, 0).unwrap();
    asker.piece(of, 9, 0).unwrap();
    phase.send_replace(Phase::Serving);
    assert!(matches!(next(&mut events).await, Event::Resumed));
    assert_eq!(answers(&mut events, 1).await[0].1, b"a");
    assert!(matches!(next(&mut events).await, Event::No(1, Reason::Unknown)));
    phase.send_replace(Phase::Closing);
    assert!(matches!(next(&mut events).await, Event::Closing));
    assert!(events.recv().await.is_none(), "its last word");
}

#[tokio::test]
async fn no_more_is_asked_than_a_server_allows() {
    let scene = Scene::new();
    scene.file("a", b"a");
    let (asker, mut events, phase) = source(&scene, &["a"]);
    let of = Content::Item(*the_item(&asker, &mut events).await.root().as_bytes());
    phase.send_replace(Phase::Paused);
    assert!(matches!(next(&mut events).await, Event::Paused));
    let asked = (0..2 * REQUESTS_MAX).map_while(|_| asker.piece(of, 0, 0)).count();
    assert_eq!(asked, REQUESTS_MAX);
    phase.send_replace(Phase::Serving);
    assert!(matches!(next(&mut events).await, Event::Resumed));
    assert_eq!(answers(&mut events, asked).await.len(), asked);
}

/// What a source that was asked for a group and a piece makes of these frames.
async fn made_of(
    frames: impl AsyncFnOnce(&mut FrameWriter<tokio::io::WriteHalf<tokio::io::DuplexStream>>),
) -> Vec<Event> {
    let (here, there) = tokio::io::duplex(1 << 20);
    let (recv, send) = tokio::io::split(here);
    let (told, mut events) = mpsc::channel(8);
    let asker = open(recv, send, 3, told);
    let of = Content::Item([7; 32]);
    asker.group(of, GroupId { level: 0, index: 0 }).unwrap();
    asker.piece(of, 0, 5).unwrap();
    let (_unread, write) = tokio::io::split(there);
    let mut writer = FrameWriter::new(write);
    frames(&mut writer).await;
    let _ = writer.flush().await;
    let _ = writer.shutdown().await;
    let mut seen = Vec::new();
    while let Some((_, event)) = events.recv().await {
        seen.push(event);
    }
    seen
}

fn why(events: &[Event]) -> &'static str {
    match events.last() {
        Some(Event::Lost(TransferError::Protocol(why))) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_breaks_the_rules_is_lost_with_the_reason() {
    let item = |bytes: &'static [u8]| Answer::Item(bytes);
    let cases: [(&[Answer<'_>], &str); 8] = [
        (&[Answer::Bytes { number: 1, length: 1 }], "an answer to nothing that was asked"),
        (&[Answer::Cut(0), Answer::Cut(0)], "an answer to nothing that was asked"),
        (
            &[Answer::Bytes { number: 0, length: GROUP_BYTES_MAX as u32 + 1 }],
            "more bytes than were asked for",
        ),
        (
            &[Answer::Cut(0), Answer::Bytes { number: 1, length: PIECE_BYTES as u32 - 4 }],
            "more bytes than were asked for",
        ),
        (
            &[Answer::Bytes { number: 0, length: 9 }, Answer::Cut(1)],
            "another answer in the middle of content",
        ),
        (&[item(b"what")], "an item of the list is none"),
        (&[Answer::ListEnd], "a list that nobody asked for"),
        (&[Answer::No(7, Reason::Changed)], "an answer to nothing that was asked"),
    ];
    for (answers, expected) in cases {
        let events = made_of(async |writer| {
            for answer in answers {
                let _ = writer.control(answer).await;
            }
        });
        assert_eq!(why(&events.await), expected, "{answers:?}");
    }
    let events = made_of(async |writer| writer.content(b"here").await.unwrap()).await;
    assert_eq!(why(&events), "content that was not announced");
    let events = made_of(async |writer| {
        writer.control(&Answer::Bytes { number: 0, length: 3 }).await.unwrap();
        writer.content(b"four").await.unwrap();
    });
    assert_eq!(why(&events.await), "content that does not fit its announcement");
    let events = made_of(async |_| {}).await;
    assert!(matches!(events[..], [Event::Lost(TransferError::Lost(_))]), "{events:?}");
}

#[tokio::test]
async fn a_source_whose_askers_are_gone_is_left() {
    let scene = Scene::new();
    scene.file("a", b"a");
    let (asker, mut events, _phase) = source(&scene, &["a"]);
    let _ = the_item(&asker, &mut events).await;
    drop(asker);
    assert!(events.recv().await.is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_a_source_panic_or_hold_much(bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (here, mut there) = tokio::io::duplex(1 << 16);
            let (recv, send) = tokio::io::split(here);
            let (told, mut events) = mpsc::channel(8);
            let asker = open(recv, send, 3, told);
            asker.list();
            asker.piece(Content::Item([7; 32]), 0, 0).unwrap();
            there.write_all(&bytes).await.unwrap();
            let _ = there.shutdown().await;
            let mut held = 0;
            while let Some((_, event)) = events.recv().await {
                if let Event::Chunk { bytes, .. } = event {
                    held += bytes.len();
                }
            }
            assert!(held <= bytes.len());
            assert!(Pieces::of(held as u64).is_some());
        });
    }
}

#[tokio::test]
async fn what_was_told_counts_until_it_is_taken() {
    let out = SharedOut::default();
    let (told, mut events) = mpsc::channel(1);
    assert!(tell(&out, &told, 1_u8, Event::Resumed).await);
    assert!(lock(&out).has_untaken());
    // There is no room for this one, and then nobody tells it any more.
    let soon = core::time::Duration::from_millis(10);
    let untold = tokio::time::timeout(soon, tell(&out, &told, 1, Event::Resumed)).await;
    assert!(untold.is_err());
    assert!(events.recv().await.is_some());
    lock(&out).take(1);
    assert!(!lock(&out).has_untaken());
}
