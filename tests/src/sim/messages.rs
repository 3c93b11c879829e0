//! Unreliable messages of both nodes: each arrives at most once and as it was sent. The peer of a
//! life that is over hears none of them.

use super::node::Node;
use super::oracle;
use super::plan::MessagePlan;
use ropewalk_core::error::SendError;
use ropewalk_core::time::Instant;
use std::collections::BTreeSet;

/// What was sent and what arrived, by the sender.
#[derive(Debug, Default)]
pub(super) struct Messages {
    plans: [Vec<(MessagePlan, Instant)>; 2],
    /// Life, number and length of what the connection took.
    sent: [BTreeSet<(u32, u32, usize)>; 2],
    arrived: [BTreeSet<(u32, u32, usize)>; 2],
    next_number: u32,
}

impl Messages {
    pub(super) fn plan(&mut self, plan: MessagePlan, now: Instant) {
        assert!(plan.bytes >= HEAD, "room for the head");
        self.plans[usize::from(plan.node)].push((plan, now));
    }

    /// How many were sent and how many have arrived.
    pub(super) fn counts(&self) -> (usize, usize) {
        let count = |sets: &[BTreeSet<_>; 2]| sets.iter().map(BTreeSet::len).sum();
        (count(&self.sent), count(&self.arrived))
    }

    /// Sends what is due; returns whether anything was sent, and when more is.
    pub(super) fn work(
        &mut self,
        index: u8,
        life: u64,
        node: &mut Node,
        now: Instant,
    ) -> (bool, Option<Instant>) {
        let Some(connection) = &mut node.connection else { return (false, None) };
        let mut moved = false;
        for (plan, due) in &mut self.plans[usize::from(index)] {
            while plan.count > 0 && *due <= now {
                plan.count -= 1;
                *due += plan.every;
                let key =
                    (life as u32, self.next_number, plan.bytes.min(connection.datagram_max()));
                match connection.send_datagram(&message(index, key)) {
                    Ok(_) => {
                        self.sent[usize::from(index)].insert(key);
                        self.next_number += 1;
                        moved = true;
                    }
                    Err(SendError::Full) => {}
                    Err(error) => panic!("node {index} sends a message: {error}"),
                }
            }
        }
        let left = self.plans[usize::from(index)].iter().filter(|(plan, _)| plan.count > 0);
        (moved, left.map(|(_, due)| *due).min())
    }

    /// Takes what has arrived at a node.
    pub(super) fn receive(&mut self, index: u8, life: u64, node: &mut Node) {
        let Some(connection) = &mut node.connection else { return };
        let from = 1 - index;
        let mut buffer = [0; 2_048];
        while let Some((len, _)) = connection.recv_datagram(&mut buffer) {
            let bytes = &buffer[..len];
            let head: [u8; HEAD] = *bytes.first_chunk().expect("longer than its head");
            let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let of_life = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            let key = (of_life, number, len);
            assert_eq!(u64::from(of_life), life, "message {number} comes from another life");
            assert_eq!(bytes, message(from, key), "message {number} was altered");
            assert!(self.sent[usize::from(from)].contains(&key), "nobody sent message {number}");
            assert!(self.arrived[usize::from(from)].insert(key), "message {number} comes twice");
        }
    }
}

fn message(from: u8, (life, number, len): (u32, u32, usize)) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let tag = 1 << 62 | u64::from(number) << 1 | u64::from(from);
    oracle::fill(tag, 0, &mut bytes);
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..HEAD].copy_from_slice(&life.to_le_bytes());
    bytes
}

/// Number and life.
const HEAD: usize = 8;
