//! One connection, over all paths between two nodes.

use crate::clock::Clock;
use crate::crypto::HostCrypto;
use crate::storage::HostStorage;
pub use crate::stream::{RecvStream, SendStream};
use core::net::IpAddr;
use core::task::Waker;
use core::time::Duration;
use ropewalk_core::connection as core_connection;
pub use ropewalk_core::connection::Stats;
use ropewalk_core::error::{OpenError, SendError};
use ropewalk_core::id::{Address, LinkId, PathId, PublicKey, StreamId};
pub use ropewalk_core::path::PathState;
use ropewalk_core::stream::Service;
use ropewalk_core::wire::TicketId;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// A connection. Clones are the same connection; it ends when it is closed, not when it is dropped.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// We closed it.
    Local {
        /// Our code.
        code: u32,
    },
    /// The peer closed it.
    Peer {
        /// The peer's code.
        code: u32,
        /// The peer's words.
        reason: String,
    },
    /// Nothing arrived for the idle timeout.
    Idle,
    /// Nobody answered in time.
    Unreachable {
        /// Somebody did, but not with the right key or secret.
        undecipherable: bool,
    },
    /// The peer's version or ciphers do not fit ours.
    Refused,
    /// The peer broke the protocol.
    Protocol,
}

/// A path as it is at one moment.
#[derive(Clone, Debug)]
pub struct PathReport {
    /// The path's number.
    pub id: PathId,
    /// The local link's name.
    pub link_name: String,
    /// Our address on it.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// What the path can be used for.
    pub state: PathState,
    /// The smoothed round trip.
    pub smoothed_rtt: Duration,
    /// What it delivers, bytes a second.
    pub rate: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets declared lost.
    pub lost_packets: u64,
    /// Stream bytes sent.
    pub data_sent: u64,
    /// Stream bytes received.
    pub data_received: u64,
    /// Times that the state changed.
    pub state_changes: u32,
}

impl Connection {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The peer's public key.
    #[must_use]
    pub fn peer(&self) -> PublicKey {
        self.shared.peer
    }

    /// The ticket that the peer came with.
    #[must_use]
    pub fn ticket(&self) -> Option<TicketId> {
        self.shared.ticket
    }

    /// Every path, again and again: the receiver always holds the newest.
    #[must_use]
    pub fn paths(&self) -> watch::Receiver<Vec<PathReport>> {
        self.shared.reports.subscribe()
    }

    /// Every path as it is at this moment.
    #[must_use]
    pub fn paths_now(&self) -> Vec<PathReport> {
        let state = self.shared.lock();
        state.core.paths().map(|report| self.shared.describe(&report)).collect()
    }

    /// Counters of the connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().core.stats()
    }

    /// Opens a stream for one of the peer's services; waits while there are too many.
    ///
    /// # Errors
    /// When the connection is over, or the service has no proper name.
    pub async fn open(&self, service: &str) -> io::Result<(SendStream, RecvStream)> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, "a service's name has 1 to 32 bytes");
        let service = Service::new(service).ok_or_else(invalid)?;
        loop {
            let changed = self.shared.changed.notified();
            let opened = self.shared.lock().core.open(&service);
            match opened {
                Ok(id) => {
                    self.shared.lock().watch(id);
                    self.shared.wake();
                    return Ok(self.streams(id));
                }
                Err(OpenError::TooMany) => changed.await,
                Err(error) => return Err(io::Error::new(io::ErrorKind::NotConnected, error)),
            }
        }
    }

    /// The next stream that the peer opened, with its service; `None` when the connection is over.
    pub async fn accept(&self) -> Option<(String, SendStream, RecvStream)> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut state = self.shared.lock();
                if let Some((id, service)) = state.opened.pop_front() {
                    drop(state);
                    let (send, receive) = self.streams(id);
                    return Some((service, send, receive));
                }
                if state.ended() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Sends an unreliable message; returns the path that it took.
    ///
    /// # Errors
    /// When it is too long, or the connection is over.
    pub async fn send_datagram(&self, bytes: &[u8]) -> io::Result<PathReport> {
        let mut number = None;
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut state = self.shared.lock();
                if let Some(number) = number {
                    let left = state.datagrams_left.iter().position(|(sent, _)| *sent == number);
                    if let Some((_, path)) =
                        left.and_then(|place| state.datagrams_left.remove(place))
                    {
                        return Ok(self.shared.report_of(&state, path));
                    }
                } else {
                    match state.core.send_datagram(bytes) {
                        Ok(given) => number = Some(given),
                        Err(SendError::Full) => {}
                        Err(error) => return Err(io::Error::other(error)),
                    }
                }
                if state.ended() {
                    return Err(state.error(StreamEnd::default()));
                }
            }
            self.shared.wake();
            changed.await;
        }
    }

    /// The next unreliable message, and the path that it came by.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn recv_datagram(&self) -> io::Result<(Vec<u8>, PathReport)> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut state = self.shared.lock();
                let mut bytes = vec![0; 2_048];
                if let Some((len, path)) = state.core.recv_datagram(&mut bytes) {
                    bytes.truncate(len);
                    return Ok((bytes, self.shared.report_of(&state, path)));
                }
                if state.ended() {
                    return Err(state.error(StreamEnd::default()));
                }
            }
            changed.await;
        }
    }

    /// Ends the connection. What has not arrived yet is lost: finish the streams first.
    pub fn close(&self, code: u32, reason: &str) {
        let now = self.shared.clock.now();
        self.shared.lock().core.close(code, reason, now);
        self.shared.wake();
    }

    /// Waits until the connection is over and the peer has been told.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.shared.closed.subscribe();
        let reason = closed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or(CloseReason::Idle)
    }

    fn streams(&self, id: StreamId) -> (SendStream, RecvStream) {
        (SendStream::new(self.shared.clone(), id), RecvStream::new(self.shared.clone(), id))
    }
}

/// The core's connection as hosts have it.
pub(crate) type Core = core_connection::Connection<HostStorage, HostCrypto>;

/// What the connection's handles, its driver and the endpoint share.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) peer: PublicKey,
    pub(crate) ticket: Option<TicketId>,
    /// Wakes the driver.
    driver: Notify,
    /// Something happened that is not a stream's.
    pub(crate) changed: Notify,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) closed: watch::Sender<Option<CloseReason>>,
    pub(crate) reports: watch::Sender<Vec<PathReport>>,
    link_names: Arc<dyn Fn(LinkId) -> String + Send + Sync>,
}

pub(crate) struct State {
    pub(crate) core: Core,
    watched: HashMap<StreamId, Watched>,
    opened: VecDeque<(StreamId, String)>,
    datagrams_left: VecDeque<(u32, PathId)>,
    over: Option<CloseReason>,
}

/// Who waits for a stream, and how it ended.
pub(crate) struct Watched {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) end: StreamEnd,
    /// The handles that are left.
    pub(crate) sender: bool,
    pub(crate) receiver: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamEnd {
    pub(crate) finished: bool,
    pub(crate) reset: Option<u32>,
    pub(crate) stopped: Option<u32>,
    /// Read to its end.
    pub(crate) read: bool,
    /// Gone with a peer that lost its state.
    pub(crate) lost: bool,
}

impl Shared {
    pub(crate) fn new(
        core: Core,
        clock: Clock,
        ticket: Option<TicketId>,
        link_names: Arc<dyn Fn(LinkId) -> String + Send + Sync>,
    ) -> Self {
        Self {
            peer: core.peer(),
            state: Mutex::new(State {
                core,
                watched: HashMap::new(),
                opened: VecDeque::new(),
                datagrams_left: VecDeque::new(),
                over: None,
            }),
            clock,
            ticket,
            driver: Notify::new(),
            changed: Notify::new(),
            connected: watch::Sender::new(false),
            closed: watch::Sender::new(None),
            reports: watch::Sender::new(Vec::new()),
            link_names,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There may be something to send.
    pub(crate) fn wake(&self) {
        self.driver.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.driver.notified().await;
    }

    /// Hands every path's state to whoever watches.
    pub(crate) fn publish(&self, state: &State) {
        let reports = state.core.paths().map(|report| self.describe(&report)).collect();
        self.reports.send_replace(reports);
    }

    fn report_of(&self, state: &State, path: PathId) -> PathReport {
        let found = state.core.paths().find(|report| report.id == path);
        found.map_or_else(|| gone(path), |report| self.describe(&report))
    }

    fn describe(&self, report: &ropewalk_core::path::PathReport) -> PathReport {
        PathReport {
            id: report.id,
            link_name: (self.link_names)(report.link),
            local: report.local.map_or_else(String::new, |ip: IpAddr| ip.to_string()),
            remote: match report.remote {
                Address::Ip(address) => address.to_string(),
                Address::Serial => "serial".into(),
            },
            state: report.state,
            smoothed_rtt: Duration::from_micros(report.smoothed_rtt.as_micros()),
            rate: report.rate,
            sent_packets: report.counters.sent_packets,
            lost_packets: report.counters.lost_packets,
            data_sent: report.counters.data_sent,
            data_received: report.counters.data_received,
            state_changes: report.counters.state_changes,
        }
    }
}

/// A path that is no more.
fn gone(id: PathId) -> PathReport {
    PathReport {
        id,
        link_name: "gone".into(),
        local: String::new(),
        remote: String::new(),
        state: PathState::Down,
        smoothed_rtt: Duration::ZERO,
        rate: 0,
        sent_packets: 0,
        lost_packets: 0,
        data_sent: 0,
        data_received: 0,
        state_changes: 0,
    }
}

impl State {
    pub(crate) const fn ended(&self) -> bool {
        self.over.is_some()
    }

    pub(crate) fn watch(&mut self, id: StreamId) -> &mut Watched {
        self.watched.entry(id).or_insert_with(|| Watched {
            reader: None,
            writer: None,
            end: StreamEnd::default(),
            sender: true,
            receiver: true,
        })
    }

    pub(crate) fn end(&self, id: StreamId) -> StreamEnd {
        self.watched.get(&id).map(|watched| watched.end).unwrap_or_default()
    }

    /// A handle went; with the last one everything known of the stream is forgotten.
    pub(crate) fn release(&mut self, id: StreamId, handle: impl FnOnce(&mut Watched)) {
        let watched = self.watch(id);
        handle(watched);
        if !watched.sender && !watched.receiver {
            self.watched.remove(&id);
        }
    }

    /// The error for a stream that ended like this.
    pub(crate) fn error(&self, end: StreamEnd) -> io::Error {
        end.describe().unwrap_or_else(|| {
            let text = match &self.over {
                Some(reason) => format!("the connection is over: {reason:?}"),
                None => "the stream is over".into(),
            };
            io::Error::new(io::ErrorKind::NotConnected, text)
        })
    }

    /// Takes in all that happened; whoever waits for it is woken.
    pub(crate) fn handle_events(&mut self, shared: &Shared) {
        while let Some(event) = self.core.poll_event() {
            self.handle_event(event, shared);
        }
    }

    fn handle_event(&mut self, event: core_connection::Event, shared: &Shared) {
        use core_connection::Event;
        tracing::debug!(?event, "connection");
        match event {
            Event::Connected => {
                shared.connected.send_replace(true);
            }
            Event::Restarted => {
                self.opened.clear();
                for watched in self.watched.values_mut() {
                    watched.end.lost = true;
                    wake_both(watched);
                }
            }
            Event::PathChanged { .. } | Event::PathGone(_) => shared.publish(self),
            Event::StreamOpened { stream, service } => {
                self.watch(stream);
                self.opened.push_back((stream, service.as_str().to_owned()));
                shared.changed.notify_waiters();
            }
            Event::StreamReadable(stream) => {
                if let Some(waker) = self.watch(stream).reader.take() {
                    waker.wake();
                }
            }
            Event::StreamWritable(stream) => {
                if let Some(waker) = self.watch(stream).writer.take() {
                    waker.wake();
                }
            }
            Event::StreamFinished(stream) => self.settle(stream, shared, |end| end.finished = true),
            Event::StreamReset { stream, code } => {
                self.settle(stream, shared, |end| end.reset = Some(code));
            }
            Event::StreamStopped { stream, code } => {
                self.settle(stream, shared, |end| end.stopped = Some(code));
            }
            Event::DatagramReceived => shared.changed.notify_waiters(),
            Event::DatagramSent { number, path } => {
                if self.datagrams_left.len() >= DATAGRAMS_REMEMBERED {
                    self.datagrams_left.pop_front();
                }
                self.datagrams_left.push_back((number, path));
                shared.changed.notify_waiters();
            }
            Event::Closed(reason) => self.close(reason, shared),
            _ => {}
        }
    }

    /// A stream ended one way or another. If its handles are gone nobody needs to know.
    fn settle(&mut self, id: StreamId, shared: &Shared, how: impl FnOnce(&mut StreamEnd)) {
        if let Some(watched) = self.watched.get_mut(&id) {
            how(&mut watched.end);
            wake_both(watched);
        }
        shared.changed.notify_waiters();
    }

    fn close(&mut self, reason: core_connection::CloseReason, shared: &Shared) {
        shared.publish(self);
        self.over = Some(translate(reason));
        for watched in self.watched.values_mut() {
            wake_both(watched);
        }
        shared.changed.notify_waiters();
    }

    /// Why it is over, if it is.
    pub(crate) const fn over(&self) -> Option<&CloseReason> {
        self.over.as_ref()
    }
}

fn wake_both(watched: &mut Watched) {
    for waker in [watched.reader.take(), watched.writer.take()].into_iter().flatten() {
        waker.wake();
    }
}

fn translate(reason: core_connection::CloseReason) -> CloseReason {
    use core_connection::CloseReason as Theirs;
    match reason {
        Theirs::Local { code } => CloseReason::Local { code },
        Theirs::Peer { code, reason } => {
            CloseReason::Peer { code, reason: reason.as_str().to_owned() }
        }
        Theirs::Idle => CloseReason::Idle,
        Theirs::Unreachable { undecipherable } => CloseReason::Unreachable { undecipherable },
        Theirs::Refused => CloseReason::Refused,
        _ => CloseReason::Protocol,
    }
}

const DATAGRAMS_REMEMBERED: usize = 256;
