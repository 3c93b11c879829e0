//! Sections 3.1 and 8: the end, and what is not for us.

use crate::puppet::{Puppet, Setup, frames, payload};
use ropewalk_core::connection::{CloseReason, Event, LinkChange};
use ropewalk_core::error::{Discard, code};
use ropewalk_core::id::LinkId;
use ropewalk_core::wire::Frame;

#[test]
fn being_closed_is_answered_once_on_each_path_and_then_there_is_silence() {
    // spec: 8.2-1
    let mut puppet = Puppet::on_two_paths();
    crate::puppet::write(&mut puppet, 10_000);
    let close = Frame::Close { code: 300, reason: "enough" };
    puppet.say(0, 0, &[close]).unwrap();
    let heard = puppet.wait(10_000);
    let mut paths: Vec<u32> = heard.iter().map(|packet| packet.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, [0, 2]);
    let done = Frame::Close { code: code::DONE, reason: "" };
    assert_eq!(frames(&heard), [done.clone(), done]);
    assert!(puppet.subject.is_drained());
    let reason = CloseReason::Peer { code: 300, reason: "enough".try_into().unwrap() };
    assert_eq!(puppet.events.last(), Some(&Event::Closed(reason)));
}

#[test]
fn being_closed_ends_the_question_whether_the_peer_was_restarted() {
    // spec: 8.2-1
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    crate::puppet::write(&mut puppet, 1_000);
    while puppet.initiations.is_empty() {
        puppet.wait(50);
    }
    puppet.initiations.clear();
    // The next round of the race is due at this very moment.
    let again = puppet.subject.poll_timeout();
    puppet.say(0, 0, &[Frame::Close { code: 0, reason: "" }]).unwrap();
    puppet.subject.handle_link(LinkId(0), LinkChange::Down, puppet.now);
    puppet.subject.handle_link(LinkId(0), crate::puppet::up(0, 0, 1_400), puppet.now);
    puppet.wait(10_000);
    assert!(again.is_some());
    assert_eq!(puppet.initiations.len(), 0, "it went on asking");
    assert!(puppet.subject.is_drained());
}

#[test]
fn a_connection_that_hears_nothing_ends_without_a_word() {
    // spec: 8.3-1
    let mut puppet = Puppet::dialing(Setup::default());
    puppet.settle();
    puppet.wait(59_000);
    assert!(puppet.subject.is_connected());
    // A forged packet is no sign of life.
    let mut forged = puppet.prepare(0, &payload(&[Frame::Ping]));
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(puppet.deliver(crate::puppet::at(0), &mut forged), Err(Discard::Forged));
    let said = frames(&puppet.wait(2_000));
    assert!(!said.iter().any(|frame| matches!(frame, Frame::Close { .. })), "{said:?}");
    assert!(puppet.subject.is_drained());
    assert_eq!(puppet.events.last(), Some(&Event::Closed(CloseReason::Idle)));
}

#[test]
fn whatever_opens_keeps_a_connection_alive() {
    // spec: 8.3-1
    let mut puppet = Puppet::dialing(Setup::default());
    puppet.settle();
    for _ in 0..4 {
        puppet.wait(59_000);
        puppet.say(0, 0, &[Frame::Padding]).unwrap();
    }
    assert!(puppet.subject.is_connected());
}

#[test]
fn what_is_for_another_connection_changes_nothing() {
    // spec: 3.1-2
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    puppet.wait(100);
    let received = puppet.subject.stats().received_packets;
    let packet = puppet.prepare(0, &payload(&[Frame::Close { code: 0, reason: "" }]));
    for (first, expected) in [
        (packet[0], Discard::UnknownConnection),
        (0x02, Discard::Unexpected),
        (0x03, Discard::Unexpected),
    ] {
        let mut other = packet.clone();
        other[0] = first;
        other[1] ^= 1;
        assert_eq!(puppet.deliver(crate::puppet::at(0), &mut other), Err(expected));
        assert!(puppet.hear().is_empty());
    }
    assert_eq!(puppet.subject.stats().received_packets, received);
    assert!(puppet.subject.is_connected());
}
