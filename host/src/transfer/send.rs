//! The sending end: writes what the reading thread gives it, and at the same time hears the answers.

use super::ledger::{Ledger, Word};
use super::protocol::{Answer, Frame, FrameReader, FrameWriter, Message, fitting, parse};
use super::source::{self, Piece, Reins};
use super::{Event, Observer, Outcome, Summary, TransferError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{Receiver, error::TryRecvError};

pub use super::source::Input;

/// Sends `inputs` in their order. What the receiver refuses, or cannot be read, is told to
/// `observer` and counted; the rest goes on.
///
/// # Errors
/// When the stream breaks before every file has its verdict; those that have none are told to
/// `observer` as stopped.
pub async fn send<R, W>(
    reader: R,
    writer: W,
    inputs: Vec<Input>,
    observer: &dyn Observer,
) -> Result<Summary, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let ledger = Ledger::default();
    let tally = Tally { observer, summary: Mutex::default() };
    let reins = Arc::new(Reins::default());
    let pieces = source::read_all(inputs, Arc::clone(&reins));
    let mut sending =
        Sending { writer: FrameWriter::new(writer), ledger: &ledger, tally: &tally, reins };
    let ended = tokio::try_join!(sending.run(pieces), listen(reader, &ledger, &tally));
    for report in ledger.stop() {
        tally.ended(&report);
    }
    ended.map(|_| *tally.summary())
}

/// Counts what it tells the observer.
struct Tally<'o> {
    observer: &'o dyn Observer,
    summary: Mutex<Summary>,
}

impl Tally<'_> {
    fn summary(&self) -> std::sync::MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, report: &super::FileReport) {
        self.summary().count(&report.outcome);
        self.observer.event(Event::Ended(report));
    }

    fn left_out(&self, path: &str, reason: &str, failed: bool) {
        if failed {
            self.summary().count(&Outcome::Failed(String::new()));
        }
        self.observer.event(Event::LeftOut { path, reason });
    }
}

async fn listen<R: AsyncRead + Unpin>(
    reader: R,
    ledger: &Ledger,
    tally: &Tally<'_>,
) -> Result<(), TransferError> {
    let mut reader = FrameReader::new(reader);
    loop {
        let Frame::Control(body) = reader.next().await? else {
            return Err(TransferError::Protocol("content from the receiver"));
        };
        match parse(body)? {
            Answer::Ask(item) => ledger.hear(item, Word::Ask),
            Answer::Go(item) => ledger.hear(item, Word::Go),
            Answer::Verdict(item, verdict) => {
                if let Some(report) = ledger.settle(item, verdict)? {
                    tally.ended(&report);
                }
            }
            Answer::Finished => return Ok(()),
            Answer::Resume { item, bytes, blake3 } => {
                ledger.hear(item, Word::Resume(bytes, blake3));
            }
        }
    }
}

struct Sending<'s, W> {
    writer: FrameWriter<W>,
    ledger: &'s Ledger,
    tally: &'s Tally<'s>,
    reins: Arc<Reins>,
}

/// The file whose content comes out of the reading thread.
struct Current {
    item: u64,
    origin: Option<PathBuf>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its content goes out.
    Open,
    /// The receiver asked for its hash; content does not go out.
    Hushed,
    /// The receiver has given its verdict; nothing of it goes out.
    Skipped,
    /// The receiver has so many bytes of it from an earlier time, with this hash; the file is read anew.
    Resumed(u64, [u8; 32]),
}

impl<W: AsyncWrite + Unpin> Sending<'_, W> {
    async fn run(&mut self, mut pieces: Receiver<Piece>) -> Result<(), TransferError> {
        let mut current = None;
        while let Some(piece) = self.next(&mut pieces).await? {
            match piece {
                Piece::Folder { item, path } => self.folder(item, path).await?,
                Piece::FolderEnd(attributes) => self.say(Message::FolderEnd(attributes)).await?,
                Piece::LeftOut { path, reason, failed } => {
                    self.tally.left_out(&path, &reason, failed)
                }
                Piece::Begin { item, path, origin, size, attributes } => {
                    self.room().await?;
                    let message = Message::File { path: path.as_bytes(), size, attributes };
                    let began = Event::Began { path: &super::shown(&path), size };
                    self.tally.observer.event(began);
                    self.ledger.insert(item, path.clone(), false);
                    self.say(message).await?;
                    current = Some(Current { item, origin, state: State::Open });
                }
                Piece::Content(_) | Piece::Zeros(_) | Piece::From(_) => {
                    if let Some(current) = &mut current {
                        self.content(current, &piece).await?;
                    }
                    if let Some(Current { item, origin: Some(origin), state }) = &current
                        && let State::Resumed(bytes, blake3) = *state
                    {
                        let pieces = source::read_from(origin.clone(), *item, bytes, blake3);
                        self.again(*item, pieces).await?;
                        // What the first reading has still to say of it concerns nobody.
                        current = None;
                    }
                }
                Piece::End { blake3, bytes } => {
                    if let Some(current) = current.take() {
                        self.end(current, blake3, bytes).await?;
                    }
                }
                Piece::Fail(reason) => {
                    if let Some(current) = current.take() {
                        self.fail(&current, reason).await?;
                    }
                }
            }
        }
        self.say(Message::Done).await?;
        self.writer.shutdown().await
    }

    async fn say(&mut self, message: Message<'_>) -> Result<(), TransferError> {
        self.writer.control(&message).await
    }

    /// The next piece. What was written goes out before we wait for it.
    async fn next(&mut self, pieces: &mut Receiver<Piece>) -> Result<Option<Piece>, TransferError> {
        match pieces.try_recv() {
            Ok(piece) => Ok(Some(piece)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.writer.flush().await?;
                Ok(pieces.recv().await)
            }
        }
    }

    async fn room(&mut self) -> Result<(), TransferError> {
        if !self.ledger.has_room() {
            self.writer.flush().await?;
            self.ledger.room().await;
        }
        Ok(())
    }

    async fn folder(&mut self, item: u64, path: String) -> Result<(), TransferError> {
        self.room().await?;
        self.ledger.insert(item, path.clone(), true);
        self.say(Message::Folder { path: path.as_bytes() }).await
    }

    async fn content(&mut self, current: &mut Current, piece: &Piece) -> Result<(), TransferError> {
        self.heed(current).await?;
        if current.state != State::Open {
            return Ok(());
        }
        let bytes = match piece {
            Piece::Content(bytes) => {
                self.writer.content(bytes).await?;
                bytes.len() as u64
            }
            Piece::Zeros(bytes) => {
                self.say(Message::Zeros(*bytes)).await?;
                u64::from(*bytes)
            }
            Piece::From(from) => {
                self.say(Message::From(*from)).await?;
                *from
            }
            _ => 0,
        };
        self.tally.observer.event(Event::Moved(bytes));
        Ok(())
    }

    /// Does what the receiver has said meanwhile.
    async fn heed(&mut self, current: &mut Current) -> Result<(), TransferError> {
        match (current.state, self.ledger.word(current.item)) {
            (State::Open | State::Hushed, Word::Settled) => {
                self.reins.skip(current.item);
                current.state = State::Skipped;
                self.say(Message::Skip).await
            }
            (State::Open, Word::Ask) => {
                self.reins.hush(current.item);
                current.state = State::Hushed;
                self.say(Message::Pause).await
            }
            (State::Open, Word::Resume(bytes, blake3)) if current.origin.is_some() => {
                self.reins.skip(current.item);
                current.state = State::Resumed(bytes, blake3);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn end(
        &mut self,
        current: Current,
        blake3: [u8; 32],
        bytes: u64,
    ) -> Result<(), TransferError> {
        self.ledger.complete(current.item, bytes, blake3);
        match current.state {
            State::Skipped | State::Resumed(..) => Ok(()),
            State::Open => self.say(Message::End(blake3)).await,
            State::Hushed => {
                self.say(Message::Hash(blake3)).await?;
                self.writer.flush().await?;
                match current.origin {
                    Some(origin) if self.ledger.wanted(current.item).await => {
                        let pieces = source::read_again(origin, current.item);
                        self.again(current.item, pieces).await
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The hash was another one, and the receiver wants the content after all; or what it has not got of it.
    async fn again(&mut self, item: u64, mut pieces: Receiver<Piece>) -> Result<(), TransferError> {
        let mut current = Current { item, origin: None, state: State::Open };
        while let Some(piece) = self.next(&mut pieces).await? {
            match piece {
                Piece::Content(_) | Piece::Zeros(_) => self.content(&mut current, &piece).await?,
                Piece::From(from) => {
                    self.ledger.go_on_from(item, from);
                    self.content(&mut current, &piece).await?;
                }
                Piece::Fail(reason) => self.fail(&current, reason).await?,
                Piece::End { blake3, bytes } if current.state == State::Open => {
                    self.ledger.complete(item, bytes, blake3);
                    self.say(Message::End(blake3)).await?;
                }
                _ => {}
            }
            if current.state == State::Skipped {
                break;
            }
        }
        Ok(())
    }

    async fn fail(&mut self, current: &Current, reason: String) -> Result<(), TransferError> {
        if current.state == State::Skipped {
            return Ok(());
        }
        self.ledger.give_up(current.item, reason.clone());
        self.say(Message::Fail(fitting(&reason))).await
    }
}
