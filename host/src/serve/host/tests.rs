//! A host and its clients in one process, over loopback links.

use super::*;
use crate::connection::CloseReason;
use crate::endpoint::{ConnectError, EndpointConfig, FixedLink};
use crate::identity::Identity;
use crate::serve::client::tests::Scene;
use crate::serve::protocol::{Answer, Content, Request, SERVICE};
use crate::serve::seats::{Limits, Seats};
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use core::net::{Ipv4Addr, SocketAddr};

const PATIENCE: Duration = Duration::from_secs(20);
/// Who is idle for so long gives way, where that matters.
const IDLE: Duration = Duration::from_secs(1);

/// An endpoint on a loopback address of its own. `group` keeps tests apart.
async fn endpoint(group: u8, side: u8) -> Endpoint {
    let address = SocketAddr::new(Ipv4Addr::new(127, 77, group, side).into(), 0);
    let link = FixedLink { name: "link".into(), address };
    let config = EndpointConfig {
        services: &[SERVICE],
        fixed_links: Some(vec![link]),
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        ..EndpointConfig::new(Identity::ephemeral())
    };
    Endpoint::bind(config).await.unwrap()
}

struct Stage {
    host: Host,
    events: mpsc::Receiver<Told>,
    group: u8,
    _scene: Scene,
}

impl Stage {
    /// A host with `seats` for clients, that offers a file.
    async fn new(group: u8, seats: usize) -> Self {
        Self::with_limits(
            group,
            Limits { all: seats, each: 2, idle: 100 * PATIENCE, idle_of_key: 100 * PATIENCE },
        )
        .await
    }

    async fn with_limits(group: u8, limits: Limits) -> Self {
        let scene = Scene::new();
        scene.file("a", b"content");
        let server = Server::new(scene.shelf(&["a"]), None);
        let server = Server { seats: Arc::new(Seats::new(limits)), ..server };
        let endpoint = endpoint(group, 1).await;
        let (key, addresses) = (endpoint.public_key(), endpoint.addresses());
        let ticket = Ticket { key, id: [0; 8], secret: [0; 32], addresses, root: None };
        let (tell, events) = mpsc::channel(16);
        let host = Host::start(7, endpoint, ticket, server, tell);
        Self { host, events, group, _scene: scene }
    }

    async fn client(&self, side: u8) -> (Endpoint, Connection) {
        let (endpoint, connection) = self.visitor(side).await;
        (endpoint, connection.unwrap())
    }

    /// A client, or how it was sent away.
    async fn visitor(&self, side: u8) -> (Endpoint, Result<Connection, CloseReason>) {
        let endpoint = endpoint(self.group, side).await;
        let Ticket { key, addresses, .. } = self.host.ticket();
        let connected = endpoint.connect(*key, None, addresses).await;
        let connected = connected.map_err(|ConnectError::Closed(reason)| reason);
        (endpoint, connected)
    }

    async fn event(&mut self) -> Event {
        let told = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        let told = told.expect("something happens").expect("somebody tells");
        assert_eq!(told.server, 7);
        told.event
    }
}

/// Asks for the only piece, and waits for the end of the answer.
async fn fetch(connection: &Connection) -> Vec<u8> {
    let (send, recv) = connection.open(SERVICE).await.unwrap();
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let of = Content::Item(*blake3::hash(b"content").as_bytes());
    writer.control(&Request::Piece { number: 0, of, piece: 0, from: 0 }).await.unwrap();
    writer.flush().await.unwrap();
    let Frame::Control(body) = reader.next().await.unwrap() else { panic!("content first") };
    assert_eq!(parse::<Answer<'_>>(body).unwrap(), Answer::Bytes { number: 0, length: 7 });
    match reader.next().await.unwrap() {
        Frame::Content(bytes) => bytes,
        Frame::Control(_) => panic!("no content"),
    }
}

async fn closed(connection: &Connection) -> CloseReason {
    tokio::time::timeout(PATIENCE, connection.closed()).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_goes_and_breaks_the_rules_is_told_and_counted() {
    let mut stage = Stage::new(1, 10).await;
    let (one, connection) = stage.client(2).await;
    let peer = one.public_key();
    assert!(matches!(stage.event().await, Event::Came { client: 1, peer: came } if came == peer));
    assert_eq!(fetch(&connection).await, b"content");
    let HostStatus { server, closed: is_closed, status, addresses, .. } = stage.host.status();
    assert_eq!((server, is_closed, addresses.len()), (7, false, 1));
    assert_eq!((status.bytes, status.clients.len(), status.clients[0].bytes), (7, 1, 7));
    assert!(status.links[0].bytes > 7 && status.links[0].link == "link", "{status:?}");
    assert!(status.rate <= 28, "a quarter of a second is the least that counts: {}", status.rate);
    connection.close(0, "");
    match stage.event().await {
        Event::Went(client) => assert_eq!((client.number, client.bytes), (1, 7)),
        other => panic!("{other:?}"),
    }
    let status = stage.host.status().status;
    assert_eq!((status.bytes, status.clients.len()), (7, 0), "what is gone counts");
    assert!(status.links[0].bytes > 7, "and so do its links");

    let (_two, connection) = stage.client(3).await;
    assert!(matches!(stage.event().await, Event::Came { client: 2, .. }));
    let (send, _recv) = connection.open(SERVICE).await.unwrap();
    let mut writer = FrameWriter::new(send);
    writer.content(b"here").await.unwrap();
    writer.flush().await.unwrap();
    let said = "a client sends no content";
    match closed(&connection).await {
        CloseReason::Peer { code: BROKEN, reason } => assert!(reason.contains(said), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(stage.event().await, Event::Broke { error, .. } if error.to_string().contains(said))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_is_turned_away_until_a_seat_is_free() {
    let mut stage = Stage::new(2, 1).await;
    let (_one, first) = stage.client(2).await;
    assert!(matches!(stage.event().await, Event::Came { .. }));
    let (two, second) = stage.visitor(3).await;
    // The word may be there before the connection is.
    let reason = match &second {
        Ok(second) => closed(second).await,
        Err(reason) => reason.clone(),
    };
    assert!(matches!(reason, CloseReason::Peer { code: BUSY, .. }), "{reason:?}");
    assert!(matches!(stage.event().await, Event::Busy { peer, .. } if peer == two.public_key()));
    first.close(0, "");
    assert!(matches!(stage.event().await, Event::Went(_)));
    let (_three, third) = stage.client(4).await;
    assert!(matches!(stage.event().await, Event::Came { .. }));
    assert_eq!(fetch(&third).await, b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_closes_tells_everybody_and_its_sockets_go() {
    let mut stage = Stage::new(3, 10).await;
    let (_one, idle) = stage.client(2).await;
    assert!(matches!(stage.event().await, Event::Came { .. }));
    stage.host.server().pause();
    assert!(matches!(stage.event().await, Event::Phase(Phase::Paused)));
    stage.host.server().close();
    stage.host.server().resume();
    assert!(matches!(closed(&idle).await, CloseReason::Peer { code: CLOSING, .. }));
    // The client may be gone before it is told that the server closes.
    let both = [stage.event().await, stage.event().await];
    assert!(both.iter().any(|event| matches!(event, Event::Phase(Phase::Closing))), "{both:?}");
    assert!(both.iter().any(|event| matches!(event, Event::Went(_))), "{both:?}");
    assert!(matches!(stage.event().await, Event::Ended));
    let status = stage.host.status();
    assert!(status.closed && status.addresses.is_empty());
    assert_eq!(status.status.phase, Phase::Closing, "nothing resumes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_side_by_side_share_the_limits_and_nothing_else() {
    let scene = Scene::new();
    scene.file("a", b"content");
    let one = Server::new(scene.shelf(&["a"]), core::num::NonZeroU64::new(1_000));
    let two = one.beside();
    assert!(one.throttle.try_turn(500) && !two.throttle.try_turn(1));
    assert!(Arc::ptr_eq(&one.seats, &two.seats));
    one.close();
    assert_eq!(two.phase(), Phase::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_closes_at_once_is_heard() {
    for (group, early) in [(4, true), (5, false)] {
        let mut stage = Stage::new(group, 10).await;
        let events = core::mem::replace(&mut stage.events, mpsc::channel(1).1);
        let Stage { host, .. } = stage;
        if early {
            drop(host);
        } else {
            host.server().close();
        }
        let last = async {
            let mut events = events;
            let mut last = None;
            while let Some(told) = events.recv().await {
                last = Some(told.event);
            }
            last
        };
        let last = tokio::time::timeout(PATIENCE, last).await.expect("it ends");
        assert!(matches!(last, Some(Event::Ended)), "{last:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_closed_before_it_started_ends() {
    let scene = Scene::new();
    scene.file("a", b"content");
    let server = Server::new(scene.shelf(&["a"]), None);
    server.close();
    let endpoint = endpoint(6, 1).await;
    let (key, addresses) = (endpoint.public_key(), endpoint.addresses());
    let ticket = Ticket { key, id: [0; 8], secret: [0; 32], addresses, root: None };
    let (tell, mut events) = mpsc::channel(16);
    let _host = Host::start(1, endpoint, ticket, server, tell);
    let told = tokio::time::timeout(PATIENCE, events.recv()).await.expect("it ends");
    assert!(matches!(told, Some(Told { event: Event::Ended, .. })), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_gives_way_when_all_seats_are_taken() {
    let mut stage =
        Stage::with_limits(7, Limits { all: 1, each: 2, idle: IDLE, idle_of_key: IDLE }).await;
    let (_one, idle) = stage.client(2).await;
    assert!(matches!(stage.event().await, Event::Came { .. }));
    tokio::time::sleep(IDLE + Duration::from_millis(100)).await;
    let (_two, second) = stage.client(3).await;
    assert!(matches!(closed(&idle).await, CloseReason::Peer { code: BUSY, .. }));
    assert_eq!(fetch(&second).await, b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_whoever_is_told_and_what_was_missed_is_counted() {
    let mut stage = Stage::new(8, 100).await;
    // Each comes and goes, which is more than there is room for.
    for side in 2..12 {
        let (_endpoint, connection) = stage.client(side).await;
        assert_eq!(fetch(&connection).await, b"content");
        connection.close(0, "");
    }
    let gone = async || {
        while !stage.host.status().status.clients.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone()).await.expect("they go");
    let mut told = 0;
    while stage.events.try_recv().is_ok() {
        told += 1;
    }
    assert_eq!(told, 16, "as many as there is room for");
    stage.host.server().pause();
    let (mut missed, mut pauses) = (0, false);
    // The last one to go may be told of late.
    while told + missed < 20 || !pauses {
        match stage.event().await {
            Event::Missed(events) => missed += events,
            Event::Phase(Phase::Paused) => pauses = true,
            _ => told += 1,
        }
    }
    assert_eq!(told + missed, 20);
    assert!(missed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_looked_at_where_nobody_asks_for_the_status() {
    let mut stage = Stage::new(9, 1).await;
    let (_one, connection) = stage.client(2).await;
    assert!(matches!(stage.event().await, Event::Came { .. }));
    assert_eq!(fetch(&connection).await, b"content");
    let seen = async || {
        let clients = || stage.host.server().clients();
        while !clients().here.values().any(|here| !here.ledger.links().is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen()).await.expect("it is looked at");
}
