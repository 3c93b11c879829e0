//! Sources that are named twice, that come while others never stop talking, and what waits to be taken of them.

use super::*;
use crate::endpoint::{EndpointConfig, FixedLink};
use crate::get::mirror::tests::Scene;
use crate::identity::Identity;
use crate::peer::PeerAddress;
use ropewalk_core::id::PublicKey;

async fn contacts() -> Contacts {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let link = FixedLink { name: "link".into(), address };
    let config = EndpointConfig {
        fixed_links: Some(vec![link]),
        ..EndpointConfig::new(Identity::ephemeral())
    };
    Contacts::new(Arc::new(Endpoint::bind(config).await.unwrap()), Clock::new())
}

fn peer(ticket: u8) -> Source {
    let key = PublicKey([9; 32]);
    let ticket = Some(([ticket; 8], [ticket; 32]));
    let way = Way::Peer(PeerAddress { key, places: vec![], ticket, root: None });
    Source { name: "peer".into(), way }
}

fn mirror(scene: &Scene, url: &str) -> Source {
    Source { name: url.into(), way: Way::Mirror(scene.mirror(url)) }
}

const ID: SourceId = SourceId(0);

fn ticket(contacts: &Contacts) -> Option<u8> {
    match &contacts.get(ID)?.source.way {
        Way::Peer(peer) => peer.ticket.map(|(id, _)| id[0]),
        Way::Mirror(_) => None,
    }
}

#[tokio::test]
async fn a_new_ticket_brings_back_what_was_gone_or_waits_and_not_what_lied() {
    let mut contacts = contacts().await;
    assert_eq!(contacts.add(peer(1)), Added::New);
    let contact = &mut contacts.all[0];
    let gone = Unreached { why: "the ticket's secret is wrong".into(), for_good: true };
    contact.go_down(gone, Duration::from_secs(1), 0);
    assert_eq!(contacts.add(peer(2)), Added::Again);
    assert_eq!(ticket(&contacts), Some(2));
    assert!(contacts.all[0].is_due(contacts.now()));

    // After a while it is tried once a minute, and at once with a new ticket.
    let (contact, later) = (&mut contacts.all[0], Duration::from_secs(600));
    contact.retry.begin(Duration::ZERO);
    contact.standing = Standing::Dialling;
    contact.go_down(Unreached { why: "nobody answers".into(), for_good: false }, later, 0);
    assert!(!contacts.all[0].is_due(contacts.now()));
    assert_eq!(contacts.add(peer(3)), Added::Again);
    assert!(contacts.all[0].is_due(contacts.now()));

    // While it is dialled with the old one, whatever comes of that.
    contacts.all[0].standing = Standing::Dialling;
    assert_eq!(contacts.add(peer(4)), Added::Again);
    let gone = Unreached { why: "the ticket's secret is wrong".into(), for_good: true };
    assert!(matches!(contacts.on_reached(ID, Err(gone)), Tiding::Down(ID)));
    assert!(contacts.all[0].is_due(contacts.now()));

    contacts.all[0].standing = Standing::Up;
    assert_eq!(contacts.add(peer(5)), Added::Known);

    contacts.drop_for_good(ID, "it lied");
    assert_eq!(contacts.add(peer(6)), Added::Barred);
    assert_eq!(contacts.all[0].standing, Standing::Gone);
}

#[tokio::test]
async fn mirrors_that_differ_in_what_is_not_shown_are_two() {
    let (mut contacts, scene) = (contacts().await, Scene::new());
    let urls = ["http://h/a?id=1", "http://h/a?id=2", "http://me:word@h/a", "http://h/a"];
    for url in urls {
        assert_eq!(contacts.add(mirror(&scene, url)), Added::New, "{url}");
    }
    assert_eq!(contacts.add(mirror(&scene, "http://h/a?id=1")), Added::Again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_taken_however_much_others_say() {
    let (mut contacts, scene) = (contacts().await, Scene::new());
    contacts.add(mirror(&scene, "http://127.0.0.1:9/film"));
    let stranger = Visit { source: SourceId(7), number: 1 };
    for _ in 0..1_000 {
        while contacts.told.try_send((stranger, Event::Resumed)).is_ok() {}
        let until = contacts.now() + Duration::from_secs(1);
        if let Tiding::Up(ID, _) = contacts.next(until, None).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it is never taken");
}

#[tokio::test]
async fn what_is_held_back_waits_and_time_passes() {
    let mut contacts = contacts().await;
    let stranger = Visit { source: SourceId(7), number: 1 };
    contacts.told.try_send((stranger, Event::Resumed)).unwrap();
    let hold = Instant::now() + Duration::from_millis(50);
    let until = contacts.now() + Duration::from_secs(9);
    assert!(matches!(contacts.next(until, Some(hold)).await, Tiding::Quiet));
    assert!(Instant::now() >= hold);
    assert_eq!(contacts.events.len(), 1);
}
