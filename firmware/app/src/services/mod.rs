//! What a board answers on a connection's streams, and what it tells of itself.
//!
//! | service | what the board does |
//! |---|---|
//! | `bench` | counts bytes to the end of the stream, and says what it saw |
//! | `bench-messages` | times messages against the fastest of them, and says what it saw |
//! | `echo` | sends back what it hears |
//! | `telemetry` | opens it on connections that it dialled: a record a second; and logs what others tell |
//!
//! Each is a state that is moved on whenever something may have changed; none waits or keeps bytes
//! of its own, so what the peer does not read stays in the stream's memory and stops its sender.

mod heard;
mod latencies;
mod messages;

use core::time::Duration as Span;
use heapless::Vec;
use heard::Heard;
use messages::Messages;
use ropewalk_core::application::{bench, echo, telemetry};
use ropewalk_core::connection::{Connection, Storage};
use ropewalk_core::crypto::Crypto;
use ropewalk_core::error::{ReadError, WriteError};
use ropewalk_core::id::StreamId;
use ropewalk_core::path::{PathReport, PathState};
use ropewalk_core::stream::Service;
use ropewalk_core::time::{Duration, Instant};

/// The services that a board answers.
pub const NAMES: &[&str] = &[bench::BULK, bench::MESSAGES, echo::SERVICE, telemetry::SERVICE];

/// What a record tells beside the paths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vitals {
    /// How often the board has started.
    pub boot: u32,
    /// The longest turn of its loop.
    pub turn_max: Duration,
}

/// The services of one connection.
pub struct Services {
    tasks: Vec<(StreamId, Task), TASKS_MAX>,
    /// One measurement at a time, so that none disturbs another.
    messages: Messages,
    /// And one story of a peer.
    heard: Heard,
    /// When the connection began.
    since: Instant,
    records: u32,
    /// What the peer has not taken of the last record. Until it has, none is made.
    unsent: Vec<u8, { telemetry::RECORD_BYTES_MAX }>,
}

enum Task {
    Bulk(Bulk),
    Messages,
    Echo,
    Telemetry {
        due: Instant,
    },
    /// Another board's telemetry.
    Heard,
    /// A measurement is over: these bytes are its outcome.
    Tell(Vec<u8, { bench::OUTCOME_BYTES_MAX }>),
}

struct Bulk {
    bytes: u64,
    last: Option<Instant>,
    gap_max: Duration,
}

/// Whether a task goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Wait,
    Done,
    Tell(Vec<u8, { bench::OUTCOME_BYTES_MAX }>),
}

impl Services {
    /// Nothing is asked of us yet.
    #[must_use]
    pub const fn new(since: Instant) -> Self {
        Self {
            tasks: Vec::new(),
            messages: Messages::new(),
            heard: Heard::new(),
            since,
            records: 0,
            unsent: Vec::new(),
        }
    }

    /// The peer opened a stream. Returns whether somebody here takes it.
    pub fn on_opened(&mut self, stream: StreamId, service: &str) -> bool {
        let task = match service {
            bench::BULK => Task::Bulk(Bulk { bytes: 0, last: None, gap_max: Duration::ZERO }),
            bench::MESSAGES if !self.measures() => {
                self.messages = Messages::new();
                Task::Messages
            }
            echo::SERVICE => Task::Echo,
            telemetry::SERVICE if !self.hears() => {
                self.heard = Heard::new();
                Task::Heard
            }
            _ => return false,
        };
        self.tasks.push((stream, task)).is_ok()
    }

    /// The peer wants to hear no more.
    pub fn on_stopped(&mut self, stream: StreamId) {
        self.tasks.retain(|(id, _)| *id != stream);
    }

    /// The peer sends no more. Who only listens to us may say so at once.
    pub fn on_reset(&mut self, stream: StreamId) {
        self.tasks.retain(|(id, task)| *id != stream || matches!(task, Task::Telemetry { .. }));
    }

    /// Begins to tell of the board.
    pub fn begin_telemetry<S: Storage, C: Crypto>(
        &mut self,
        connection: &mut Connection<S, C>,
        now: Instant,
    ) {
        let Some(service) = Service::new(telemetry::SERVICE) else { return };
        let Ok(stream) = connection.open(&service) else { return };
        if self.tasks.push((stream, Task::Telemetry { due: now })).is_err() {
            connection.stream(stream).reset(BUSY);
        }
    }

    /// When the next record is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.tasks.iter().find_map(|(_, task)| match task {
            Task::Telemetry { due } => Some(*due),
            _ => None,
        })
    }

    /// Moves every task on as far as it goes.
    pub fn run<S: Storage, C: Crypto>(
        &mut self,
        connection: &mut Connection<S, C>,
        vitals: &Vitals,
        now: Instant,
    ) {
        let Self { tasks, messages, heard, since, records, unsent } = self;
        tasks.retain_mut(|(stream, task)| {
            let next = match task {
                Task::Bulk(bulk) => bulk.run(connection, *stream, *since, now),
                Task::Messages => run_messages(messages, connection, *stream, now),
                Task::Echo => run_echo(connection, *stream),
                Task::Heard => run_heard(heard, connection, *stream),
                Task::Telemetry { due } => {
                    if unsent.is_empty() && *due <= now {
                        let _ = unsent.resize_default(telemetry::RECORD_BYTES_MAX);
                        let record = record(connection, vitals, *records, now);
                        let len = record.encode(unsent).unwrap_or(0);
                        unsent.truncate(len);
                        *records = records.wrapping_add(1);
                    }
                    if *due <= now {
                        *due = now + RECORD_EVERY;
                    }
                    write_out(connection, *stream, unsent)
                }
                Task::Tell(outcome) => run_tell(connection, *stream, outcome),
            };
            if let Next::Tell(mut outcome) = next {
                let next = run_tell(connection, *stream, &mut outcome);
                *task = Task::Tell(outcome);
                return next != Next::Done;
            }
            next != Next::Done
        });
    }

    fn hears(&self) -> bool {
        self.tasks.iter().any(|(_, task)| matches!(task, Task::Heard))
    }

    fn measures(&self) -> bool {
        self.tasks.iter().any(|(_, task)| matches!(task, Task::Messages))
    }
}

impl Bulk {
    fn run<S: Storage, C: Crypto>(
        &mut self,
        connection: &mut Connection<S, C>,
        stream: StreamId,
        since: Instant,
        now: Instant,
    ) -> Next {
        let mut came = 0_usize;
        let ended = drain(connection, stream, |bytes| came = came.saturating_add(bytes.len()));
        if came > 0 {
            self.bytes = self.bytes.saturating_add(came as u64);
            if let Some(last) = self.last.replace(now) {
                self.gap_max = self.gap_max.max(now.since(last));
            }
        }
        match ended {
            ReadError::Blocked => Next::Wait,
            ReadError::Finished => {
                let time = self.last.unwrap_or(since).since(since);
                let (time, gap_max) = (span(time), span(self.gap_max));
                outcome(&bench::BulkOutcome { bytes: self.bytes, time, gap_max })
            }
            _ => Next::Done,
        }
    }
}

fn run_messages<S: Storage, C: Crypto>(
    messages: &mut Messages,
    connection: &mut Connection<S, C>,
    stream: StreamId,
    now: Instant,
) -> Next {
    let ended = drain(connection, stream, |bytes| messages.take(bytes, now.as_micros()));
    let over = match ended {
        _ if messages.is_wrong() => {
            connection.stream(stream).stop(BUSY);
            connection.stream(stream).reset(BUSY);
            return Next::Done;
        }
        ReadError::Blocked => return Next::Wait,
        ended => ended,
    };
    match messages.outcome() {
        Some(seen) if over == ReadError::Finished => outcome(&seen),
        _ => Next::Done,
    }
}

fn run_heard<S: Storage, C: Crypto>(
    heard: &mut Heard,
    connection: &mut Connection<S, C>,
    stream: StreamId,
) -> Next {
    let mut fits = true;
    let ended = drain(connection, stream, |bytes| fits &= heard.take(bytes));
    if !fits {
        connection.stream(stream).stop(BUSY);
    }
    if fits && ended == ReadError::Blocked {
        return Next::Wait;
    }
    let _ = connection.stream(stream).finish();
    Next::Done
}

/// Every byte goes from one direction to the other as soon as there is room for it.
fn run_echo<S: Storage, C: Crypto>(connection: &mut Connection<S, C>, stream: StreamId) -> Next {
    let mut piece = [0; PIECE_BYTES];
    loop {
        let mut handle = connection.stream(stream);
        let len = match handle.peek() {
            Ok(bytes) => {
                let len = bytes.len().min(PIECE_BYTES);
                let (Some(place), Some(bytes)) = (piece.get_mut(..len), bytes.get(..len)) else {
                    return Next::Done;
                };
                place.copy_from_slice(bytes);
                len
            }
            Err(ReadError::Blocked) => return Next::Wait,
            Err(ReadError::Finished) => {
                let _ = handle.finish();
                return Next::Done;
            }
            Err(_) => {
                handle.reset(BUSY);
                return Next::Done;
            }
        };
        match handle.write(piece.get(..len).unwrap_or_default()) {
            Ok(written) => handle.consume(written),
            Err(WriteError::Blocked) => return Next::Wait,
            Err(_) => {
                handle.stop(BUSY);
                return Next::Done;
            }
        }
    }
}

fn run_tell<S: Storage, C: Crypto>(
    connection: &mut Connection<S, C>,
    stream: StreamId,
    outcome: &mut Vec<u8, { bench::OUTCOME_BYTES_MAX }>,
) -> Next {
    let next = write_out(connection, stream, outcome);
    if next == Next::Wait && outcome.is_empty() {
        let _ = connection.stream(stream).finish();
        return Next::Done;
    }
    next
}

/// Writes as much as the stream takes, and keeps the rest.
fn write_out<S: Storage, C: Crypto, const N: usize>(
    connection: &mut Connection<S, C>,
    stream: StreamId,
    bytes: &mut Vec<u8, N>,
) -> Next {
    while !bytes.is_empty() {
        match connection.stream(stream).write(bytes) {
            Ok(written) => {
                let written = written.min(bytes.len());
                bytes.rotate_left(written);
                bytes.truncate(bytes.len().saturating_sub(written));
            }
            Err(WriteError::Blocked) => return Next::Wait,
            Err(_) => return Next::Done,
        }
    }
    Next::Wait
}

/// A record as it is now.
fn record<S: Storage, C: Crypto>(
    connection: &Connection<S, C>,
    vitals: &Vitals,
    count: u32,
    now: Instant,
) -> telemetry::Telemetry {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let path = |path: PathReport| telemetry::PathTelemetry {
        path: path.id.0,
        link: path.link,
        active: path.state == PathState::Active,
        rtt_us: micros(path.smoothed_rtt),
        sent: path.counters.sent_bytes,
        received: path.counters.received_bytes,
        lost: path.counters.lost_packets,
    };
    telemetry::Telemetry {
        count,
        boot: vitals.boot,
        uptime_ms: now.as_micros() / 1_000,
        turn_max_us: micros(vitals.turn_max),
        paths: connection.paths().take(telemetry::PATHS_MAX).map(path).collect(),
    }
}

/// Hands out all that can be read, and says why there is no more.
fn drain<S: Storage, C: Crypto>(
    connection: &mut Connection<S, C>,
    stream: StreamId,
    mut each: impl FnMut(&[u8]),
) -> ReadError {
    loop {
        let mut handle = connection.stream(stream);
        let len = match handle.peek() {
            Ok(bytes) => {
                each(bytes);
                bytes.len()
            }
            Err(ended) => return ended,
        };
        handle.consume(len);
    }
}

fn outcome(seen: &impl serde::Serialize) -> Next {
    let mut bytes = Vec::new();
    let _ = bytes.resize_default(bench::OUTCOME_BYTES_MAX);
    let len = postcard::to_slice(seen, &mut bytes).map_or(0, |used| used.len());
    bytes.truncate(len);
    Next::Tell(bytes)
}

fn span(time: Duration) -> Span {
    Span::from_micros(time.as_micros())
}

/// The code of streams that are broken off because there is no room for them, or they break the rules.
pub const BUSY: u32 = 0x110;
/// Streams that are served at once on one connection.
const TASKS_MAX: usize = 8;
const PIECE_BYTES: usize = 256;
const RECORD_EVERY: Duration = Duration::from_secs(1);
