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
    /// One more source, with the answer whether it is new.
    Add(Source, tokio::sync::oneshot::Sender<bool>),
    /// Enough.
    Stop,
}

/// A fetch that runs.
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
