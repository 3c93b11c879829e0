//! A stream's two directions, as tokio readers and writers.
//!
//! They write into and read from the connection's own memory, under its lock: there is no buffer
//! between.

use crate::connection::{Handle, StreamKey};
use core::pin::Pin;
use core::task::{Context, Poll};
use ropewalk_core::error::{ReadError, WriteError, code};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The way out. Dropped before it was finished, it is given up.
///
/// `AsyncWriteExt::shutdown` ends it and waits until everything has arrived. `flush` does nothing:
/// bytes leave by themselves.
pub struct SendStream {
    handle: Arc<Handle>,
    key: StreamKey,
    finished: bool,
}

/// The way in. Dropped before its end, the peer is asked to stop.
pub struct RecvStream {
    handle: Arc<Handle>,
    key: StreamKey,
}

impl SendStream {
    pub(crate) const fn new(handle: Arc<Handle>, key: StreamKey) -> Self {
        Self { handle, key, finished: false }
    }

    /// Gives up with a code of the application's (0x100 and up).
    pub fn reset(&mut self, code: u32) {
        self.finished = true;
        let mut state = self.handle.lock();
        if state.lives(self.key) {
            state.core.stream(self.key.id).reset(code);
        }
        drop(state);
        self.handle.wake();
    }

    /// Ends the stream, and waits until everything that was written has arrived. The same as
    /// `AsyncWriteExt::shutdown`.
    ///
    /// # Errors
    /// When the stream or its connection ended otherwise.
    pub async fn finish(&mut self) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(self).await
    }
}

impl RecvStream {
    pub(crate) const fn new(handle: Arc<Handle>, key: StreamKey) -> Self {
        Self { handle, key }
    }

    /// Asks the peer to stop sending, with a code of the application's (0x100 and up).
    pub fn stop(&mut self, code: u32) {
        let mut state = self.handle.lock();
        if state.lives(self.key) {
            state.core.stream(self.key.id).stop(code);
        }
        drop(state);
        self.handle.wake();
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.handle.lock();
        if !state.lives(self.key) {
            return Poll::Ready(Err(state.error(Some(self.key))));
        }
        match state.core.stream(self.key.id).write(data) {
            Ok(taken) => {
                drop(state);
                self.handle.wake();
                Poll::Ready(Ok(taken))
            }
            Err(WriteError::Blocked) if !state.ended() => {
                state.wake_writer(self.key, cx.waker());
                Poll::Pending
            }
            Err(WriteError::Finished) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Poll::Ready(Err(state.error(Some(self.key)))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let first = !core::mem::replace(&mut self.finished, true);
        let mut state = self.handle.lock();
        let end = state.end(self.key);
        if end.finished {
            return Poll::Ready(Ok(()));
        }
        if state.ended() || end.stopped.is_some() || !state.lives(self.key) {
            return Poll::Ready(Err(state.error(Some(self.key))));
        }
        if first && state.core.stream(self.key.id).finish().is_err() {
            return Poll::Ready(Err(state.error(Some(self.key))));
        }
        state.wake_writer(self.key, cx.waker());
        drop(state);
        if first {
            self.handle.wake();
        }
        Poll::Pending
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.handle.lock();
        // The core forgets a reset that was told; to a reader it is never the end of the stream.
        if !state.lives(self.key) || state.end(self.key).reset.is_some() {
            return Poll::Ready(Err(state.error(Some(self.key))));
        }
        match state.core.stream(self.key.id).read(into.initialize_unfilled()) {
            Ok(len) => {
                drop(state);
                into.advance(len);
                // There may be credit for the peer to hear of.
                self.handle.wake();
                Poll::Ready(Ok(()))
            }
            Err(ReadError::Finished) => {
                state.read_to_end(self.key);
                Poll::Ready(Ok(()))
            }
            Err(ReadError::Unknown) if state.end(self.key).read => Poll::Ready(Ok(())),
            Err(ReadError::Blocked) if !state.ended() => {
                state.wake_reader(self.key, cx.waker());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(state.error(Some(self.key)))),
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        let mut state = self.handle.lock();
        if !self.finished && state.lives(self.key) {
            state.core.stream(self.key.id).reset(code::DONE);
        }
        state.release(self.key);
        drop(state);
        self.handle.wake();
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let mut state = self.handle.lock();
        if state.lives(self.key) {
            state.core.stream(self.key.id).stop(code::DONE);
        }
        state.release(self.key);
        drop(state);
        self.handle.wake();
    }
}
