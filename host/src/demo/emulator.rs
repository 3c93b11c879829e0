//! A link between two UDP sockets, emulated in this process: rate, delay, a queue that drops what does
//! not fit, and a switch that cuts it.
//!
//! ```text
//! left socket <-> 127.0.i.3 <-> right socket       each direction: | queue (drop-tail) | rate | delay |
//! ```
//!
//! The kernel's own emulation (netem) needs privileges, and many systems lack it; this needs neither. What comes from
//! any address but the two ends is dropped. Releases happen on the runtime's clock of one millisecond.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Largest UDP payload.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How many datagrams one direction takes before the other has its turn.
const BATCH: usize = 64;

/// What a link is like, each direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bits a second.
    pub rate: u64,
    /// From the end of sending to arrival, one way.
    pub delay: Duration,
    /// How much may wait to be sent, in bytes; what comes beyond is dropped.
    pub queue_bytes: u64,
}

/// One direction's queue, reckoned without keeping it: when the line is free again says it all.
#[derive(Clone, Copy, Debug)]
pub struct Line<I = Instant> {
    shape: Shape,
    free_at: I,
}

impl<I: Copy + Ord + core::ops::Add<Duration, Output = I> + core::ops::Sub<I, Output = Duration>>
    Line<I>
{
    /// A line with nothing on it.
    pub const fn new(shape: Shape, now: I) -> Self {
        Self { shape, free_at: now }
    }

    /// When a datagram of `bytes` that comes now arrives at the other end; `None` if the queue has
    /// no room for it.
    pub fn admit(&mut self, bytes: usize, now: I) -> Option<I> {
        let start = self.free_at.max(now);
        let waiting = self.bytes_in(start - now);
        if waiting + bytes as u64 > self.shape.queue_bytes {
            return None;
        }
        self.free_at = start + self.time_of(bytes);
        Some(self.free_at + self.shape.delay)
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 8_000_000_000 / u128::from(self.shape.rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn bytes_in(&self, time: Duration) -> u64 {
        let bytes = time.as_nanos() * u128::from(self.shape.rate) / 8_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// What went through a link, both directions together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes that arrived.
    pub passed_bytes: AtomicU64,
    /// Datagrams that the queue had no room for.
    pub dropped: AtomicU64,
    /// Datagrams that met a cut link.
    pub cut: AtomicU64,
}

/// A running link. It ends when dropped.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Emulator {
    /// A link between the sockets `ends`. Each reaches the other by sending to the link's own
    /// address, which has `at`'s IP and a free port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(at: SocketAddr, ends: [SocketAddr; 2], shape: Shape) -> io::Result<Self> {
        let socket = UdpSocket::bind(at).await?;
        let address = socket.local_addr()?;
        let (is_cut, counters) = <(Arc<AtomicBool>, Arc<Counters>)>::default();
        let now = Instant::now();
        let way = |to| Way { to, line: Line::new(shape, now), flying: VecDeque::new() };
        let link = Link {
            socket,
            ways: [way(ends[1]), way(ends[0])],
            is_cut: Arc::clone(&is_cut),
            counters: Arc::clone(&counters),
        };
        let task = tokio::spawn(link.run());
        Ok(Self { address, is_cut, counters, task })
    }

    /// Where both ends send to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the link, or brings it back. What is on it when it is cut is lost.
    pub fn set_cut(&self, cut: bool) {
        self.is_cut.store(cut, Ordering::Relaxed);
    }

    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One direction.
struct Way {
    to: SocketAddr,
    line: Line,
    flying: VecDeque<(Instant, Box<[u8]>)>,
}

struct Link {
    socket: UdpSocket,
    /// To the right, to the left.
    ways: [Way; 2],
    is_cut: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl Link {
    async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let next =
                self.ways.iter().filter_map(|way| way.flying.front()).map(|(at, _)| *at).min();
            tokio::select! {
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                // An error here is of a datagram before, that its receiver has gone: not ours.
                _ = self.socket.readable() => {}
            }
            self.take(&mut buffer);
            self.release().await;
        }
    }

    fn take(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Ok((bytes, from)) = self.socket.try_recv_from(buffer) else { return };
            let [right, left] = &mut self.ways;
            let way = match from {
                _ if from == left.to => right,
                _ if from == right.to => left,
                _ => continue,
            };
            if self.is_cut.load(Ordering::Relaxed) {
                self.counters.cut.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let Some(datagram) = buffer.get(..bytes) else { continue };
            match way.line.admit(bytes, Instant::now()) {
                Some(at) => way.flying.push_back((at, datagram.into())),
                None => drop(self.counters.dropped.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    async fn release(&mut self) {
        let (now, cut) = (Instant::now(), self.is_cut.load(Ordering::Relaxed));
        for way in &mut self.ways {
            while way.flying.front().is_some_and(|(at, _)| *at <= now || cut) {
                let Some((_, datagram)) = way.flying.pop_front() else { break };
                let counters = &self.counters;
                if cut {
                    counters.cut.fetch_add(1, Ordering::Relaxed);
                } else if self.socket.send_to(&datagram, way.to).await.is_ok() {
                    counters.passed_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape =
        Shape { rate: 8_000_000, delay: Duration::from_millis(20), queue_bytes: 10_000 };

    fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    /// A clock for the test: time since its start.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Moment(Duration);

    impl core::ops::Add<Duration> for Moment {
        type Output = Self;
        fn add(self, span: Duration) -> Self {
            Self(self.0 + span)
        }
    }

    impl core::ops::Sub for Moment {
        type Output = Duration;
        fn sub(self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }

    #[test]
    fn rate_and_delay_add_up() {
        // 1,000 bytes at 8 Mbit/s take 1 ms.
        let mut line = Line::new(SHAPE, at(0));
        assert_eq!(line.admit(1_000, at(0)), Some(at(21)));
        assert_eq!(line.admit(1_000, at(0)), Some(at(22)), "after the one before");
        assert_eq!(line.admit(1_000, at(100)), Some(at(121)), "an idle line sends at once");
    }

    #[test]
    fn the_queue_drops_what_does_not_fit_and_takes_more_when_it_has_drained() {
        let mut line = Line::new(SHAPE, at(0));
        let taken = (0..15).filter(|_| line.admit(1_000, at(0)).is_some()).count();
        assert_eq!(taken, 10);
        assert_eq!(line.admit(1_000, at(3)), Some(at(31)));
        assert_eq!((0..5).filter(|_| line.admit(1_000, at(3)).is_some()).count(), 2);
    }

    async fn ends() -> (UdpSocket, UdpSocket, Emulator) {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (left, right) =
            (UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap());
        let addresses = [left.local_addr().unwrap(), right.local_addr().unwrap()];
        let emulator = Emulator::start(any, addresses, SHAPE).await.unwrap();
        left.connect(emulator.address()).await.unwrap();
        right.connect(emulator.address()).await.unwrap();
        (left, right, emulator)
    }

    #[tokio::test]
    async fn datagrams_arrive_late_slow_whole_and_in_order() {
        let (left, right, _emulator) = ends().await;
        let start = Instant::now();
        for number in 0..8_u8 {
            left.send(&[number; 1_000]).await.unwrap();
        }
        let mut buffer = [0; 2_000];
        for number in 0..8_u8 {
            assert_eq!(right.recv(&mut buffer).await.unwrap(), 1_000);
            assert_eq!(buffer[..1_000], [number; 1_000]);
            let soonest = SHAPE.delay + Duration::from_millis(u64::from(number) + 1);
            assert!(start.elapsed() >= soonest, "{number} after {:?}", start.elapsed());
        }
        right.send(b"back").await.unwrap();
        assert_eq!(left.recv(&mut buffer).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_cut_link_carries_nothing_until_it_is_back_and_strangers_never_pass() {
        let (left, right, emulator) = ends().await;
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        stranger.send_to(b"stranger", emulator.address()).await.unwrap();
        emulator.set_cut(true);
        left.send(b"lost").await.unwrap();
        while emulator.counters().cut.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        emulator.set_cut(false);
        left.send(b"found").await.unwrap();
        let mut buffer = [0; 100];
        let bytes = right.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..bytes], b"found");
        assert_eq!(emulator.counters().passed_bytes.load(Ordering::Relaxed), 5);
    }
}
