//! A ropewalk server as a source: what is asked of it goes out at once, and what it answers comes as events.
//!
//! ```text
//! Asker ── requests ──> the wire ──> answers ── checked against what was asked ──> events
//! ```
//!
//! A server answers in the order of the asking, with no more bytes than were asked for; one that does not is
//! [`Event::Lost`], and nothing of it is held: a chunk of 128 KiB at a time, and the numbers of what is out.
//! Whether bytes are the right ones is not for this file to say.

use super::mirror::{self, Mirror};
use crate::content::catalog::{ITEMS_MAX, Item};
use crate::content::piece::PIECE_BYTES;
use crate::content::tree::{GROUP_BYTES_MAX, GroupId};
use crate::fetch::schedule::Gives;
use crate::serve::protocol::{Answer, Content, REQUESTS_MAX, Reason, Request};
use crate::transfer::TransferError;
use crate::transfer::protocol::{Frame, FrameReader, FrameWriter, parse};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// What comes of a source.
#[derive(Debug)]
pub enum Event {
    /// It offers this.
    Item(Item),
    /// That is all it offers.
    ListEnd,
    /// Some bytes for this request, in their order.
    Chunk {
        /// The request's number.
        number: u64,
        /// At most 128 KiB.
        bytes: Vec<u8>,
        /// It was here already, beside a mirror's name: it does not say that the mirror can be reached.
        at_hand: bool,
    },
    /// The request has all its bytes.
    Done(u64),
    /// The request will not have all its bytes: it was cancelled, or the source cannot read on.
    Cut(u64),
    /// The request has no bytes here.
    No(u64, Reason),
    /// No answers for now.
    Paused,
    /// Answers again.
    Resumed,
    /// It goes away: ask elsewhere for all that is out.
    Closing,
    /// It is gone, or broke the rules.
    Lost(TransferError),
}

/// Asks a source.
#[derive(Clone, Debug)]
pub struct Asker {
    wire: mpsc::UnboundedSender<Request>,
    out: SharedOut,
    /// What is behind it, if that is no peer.
    mirror: Option<Arc<Mirror>>,
}

/// What was asked and is not answered, for who asks and who answers.
pub(super) type SharedOut = Arc<Mutex<Out>>;

/// What was asked and is not answered.
#[derive(Debug, Default)]
pub(super) struct Out {
    next: u64,
    /// In the order of the asking.
    requests: VecDeque<Asked>,
    listing: bool,
    /// Events that were told and not taken.
    untaken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    length_max: u64,
}

impl Out {
    /// The request of this number is answered; whether it was out. The order is not looked at.
    pub(super) fn settle(&mut self, number: u64) -> bool {
        let at = self.requests.iter().position(|asked| asked.number == number);
        at.and_then(|at| self.requests.remove(at)).is_some()
    }

    /// Whether something was told that nobody has taken yet.
    pub(super) const fn has_untaken(&self) -> bool {
        self.untaken > 0
    }

    /// So many events were taken.
    pub(super) const fn take(&mut self, events: usize) {
        self.untaken = self.untaken.saturating_sub(events);
    }

    /// The list is answered.
    pub(super) const fn settle_list(&mut self) {
        self.listing = false;
    }
}

impl Asker {
    /// The end that asks, and what it says.
    pub(super) fn new(
        mirror: Option<Arc<Mirror>>,
    ) -> (Self, mpsc::UnboundedReceiver<Request>, SharedOut) {
        let (wire, requests) = mpsc::unbounded_channel();
        let out = SharedOut::default();
        (Self { wire, out: out.clone(), mirror }, requests, out)
    }

    /// What the source has of this content, as far as one knows: the schedule is told ([`Schedule::restrict`]). It may be
    /// more when the list is complete.
    ///
    /// [`Schedule::restrict`]: crate::fetch::schedule::Schedule::restrict
    #[must_use]
    pub fn gives(&self, of: Content) -> Gives {
        self.mirror.as_ref().map_or(Gives::ALL, |mirror| mirror.gives(of))
    }

    /// How many works the source had better owe at once ([`Schedule::limit_works`]).
    ///
    /// [`Schedule::limit_works`]: crate::fetch::schedule::Schedule::limit_works
    #[must_use]
    pub fn works_max(&self) -> usize {
        self.mirror.as_ref().map_or(REQUESTS_MAX, |_| mirror::WORKS_MAX)
    }

    /// What does it offer? One list at a time: a second question before the end of the first is not asked.
    pub fn list(&self) {
        if !core::mem::replace(&mut lock(&self.out).listing, true) {
            self.say(Request::List);
        }
    }

    /// Asks for the hashes of a group. `None`: too much is out already.
    pub fn group(&self, of: Content, id: GroupId) -> Option<u64> {
        self.ask(GROUP_BYTES_MAX as u64, |number| Request::Group { number, of, id })
    }

    /// Asks for a piece, from this byte of it on. `None`: too much is out already.
    pub fn piece(&self, of: Content, piece: u64, from: u32) -> Option<u64> {
        let length_max = PIECE_BYTES.saturating_sub(from.into());
        self.ask(length_max, |number| Request::Piece { number, of, piece, from })
    }

    /// Says that the answer is not wanted any more. It may come all the same, or be cut.
    pub fn cancel(&self, number: u64) {
        self.say(Request::Cancel(number));
    }

    /// What both ends know.
    pub(super) fn shared(&self) -> SharedOut {
        self.out.clone()
    }

    /// How many requests have no answer yet.
    #[must_use]
    pub fn out(&self) -> usize {
        lock(&self.out).requests.len()
    }

    fn ask(&self, length_max: u64, request: impl FnOnce(u64) -> Request) -> Option<u64> {
        let mut out = lock(&self.out);
        if out.requests.len() >= REQUESTS_MAX {
            return None;
        }
        let number = out.next;
        out.next += 1;
        out.requests.push_back(Asked { number, length_max });
        // Under the lock, so that requests leave in the order of their numbers.
        self.say(request(number));
        Some(number)
    }

    fn say(&self, request: Request) {
        // A wire that is gone says so by `Lost`.
        let _ = self.wire.send(request);
    }
}

/// Tells an event, and counts it until it is taken; whether anybody listens.
pub(super) async fn tell<N>(
    out: &SharedOut,
    told: &mpsc::Sender<(N, Event)>,
    name: N,
    event: Event,
) -> bool {
    /// Takes the count back of what was never told.
    struct Untold<'a>(&'a SharedOut);
    impl Drop for Untold<'_> {
        fn drop(&mut self) {
            lock(self.0).take(1);
        }
    }
    lock(out).untaken += 1;
    let untold = Untold(out);
    let is_told = told.send((name, event)).await.is_ok();
    core::mem::forget(untold);
    is_told
}

/// What is out. Whoever panicked with it has left it whole.
pub(super) fn lock(out: &Mutex<Out>) -> MutexGuard<'_, Out> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A source over a stream of the service `get`. What it tells goes to `told`, with whatever names it there; the last word is
/// [`Event::Closing`] or [`Event::Lost`]. It is left when every asker is dropped.
pub fn open<R, W, N>(recv: R, send: W, name: N, told: mpsc::Sender<(N, Event)>) -> Asker
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
    N: Copy + Send + 'static,
{
    let (asker, requests, out) = Asker::new(None);
    tokio::spawn(async move {
        let mut hearing = Hearing { frames: FrameReader::new(recv), out, told, name };
        let last = tokio::select! {
            error = hearing.run() => error,
            asked = speak(FrameWriter::new(send), requests) => match asked {
                Ok(()) => return,
                Err(error) => error,
            },
        };
        if let Some(error) = last.into_told() {
            hearing.tell(Event::Lost(error)).await;
        }
    });
    asker
}

async fn speak<W: AsyncWrite + Unpin>(
    mut frames: FrameWriter<W>,
    mut requests: mpsc::UnboundedReceiver<Request>,
) -> Result<(), End> {
    while let Some(request) = requests.recv().await {
        frames.control(&request).await?;
        if requests.is_empty() {
            frames.flush().await?;
        }
    }
    Ok(())
}

/// Why a source has no more to say.
enum End {
    /// It said so itself.
    Closing,
    /// Nobody listens.
    Unheard,
    Failed(TransferError),
}

impl End {
    /// What is still to be told.
    fn into_told(self) -> Option<TransferError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Closing | Self::Unheard => None,
        }
    }
}

impl From<TransferError> for End {
    fn from(error: TransferError) -> Self {
        Self::Failed(error)
    }
}

struct Hearing<R, N> {
    frames: FrameReader<R>,
    out: SharedOut,
    told: mpsc::Sender<(N, Event)>,
    name: N,
}

impl<R: AsyncRead + Unpin, N: Copy> Hearing<R, N> {
    async fn run(&mut self) -> End {
        let mut items = 0;
        loop {
            if let Err(end) = self.answer(&mut items).await {
                return end;
            }
        }
    }

    async fn tell(&mut self, event: Event) -> bool {
        tell(&self.out, &self.told, self.name, event).await
    }

    async fn heard(&mut self, event: Event) -> Result<(), End> {
        if self.tell(event).await { Ok(()) } else { Err(End::Unheard) }
    }

    /// One answer, with all its content.
    async fn answer(&mut self, items: &mut usize) -> Result<(), End> {
        let event = match self.frames.next().await? {
            Frame::Content(_) => return Err(broken("content that was not announced")),
            Frame::Control(body) => match parse(body)? {
                Answer::Item(bytes) => {
                    let item =
                        Item::parse(bytes).map_err(|_| broken("an item of the list is none"))?;
                    *items += 1;
                    if *items > ITEMS_MAX || !lock(&self.out).listing {
                        return Err(broken("items that nobody asked for"));
                    }
                    Event::Item(item)
                }
                Answer::ListEnd => {
                    *items = 0;
                    if !core::mem::take(&mut lock(&self.out).listing) {
                        return Err(broken("a list that nobody asked for"));
                    }
                    Event::ListEnd
                }
                Answer::Bytes { number, length } => return self.bytes(number, length).await,
                Answer::Cut(number) => {
                    self.take(number)?;
                    Event::Cut(number)
                }
                Answer::No(number, reason) => {
                    self.take(number)?;
                    Event::No(number, reason)
                }
                Answer::Paused => Event::Paused,
                Answer::Resumed => Event::Resumed,
                Answer::Closing => {
                    self.heard(Event::Closing).await?;
                    return Err(End::Closing);
                }
            },
        };
        self.heard(event).await
    }

    async fn bytes(&mut self, number: u64, length: u32) -> Result<(), End> {
        let asked = self.take(number)?;
        let mut left = u64::from(length);
        if left > asked.length_max {
            return Err(broken("more bytes than were asked for"));
        }
        while left > 0 {
            match self.frames.next().await? {
                Frame::Content(bytes) => {
                    left = left
                        .checked_sub(bytes.len() as u64)
                        .filter(|_| !bytes.is_empty())
                        .ok_or_else(|| broken("content that does not fit its announcement"))?;
                    self.heard(Event::Chunk { number, bytes, at_hand: false }).await?;
                }
                Frame::Control(body) => match parse(body)? {
                    Answer::Cut(cut) if cut == number => {
                        return self.heard(Event::Cut(number)).await;
                    }
                    Answer::Paused => self.heard(Event::Paused).await?,
                    Answer::Resumed => self.heard(Event::Resumed).await?,
                    Answer::Closing => {
                        self.heard(Event::Closing).await?;
                        return Err(End::Closing);
                    }
                    _ => return Err(broken("another answer in the middle of content")),
                },
            }
        }
        self.heard(Event::Done(number)).await
    }

    /// The request that is answered, which must be the first that is out.
    fn take(&self, number: u64) -> Result<Asked, End> {
        let first = lock(&self.out).requests.pop_front();
        first
            .filter(|asked| asked.number == number)
            .ok_or_else(|| broken("an answer to nothing that was asked"))
    }
}

const fn broken(why: &'static str) -> End {
    End::Failed(TransferError::Protocol(why))
}

#[cfg(test)]
mod tests;
