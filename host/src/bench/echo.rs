//! How long bytes take to the peer and back, whether they come back as they were, and with which gaps.
//!
//! The peer sends back what it hears ([`ropewalk_core::application::echo`]) and measures nothing, so
//! everything here is as seen from this end.

pub use ropewalk_core::application::echo::SERVICE;

use super::bulk::Gaps;
use crate::transfer::TransferError;
use core::time::Duration;
use std::io;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes that went there and came back.
    pub bytes: u64,
    /// From the first byte out to the last one back.
    pub time: Duration,
    /// From the first byte out until the peer had all of them.
    pub there: Duration,
    /// From the first byte back to the last.
    pub back: Duration,
    /// From the first byte out to the first one back.
    pub round_trip: Duration,
    /// The longest time without bytes back, after the first.
    pub gap_max: Duration,
}

/// Why there is no outcome.
#[derive(Debug)]
pub enum EchoError {
    /// The stream broke.
    Stream(TransferError),
    /// This byte, counted from zero, is not what was sent.
    Changed(u64),
    /// The stream ended after so many bytes.
    Short(u64),
    /// More came back than was sent.
    Long,
}

impl From<io::Error> for EchoError {
    fn from(cause: io::Error) -> Self {
        Self::Stream(TransferError::Lost(cause))
    }
}

/// Sends `bytes` of noise and takes them back; `moved` is told of every piece that is back.
///
/// # Errors
/// When the stream breaks, or brings back something else.
pub async fn run<R, W>(
    reader: R,
    writer: W,
    bytes: u64,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, EchoError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let start = Instant::now();
    let sending = async {
        send(writer, bytes).await?;
        Ok::<_, EchoError>(start.elapsed())
    };
    let (there, back) = tokio::try_join!(sending, take_back(reader, bytes, moved))?;
    Ok(Outcome {
        bytes,
        time: back.last - start,
        there,
        back: back.last - back.first,
        round_trip: back.first - start,
        gap_max: back.gaps.longest(),
    })
}

async fn send(mut writer: impl AsyncWrite + Unpin, bytes: u64) -> Result<(), EchoError> {
    let (mut noise, mut sent) = (Noise::new(), 0);
    while sent < bytes {
        let piece = noise.next(bytes - sent);
        writer.write_all(piece).await?;
        sent += piece.len() as u64;
    }
    Ok(writer.shutdown().await?)
}

/// When what was back.
struct Back {
    first: Instant,
    last: Instant,
    gaps: Gaps,
}

async fn take_back(
    mut reader: impl AsyncRead + Unpin,
    bytes: u64,
    moved: &(dyn Fn(u64) + Sync),
) -> Result<Back, EchoError> {
    let (mut noise, mut room) = (Noise::new(), vec![0; CHUNK_BYTES]);
    let (mut came, mut first, mut last, mut gaps) = (0, None, Instant::now(), Gaps::default());
    loop {
        let read = reader.read(&mut room).await?;
        if read == 0 {
            break;
        }
        last = Instant::now();
        first.get_or_insert(last);
        gaps.arrived(last);
        let mut found = &room[..read];
        if found.len() as u64 > bytes - came {
            return Err(EchoError::Long);
        }
        while !found.is_empty() {
            let sent = noise.next(found.len() as u64);
            let (piece, rest) = found.split_at(sent.len());
            if let Some(at) = piece.iter().zip(sent).position(|(found, sent)| found != sent) {
                return Err(EchoError::Changed(came + at as u64));
            }
            came += piece.len() as u64;
            found = rest;
        }
        moved(read as u64);
    }
    match first {
        Some(first) if came == bytes => Ok(Back { first, last, gaps }),
        _ => Err(EchoError::Short(came)),
    }
}

/// Sends back what comes, to its end; returns how much that was.
///
/// # Errors
/// When the stream breaks.
pub async fn serve<R, W>(mut reader: R, mut writer: W) -> Result<u64, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let bytes = tokio::io::copy(&mut reader, &mut writer).await.map_err(TransferError::Lost)?;
    // Whoever has all of it back may hang up before we hear that it has.
    let _ = writer.shutdown().await;
    Ok(bytes)
}

/// The bytes of the stream, the same for both directions and different at every place.
struct Noise {
    source: blake3::OutputReader,
    chunk: Vec<u8>,
    used: usize,
}

impl Noise {
    fn new() -> Self {
        let source = blake3::Hasher::new().finalize_xof();
        Self { source, chunk: vec![0; CHUNK_BYTES], used: CHUNK_BYTES }
    }

    /// The next bytes, `most` of them at most.
    fn next(&mut self, most: u64) -> &[u8] {
        if self.used == self.chunk.len() {
            self.source.fill(&mut self.chunk);
            self.used = 0;
        }
        let left = self.chunk.len() - self.used;
        let len = usize::try_from(most).unwrap_or(left).min(left);
        let piece = &self.chunk[self.used..self.used + len];
        self.used += len;
        piece
    }
}

const CHUNK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_went_out_comes_back() {
        for bytes in [1, 65_536, 1_000_003] {
            let (left, right) = tokio::io::duplex(10_000);
            let (left_read, left_write) = tokio::io::split(left);
            let (right_read, right_write) = tokio::io::split(right);
            let counted = core::sync::atomic::AtomicU64::new(0);
            let moved = |bytes| {
                counted.fetch_add(bytes, core::sync::atomic::Ordering::Relaxed);
            };
            let (seen, served) = tokio::join!(
                run(left_read, left_write, bytes, &moved),
                serve(right_read, right_write)
            );
            let seen = seen.unwrap();
            assert_eq!([seen.bytes, served.unwrap(), counted.into_inner()], [bytes; 3]);
            assert!(seen.round_trip <= seen.time && seen.gap_max <= seen.back, "{seen:?}");
        }
    }

    async fn answered(bytes: &[u8]) -> EchoError {
        run(bytes, tokio::io::sink(), 100_000, &|_| {}).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_comes_back_otherwise_is_noticed() {
        let mut right = vec![0; 100_000];
        blake3::Hasher::new().finalize_xof().fill(&mut right);
        run(&right[..], tokio::io::sink(), 100_000, &|_| {}).await.unwrap();
        let short = answered(&right[..99_999]).await;
        assert!(matches!(short, EchoError::Short(99_999)), "{short:?}");
        assert!(matches!(answered(&[]).await, EchoError::Short(0)));
        let long = answered(&[&right[..], b"x"].concat()).await;
        assert!(matches!(long, EchoError::Long), "{long:?}");
        right[70_000] ^= 1;
        let changed = answered(&right).await;
        assert!(matches!(changed, EchoError::Changed(70_000)), "{changed:?}");
    }
}
