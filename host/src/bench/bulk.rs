//! How much arrives, in which time, with which gaps.

pub use ropewalk_core::application::bench::{BULK as SERVICE, BulkOutcome as Outcome};

use super::{hear, noise, tell};
use crate::transfer::TransferError;
use core::time::Duration;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const CHUNK_BYTES: usize = 128 << 10;

/// How much to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// For so long.
    Time(Duration),
}

/// The longest time between two arrivals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gaps {
    last: Option<Instant>,
    longest: Duration,
}

impl Gaps {
    /// Something arrived.
    pub fn arrived(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now.saturating_duration_since(last));
        }
    }

    /// The longest time so far.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

/// Sends noise; `moved` is told of every piece that was handed on.
///
/// # Errors
/// When the stream breaks, or the receiver's word is none.
pub async fn run<R, W>(
    reader: R,
    mut writer: W,
    amount: Amount,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let noise = noise(CHUNK_BYTES);
    let start = Instant::now();
    let mut sent = 0;
    loop {
        let left = match amount {
            Amount::Bytes(bytes) => bytes - sent,
            Amount::Time(time) if start.elapsed() < time => u64::MAX,
            Amount::Time(_) => 0,
        };
        let piece = left.min(noise.len() as u64);
        if piece == 0 {
            break;
        }
        let written =
            writer.write(&noise[..piece as usize]).await.map_err(TransferError::Lost)? as u64;
        sent += written;
        moved(written);
    }
    writer.shutdown().await.map_err(TransferError::Lost)?;
    hear(reader).await
}

/// Counts what arrives since `since`, and says so.
///
/// # Errors
/// When the stream breaks.
pub async fn serve<R, W>(mut reader: R, writer: W, since: Instant) -> Result<Outcome, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut room = vec![0; CHUNK_BYTES];
    let (mut bytes, mut gaps, mut last) = (0, Gaps::default(), since);
    loop {
        match reader.read(&mut room).await.map_err(TransferError::Lost)? {
            0 => break,
            read => bytes += read as u64,
        }
        last = Instant::now();
        gaps.arrived(last);
    }
    let outcome = Outcome { bytes, time: last - since, gap_max: gaps.longest() };
    tell(&outcome, writer).await?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn measured(amount: Amount) -> (Outcome, Outcome, u64) {
        let (left, right) = tokio::io::duplex(10_000);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        let counted = core::sync::atomic::AtomicU64::new(0);
        let moved = |bytes| {
            counted.fetch_add(bytes, core::sync::atomic::Ordering::Relaxed);
        };
        let (sent, served) = tokio::join!(
            run(left_read, left_write, amount, &moved),
            serve(right_read, right_write, Instant::now())
        );
        (sent.unwrap(), served.unwrap(), counted.into_inner())
    }

    #[tokio::test]
    async fn both_ends_say_what_the_receiver_saw() {
        let (sent, served, moved) = measured(Amount::Bytes(1_000_003)).await;
        assert_eq!(sent, served);
        assert_eq!((sent.bytes, moved), (1_000_003, 1_000_003));
        assert!(sent.time > Duration::ZERO && sent.gap_max <= sent.time);
    }

    #[tokio::test]
    async fn a_time_is_kept() {
        let (sent, ..) = measured(Amount::Time(Duration::from_millis(50))).await;
        assert!(sent.bytes > 0 && sent.time >= Duration::from_millis(45), "{sent:?}");
    }

    #[tokio::test]
    async fn a_receiver_that_says_nothing_is_noticed() {
        let (reader, writer) = (tokio::io::empty(), tokio::io::sink());
        let error = run(reader, writer, Amount::Bytes(1), &|_| {}).await.unwrap_err();
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
    }

    #[test]
    fn the_longest_gap_counts_from_the_first_arrival() {
        let (start, millis) = (Instant::now(), Duration::from_millis);
        let mut gaps = Gaps::default();
        for at in [100, 110, 150, 155] {
            gaps.arrived(start + millis(at));
        }
        assert_eq!(gaps.longest(), millis(40));
    }
}
