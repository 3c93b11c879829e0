//! A stream's two directions, as tokio readers and writers.
//!
//! They write into and read from the connection's own memory, under its lock: there is no buffer
//! between.

use crate::connection::{Shared, StreamEnd};
use core::pin::Pin;
use core::task::{Context, Poll};
use ropewalk_core::error::{ReadError, WriteError, code};
use ropewalk_core::id::StreamId;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The way out. Dropped before it was finished, it is given up.
pub struct SendStream {
    shared: Arc<Shared>,
    id: StreamId,
    finished: bool,
}

/// The way in. Dropped before its end, the peer is asked to stop.
pub struct RecvStream {
    shared: Arc<Shared>,
    id: StreamId,
}

impl SendStream {
    pub(crate) const fn new(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id, finished: false }
    }

    /// Gives up with a code of the application's.
    pub fn reset(&mut self, code: u32) {
        self.finished = true;
        self.shared.lock().core.stream(self.id).reset(code);
        self.shared.wake();
    }

    /// Waits until everything that was written, and the end, has arrived. The same as
    /// `AsyncWriteExt::shutdown`.
    ///
    /// # Errors
    /// When the stream or its connection ended otherwise.
    pub async fn finish(&mut self) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(self).await
    }
}

impl RecvStream {
    pub(crate) const fn new(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// Asks the peer to stop sending, with a code of the application's.
    pub fn stop(&mut self, code: u32) {
        self.shared.lock().core.stream(self.id).stop(code);
        self.shared.wake();
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        let end = state.end(self.id);
        let result = state.core.stream(self.id).write(data);
        match result {
            Ok(taken) => {
                drop(state);
                self.shared.wake();
                Poll::Ready(Ok(taken))
            }
            Err(WriteError::Blocked) if !state.ended() => {
                state.watch(self.id).writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(WriteError::Finished) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Poll::Ready(Err(state.error(end))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let first = !core::mem::replace(&mut self.finished, true);
        let mut state = self.shared.lock();
        if first {
            let result = state.core.stream(self.id).finish();
            if result.is_err() {
                let end = state.end(self.id);
                return Poll::Ready(Err(state.error(end)));
            }
            self.shared.wake();
        }
        let end = state.end(self.id);
        if end.finished {
            return Poll::Ready(Ok(()));
        }
        if state.ended() || end.stopped.is_some() || end.lost {
            return Poll::Ready(Err(state.error(end)));
        }
        state.watch(self.id).writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        let end = state.end(self.id);
        let result = state.core.stream(self.id).read(into.initialize_unfilled());
        match result {
            Ok(len) => {
                drop(state);
                into.advance(len);
                // Credit may have come back for the peer to hear of.
                self.shared.wake();
                Poll::Ready(Ok(()))
            }
            Err(ReadError::Finished) => {
                state.watch(self.id).end.read = true;
                Poll::Ready(Ok(()))
            }
            Err(ReadError::Unknown) if end.read => Poll::Ready(Ok(())),
            Err(ReadError::Blocked) if !state.ended() && !end.lost => {
                state.watch(self.id).reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(state.error(end))),
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !self.finished {
            state.core.stream(self.id).reset(code::DONE);
        }
        state.release(self.id, |watched| watched.sender = false);
        drop(state);
        self.shared.wake();
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.core.stream(self.id).stop(code::DONE);
        state.release(self.id, |watched| watched.receiver = false);
        drop(state);
        self.shared.wake();
    }
}

impl StreamEnd {
    /// What ended the stream, for whoever still uses it.
    pub(crate) fn describe(self) -> Option<io::Error> {
        let error = |kind, text: String| Some(io::Error::new(kind, text));
        match (self.lost, self.reset.or(self.stopped)) {
            (true, _) => {
                let text = "the peer was restarted and the stream is gone; do the same again";
                error(io::ErrorKind::ConnectionReset, text.into())
            }
            (_, Some(code::UNKNOWN_SERVICE)) => {
                let text = "the peer does not offer this service; is it the right command there?";
                error(io::ErrorKind::ConnectionRefused, text.into())
            }
            (_, Some(code)) => error(
                io::ErrorKind::BrokenPipe,
                format!("the peer gave the stream up (code {code})"),
            ),
            _ => None,
        }
    }
}
