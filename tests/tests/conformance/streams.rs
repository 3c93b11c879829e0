//! Section 7: streams, services and credit.

use crate::puppet::{Puppet, Setup, frames, payload, stream_data};
use ropewalk_core::connection::Event;
use ropewalk_core::error::{OpenError, ReadError, WriteError, code};
use ropewalk_core::id::StreamId;
use ropewalk_core::stream::Service;
use ropewalk_core::wire::{Credit, Frame};
use std::collections::BTreeMap;

const NAME: &[u8] = b"\x04file";

/// Bytes of a stream that the puppet opened; it is the responder, so its streams are odd.
const fn data(stream: u32, offset: u64, data: &[u8], fin: bool) -> Frame<'_> {
    Frame::StreamSized { stream: StreamId(stream), offset, fin, data }
}

fn open(puppet: &mut Puppet) -> Result<StreamId, OpenError> {
    puppet.subject.open(&Service::new("file").unwrap())
}

fn with_credit(data: u64, stream_data: u64, streams: u32) -> Puppet {
    let credit = Credit { data, stream_data, streams };
    Puppet::answering(Setup { credit, ..Setup::default() })
}

#[test]
fn no_more_streams_are_opened_than_the_peer_allows() {
    // spec: 7.1-1
    let mut puppet = with_credit(1_000, 1_000, 2);
    assert_eq!(open(&mut puppet), Ok(StreamId(0)));
    assert_eq!(open(&mut puppet), Ok(StreamId(2)));
    assert_eq!(open(&mut puppet), Err(OpenError::TooMany));
    puppet.say(0, 0, &[Frame::MaxStreams { count: 3 }]).unwrap();
    assert_eq!(open(&mut puppet), Ok(StreamId(4)));
    assert_eq!(open(&mut puppet), Err(OpenError::TooMany));
}

#[test]
fn memory_that_came_after_the_offer_is_told() {
    let offer = Credit { data: 4_000, stream_data: 3_000, streams: 2 };
    let mut puppet = Puppet::dialing(Setup { offer: Some(offer), ..Setup::default() });
    assert_eq!(puppet.offered, offer);
    let told = frames(&puppet.settle());
    let more = |frame: &Frame<'_>| matches!(frame, Frame::MaxData { bytes } if *bytes > 30_000);
    assert!(told.iter().any(more), "{told:?}");
    assert!(told.iter().any(|frame| matches!(frame, Frame::MaxStreams { count: 4 })), "{told:?}");
    // One that opens later has what it was offered, and hears of the rest.
    puppet.say(0, 0, &[data(0, 0, &[NAME, &[b'x'; 900]].concat(), false)]).unwrap();
    let told = frames(&puppet.hear());
    let more = |f: &Frame<'_>| matches!(f, Frame::MaxStreamData { bytes, .. } if *bytes > 30_000);
    assert!(told.iter().any(more), "{told:?}");
}

#[test]
fn a_stream_beyond_the_count_that_was_told_breaks_the_protocol() {
    // spec: 7.1-2
    let mut puppet = Puppet::answering(Setup::default());
    let streams = puppet.offered.streams;
    puppet.say(0, 0, &[data(2 * streams - 1, 0, NAME, false)]).unwrap();
    puppet.is_violated_by(&[data(2 * streams + 1, 0, NAME, false)]);
}

#[test]
fn a_frame_for_a_stream_that_we_never_opened_breaks_the_protocol() {
    // spec: 7.1-3
    let stream = StreamId(2);
    for frame in [
        data(2, 0, b"?", false),
        Frame::Reset { stream, code: 0, final_offset: 0 },
        Frame::Stop { stream, code: 0 },
        Frame::MaxStreamData { stream, bytes: 1 },
    ] {
        let mut puppet = Puppet::answering(Setup::default());
        open(&mut puppet).unwrap();
        puppet.say(0, 0, &[data(0, 0, b"!", false)]).unwrap();
        puppet.is_violated_by(&[frame]);
    }
}

#[test]
fn a_stream_begins_with_the_name_of_its_service() {
    // spec: 7.2-1
    let mut puppet = Puppet::answering(Setup::default());
    let stream = open(&mut puppet).unwrap();
    puppet.subject.stream(stream).write(b"hello").unwrap();
    let heard = puppet.hear();
    assert_eq!(stream_data(&heard), [(0, 0, &b"\x04filehello"[..])]);
}

#[test]
fn a_service_that_is_not_offered_is_refused_and_never_shown() {
    // spec: 7.2-2
    // spec: 7.2-3
    let long = [[33].as_slice(), &[b'x'; 33]].concat();
    for name in [b"\x04echo".as_slice(), b"\x00", &long, b"\x02\xff\xfe", b"\xff"] {
        let mut puppet = Puppet::answering(Setup::default());
        puppet.say(0, 0, &[data(1, 0, name, false)]).unwrap();
        let said = frames(&puppet.hear());
        let (stream, code) = (StreamId(1), code::UNKNOWN_SERVICE);
        assert!(said.contains(&Frame::Reset { stream, code, final_offset: 0 }), "{said:?}");
        assert!(said.contains(&Frame::Stop { stream, code }), "{said:?}");
        puppet.say(0, 0, &[data(1, name.len() as u64, b"more", true)]).unwrap();
        puppet.hear();
        let shown =
            |event: &Event| matches!(event, Event::StreamOpened { .. } | Event::StreamReadable(_));
        assert!(!puppet.events.iter().any(shown), "{:?}", puppet.events);
        let mut buffer = [0; 9];
        assert!(puppet.subject.stream(stream).read(&mut buffer).is_err());
    }
}

#[test]
fn a_name_that_comes_in_pieces_is_waited_for() {
    // spec: 7.2-2
    let mut puppet = Puppet::answering(Setup::default());
    puppet.say(0, 0, &[data(1, 2, b"ile", false)]).unwrap();
    puppet.say(0, 0, &[data(1, 0, b"\x04", false)]).unwrap();
    puppet.hear();
    let opened = |event: &Event| matches!(event, Event::StreamOpened { .. });
    assert!(!puppet.events.iter().any(opened));
    puppet.say(0, 0, &[data(1, 1, b"f", false)]).unwrap();
    puppet.hear();
    assert!(puppet.events.iter().any(opened));
}

#[test]
fn an_end_never_moves_and_nothing_lies_beyond_it() {
    // spec: 7.3-2
    let stream = StreamId(1);
    for frame in [
        data(1, 5, b"abcd", false),
        data(1, 5, b"ab", true),
        data(1, 5, b"abcd", true),
        Frame::Reset { stream, code: 0, final_offset: 7 },
        Frame::Reset { stream, code: 0, final_offset: 9 },
    ] {
        let mut puppet = Puppet::answering(Setup::default());
        puppet.say(0, 0, &[data(1, 0, NAME, false), data(1, 5, b"abc", true)]).unwrap();
        puppet.say(0, 0, &[data(1, 5, b"abc", true), data(1, 5, b"ab", false)]).unwrap();
        puppet.is_violated_by(&[frame]);
    }
    for frame in [data(1, 10, b"a", false), data(1, 0, NAME, true)] {
        let mut puppet = Puppet::answering(Setup::default());
        puppet.say(0, 0, &[data(1, 0, NAME, false)]).unwrap();
        puppet.say(0, 0, &[Frame::Reset { stream, code: 300, final_offset: 10 }]).unwrap();
        puppet.is_violated_by(&[frame]);
    }
}

#[test]
fn a_stop_is_answered_by_a_reset_with_its_code() {
    // spec: 7.4-1
    let mut puppet = Puppet::answering(Setup::default());
    let stream = open(&mut puppet).unwrap();
    puppet.subject.stream(stream).write(b"hello").unwrap();
    puppet.hear();
    puppet.say(0, 0, &[Frame::Stop { stream, code: 777 }]).unwrap();
    let said = frames(&puppet.hear());
    assert!(said.contains(&Frame::Reset { stream, code: 777, final_offset: 10 }), "{said:?}");
    assert_eq!(puppet.subject.stream(stream).write(b"more"), Err(WriteError::Stopped));
}

#[test]
fn a_resets_final_offset_counts_as_received() {
    // spec: 7.4-2
    let reset =
        |stream, final_offset| Frame::Reset { stream: StreamId(stream), code: 0, final_offset };
    let mut puppet = Puppet::answering(Setup::default());
    let Credit { data, stream_data, .. } = puppet.offered;
    puppet.is_violated_by(&[reset(1, stream_data + 1)]);

    // Nothing is polled, so no new credit is told in between.
    let mut puppet = Puppet::answering(Setup::default());
    assert!(2 * stream_data > data, "two streams can exceed the connection's credit");
    puppet.say(0, 0, &[reset(1, stream_data), reset(3, data - stream_data)]).unwrap();
    puppet.is_violated_by(&[reset(5, 1)]);
}

#[test]
fn nothing_is_sent_beyond_either_credit() {
    // spec: 7.5-1
    // spec: 7.5-3
    let mut puppet = with_credit(700, 500, 2);
    let streams = [open(&mut puppet).unwrap(), open(&mut puppet).unwrap()];
    for stream in streams {
        puppet.subject.stream(stream).write(&[7; 2_000]).unwrap();
    }
    let mut highest = BTreeMap::new();
    let mut listen = |puppet: &mut Puppet| {
        for heard in [puppet.wait(5), puppet.wait(50)].concat() {
            for (stream, offset, data) in stream_data(&[heard]) {
                let top: &mut u64 = highest.entry(stream).or_default();
                *top = (*top).max(offset + data.len() as u64);
            }
        }
        highest.values().copied().collect::<Vec<_>>()
    };
    assert_eq!(listen(&mut puppet), [500, 200]);
    // Less than is known already: as if it had not been said.
    let less = [
        Frame::MaxData { bytes: 100 },
        Frame::MaxStreamData { stream: streams[0], bytes: 10 },
        Frame::MaxStreams { count: 0 },
    ];
    puppet.say(0, 0, &less).unwrap();
    assert_eq!(listen(&mut puppet), [500, 200]);
    puppet.say(0, 0, &[Frame::MaxStreamData { stream: streams[0], bytes: 5_000 }]).unwrap();
    assert_eq!(listen(&mut puppet), [500, 200], "the connection's credit is used up");
    puppet.say(0, 0, &[Frame::MaxData { bytes: 1_100 }]).unwrap();
    let tops = listen(&mut puppet);
    assert_eq!(tops.iter().sum::<u64>(), 1_100);
    assert!(tops[1] <= 500, "{tops:?}");
}

#[test]
fn bytes_beyond_either_credit_break_the_protocol() {
    // spec: 7.5-2
    let mut puppet = Puppet::answering(Setup::default());
    let Credit { data: all, stream_data, .. } = puppet.offered;
    puppet.say(0, 0, &[data(1, stream_data - 1, b"x", false)]).unwrap();
    puppet.is_violated_by(&[data(1, stream_data, b"x", false)]);

    let mut puppet = Puppet::answering(Setup::default());
    puppet.say(0, 0, &[data(1, stream_data - 1, b"x", false)]).unwrap();
    puppet.say(0, 0, &[data(3, all - stream_data - 1, b"x", false)]).unwrap();
    puppet.is_violated_by(&[data(5, 0, b"x", false)]);
}

#[test]
fn all_the_credit_that_is_told_is_held_however_it_is_used() {
    // spec: 7.3-1
    // spec: 7.5-4
    let mut puppet = Puppet::answering(Setup::default());
    let Credit { data: all, streams, .. } = puppet.offered;
    // As even as it gets over all streams, each from its end to its beginning, in odd pieces.
    let share = all / u64::from(streams);
    let content = |stream: u32| -> Vec<u8> {
        let rest = (NAME.len() as u64..share).map(|at| (at as u32 * 7 + stream) as u8);
        NAME.iter().copied().chain(rest).collect()
    };
    for stream in (0..streams).map(|place| 2 * place + 1) {
        let bytes = content(stream);
        let mut end = bytes.len();
        while end > 0 {
            let start = end.saturating_sub(333);
            let frame = data(stream, start as u64, &bytes[start..end], false);
            let packet = payload(&[frame]);
            puppet.say_from(0, crate::puppet::at(0), &packet).unwrap();
            end = start;
        }
    }
    let mut buffer = vec![0; share as usize];
    for stream in (0..streams).map(|place| 2 * place + 1) {
        let mut read = Vec::new();
        let result = loop {
            match puppet.subject.stream(StreamId(stream)).read(&mut buffer) {
                Ok(len) => read.extend_from_slice(&buffer[..len]),
                Err(error) => break error,
            }
        };
        assert_eq!(result, ReadError::Blocked);
        assert!(read == content(stream)[NAME.len()..], "stream {stream}");
    }
}

#[test]
fn a_stream_reads_and_writes_like_any_other() {
    use embedded_io::{Error as _, ErrorKind, Read as _, Write as _};
    let mut puppet = with_credit(100_000, 100_000, 1);
    let id = open(&mut puppet).unwrap();
    let mut stream = puppet.subject.stream(id);
    let blocked = embedded_io::Read::read(&mut stream, &mut [0; 4]).unwrap_err();
    assert_eq!(blocked.kind(), ErrorKind::TimedOut);
    stream.write_all(b"hello").unwrap();
    stream.flush().unwrap();
    let full = loop {
        if let Err(full) = embedded_io::Write::write(&mut stream, &[0; 1_000]) {
            break full;
        }
    };
    assert_eq!(full.kind(), ErrorKind::TimedOut);
    assert!(stream_data(&puppet.hear())[0].2.starts_with(b"\x04filehello"));

    puppet.say(0, 0, &[data(0, 0, b"welcome", true)]).unwrap();
    let mut stream = puppet.subject.stream(id);
    let mut read = [0; 7];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"welcome");
    assert_eq!(embedded_io::Read::read(&mut stream, &mut read), Ok(0), "the end");
    stream.finish().unwrap();
    let finished = stream.write_all(b"more").unwrap_err();
    assert_eq!(finished.kind(), ErrorKind::BrokenPipe);
    let unknown = puppet.subject.stream(StreamId(8)).write_all(b"?").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}
