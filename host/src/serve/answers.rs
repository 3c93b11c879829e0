//! The thread of one client that finds and reads what is asked for, ahead of the wire by a few chunks.
//!
//! ```text
//! requests ──> find ── first chunk ──> Begin, Content, Content ...      cancelled meanwhile: Cut
//!                └─ cannot ──────────> No(reason)
//! ```
//!
//! It reads before it promises: what cannot be read at all is refused by name, and only what breaks on the way
//! is cut. What it has to hash before it can answer it hashes only as long as the client is there.

use super::protocol::{Content, REQUESTS_MAX, Reason, Request};
use super::shelf::{Found, Shelf, Wanted};
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
    let mut finding = Finding { shelf, last: None };
    let wanted = || !out.is_closed();
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
                let group = finding.open(of, &wanted).and_then(|found| found.group(id));
                let output = match group {
                    Ok(first) => Output::Begin { number, length: first.len() as u32, first },
                    Err(reason) => Output::No(number, reason),
                };
                out.blocking_send(output).ok()
            }
            Request::Piece { number, of, piece, from } => {
                match finding.begin(of, (piece, from), &wanted) {
                    Ok((found, reading)) => send_piece(found, number, reading, cancelled, out),
                    Err(reason) => out.blocking_send(Output::No(number, reason)).ok(),
                }
            }
        };
        if told.is_none() {
            return;
        }
    }
}

/// Finds content, which is mostly that of the request before.
struct Finding<'s> {
    shelf: &'s Shelf,
    last: Option<(Content, Found<'s>)>,
}

/// A piece of which the first chunk was read.
struct Reading {
    /// What was read.
    first: Vec<u8>,
    /// The first byte of the content that was not.
    at: u64,
    /// The end of the piece.
    end: u64,
}

impl<'s> Finding<'s> {
    fn open(&mut self, of: Content, wanted: Wanted<'_>) -> Result<&Found<'s>, Reason> {
        if self.last.as_ref().is_none_or(|(last, found)| *last != of || !found.is_steady()) {
            self.last = None;
            self.last = Some((of, self.shelf.find_while(of, wanted)?));
        }
        self.last.as_ref().map(|(_, found)| found).ok_or(Reason::Unknown)
    }

    /// Opens the content and reads the first chunk of a piece from a byte on.
    fn begin(
        &mut self,
        of: Content,
        (piece, from): (u64, u32),
        wanted: Wanted<'_>,
    ) -> Result<(&Found<'s>, Reading), Reason> {
        for is_last in [false, true] {
            let found = self.open(of, wanted)?;
            let range = found.pieces().and_then(|pieces| pieces.range(piece));
            let range = range.filter(|range| u64::from(from) <= range.end - range.start);
            let range = range.ok_or(Reason::Unknown)?;
            let mut reading =
                Reading { first: Vec::new(), at: range.start + u64::from(from), end: range.end };
            match reading.next(found) {
                Ok(first) => {
                    reading.first = first;
                    let found =
                        self.last.as_ref().map(|(_, found)| found).ok_or(Reason::Unknown)?;
                    return Ok((found, reading));
                }
                // If it was only touched just now, it is found again.
                Err(Reason::Changed) if !is_last && !found.is_steady() => {}
                Err(reason) => return Err(reason),
            }
        }
        Err(Reason::Changed)
    }
}

impl Reading {
    /// The next chunk.
    fn next(&mut self, found: &Found<'_>) -> Result<Vec<u8>, Reason> {
        let mut chunk = vec![0; (self.end - self.at).min(CHUNK_BYTES_MAX as u64) as usize];
        found.read_at(self.at, &mut chunk)?;
        self.at += chunk.len() as u64;
        Ok(chunk)
    }
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
    mut reading: Reading,
    cancelled: &Cancelled,
    out: &mpsc::Sender<Output>,
) -> Option<()> {
    let first = core::mem::take(&mut reading.first);
    let length = first.len() as u64 + (reading.end - reading.at);
    out.blocking_send(Output::Begin { number, length: length as u32, first }).ok()?;
    while reading.at < reading.end {
        let output = match reading.next(found) {
            Ok(chunk) if !cancelled.take(number) => Output::Content(chunk),
            _ => return out.blocking_send(Output::Cut(number)).ok(),
        };
        out.blocking_send(output).ok()?;
    }
    Some(())
}
