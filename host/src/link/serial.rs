//! A serial line as a link: datagrams as frames (`docs/protocol.md` section 13), and never more than
//! about 50 ms of them under way to the far end.
//!
//! ```text
//!             opened                     reading or writing fails: unplugged
//!  (start) ------------> open ------------------------------------------------+
//!     |                  the link is up                                       v
//!     |                      ^                                              gone
//!     +--- not there ---+    +---- opened, the link has its number again --- the link is down,
//!                       +--------------------------------------------------> a look every 250 ms
//! ```
//!
//! The system's buffer for a line holds 4 KB and more: a third of a second at 115,200 baud, in which
//! nothing urgent gets past what lies there. So we count what was written against the line's rate, and
//! what finds 50 ms of bytes before it is dropped and counted, as a full socket drops: the core paces
//! itself by what arrives. Nobody ever waits for a line but the task that writes to it.

use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use ropewalk_core::wire::serial::{Decoder, encode, encoded_max};
use serial2_tokio::SerialPort;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A serial line to use: PATH or PATH:BAUD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialConfig {
    /// The line's device, or a link to it.
    pub path: PathBuf,
    /// Bits a second; a byte takes ten.
    pub baud: u32,
}

/// Why a text names no serial line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SerialConfigError {
    /// Too slow or too fast.
    #[error("{0} baud cannot be; write {BAUD_MIN} to {BAUD_MAX}, as in /dev/ttyUSB0:115200")]
    Baud(String),
    /// Nothing can be called by it.
    #[error("{0:?} is no path of a serial line; write one, as in /dev/ttyUSB0")]
    Path(String),
}

/// Why a serial line cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// It is not plugged in, or called otherwise.
    #[error(
        "there is no serial line {path}; plug it in, or name another (ls /dev/serial/by-id shows those of USB)",
        path = .0.display()
    )]
    Absent(PathBuf),
    /// It belongs to others.
    #[error(
        "this user may not open {path}; join the group that may (sudo usermod -aG dialout \"$USER\" on most systems) and log in again",
        path = .0.display()
    )]
    Forbidden(PathBuf),
    /// Two programs on a line get half of it each.
    #[error("another program uses {path}; end it first", path = .0.display())]
    Busy(PathBuf),
    /// A file, a folder, another kind of device.
    #[error("{path} is not a serial line", path = .0.display())]
    NotSerial(PathBuf),
    /// Two lines that would be one link.
    #[error(
        "two links are called {0:?}; name the serial line by another path, such as a symbolic link"
    )]
    SameName(String),
    /// The system refused.
    #[error("cannot use {path} at {baud} baud: {cause}", path = .line.path.display(), baud = .line.baud)]
    Io {
        /// Which.
        line: SerialConfig,
        /// Why.
        cause: io::Error,
    },
}

impl SerialConfig {
    /// What the link is called: the file's name.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The largest datagram that it carries: a frame of it takes a sixtieth of a second, but
    /// it is never shorter than the protocol's least.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        u16::try_from(self.baud / BITS_A_BYTE / 60).unwrap_or(u16::MAX).clamp(MTU_MIN, MTU_MAX)
    }

    /// How far ahead of the line we write, the last frame included. A slow line may have one full
    /// frame waiting behind the one that it carries, or it would stand still between them.
    fn queue_time(&self) -> Duration {
        let full = self.time(encoded_max(self.mtu().into()));
        QUEUE_TIME.max(full) + full
    }

    /// How long so many bytes take.
    fn time(&self, bytes: usize) -> Duration {
        let bits = (bytes as u64).saturating_mul(BITS_A_BYTE.into());
        Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(self.baud.max(1)))
    }
}

impl FromStr for SerialConfig {
    type Err = SerialConfigError;

    fn from_str(text: &str) -> Result<Self, SerialConfigError> {
        let is_number = |text: &str| text.bytes().all(|sign| sign.is_ascii_digit());
        // Paths may hold colons (/dev/serial/by-path), and then end in something else than a number.
        let (path, baud) = match text.rsplit_once(':') {
            Some((path, baud)) if is_number(baud) => (path, Some(baud)),
            _ => (text, None),
        };
        if Path::new(path).file_name().is_none() {
            return Err(SerialConfigError::Path(text.into()));
        }
        let number = baud.map_or(Ok(BAUD_DEFAULT), str::parse);
        match number {
            Ok(baud) if (BAUD_MIN..=BAUD_MAX).contains(&baud) => {
                Ok(Self { path: path.into(), baud })
            }
            _ => Err(SerialConfigError::Baud(baud.unwrap_or_default().into())),
        }
    }
}

impl fmt::Display for SerialConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.baud)
    }
}

/// Whether the line can be used now.
///
/// # Errors
/// Why it cannot.
pub fn probe(line: &SerialConfig) -> Result<(), SerialError> {
    let claimed = claim(&line.path).and_then(|claim| is_terminal(&claim));
    claimed.map_err(|cause| explained(line, cause))
}

/// A line, whether it is plugged in or not.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) config: SerialConfig,
    outbox: Mutex<Outbox>,
    filled: Notify,
    dropped: AtomicU64,
    corrupt: AtomicU64,
}

/// Frames on their way into the system's buffer.
#[derive(Debug)]
struct Outbox {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// When the line will have carried all that it was given.
    clear_at: Instant,
    /// Nobody writes while the line is gone.
    open: bool,
}

/// The system's end of a line, and our claim on it.
pub(crate) struct Port {
    port: SerialPort,
    _claim: Claim,
}

impl Line {
    pub(crate) fn new(config: SerialConfig) -> Self {
        let outbox =
            Outbox { frames: VecDeque::new(), bytes: 0, clear_at: Instant::now(), open: false };
        Self {
            config,
            outbox: Mutex::new(outbox),
            filled: Notify::new(),
            dropped: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
        }
    }

    /// Opens the line; blocks for a moment.
    pub(crate) fn open(&self) -> Result<Port, SerialError> {
        let SerialConfig { path, baud } = &self.config;
        let opened = claim(path)
            .and_then(|claim| Ok(Port { port: SerialPort::open(path, *baud)?, _claim: claim }));
        let port = opened.map_err(|cause| explained(&self.config, cause))?;
        self.outbox().restart(true);
        Ok(port)
    }

    /// Frames that were dropped because the line had enough to carry.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Frames that came damaged: noise, or another baud rate at the far end.
    pub(crate) fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Sends a run of datagrams of `segment_size` bytes, as far as the line takes them now.
    pub(crate) fn send(&self, run: &[u8], segment_size: usize) {
        for datagram in run.chunks(segment_size.max(1)) {
            let mut frame = vec![0; encoded_max(datagram.len())];
            let len = encode(datagram, &mut frame).unwrap_or(0);
            frame.truncate(len);
            if self.outbox().offer(frame, &self.config, Instant::now()) {
                self.filled.notify_one();
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Carries frames both ways until the line fails; `each` gets every datagram that comes.
    pub(crate) async fn carry(&self, port: &Port, each: impl FnMut(&mut [u8])) -> io::Error {
        let error = tokio::select! {
            error = self.read(&port.port, each) => error,
            error = self.write(&port.port) => error,
        };
        self.outbox().restart(false);
        error
    }

    async fn read(&self, port: &SerialPort, mut each: impl FnMut(&mut [u8])) -> io::Error {
        let (mut room, mut bytes) = (vec![0; FRAME_BYTES_MAX], vec![0; READ_BYTES]);
        let mut decoder = Decoder::new(&mut room);
        loop {
            let came = match port.read(&mut bytes).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => bytes.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error,
            };
            for byte in came {
                if let Some(len) = decoder.push(*byte) {
                    each(decoder.datagram(len));
                }
            }
            self.corrupt.fetch_add(core::mem::take(&mut decoder.corrupt), Ordering::Relaxed);
        }
    }

    async fn write(&self, port: &SerialPort) -> io::Error {
        loop {
            // A zero ends whatever noise the line made before, or half a frame.
            if let Err(error) = self.write_frames(port, vec![0]).await {
                return error;
            }
            // The line took nothing for a while: what waits is old by now.
            tracing::debug!(line = %self.config, "the line takes nothing");
            let _ = port.discard_output_buffer();
            let waiting = self.outbox().restart(true);
            self.dropped.fetch_add(waiting as u64 + 1, Ordering::Relaxed);
        }
    }

    /// Writes frame after frame until the line takes nothing any more.
    async fn write_frames(&self, port: &SerialPort, mut frame: Vec<u8>) -> io::Result<()> {
        loop {
            let mut rest = &frame[..];
            while !rest.is_empty() {
                match timeout(STUCK, port.write(rest)).await {
                    Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Ok(()),
                }
            }
            frame = self.next().await;
        }
    }

    async fn next(&self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.outbox().take() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Takes a frame that will be through [`QUEUE_TIME`] and a full frame from now. So a full one waits
    /// for [`QUEUE_TIME`] at most, and a short one, an acknowledgement mostly, finds room behind it.
    fn offer(&mut self, frame: Vec<u8>, line: &SerialConfig, now: Instant) -> bool {
        let ahead = self.clear_at.saturating_duration_since(now);
        let took = line.time(frame.len());
        let most = line.queue_time();
        if !self.open || ahead + took > most || line.time(self.bytes) + took > most {
            return false;
        }
        self.clear_at = now + ahead + took;
        self.bytes += frame.len();
        self.frames.push_back(frame);
        true
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(frame.len());
        Some(frame)
    }

    /// Forgets what waits; returns how many frames that were.
    fn restart(&mut self, open: bool) -> usize {
        let waiting = self.frames.len();
        *self = Self { frames: VecDeque::new(), bytes: 0, clear_at: Instant::now(), open };
        waiting
    }
}

fn explained(line: &SerialConfig, cause: io::Error) -> SerialError {
    let path = line.path.clone();
    match cause.kind() {
        io::ErrorKind::NotFound => SerialError::Absent(path),
        io::ErrorKind::PermissionDenied => SerialError::Forbidden(path),
        io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy => SerialError::Busy(path),
        io::ErrorKind::IsADirectory => SerialError::NotSerial(path),
        _ if cfg!(unix) && matches!(cause.raw_os_error(), Some(ENXIO | ENODEV)) => {
            SerialError::Absent(path)
        }
        _ if cfg!(unix) && cause.raw_os_error() == Some(ENOTTY) => SerialError::NotSerial(path),
        _ => SerialError::Io { line: line.clone(), cause },
    }
}

/// Holds the line for us: programs that ask as well are told that it is taken.
#[cfg(unix)]
type Claim = rustix::fd::OwnedFd;

#[cfg(unix)]
fn claim(path: &Path) -> io::Result<Claim> {
    use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
    // No terminal of ours, and no waiting for a modem's carrier.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[cfg(unix)]
fn is_terminal(claim: &Claim) -> io::Result<()> {
    use std::io::IsTerminal;
    if claim.is_terminal() { Ok(()) } else { Err(io::Error::from_raw_os_error(ENOTTY)) }
}

#[cfg(not(unix))]
fn is_terminal(_claim: &Claim) -> io::Result<()> {
    Ok(())
}

/// Elsewhere the system opens a line once only.
#[cfg(not(unix))]
struct Claim;

#[cfg(not(unix))]
fn claim(_path: &Path) -> io::Result<Claim> {
    Ok(Claim)
}

/// The usual rate.
const BAUD_DEFAULT: u32 = 115_200;
const BAUD_MIN: u32 = 300;
const BAUD_MAX: u32 = 50_000_000;
/// A start bit, eight bits, a stop bit.
pub(crate) const BITS_A_BYTE: u32 = 10;
/// The protocol's least on a serial line.
const MTU_MIN: u16 = 256;
/// As on Ethernet.
const MTU_MAX: u16 = 1_472;
/// How long a full frame may wait before the line begins to carry it.
const QUEUE_TIME: Duration = Duration::from_millis(50);
/// A line that takes nothing for so long is stuck.
const STUCK: Duration = Duration::from_millis(100);
/// The longest datagram that is taken, with its checksum.
const FRAME_BYTES_MAX: usize = 2_048 + 4;
const READ_BYTES: usize = 4_096;
/// No such device or address, by POSIX.
const ENXIO: i32 = 6;
/// No such device, by POSIX.
const ENODEV: i32 = 19;
/// Not a terminal, by POSIX.
const ENOTTY: i32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> SerialConfig {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_may_hold_colons_and_a_rate_behind_it() {
        let usb = config("/dev/ttyUSB0");
        assert_eq!((usb.name().as_str(), usb.baud), ("ttyUSB0", 115_200));
        assert_eq!(config("/dev/ttyUSB0:921600").baud, 921_600);
        let by_path = config("/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0");
        assert_eq!(by_path.name(), "pci-0000:00:14.0-usb-0:1:1.0-port0");
        assert_eq!(config("COM3:9600"), SerialConfig { path: "COM3".into(), baud: 9_600 });
        for bad in ["/dev/ttyUSB0:0", "/dev/ttyUSB0:99999999999", "/dev/ttyUSB0:", "/:9600", ""] {
            assert!(bad.parse::<SerialConfig>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_packet_is_short_enough_for_its_line() {
        let mtu = |baud| SerialConfig { path: "a".into(), baud }.mtu();
        assert_eq!([9_600, 115_200, 230_400, 921_600].map(mtu), [256, 256, 384, 1_472]);
        for baud in [115_200, 230_400, 460_800, 921_600, 3_000_000] {
            let line = SerialConfig { path: "a".into(), baud };
            let time = line.time(encoded_max(line.mtu().into()));
            assert!(time < QUEUE_TIME / 2, "{baud}: {time:?}");
        }
    }

    /// Offers frames all the time for a second; returns what the line took.
    fn taken(line: &SerialConfig, frame: usize) -> (usize, Duration) {
        let start = Instant::now();
        let mut outbox = Outbox { frames: VecDeque::new(), bytes: 0, clear_at: start, open: true };
        let (mut count, mut longest) = (0, Duration::ZERO);
        for millisecond in 0..1_000 {
            let now = start + Duration::from_millis(millisecond);
            while outbox.offer(vec![1; frame], line, now) {
                count += 1;
                longest = longest.max(outbox.clear_at - now);
                outbox.take();
            }
        }
        (count * frame, longest)
    }

    #[test]
    fn the_line_is_kept_busy_and_no_more() {
        for (baud, frame) in [(115_200, 263), (115_200, 40), (921_600, 1_483), (9_600, 263)] {
            let line = SerialConfig { path: "a".into(), baud };
            let (bytes, longest) = taken(&line, frame);
            let (second, most) = (line.time(bytes), line.queue_time());
            assert!(longest <= most, "{baud}: {longest:?} of queue");
            assert!(second >= Duration::from_secs(1), "{baud}: {second:?}");
            assert!(second <= Duration::from_secs(1) + most, "{baud}: {second:?}");
        }
    }

    #[test]
    fn a_line_that_takes_nothing_holds_little() {
        let (line, start) = (config("a"), Instant::now());
        let mut outbox = Outbox { frames: VecDeque::new(), bytes: 0, clear_at: start, open: true };
        for millisecond in 0..10_000 {
            outbox.offer(vec![1; 263], &line, start + Duration::from_millis(millisecond));
        }
        assert!(line.time(outbox.bytes) <= line.queue_time(), "{}", outbox.bytes);
        assert_eq!(outbox.restart(false), 3);
        assert!(!outbox.offer(vec![1], &line, start + Duration::from_secs(20)), "it is gone");
    }

    #[test]
    fn what_is_no_serial_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let error = |path: &Path| {
            let line = Line::new(SerialConfig { path: path.into(), baud: 115_200 });
            line.open().map(drop).unwrap_err()
        };
        let absent = error(&folder.path().join("ttyUSB7"));
        assert!(matches!(absent, SerialError::Absent(_)), "{absent}");
        assert!(absent.to_string().contains("ttyUSB7"), "{absent}");
        #[cfg(unix)]
        {
            let file = error(&file);
            assert!(matches!(file, SerialError::NotSerial(_)), "{file:?}");
            let folder = error(folder.path());
            assert!(matches!(folder, SerialError::NotSerial(_)), "{folder:?}");
            let denied = io::ErrorKind::PermissionDenied.into();
            let denied = explained(&config("/dev/ttyUSB0"), denied).to_string();
            assert!(denied.contains("dialout") && denied.contains("/dev/ttyUSB0"), "{denied}");
        }
    }
}
