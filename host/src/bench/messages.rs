//! How late each of many small messages is, over one reliable stream.
//!
//! What this end sends is due by the clock that all processes of a machine share
//! ([`clocks::monotonic`]), and what it receives is counted by that clock: between two PCs one-way
//! latency is right when both ends run on one machine, and only then. A board, which shares no clock,
//! counts from its fastest message. Latency counts from the moment at which a message was *due*: one
//! that waits because those before it are stuck is late, although it left at once when it could.
//! Memory does not grow with the number of messages.

pub use ropewalk_core::application::bench::{MESSAGES as SERVICE, MessagesOutcome as Outcome};

use super::{clocks, hear, noise, tell};
use crate::transfer::TransferError;
use core::time::Duration;
use hdrhistogram::Histogram;
use ropewalk_core::application::bench::{ANNOUNCEMENT_BYTES, MESSAGE_HEAD_BYTES};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::runtime::Handle;

/// The shortest message: its number and the moment at which it was due.
pub const SIZE_MIN: usize = MESSAGE_HEAD_BYTES;
/// The longest message, in bytes.
pub const SIZE_MAX: usize = 1 << 20;
/// The lowest rate, in messages a second.
pub const RATE_MIN: f64 = 0.01;
/// The highest rate, in messages a second.
pub const RATE_MAX: f64 = 10_000.0;

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Messages a second: [`RATE_MIN`] to [`RATE_MAX`].
    pub rate: f64,
    /// Bytes of each: [`SIZE_MIN`] to [`SIZE_MAX`].
    pub size: usize,
    /// For how long.
    pub time: Duration,
}

impl Plan {
    fn count(&self) -> u64 {
        ((self.rate * self.time.as_secs_f64()).round() as u64).max(1)
    }

    /// When a message is due, after the first. Each counts from the beginning, so that no rounding adds up.
    fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// Sends what `plan` says; `moved` is told of every message that was handed on.
///
/// # Errors
/// When the stream breaks, or the receiver's word is none.
pub async fn run<R, W>(
    reader: R,
    writer: W,
    plan: Plan,
    moved: impl Fn(u64) + Send + 'static,
) -> Result<Outcome, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    // A thread of its own sleeps to a tenth of a millisecond; the runtime's timers to a whole one.
    let runtime = Handle::current();
    let sending = tokio::task::spawn_blocking(move || send(&runtime, writer, plan, moved));
    sending
        .await
        .map_err(|error| TransferError::Lost(error.into()))?
        .map_err(TransferError::Lost)?;
    hear(reader).await
}

fn send<W: AsyncWrite + Unpin>(
    runtime: &Handle,
    mut writer: W,
    plan: Plan,
    moved: impl Fn(u64),
) -> io::Result<()> {
    let mut head = [0; ANNOUNCEMENT_BYTES];
    head[..4].copy_from_slice(&u32::try_from(plan.size).unwrap_or(u32::MAX).to_le_bytes());
    head[4..].copy_from_slice(&plan.count().to_le_bytes());
    runtime.block_on(writer.write_all(&head))?;
    let mut message = noise(plan.size.max(SIZE_MIN));
    let start = clocks::monotonic();
    for number in 0..plan.count() {
        let due = start + plan.due(number);
        let early = due.saturating_sub(clocks::monotonic());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        message[..8].copy_from_slice(&number.to_le_bytes());
        message[8..16].copy_from_slice(&nanoseconds(due).to_le_bytes());
        runtime.block_on(writer.write_all(&message))?;
        moved(message.len() as u64);
    }
    runtime.block_on(writer.shutdown())
}

/// Takes in messages to the end of the stream, and says how late they were. When the stream breaks, what
/// was seen until then comes with the error.
///
/// # Errors
/// When the stream breaks, or is not what the sender announced.
pub async fn serve<R, W>(reader: R, writer: W) -> Result<Outcome, (Option<Outcome>, TransferError)>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let mut seen = Seen::announced(&mut reader).await.map_err(|error| (None, error))?;
    let ended = seen.all(&mut reader).await;
    let outcome = seen.outcome();
    ended.map_err(|error| (Some(outcome), error))?;
    tell(&outcome, writer).await.map_err(|error| (Some(outcome), error))?;
    Ok(outcome)
}

/// What arrived so far.
struct Seen {
    size: usize,
    announced: u64,
    count: u64,
    /// In microseconds.
    latencies: Histogram<u64>,
    max: Duration,
}

impl Seen {
    async fn announced(reader: &mut (impl AsyncRead + Unpin)) -> Result<Self, TransferError> {
        let size = reader.read_u32_le().await.map_err(TransferError::Lost)? as usize;
        let announced = reader.read_u64_le().await.map_err(TransferError::Lost)?;
        if !(SIZE_MIN..=SIZE_MAX).contains(&size) {
            return Err(TransferError::Protocol("messages of a size that cannot be"));
        }
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)
            .map_err(|_| TransferError::Protocol("no histogram"))?;
        Ok(Self { size, announced, count: 0, latencies, max: Duration::ZERO })
    }

    async fn all(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<(), TransferError> {
        let mut message = vec![0; self.size];
        while self.count < self.announced {
            reader.read_exact(&mut message).await.map_err(TransferError::Lost)?;
            let now = clocks::monotonic();
            let (number, due) = (number(&message[..8]), number(&message[8..16]));
            if number != self.count {
                return Err(TransferError::Protocol("a message has another's number"));
            }
            self.arrived(now.saturating_sub(Duration::from_nanos(due)));
        }
        match reader.read(&mut message).await.map_err(TransferError::Lost)? {
            0 => Ok(()),
            _ => Err(TransferError::Protocol("more messages than announced")),
        }
    }

    fn arrived(&mut self, latency: Duration) {
        self.count += 1;
        self.max = self.max.max(latency);
        self.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    fn outcome(&self) -> Outcome {
        let part =
            |part| Duration::from_micros(self.latencies.value_at_quantile(part)).min(self.max);
        let lost = self.announced.saturating_sub(self.count);
        Outcome { count: self.count, lost, p50: part(0.5), p99: part(0.99), max: self.max }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

const BUFFER_BYTES: usize = 64 << 10;
/// Percentiles end at an hour; the longest latency does not.
const LATENCY_MAX_MICROS: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering};
    use std::sync::Arc;

    const PLAN: Plan = Plan { rate: 10_000.0, size: 100, time: Duration::from_millis(100) };

    fn announcement(size: u32, count: u64) -> Vec<u8> {
        [&size.to_le_bytes()[..], &count.to_le_bytes()].concat()
    }

    fn message(number: u64, age: Duration) -> Vec<u8> {
        let due = nanoseconds(clocks::monotonic() - age);
        [number.to_le_bytes(), due.to_le_bytes()].concat()
    }

    async fn served(bytes: Vec<u8>) -> Result<Outcome, (Option<Outcome>, TransferError)> {
        serve(&bytes[..], tokio::io::sink()).await
    }

    #[tokio::test]
    async fn both_ends_say_what_the_receiver_saw() {
        let (left, right) = tokio::io::duplex(10_000);
        let (left_read, left_write) = tokio::io::split(left);
        let (right_read, right_write) = tokio::io::split(right);
        let moved = Arc::new(AtomicU64::new(0));
        let counted = moved.clone();
        let count = move |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        };
        let (sent, served) =
            tokio::join!(run(left_read, left_write, PLAN, count), serve(right_read, right_write));
        let (sent, served) = (sent.unwrap(), served.unwrap());
        assert_eq!(sent, served);
        assert_eq!((sent.count, sent.lost, moved.load(Ordering::Relaxed)), (1_000, 0, 100_000));
        assert!(sent.p50 <= sent.p99 && sent.p99 <= sent.max && !sent.max.is_zero(), "{sent:?}");
    }

    /// The n-th message is due at n times the interval, however often rounding could have added up.
    #[test]
    fn the_highest_rate_does_not_drift() {
        let plan = Plan { rate: RATE_MAX, time: Duration::from_secs(86_400), ..PLAN };
        assert_eq!(plan.count(), 864_000_000);
        assert_eq!(plan.due(864_000_000), Duration::from_secs(86_400));
        let odd = Plan { rate: 7.0, time: Duration::from_secs(3), ..PLAN };
        assert_eq!((odd.count(), odd.due(21)), (21, Duration::from_secs(3)));
        assert_eq!(Plan { rate: 0.1, time: Duration::from_secs(1), ..PLAN }.count(), 1);
    }

    #[tokio::test]
    async fn latency_counts_from_the_moment_a_message_was_due() {
        let ages = [10, 20, 300].map(Duration::from_millis);
        let mut bytes = announcement(16, 3);
        for (number, age) in ages.into_iter().enumerate() {
            bytes.extend(message(number as u64, age));
        }
        let outcome = served(bytes).await.unwrap();
        let slack = Duration::from_secs(5); // Of a busy machine; nothing here waits.
        let about = |took: Duration, age| took >= age * 999 / 1_000 && took < age + slack;
        assert!(about(outcome.p50, ages[1]) && outcome.p50 < outcome.max, "{outcome:?}");
        assert!(about(outcome.p99, ages[2]) && about(outcome.max, ages[2]), "{outcome:?}");
    }

    #[tokio::test]
    async fn what_did_not_arrive_is_lost_and_told_with_the_error() {
        let mut bytes = announcement(16, 10);
        bytes.extend(message(0, Duration::ZERO));
        bytes.extend(&message(1, Duration::ZERO)[..15]);
        let (outcome, error) = served(bytes).await.unwrap_err();
        let outcome = outcome.unwrap();
        assert_eq!((outcome.count, outcome.lost), (1, 9));
        assert!(matches!(error, TransferError::Lost(_)), "{error}");
    }

    #[tokio::test]
    async fn a_sender_that_breaks_its_word_is_refused() {
        for size in [0, 15, SIZE_MAX as u32 + 1, u32::MAX] {
            let (outcome, error) = served(announcement(size, 1)).await.unwrap_err();
            assert!(outcome.is_none() && matches!(error, TransferError::Protocol(_)), "{error}");
        }
        let first = message(0, Duration::ZERO);
        for (count, next) in [(2, first.clone()), (1, message(1, Duration::ZERO))] {
            let bytes = [announcement(16, count), first.clone(), next].concat();
            let (_, error) = served(bytes).await.unwrap_err();
            assert!(matches!(error, TransferError::Protocol(_)), "{error}");
        }
    }

    #[test]
    fn memory_does_not_grow() {
        let histogram = Histogram::<u64>::new_with_bounds(1, LATENCY_MAX_MICROS, 3).unwrap();
        assert!(!histogram.is_auto_resize());
        assert!(histogram.distinct_values() * size_of::<u64>() < 512 << 10);
    }
}
