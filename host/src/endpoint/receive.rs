//! What arrives on a link: to its connection, or to the listener.
//!
//! Datagrams of one connection that arrive together are handed over under one lock, and its driver
//! is woken once for all of them.

use super::inner::{Inner, unscoped};
use crate::connection::Shared;
use crate::link::socket::{DATAGRAM_MAX, LinkSocket, Run};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use ropewalk_core::connection::Route;
use ropewalk_core::id::{Address, Arrival, LinkId};
use ropewalk_core::wire::destination;
use std::sync::Arc;

/// Receives on one socket for as long as its link is up.
pub(super) async fn receive(inner: Arc<Inner>, link: LinkId, socket: Arc<LinkSocket>) {
    let mut inbox = socket.inbox();
    let mut desk = Desk::new(inner.clone());
    let each = |desk: &mut Desk<Back>, run: Run<'_>| {
        let (from, to) = (run.from, run.to);
        let at = Arrival { link, local: to, remote: Address::Ip(unscoped(from)) };
        desk.sort(at, run.datagrams(), (from, to));
    };
    loop {
        let received = socket.receive(&mut inbox, |run| each(&mut desk, run)).await;
        desk.send_off(|answer, (to, from)| socket.send_now(answer, to, from));
        if let Err(error) = received {
            tracing::debug!(link = link.0, %error, "cannot receive");
            inner.rescan.notify_one();
            // An error that repeats must not keep a core busy.
            tokio::time::sleep(RECEIVE_PAUSE).await;
        }
    }
}

/// The way back from a socket: to whom, and from which of our addresses.
type Back = (SocketAddr, Option<IpAddr>);

/// Where one link's mail is sorted. `B` is the way back to who sent it.
pub(super) struct Desk<B> {
    inner: Arc<Inner>,
    /// As long as any datagram that arrives: the listener writes its answers here.
    scratch: Vec<u8>,
    woken: Vec<Arc<Shared>>,
    /// The bytes of `replies`, one after the other. Under a flood there are many, and room is made once.
    answers: Vec<u8>,
    /// How long each answer is, and where it goes.
    replies: Vec<(usize, B)>,
}

impl<B: Copy> Desk<B> {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            scratch: vec![0; DATAGRAM_MAX],
            woken: Vec::new(),
            answers: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Hands on datagrams that came the same way.
    pub(super) fn sort<'d>(
        &mut self,
        at: Arrival,
        datagrams: impl Iterator<Item = &'d mut [u8]>,
        back: B,
    ) {
        let mut datagrams = datagrams.peekable();
        while let Some(first) = datagrams.next() {
            let id = destination(first);
            let Some(shared) = id.and_then(|id| self.inner.connection(id)) else {
                self.ask_listener(at, first, back);
                continue;
            };
            let together = core::iter::from_fn(|| datagrams.next_if(|d| destination(d) == id));
            shared.receive(at, core::iter::once(first).chain(together));
            self.wake(shared);
        }
    }

    /// Wakes those for whom something came, and sends the listener's answers. One that is lost is
    /// asked for again.
    pub(super) fn send_off(&mut self, send: impl Fn(&[u8], B)) {
        for shared in self.woken.drain(..) {
            shared.wake();
        }
        let mut answers = &self.answers[..];
        for (len, back) in self.replies.drain(..) {
            let (answer, rest) = answers.split_at(len.min(answers.len()));
            send(answer, back);
            answers = rest;
        }
        self.answers.clear();
    }

    /// Nobody's datagram: a first message, a first packet, or a stranger's noise.
    fn ask_listener(&mut self, at: Arrival, datagram: &mut [u8], back: B) {
        let inner = &self.inner;
        inner.count_stranger(at.link, datagram.len());
        let is_known = |id| inner.is_connection(id);
        let mut admit = |peer, ticket| inner.config.admission.as_ref()?(peer, ticket);
        let now = inner.clock.now();
        let route = inner.listener().handle_datagram(
            at,
            datagram,
            &is_known,
            &mut admit,
            &mut self.scratch,
            now,
        );
        match route {
            Route::Known(_) => {} // It came to be in this moment; the datagram comes again.
            Route::Reply(len) => {
                inner.count_stranger(at.link, len);
                let answer = self.scratch.get(..len).unwrap_or_default();
                self.answers.extend_from_slice(answer);
                self.replies.push((answer.len(), back));
            }
            Route::Accept(incoming) => {
                let Some(shared) = self.inner.welcome(incoming) else { return };
                shared.receive(at, core::iter::once(datagram));
                let connection = crate::connection::Connection::new(shared.clone());
                if self.inner.incoming.try_send(connection).is_err() {
                    tracing::debug!("nobody accepts connections fast enough; one was turned away");
                }
                self.wake(shared);
            }
            Route::Discard(discard) => tracing::trace!(%discard, "datagram dropped"),
        }
    }

    fn wake(&mut self, shared: Arc<Shared>) {
        if !self.woken.last().is_some_and(|last| Arc::ptr_eq(last, &shared)) {
            self.woken.push(shared);
        }
    }
}

const RECEIVE_PAUSE: Duration = Duration::from_millis(20);
