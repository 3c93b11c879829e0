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
