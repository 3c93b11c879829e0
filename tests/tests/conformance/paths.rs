//! Sections 2.3, 9 and 11: paths are opened, proved, suspected, moved and given up.

use crate::puppet::{
    Heard, Puppet, Setup, acknowledgement, advertised, at, challenge, frames, payload, stream_data,
    up, write,
};
use ropewalk_core::connection::LinkChange;
use ropewalk_core::error::Discard;
use ropewalk_core::id::{Address, Arrival, LinkId, Mode, PathId};
use ropewalk_core::path::PathState;
use ropewalk_core::stream::Service;
use ropewalk_core::wire::{Frame, PathStatus};
use ropewalk_tests::sim::node::Node;
use std::collections::{BTreeMap, BTreeSet};

fn gone(path: u32) -> Frame<'static> {
    Frame::PathStatus { path: PathId(path), sequence: 0, status: PathStatus::Gone }
}

/// Whether path 2 is said to be gone.
fn says_gone(frames: &[Frame<'_>]) -> bool {
    frames.iter().any(|frame| match frame {
        Frame::PathStatus { path, status, .. } => *path == PathId(2) && *status == PathStatus::Gone,
        _ => false,
    })
}

/// The tokens in these packets, with the paths and addresses that they went to.
fn challenges(heard: &[Heard]) -> Vec<(u32, Address, u64)> {
    let mut found = Vec::new();
    for packet in heard {
        for frame in &packet.frames {
            if let Frame::Challenge { token, .. } = frame {
                found.push((packet.path, packet.remote, *token));
            }
        }
    }
    found
}

#[test]
fn no_path_id_serves_twice() {
    // spec: 2.3-1
    let mut puppet = Puppet::answering(Setup { links: 2, ..Setup::default() });
    puppet.settle();
    let mut used: BTreeSet<u32> = [0, 2].into();
    for _ in 0..20 {
        puppet.subject.handle_link(LinkId(1), LinkChange::Down, puppet.now);
        puppet.settle();
        puppet.subject.handle_link(LinkId(1), up(0, 1, 1_400), puppet.now);
        puppet.settle();
        let path = puppet.subject.paths().find(|path| path.link == LinkId(1)).expect("it is back");
        assert!(used.insert(path.id.0), "path {:?} again", path.id);
        assert_eq!(path.id.0 % 2, 0, "a dialer's ids are even");
    }
}

#[test]
fn an_unknown_path_is_the_peers_and_new_or_nothing() {
    // spec: 9.1-1
    let mut puppet = Puppet::answering(Setup::default());
    assert_eq!(puppet.say(8, 0, &[Frame::Ping]), Err(Discard::Replayed), "the subject's own side");
    assert_eq!(puppet.say(1, 0, &[Frame::Ping]), Ok(()));
    assert!(puppet.has_path(1));
    puppet.say(0, 0, &[gone(1)]).unwrap();
    assert!(!puppet.has_path(1));
    assert_eq!(puppet.say(1, 0, &[Frame::Ping]), Err(Discard::Replayed), "used before");
    assert_eq!(puppet.say(4_001, 0, &[Frame::Ping]), Ok(()));
    assert_eq!(puppet.say(4_001 - 2_048, 0, &[Frame::Ping]), Err(Discard::Replayed), "far below");
    assert_eq!(puppet.subject.stats().received_packets, 3);
}

#[test]
fn a_connection_has_eight_paths_and_no_more() {
    // spec: 9.1-2
    let mut puppet = Puppet::answering(Setup::default());
    let from = |port| Arrival {
        remote: Address::Ip(format!("10.0.0.2:{port}").parse().unwrap()),
        ..at(0)
    };
    for path in 0..7 {
        let opened = puppet.say_from(2 * path + 1, from(8_000 + path), &payload(&[Frame::Ping]));
        assert_eq!(opened, Ok(()));
    }
    let ninth = puppet.say_from(15, from(8_015), &payload(&[Frame::Ping]));
    assert_eq!(ninth, Err(Discard::NoRoom));
    assert_eq!(puppet.subject.paths().count(), 8);
    // Of its own accord it opens no more either.
    let mut puppet = Puppet::answering(Setup { links: 8, ..Setup::default() });
    puppet.settle();
    for link in 8..12 {
        puppet.subject.handle_link(LinkId(link), up(0, link, 1_400), puppet.now);
    }
    let addresses = (&*advertised(1, 0..12).leak()).into();
    puppet.say(0, 0, &[Frame::Advertise { sequence: 1, addresses }]).unwrap();
    puppet.settle();
    assert_eq!(puppet.subject.paths().count(), 8);
}

#[test]
fn a_challenge_is_answered_with_its_token_on_its_path() {
    // spec: 9.3-1
    let mut puppet = Puppet::on_two_paths();
    for (path, link, token) in [(2, 1, 77), (0, 0, u64::MAX), (2, 1, 0)] {
        puppet.say(path, link, &[challenge(token)]).unwrap();
        let heard = puppet.hear();
        let answer = |packet: &Heard| {
            (packet.path, packet.link) == (path, link)
                && packet.frames.contains(&Frame::Response { token })
        };
        assert!(heard.iter().any(answer), "{heard:?}");
    }
}

#[test]
fn only_the_last_token_on_its_own_path_proves_an_address() {
    // spec: 9.3-2
    // spec: 9.3-4
    let mut puppet = Puppet::answering(Setup { links: 2, ..Setup::default() });
    let said = puppet.hear();
    let [(2, _, token)] = challenges(&said)[..] else { panic!("{said:?}") };
    puppet.say(0, 0, &[Frame::Response { token }]).unwrap();
    puppet.say(2, 1, &[Frame::Response { token: token ^ 1 }]).unwrap();
    puppet.say_from(2, at(1), &acknowledgement(2, &[0])).unwrap();
    assert_eq!(puppet.report(2).state, PathState::Probing);
    // What waits does not go there meanwhile.
    write(&mut puppet, 60_000);
    puppet.subject.send_datagram(b"a message").unwrap();
    let said = puppet.wait(50);
    assert!(!stream_data(&said).is_empty());
    let careful = |frame: &Frame<'_>| {
        matches!(
            frame,
            Frame::Challenge { .. } | Frame::Response { .. } | Frame::Ack(_) | Frame::Padding
        )
    };
    let there = said.iter().filter(|packet| packet.path == 2);
    assert!(there.flat_map(|packet| &packet.frames).all(careful));

    puppet.say(2, 1, &[Frame::Response { token }]).unwrap();
    assert_eq!(puppet.report(2).state, PathState::Active);
}

#[test]
fn an_address_that_is_not_proved_gets_three_times_what_it_sent() {
    // spec: 9.3-3
    let mut puppet = Puppet::dialing(Setup::default());
    let mut sent = 0;
    for _ in 0..40 {
        sent += puppet.wait(100).iter().map(|heard| heard.len as u64).sum::<u64>();
        let came = puppet.subject.stats().received_bytes;
        assert!(sent <= 3 * came, "{sent} for {came}");
        if puppet.subject.paths().count() == 0 {
            break;
        }
        puppet.say(0, 0, &[challenge(sent)]).unwrap();
    }
    assert!(sent > 0);
    // Where the peer was told to be, one full packet counts in advance.
    let mut puppet = Puppet::answering(Setup { links: 2, ..Setup::default() });
    let there: u64 = puppet
        .wait(10_000)
        .iter()
        .filter(|heard| heard.path == 2)
        .map(|heard| heard.len as u64)
        .sum();
    assert!((548..=3 * 548).contains(&there), "{there}");
}

#[test]
fn a_path_that_is_not_proved_after_three_challenges_is_given_up() {
    // spec: 9.3-5
    let mut puppet = Puppet::answering(Setup { links: 2, ..Setup::default() });
    let mut tries: BTreeMap<u32, u32> = BTreeMap::new();
    for _ in 0..300 {
        let heard = puppet.wait(10);
        puppet.acknowledge_all(0, 0);
        for (path, ..) in challenges(&heard) {
            *tries.entry(path).or_default() += 1;
        }
    }
    assert_eq!(tries[&2], 3);
    assert!(!puppet.has_path(2));
}

#[test]
fn a_suspect_path_carries_no_data_until_it_acknowledges() {
    // spec: 9.4-1
    // spec: 9.4-2
    // spec: 9.4-3
    let mut puppet = Puppet::on_two_paths();
    let stream = write(&mut puppet, 40_000);
    let mut said = puppet.wait(2);
    assert!(
        said.iter().any(
            |packet| packet.path == 2 && !stream_data(core::slice::from_ref(packet)).is_empty()
        )
    );
    // From now on path 2 brings nothing back.
    let turn = |puppet: &mut Puppet| {
        let heard = puppet.wait(5);
        puppet.acknowledge_all(0, 0);
        heard
    };
    while puppet.report(2).state == PathState::Active {
        said.extend(turn(&mut puppet));
    }
    assert_eq!(puppet.report(2).state, PathState::Suspect);
    let lost: Vec<_> =
        stream_data(&said.iter().filter(|packet| packet.path == 2).cloned().collect::<Vec<_>>());
    let mut after = Vec::new();
    for _ in 0..20 {
        after.extend(turn(&mut puppet));
    }
    // Whatever it carried comes on the other path, some of it at the very moment of suspicion.
    let both = said.iter().chain(&after).filter(|packet| packet.path == 0);
    let again = stream_data(&both.cloned().collect::<Vec<_>>());
    for (_, offset, data) in lost {
        let mut at = offset;
        while at < offset + data.len() as u64 {
            let covering = again.iter().find(|(_, o, d)| *o <= at && at < o + d.len() as u64);
            let (_, from, bytes) =
                covering.unwrap_or_else(|| panic!("byte {at} is not sent again"));
            at = from + bytes.len() as u64;
        }
    }
    // New data and messages avoid it, and what it brings in does not change that.
    puppet.subject.stream(stream).write(&[1; 20_000]).unwrap();
    puppet.subject.send_datagram(b"a message").unwrap();
    for number in 0..100 {
        puppet.say(2, 1, &[Frame::Ping, Frame::Response { token: number }]).unwrap();
        after.extend(turn(&mut puppet));
        assert!(matches!(puppet.report(2).state, PathState::Suspect | PathState::Down));
    }
    let there: Vec<_> = after.iter().filter(|packet| packet.path == 2).cloned().collect();
    assert!(there.iter().any(|packet| packet.frames.contains(&Frame::Ping)), "it is probed");
    assert_eq!(stream_data(&there), []);
    assert!(!frames(&there).iter().any(|f| matches!(f, Frame::DatagramSized { .. })));
    assert_eq!(puppet.report(2).state, PathState::Down);
    puppet.acknowledge_all(2, 1);
    assert_eq!(puppet.report(2).state, PathState::Active);
}

#[test]
fn the_newest_packet_says_where_the_peer_is_and_the_new_place_is_proved() {
    // spec: 9.6-1
    // spec: 9.6-2
    let mut puppet = Puppet::on_two_paths();
    let old = puppet.report(2).remote;
    let elsewhere = Arrival { remote: Node::address(7, 1), ..at(1) };
    let mut late = puppet.prepare(2, &payload(&[Frame::Ping]));
    puppet.say(2, 1, &[Frame::Ping]).unwrap();
    puppet.deliver(elsewhere, &mut late).unwrap();
    assert_eq!(puppet.report(2).remote, old, "it was late");

    puppet.say_from(2, elsewhere, &payload(&[Frame::Ping])).unwrap();
    let report = puppet.report(2);
    assert_eq!((report.remote, report.state), (elsewhere.remote, PathState::Probing));
    let said = puppet.hear();
    let [(2, remote, token)] = challenges(&said)[..] else { panic!("{said:?}") };
    assert_eq!(remote, elsewhere.remote);
    puppet.say_from(2, elsewhere, &payload(&[Frame::Response { token }])).unwrap();
    assert_eq!(puppet.report(2).state, PathState::Active);

    // Another of our links is another place, too.
    puppet.say_from(2, Arrival { link: LinkId(0), ..elsewhere }, &payload(&[Frame::Ping])).unwrap();
    let report = puppet.report(2);
    assert_eq!((report.link, report.state), (LinkId(0), PathState::Probing));
}

#[test]
fn a_path_that_is_gone_is_dropped_and_what_it_carried_goes_elsewhere() {
    // spec: 9.7-1
    let mut puppet = Puppet::on_two_paths();
    write(&mut puppet, 60_000);
    let said: Vec<_> = puppet.wait(2).into_iter().filter(|packet| packet.path == 2).collect();
    let lost = stream_data(&said);
    assert!(!lost.is_empty());
    puppet.acknowledge_all(0, 0);
    puppet.say(0, 0, &[gone(2)]).unwrap();
    assert!(!puppet.has_path(2));
    assert_eq!(puppet.say(2, 1, &[Frame::Ping]), Err(Discard::Replayed));
    let mut again = Vec::new();
    for _ in 0..20 {
        again.extend(stream_data(&puppet.wait(5)));
        puppet.acknowledge_all(0, 0);
    }
    for (_, offset, _) in lost {
        assert!(
            again
                .iter()
                .any(|(_, from, data)| { *from <= offset && offset < from + data.len() as u64 })
        );
    }
}

#[test]
fn only_a_newer_word_on_a_path_counts() {
    // spec: 9.7-3
    let word = |path, sequence, status| Frame::PathStatus { path: PathId(path), sequence, status };
    let mut puppet = Puppet::on_two_paths();
    puppet.subject.set_mode(Mode::Backup);
    let stream = puppet.subject.open(&Service::new("file").unwrap()).unwrap();
    let table = [
        ("as the dialer prefers", 1, word(0, 1, PathStatus::Available), 0),
        ("the peer's spare", 2, word(0, 5, PathStatus::Backup), 2),
        ("an older word", 3, word(0, 4, PathStatus::Available), 2),
        ("the same again", 4, word(0, 5, PathStatus::Available), 2),
        ("both are spares: it stays", 5, word(2, 6, PathStatus::Backup), 2),
        ("a newer word", 6, word(0, 7, PathStatus::Available), 0),
    ];
    for (name, bytes, frame, expected) in table {
        puppet.say(0, 0, &[frame]).unwrap();
        puppet.settle();
        puppet.subject.stream(stream).write(&vec![7; bytes]).unwrap();
        let said = puppet.hear();
        let carries = |packet: &&Heard| !stream_data(core::slice::from_ref(*packet)).is_empty();
        let paths: BTreeSet<u32> = said.iter().filter(carries).map(|packet| packet.path).collect();
        assert_eq!(paths, [expected].into(), "{name}: {said:?}");
        puppet.settle();
    }
}

#[test]
fn a_gone_path_is_announced_until_the_peer_has_heard() {
    // spec: 11.1-1
    let mut puppet = Puppet::on_two_paths();
    puppet.subject.handle_link(LinkId(1), LinkChange::Down, puppet.now);
    let advertises = |said: &[Heard]| {
        frames(said).iter().any(|frame| match frame {
            Frame::Advertise { addresses, .. } => addresses.len() == 1,
            _ => false,
        })
    };
    let said = puppet.hear();
    assert!(says_gone(&frames(&said)));
    assert!(advertises(&said));
    // Never heard: newer packets are, that one is not.
    let lost = said.iter().find(|packet| says_gone(&packet.frames)).expect("said").number;
    let mut later = Vec::new();
    for _ in 0..10 {
        puppet.say(0, 0, &[challenge(1)]).unwrap();
        later.extend(puppet.wait(20));
        let numbers: Vec<u64> = later.iter().map(|p| p.number).filter(|n| *n != lost).collect();
        puppet.acknowledge(0, &numbers, 0, 0);
    }
    assert!(says_gone(&frames(&later)));
    assert!(advertises(&later));
    puppet.acknowledge_all(0, 0);
    puppet.settle();
    let quiet = puppet.wait(500);
    assert!(!says_gone(&frames(&quiet)) && !advertises(&quiet));
}

#[test]
fn only_a_newer_list_of_addresses_counts() {
    // spec: 11.1-2
    let mut puppet = Puppet::answering(Setup::default());
    puppet.settle();
    for link in 1..4 {
        puppet.subject.handle_link(LinkId(link), up(0, link, 1_400), puppet.now);
    }
    puppet.settle();
    let list = |sequence, links| {
        let addresses = (&*advertised(1, links).leak()).into();
        Frame::Advertise { sequence, addresses }
    };
    let reached = |puppet: &Puppet| -> BTreeSet<Address> {
        puppet.subject.paths().map(|path| path.remote).collect()
    };
    puppet.say(0, 0, &[list(5, 0..2)]).unwrap();
    puppet.settle();
    assert!(reached(&puppet).contains(&Node::address(1, 1)));
    puppet.say(0, 0, &[list(4, 0..3), list(5, 0..3)]).unwrap();
    puppet.settle();
    assert!(!reached(&puppet).contains(&Node::address(1, 2)), "old news");
    puppet.say(0, 0, &[list(6, 0..3)]).unwrap();
    puppet.settle();
    assert!(reached(&puppet).contains(&Node::address(1, 2)));
}

#[test]
fn the_newest_word_on_the_mode_binds_the_responder() {
    // spec: 9.8-1
    let mut puppet = Puppet::dialing(Setup::default());
    let mode = |sequence, mode| Frame::Mode { sequence, mode };
    puppet.say(0, 0, &[mode(2, Mode::Spread)]).unwrap();
    assert_eq!(puppet.subject.mode(), Mode::Spread);
    puppet.say(0, 0, &[mode(1, Mode::Bulk), mode(2, Mode::Bulk)]).unwrap();
    assert_eq!(puppet.subject.mode(), Mode::Spread);
    puppet.say(0, 0, &[mode(7, Mode::Bulk)]).unwrap();
    assert_eq!(puppet.subject.mode(), Mode::Bulk);

    let mut puppet = Puppet::answering(Setup::default());
    puppet.say(0, 0, &[mode(1, Mode::Spread)]).unwrap();
    assert_eq!(puppet.subject.mode(), Mode::Bulk, "a dialer ignores it");
}
