//! Section 9.9: symbols, sums of them, and what is computed.

use crate::puppet::{Heard, Puppet, Setup, write};
use ropewalk_core::config::Config;
use ropewalk_core::id::{Mode, StreamId};
use ropewalk_core::repair::{ENCODER_BYTES, Encoder};
use ropewalk_core::wire::{Frame, Frames, Writer};

fn puppet() -> Puppet {
    let standard = Setup::default();
    let config = Config { mode: Mode::Repair, ..standard.config };
    Puppet::answering(Setup { config, storage: standard.storage.with_repair(), ..standard })
}

/// A message, coded as the contents of a symbol.
fn contents(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let mut writer = Writer::new(&mut bytes);
    Frame::DatagramSized { data: message }.encode(&mut writer).unwrap();
    writer.as_slice().to_vec()
}

/// The sum of these symbols, and its key.
fn sum(symbols: &[Vec<u8>]) -> (u16, Vec<u8>) {
    let (mut encoder, mut memory) = (Encoder::new(), vec![0; ENCODER_BYTES]);
    for symbol in symbols {
        encoder.push(symbol, &mut memory).unwrap();
    }
    let mixture = encoder.mixture(&memory).unwrap();
    let mut data = vec![0; mixture.len];
    encoder.mix(&mixture, &mut data, &memory);
    (mixture.key, data)
}

fn heard(puppet: &mut Puppet) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1_200];
    core::iter::from_fn(|| {
        puppet.subject.recv_datagram(&mut buffer).map(|(len, _)| buffer[..len].to_vec())
    })
    .collect()
}

#[test]
fn a_lost_symbol_is_computed_and_its_message_comes_once() {
    // spec: 9.9-2
    // spec: 9.9-4
    let mut puppet = puppet();
    let symbols = [contents(b"first"), contents(b"second"), contents(b"third")];
    let symbol = |number: u32| Frame::Symbol { number, contents: &symbols[number as usize] };
    puppet.say(0, 0, &[symbol(0)]).unwrap();
    puppet.say(0, 0, &[symbol(2)]).unwrap();
    assert_eq!(heard(&mut puppet), [b"first".to_vec(), b"third".to_vec()]);
    let (key, data) = sum(&symbols);
    puppet.say(0, 0, &[Frame::Repair { first: 0, count: 3, key, sums: 1, data: &data }]).unwrap();
    assert_eq!(heard(&mut puppet), [b"second".to_vec()]);
    let said = |puppet: &mut Puppet| -> Vec<u32> {
        let frames = puppet.hear().into_iter().flat_map(|heard| heard.frames);
        let told = frames.filter_map(|frame| match frame {
            Frame::Recovered { number } => Some(number),
            _ => None,
        });
        told.collect()
    };
    assert_eq!(said(&mut puppet), [1], "of the one that was computed, at once");
    puppet.say(0, 0, &[symbol(1)]).unwrap();
    assert_eq!(said(&mut puppet), Vec::<u32>::new());
    assert_eq!(heard(&mut puppet), Vec::<Vec<u8>>::new(), "it was computed before");
    assert_eq!(puppet.subject.stats().recovered, 1);
}

#[test]
fn without_memory_symbols_are_taken_and_sums_are_dropped() {
    let mut puppet = Puppet::answering(Setup::default());
    let symbols = [contents(b"first"), contents(b"second")];
    let (key, data) = sum(&symbols);
    puppet.say(0, 0, &[Frame::Symbol { number: 0, contents: &symbols[0] }]).unwrap();
    puppet.say(0, 0, &[Frame::Repair { first: 0, count: 2, key, sums: 1, data: &data }]).unwrap();
    puppet.say(0, 0, &[Frame::Symbol { number: 1, contents: &symbols[1] }]).unwrap();
    assert_eq!(heard(&mut puppet), [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn other_frames_in_a_symbol_break_the_protocol() {
    // spec: 9.9-3
    for inner in [
        Frame::Ping,
        Frame::Response { token: 1 },
        Frame::Close { code: 0, reason: "" },
        Frame::Symbol { number: 9, contents: &[] },
        Frame::SymbolSized { number: 9, contents: &[] },
        Frame::Recovered { number: 9 },
        Frame::Repair { first: 0, count: 1, key: 0, sums: 1, data: &[0, 0] },
    ] {
        let mut bytes = [0; 40];
        let mut writer = Writer::new(&mut bytes);
        inner.encode(&mut writer).unwrap();
        puppet().is_violated_by(&[Frame::Symbol { number: 0, contents: writer.as_slice() }]);
    }
}

/// The symbols in these packets: number and contents.
fn symbols(heard: &[Heard]) -> Vec<(u32, &'static [u8])> {
    let symbol = |frame: &Frame<'static>| match frame {
        Frame::Symbol { number, contents } | Frame::SymbolSized { number, contents } => {
            Some((*number, *contents))
        }
        _ => None,
    };
    heard.iter().flat_map(|packet| packet.frames.iter().filter_map(symbol)).collect()
}

/// Acknowledges packets behind those that were heard, so that those count as lost; what comes then.
fn lose(puppet: &mut Puppet, stream: StreamId) -> Vec<Heard> {
    let mut heard = Vec::new();
    for _ in 0..5 {
        puppet.subject.stream(stream).write(&[8; 10]).unwrap();
        let sent = puppet.wait(20);
        let last = sent.last().unwrap();
        puppet.acknowledge(last.path, &[last.number], last.path, last.link);
        heard.extend(sent);
    }
    heard.extend(puppet.wait(500));
    heard
}

#[test]
fn a_lost_symbol_comes_again_as_it_was() {
    let mut puppet = puppet();
    puppet.settle();
    let stream = write(&mut puppet, 300);
    let first = symbols(&puppet.wait(20));
    let [(number, contents)] = first[..] else { panic!("{first:?}") };
    let again = symbols(&lose(&mut puppet, stream));
    let copies: Vec<_> = again.iter().filter(|(other, _)| *other == number).collect();
    assert!(!copies.is_empty() && copies.iter().all(|(_, other)| *other == contents), "{again:?}");
    assert!(puppet.subject.stats().again_bytes >= 300);
}

#[test]
fn a_symbol_with_a_message_does_not_come_again() {
    // spec: 9.9-5
    let mut puppet = puppet();
    puppet.settle();
    puppet.subject.send_datagram(b"only once").unwrap();
    let stream = write(&mut puppet, 300);
    let first = symbols(&puppet.wait(20));
    let [(number, contents)] = first[..] else { panic!("{first:?}") };
    assert!(contents.windows(9).any(|part| part == b"only once"));
    let again = symbols(&lose(&mut puppet, stream));
    assert!(again.iter().all(|(other, _)| *other != number), "{again:?}");
    let inside = again.iter().flat_map(|(_, contents)| Frames::new(contents)).map(Result::unwrap);
    let bytes = inside.filter_map(|frame| match frame {
        Frame::Stream { stream: of, offset: 0, data, .. }
        | Frame::StreamSized { stream: of, offset: 0, data, .. } => (of == stream).then_some(data),
        _ => None,
    });
    assert!(bytes.map(<[u8]>::len).max() >= Some(300), "its bytes come in another: {again:?}");
}
