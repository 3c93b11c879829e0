//! The bytes of one answer: as many as were asked for, and in time.
//!
//! Time counts only while somebody waits for the server, not while nobody takes what came.

use super::store::{Failure, Spot};
use core::ops::Range;
use core::time::Duration;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::{Error, GetOptions, GetRange, GetResult};
use std::io;
use tokio::time::{Instant, timeout};

/// How long the server may be silent. Whoever has other sources does not wait so long.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long one answer may take in all: a piece of 1 MiB at less than 2 kB/s is not worth waiting for.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// An answer under way.
pub(super) struct Body {
    stream: BoxStream<'static, Result<bytes::Bytes, Error>>,
    left: u64,
    patience: Duration,
}

impl Body {
    /// Asks for this part of the object, or for all of it, and says how long all of it is.
    pub(super) async fn open(
        spot: &Spot,
        range: Option<Range<u64>>,
    ) -> Result<(u64, Self), Failure> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let mut patience = ANSWER_MAX;
        let answer: GetResult =
            wait(&mut patience, spot.store.get_opts(&spot.path, options)).await??;
        let (total, left) = (answer.meta.size, answer.range.end - answer.range.start);
        Ok((total, Self { stream: answer.into_stream(), left, patience }))
    }

    /// How many bytes are still to come.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` when all are there. What is more than was asked for is not read.
    pub(super) async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        while self.left > 0 {
            let Some(bytes) = wait(&mut self.patience, self.stream.next()).await? else {
                let early = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off");
                return Err(Failure::Busy(early));
            };
            let bytes = bytes?;
            let left = self.left.checked_sub(bytes.len() as u64);
            self.left =
                left.ok_or_else(|| Failure::broken("more bytes came than were asked for"))?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

async fn wait<T>(patience: &mut Duration, coming: impl Future<Output = T>) -> Result<T, Failure> {
    let since = Instant::now();
    let came = timeout(SILENCE_MAX.min(*patience), coming).await;
    *patience = patience.saturating_sub(since.elapsed());
    came.map_err(|_| {
        Failure::Busy(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer in time"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use tokio::time::sleep;

    fn body(every: Duration, bytes: &'static [u8], left: u64) -> Body {
        let stream = stream::unfold((), move |()| async move {
            sleep(every).await;
            Some((Ok(bytes::Bytes::from_static(bytes)), ()))
        });
        Body { stream: stream.boxed(), left, patience: ANSWER_MAX }
    }

    /// The bytes that came, and why no more did.
    async fn read(body: &mut Body, rest: Duration) -> (usize, Option<Failure>) {
        let mut came = 0;
        loop {
            match body.next().await {
                Ok(Some(bytes)) => came += bytes.len(),
                Ok(None) => return (came, None),
                Err(failure) => return (came, Some(failure)),
            }
            sleep(rest).await;
        }
    }

    fn is_late(failure: Option<Failure>) -> bool {
        matches!(failure, Some(Failure::Busy(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for_without_end() {
        let since = Instant::now();
        let (came, failure) = read(&mut body(SILENCE_MAX * 2, b"x", 9), Duration::ZERO).await;
        assert!(came == 0 && is_late(failure));
        assert_eq!(since.elapsed().as_secs(), SILENCE_MAX.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn nor_is_one_that_dribbles() {
        let every = Duration::from_secs(20);
        let (came, failure) = read(&mut body(every, b"x", 99), Duration::ZERO).await;
        assert!(came < 31 && is_late(failure), "{came}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_takes_what_came_does_not_count() {
        let rest = Duration::from_secs(500);
        let (came, failure) = read(&mut body(Duration::from_secs(1), b"x", 99), rest).await;
        assert!(came == 99 && failure.is_none(), "{came}");
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_was_asked_for_is_not_taken() {
        let (came, failure) = read(&mut body(Duration::ZERO, b"1234", 10), Duration::ZERO).await;
        assert!(came == 8 && matches!(failure, Some(Failure::Broken(_))), "{came}");
    }
}
