//! Sections 3, 5.3, 9.5 and 10.1: numbers, acknowledgements, what may be in flight.

use crate::puppet::{Heard, Puppet, Setup, acknowledgement, at, challenge, frames, payload, write};
use ropewalk_core::error::Discard;
use ropewalk_core::id::StreamId;
use ropewalk_core::time::Duration;
use ropewalk_core::wire::Frame;
use ropewalk_tests::sim::VecStorage;

/// The paths whose acknowledgements these packets carry, and the paths that carried them.
fn acknowledged(heard: &[Heard]) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    for packet in heard {
        for frame in &packet.frames {
            if let Frame::Ack(ack) = frame {
                found.push((ack.path.0, packet.path));
            }
        }
    }
    found
}

#[test]
fn a_forged_packet_does_not_use_up_its_number() {
    // spec: 3.4-3
    let mut puppet = Puppet::answering(Setup::default());
    let mut packet = puppet.prepare(0, &payload(&[Frame::Ping]));
    let mut forged = packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut copy = packet.clone();
    assert_eq!(puppet.deliver(at(0), &mut forged), Err(Discard::Forged));
    assert_eq!(puppet.deliver(at(0), &mut packet), Ok(()));
    assert_eq!(puppet.deliver(at(0), &mut copy), Err(Discard::Replayed));
}

#[test]
fn numbers_count_up_by_one_and_none_comes_twice() {
    // spec: 5.3-1
    let mut puppet = Puppet::on_two_paths();
    write(&mut puppet, 20_000);
    let mut next = std::collections::BTreeMap::new();
    // Half of it is never acknowledged, so that contents are sent again.
    for turn in 0..60 {
        for heard in puppet.wait(20) {
            let number = next.entry(heard.path).or_insert(heard.number);
            assert_eq!(*number, heard.number, "path {}", heard.path);
            *number += 1;
        }
        if turn % 2 == 0 {
            puppet.acknowledge_all(0, 0);
        }
    }
    assert!(puppet.subject.stats().again_bytes > 0, "nothing was sent again");
    assert!(next[&0] > 10);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_breaks_the_protocol() {
    // spec: 6.4-3
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    let last = puppet.wait(200).last().map_or(200, |heard| heard.number);
    puppet.is_violated_by_payload(&acknowledgement(0, &[last + 1_000]));
    let mut puppet = Puppet::answering(Setup::default());
    // One for a path that never was is ignored.
    puppet.say_from(0, at(0), &acknowledgement(40, &[1_000])).unwrap();
    assert!(puppet.subject.is_connected());
}

#[test]
fn every_packet_that_asks_for_it_is_acknowledged_on_its_own_path() {
    // spec: 9.5-1
    let mut puppet = Puppet::on_two_paths();
    puppet.wait(100);
    for (path, link) in [(0, 0), (2, 1)] {
        puppet.say(path, link, &[Frame::Ping]).unwrap();
        let said = puppet.wait(20);
        assert!(acknowledged(&said).contains(&(path, path)), "{path}");
    }
}

#[test]
fn what_asks_for_nothing_gets_nothing() {
    // spec: 9.5-2
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    puppet.wait(100);
    for _ in 0..20 {
        puppet.say(0, 0, &[Frame::Padding]).unwrap();
        assert_eq!(acknowledged(&puppet.wait(20)), []);
    }
}

#[test]
fn a_packet_that_found_no_room_is_not_acknowledged() {
    // spec: 9.5-3
    let storage = VecStorage::new(64 * 1_024, 1, 64, 1_024);
    let mut puppet = Puppet::answering(Setup { storage, ..Setup::default() });
    puppet.settle();
    puppet.wait(100);
    // The only place for a stream is taken, and the peer was promised one.
    let ours = write(&mut puppet, 10);
    puppet.wait(20);
    puppet.acknowledge_all(0, 0);
    puppet.wait(20);
    let theirs =
        Frame::StreamSized { stream: StreamId(1), offset: 0, fin: false, data: b"\x04file" };
    puppet.say(0, 0, &[Frame::Ping]).unwrap();
    let taken = puppet.wait(20);
    let [Frame::Ack(before)] = frames(&taken)[..] else { panic!("{taken:?}") };
    puppet.say(0, 0, core::slice::from_ref(&theirs)).unwrap();
    assert_eq!(acknowledged(&puppet.wait(20)), []);
    // Its place comes free; then the same contents are taken.
    puppet
        .say(0, 0, &[Frame::StreamSized { stream: ours, offset: 0, fin: true, data: b"" }])
        .unwrap();
    puppet.subject.stream(ours).finish().unwrap();
    let _ = puppet.subject.stream(ours).read(&mut [0; 1]);
    puppet.wait(20);
    puppet.acknowledge_all(0, 0);
    puppet.wait(20);
    puppet.say(0, 0, &[theirs]).unwrap();
    let said = frames(&puppet.wait(20));
    let Some(Frame::Ack(after)) = said.iter().find(|frame| matches!(frame, Frame::Ack(_))) else {
        panic!("{said:?}")
    };
    assert!(!after.iter().any(|range| range.contains(&(before.largest + 1))), "{after:?}");
}

#[test]
fn only_an_acknowledgement_on_its_own_path_tells_the_round_trip() {
    // spec: 9.5-4
    let mut puppet = Puppet::on_two_paths();
    puppet.wait(100);
    let before = puppet.report(2).smoothed_rtt;
    puppet.say(2, 1, &[challenge(1)]).unwrap();
    let number = puppet.hear().iter().find(|heard| heard.path == 2).expect("an answer").number;
    puppet.now += Duration::from_millis(400);
    puppet.acknowledge(2, &[number], 0, 0);
    assert_eq!(puppet.report(2).smoothed_rtt, before, "it came another way");
    puppet.say(2, 1, &[challenge(2)]).unwrap();
    let number = puppet.hear().iter().find(|heard| heard.path == 2).expect("an answer").number;
    puppet.now += Duration::from_millis(400);
    puppet.acknowledge(2, &[number], 2, 1);
    assert!(puppet.report(2).smoothed_rtt > before);
}

#[test]
fn an_acknowledgement_settles_packets_of_the_path_it_names_only() {
    // spec: 10.1-1
    let mut puppet = Puppet::on_two_paths();
    write(&mut puppet, 60_000);
    let heard = puppet.wait(2);
    let in_flight = |puppet: &Puppet| [0, 2].map(|path| puppet.report(path).in_flight);
    let before = in_flight(&puppet);
    assert!(before.iter().all(|bytes| *bytes > 0), "{before:?}: {heard:?}");
    let lost = puppet.report(0).counters.lost_packets;
    let numbers: Vec<u64> =
        heard.iter().filter(|packet| packet.path == 2).map(|packet| packet.number).collect();
    // Over path 0, about path 2; the numbers exist on both.
    puppet.acknowledge(2, &numbers, 0, 0);
    assert_eq!(in_flight(&puppet)[0], before[0]);
    assert_eq!(puppet.report(0).counters.lost_packets, lost);
    assert!(in_flight(&puppet)[1] < before[1]);
}

#[test]
fn no_more_is_in_flight_than_the_window_allows() {
    // spec: 10.1-2
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    write(&mut puppet, 60_000);
    for turn in 0..100 {
        // The window shrinks only when something arrives, so what is sent now obeys this one.
        let before = puppet.report(0);
        let sent: u64 = puppet
            .hear()
            .iter()
            .filter(|heard| frames(&[(*heard).clone()]).iter().any(Frame::is_ack_eliciting))
            .filter(|heard| !frames(&[(*heard).clone()]).contains(&Frame::Ping))
            .map(|heard| heard.len as u64)
            .sum();
        assert!(sent == 0 || before.in_flight + sent <= before.window, "{sent}: {before:?}");
        puppet.now += Duration::from_millis(1);
        if turn % 10 == 9 {
            puppet.acknowledge_all(0, 0);
        }
    }
    assert!(puppet.report(0).counters.data_sent > 30_000);
}
