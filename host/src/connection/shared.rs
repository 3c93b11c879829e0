//! What a connection's handles, its driver and the endpoint share: the core's connection under a
//! lock, and who waits for what.
//!
//! A stream's number is used again once the peer was restarted; [`StreamKey`] tells the lives apart,
//! so that a handle from before cannot touch its successor.

use super::report::{CloseReason, PathReport};
use crate::clock::Clock;
use crate::crypto::HostCrypto;
use crate::storage::HostStorage;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::Waker;
use core::time::Duration;
use ropewalk_core::connection as core_connection;
use ropewalk_core::connection::Event;
use ropewalk_core::error::{OpenError, SendError, code};
use ropewalk_core::id::{Arrival, LinkId, PathId, PublicKey, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::Instant;
use ropewalk_core::wire::TicketId;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// The core's connection as hosts have it.
pub(crate) type Core = core_connection::Connection<HostStorage, HostCrypto>;

/// The name that a link has or had.
type LinkName = Box<dyn Fn(LinkId) -> String + Send + Sync>;

pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) peer: PublicKey,
    pub(crate) ticket: Option<TicketId>,
    /// Wakes the driver.
    driver: Notify,
    /// Something happened that is not a stream's.
    pub(crate) changed: Notify,
    /// Tasks that wait until a stream may be opened. What allows it makes no event.
    openers: AtomicUsize,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) closed: watch::Sender<Option<CloseReason>>,
    pub(crate) reports: watch::Sender<Vec<PathReport>>,
    link_name: LinkName,
}

pub(crate) struct State {
    pub(crate) core: Core,
    /// Counts the peer's restarts.
    life: u32,
    /// The streams of this life that have handles.
    watched: HashMap<StreamId, Watched>,
    /// Streams that the peer opened and nobody has accepted yet.
    opened: VecDeque<(StreamId, String)>,
    /// The newest messages that left, and by which path.
    left: VecDeque<(u32, Option<PathId>)>,
    /// The newest message that left, whether remembered or not.
    newest_left: Option<u32>,
    /// Links whose quota is spent.
    spent: Vec<LinkId>,
    over: Option<CloseReason>,
    /// When something from the peer was last understood.
    heard: Instant,
}

/// Names a stream for as long as anybody may hold a handle on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamKey {
    /// Its number, in use again after a restart of the peer.
    pub(crate) id: StreamId,
    life: u32,
}

/// Who waits for a stream, and how it ended.
struct Watched {
    reader: Option<Waker>,
    writer: Option<Waker>,
    end: StreamEnd,
    /// Handles that are left.
    handles: u8,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamEnd {
    /// All that was written has arrived.
    pub(crate) finished: bool,
    /// The peer gave up sending.
    pub(crate) reset: Option<u32>,
    /// The peer wants no more.
    pub(crate) stopped: Option<u32>,
    /// Read to its end.
    pub(crate) read: bool,
}

/// How an unreliable message left.
pub(crate) enum Left {
    By(PathId),
    /// So many left since that nobody remembers.
    Forgotten,
    /// Packets had become too short for it.
    Dropped,
    /// The peer was restarted before it left.
    Restarted,
}

/// Names an unreliable message on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Message {
    number: u32,
    life: u32,
}

impl Shared {
    pub(crate) fn new(
        core: Core,
        clock: Clock,
        ticket: Option<TicketId>,
        link_name: LinkName,
    ) -> Self {
        Self {
            peer: core.peer(),
            state: Mutex::new(State {
                core,
                life: 0,
                watched: HashMap::new(),
                opened: VecDeque::new(),
                left: VecDeque::new(),
                newest_left: None,
                spent: Vec::new(),
                over: None,
                heard: clock.now(),
            }),
            clock,
            ticket,
            driver: Notify::new(),
            changed: Notify::new(),
            openers: AtomicUsize::new(0),
            connected: watch::Sender::new(false),
            closed: watch::Sender::new(None),
            reports: watch::Sender::new(Vec::new()),
            link_name,
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

    /// Takes in datagrams that came the same way. Whoever waits for what they bring is woken at
    /// once; the driver is the caller's to wake.
    pub(crate) fn receive<'d>(&self, at: Arrival, datagrams: impl Iterator<Item = &'d mut [u8]>) {
        let mut state = self.lock();
        let now = self.clock.now();
        for datagram in datagrams {
            match state.core.handle_datagram(at, datagram, now) {
                Ok(()) => state.heard = now,
                Err(discard) => tracing::trace!(%discard, "datagram dropped"),
            }
        }
        state.handle_events(self);
    }

    pub(crate) fn close(&self, code: u32, reason: &str) {
        self.lock().core.close(code, reason, self.clock.now());
        self.wake();
    }

    /// While what this returns lives, [`Self::changed`] also tells that a stream may open.
    pub(crate) fn count_opener(&self) -> impl Drop + '_ {
        struct Opener<'s>(&'s AtomicUsize);
        impl Drop for Opener<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.openers.fetch_add(1, Ordering::Relaxed);
        Opener(&self.openers)
    }

    /// Has those try again who could not open a stream.
    pub(crate) fn wake_openers(&self) {
        if self.openers.load(Ordering::Relaxed) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// For how long nothing from the peer was understood, on any path.
    pub(crate) fn silence(&self) -> Duration {
        let silence = self.clock.now().since(self.lock().heard);
        Duration::from_micros(silence.as_micros())
    }

    /// Hands every path's state to whoever watches.
    pub(crate) fn publish(&self, state: &State) {
        self.reports.send_replace(self.reports_now(state));
    }

    pub(crate) fn reports_now(&self, state: &State) -> Vec<PathReport> {
        state.core.paths().map(|report| self.describe(&report)).collect()
    }

    /// The names of links whose quota is spent.
    pub(crate) fn spent_links(&self) -> Vec<String> {
        self.lock().spent.iter().map(|link| (self.link_name)(*link)).collect()
    }

    /// A path as it is now; `None` stands for one that nobody remembers.
    pub(crate) fn report_of(&self, state: &State, path: Option<PathId>) -> PathReport {
        let path = path.unwrap_or(PathId(u32::MAX));
        let found = state.core.paths().find(|report| report.id == path);
        found.map_or_else(|| PathReport::gone(path), |report| self.describe(&report))
    }

    fn describe(&self, report: &ropewalk_core::path::PathReport) -> PathReport {
        PathReport::new(report, (self.link_name)(report.link))
    }
}

impl State {
    pub(crate) const fn ended(&self) -> bool {
        self.over.is_some()
    }

    /// Why it is over, if it is.
    pub(crate) const fn over(&self) -> Option<&CloseReason> {
        self.over.as_ref()
    }

    pub(crate) fn open(&mut self, service: &Service) -> Result<StreamKey, OpenError> {
        let id = self.core.open(service)?;
        Ok(self.watch(id))
    }

    /// The next stream that the peer opened.
    pub(crate) fn take_opened(&mut self) -> Option<(StreamKey, String)> {
        let (id, service) = self.opened.pop_front()?;
        Some((StreamKey { id, life: self.life }, service))
    }

    /// Begins to keep what two handles need to know of a stream.
    fn watch(&mut self, id: StreamId) -> StreamKey {
        let watched = Watched { reader: None, writer: None, end: StreamEnd::default(), handles: 2 };
        self.watched.insert(id, watched);
        StreamKey { id, life: self.life }
    }

    /// Whether the stream is of this life, and the core knows it by this number.
    pub(crate) const fn lives(&self, key: StreamKey) -> bool {
        key.life == self.life
    }

    fn watched(&mut self, key: StreamKey) -> Option<&mut Watched> {
        if self.lives(key) { self.watched.get_mut(&key.id) } else { None }
    }

    pub(crate) fn end(&self, key: StreamKey) -> StreamEnd {
        let watched = self.watched.get(&key.id).filter(|_| self.lives(key));
        watched.map(|watched| watched.end).unwrap_or_default()
    }

    pub(crate) fn wake_reader(&mut self, key: StreamKey, waker: &Waker) {
        if let Some(watched) = self.watched(key) {
            watched.reader = Some(waker.clone());
        }
    }

    pub(crate) fn wake_writer(&mut self, key: StreamKey, waker: &Waker) {
        if let Some(watched) = self.watched(key) {
            watched.writer = Some(waker.clone());
        }
    }

    /// The reader saw the stream's end.
    pub(crate) fn read_to_end(&mut self, key: StreamKey) {
        if let Some(watched) = self.watched(key) {
            watched.end.read = true;
        }
    }

    /// A handle went; with the last one everything known of the stream is forgotten.
    pub(crate) fn release(&mut self, key: StreamKey) {
        let Some(watched) = self.watched(key) else { return };
        watched.handles = watched.handles.saturating_sub(1);
        if watched.handles == 0 {
            self.watched.remove(&key.id);
        }
    }

    /// Queues a message.
    pub(crate) fn send_datagram(&mut self, bytes: &[u8]) -> Result<Message, SendError> {
        let number = self.core.send_datagram(bytes)?;
        Ok(Message { number, life: self.life })
    }

    /// How a message left; `None` until it has.
    pub(crate) fn take_left(&mut self, message: Message) -> Option<Left> {
        let Message { number, life } = message;
        if life != self.life {
            return Some(Left::Restarted);
        }
        if let Some(place) = self.left.iter().position(|(left, _)| *left == number) {
            let (_, path) = self.left.remove(place)?;
            return Some(path.map_or(Left::Dropped, Left::By));
        }
        // They leave in the order of their numbers, so it is among those that nobody remembers.
        let newest = self.newest_left?;
        (newest.wrapping_sub(number) < u32::MAX / 2).then_some(Left::Forgotten)
    }

    /// The error for a stream, or for the whole connection.
    pub(crate) fn error(&self, key: Option<StreamKey>) -> io::Error {
        if let Some(key) = key {
            if !self.lives(key) {
                return restarted();
            }
            if let Some(error) = self.end(key).error() {
                return error;
            }
        }
        match &self.over {
            Some(reason) => io::Error::new(io::ErrorKind::NotConnected, reason.clone()),
            None => io::Error::new(io::ErrorKind::NotConnected, "the stream is over"),
        }
    }

    /// Takes in all that happened; whoever waits for it is woken.
    pub(crate) fn handle_events(&mut self, shared: &Shared) {
        while let Some(event) = self.core.poll_event() {
            self.handle_event(event, shared);
        }
    }

    fn handle_event(&mut self, event: Event, shared: &Shared) {
        tracing::trace!(?event, "connection");
        match event {
            Event::Connected => {
                shared.connected.send_replace(true);
            }
            Event::Restarted => self.restart(shared),
            Event::LinkSpent(link) => {
                self.spent.retain(|known| *known != link);
                self.spent.push(link);
            }
            Event::PathChanged { .. } | Event::PathGone(_) => {
                tracing::debug!(?event, "path");
                shared.publish(self);
            }
            Event::StreamOpened { stream, service } => {
                self.watch(stream);
                self.opened.push_back((stream, service.as_str().to_owned()));
                shared.changed.notify_waiters();
            }
            Event::StreamReadable(stream) => self.notice(stream, |_| {}, true, false),
            Event::StreamWritable(stream) => self.notice(stream, |_| {}, false, true),
            Event::StreamFinished(stream) => {
                self.notice(stream, |end| end.finished = true, false, true);
            }
            Event::StreamReset { stream, code } => {
                self.notice(stream, |end| end.reset = Some(code), true, false);
            }
            Event::StreamStopped { stream, code } => {
                self.notice(stream, |end| end.stopped = Some(code), false, true);
            }
            Event::DatagramReceived => shared.changed.notify_waiters(),
            Event::DatagramSent { number, path } => {
                if self.left.len() >= LEFT_REMEMBERED {
                    self.left.pop_front();
                }
                self.left.push_back((number, path));
                self.newest_left = Some(number);
                shared.changed.notify_waiters();
            }
            Event::Closed(reason) => {
                tracing::debug!(?reason, "connection over");
                self.over = Some(reason.into());
                shared.publish(self);
                self.wake_all(shared);
            }
            _ => {}
        }
    }

    /// Something happened to a stream. If its handles are gone, nobody needs to know.
    fn notice(
        &mut self,
        id: StreamId,
        how: impl FnOnce(&mut StreamEnd),
        reader: bool,
        writer: bool,
    ) {
        let Some(watched) = self.watched.get_mut(&id) else { return };
        how(&mut watched.end);
        let reader = watched.reader.take_if(|_| reader);
        let writer = watched.writer.take_if(|_| writer);
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }

    /// The peer lost its state: the streams are gone, and their numbers begin anew.
    fn restart(&mut self, shared: &Shared) {
        tracing::info!("the peer was restarted; a fresh connection stands");
        self.life = self.life.wrapping_add(1);
        self.opened.clear();
        self.left.clear();
        self.newest_left = None;
        self.wake_all(shared);
        self.watched.clear();
    }

    fn wake_all(&mut self, shared: &Shared) {
        for watched in self.watched.values_mut() {
            for waker in [watched.reader.take(), watched.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
        shared.changed.notify_waiters();
    }
}

pub(crate) fn restarted() -> io::Error {
    let text = "the peer was restarted and knows nothing of this any more; do the same again";
    io::Error::new(io::ErrorKind::ConnectionReset, text)
}

impl StreamEnd {
    /// What ended the stream, for whoever still uses it.
    fn error(self) -> Option<io::Error> {
        match self.reset.or(self.stopped)? {
            code::UNKNOWN_SERVICE => {
                let text = "the peer does not offer this service; is it the right command there?";
                Some(io::Error::new(io::ErrorKind::ConnectionRefused, text))
            }
            code => {
                let text = format!("the peer gave the stream up (code {code})");
                Some(io::Error::new(io::ErrorKind::BrokenPipe, text))
            }
        }
    }
}

const LEFT_REMEMBERED: usize = 256;
