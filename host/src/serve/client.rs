//! One client's stream: its requests in, answers out, as long as both like.
//!
//! ```text
//! requests ── reads ──> queue ──> the answering thread ──> a few chunks ──> the wire
//!                └ Cancel ──────────────^                        ^
//!                                    pause, close, the rate limit┘
//! ```
//!
//! Where the rate is limited content goes in parts of a tenth of a second, and a pause or the end is told between them.

use super::answers::{self, CHUNKS_AHEAD, Cancelled, Output};
use super::meter::Meter;
use super::protocol::{Answer, REQUESTS_MAX, Request};
use super::seats::Active;
use super::shelf::Shelf;
use super::throttle::Throttle;
use crate::transfer::TransferError;
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

/// Whether a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It does.
    #[default]
    Serving,
    /// Not now.
    Paused,
    /// Not any more.
    Closing,
}

/// What a client's stream needs of its server.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What is offered.
    pub shelf: Arc<Shelf>,
    /// Whether it is given.
    pub phase: watch::Receiver<Phase>,
    /// How fast all clients together get it.
    pub(super) throttle: Arc<Throttle>,
    /// Counts the bytes of content that this client gets.
    pub bytes: Arc<Meter>,
    /// Hears when this client asks for or gets something.
    pub active: Arc<Active>,
}

/// Serves until the client ends its stream, or the server closes.
///
/// # Errors
/// When the stream breaks, or the client says what the protocol does not allow.
pub async fn serve<R, W>(recv: R, send: W, serving: Serving) -> Result<(), TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // The list may be asked for besides.
    let (ask, requests) = mpsc::channel(REQUESTS_MAX + 1);
    let (out, answers) = mpsc::channel(CHUNKS_AHEAD);
    let cancelled = Cancelled::default();
    let (shelf, unwanted) = (serving.shelf.clone(), cancelled.clone());
    // It ends when this function lets go of both channels.
    tokio::task::spawn_blocking(move || answers::answer(&shelf, requests, &unwanted, &out));
    let active = Arc::clone(&serving.active);
    let mut writer = Writer { frames: FrameWriter::new(send), serving, told: Phase::Serving };
    let asked = hear(FrameReader::new(recv), ask, &cancelled, &active);
    let answered = writer.answer(answers);
    // A client that ends its stream has no use for answers either.
    tokio::select! {
        asked = asked => asked,
        answered = answered => answered,
    }
}

async fn hear<R: AsyncRead + Unpin>(
    mut frames: FrameReader<R>,
    ask: mpsc::Sender<Request>,
    cancelled: &Cancelled,
    active: &Active,
) -> Result<(), TransferError> {
    while let Some(frame) = frames.next_or_end().await? {
        active.touch(Instant::now());
        let Frame::Control(body) = frame else {
            return Err(TransferError::Protocol("a client sends no content"));
        };
        match parse(body)? {
            Request::Cancel(number) => cancelled.add(number),
            request => ask
                .try_send(request)
                .map_err(|_| TransferError::Protocol("more requests than are allowed"))?,
        }
    }
    Ok(())
}

struct Writer<W> {
    frames: FrameWriter<W>,
    serving: Serving,
    /// What the client believes.
    told: Phase,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn answer(&mut self, mut answers: mpsc::Receiver<Output>) -> Result<(), TransferError> {
        loop {
            let phase = *self.serving.phase.borrow_and_update();
            self.tell(phase).await?;
            if phase == Phase::Closing {
                return self.frames.shutdown().await;
            }
            let changed = self.serving.phase.changed();
            let output = tokio::select! {
                biased;
                changed = changed => match changed {
                    Ok(()) => continue,
                    // The server is gone without a word.
                    Err(_) => None,
                },
                output = answers.recv(), if phase == Phase::Serving => output,
            };
            match output {
                Some(output) => self.write(output).await?,
                None => return Ok(()),
            }
            if answers.is_empty() {
                self.frames.flush().await?;
            }
        }
    }

    async fn tell(&mut self, phase: Phase) -> Result<(), TransferError> {
        if phase == self.told {
            return Ok(());
        }
        self.told = phase;
        let answer = match phase {
            Phase::Serving => Answer::Resumed,
            Phase::Paused => Answer::Paused,
            Phase::Closing => Answer::Closing,
        };
        self.frames.control(&answer).await?;
        self.frames.flush().await
    }

    async fn write(&mut self, output: Output) -> Result<(), TransferError> {
        match output {
            Output::Item(bytes) => self.frames.control(&Answer::Item(&bytes)).await,
            Output::ListEnd => self.frames.control(&Answer::ListEnd).await,
            Output::Begin { number, length, first } => {
                self.frames.control(&Answer::Bytes { number, length }).await?;
                self.content(&first).await
            }
            Output::Content(bytes) => self.content(&bytes).await,
            Output::Cut(number) => self.frames.control(&Answer::Cut(number)).await,
            Output::No(number, reason) => self.frames.control(&Answer::No(number, reason)).await,
        }
    }

    async fn content(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let throttle = Arc::clone(&self.serving.throttle);
        for part in bytes.chunks(throttle.part()) {
            if !self.may_send(&throttle, part.len()).await? {
                return Ok(());
            }
            let now = Instant::now();
            self.serving.bytes.add(part.len() as u64, now);
            self.serving.active.touch(now);
            self.frames.content(part).await?;
        }
        Ok(())
    }

    /// Waits for the turn of so many bytes, and meanwhile tells of a pause. Whether they may go: not, if the server closes.
    async fn may_send(&mut self, throttle: &Throttle, bytes: usize) -> Result<bool, TransferError> {
        loop {
            let phase = *self.serving.phase.borrow_and_update();
            self.tell(phase).await?;
            match phase {
                Phase::Closing => return Ok(false),
                Phase::Serving if throttle.try_turn(bytes) => return Ok(true),
                _ => {}
            }
            self.frames.flush().await?;
            tokio::select! {
                biased;
                changed = self.serving.phase.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return Ok(false),
                },
                () = throttle.turn(bytes), if phase == Phase::Serving => return Ok(true),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
