//! Whole fetches from servers on loopback that die, lie, refuse and are silent.

mod stage;
mod trouble;

use super::*;
use crate::content::piece::{PIECE_BYTES, Pieces};
use crate::get::mirror::Mirror;
use crate::get::mirror::tests::Scene as Web;
use crate::get::mirror::tests::server::{Answer as Said, Server};
use crate::get::order::Added;
use crate::get::source::Source;
use crate::serve::client::tests::{Scene, noise};
use crate::serve::protocol::{Reason, Request};
use crate::serve::shelf::Shelf;
use crate::transfer::protocol::Attributes;
use core::num::NonZeroU64;
use core::sync::atomic::Ordering;
use stage::{Deed, Peer, end, endpoint, order};
use std::time::Instant;

/// A film, and the shelf it is on.
fn film(bytes: u64) -> (Scene, Arc<Shelf>, Vec<u8>) {
    let (scene, content) = (Scene::new(), noise(bytes));
    scene.file("film", &content);
    let shelf = scene.shelf(&["film"]);
    (scene, shelf, content)
}

/// The same item, but for its length.
fn stretched(shelf: &Shelf, length: u64) -> Item {
    let item = &shelf.catalog().items()[0];
    Item::new(item.name(), item.kind(), Pieces::of(length).unwrap(), item.root()).unwrap()
}

/// Of pieces something else.
fn of_pieces(deed: Deed) -> impl Fn(&Request) -> Deed + Send + Sync + 'static {
    move |request| match request {
        Request::Piece { .. } => deed,
        _ => Deed::Right,
    }
}

fn mirror(mirror: Mirror) -> Source {
    Source { name: mirror.name().into(), way: Way::Mirror(Arc::new(mirror)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_is_gone_stops_it_and_a_limit_on_the_rate_keeps_nobody_waiting() {
    let (_scene, shelf, _) = film(9 * PIECE_BYTES);
    let peer = Peer::honest(&shelf).await;
    for is_told in [true, false] {
        let (_out, mut slow) = order(vec![peer.source("peer")]);
        // A chunk of 128 KiB takes two minutes.
        slow.rate_max = NonZeroU64::new(1 << 10);
        let mut running = start(endpoint().await, slow);
        while running.status.borrow().fetched < 50_000 {
            running.status.changed().await.unwrap();
        }
        let stopped = Instant::now();
        if is_told {
            running.control.send(Control::Stop).unwrap();
        } else {
            running.control = mpsc::unbounded_channel().0;
        }
        let ended = end(running, 20).await;
        assert!(matches!(ended.how, Err(GetError::Stopped)), "{:?}", ended.how);
        assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_the_disk_takes_is_not_time_in_which_nothing_came() {
    let (_scene, shelf, _) = film(PIECE_BYTES);
    let peer = Peer::honest(&shelf).await;
    let (_out, mut order) = order(vec![peer.source("peer")]);
    order.give_up_after = Some(Duration::from_millis(700));
    let (tell, _happened) = mpsc::unbounded_channel();
    let (show, _status) = watch::channel(Status::default());
    let (_control, controls) = mpsc::unbounded_channel();
    let mut fetch = Fetch::new(endpoint().await, order, tell, show, controls);
    while fetch.first_list.is_none() {
        // As if it were reading what an earlier one left.
        std::thread::sleep(Duration::from_millis(400));
        let turned = fetch.turn(Duration::ZERO).await;
        assert!(turned.is_ok());
    }
    // And when nothing comes it gives up all the same.
    let began = Instant::now();
    while fetch.turn(Duration::MAX).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(9));
    }
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_is_read_in_no_time() {
    let (_scene, shelf, _) = film(1);
    let kind = ItemKind::File(Attributes::default());
    let item = |nth: u32| {
        let root = blake3::hash(&nth.to_le_bytes());
        Item::new(&format!("item {nth}"), kind, Pieces::of(9).unwrap(), root).unwrap()
    };
    let peer = Peer::new(&shelf, (0..10_000).map(item).collect(), |_| Deed::Right).await;
    let (_out, mut order) = order(vec![peer.source("peer")]);
    order.list = true;
    let began = Instant::now();
    let ended = end(start(endpoint().await, order), 60).await;
    assert!(ended.how.is_ok());
    let offered = ended.happened.iter().find_map(|it| match it {
        Happened::Offered(offers) => Some(offers.len()),
        _ => None,
    });
    assert_eq!(offered, Some(10_000));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_about_the_length_that_is_silent_then_does_not_shut_out_the_honest() {
    let (_scene, shelf, content) = film(3 * PIECE_BYTES);
    let root = shelf.catalog().items()[0].root();
    for length in [1, 4 * PIECE_BYTES] {
        let lie = vec![stretched(&shelf, length)];
        let liar = Peer::new(&shelf, lie, |request| match request {
            Request::List => Deed::Right,
            _ => Deed::Silence,
        });
        let honest = Peer::new(&shelf, shelf.catalog().items().to_vec(), |request| match request {
            Request::List => Deed::Late(Duration::from_millis(700)),
            _ => Deed::Right,
        });
        let (liar, honest) = (liar.await, honest.await);
        let (out, mut order) = order(vec![liar.source("liar"), honest.source("honest")]);
        order.wish.root = Some(root);
        let ended = end(start(endpoint().await, order), 20).await;
        assert_eq!(ended.how.unwrap().stored, 1, "{:?}", ended.happened);
        assert!(std::fs::read(out.path().join("film")).unwrap() == content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_with_a_ticket_for_something_else_is_not_added() {
    let (_scene, shelf, _) = film(PIECE_BYTES);
    let peer = Peer::honest(&shelf).await;
    let (_out, mut slow) = order(vec![peer.source("peer")]);
    slow.rate_max = NonZeroU64::new(1 << 10);
    let mut running = start(endpoint().await, slow);
    while running.status.borrow().item.is_none() {
        running.status.changed().await.unwrap();
    }
    let item = &shelf.catalog().items()[0];
    let other = blake3::hash(b"other");
    for (root, expected) in [(other, Added::OtherRoot(other)), (item.root(), Added::Known)] {
        let mut source = peer.source("peer");
        let Way::Peer(address) = &mut source.way else { panic!() };
        address.root = Some(root);
        let (answer, answered) = tokio::sync::oneshot::channel();
        running.control.send(Control::Add(source, answer)).unwrap();
        assert_eq!(answered.await, Ok(expected));
    }
}
