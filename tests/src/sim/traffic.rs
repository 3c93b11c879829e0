//! The applications of both nodes: they open the streams that are planned, write, read, give up
//! and have enough, and they go by what the events say.
//!
//! Both ends of a stream are one record here, so that what one side hears can be held against
//! what the other did. A restart begins a new *life*: stream numbers repeat, what they carry
//! does not.

use super::cadence::Lateness;
use super::half::{End, Half};
use super::node::Node;
use super::plan::StreamPlan;
use ropewalk_core::connection::Event;
use ropewalk_core::error::{OpenError, code};
use ropewalk_core::id::{ConnectionId, StreamId};
use ropewalk_core::stream::Service;
use ropewalk_core::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// One stream, both directions and both ends.
#[derive(Debug)]
struct Exchange {
    plan: StreamPlan,
    /// By the node that writes.
    halves: [Half; 2],
    /// Which nodes' applications know of it.
    known: [bool; 2],
}

/// All streams that there are, and those that wait to be opened.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// How often the dialer had to begin anew.
    pub(super) life: u64,
    /// The responder's connection ids, and the life that each belongs to.
    lives: BTreeMap<ConnectionId, u64>,
    exchanges: BTreeMap<(u64, StreamId), Exchange>,
    planned: [VecDeque<StreamPlan>; 2],
}

/// What a call of [`Traffic::work`] moved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) any: bool,
    /// Bytes read.
    pub(super) read: u64,
    /// Some of them were not a stream's first.
    pub(super) within: bool,
    /// A stream was read to its end.
    pub(super) ended: bool,
    /// When a slow reader wants to go on, or the next message is due.
    pub(super) wake: Option<Instant>,
}

impl Traffic {
    /// Has a stream opened as soon as there is room for it.
    pub(super) fn plan(&mut self, plan: StreamPlan) {
        self.planned[usize::from(plan.opener)].push_back(plan);
    }

    /// The dialer talks to this connection of the responder's.
    pub(super) fn on_dialers_packet(&mut self, to: ConnectionId) {
        self.lives.entry(to).or_insert(self.life);
    }

    /// The dialer heard that everything is gone.
    pub(super) fn on_restarted(&mut self) {
        self.life += 1;
        self.planned = Default::default();
    }

    /// The life that a node's present connection belongs to.
    pub(super) fn life_of(&self, index: u8, node: &Node) -> Option<u64> {
        let connection = node.connection.as_ref().filter(|connection| connection.is_connected())?;
        if index == 0 { Some(self.life) } else { self.lives.get(&connection.id()).copied() }
    }

    /// Whether both sides of every stream know how it ended, and none waits to be opened.
    pub(super) fn all_done(&self) -> bool {
        self.planned.iter().all(VecDeque::is_empty) && self.present().all(Exchange::settled)
    }

    /// Whether bytes of `node` have not arrived at the other side.
    pub(super) fn waits(&self, node: u8) -> bool {
        self.present().any(|exchange| {
            let begun = exchange.known[usize::from(node)];
            begun && !exchange.plan.refused() && exchange.halves[usize::from(node)].waits()
        })
    }

    /// How late messages came, on the first stream that carries any.
    pub(super) fn lateness(&self) -> Lateness {
        let halves = self.exchanges.values().flat_map(|exchange| &exchange.halves);
        halves.map(|half| &half.lateness).find(|l| l.messages > 0).cloned().unwrap_or_default()
    }

    /// Streams that are not over, for whoever wants to know why.
    pub(super) fn unsettled(&self) -> String {
        let open: Vec<_> = self.present().filter(|exchange| !exchange.settled()).collect();
        format!("{} more are planned, open are {open:#?}", self.planned.iter().flatten().count())
    }

    fn present(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().filter(|((life, _), _)| *life == self.life).map(|(_, one)| one)
    }

    /// Opens the next planned stream of a node; `None` when none is planned or there is no room.
    pub(super) fn open(&mut self, index: u8, node: &mut Node) -> Option<StreamId> {
        let life = self.life_of(index, node).filter(|life| *life == self.life)?;
        let plan = *self.planned[usize::from(index)].front()?;
        let service = Service::new(plan.service).expect("a good name");
        let id = match node.connection.as_mut()?.open(&service) {
            Ok(id) => id,
            Err(OpenError::TooMany) => return None,
            Err(error) => panic!("node {index} opens a stream: {error}"),
        };
        self.planned[usize::from(index)].pop_front();
        let tag = life << 33 | u64::from(id.0) << 1;
        let halves = [0, 1].map(|writer| {
            let half = if writer == index { plan.there } else { plan.back };
            Half::new(half, tag | u64::from(writer), plan.refused())
        });
        let mut known = [false; 2];
        known[usize::from(index)] = true;
        let before = self.exchanges.insert((life, id), Exchange { plan, halves, known });
        assert!(before.is_none(), "{id:?} is given out twice");
        Some(id)
    }

    /// A node's application hears something about a stream.
    pub(super) fn on_event(&mut self, index: u8, node: &Node, event: &Event) {
        let stream = match event {
            Event::StreamOpened { stream, .. }
            | Event::StreamReadable(stream)
            | Event::StreamWritable(stream)
            | Event::StreamFinished(stream)
            | Event::StreamReset { stream, .. }
            | Event::StreamStopped { stream, .. } => *stream,
            _ => return,
        };
        // A connection that is closing still says what happened before.
        let connection = node.connection.as_ref().expect("it spoke");
        let life = if index == 0 { self.life } else { self.lives[&connection.id()] };
        let exchange = self.exchanges.get_mut(&(life, stream)).expect("somebody opened it");
        exchange.on_event(index, stream, event);
    }

    /// A node's application does what it can.
    pub(super) fn work(&mut self, index: u8, node: &mut Node, now: Instant) -> Moved {
        let mut moved = Moved::default();
        while self.open(index, node).is_some() {
            moved.any = true;
        }
        let Some(life) = self.life_of(index, node) else { return moved };
        let Some(connection) = node.connection.as_mut() else { return moved };
        let streams = (life, StreamId(0))..=(life, StreamId(u32::MAX));
        for ((_, id), exchange) in self.exchanges.range_mut(streams) {
            if !exchange.known[usize::from(index)] {
                continue;
            }
            let [mine, theirs] = exchange.halves.each_mut();
            let (mine, theirs) = if index == 0 { (mine, theirs) } else { (theirs, mine) };
            moved.any |= mine.write(connection, *id, now);
            let (stopped, ended) = (theirs.stopped, theirs.heard.is_some());
            let len = theirs.read(connection, *id, now);
            moved.read += len;
            moved.within |= len > 0 && theirs.read > len;
            moved.ended |= !ended && theirs.heard.is_some();
            moved.any |= len > 0 || stopped != theirs.stopped || ended != theirs.heard.is_some();
            let slow = (theirs.readable && theirs.next_read > now).then_some(theirs.next_read);
            moved.wake = [moved.wake, slow, mine.next_due()].into_iter().flatten().min();
        }
        moved
    }
}

impl Exchange {
    fn settled(&self) -> bool {
        if self.plan.refused() {
            let answer = &self.halves[1 - usize::from(self.plan.opener)];
            return answer.heard == Some(End::Reset(code::UNKNOWN_SERVICE));
        }
        if self.unborn() {
            let answer = &self.halves[1 - usize::from(self.plan.opener)];
            return answer.heard.is_some() || answer.stopped;
        }
        self.halves.iter().all(Half::settled)
    }

    /// Given up before the other side could know what for: it gives up too, and its application
    /// never hears of it.
    fn unborn(&self) -> bool {
        let opener = usize::from(self.plan.opener);
        matches!(self.halves[opener].sent, Some(End::Reset(_))) && !self.known[1 - opener]
    }

    fn on_event(&mut self, index: u8, id: StreamId, event: &Event) {
        let (refused, unborn) = (self.plan.refused(), self.unborn());
        let what = || format!("node {index} hears {event:?}");
        let [mine, theirs] = self.halves.each_mut();
        let (mine, theirs) = if index == 0 { (mine, theirs) } else { (theirs, mine) };
        match event {
            Event::StreamOpened { service, .. } => {
                assert!(!refused && service.as_str() == self.plan.service, "{}", what());
                assert!(!self.known[usize::from(index)], "{}, twice", what());
                self.known[usize::from(index)] = true;
            }
            Event::StreamReadable(_) => theirs.readable = true,
            Event::StreamWritable(_) => mine.blocked = false,
            Event::StreamFinished(_) => {
                assert_eq!(mine.sent, Some(End::Finish), "{}", what());
                assert!(!mine.delivered, "{}, twice", what());
                mine.delivered = true;
            }
            Event::StreamReset { code, .. } => {
                if refused {
                    assert_eq!(*code, code::UNKNOWN_SERVICE, "{}", what());
                } else if unborn {
                    assert_eq!(*code, code::DONE, "{}", what());
                } else {
                    assert_eq!(theirs.sent, Some(End::Reset(*code)), "{}", what());
                }
                assert_eq!(theirs.heard, None, "{}, {id:?} had ended", what());
                theirs.heard = Some(End::Reset(*code));
            }
            Event::StreamStopped { code, .. } => {
                let theirs = mine.plan.stop.filter(|_| mine.stopped).map(|(_, code)| code);
                let expected = if refused { Some(code::UNKNOWN_SERVICE) } else { theirs };
                assert_eq!(expected, Some(*code), "{}", what());
                assert!(!mine.stop_heard, "{}, twice", what());
                mine.stop_heard = true;
            }
            _ => {}
        }
    }
}
