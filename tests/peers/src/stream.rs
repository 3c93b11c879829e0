//! Both workloads over any stream.

use crate::{Workload, tally};
use anyhow::Result;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Counts what comes until the stream ends, and prints it. `bulk` began when the connection was accepted.
pub(crate) async fn sink(
    mut stream: impl AsyncRead + Unpin,
    workload: Workload,
    mut bulk: tally::Bulk,
) -> Result<()> {
    let mut room = vec![0; CHUNK_BYTES];
    let line = match workload {
        Workload::Bulk { .. } => {
            while let len @ 1.. = stream.read(&mut room).await? {
                bulk.arrived(len);
            }
            bulk.line()
        }
        Workload::Messages { rate, size, seconds } => {
            let mut messages = tally::Messages::new(size, rate * seconds);
            while let len @ 1.. = stream.read(&mut room).await? {
                messages.arrived(&room[..len], tally::monotonic());
            }
            messages.line()
        }
    };
    println!("{line}");
    Ok(())
}

/// Sends the workload. Ending the stream is the caller's.
pub(crate) async fn source(
    stream: &mut (impl AsyncWrite + Unpin),
    workload: Workload,
) -> Result<()> {
    match workload {
        Workload::Bulk { bytes } => {
            let chunk = vec![0x5a; CHUNK_BYTES];
            let mut left = bytes;
            while left > 0 {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                stream.write_all(&chunk[..len]).await?;
                left -= len as u64;
            }
        }
        Workload::Messages { rate, size, seconds } => {
            let mut message = vec![0x5a; size];
            let begin = tally::monotonic();
            for number in 0..rate * seconds {
                let due = begin + number * 1_000_000_000 / rate;
                let wait = due.saturating_sub(tally::monotonic());
                tokio::time::sleep(Duration::from_nanos(wait)).await;
                tally::stamp(&mut message, due);
                stream.write_all(&message).await?;
            }
        }
    }
    Ok(())
}

const CHUNK_BYTES: usize = 128 << 10;
