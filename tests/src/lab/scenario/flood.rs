//! Floods of first messages from many addresses: what they cost the transfer that runs beside them,
//! and in memory; and whether those who mean it still come in.
//!
//! The flood comes in by a link of its own, so that it takes no share of the transfer's, and is as
//! cheap as the stranger can make it: every message was made before. What it costs the machine to
//! make and to carry is on the flood's account too, since all runs on the same processors.

use super::super::stranger::Stranger;
use super::super::{Lab, Node};
use super::Stage;
use super::transfer::S1;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use ropewalk::ticket::Ticket;
use ropewalk_core::crypto::{Identity, Initiator, Random, Seed, Software};
use ropewalk_core::id::{ConnectionId, Mode};
use ropewalk_core::wire::{Credit, Hello, Suite, Suites, VERSION};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Instant;

/// What the stranger sends.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The length and the first byte of a first message, and noise.
    Forged,
    /// First messages of nodes that nobody knows: the check is right, and so are the keys.
    HalfMade,
    /// One first message with a good ticket, seen on the wire and sent again and again.
    Replayed,
}

/// Each kind in turn beside a transfer, after a transfer in peace.
pub(super) fn all(stage: &mut Stage) -> io::Result<()> {
    for kind in [Kind::Forged, Kind::HalfMade, Kind::Replayed] {
        let peace = Found::by_transfer(stage, None)?;
        let flooded = Found::by_transfer(stage, Some(kind))?;
        println!("      peace {peace:?}\n      flood {flooded:?}");
        let name = |what: &str| format!("{kind:?}: {what}");
        stage.at_least(&name("messages"), flooded.rate, 0.95 * RATE, "a second");
        let ratio = 100.0 * flooded.mbit_s / peace.mbit_s;
        stage.at_least(&name("goodput, of that in peace"), ratio, 80.0, "%");
        stage.at_most(&name("memory on top"), flooded.memory_mib - peace.memory_mib, 8.0, "MiB");
        stage.holds(&name("who means it comes in meanwhile"), flooded.during.answered);
        stage.holds(&name("and 2 s later, without a cookie"), flooded.after == Knock::WELCOME);
        if matches!(kind, Kind::HalfMade) {
            stage.holds(&name("a cookie was asked for"), flooded.during.cookie);
        }
    }
    Ok(())
}

/// What one transfer found.
#[derive(Debug, Default)]
struct Found {
    mbit_s: f64,
    memory_mib: f64,
    /// Of the receiver, which is the one that is flooded.
    cpu_s: f64,
    /// Messages a second.
    rate: f64,
    /// What a few of the stranger's addresses heard a second.
    answers: f64,
    during: Knock,
    after: Knock,
}

impl Found {
    fn by_transfer(stage: &Stage, kind: Option<Kind>) -> io::Result<Self> {
        let lab = Lab::new(&S1)?;
        let stranger = Stranger::join(&lab, Node::B)?;
        let ticket_file = stage.folder.join("ticket").to_string_lossy().into_owned();
        let args = ["bench", "serve", "--json", "--port", PORT_TEXT, "--ticket-file", &ticket_file];
        let mut server = stage.start(&lab, Node::B, &args)?;
        server.wait_for("ticket", PATIENCE)?;
        let text = server.event("ticket").and_then(|line| line["ticket"].as_str());
        let ticket: Ticket = text.unwrap_or_default().parse().map_err(io::Error::other)?;
        let mut sockets = stranger.sockets(ADDRESSES + 1, PORT)?;
        let knocker = sockets.pop().expect("there are many");
        let (peer, bytes) = (format!("@{ticket_file}"), BYTES.to_string());
        let args = ["bench", "bulk", &peer, "--bytes", &bytes, "--json"];
        let mut client = stage.start(&lab, Node::A, &args)?;
        sleep(WARM_UP);
        let mut found = Self::default();
        let flood = kind.map(|kind| Flood::begin(sockets, kind, &ticket));
        if flood.is_some() {
            sleep(WARM_UP);
            found.during = Knock::at(&knocker, &ticket, 1)?;
        }
        client.finish(Instant::now() + LIMIT)?;
        server.wait_for("bulk", PATIENCE)?;
        found.mbit_s = server.number("bulk", "mbit_s")?;
        if let Some(flood) = flood {
            (found.rate, found.answers) = flood.end();
            sleep(Duration::from_secs(2));
            found.after = Knock::at(&knocker, &ticket, 2)?;
        }
        server.has_ended()?;
        (found.memory_mib, found.cpu_s) = (server.memory_mib(), server.cpu_seconds());
        Ok(found)
    }
}

/// A flood that runs.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(f64, f64)>,
}

impl Flood {
    fn begin(sockets: Vec<UdpSocket>, kind: Kind, ticket: &Ticket) -> Self {
        let messages = messages(kind, ticket);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self { stop, thread: spawn(move || send(&sockets, &messages, &seen)) }
    }

    fn end(self) -> (f64, f64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood does not panic")
    }
}

/// Sends until it is told to stop. Returns the messages, and the answers at a few addresses, a second.
fn send(sockets: &[UdpSocket], messages: &[Vec<u8>], stop: &AtomicBool) -> (f64, f64) {
    let (begin, mut sent, mut heard) = (Instant::now(), 0_usize, 0_u32);
    let mut answer = [0; 2_048];
    let mut pairs = sockets.iter().cycle().zip(messages.iter().cycle());
    while !stop.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * RATE) as usize;
        while sent < due {
            let Some((socket, message)) = pairs.next() else { break };
            // What a full queue does not take was sent as well: the wire is not our business.
            let _ = socket.send(message);
            sent += 1;
        }
        for socket in sockets.iter().take(LISTENING) {
            while socket.recv(&mut answer).is_ok() {
                heard += 1;
            }
        }
        sleep(Duration::from_millis(1));
    }
    let seconds = begin.elapsed().as_secs_f64();
    (sent as f64 / seconds, f64::from(heard) / seconds)
}

fn messages(kind: Kind, ticket: &Ticket) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(7);
    let forged = |rng: &mut fastrand::Rng| {
        let mut message = vec![0; 333];
        rng.fill(&mut message);
        message[0] = 1;
        message
    };
    match kind {
        Kind::Forged => (0..499).map(|_| forged(&mut rng)).collect(),
        Kind::HalfMade => (10..509).map(|n| first_message(&initiator(ticket, n, false))).collect(),
        Kind::Replayed => vec![first_message(&initiator(ticket, 3, true))],
    }
}

/// What becomes of a first message with a good ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Knock {
    cookie: bool,
    answered: bool,
}

impl Knock {
    const WELCOME: Self = Self { cookie: false, answered: true };

    /// Sends it, as a dialer does: again and again, with the cookie once there is one.
    fn at(socket: &UdpSocket, ticket: &Ticket, number: u32) -> io::Result<Self> {
        let initiator = initiator(ticket, number, true);
        let (mut cookie, mut message) = (None, [0; 548]);
        for _ in 0..18 {
            let len = initiator.write(cookie.as_ref(), &mut message).unwrap_or(0);
            socket.send(&message[..len])?;
            sleep(Duration::from_millis(100));
            let mut answer = [0; 2_048];
            while let Ok(len) = socket.recv(&mut answer) {
                cookie = initiator.read_cookie(&answer[..len]).or(cookie);
                if answer[0] == 2 {
                    return Ok(Self { cookie: cookie.is_some(), answered: true });
                }
            }
        }
        Ok(Self { cookie: cookie.is_some(), answered: false })
    }
}

fn initiator(ticket: &Ticket, number: u32, invited: bool) -> Initiator<Software> {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let hello = Hello {
        version_min: VERSION,
        version_max: VERSION,
        suites: Suites::new(&[Suite::ChaCha20Poly1305]),
        mode: Mode::Bulk,
        ticket: invited.then_some(ticket.id),
        replaces: None,
        credit: Credit { data: 100_000, stream_data: 100_000, streams: 4 },
        addresses: heapless::Vec::new(),
    };
    let identity = Identity::new::<Software>(seed);
    let random = &mut Random::new(Seed(seed));
    Initiator::new(&identity, ticket.key, &ticket.secret, ConnectionId(number), &hello, 548, random)
}

fn first_message(initiator: &Initiator<Software>) -> Vec<u8> {
    let mut message = vec![0; 548];
    let len = initiator.write(None, &mut message).unwrap_or(0);
    message.truncate(len);
    message
}

/// Messages a second.
const RATE: f64 = 50_000.0;
const ADDRESSES: u16 = 512;
/// How many of the addresses listen for answers; the others let them pile up.
const LISTENING: usize = 8;
const PORT: u16 = 7_117;
const PORT_TEXT: &str = "7117";
/// At 150 Mbit/s enough for 6 s.
const BYTES: u64 = 110_000_000;
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);
