//! What arrives on a socket: to its connection, or to the listener.
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
    let mut desk = Desk {
        inner: inner.clone(),
        link,
        scratch: vec![0; DATAGRAM_MAX],
        woken: Vec::new(),
        answers: Vec::new(),
        replies: Vec::new(),
    };
    loop {
        let received = socket.receive(&mut inbox, |run| desk.sort(run)).await;
        for shared in desk.woken.drain(..) {
            shared.wake();
        }
        let mut answers = &desk.answers[..];
        for Reply { len, to, from } in desk.replies.drain(..) {
            // A reply that is lost is asked for again.
            let (answer, rest) = answers.split_at(len.min(answers.len()));
            socket.send_now(answer, to, from);
            answers = rest;
        }
        desk.answers.clear();
        if let Err(error) = received {
            tracing::debug!(link = link.0, %error, "cannot receive");
            inner.rescan.notify_one();
            // An error that repeats must not keep a core busy.
            tokio::time::sleep(RECEIVE_PAUSE).await;
        }
    }
}

/// Where one socket's mail is sorted.
struct Desk {
    inner: Arc<Inner>,
    link: LinkId,
    /// As long as any datagram that arrives: the listener writes its answers here.
    scratch: Vec<u8>,
    woken: Vec<Arc<Shared>>,
    /// The bytes of `replies`, one after the other. Under a flood there are many, and room is made once.
    answers: Vec<u8>,
    replies: Vec<Reply>,
}

/// An answer of the listener's.
struct Reply {
    len: usize,
    to: SocketAddr,
    from: Option<IpAddr>,
}

impl Desk {
    fn sort(&mut self, run: Run<'_>) {
        let (from, to) = (run.from, run.to);
        let at = Arrival { link: self.link, local: to, remote: Address::Ip(unscoped(from)) };
        let mut datagrams = run.datagrams().peekable();
        while let Some(first) = datagrams.next() {
            let id = destination(first);
            let Some(shared) = id.and_then(|id| self.inner.connection(id)) else {
                self.ask_listener(at, first, from, to);
                continue;
            };
            let together = core::iter::from_fn(|| datagrams.next_if(|d| destination(d) == id));
            shared.receive(at, core::iter::once(first).chain(together));
            self.wake(shared);
        }
    }

    /// Nobody's datagram: a first message, a first packet, or a stranger's noise.
    fn ask_listener(
        &mut self,
        at: Arrival,
        datagram: &mut [u8],
        from: SocketAddr,
        to: Option<IpAddr>,
    ) {
        let inner = &self.inner;
        inner.count_stranger(self.link, datagram.len());
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
                inner.count_stranger(self.link, len);
                let answer = self.scratch.get(..len).unwrap_or_default();
                self.answers.extend_from_slice(answer);
                self.replies.push(Reply { len: answer.len(), to: from, from: to });
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
