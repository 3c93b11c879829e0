//! The receiver reads its stream to the end, whatever it has to do meanwhile.

use super::super::receive::receive;
use super::super::send::{Input, send};
use super::{Scene, stored};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, ReadBuf};

/// A stream that remembers whether it was read to its end before it was dropped.
struct Reads<R> {
    inner: R,
    ended: bool,
    dropped_early: Arc<AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Reads<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, into);
        self.ended |= matches!(polled, Poll::Ready(Ok(()))) && into.filled().len() == before;
        polled
    }
}

impl<R> Drop for Reads<R> {
    fn drop(&mut self) {
        self.dropped_early.store(!self.ended, Ordering::Relaxed);
    }
}

/// A receiver that let go of the stream after the last frame told its sender to stop, while files
/// were on their last steps: now and then one that had arrived was called stopped.
#[tokio::test]
async fn the_receiver_hears_the_sender_out() {
    let scene = Scene::new();
    let path = scene.file("file", b"content");
    let (left, right) = tokio::io::duplex(32 << 10);
    let (left_read, left_write) = tokio::io::split(left);
    let (inner, right_write) = tokio::io::split(right);
    let dropped_early = Arc::new(AtomicBool::new(false));
    let reader = Reads { inner, ended: false, dropped_early: dropped_early.clone() };
    let (sent, received) = tokio::join!(
        send(left_read, left_write, vec![Input::Path(path)], &*scene.sent),
        receive(reader, right_write, scene.receiving())
    );
    assert_eq!((sent.unwrap(), received.unwrap()), (stored(1), stored(1)));
    assert!(!dropped_early.load(Ordering::Relaxed));
}
