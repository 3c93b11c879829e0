//! What the receiver does with one file, in a thread of its own: looks where it belongs, takes the
//! content from a channel, verifies it and gives it its name. Plain blocking code; the order of messages is [`super::protocol`]'s.

use super::partial::{Partial, Replace, hash_file};
use super::protocol::Attributes;
use super::safe_path::{Root, SafePath};
use super::{FileReport, Outcome, shown};
use crate::trouble::words;
use cap_std::fs::Dir;
use core::time::Duration;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// A file that is here with the same length is compared by hash. Shorter than this, its content is
/// on the way before the sender hears the question.
const ASK_BYTES_MIN: u64 = 256 << 10;

const EXISTS: &str =
    "a file of this name is there, with other content (--overwrite at the receiver replaces it)";

/// Where files go.
pub enum Target {
    /// Below this folder.
    Folder(Root),
    /// One file, into this writer.
    Pipe(Mutex<Option<Box<dyn Write + Send>>>),
}

/// One file to be received.
pub(super) struct Job<'t> {
    pub(super) target: &'t Target,
    pub(super) path: Vec<u8>,
    pub(super) size: Option<u64>,
    pub(super) attributes: Attributes,
    pub(super) overwrite: bool,
    /// The pipe, if this is the file that goes into it.
    pub(super) pipe: Option<Box<dyn Write + Send>>,
    /// The sender's key.
    pub(super) sender: [u8; 32],
}

impl Job<'_> {
    /// What tells the file under way from any other: who sends it, where to, how long it is and of what time. Of a
    /// file without a length nothing is taken up.
    fn mark(&self) -> Option<u32> {
        let size = self.size?;
        let modified = self.attributes.modified?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.sender).update(&size.to_le_bytes());
        hasher.update(&modified.seconds.to_le_bytes()).update(&modified.nanoseconds.to_le_bytes());
        hasher.update(&self.path);
        let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
        Some(u32::from_le_bytes([a, b, c, d]))
    }
}

impl Target {
    /// The pipe, for the first who asks. Files have threads of their own, whose order is anybody's
    /// guess: it is claimed before they begin.
    pub(super) fn claim_pipe(&self) -> Option<Box<dyn Write + Send>> {
        match self {
            Self::Folder(_) => None,
            Self::Pipe(pipe) => pipe.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

/// What arrives for it.
pub(super) enum Input {
    Content(Vec<u8>),
    /// Content that is all zeros.
    Zeros(u32),
    /// What follows begins at this byte.
    From(u64),
    /// Content stops here; the hash follows.
    Hash([u8; 32], Duration),
    /// All content was sent, and this is its hash; the last byte came after this time.
    End([u8; 32], Duration),
    Fail(String),
}

/// What goes back before the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Ask,
    Go,
    Resume(u64, [u8; 32]),
}

/// Receives the file. Whatever goes wrong is in the report.
pub(super) fn store(
    mut job: Job<'_>,
    mut input: mpsc::Receiver<Input>,
    say: &dyn Fn(Request),
) -> FileReport {
    let path = shown(&String::from_utf8_lossy(&job.path));
    let mut report = FileReport {
        path,
        bytes: 0,
        resumed: 0,
        time: Duration::ZERO,
        blake3: None,
        outcome: Outcome::Corrupt,
    };
    let outcome = match job.target {
        Target::Pipe(_) => pour(job.pipe.take(), &mut input, &mut report),
        Target::Folder(root) => file(&job, root, &mut input, say, &mut report),
    };
    report.outcome = outcome.unwrap_or_else(Outcome::Refused);
    report
}

/// Why a file is not taken, in words for the sender's user.
pub(super) fn reason(error: &io::Error) -> String {
    words(error, " at the receiver")
}

fn refuse(error: io::Error) -> String {
    reason(&error)
}

fn file(
    job: &Job<'_>,
    root: &Root,
    input: &mut mpsc::Receiver<Input>,
    say: &dyn Fn(Request),
    report: &mut FileReport,
) -> Result<Outcome, String> {
    let path = SafePath::parse(&job.path).map_err(|error| error.to_string())?;
    let folder = root.parent(&path).map_err(refuse)?;
    let place = Place { folder, name: path.name() };
    let present = place.length()?;
    let same_length = present.is_some() && present == job.size;
    if present.is_some() && !same_length && !job.overwrite {
        return Err(EXISTS.into());
    }
    let asked = same_length && job.size >= Some(ASK_BYTES_MIN);
    if asked {
        say(Request::Ask);
    }
    if same_length && !job.overwrite {
        return compare(&place, asked, input, report);
    }
    let ours = if asked { Some(place.hash_aside()?) } else { None };
    receive(job, &place, ours, input, say, report)
}

/// Where a file belongs.
struct Place<'p> {
    folder: Dir,
    name: &'p str,
}

impl Place<'_> {
    /// The length of the file that is there, if one is.
    fn length(&self) -> Result<Option<u64>, String> {
        match self.folder.symlink_metadata(self.name) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(metadata) if metadata.is_dir() => Err("a folder of this name is there".into()),
            Ok(metadata) if metadata.is_symlink() => {
                Err("a symbolic link of this name is there".into())
            }
            Ok(_) => Err("something that is no file has this name".into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(reason(&error)),
        }
    }

    fn hash(&self) -> Result<[u8; 32], String> {
        self.folder.open(self.name).and_then(|mut file| hash_file(&mut file)).map_err(refuse)
    }

    /// The hash, reckoned while content goes on arriving.
    fn hash_aside(&self) -> Result<JoinHandle<io::Result<[u8; 32]>>, String> {
        let mut file = self.folder.open(self.name).map_err(refuse)?;
        Ok(std::thread::spawn(move || hash_file(&mut file)))
    }
}

/// A file of the same name and length is there and must stay: only the hash counts.
fn compare(
    place: &Place<'_>,
    asked: bool,
    input: &mut mpsc::Receiver<Input>,
    report: &mut FileReport,
) -> Result<Outcome, String> {
    let aside = if asked { Some(place.hash_aside()?) } else { None };
    loop {
        match input.blocking_recv() {
            Some(Input::Content(_) | Input::Zeros(_) | Input::From(_)) => {}
            Some(Input::Hash(theirs, time) | Input::End(theirs, time)) => {
                let ours = match aside {
                    Some(aside) => joined(aside)?,
                    None => place.hash()?,
                };
                if ours != theirs {
                    return Err(EXISTS.into());
                }
                report.bytes = place.length()?.unwrap_or_default();
                (report.time, report.blake3) = (time, Some(ours));
                return Ok(Outcome::Already);
            }
            Some(Input::Fail(reason)) => return Ok(Outcome::Failed(reason)),
            None => return Ok(Outcome::Stopped { kept: None }),
        }
    }
}

fn joined(aside: JoinHandle<io::Result<[u8; 32]>>) -> Result<[u8; 32], String> {
    let hashed = aside.join().unwrap_or_else(|_| Err(io::Error::other("hashing failed")));
    hashed.map_err(refuse)
}

/// The way of every new file, and of one that replaces another. `ours` is the hash of the one that
/// is there, if the sender was asked for its own.
fn receive(
    job: &Job<'_>,
    place: &Place<'_>,
    mut ours: Option<JoinHandle<io::Result<[u8; 32]>>>,
    input: &mut mpsc::Receiver<Input>,
    say: &dyn Fn(Request),
    report: &mut FileReport,
) -> Result<Outcome, String> {
    let folder = place.folder.try_clone().map_err(refuse)?;
    let mut partial =
        Partial::create(folder, place.name, job.attributes, job.mark()).map_err(refuse)?;
    if ours.is_none()
        && let Some((bytes, blake3)) = partial.kept(job.size).map_err(refuse)?
    {
        say(Request::Resume(bytes, blake3));
    }
    loop {
        report.bytes = partial.bytes();
        match input.blocking_recv() {
            Some(Input::Content(bytes)) => {
                if job.size.is_some_and(|size| partial.bytes() + bytes.len() as u64 > size) {
                    return Ok(Outcome::Failed("more bytes came than were announced".into()));
                }
                partial.write(&bytes).map_err(refuse)?;
            }
            Some(Input::Zeros(bytes)) => {
                if job.size.is_some_and(|size| partial.bytes() + u64::from(bytes) > size) {
                    return Ok(Outcome::Failed("more bytes came than were announced".into()));
                }
                partial.write_zeros(bytes as usize).map_err(refuse)?;
            }
            Some(Input::From(from)) => {
                partial.go_on_from(from).map_err(refuse)?;
                report.resumed = from;
            }
            Some(Input::Hash(theirs, time)) => {
                if ours.take().map(joined).transpose()? == Some(theirs) {
                    report.bytes = job.size.unwrap_or_default();
                    (report.time, report.blake3) = (time, Some(theirs));
                    return Ok(Outcome::Already);
                }
                partial.restart().map_err(refuse)?;
                say(Request::Go);
            }
            Some(Input::End(theirs, time)) => {
                (report.time, report.blake3) = (time, Some(theirs));
                return finish(job, place, partial, theirs);
            }
            Some(Input::Fail(reason)) => return Ok(Outcome::Failed(reason)),
            None => return Ok(Outcome::Stopped { kept: Some(partial.keep()) }),
        }
    }
}

fn finish(
    job: &Job<'_>,
    place: &Place<'_>,
    partial: Partial,
    theirs: [u8; 32],
) -> Result<Outcome, String> {
    if job.size.is_some_and(|size| size != partial.bytes()) {
        return Ok(Outcome::Failed("fewer bytes came than were announced".into()));
    }
    if partial.blake3() != theirs {
        return Ok(Outcome::Corrupt);
    }
    let replace = if job.overwrite { Replace::Yes } else { Replace::No };
    match partial.publish(job.attributes, replace) {
        Ok(()) => Ok(Outcome::Stored),
        // It came to be while we received: another file of this transfer has its name.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            place.length()?;
            if place.hash()? == theirs { Ok(Outcome::Already) } else { Err(EXISTS.into()) }
        }
        Err(error) => Err(reason(&error)),
    }
}

/// Into a pipe. Nothing can be taken back there: a wrong hash is said afterwards.
fn pour(
    pipe: Option<Box<dyn Write + Send>>,
    input: &mut mpsc::Receiver<Input>,
    report: &mut FileReport,
) -> Result<Outcome, String> {
    let Some(mut out) = pipe else {
        return Err("the receiver writes to its standard output, which takes one file".into());
    };
    let closed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => "the receiver's standard output was closed".to_owned(),
        _ => reason(&error),
    };
    let mut hasher = blake3::Hasher::new();
    loop {
        match input.blocking_recv() {
            Some(Input::Content(bytes)) => {
                report.bytes += bytes.len() as u64;
                hasher.update(&bytes);
                out.write_all(&bytes).map_err(closed)?;
            }
            Some(Input::Zeros(bytes)) => {
                let zeros = vec![0; bytes as usize];
                report.bytes += u64::from(bytes);
                hasher.update(&zeros);
                out.write_all(&zeros).map_err(closed)?;
            }
            // It was not asked for: nothing of a pipe is there from an earlier time.
            Some(Input::From(_)) => return Ok(Outcome::Corrupt),
            Some(Input::End(theirs, time) | Input::Hash(theirs, time)) => {
                out.flush().map_err(closed)?;
                (report.time, report.blake3) = (time, Some(theirs));
                let right = *hasher.finalize().as_bytes() == theirs;
                return Ok(if right { Outcome::Stored } else { Outcome::Corrupt });
            }
            Some(Input::Fail(reason)) => return Ok(Outcome::Failed(reason)),
            None => return Ok(Outcome::Stopped { kept: None }),
        }
    }
}
