//! Section 12: a peer that went silent may have been restarted.

use crate::puppet::{OURS, Puppet, payload, stream_data, write};
use ropewalk_core::connection::Event;
use ropewalk_core::crypto::{Identity, Software, responder};
use ropewalk_core::error::{Discard, WriteError};
use ropewalk_core::id::{PathId, StreamId};
use ropewalk_core::path::PathState;
use ropewalk_core::time::Duration;
use ropewalk_core::wire::{Credit, Frame};

/// The subject has begun to ask.
fn asking() -> (Puppet, StreamId) {
    let mut puppet = Puppet::on_two_paths();
    let stream = write(&mut puppet, 3_000);
    for _ in 0..100 {
        puppet.wait(50);
        if !puppet.initiations.is_empty() {
            return (puppet, stream);
        }
    }
    panic!("it never asks");
}

#[test]
fn who_only_listens_to_an_open_stream_asks_within_two_seconds() {
    let mut puppet = Puppet::on_two_paths();
    write(&mut puppet, 3_000);
    puppet.hear();
    for path in [0, 2] {
        puppet.acknowledge_all(path, path as u8 / 2);
    }
    puppet.hear();
    for path in [0, 2] {
        puppet.acknowledge_all(path, path as u8 / 2);
    }
    assert!([0, 2].iter().all(|path| puppet.report(*path).in_flight == 0), "all was acknowledged");
    let since = puppet.now;
    while puppet.initiations.is_empty() {
        puppet.wait(20);
        assert!(puppet.now.since(since) < Duration::from_secs(2), "nobody asked");
    }
}

#[test]
fn the_question_names_the_old_connection() {
    let (puppet, _) = asking();
    let mut initiation = puppet.initiations[0].1.clone();
    let identity = Identity::new::<Software>([9; 32]);
    let request = responder::read_initiation::<Software>(&identity, &mut initiation).unwrap();
    assert_eq!(request.hello.replaces, Some(OURS));
    assert!(puppet.report(0).state == PathState::Down && puppet.report(2).state == PathState::Down);
}

#[test]
fn a_fresh_connection_begins_without_anything_of_the_old_one() {
    // spec: 12-2
    let (mut puppet, stream) = asking();
    let mut stale = puppet.prepare(0, &payload(&[Frame::Ping]));
    let credit = Credit { data: 10_000, stream_data: 10_000, streams: 4 };
    puppet.answer(2, credit, 7);
    let fresh = puppet.hear();
    assert!(puppet.events.contains(&Event::Restarted));
    assert_eq!(puppet.deliver(crate::puppet::at(0), &mut stale), Err(Discard::Forged), "old keys");
    assert_eq!(puppet.subject.stream(stream).write(b"more"), Err(WriteError::Unknown));
    assert_eq!(stream_data(&fresh), [], "bytes of an old stream");
    assert!(fresh.iter().all(|packet| packet.number == 0), "numbers begin again");
    let paths: Vec<_> = puppet.subject.paths().map(|path| (path.id, path.state)).collect();
    assert_eq!(paths, [(PathId(0), PathState::Active), (PathId(2), PathState::Probing)]);
    assert_eq!(write(&mut puppet, 10), StreamId(0), "streams begin again");
}

#[test]
fn an_old_path_that_answers_ends_the_race() {
    // spec: 12-3
    let (mut puppet, stream) = asking();
    puppet.initiations.clear();
    puppet.acknowledge_all(2, 1);
    assert_eq!(puppet.report(2).state, PathState::Active);
    for _ in 0..50 {
        puppet.wait(20);
        puppet.acknowledge_all(2, 1);
    }
    assert_eq!(puppet.initiations.len(), 0, "it goes on asking");
    assert!(puppet.subject.is_connected());
    puppet.subject.stream(stream).write(b"the stream goes on").unwrap();
}
