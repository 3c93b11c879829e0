//! What every connecting command does before and after its own work: opens the endpoint that the
//! options describe, dials, makes tickets, and puts into words what went wrong.

use super::args::{self, Connect};
use super::exit::{Code, Failure};
use super::interrupt::Interrupt;
use super::names;
use super::port;
use super::progress::{PathText, Paths};
use super::report::{EchoPath, Line, PathLine, Report};
use crate::admission::Admission;
use crate::connection::{CloseReason, Connection, PathReport, PathState, RecvStream, SendStream};
use crate::endpoint::{ConnectError, Endpoint, EndpointConfig};
use crate::home::{self, Home};
use crate::human;
use crate::identity::Identity;
use crate::key_text;
use crate::link::serial::SerialConfig;
use crate::link::wishes::Wishes;
use crate::peer::PeerAddress;
use crate::peers::Peers;
use crate::place::Place;
use crate::serve;
use crate::tickets::{Tickets, Use};
use crate::transfer::TransferError;
use core::net::SocketAddr;
use core::time::Duration;
use ropewalk_core::error::code;
use ropewalk_core::id::PublicKey;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Codes of our own in Close; the core's are below 0x100.
pub mod close_code {
    /// The user pressed Ctrl-C.
    pub const INTERRUPTED: u32 = 0x100;
    /// The ticket was for one use, and had it.
    pub const TICKET_USED: u32 = 0x101;
    /// What the peer sent cannot be used, or we cannot go on; the words say which.
    pub const FAILED: u32 = 0x102;
    // 0x103 is [`crate::serve::CLOSING`], and 0x104 [`crate::serve::BUSY`].
    /// The peer came again, and was mute on this connection.
    pub const REPLACED: u32 = 0x105;
}

/// How long a peer may be silent on every link before a command gives it up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A quiet peer is asked for a sign of life this often, so that silence means something.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Silence of this length is told to the user.
const SILENCE_TOLD: Duration = Duration::from_secs(2);
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a closing connection may take to tell the peer.
const CLOSE_TIME: Duration = Duration::from_millis(500);
/// How long work on a connection that was closed here may take to come to its end.
const ORDERLY_END: Duration = Duration::from_secs(2);

/// Which way a command's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out.
    Sending,
    /// In.
    Receiving,
}

/// A node that waits for others.
///
/// # Errors
/// As the words say.
pub async fn listen(
    options: &Connect,
    home: &Home,
    admission: Admission,
    services: &'static [&'static str],
    report: &Report,
) -> Result<Endpoint, Failure> {
    let mut config = config(options, home, services).await?;
    config.admission = Some(Arc::new(move |peer, ticket| admission.admit(&peer, ticket.as_ref())));
    let endpoint = match options.port {
        0 => port::bind(config, home, report).await?,
        _ => Endpoint::bind(config).await.map_err(Failure::from)?,
    };
    tell_absent_lines(options, &endpoint, report);
    Ok(endpoint)
}

/// A node that only dials.
///
/// # Errors
/// As the words say.
pub async fn dialler(options: &Connect, home: &Home, report: &Report) -> Result<Endpoint, Failure> {
    let config = config(options, home, &[]).await?;
    let endpoint = Endpoint::bind(config).await.map_err(Failure::from)?;
    tell_absent_lines(options, &endpoint, report);
    Ok(endpoint)
}

/// A connection to `peer`, and the endpoint that holds it.
///
/// # Errors
/// As the words say.
pub async fn dial(
    options: &Connect,
    peer: &str,
    report: &Report,
    interrupt: &mut Interrupt,
) -> Result<(Endpoint, Connection), Failure> {
    if !options.spares.is_empty() && options.mode != args::Mode::Backup {
        return Err(Failure::usage("--backup-link says who stands by in --mode backup; add that"));
    }
    let home = Home::from_environment()?;
    let peer = PeerAddress::parse(peer, &home)?;
    let config = config(options, &home, &[]).await?;
    if peer.places.iter().all(|place| *place == Place::Serial) && config.serial.is_empty() {
        return Err(nowhere(&peer));
    }
    let endpoint = Endpoint::bind(config).await.map_err(Failure::from)?;
    tell_absent_lines(options, &endpoint, report);
    let addresses = peer.resolve().await?;
    let dialled = tokio::select! {
        dialled = endpoint.connect(peer.key, peer.ticket, &addresses) => dialled,
        () = interrupt.pressed() => return Err(Interrupt::failure()),
    };
    let tried = || tried(&addresses, options);
    let connection = dialled
        .map_err(|error| connect_failure(&error, &peer, (&tried(), &addresses), &endpoint))?;
    introduce(&connection, &home, report);
    Ok((endpoint, connection))
}

/// A peer of which nothing is known but its key.
fn nowhere(peer: &PeerAddress) -> Failure {
    let text = if peer.places.is_empty() && peer.ticket.is_none() {
        "no address of this peer is known; say one (ropewalk peers trust NAME KEY HOST:PORT), or the serial line that it is at (--serial PATH)"
    } else {
        "this peer is at the other end of a serial line; say which: --serial PATH"
    };
    Failure::new(Code::Failed, text)
}

/// Everything that was dialled, for people.
fn tried(addresses: &[SocketAddr], options: &Connect) -> String {
    let lines = options.links.serial.iter().map(|line| line.path.display().to_string());
    let all: Vec<String> = addresses.iter().map(ToString::to_string).chain(lines).collect();
    all.join(", ")
}

/// Whether all of a peer's addresses are on this machine, where no link of ours leads: the loopback interface is none
/// unless it is asked for.
pub fn is_here_without_link(addresses: &[SocketAddr], endpoint: &Endpoint) -> bool {
    let is_here = |address: &SocketAddr| address.ip().is_loopback();
    let leads_here = endpoint.links().iter().any(|link| link.addresses.iter().any(is_here));
    !addresses.is_empty() && addresses.iter().all(is_here) && !leads_here
}

/// What to do then.
pub const HERE_WITHOUT_LINK: &str =
    "that is this machine, and its loopback interface is no link unless it is named: add --link lo";

/// Says which of the serial lines that were named are waited for.
fn tell_absent_lines(options: &Connect, endpoint: &Endpoint, report: &Report) {
    let up = endpoint.links();
    let is_absent = |line: &&SerialConfig| {
        let name = line.name();
        !options.links.not.contains(&name) && !up.iter().any(|link| link.name == name)
    };
    for line in options.links.serial.iter().filter(is_absent) {
        let path = line.path.display();
        report
            .say(&format!("there is no serial line {path} yet; it is used as soon as it is there"));
    }
}

/// Says what became of the serial lines' frames.
pub fn tell_lines(endpoint: &Endpoint, report: &Report) {
    for link in endpoint.links() {
        let Some(corrupt_frames) = link.corrupt_frames else { continue };
        let (name, dropped_packets) = (&link.name, link.send_failures);
        report.line(&Line::SerialLine { link: name, corrupt_frames, dropped_packets });
        if corrupt_frames > 0 {
            report.say(&format!("  {name}: {corrupt_frames} frames came damaged"));
        }
    }
}

/// Says who is at the other end.
pub fn introduce(connection: &Connection, home: &Home, report: &Report) {
    let peer = connection.peer();
    let peers = Peers::load(home).unwrap_or_default();
    let name = peers.name_of(&peer);
    report.line(&Line::Connected { peer: &key_text::format(&peer), name });
    report.say(&format!("connected to {}", self::name(&peer)));
}

/// Does `work` on the connection. On Ctrl-C the peer is told, and what `work` had begun ends in
/// order: it says of each file what became of it.
///
/// # Errors
/// When Ctrl-C was pressed.
pub async fn unless_interrupted<T>(
    connection: &Connection,
    report: &Report,
    interrupt: &mut Interrupt,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut work = core::pin::pin!(watched(connection, report, work));
    tokio::select! {
        done = &mut work => return Ok(done),
        () = interrupt.pressed() => {}
    }
    close(connection, close_code::INTERRUPTED, "interrupted").await;
    let _ = tokio::time::timeout(ORDERLY_END, work).await;
    Err(Interrupt::failure())
}

/// Does `work`, and meanwhile tells when no link reaches the peer, when one does again, and when a
/// quota is spent.
async fn watched<T>(connection: &Connection, report: &Report, work: impl Future<Output = T>) -> T {
    let mut work = core::pin::pin!(work);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let (mut silent, mut spent) = (None, 0);
    loop {
        let done = tokio::select! {
            done = &mut work => Some(done),
            _ = tick.tick() => None,
        };
        spent = tell_spent(connection, report, spent);
        if let Some(done) = done {
            return done;
        }
        silent = tell_silence(connection, report, silent);
    }
}

/// `told`: of how many links we said already that their quota is spent.
fn tell_spent(connection: &Connection, report: &Report, told: usize) -> usize {
    let spent = connection.spent_links();
    for link in spent.iter().skip(told) {
        report.say(&format!("the quota of {link} is spent; it carries nothing more"));
        report.line(&Line::QuotaSpent { link });
    }
    spent.len()
}

/// `since`: how long the silence was that was told and is not over yet.
fn tell_silence(
    connection: &Connection,
    report: &Report,
    since: Option<Duration>,
) -> Option<Duration> {
    let now = connection.silence();
    let name = || name(&connection.peer());
    let key = || key_text::format(&connection.peer());
    match since {
        None if now >= SILENCE_TOLD => {
            let left = human::seconds(IDLE_TIMEOUT.saturating_sub(now));
            report.say(&format!("no link reaches {}; waiting {left:.0} s for it", name()));
            report.line(&Line::Silent { peer: &key(), seconds: human::seconds(now) });
            Some(now)
        }
        Some(before) if now < before => {
            let seconds = human::seconds(before);
            report.say(&format!("{} is there again after {seconds:.1} s", name()));
            report.line(&Line::Back { peer: &key(), seconds });
            None
        }
        told => told.map(|_| now),
    }
}

/// The name that a peer is known by.
#[must_use]
pub fn known_name(peer: &PublicKey) -> Option<String> {
    Home::from_environment().ok().and_then(|home| names::of(&home, peer))
}

/// What we call a peer: the name that it is known by, or the beginning of its key.
#[must_use]
pub fn name(peer: &PublicKey) -> String {
    known_name(peer).unwrap_or_else(|| format!("{}…", key_text::short(peer)))
}

/// Makes a ticket to `endpoint`, and hands it out: first line on standard output, and into `file`.
///
/// # Errors
/// When it cannot be kept or written.
pub fn hand_out_ticket(
    home: &Home,
    endpoint: &Endpoint,
    good: Use,
    file: Option<&Path>,
    show: impl FnOnce(&str),
) -> Result<(), Failure> {
    let ticket = Tickets::new(home.clone()).ticket_to(endpoint, good)?.to_string();
    keep_ticket(file, &ticket)?;
    show(&ticket);
    Ok(())
}

/// Writes a ticket, or several lines of them, into the file that was asked for.
///
/// # Errors
/// When it cannot be written.
pub fn keep_ticket(file: Option<&Path>, ticket: &str) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let why = |cause| {
        format!(
            "cannot write the ticket to {}: {cause}; name another file with --ticket-file",
            file.display()
        )
    };
    home::write_private(file, &format!("{ticket}\n"))
        .map_err(|cause| Failure::new(Code::Failed, why(cause)))
}

/// A connection's paths, as they are each time this is called. One that is gone stays, as down, with
/// what it had carried when it was last looked at.
pub fn paths(connection: &Connection, direction: Direction) -> Paths {
    let (connection, seen) = (connection.clone(), Mutex::new(Vec::<PathText>::new()));
    Box::new(move || {
        let mut now: Vec<PathText> =
            connection.paths_now().iter().map(|path| path_text(path, direction)).collect();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        for old in seen.drain(..) {
            if !now.iter().any(|path| path.id == old.id) {
                now.push(PathText::gone(old));
            }
        }
        now.sort_by_key(|path| path.id);
        seen.clone_from(&now);
        now
    })
}

/// A stream for `service` of the peer.
///
/// # Errors
/// When the connection ended.
pub async fn open(
    connection: &Connection,
    service: &str,
) -> Result<(SendStream, RecvStream), Failure> {
    match connection.open(service).await {
        Ok(streams) => Ok(streams),
        Err(error) => Err(failure(connection, TransferError::Lost(error)).await),
    }
}

/// The end of a command that waits, when nothing is left to wait on.
#[must_use]
pub fn no_link_left() -> Failure {
    Failure::new(Code::Failed, "no link is left to wait on; `ropewalk links` shows what there is")
}

/// The failure of a connection that ended before anything was asked of us.
pub async fn nothing_came(connection: &Connection) -> Failure {
    match connection.closed().await {
        CloseReason::Peer { code: code::DONE, .. } => {
            Failure::new(Code::Failed, "the peer connected and sent nothing")
        }
        reason => close_failure(&reason),
    }
}

/// Whether the peer ended the connection because it was done. A stream may tell a moment before.
pub async fn hung_up(connection: &Connection) -> bool {
    let closed = tokio::time::timeout(CLOSE_TIME, connection.closed()).await;
    matches!(closed, Ok(CloseReason::Peer { code: code::DONE, .. }))
}

/// Tells the peer that we cannot go on, if it is still there: it would wait for us in vain.
pub async fn give_up(connection: &Connection, failure: &Failure) {
    close(connection, close_code::FAILED, &failure.message).await;
}

/// Closes, and gives the word time to leave.
pub async fn close(connection: &Connection, code: u32, reason: &str) {
    connection.close(code, reason);
    let _ = tokio::time::timeout(CLOSE_TIME, connection.closed()).await;
}

/// The failure of something that ended with `error` on `connection`, by the connection's own end if
/// that is the cause.
pub async fn failure(connection: &Connection, error: TransferError) -> Failure {
    match &error {
        TransferError::Lost(cause) if cause.kind() != io::ErrorKind::ConnectionRefused => {}
        _ => return error.into(),
    }
    // A stream may tell a moment before its connection does.
    match tokio::time::timeout(CLOSE_TIME, connection.closed()).await {
        Ok(reason) => close_failure(&reason),
        Err(_) => error.into(),
    }
}

fn close_failure(reason: &CloseReason) -> Failure {
    match reason {
        CloseReason::Peer { code: close_code::INTERRUPTED, .. } => Failure::new(
            Code::Stopped,
            "the peer was stopped (Ctrl-C there); do the same again to go on",
        ),
        CloseReason::Peer { code: close_code::TICKET_USED, .. } => Failure::new(
            Code::Refused,
            "this ticket was good for one use and had it; ask for a new one",
        ),
        CloseReason::Peer { code: serve::CLOSING, .. } => {
            Failure::new(Code::Stopped, "the server was closed; do the same again when it is back")
        }
        CloseReason::Peer { code: close_code::FAILED, reason } => {
            Failure::new(Code::Failed, format!("the peer gave up: {reason}"))
        }
        CloseReason::Peer { code, reason } => {
            let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            Failure::new(
                Code::Stopped,
                format!("the peer closed the connection (code {code}){said}"),
            )
        }
        CloseReason::Idle => Failure::new(
            Code::Stopped,
            format!(
                "the peer went away: nothing came from it on any link for {} s; do the same again when it is back",
                IDLE_TIMEOUT.as_secs()
            ),
        ),
        other => Failure::new(Code::Stopped, format!("the connection ended: {other:?}")),
    }
}

async fn config(
    options: &Connect,
    home: &Home,
    services: &'static [&'static str],
) -> Result<EndpointConfig, Failure> {
    let identity = Identity::load_or_create(home)?;
    let mut advertise = Vec::new();
    for text in &options.addresses {
        let place: Place = text.parse().map_err(Failure::usage)?;
        if place == Place::Serial {
            return Err(Failure::usage(
                "--address takes HOST:PORT; a serial line is named by --serial",
            ));
        }
        advertise.extend(place.resolve().await.map_err(|cause| Failure::new(Code::Failed, cause))?);
    }
    Ok(EndpointConfig {
        services,
        mode: options.mode.into(),
        only: options.links.only.clone(),
        not: options.links.not.clone(),
        serial: options.links.serial.clone(),
        wishes: Wishes {
            metered: options.metered.clone(),
            quotas: options.quotas.clone(),
            spares: options.spares.clone(),
        },
        port: options.port,
        advertise,
        window: options.window,
        idle_timeout: IDLE_TIMEOUT,
        keep_alive: KEEP_ALIVE,
        ..EndpointConfig::new(identity)
    })
}

/// A path as it is drawn and printed.
#[must_use]
pub fn path_text(path: &PathReport, direction: Direction) -> PathText {
    let bytes = match direction {
        Direction::Sending => path.data_sent,
        Direction::Receiving => path.data_received,
    };
    let state = state_name(path.state);
    let line = PathLine {
        link: path.link_name.clone(),
        local: path.local.clone(),
        remote: path.remote.clone(),
        bytes,
        datagram_bytes: path.datagram_bytes,
        state,
    };
    let text = format!(
        "{} to {}: {state}, {}, {:.1} ms round trip",
        line.link,
        line.remote,
        human::bytes(bytes),
        human::millis(path.smoothed_rtt)
    );
    PathText { id: path.id, line, text }
}

/// A path that carried bytes both ways.
#[must_use]
pub fn echo_path(path: &PathReport) -> EchoPath {
    EchoPath {
        link: path.link_name.clone(),
        remote: path.remote.clone(),
        sent: path.data_sent,
        received: path.data_received,
        state: state_name(path.state),
    }
}

/// A path's state, as programs read it.
#[must_use]
pub const fn state_name(state: PathState) -> &'static str {
    match state {
        PathState::Probing => "probing",
        PathState::Active => "active",
        PathState::Suspect => "suspect",
        PathState::Down => "down",
    }
}

fn connect_failure(
    error: &ConnectError,
    peer: &PeerAddress,
    (tried, addresses): (&str, &[SocketAddr]),
    endpoint: &Endpoint,
) -> Failure {
    let ConnectError::Closed(reason) = error;
    let noisy = endpoint.links().into_iter().find(|link| link.corrupt_frames > Some(0));
    match reason {
        CloseReason::Unreachable { undecipherable: true } => Failure::new(
            Code::Refused,
            "the peer answered, but its answer cannot be opened: the ticket's secret is wrong; ask for a new ticket",
        ),
        CloseReason::Unreachable { .. } => {
            let hint = if let Some(line) = noisy {
                &format!("what came on {} was damaged: is that its baud rate?", line.name)
            } else if is_here_without_link(addresses, endpoint) {
                HERE_WITHOUT_LINK
            } else if peer.ticket.is_some() {
                "is it running, and is the ticket still good (not used, not revoked)?"
            } else {
                "is it running, and does it know this node (peers trust)?"
            };
            Failure::new(Code::Unreachable, format!("nobody answers at {tried}; {hint}"))
        }
        CloseReason::Refused => Failure::new(
            Code::Refused,
            "the peer refused: it shares no protocol version or cipher with this one; bring both up to date",
        ),
        other => close_failure(other),
    }
}
