//! Sources that are of no use: they are not tried too often, and nobody waits for them when no other is left.

use super::*;
use crate::transfer::Outcome;

/// The one file's bad end, which is waited for.
fn failed(ended: stage::Ended) -> String {
    assert_eq!(ended.how.as_ref().unwrap().failed, 1, "{:?}", ended.happened);
    let why = ended.happened.into_iter().find_map(|it| match it {
        Happened::Ended(report) => match report.outcome {
            Outcome::Failed(why) => Some(why),
            _ => None,
        },
        _ => None,
    });
    why.unwrap()
}

fn count(happened: &[Happened], is_one: impl Fn(&Happened) -> bool) -> usize {
    happened.iter().filter(|it| is_one(it)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_always_fails_is_tried_twice_a_second_and_given_up() {
    let (web, server) = (Web::new(), Server::start().await);
    let content = noise(3 * PIECE_BYTES);
    web.write("film", &content);
    server.put("/film", content);
    server.put("/film.ropewalk", web.sidecar("film"));
    server.behave(|asked, answer| match asked.path.as_str() {
        "/film" => Said::status(500),
        _ => answer,
    });
    let source = web.mirror(&format!("{}/film", server.url));
    let source = Source { name: "mirror".into(), way: Way::Mirror(source) };
    let (_out, mut order) = order(vec![source]);
    order.give_up_after = Some(Duration::from_secs(2));
    let ended = end(start(endpoint().await, order), 20).await;
    assert!(matches!(ended.how, Err(GetError::GaveUp(_))), "{:?}", ended.how);
    // Four pieces each time.
    let asked = server.asked().iter().filter(|asked| asked.path == "/film").count();
    assert!((4..=6 * 4).contains(&asked), "it was asked {asked} times");
    assert_eq!(count(&ended.happened, |it| matches!(it, Happened::Up(_))), 1);
    assert_eq!(count(&ended.happened, |it| matches!(it, Happened::Down { .. })), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lists_and_dies_each_time_is_tried_twice_a_second_and_given_up() {
    let (_scene, shelf, _) = film(3 * PIECE_BYTES);
    let items = shelf.catalog().items().to_vec();
    let peer = Peer::new(&shelf, items, |request| match request {
        Request::List => Deed::Right,
        _ => Deed::Leave,
    });
    let peer = peer.await;
    let (_out, mut order) = order(vec![peer.source("peer")]);
    order.give_up_after = Some(Duration::from_secs(2));
    let ended = end(start(endpoint().await, order), 20).await;
    assert!(matches!(ended.how, Err(GetError::GaveUp(_))), "{:?}", ended.how);
    let visits = peer.visits.load(Ordering::Relaxed);
    assert!((2..=6).contains(&visits), "{visits} visits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_alone_are_not_waited_for_when_the_last_mirror_is_gone() {
    let (web, server) = (Web::new(), Server::start().await);
    let content = noise(3 * PIECE_BYTES);
    web.write("film", &content);
    server.put("/film", content.clone());
    // Like `python3 -m http.server`.
    server.behave(move |asked, answer| match asked.path.as_str() {
        "/film" => Said { body: content.clone(), ..Said::status(200) },
        _ => answer,
    });
    web.write("film.ropewalk", &web.sidecar("film"));
    let hashes = mirror(Mirror::hashes_alone(&web.path("film.ropewalk")).unwrap());
    let plain = web.mirror(&format!("{}/film", server.url));
    let plain = Source { name: "plain".into(), way: Way::Mirror(plain) };
    let (_out, both) = order(vec![plain, hashes.clone()]);
    let ended = end(start(endpoint().await, both), 10).await;
    assert!(matches!(ended.how, Err(GetError::NoSource)), "{:?}", ended.how);
    // Nor are they when nobody else was named.
    let (_out, alone) = order(vec![hashes]);
    let ended = end(start(endpoint().await, alone), 10).await;
    assert!(matches!(ended.how, Err(GetError::NoSource)), "{:?}", ended.how);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_who_is_left_can_give_is_given_up() {
    let (_scene, shelf, _) = film(3 * PIECE_BYTES);
    let items = shelf.catalog().items().to_vec();
    // The other one lies, or breaks the rules, when the first has refused.
    for bad in [Deed::Lie, Deed::Break] {
        let changed = of_pieces(Deed::Refuse(Reason::Changed));
        let late = Duration::from_millis(300);
        let asked = core::sync::atomic::AtomicUsize::new(0);
        let bad = move |request: &Request| match request {
            Request::Group { .. } => Deed::Late(late),
            Request::Piece { .. } if asked.fetch_add(1, Ordering::Relaxed) > 0 => bad,
            Request::Piece { .. } => Deed::Right,
            _ => Deed::Right,
        };
        let first = Peer::new(&shelf, items.clone(), changed).await;
        let second = Peer::new(&shelf, items.clone(), bad).await;
        let (_out, order) = order(vec![first.source("first"), second.source("second")]);
        let ended = end(start(endpoint().await, order), 10).await;
        let why = failed(ended);
        assert!(why.contains("no source has it"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_without_hashes_say_what_to_do_and_what_is_wrong_with_those_there_are() {
    let (web, server) = (Web::new(), Server::start().await);
    server.put("/film", noise(3 * PIECE_BYTES));
    let fetch = async || {
        let bare = web.mirror(&format!("{}/film", server.url));
        let bare = Source { name: "http://there/film".into(), way: Way::Mirror(bare) };
        let (_out, order) = order(vec![bare]);
        end(start(endpoint().await, order), 10).await
    };
    let ended = fetch().await;
    let said = ended.how.unwrap_err().to_string();
    assert!(said.contains("no hashes beside http://there/film: run `ropewalk manifest`"), "{said}");
    server.put("/film.ropewalk", b"<html>not found, but 200".to_vec());
    let ended = fetch().await;
    let said = ended.how.unwrap_err().to_string();
    assert!(said.contains("http://there/film (") && said.contains("no sidecar"), "{said}");
    assert_eq!(count(&ended.happened, |it| matches!(it, Happened::BadHashes { .. })), 1);
}
