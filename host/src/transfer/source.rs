//! The sender's reading thread: walks, opens, reads and hashes, ahead of the wire by a few chunks.
//!
//! What it makes is one sequence of pieces through a bounded channel. The sender steers it through
//! [`Reins`]: a file that nobody wants is not read to its end, and one of which only the hash was asked for is read in silence.

use super::protocol::{Attributes, CHUNK_BYTES_MAX, PATH_BYTES_MAX};
use super::walk::{self, Step};
use core::sync::atomic::{AtomicU64, Ordering};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many pieces wait for the wire at most: one MiB of content.
const PIECES_AHEAD: usize = 8;

/// Something to send.
pub enum Input {
    /// A file or a folder.
    Path(PathBuf),
    /// Whatever comes out of a reader, as a file of this name.
    Stream {
        /// The name.
        name: String,
        /// The reader.
        reader: Box<dyn Read + Send>,
    },
}

/// One piece of what is to be sent, in the order of the wire.
pub(super) enum Piece {
    Folder {
        item: u64,
        path: String,
    },
    FolderEnd(Attributes),
    Begin {
        item: u64,
        path: String,
        origin: Option<PathBuf>,
        size: Option<u64>,
        attributes: Attributes,
    },
    Content(Vec<u8>),
    /// Content that is all zeros.
    Zeros(u32),
    /// What follows begins at this byte.
    From(u64),
    End {
        blake3: [u8; 32],
        bytes: u64,
    },
    Fail(String),
    LeftOut {
        path: String,
        reason: String,
        failed: bool,
    },
}

/// How the sender steers the reading thread. Items are kept plus one; zero is none.
#[derive(Debug, Default)]
pub(super) struct Reins {
    skip: AtomicU64,
    hush: AtomicU64,
}

impl Reins {
    /// Nobody wants the rest of this file.
    pub(super) fn skip(&self, item: u64) {
        self.skip.store(item + 1, Ordering::Relaxed);
    }

    /// Only this file's hash is wanted.
    pub(super) fn hush(&self, item: u64) {
        self.hush.store(item + 1, Ordering::Relaxed);
    }

    fn skipped(&self, item: u64) -> bool {
        self.skip.load(Ordering::Relaxed) == item + 1
    }

    fn hushed(&self, item: u64) -> bool {
        self.hush.load(Ordering::Relaxed) == item + 1
    }
}

/// Starts the thread that reads all of `inputs`. It ends with its work, or when nobody listens.
pub(super) fn read_all(inputs: Vec<Input>, reins: Arc<Reins>) -> mpsc::Receiver<Piece> {
    let (out, pieces) = mpsc::channel(PIECES_AHEAD);
    std::thread::spawn(move || {
        let mut reading = Reading { out, reins, next_item: 0 };
        inputs.into_iter().all(|input| reading.input(input))
    });
    pieces
}

/// Starts a thread that reads the file `item` once more, from its start.
pub(super) fn read_again(origin: PathBuf, item: u64) -> mpsc::Receiver<Piece> {
    let (out, pieces) = mpsc::channel(PIECES_AHEAD);
    std::thread::spawn(move || {
        let reading = Reading { out, reins: Arc::default(), next_item: item };
        match open(&origin) {
            Ok((file, metadata)) => reading.content(item, file, Some(&metadata)),
            Err(error) => reading.put(Piece::Fail(format!("it cannot be read again: {error}"))),
        }
    });
    pieces
}

/// Starts a thread that reads the file `item` once more: in silence as far as `bytes`, and from there if their hash
/// is `blake3`; else from its start.
pub(super) fn read_from(
    origin: PathBuf,
    item: u64,
    bytes: u64,
    blake3: [u8; 32],
) -> mpsc::Receiver<Piece> {
    let (out, pieces) = mpsc::channel(PIECES_AHEAD);
    std::thread::spawn(move || {
        let reading = Reading { out, reins: Arc::default(), next_item: item };
        let hashed = open(&origin).and_then(|(mut file, metadata)| {
            let mut hasher = blake3::Hasher::new();
            let read = io::copy(&mut (&mut file).take(bytes), &mut hasher)?;
            let same = read == bytes && *hasher.finalize().as_bytes() == blake3;
            if !same {
                file.rewind()?;
                hasher.reset();
            }
            Ok((file, metadata, hasher, if same { bytes } else { 0 }))
        });
        match hashed {
            Ok((file, metadata, hasher, from)) => {
                reading.put(Piece::From(from))
                    && reading.rest(item, file, Some(&metadata), hasher, from)
            }
            Err(error) => reading.put(Piece::Fail(format!("it cannot be read again: {error}"))),
        }
    });
    pieces
}

struct Reading {
    out: mpsc::Sender<Piece>,
    reins: Arc<Reins>,
    next_item: u64,
}

impl Reading {
    fn put(&self, piece: Piece) -> bool {
        self.out.blocking_send(piece).is_ok()
    }

    fn item(&mut self) -> u64 {
        let item = self.next_item;
        self.next_item += 1;
        item
    }

    fn input(&mut self, input: Input) -> bool {
        match input {
            Input::Path(path) => walk::walk(&path, &mut |step| self.step(step)),
            Input::Stream { name, reader } => {
                let item = self.item();
                let attributes = Attributes::default();
                let begin = Piece::Begin { item, path: name, origin: None, size: None, attributes };
                self.put(begin) && self.content(item, reader, None)
            }
        }
    }

    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Folder { path } if path.len() <= PATH_BYTES_MAX => {
                let item = self.item();
                self.put(Piece::Folder { item, path })
            }
            Step::FolderEnd(attributes) => self.put(Piece::FolderEnd(attributes)),
            Step::File { path, origin } if path.len() <= PATH_BYTES_MAX => self.file(path, origin),
            Step::Folder { path } | Step::File { path, .. } => {
                self.left_out(path, "its path is too long".into())
            }
            Step::LeftOut { path, reason, failed } => {
                self.put(Piece::LeftOut { path, reason, failed })
            }
        }
    }

    fn left_out(&self, path: String, reason: String) -> bool {
        self.put(Piece::LeftOut { path: super::shown(&path), reason, failed: true })
    }

    fn file(&mut self, path: String, origin: PathBuf) -> bool {
        let (file, metadata) = match open(&origin) {
            Ok(opened) => opened,
            Err(error) => return self.left_out(path, error.to_string()),
        };
        let item = self.item();
        let attributes = walk::attributes(&metadata);
        let size = Some(metadata.len());
        self.put(Piece::Begin { item, path, origin: Some(origin), size, attributes })
            && self.content(item, file, Some(&metadata))
    }

    fn content(&self, item: u64, reader: impl Read + Reopen, metadata: Option<&Metadata>) -> bool {
        self.rest(item, reader, metadata, blake3::Hasher::new(), 0)
    }

    /// Reads to the end; a file must be what `metadata` said, before and after. `bytes` were read before, into `hasher`.
    fn rest(
        &self,
        item: u64,
        mut reader: impl Read + Reopen,
        metadata: Option<&Metadata>,
        mut hasher: blake3::Hasher,
        mut bytes: u64,
    ) -> bool {
        loop {
            if self.reins.skipped(item) {
                return self.put(Piece::Fail("the receiver does not want it".into()));
            }
            let mut chunk = Vec::with_capacity(CHUNK_BYTES_MAX);
            match reader.by_ref().take(CHUNK_BYTES_MAX as u64).read_to_end(&mut chunk) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    return self.put(Piece::Fail(format!("it cannot be read on: {error}")));
                }
            }
            bytes += chunk.len() as u64;
            hasher.update(&chunk);
            if metadata.is_some_and(|before| bytes > before.len()) {
                return self.put(Piece::Fail("it grew while it was sent".into()));
            }
            let piece = match chunk.iter().all(|byte| *byte == 0) {
                true => Piece::Zeros(chunk.len() as u32),
                false => Piece::Content(chunk),
            };
            if !self.reins.hushed(item) && !self.put(piece) {
                return false;
            }
        }
        match metadata.and_then(|before| changed(before, bytes, reader.metadata_now())) {
            Some(change) => self.put(Piece::Fail(change)),
            None => self.put(Piece::End { blake3: *hasher.finalize().as_bytes(), bytes }),
        }
    }
}

/// A reader that may know what the system says of it now.
trait Reopen {
    fn metadata_now(&self) -> Option<Metadata>;
}

impl Reopen for File {
    fn metadata_now(&self) -> Option<Metadata> {
        self.metadata().ok()
    }
}

impl Reopen for Box<dyn Read + Send> {
    fn metadata_now(&self) -> Option<Metadata> {
        None
    }
}

fn changed(before: &Metadata, bytes: u64, after: Option<Metadata>) -> Option<String> {
    if bytes < before.len() {
        return Some(format!(
            "it shrank while it was sent, from {} to {bytes} bytes",
            before.len()
        ));
    }
    let after = after?;
    let same = after.len() == before.len() && after.modified().ok() == before.modified().ok();
    (!same).then(|| "it changed while it was sent".into())
}

/// The file, opened only if it still is a regular one: to open a pipe would wait for its other end.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file any more"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}
