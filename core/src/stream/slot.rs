//! All of one stream's state, in a table that the storage lends.

use super::receive::{ReceiveHalf, ReceiveState};
use super::send::{SendHalf, SendState};
use super::service::Service;
use crate::id::StreamId;

/// One stream, or room for one.
#[derive(Clone, Debug)]
pub struct StreamSlot {
    pub(super) id: Option<StreamId>,
    pub(super) send: SendHalf,
    pub(super) receive: ReceiveHalf,
    pub(super) opening: Opening,
    pub(super) news: News,
}

/// Whether the application knows of a stream that the peer opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// We opened it, or the application has heard of it.
    Known,
    /// The name of its service has not arrived whole.
    Unnamed,
    /// It has; the application is to hear of it.
    Named(Service),
    /// It asks for something that is not offered: the application never hears of it.
    Refused,
}

/// What the application is to hear. Flags: the same news is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) readable: bool,
    pub(super) finished: bool,
    pub(super) reset: Option<u32>,
    pub(super) stopped: Option<u32>,
}

impl News {
    pub(super) const NONE: Self =
        Self { readable: false, finished: false, reset: None, stopped: None };
}

impl StreamSlot {
    /// Room for a stream.
    pub const EMPTY: Self = Self {
        id: None,
        send: SendHalf::EMPTY,
        receive: ReceiveHalf::EMPTY,
        opening: Opening::Known,
        news: News::NONE,
    };

    /// Both directions are over and the application has heard all of it.
    pub(super) fn is_over(&self) -> bool {
        let heard = self.news == News::NONE || self.opening == Opening::Refused;
        self.send.state == SendState::Done
            && self.receive.state == ReceiveState::Done
            && heard
            && !matches!(self.opening, Opening::Named(_))
    }
}
