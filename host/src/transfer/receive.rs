//! The receiving end: routes what arrives to the thread of the file it belongs to, and sends back what
//! those threads say. A file's last steps (making it durable, its name) go on while the next ones arrive.

use super::partial::set_folder_attributes;
use super::protocol::{
    Answer, Attributes, CHUNK_BYTES_MAX, Frame, FrameReader, FrameWriter, Message, Verdict,
    fitting, parse,
};
use super::safe_path::{Made, SafePath};
use super::store::{self, Input, Job, Request};
use super::{Event, FileReport, Observer, Outcome, Summary, TransferError, shown};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use super::store::Target;

/// How many files may be on their last steps at once.
const SETTLING_MAX: usize = 32;
/// How many chunks may wait for a file's thread.
const CHUNKS_AHEAD: usize = 4;
/// How many folders may wait for their attributes.
const FOLDER_ENDS_MAX: usize = 1_000;
/// How deep folders may lie; paths are too short for more.
const DEPTH_MAX: usize = 2_048;
/// How many words may wait for the wire.
const WORDS_AHEAD: usize = 64;

/// How to receive.
#[derive(Clone)]
pub struct Receiving {
    /// Where files go.
    pub target: Arc<Target>,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
    /// From when the first file's time counts: when the connection was accepted.
    pub since: Instant,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// The sender's key, so that what it left unfinished another time is taken up.
    pub sender: [u8; 32],
}

/// Receives until the sender is done.
///
/// # Errors
/// When the stream breaks, or the sender breaks the protocol. Files that were whole are there; one that was not is
/// kept under its temporary name.
pub async fn receive<R, W>(reader: R, writer: W, how: Receiving) -> Result<Summary, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (words, heard) = mpsc::channel(WORDS_AHEAD);
    let since = how.since;
    let mut receiver = Receiver {
        how,
        words,
        current: None,
        settling: JoinSet::new(),
        since,
        folders: Folders::default(),
        summary: Summary::default(),
        next_item: 0,
    };
    let read = async {
        let mut frames = FrameReader::new(reader);
        let ended = receiver.run(&mut frames).await;
        receiver.current = None;
        receiver.settle(0).await;
        let summary = receiver.summary;
        // The last word but one: with its sender gone, `answer` says that all is finished.
        drop(receiver);
        if ended.is_ok() {
            frames.finish().await;
        }
        ended.map(|()| summary)
    };
    // When the answers' way breaks, the other way ends soon by itself, and files need their end.
    let (ended, answered) = tokio::join!(read, answer(FrameWriter::new(writer), heard));
    let summary = ended?;
    answered.map(|()| summary)
}

/// Something for the sender.
enum Word {
    Request(u64, Request),
    Verdict(u64, Outcome, Duration),
}

async fn answer<W: AsyncWrite + Unpin>(
    mut writer: FrameWriter<W>,
    mut words: mpsc::Receiver<Word>,
) -> Result<(), TransferError> {
    while let Some(word) = words.recv().await {
        let answer = match &word {
            Word::Request(item, Request::Ask) => Answer::Ask(*item),
            Word::Request(item, Request::Go) => Answer::Go(*item),
            Word::Request(item, Request::Resume(bytes, blake3)) => {
                Answer::Resume { item: *item, bytes: *bytes, blake3: *blake3 }
            }
            Word::Verdict(item, outcome, time) => Answer::Verdict(*item, verdict(outcome, *time)),
        };
        writer.control(&answer).await?;
        if words.is_empty() {
            writer.flush().await?;
        }
    }
    writer.control(&Answer::Finished).await?;
    writer.flush().await?;
    // A sender that has heard this may hang up before we hear that it has: all is done then, too.
    let _ = writer.shutdown().await;
    Ok(())
}

fn verdict(outcome: &Outcome, time: Duration) -> Verdict<'_> {
    match outcome {
        Outcome::Stored => {
            Verdict::Stored { micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX) }
        }
        Outcome::Already => Verdict::Already,
        Outcome::Refused(reason) => Verdict::Refused(fitting(reason)),
        Outcome::Corrupt => Verdict::Corrupt,
        Outcome::Failed(_) | Outcome::Stopped { .. } => Verdict::GivenUp,
    }
}

struct Receiver {
    how: Receiving,
    words: mpsc::Sender<Word>,
    /// The way to the thread of the file whose content arrives.
    current: Option<mpsc::Sender<Input>>,
    settling: JoinSet<Outcome>,
    since: Instant,
    folders: Folders,
    summary: Summary,
    next_item: u64,
}

/// The folders that are being filled, and those that are full and wait for their attributes: they
/// get them when no file in them is on its last steps, since each new name changes a folder's time.
#[derive(Default)]
struct Folders {
    open: Vec<Option<SafePath>>,
    full: Vec<(SafePath, Attributes)>,
}

impl Receiver {
    async fn run<R: AsyncRead + Unpin>(
        &mut self,
        frames: &mut FrameReader<R>,
    ) -> Result<(), TransferError> {
        loop {
            match frames.next().await? {
                Frame::Content(bytes) => {
                    self.how.observer.event(Event::Moved(bytes.len() as u64));
                    self.put(Input::Content(bytes)).await;
                }
                Frame::Control(body) => match parse(body)? {
                    Message::File { path, size, attributes } => {
                        self.file(path, size, attributes).await
                    }
                    Message::Folder { path } => self.folder(path).await?,
                    Message::FolderEnd(attributes) => self.folder_end(attributes).await?,
                    Message::Pause => {}
                    Message::Hash(blake3) => {
                        let time = self.since.elapsed();
                        self.put(Input::Hash(blake3, time)).await;
                    }
                    Message::End(blake3) => {
                        let time = self.lap();
                        self.put(Input::End(blake3, time)).await;
                        self.current = None;
                    }
                    Message::Fail(reason) => {
                        self.lap();
                        self.put(Input::Fail(shown(reason))).await;
                        self.current = None;
                    }
                    Message::Skip => self.current = None,
                    Message::From(from) => {
                        self.how.observer.event(Event::Moved(from));
                        self.put(Input::From(from)).await;
                    }
                    Message::Zeros(bytes) if bytes as usize <= CHUNK_BYTES_MAX => {
                        self.how.observer.event(Event::Moved(bytes.into()));
                        self.put(Input::Zeros(bytes)).await;
                    }
                    Message::Zeros(_) => {
                        return Err(TransferError::Protocol("too many zeros at once"));
                    }
                    Message::Done => break,
                },
            }
        }
        self.finish_folders().await;
        Ok(())
    }

    /// Hands something to the current file's thread; one that has its verdict already is gone.
    async fn put(&self, input: Input) {
        if let Some(current) = &self.current {
            let _ = current.send(input).await;
        }
    }

    /// The time since the last file's end.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - core::mem::replace(&mut self.since, now)
    }

    const fn item(&mut self) -> u64 {
        let item = self.next_item;
        self.next_item += 1;
        item
    }

    async fn file(&mut self, path: &[u8], size: Option<u64>, attributes: Attributes) {
        self.current = None;
        self.settle(SETTLING_MAX - 1).await;
        let item = self.item();
        let began = Event::Began { path: &shown(&String::from_utf8_lossy(path)), size };
        self.how.observer.event(began);
        let (current, input) = mpsc::channel(CHUNKS_AHEAD);
        let (path, words, how) = (path.to_vec(), self.words.clone(), self.how.clone());
        let pipe = how.target.claim_pipe();
        self.settling.spawn_blocking(move || {
            let (target, overwrite) = (&*how.target, how.overwrite);
            let sender = how.sender;
            let job = Job { target, path, size, attributes, overwrite, pipe, sender };
            // A sender that is gone needs no word.
            let say = |request| drop(words.blocking_send(Word::Request(item, request)));
            let report = store::store(job, input, &say);
            how.observer.event(Event::Ended(&report));
            drop(words.blocking_send(Word::Verdict(item, report.outcome.clone(), report.time)));
            report.outcome
        });
        self.current = Some(current);
    }

    /// Waits until no more than `left` files are on their last steps.
    async fn settle(&mut self, left: usize) {
        while self.settling.len() > left {
            match self.settling.join_next().await {
                Some(Ok(outcome)) => self.summary.count(&outcome),
                Some(Err(_)) => self.summary.count(&Outcome::Corrupt),
                None => break,
            }
        }
    }

    async fn folder(&mut self, path: &[u8]) -> Result<(), TransferError> {
        self.current = None;
        if self.folders.open.len() >= DEPTH_MAX {
            return Err(TransferError::Protocol("folders lie too deep"));
        }
        let item = self.item();
        let (owned, how) = (path.to_vec(), self.how.clone());
        let made = tokio::task::spawn_blocking(move || make_folder(&how.target, &owned)).await;
        let made = made.unwrap_or_else(|_| Err("it could not be made".into()));
        let outcome = match made {
            Ok((path, made)) => {
                let ours = made == Made::New || self.how.overwrite;
                self.folders.open.push(ours.then_some(path));
                Outcome::Stored
            }
            Err(reason) => {
                self.folders.open.push(None);
                let outcome = Outcome::Refused(reason);
                self.summary.count(&outcome);
                let path = shown(&String::from_utf8_lossy(path));
                let (bytes, time, outcome) = (0, Duration::ZERO, outcome);
                let report = FileReport { path, bytes, resumed: 0, time, blake3: None, outcome };
                self.how.observer.event(Event::Ended(&report));
                report.outcome
            }
        };
        let _ = self.words.send(Word::Verdict(item, outcome, Duration::ZERO)).await;
        Ok(())
    }

    async fn folder_end(&mut self, attributes: Attributes) -> Result<(), TransferError> {
        self.current = None;
        let ended = self.folders.open.pop();
        if let Some(path) =
            ended.ok_or(TransferError::Protocol("a folder ends that never began"))?
        {
            self.folders.full.push((path, attributes));
        }
        if self.folders.full.len() >= FOLDER_ENDS_MAX {
            self.finish_folders().await;
        }
        Ok(())
    }

    async fn finish_folders(&mut self) {
        self.current = None;
        self.settle(0).await;
        let full = core::mem::take(&mut self.folders.full);
        let how = self.how.clone();
        let set = tokio::task::spawn_blocking(move || set_folders(&how.target, &full));
        // A folder whose time cannot be set is a folder all the same.
        let _ = set.await;
    }
}

fn make_folder(target: &Target, path: &[u8]) -> Result<(SafePath, Made), String> {
    let Target::Folder(root) = target else {
        return Err("the receiver writes to its standard output, which takes no folders".into());
    };
    let path = SafePath::parse(path).map_err(|error| error.to_string())?;
    let made = root.make_folder(&path).map_err(|error| store::reason(&error))?;
    Ok((path, made))
}

fn set_folders(target: &Target, folders: &[(SafePath, Attributes)]) {
    let Target::Folder(root) = target else { return };
    for (path, attributes) in folders {
        if let Ok(folder) = root.folder(path) {
            let _ = set_folder_attributes(&folder, *attributes);
        }
    }
}
