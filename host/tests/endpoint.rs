//! Two endpoints of one process, joined by loopback links: what a program that uses the library
//! relies on.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use ropewalk::connection::{CloseReason, Connection, PathState};
use ropewalk::endpoint::{BindError, ConnectError, Endpoint, EndpointConfig, FixedLink};
use ropewalk::identity::Identity;
use ropewalk_core::id::CostClass;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Long enough for a loaded machine, short enough to say that something hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVICES: &[&str] = &["echo", "sink"];

/// `count` loopback links, each with an address of its own. `group` keeps tests apart.
fn links(group: u8, side: u8, count: u8) -> Vec<FixedLink> {
    let link = |n| FixedLink {
        name: format!("link{n}"),
        address: SocketAddr::new(Ipv4Addr::new(127, group, n + 1, side).into(), 0),
    };
    (0..count).map(link).collect()
}

fn config(links: Vec<FixedLink>) -> EndpointConfig {
    EndpointConfig {
        services: SERVICES,
        fixed_links: Some(links),
        admission: Some(Arc::new(|_, _| Some([0; 32]))),
        ..EndpointConfig::new(Identity::ephemeral())
    }
}

struct Pair {
    dialer: Connection,
    responder: Connection,
    endpoints: [Endpoint; 2],
}

async fn pair(group: u8, count: u8) -> Pair {
    let left = Endpoint::bind(config(links(group, 1, count))).await.unwrap();
    let right = Endpoint::bind(config(links(group, 2, count))).await.unwrap();
    let addresses = right.addresses();
    let both =
        async { tokio::join!(left.connect(right.public_key(), None, &addresses), right.accept()) };
    let (dialled, accepted) = timeout(PATIENCE, both).await.unwrap();
    let (dialer, responder) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!((dialer.peer(), responder.peer()), (right.public_key(), left.public_key()));
    Pair { dialer, responder, endpoints: [left, right] }
}

/// Sends back what comes on every stream.
fn echo(connection: Connection) {
    tokio::spawn(async move {
        while let Some((service, mut send, mut receive)) = connection.accept().await {
            assert_eq!(service, "echo");
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut receive, &mut send).await;
                let _ = send.finish().await;
            });
        }
    });
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_over_all_links_at_once() {
    let pair = pair(10, 3).await;
    echo(pair.responder.clone());
    let sent = noise(3_000_001);
    let (mut send, mut receive) = pair.dialer.open("echo").await.unwrap();
    let mut received = Vec::new();
    let both = async {
        let writing = async {
            send.write_all(&sent).await.unwrap();
            send.finish().await.unwrap();
        };
        tokio::join!(writing, receive.read_to_end(&mut received)).1.unwrap();
    };
    timeout(PATIENCE, both).await.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());

    let mut paths = pair.dialer.paths();
    let all_active = paths.wait_for(|paths| {
        let active = |name| {
            paths.iter().any(|path| path.link_name == name && path.state == PathState::Active)
        };
        active("link0") && active("link1") && active("link2")
    });
    timeout(PATIENCE, all_active).await.unwrap().unwrap();
    let stats = pair.dialer.stats();
    assert_eq!((stats.forged, stats.malformed), (0, 0), "{stats:?}");
    assert_eq!(pair.endpoints[0].links().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_offered_is_refused_by_name() {
    let pair = pair(11, 1).await;
    let (mut send, mut receive) = pair.dialer.open("nonsense").await.unwrap();
    let read = timeout(PATIENCE, receive.read(&mut [0; 10])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let finished = timeout(PATIENCE, send.finish()).await.unwrap();
    assert_eq!(finished.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let badly_named = pair.dialer.open("").await.map(drop).unwrap_err();
    assert_eq!(badly_named.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_may_be_open_at_once_wait_for_each_other() {
    let pair = pair(12, 2).await;
    echo(pair.responder.clone());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100_u8 {
        let connection = pair.dialer.clone();
        tasks.spawn(async move {
            let (mut send, mut receive) = connection.open("echo").await.unwrap();
            send.write_all(&[n; 1_000]).await.unwrap();
            send.finish().await.unwrap();
            let mut back = Vec::new();
            receive.read_to_end(&mut back).await.unwrap();
            assert_eq!(back, [n; 1_000]);
        });
    }
    timeout(PATIENCE, tasks.join_all()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_end_can_give_a_stream_up() {
    let pair = pair(13, 1).await;
    let (mut send, _receive) = pair.dialer.open("sink").await.unwrap();
    send.write_all(b"half").await.unwrap();
    let (_, _their_send, mut their_receive) =
        timeout(PATIENCE, pair.responder.accept()).await.unwrap().unwrap();
    their_receive.read_exact(&mut [0; 4]).await.unwrap();
    send.reset(0x123);
    let read = timeout(PATIENCE, their_receive.read(&mut [0; 4])).await.unwrap().unwrap_err();
    assert!(read.kind() == io::ErrorKind::BrokenPipe && read.to_string().contains("291"), "{read}");

    let (mut send, _receive) = pair.dialer.open("sink").await.unwrap();
    send.write_all(b"x").await.unwrap();
    let (_, _their_send, their_receive) =
        timeout(PATIENCE, pair.responder.accept()).await.unwrap().unwrap();
    drop(their_receive);
    let chunk = vec![0; 1 << 20];
    let until_stopped = async { while send.write_all(&chunk).await.is_ok() {} };
    timeout(PATIENCE, until_stopped).await.unwrap();
    assert_eq!(send.finish().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_and_say_by_which_link() {
    let pair = pair(14, 2).await;
    let sent = pair.dialer.send_datagram(b"hello");
    let (sent, received) =
        timeout(PATIENCE, async { tokio::join!(sent, pair.responder.recv_datagram()) })
            .await
            .unwrap();
    assert!(sent.unwrap().link_name.starts_with("link"));
    let (bytes, path) = received.unwrap();
    assert_eq!((bytes.as_slice(), path.link_name.starts_with("link")), (&b"hello"[..], true));
    let too_long = pair.dialer.send_datagram(&[0; 2_000]).await.unwrap_err();
    assert_eq!(too_long.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_at_once_leave_nobody_waiting() {
    let pair = pair(15, 1).await;
    for _ in 0..50 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u8 {
            let connection = pair.dialer.clone();
            tasks.spawn(async move { connection.send_datagram(&[n; 50]).await.map(drop) });
        }
        let results = timeout(PATIENCE, tasks.join_all()).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_heard_at_both_ends() {
    let pair = pair(16, 2).await;
    let (mut send, _receive) = pair.dialer.open("echo").await.unwrap();
    send.write_all(b"x").await.unwrap();
    pair.responder.close(0x777, "enough");
    let (ours, theirs) =
        timeout(PATIENCE, async { tokio::join!(pair.dialer.closed(), pair.responder.closed()) })
            .await
            .unwrap();
    assert_eq!(ours, CloseReason::Peer { code: 0x777, reason: "enough".into() });
    assert_eq!(theirs, CloseReason::Local { code: 0x777 });
    assert!(pair.responder.accept().await.is_none_or(|_| true), "it does not wait");
    let error = send.write_all(&vec![0; 32 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    assert!(pair.dialer.open("echo").await.is_err());
    assert!(pair.dialer.recv_datagram().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_nobody_holds_is_closed() {
    let Pair { dialer, responder, endpoints } = pair(17, 1).await;
    let (send, receive) = dialer.open("echo").await.unwrap();
    drop(dialer);
    let too_early = timeout(Duration::from_millis(200), responder.closed()).await;
    assert!(too_early.is_err(), "streams hold their connection");
    drop((send, receive));
    let reason = timeout(PATIENCE, responder.closed()).await.unwrap();
    assert!(matches!(reason, CloseReason::Peer { code: 0, .. }), "{reason:?}");
    drop(endpoints);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_gone_leaves_its_port() {
    let Pair { dialer, responder, endpoints: [left, right] } = pair(18, 1).await;
    let taken = right.addresses()[0];
    let again = || {
        let link = FixedLink { name: "again".into(), address: taken };
        Endpoint::bind(config(vec![link]))
    };
    assert!(matches!(again().await, Err(BindError::PortTaken(port)) if port == taken.port()));
    drop(right);
    echo(responder); // The connection outlives its endpoint.
    let (mut send, mut receive) = dialer.open("echo").await.unwrap();
    send.write_all(b"still here").await.unwrap();
    send.finish().await.unwrap();
    let mut back = String::new();
    timeout(PATIENCE, receive.read_to_string(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, "still here");
    drop((send, receive));
    dialer.close(0, "");
    timeout(PATIENCE, dialer.closed()).await.unwrap();
    let freed = async {
        while again().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
    drop(left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_endpoint_closes_its_connections_and_accepts_nobody() {
    let Pair { dialer, responder: _responder, endpoints: [_left, right] } = pair(19, 1).await;
    right.close(0x200, "going");
    let reason = timeout(PATIENCE, dialer.closed()).await.unwrap();
    assert_eq!(reason, CloseReason::Peer { code: 0x200, reason: "going".into() });
    assert!(timeout(PATIENCE, right.accept()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_may_not_come_in_hear_nothing_within_five_seconds() {
    let left = Endpoint::bind(config(links(20, 1, 1))).await.unwrap();
    let strict = EndpointConfig {
        admission: Some(Arc::new(|_, ticket| ticket.map(|_| [7; 32]))),
        ..config(links(20, 2, 1))
    };
    let right = Endpoint::bind(strict).await.unwrap();
    let deaf = Endpoint::bind(EndpointConfig { admission: None, ..config(links(20, 3, 1)) });
    let deaf = deaf.await.unwrap();
    let (key, addresses) = (right.public_key(), right.addresses());
    let (to_deaf, nowhere) = (deaf.addresses(), ["127.20.1.9:9".parse().unwrap()]);
    let since = std::time::Instant::now();
    let dialled = tokio::join!(
        left.connect(key, None, &addresses),
        left.connect(deaf.public_key(), None, &to_deaf),
        left.connect(key, None, &nowhere),
        left.connect(left.public_key(), None, &addresses),
        left.connect(key, Some(([1; 8], [8; 32])), &addresses),
        left.connect(key, Some(([1; 8], [7; 32])), &addresses),
    );
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let reason = |result: Result<Connection, ConnectError>| match result {
        Ok(_) => None,
        Err(ConnectError::Closed(reason)) => Some(reason),
    };
    let silence = Some(CloseReason::Unreachable { undecipherable: false });
    assert_eq!(reason(dialled.0), silence, "unknown, without a ticket");
    assert_eq!(reason(dialled.1), silence, "an endpoint that only dials");
    assert_eq!(reason(dialled.2), silence, "nobody there");
    assert_eq!(reason(dialled.3), silence, "somebody else there");
    assert_eq!(reason(dialled.4), Some(CloseReason::Unreachable { undecipherable: true }));
    assert_eq!(reason(dialled.5), None, "the right secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_is_a_link_when_it_is_named() {
    let only_lo =
        || EndpointConfig { fixed_links: None, only: vec!["lo".into()], ..config(Vec::new()) };
    let left = match Endpoint::bind(only_lo()).await {
        Ok(endpoint) => endpoint,
        Err(BindError::UnknownLink(_)) => return, // Not what loopback is called here.
        Err(error) => panic!("{error}"),
    };
    let right = Endpoint::bind(only_lo()).await.unwrap();
    let found = right.links();
    assert_eq!((found.len(), found[0].name.as_str(), found[0].class), (1, "lo", CostClass::Wired));
    assert!(right.addresses().iter().all(|address| address.port() == right.port()));
    assert_ne!(left.port(), right.port());
    for address in right.addresses().chunks(1) {
        let both =
            async { tokio::join!(left.connect(right.public_key(), None, address), right.accept()) };
        let (dialled, accepted) = timeout(PATIENCE, both).await.unwrap();
        let (dialled, _accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(dialled.paths().borrow()[0].link_name, "lo", "{address:?}");
    }
    let taken = Endpoint::bind(EndpointConfig { port: right.port(), ..only_lo() }).await;
    assert!(matches!(taken, Err(BindError::PortTaken(port)) if port == right.port()));
}

#[tokio::test]
async fn what_cannot_be_bound_says_why() {
    let error = async |only: &[&str], not: &[&str]| {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let (only, not) = (names(only), names(not));
        let config = EndpointConfig { fixed_links: None, only, not, ..config(Vec::new()) };
        Endpoint::bind(config).await.map(drop).unwrap_err()
    };
    let unknown = error(&["no-such-link"], &[]).await;
    assert!(
        matches!(unknown, BindError::UnknownLink(_)) && unknown.to_string().contains("no-such")
    );
    assert!(matches!(error(&[], &["no-such-link"]).await, BindError::UnknownLink(_)));
    if cfg!(target_os = "linux") {
        assert!(matches!(error(&["lo"], &["lo"]).await, BindError::NoLink));
    }
}

#[test]
fn a_peer_that_was_restarted_is_found_again() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    };
    let config_right = config(links(21, 2, 2));
    let (first, second, main) = (runtime(), runtime(), runtime());
    let right = first.block_on(Endpoint::bind(config_right.clone())).unwrap();
    let (key, addresses) = (right.public_key(), right.addresses());
    let left = main.block_on(Endpoint::bind(config(links(21, 1, 2)))).unwrap();
    let accepting = first.spawn(async move {
        echo(right.accept().await.unwrap());
        core::future::pending::<()>().await;
    });
    let dialer = main.block_on(left.connect(key, None, &addresses)).unwrap();
    let (mut send, mut receive) = main.block_on(dialer.open("echo")).unwrap();
    main.block_on(async {
        send.write_all(b"before").await.unwrap();
        receive.read_exact(&mut [0; 6]).await.unwrap();
    });
    drop(accepting);
    first.shutdown_timeout(PATIENCE); // Without a word to the peer.

    let links = addresses.iter().zip(["link0", "link1"]);
    let fixed_links =
        Some(links.map(|(at, name)| FixedLink { name: name.into(), address: *at }).collect());
    let config_right = EndpointConfig { fixed_links, ..config_right };
    let since = std::time::Instant::now();
    let right = second.block_on(Endpoint::bind(config_right)).unwrap();
    second.spawn(async move {
        echo(right.accept().await.unwrap());
        core::future::pending::<()>().await;
    });
    let afterwards = async {
        let error = receive.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
        assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        // The new stream has the old one's number; the old handles must not touch it.
        let (mut new_send, mut new_receive) = dialer.open("echo").await.unwrap();
        assert!(send.write_all(b"lost").await.is_err());
        drop((send, receive));
        new_send.write_all(b"after").await.unwrap();
        new_send.finish().await.unwrap();
        let mut back = String::new();
        new_receive.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "after");
    };
    main.block_on(async { timeout(PATIENCE, afterwards).await.unwrap() });
}
