//! What a fetch is told, what is wanted at its beginning and what comes up while it runs, and the handle on it.

use super::choice::Wish;
use super::happened::{GetError, Happened};
use super::job::How;
use super::source::Source;
use super::status::Status;
use crate::transfer::Summary;
use crate::transfer::safe_path::Root;
use core::num::NonZeroU64;
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What is to be fetched, from whom, where to and how.
pub struct Order {
    /// Whom to ask.
    pub sources: Vec<Source>,
    /// What.
    pub wish: Wish,
    /// Only say what is offered.
    pub list: bool,
    /// Where it goes.
    pub into: Arc<Root>,
    /// What to do with what is there.
    pub how: How,
    /// Bytes a second, at most.
    pub rate_max: Option<NonZeroU64>,
    /// Give up when nothing has come for this long; never, if it is not said.
    pub give_up_after: Option<Duration>,
}

/// What can be said to a fetch while it runs.
#[derive(Debug)]
pub enum Control {
    /// One more source, and where the answer goes.
    Add(Source, tokio::sync::oneshot::Sender<Added>),
    /// Enough.
    Stop,
}

/// What came of adding a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is asked too.
    New,
    /// It was a source already, and is tried again at once, with what is known of it now.
    Again,
    /// It is a source already, and answers.
    Known,
    /// It lied, and is not asked again.
    Barred,
    /// Its ticket is for content with this root, which is not what is fetched: it is not asked.
    OtherRoot(blake3::Hash),
}

/// A fetch that runs. It stops, as if that was said, when there is nobody left who could say it.
pub struct Running {
    /// What happens, in order.
    pub happened: mpsc::UnboundedReceiver<Happened>,
    /// How it stands.
    pub status: watch::Receiver<Status>,
    /// What can be said to it.
    pub control: mpsc::UnboundedSender<Control>,
    /// How it ends.
    pub ended: tokio::task::JoinHandle<Result<Summary, GetError>>,
}
