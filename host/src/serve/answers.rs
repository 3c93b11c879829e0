//! The thread of one client that finds and reads what is asked for, ahead of the wire by a few chunks.
//!
//! ```text
//! requests ──> find ── first chunk ──> Begin, Content, Content ...      cancelled meanwhile: Cut
//!                └─ cannot ──────────> No(reason)
//! ```
//!
//! It reads before it promises: what cannot be read at all is refused by name, and only what breaks on the way
//! is cut.

use super::protocol::{Content, REQUESTS_MAX, Reason, Request};
use super::shelf::{Found, Shelf};
use crate::transfer::protocol::CHUNK_BYTES_MAX;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// How many chunks wait for the wire at most: half a MiB.
pub(super) const CHUNKS_AHEAD: usize = 4;

/// Something for the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// An item of the list.
    Item(Vec<u8>),
    /// The list is complete.
    ListEnd,
    /// So many bytes follow for this request; these are the first.
    Begin {
        /// The request's number.
        number: u64,
        /// All bytes.
        length: u32,
        /// The first of them.
        first: Vec<u8>,
    },
    /// More bytes.
    Content(Vec<u8>),
    /// No more bytes for this request.
    Cut(u64),
    /// No bytes for this request.
    No(u64, Reason),
}

/// The requests that the client does not want any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancelled(Arc<Mutex<HashSet<u64>>>);

impl Cancelled {
    /// The client does not want this one. If it was answered already, nobody ever asks for it here; so no
    /// more are kept than there may be requests.
    pub(super) fn add(&self, number: u64) {
        let mut numbers = self.lock();
        if numbers.len() >= REQUESTS_MAX {
            numbers.clear();
        }
        numbers.insert(number);
    }

    /// Whether it was cancelled; then it is forgotten.
    fn take(&self, number: u64) -> bool {
        self.lock().remove(&number)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until there are no more requests, or nobody takes the answers.
pub(super) fn answer(
    shelf: &Shelf,
    mut requests: mpsc::Receiver<Request>,
    cancelled: &Cancelled,
    out: &mpsc::Sender<Output>,
) {
    let mut last = None;
    while let Some(request) = requests.blocking_recv() {
        let told = match request {
            Request::List => list(shelf, out),
            Request::Cancel(_) => Some(()),
            Request::Group { number, .. } | Request::Piece { number, .. }
                if cancelled.take(number) =>
            {
                out.blocking_send(Output::Cut(number)).ok()
            }
            Request::Group { number, of, id } => {
                let group = open(shelf, &mut last, of).and_then(|found| found.group(id));
                let output = match group {
                    Ok(first) => Output::Begin { number, length: first.len() as u32, first },
                    Err(reason) => Output::No(number, reason),
                };
                out.blocking_send(output).ok()
            }
            Request::Piece { number, of, piece, from } => match open(shelf, &mut last, of) {
                Ok(found) => send_piece(found, number, (piece, from), cancelled, out),
                Err(reason) => out.blocking_send(Output::No(number, reason)).ok(),
            },
        };
        if told.is_none() {
            return;
        }
    }
}

type Last<'s> = Option<(Content, Found<'s>)>;

/// The content, which is mostly that of the request before.
fn open<'l, 's>(
    shelf: &'s Shelf,
    last: &'l mut Last<'s>,
    of: Content,
) -> Result<&'l Found<'s>, Reason> {
    if last.as_ref().is_none_or(|(content, _)| *content != of) {
        *last = None;
        *last = Some((of, shelf.find(of)?));
    }
    last.as_ref().map(|(_, found)| found).ok_or(Reason::Unknown)
}

fn list(shelf: &Shelf, out: &mpsc::Sender<Output>) -> Option<()> {
    for item in shelf.catalog().items() {
        out.blocking_send(Output::Item(item.to_bytes())).ok()?;
    }
    out.blocking_send(Output::ListEnd).ok()
}

/// `None`: nobody takes answers any more.
fn send_piece(
    found: &Found<'_>,
    number: u64,
    (piece, from): (u64, u32),
    cancelled: &Cancelled,
    out: &mpsc::Sender<Output>,
) -> Option<()> {
    let refuse = |reason| out.blocking_send(Output::No(number, reason)).ok();
    let range = found.pieces().and_then(|pieces| pieces.range(piece));
    let Some(range) = range.filter(|range| u64::from(from) <= range.end - range.start) else {
        return refuse(Reason::Unknown);
    };
    let (mut at, length) = (range.start + u64::from(from), range.end - range.start);
    let mut begun = false;
    loop {
        let mut chunk = vec![0; (range.end - at).min(CHUNK_BYTES_MAX as u64) as usize];
        let read = found.read_at(at, &mut chunk);
        at += chunk.len() as u64;
        let output = match (read, begun) {
            (Ok(()), false) => Output::Begin { number, length: length as u32 - from, first: chunk },
            (Ok(()), true) if !cancelled.take(number) => Output::Content(chunk),
            (_, true) => return out.blocking_send(Output::Cut(number)).ok(),
            (Err(reason), false) => return refuse(reason),
        };
        out.blocking_send(output).ok()?;
        begun = true;
        if at >= range.end {
            return Some(());
        }
    }
}
