//! `ropewalk serve` as a process, and a client of it in this one.
#![cfg(unix)]

mod common;

use common::{Node, Waiting, loopback, noise, signal, until};
use core::time::Duration;
use ropewalk::connection::{CloseReason, Connection};
use ropewalk::content::catalog::Item;
use ropewalk::endpoint::{Endpoint, EndpointConfig};
use ropewalk::get::peer::{self, Asker, Event};
use ropewalk::home::Home;
use ropewalk::identity::Identity;
use ropewalk::serve::CLOSING;
use ropewalk::serve::protocol::{Content, SERVICE};
use ropewalk::ticket::Ticket;
use std::io::{Read, Write};
use tokio::sync::mpsc;

/// A client with a stream to one server.
struct Client {
    _home: tempfile::TempDir,
    _endpoint: Endpoint,
    connection: Connection,
    asker: Asker,
    told: mpsc::Receiver<((), Event)>,
}

impl Client {
    async fn of(ticket: &str) -> Self {
        let ticket: Ticket = ticket.parse().unwrap();
        let home = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(&Home::at(home.path())).unwrap();
        let config = EndpointConfig { only: vec![loopback()], ..EndpointConfig::new(identity) };
        let endpoint = Endpoint::bind(config).await.unwrap();
        let secret = Some((ticket.id, ticket.secret));
        let connection = endpoint.connect(ticket.key, secret, &ticket.addresses).await.unwrap();
        let (send, recv) = connection.open(SERVICE).await.unwrap();
        let (tell, told) = mpsc::channel(64);
        let asker = peer::open(recv, send, (), tell);
        Self { _home: home, _endpoint: endpoint, connection, asker, told }
    }

    async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(Duration::from_secs(20), self.told.recv());
        next.await.expect("it says something").expect("it is there").1
    }

    async fn list(&mut self) -> Vec<Item> {
        self.asker.list();
        let mut items = Vec::new();
        loop {
            match self.next().await {
                Event::Item(item) => items.push(item),
                Event::ListEnd => return items,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The first piece of an item.
    async fn piece(&mut self, item: &Item) -> Vec<u8> {
        self.asker.piece(Content::Item(*item.root().as_bytes()), 0, 0).unwrap();
        let mut content = Vec::new();
        loop {
            match self.next().await {
                Event::Chunk { bytes, .. } => content.extend(bytes),
                Event::Done(_) => return content,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn serving(node: &Node, arguments: &[&str]) -> Waiting {
    node.wait_for_peers(&[&["serve"], arguments].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_offered_is_listed_and_given_and_the_end_is_told() {
    let node = Node::new();
    let content = noise(700_000);
    node.file("film", &content);
    node.file("photos/a", b"a");
    let waiting = serving(&node, &["film", "photos"]);
    assert_eq!(waiting.ticket.parse::<Ticket>().unwrap().root, None, "it is for two");
    let offered = waiting.until("offered");
    assert_eq!((&offered["name"], &offered["bytes"]), (&"film".into(), &700_000.into()));
    assert_eq!(offered["root"], blake3::hash(&content).to_hex().as_str());
    let mut client = Client::of(&waiting.ticket).await;
    // One who asks for nothing hears of the end as well.
    let idle = Client::of(&waiting.ticket).await;
    let items = client.list().await;
    assert_eq!(items.iter().map(Item::name).collect::<Vec<_>>(), ["film", "photos"]);
    assert!(client.piece(&items[0]).await == content);
    signal(&waiting.child, "INT");
    assert!(matches!(client.next().await, Event::Closing));
    for connection in [&client.connection, &idle.connection] {
        let closed = connection.closed().await;
        assert!(matches!(closed, CloseReason::Peer { code: CLOSING, .. }), "{closed:?}");
    }
    let (code, _, words) = waiting.ended();
    assert_eq!(code, Some(130), "{words}");
    assert!(words.contains("700 kB given"), "{words}");
}

#[test]
fn a_ticket_stays_good_when_the_server_comes_back() {
    let node = Node::new();
    node.file("a", b"a");
    let port_of = |ticket: &str| ticket.parse::<Ticket>().unwrap().addresses[0].port();
    let first = serving(&node, &["a", "--ticket-file", "t"]);
    let (ticket, port) = (first.ticket.clone(), port_of(&first.ticket));
    assert_eq!(node.read("t").unwrap(), format!("{ticket}\n").as_bytes());
    first.interrupted();
    let second = serving(&node, &["a"]);
    let root = |ticket: &str| ticket.parse::<Ticket>().unwrap().root;
    assert_eq!([root(&ticket), root(&second.ticket)], [Some(blake3::hash(b"a")); 2]);
    assert_eq!(port_of(&second.ticket), port);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let items = runtime.block_on(async { Client::of(&ticket).await.list().await });
    assert_eq!(items.len(), 1);
}

#[test]
fn what_cannot_be_offered_is_named() {
    let node = Node::new();
    node.file("a/same", b"1");
    node.file("b/same", b"2");
    let output = node.run(&["serve", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(common::said(&output).contains("cannot offer nothing: "), "{}", common::said(&output));
    let output = node.run(&["serve", "a/same", "b/same"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(common::said(&output).contains("cannot offer b/same: two items"));
    let output = node.run(&["serve", "/dev/null"]);
    assert!(common::said(&output).contains("neither a file nor a folder"));
}

#[test]
fn ctrl_c_ends_hashing() {
    let node = Node::new();
    // Holes are read like anything else, and for minutes.
    let file = std::fs::File::create(node.files.path().join("long")).unwrap();
    file.set_len(1 << 40).unwrap();
    let mut serving = node.command(&["serve", "long"]);
    let mut serving = serving.stdout(std::process::Stdio::null()).spawn().unwrap();
    let trees = node.home.path().join("trees");
    until("it begins to hash", || trees.read_dir().is_ok_and(|mut inside| inside.next().is_some()));
    signal(&serving, "INT");
    assert_eq!(serving.wait().unwrap().code(), Some(130));
    assert_eq!(trees.read_dir().unwrap().count(), 0, "nothing half-done stays");
}

/// The tickets of all servers: the first lines.
fn tickets(waiting: &Waiting, count: usize) -> Vec<String> {
    let more = (1..count).map(|_| {
        let line = waiting.next();
        assert_eq!(line["event"], "ticket");
        line["ticket"].as_str().unwrap().to_owned()
    });
    core::iter::once(waiting.ticket.clone()).chain(more).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_have_keys_ports_and_tickets_of_their_own_that_survive() {
    let node = Node::new();
    node.file("a", b"content");
    let serve = ["a", "--servers", "3", "--ticket-file", "t", "--report", "0.1"];
    let first = serving(&node, &serve);
    let all = tickets(&first, 3);
    assert_eq!(node.read("t").unwrap(), format!("{}\n", all.join("\n")).as_bytes());
    let parsed = |all: &[String]| -> Vec<Ticket> {
        all.iter().map(|ticket| ticket.parse().unwrap()).collect()
    };
    let before = parsed(&all);
    let distinct = |what: &dyn Fn(&Ticket) -> String| {
        before.iter().map(what).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(distinct(&|ticket| format!("{:?}", ticket.key)), 3);
    assert_eq!(distinct(&|ticket| ticket.addresses[0].port().to_string()), 3);
    assert!(before.iter().all(|ticket| ticket.root == Some(blake3::hash(b"content"))));
    // One that asks server 2 is counted there.
    let mut client = Client::of(&all[1]).await;
    let came = first.until("client_came");
    assert_eq!((&came["server"], &came["client"]), (&2.into(), &1.into()));
    let items = client.list().await;
    assert_eq!(client.piece(&items[0]).await, b"content");
    loop {
        let line = first.until("server");
        if line["server"] == 2 && line["bytes"] == 7 && line["links"][0]["bytes"].as_u64() > Some(7)
        {
            assert_eq!(line["clients"][0]["bytes"], 7, "{line}");
            assert_eq!(line["clients"][0]["paths"][0]["link"], loopback().as_str(), "{line}");
            assert_eq!(line["port"], before[1].addresses[0].port(), "{line}");
            break;
        }
    }
    client.connection.close(0, "");
    let went = first.until("client_went");
    assert_eq!((&went["server"], &went["bytes"]), (&2.into(), &7.into()));
    let words = first.interrupted();
    assert!(words.contains("server 2: serving, port "), "{words}");
    let second = serving(&node, &["a", "--servers", "3"]);
    let after = parsed(&tickets(&second, 3));
    let name = |ticket: &Ticket| (ticket.key, ticket.addresses[0].port());
    assert!(before.iter().map(name).eq(after.iter().map(name)));
    for ticket in &all {
        assert_eq!(Client::of(ticket).await.list().await.len(), 1, "the old ones are good");
    }
}

#[test]
fn a_second_serve_of_a_node_has_keys_of_its_own_and_the_first_its_old_ones() {
    let node = Node::new();
    node.file("a", b"a");
    node.file("b/a", b"another");
    let key = |waiting: &Waiting| waiting.ticket.parse::<Ticket>().unwrap().key;
    let (first, second) = (serving(&node, &["a"]), serving(&node, &["b/a"]));
    let before = [key(&first), key(&second)];
    assert_ne!(before[0], before[1]);
    drop((first, second));
    let (first, second) = (serving(&node, &["a"]), serving(&node, &["b/a"]));
    assert_eq!([key(&first), key(&second)], before, "in the same order");
    assert!(second.interrupted().contains("another `ropewalk serve` of this node runs"));
}

#[test]
fn each_command_that_waits_has_its_port_again_and_says_when_it_is_taken() {
    let node = Node::new();
    node.file("a", b"a");
    let port = |waiting: &Waiting| waiting.ticket.parse::<Ticket>().unwrap().addresses[0].port();
    let receiving = node.wait_for_peers(&["recv"]);
    let served = serving(&node, &["a"]);
    let ports = [port(&receiving), port(&served)];
    drop((receiving, served));
    // Whoever comes first.
    let served = serving(&node, &["a"]);
    let receiving = node.wait_for_peers(&["recv"]);
    assert_eq!([port(&receiving), port(&served)], ports);
    drop(served);
    let _taken = std::net::UdpSocket::bind(("127.0.0.1", ports[1])).unwrap();
    let served = serving(&node, &["a"]);
    assert_ne!(port(&served), ports[1]);
    let words = served.interrupted();
    let told = format!("port {}, which tickets given out before name, is taken", ports[1]);
    assert!(words.contains(&told), "{words}");
}

/// Once all commands of a node shared one port.
#[test]
fn the_port_of_tickets_given_out_long_ago_is_taken_up() {
    let node = Node::new();
    node.file("a", b"a");
    let port = |waiting: &Waiting| waiting.ticket.parse::<Ticket>().unwrap().addresses[0].port();
    let served = serving(&node, &["a"]);
    let before = port(&served);
    drop(served);
    let home = node.home.path();
    std::fs::rename(home.join("port-serve"), home.join("port")).unwrap();
    assert_eq!(port(&serving(&node, &["a"])), before);
    assert!(home.join("port-serve").exists());
}

#[test]
fn a_ticket_file_is_its_owners_alone_whatever_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    node.file("a", b"a");
    let file = node.file("t", b"something old");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let waiting = serving(&node, &["a", "--ticket-file", "t"]);
    assert_eq!(node.read("t").unwrap(), format!("{}\n", waiting.ticket).as_bytes());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let output = node.dial(&["serve", "a", "--ticket-file", "no/t"]);
    assert_eq!(output.status.code(), Some(1));
    let said = common::said(&output);
    assert!(said.contains("no/t") && said.contains("--ticket-file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_hears_of_a_file_that_was_touched_and_of_one_that_changed() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    let content = noise(700_000);
    let file = node.file("film", &content);
    let waiting = serving(&node, &["film"]);
    let mut client = Client::of(&waiting.ticket).await;
    let items = client.list().await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(client.piece(&items[0]).await == content, "it is given on");
    for state in ["checking", "same"] {
        let line = waiting.until("item_changed");
        assert_eq!((&line["name"], &line["state"]), (&"film".into(), &state.into()));
    }
    std::fs::write(&file, b"something else").unwrap();
    client.asker.piece(Content::Item(*items[0].root().as_bytes()), 0, 0).unwrap();
    assert!(matches!(client.next().await, Event::No(..)));
    assert_eq!(waiting.until("item_changed")["state"], "changed");
    let words = waiting.interrupted();
    assert!(words.contains("film is not what it was"), "{words}");
}

/// It prints more than a pipe takes, and nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_stuck_stops_nobody() {
    let node = Node::new();
    node.file("a", b"content");
    let link = loopback();
    let mut command = node.command(&[
        "serve",
        "a",
        "--servers",
        "16",
        "--report",
        "0.1",
        "--ticket-file",
        "t",
        "--json",
        "--link",
        &link,
    ]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let tickets = || String::from_utf8(node.read("t").unwrap_or_default()).unwrap();
    until("it has tickets", || tickets().lines().count() == 16);
    // Some 4 KB every tenth of a second, into a pipe of 64 KiB.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut client = Client::of(tickets().lines().next().unwrap()).await;
    let items = client.list().await;
    assert_eq!(client.piece(&items[0]).await, b"content");
    assert_eq!(status(&node).len(), 16, "and it can be asked");
    signal(&child, "INT");
    until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_end_of_the_terminal_is_an_orderly_end_unless_it_is_to_be_ignored() {
    let node = Node::new();
    node.file("a", b"a");
    let mut waiting = serving(&node, &["a"]);
    // A shell passes it on, and the system sends it once more.
    signal(&waiting.child, "HUP");
    signal(&waiting.child, "HUP");
    until("it ends", || waiting.child.try_wait().unwrap().is_some());
    let (code, _, words) = waiting.ended();
    assert_eq!(code, Some(130), "{words}");
    assert!(words.contains("given") && words.contains("interrupted"), "{words}");
    if common::works("nohup", &["true"]) {
        let mut waiting = node.wait_below(&["nohup"], &["serve", "a"]);
        signal(&waiting.child, "HUP");
        assert_eq!(status(&node).len(), 1);
        assert!(waiting.child.try_wait().unwrap().is_none(), "below nohup it goes on");
    }
}

#[test]
fn it_is_found_where_the_environment_differs() {
    let (node, runtime) = (Node::new(), tempfile::tempdir().unwrap());
    node.file("a", b"a");
    let _waiting = serving(&node, &["a"]);
    let output = node.command(&["ctl", "status"]).env("XDG_RUNTIME_DIR", runtime.path()).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
    let other = Node::new();
    let output = other.command(&["ctl", "status"]).env("XDG_RUNTIME_DIR", runtime.path()).output();
    let said = common::said(&output.unwrap());
    let runtime = runtime.path().display().to_string();
    assert!(said.contains(&runtime) && said.contains("/run"), "both are named: {said}");
}

#[test]
fn ports_that_cannot_be_are_refused() {
    let node = Node::new();
    node.file("a", b"a");
    let output = node.run(&["serve", "a", "--servers", "1", "--ports", "7000,7001"]);
    assert_eq!(output.status.code(), Some(2), "{}", common::said(&output));
    let first = serving(&node, &["a"]);
    let port = first.ticket.parse::<Ticket>().unwrap().addresses[0].port().to_string();
    let free = Node::new();
    free.file("a", b"a");
    let output = free.dial(&["serve", "a", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let said = common::said(&output);
    assert!(said.contains(&format!("port {port} is taken")), "{said}");
}

#[test]
fn what_cannot_be_read_in_a_folder_is_left_out_and_said() {
    let node = Node::new();
    node.file("folder/good", b"good");
    std::os::unix::net::UnixListener::bind(node.files.path().join("folder/socket")).unwrap();
    std::os::unix::fs::symlink("good", node.files.path().join("folder/link")).unwrap();
    let waiting = serving(&node, &["folder"]);
    let left_out = [waiting.until("left_out"), waiting.until("left_out")];
    let paths = left_out.map(|line| line["path"].as_str().unwrap().to_owned());
    assert!(paths[0].ends_with("folder/link") && paths[1].ends_with("folder/socket"), "{paths:?}");
    assert_eq!(waiting.until("offered")["entries"], 1);
}

/// Whoever runs this as root can read everything.
#[test]
fn a_file_that_may_not_be_read_is_left_out_and_said() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    node.file("folder/good", b"good");
    let closed = node.file("folder/closed", b"closed");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&closed).is_ok() {
        return;
    }
    let waiting = serving(&node, &["folder"]);
    let left_out = waiting.until("left_out");
    assert!(left_out["path"].as_str().unwrap().ends_with("folder/closed"), "{left_out}");
    assert!(left_out["reason"].as_str().unwrap().contains("ermission denied"), "{left_out}");
    assert_eq!(waiting.until("offered")["entries"], 1);
}

fn asked(node: &Node, command: &[&str]) -> (Option<i32>, String, String) {
    let output = node.run(&[&["ctl"], command].concat());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), text, common::said(&output))
}

/// What `ctl status` says of each server.
fn status(node: &Node) -> Vec<serde_json::Value> {
    let (code, text, said) = asked(node, &["--json", "status"]);
    assert_eq!(code, Some(0), "{said}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_paused_resumed_and_closed_one_by_one_from_outside() {
    let node = Node::new();
    node.file("a", b"content");
    let waiting = serving(&node, &["a", "--servers", "3"]);
    let mut client = Client::of(&tickets(&waiting, 3)[1]).await;
    client.list().await;
    let servers = status(&node);
    assert_eq!(servers.len(), 3);
    assert_eq!((&servers[1]["server"], &servers[1]["phase"]), (&2.into(), &"serving".into()));
    assert_eq!(servers[1]["clients"].as_array().unwrap().len(), 1, "{}", servers[1]);
    let (code, text, _) = asked(&node, &["status"]);
    assert!(code == Some(0) && text.contains("server 3: serving, port "), "{text}");
    assert_eq!(asked(&node, &["pause", "2"]).0, Some(0));
    assert!(matches!(client.next().await, Event::Paused));
    assert_eq!(status(&node)[1]["phase"], "paused");
    assert_eq!(status(&node)[0]["phase"], "serving");
    assert_eq!(asked(&node, &["resume", "all"]).0, Some(0));
    assert!(matches!(client.next().await, Event::Resumed));
    let (code, _, said) = asked(&node, &["close", "7"]);
    assert!(code == Some(4) && said.contains("there is no server 7; they are 1 to 3"), "{said}");
    let (code, _, said) = asked(&node, &["add", "rope1abc"]);
    assert!(code == Some(4) && said.contains("add is for get"), "{said}");
    assert_eq!(asked(&node, &["close", "2"]).0, Some(0));
    assert!(matches!(client.next().await, Event::Closing));
    assert_eq!(waiting.until("closed")["server"], 2);
    assert_eq!(status(&node)[1]["phase"], "closed");
    let (code, _, said) = asked(&node, &["pause", "2"]);
    assert!(code == Some(4) && said.contains("server 2 is closed"), "{said}");
    let (code, _, said) = asked(&node, &["quit"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(waiting.ended().0, Some(0));
    let (code, _, said) = asked(&node, &["status"]);
    assert!(code == Some(1) && said.contains("runs here"), "{said}");
    let left = node.home.path().join("run").read_dir().unwrap().count();
    assert_eq!(left, 0, "the socket is gone");
}

#[test]
fn which_process_is_meant_must_be_said_if_several_run() {
    let node = Node::new();
    node.file("a", b"a");
    let (one, two) = (serving(&node, &["a"]), serving(&node, &["a"]));
    let (code, _, said) = asked(&node, &["status"]);
    assert_eq!(code, Some(2), "{said}");
    for waiting in [&one, &two] {
        let pid = waiting.child.id().to_string();
        assert!(said.contains(&format!("--pid {pid}    server 1: serving")), "{said}");
        assert_eq!(asked(&node, &["--pid", &pid, "status"]).0, Some(0));
    }
    // One that was killed leaves its socket, and is not taken for another.
    drop(two);
    assert_eq!(asked(&node, &["status"]).0, Some(0));
    let (code, _, said) = asked(&node, &["--pid", "1", "status"]);
    assert!(code == Some(1) && said.contains("process 1 cannot be asked"), "{said}");
}

fn scraped(url: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_bytes_clients_phases_and_links() {
    let node = Node::new();
    node.file("a", b"content");
    let waiting = serving(&node, &["a", "--servers", "2", "--metrics", "0"]);
    let mut client = Client::of(&waiting.ticket).await;
    let url = waiting.until("metrics")["url"].as_str().unwrap().to_owned();
    let items = client.list().await;
    client.piece(&items[0]).await;
    let link = loopback();
    let page = scraped(&url);
    for line in [
        "ropewalk_serve_bytes_total{server=\"1\"} 7",
        "ropewalk_serve_bytes_total{server=\"2\"} 0",
        "ropewalk_serve_clients{server=\"1\"} 1",
        "ropewalk_serve_phase{server=\"1\",phase=\"serving\"} 1",
        "ropewalk_serve_phase{server=\"1\",phase=\"paused\"} 0",
        &format!("ropewalk_serve_link_bytes_total{{server=\"1\",link=\"{link}\"}} "),
    ] {
        assert!(page.contains(&format!("\n{line}")), "{line}: {page}");
    }
    let port = url.split(':').nth(2).unwrap().split('/').next().unwrap();
    let output = node.run(&["serve", "a", "--metrics", port, "--link", &link]);
    let said = common::said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("port {port} for metrics is taken")), "{said}");
}
