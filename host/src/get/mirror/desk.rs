//! The desk of a mirror: requests come in, a few are under way at once, events go out.
//!
//! ```text
//! requests ──> waiting ──> running, `width` at most ──> Chunk, Chunk, ... Done
//!                 ▲                    │                       └ No: it has it not, or another one
//!                 └── has too much to do: one connection fewer
//!                                      └ with one alone: Lost, and whoever drives it opens it again
//! ```
//!
//! What came of a piece before its answer broke off stays, and the next request begins behind it.

use super::body::Body;
use super::facts::At;
use super::look::{blocking, look};
use super::store::Failure;
use super::{CONNECTIONS, Mirror};
use crate::content::tree::GroupId;
use crate::get::peer::{Asker, Event, SharedOut, lock, tell};
use crate::serve::protocol::{Content, Reason, Request};
use crate::transfer::TransferError;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};

/// Most bytes of an event.
const CHUNK_BYTES: usize = 128 << 10;
/// What fails so often while other requests do well fails for a reason of its own.
const TRIES_MAX: u8 = 3;

/// A mirror, asked from now on. What it tells goes to `told`, with whatever names it there; the last word is [`Event::Lost`], and whoever
/// wants more of it opens it again. It is left when every asker is dropped.
///
/// The list is what the sidecar beside it says, which is fetched first if that was not done: an item, or nothing. Pieces of what the mirror
/// was told of are given meanwhile.
pub fn open<N>(mirror: Arc<Mirror>, name: N, told: mpsc::Sender<(N, Event)>) -> Asker
where
    N: Copy + Send + Sync + 'static,
{
    let (asker, requests, out) = Asker::new(Some(mirror.clone()));
    // Who answers must not keep alive what is left when nobody asks: the asker alone holds the way in.
    tokio::spawn(async move {
        let told = Told { name, told, out };
        let mut desk = Desk {
            mirror,
            told: told.clone(),
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            handles: HashMap::new(),
            width: CONNECTIONS,
        };
        if let Err(End::Failed(error)) = desk.run(requests).await {
            // Nothing of what was under way is said after the last word.
            desk.running.shutdown().await;
            let _ = told.say(Event::Lost(TransferError::Lost(error))).await;
        }
    });
    asker
}

/// Why there is no more to say.
enum End {
    /// Nobody listens, or nobody asks.
    Unheard,
    Failed(io::Error),
}

/// Where events go.
#[derive(Clone)]
struct Told<N> {
    name: N,
    told: mpsc::Sender<(N, Event)>,
    out: SharedOut,
}

impl<N: Copy> Told<N> {
    async fn say(&self, event: Event) -> Result<(), End> {
        match tell(&self.out, &self.told, self.name, event).await {
            true => Ok(()),
            false => Err(End::Unheard),
        }
    }
}

/// A request to be answered.
#[derive(Clone, Copy, Debug)]
struct Job {
    number: u64,
    of: Content,
    ask: Ask,
    tries: u8,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Group(GroupId),
    /// From a byte in the piece on.
    Piece {
        piece: u64,
        from: u64,
    },
}

/// Why a job is not done.
enum Stop {
    Failure(Failure),
    Unheard,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Failure(Failure::Missing(reason))
    }
}

impl From<End> for Stop {
    fn from(_: End) -> Self {
        Self::Unheard
    }
}

/// What is here and cannot be read.
impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Reason::Unreadable.into()
    }
}

struct Desk<N> {
    mirror: Arc<Mirror>,
    told: Told<N>,
    waiting: VecDeque<Job>,
    running: JoinSet<(Job, Result<(), Stop>)>,
    handles: HashMap<u64, AbortHandle>,
    width: usize,
}

impl<N: Copy + Send + Sync + 'static> Desk<N> {
    async fn run(&mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> Result<(), End> {
        let mirror = self.mirror.clone();
        let mut looking = core::pin::pin!(look(&mirror));
        let (mut is_looking, mut list_waits) = (true, false);
        loop {
            // By hashes from elsewhere pieces can be had at once, however long the sidecar is.
            if !is_looking || !mirror.lock().facts.is_empty() {
                self.start();
            }
            tokio::select! {
                looked = &mut looking, if is_looking => {
                    looked.map_err(End::Failed)?;
                    is_looking = false;
                    if core::mem::take(&mut list_waits) {
                        self.list().await?;
                    }
                }
                request = requests.recv() => match request.ok_or(End::Unheard)? {
                    Request::List if is_looking => list_waits = true,
                    request => self.take(request).await?,
                },
                Some(ended) = self.running.join_next() => self.ended(ended).await?,
            }
        }
    }

    fn start(&mut self) {
        while self.running.len() < self.width
            && let Some(mut job) = self.waiting.pop_front()
        {
            let (mirror, told) = (self.mirror.clone(), self.told.clone());
            let handle = self.running.spawn(async move {
                let ended = work(&mirror, &mut job, &told).await;
                (job, ended)
            });
            self.handles.insert(job.number, handle);
        }
    }

    async fn take(&mut self, request: Request) -> Result<(), End> {
        let job = match request {
            Request::List => return self.list().await,
            Request::Cancel(number) => return self.cancel(number).await,
            Request::Group { number, of, id } => Job { number, of, ask: Ask::Group(id), tries: 0 },
            Request::Piece { number, of, piece, from } => {
                let ask = Ask::Piece { piece, from: from.into() };
                Job { number, of, ask, tries: 0 }
            }
        };
        self.waiting.push_back(job);
        Ok(())
    }

    async fn list(&self) -> Result<(), End> {
        let facts: Vec<_> = self.mirror.lock().facts.values().cloned().collect();
        for facts in facts.iter().filter(|facts| facts.has_hashes()) {
            self.told.say(Event::Item(facts.item().clone())).await?;
        }
        lock(&self.told.out).settle_list();
        self.told.say(Event::ListEnd).await
    }

    async fn cancel(&mut self, number: u64) -> Result<(), End> {
        self.waiting.retain(|job| job.number != number);
        if let Some(handle) = self.handles.remove(&number) {
            handle.abort();
        }
        // Unless its answer was complete.
        if lock(&self.told.out).settle(number) {
            self.told.say(Event::Cut(number)).await
        } else {
            Ok(())
        }
    }

    async fn ended(
        &mut self,
        ended: Result<(Job, Result<(), Stop>), JoinError>,
    ) -> Result<(), End> {
        let (mut job, ended) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => return Err(End::Failed(io::Error::other(error))),
        };
        // One that was cancelled is out of the books.
        if self.handles.remove(&job.number).is_none() {
            return Ok(());
        }
        let event = match ended {
            Ok(()) => Event::Done(job.number),
            Err(Stop::Unheard) => return Err(End::Unheard),
            Err(Stop::Failure(Failure::Missing(reason))) => Event::No(job.number, reason),
            Err(Stop::Failure(Failure::Broken(error))) => return Err(End::Failed(error)),
            Err(Stop::Failure(Failure::Busy(error))) if self.running.is_empty() => {
                return Err(End::Failed(error));
            }
            Err(Stop::Failure(Failure::Busy(_))) if job.tries + 1 < TRIES_MAX => {
                job.tries += 1;
                self.width = self.running.len();
                self.waiting.push_front(job);
                return Ok(());
            }
            Err(Stop::Failure(Failure::Busy(_))) => Event::No(job.number, Reason::Unreadable),
        };
        lock(&self.told.out).settle(job.number);
        self.told.say(event).await
    }
}

/// Answers a request but for its last word.
async fn work<N: Copy>(mirror: &Mirror, job: &mut Job, told: &Told<N>) -> Result<(), Stop> {
    let (number, of) = (job.number, job.of);
    let facts = mirror.facts(of).ok_or(Reason::Unknown)?;
    let (piece, from) = match &mut job.ask {
        Ask::Piece { piece, from } => (*piece, from),
        Ask::Group(id) => {
            let id = *id;
            let bytes = blocking(move || facts.group(of, id)).await?.ok_or(Reason::Unknown)?;
            return Ok(told.say(Event::Chunk { number, bytes, at_hand: true }).await?);
        }
    };
    let place = facts.clone();
    let located = blocking(move || place.locate(of)).await?.ok_or(Reason::Unknown)?;
    let range = located.pieces.range(piece).ok_or(Reason::Unknown)?;
    let begin = range.start.saturating_add(*from);
    if begin > range.end {
        return Err(Reason::Unknown.into());
    }
    let spot = match (&located.at, &mirror.stores) {
        _ if begin == range.end => return Ok(()),
        (At::Sidecar, _) => {
            let bytes = blocking(move || facts.manifest(begin..range.end)).await?;
            return tell_bytes(&bytes, number, from, told, true).await;
        }
        (At::Item, Some(stores)) => stores.item.clone(),
        (At::Inside(path), Some(stores)) => stores.inside(path).ok_or(Reason::Unreadable)?,
        (_, None) => return Err(Reason::Unknown.into()),
    };
    let length = located.pieces.length();
    // For the whole of a short file no server needs to know ranges.
    let part = Some(begin..range.end).filter(|part| *part != (0..length));
    let (total, mut body) = Body::open(&spot, part).await?;
    if total != length {
        return Err(Reason::Changed.into());
    }
    while let Some(bytes) = body.next().await? {
        tell_bytes(&bytes, number, from, told, false).await?;
    }
    Ok(())
}

async fn tell_bytes<N: Copy>(
    bytes: &[u8],
    number: u64,
    from: &mut u64,
    told: &Told<N>,
    at_hand: bool,
) -> Result<(), Stop> {
    for chunk in bytes.chunks(CHUNK_BYTES) {
        told.say(Event::Chunk { number, bytes: chunk.to_vec(), at_hand }).await?;
        *from += chunk.len() as u64;
    }
    Ok(())
}
